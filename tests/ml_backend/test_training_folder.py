"""A Label Studio project as a training folder: labels and photos that belong together."""

import json

import numpy as np
import pytest
from PIL import Image

from clickpose.data.coco import read_coco_persons
from clickpose.skeleton import COCO
from clickpose.structures import Annotations
from clickpose_labelstudio.coco_exchange import coco_to_tasks
from clickpose_labelstudio.codec import encode_annotations
from clickpose_labelstudio.labeling_config import build_labeling_config, parse_labeling_config
from clickpose_labelstudio.ports import ImageError, LoadedImage
from clickpose_labelstudio.training_folder import write_training_folder

CONFIG = parse_labeling_config(build_labeling_config())
IMAGE_HW = (60, 80)
KEYPOINTS = np.column_stack([np.linspace(10, 50, 17), np.linspace(12, 44, 17)])
VISIBILITY = np.array([2, 1] * 8 + [0])


class Photos:
    """A red photo for every reference but ``/data/gone.jpg``; remembers what it was asked for."""

    def __init__(self):
        self.asked = []

    def load(self, reference):
        self.asked.append(reference)
        if reference.endswith("gone.jpg"):
            raise ImageError("The photo is gone")
        return LoadedImage(np.full((*IMAGE_HW, 3), [255, 0, 0], np.uint8), "hash")


def task(number: int, reference: str = "/data/upload/a.jpg", people: int = 1, visibility=VISIBILITY) -> dict:
    labels = Annotations(
        skeleton=COCO,
        keypoints=np.stack([KEYPOINTS + 5 * person for person in range(people)]) if people else np.zeros((0, 17, 2)),
        visibility=np.tile(visibility, (people, 1)),
        boxes_xyxy=np.tile([5.0, 6.0, 70.0, 58.0], (people, 1)),
        ids=tuple(f"cp-{person}" for person in range(people)),
    )
    result = encode_annotations(labels, CONFIG, IMAGE_HW)
    return {"id": number, "data": {CONFIG.image_key: reference}, "annotations": [{"id": 1, "result": result}]}


def test_labels_and_photos_are_what_training_reads(tmp_path):
    photos = Photos()
    unlabelled = {"id": 3, "data": {CONFIG.image_key: "/data/upload/c.jpg"}, "annotations": []}
    tasks = [task(1, people=2), task(2, people=0), unlabelled, task(4, "s3://bucket/d.jpg")]
    report = write_training_folder(tasks, CONFIG, photos, tmp_path)
    assert (report.persons, report.photos, report.missing) == (3, 2, {})
    assert photos.asked[0] == "/data/upload/a.jpg"
    assert photos.asked[1].startswith("/tasks/4/resolve/?fileuri=")  # Label Studio has the keys of the bucket
    first, second, third = read_coco_persons(tmp_path)
    np.testing.assert_allclose(first.keypoints[:16], KEYPOINTS[:16])
    np.testing.assert_allclose(second.keypoints[:16], KEYPOINTS[:16] + 5)
    np.testing.assert_array_equal(third.visibility, VISIBILITY)
    np.testing.assert_allclose(first.box_xyxy, [5, 6, 70, 58])
    assert first.image_path == second.image_path != third.image_path
    with Image.open(third.image_path) as photo:
        assert photo.size == IMAGE_HW[::-1]
        np.testing.assert_allclose(np.asarray(photo)[30, 40], [255, 0, 0], atol=3)


def test_a_photo_that_cannot_be_had_is_named_and_left_out(tmp_path):
    report = write_training_folder([task(1, "/data/gone.jpg"), task(2)], CONFIG, Photos(), tmp_path)
    assert (report.persons, report.photos, report.missing) == (1, 1, {1: "The photo is gone"})
    content = json.loads((tmp_path / "annotations.json").read_text())
    assert [image["id"] for image in content["images"]] == [2]
    assert [annotation["image_id"] for annotation in content["annotations"]] == [2]


def test_imported_people_are_trained_on_whatever_their_file_lacks_and_is_called(tmp_path):
    names = [*COCO.names[1:], "nose"]
    points = np.column_stack([KEYPOINTS, VISIBILITY])[[*range(1, 17), 0]]
    person = {"id": 9, "image_id": "../a b", "category_id": 4, "keypoints": points.ravel().tolist()}
    crowd = {"id": 10, "image_id": "../a b", "category_id": 4, "iscrowd": 1, "bbox": [0, 0, 9, 9]}
    coco = {
        "images": [{"id": "../a b", "file_name": "../x/é.jpg", "width": 80, "height": 60}],
        "annotations": [crowd, person],
        "categories": [{"id": 4, "name": "person", "keypoints": names}],
    }
    (imported,) = coco_to_tasks(coco, CONFIG, kind="annotations", reference="/data/{}".format)
    report = write_training_folder([{**imported, "id": 5}, task(6)], CONFIG, Photos(), tmp_path)
    assert (report.persons, report.photos) == (2, 2)
    first, _ = read_coco_persons(tmp_path)
    np.testing.assert_allclose(first.keypoints[:16], KEYPOINTS[:16])
    np.testing.assert_array_equal(first.visibility, VISIBILITY)
    assert first.image_path == tmp_path / "images" / "1.jpg"


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([], "people labelled in the project, found none on 0 labelled tasks"),
        ([task(1, people=0)], "found none on 1 labelled tasks"),
        ([task(1, visibility=np.zeros(17, int))], "found none on 1 labelled tasks"),
        ([task(1, "/data/gone.jpg")], "could have none: The photo is gone"),
    ],
)
def test_nothing_to_train_on_is_a_sentence_and_no_folder_that_looks_whole(tmp_path, tasks, message):
    with pytest.raises(ValueError, match=message):
        write_training_folder(tasks, CONFIG, Photos(), tmp_path)
    assert not (tmp_path / "annotations.json").exists()
