"""First poses from files: found by the photo's name, whatever folders it stands in."""

import json

import numpy as np
import pytest

from clickpose.data.coco_results import PhotoPoses, to_coco, to_coco_results
from clickpose.first_pose.loading import load_first
from clickpose.first_pose.network import FirstPoseError
from clickpose.first_pose.predictor import FirstPosePredictor, notes_of
from clickpose.named_image import named_image
from clickpose.skeleton import COCO
from clickpose.structures import Poses
from helpers.fakes import FakePredictor

PHOTO = np.zeros((240, 320, 3), np.uint8)
BOX = np.array([20.0, 30.0, 120.0, 200.0])


def poses(shift=0.0, people=1):
    boxes = np.tile(BOX + shift, (people, 1))
    return Poses(
        skeleton=COCO, keypoints=np.full((people, 17, 2), 60.0 + shift), boxes_xyxy=boxes,
        keypoint_scores=np.full((people, 17), 0.5), visibility_scores=np.ones((people, 17)),
        instance_scores=np.full(people, 0.75),
    )  # fmt: skip


@pytest.fixture
def document():
    names = ("set/000000000012.jpg", "set/b/x.jpg", "set/c/x.jpg", "set/empty.jpg")
    found = (poses(), poses(10), poses(20), poses(people=0))
    return to_coco([PhotoPoses(name, (240, 320), people) for name, people in zip(names, found, strict=True)])


@pytest.fixture
def load(tmp_path):
    def load(content, options=""):
        (tmp_path / "theirs.json").write_text(json.dumps(content))
        return load_first(f"results:{tmp_path / 'theirs.json'}{options}")

    return load


def test_a_dataset_is_asked_by_names_whose_ends_are_alike(load, document):
    network = load(document)
    assert network.name == "theirs"
    found = network.find(named_image(PHOTO, "/photos/b/x.jpg"))
    assert found.keypoints[0, 0].tolist() == [70, 70] and found.instance_scores.tolist() == [0.75]
    np.testing.assert_array_equal(found.boxes_xyxy, [BOX + 10])
    assert len(network.find(named_image(PHOTO, "empty.jpg"))) == 0
    assert network.find(named_image(PHOTO, "unknown.jpg")) is None
    with pytest.raises(FirstPoseError, match=r"one photo of the name 'x\.jpg', got 2 .*first poses of theirs"):
        network.find(named_image(PHOTO, "x.jpg"))
    with pytest.raises(FirstPoseError, match="Expected the name of the photo"):
        network.find(PHOTO)


def test_a_list_is_asked_by_the_number_in_the_name_or_by_the_images_of_another_file(load, document, tmp_path):
    listed = to_coco_results(document)
    for entry in listed:
        entry["image_id"] += 11
    network = load(listed)
    assert network.find(named_image(PHOTO, "val2017/000000000012.jpg")).keypoints[0, 0].tolist() == [60, 60]
    assert network.find(named_image(PHOTO, "val2017/000000000099.jpg")) is None
    images = [{**image, "id": image["id"] + 11} for image in document["images"]]
    (tmp_path / "images.json").write_text(json.dumps({"images": images, "annotations": []}))
    network = load(listed, f",images={tmp_path / 'images.json'}")
    assert network.find(named_image(PHOTO, "c/x.jpg")).keypoints[0, 0].tolist() == [80, 80]
    assert len(network.find(named_image(PHOTO, "empty.jpg"))) == 0


def test_lite_finds_the_people_of_photos_that_the_file_does_not_have(load, document):
    predictor = FirstPosePredictor(FakePredictor(), load(document))
    predictor.set_image(PHOTO, file_name="b/x.jpg")
    found = predictor.predict()
    assert len(found) == 1 and found[0].keypoints[0].tolist() == [70, 70]
    predictor.set_image(named_image(PHOTO, "unknown.jpg"))
    assert len(predictor.predict()) == 2
    assert dict(notes_of(predictor)) == {"people whom theirs did not see, posed by fake": 2}
    predictor.set_image(PHOTO, file_name="empty.jpg")
    assert len(predictor.predict()) == 0


def test_a_file_that_is_none_is_said(load, tmp_path):
    with pytest.raises(FirstPoseError, match=r"Cannot use the first poses of .*theirs\.json: Expected a list"):
        load({"people": []})
    with pytest.raises(FirstPoseError, match=r"Expected a COCO file of poses at .*, found no such file"):
        load_first(f"results:{tmp_path / 'none.json'}")
