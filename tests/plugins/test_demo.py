"""The demo's datasets: one a folder, new photos come in, broken ones stop nothing."""

import json

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

import clickpose_fiftyone.demo as demo
import clickpose_fiftyone.predict as predict
from clickpose.data.coco_categories import person_category
from clickpose.skeleton import COCO
from clickpose.structures import Poses
from clickpose_fiftyone.demo import ReviewOptions, prepare_dataset
from clickpose_fiftyone.field_names import ACCEPTED
from clickpose_fiftyone.review import mark_persons


class OnePerson:
    """Finds one person in every photo."""

    name, skeleton, fingerprint = "one", COCO, "one"

    def set_image(self, image):
        self.wh = np.array(image.shape[1::-1])

    def predict(self, boxes_xyxy=None):
        boxes = np.array([[0, 0, *self.wh]], float) if boxes_xyxy is None else boxes_xyxy
        count = len(boxes)
        keypoints = np.linspace(0.2, 0.8, len(COCO))[None, :, None] * self.wh * np.ones((count, 1, 1))
        scores = np.full((count, len(COCO)), 0.6)
        return Poses(
            skeleton=COCO,
            keypoints=keypoints,
            boxes_xyxy=boxes,
            keypoint_scores=scores,
            visibility_scores=scores,
            instance_scores=np.full(count, 0.6),
        )


@pytest.fixture
def review(monkeypatch):
    """Prepares datasets without a network; they are deleted afterwards."""
    monkeypatch.setattr(predict, "shared_predictor", lambda name, checkpoint=None: OnePerson())
    made, said = {}, []

    def prepare(folder=None, coco=None):
        dataset = prepare_dataset(ReviewOptions(images=folder, coco=coco), said.append)
        made[dataset.name] = dataset
        return dataset

    prepare.said = said
    yield prepare
    for dataset in made.values():
        dataset.delete()


def photo(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (60, 40)).save(path)


def test_broken_photos_stop_nothing(review, tmp_path):
    photo(tmp_path / "a" / "good.jpg")
    (tmp_path / "a" / "empty.jpg").write_bytes(b"")
    (tmp_path / "a" / "link.jpg").symlink_to(tmp_path / "nowhere.jpg")
    dataset = review(tmp_path / "a")
    assert len(dataset) == 2 and dataset.count("pred.keypoints") == 1
    assert dataset.count("pred_joints.keypoints") == len(COCO)
    assert any("1 photo could not be read" in text for text in review.said)


def test_folders_of_one_name_are_not_taken_for_each_other(review, tmp_path):
    photo(tmp_path / "a" / "photos" / "1.jpg")
    photo(tmp_path / "b" / "photos" / "2.jpg")
    first, second = review(tmp_path / "a" / "photos"), review(tmp_path / "b" / "photos")
    assert first.name == "clickpose-photos" and second.name == "clickpose-photos-2"
    assert second.values("filepath") == [str(tmp_path / "b" / "photos" / "2.jpg")]
    assert review(tmp_path / "b" / "photos").name == second.name


def test_new_photos_come_in_and_corrections_stay(review, tmp_path):
    photo(tmp_path / "1.jpg")
    dataset = review(tmp_path)
    mark_persons(dataset, "pred", dataset.values("pred.keypoints.id", unwind=True), ACCEPTED)
    photo(tmp_path / "2.jpg")
    again = review(tmp_path)
    assert again.values("filepath") == [str(tmp_path / "1.jpg"), str(tmp_path / "2.jpg")]
    assert again.count("pred.keypoints") == 2 and again.count_label_tags("pred")[ACCEPTED] == 1
    assert fo.load_dataset(again.name).values("min_pred_oks") == pytest.approx([0.6, 0.6])


def test_files_with_other_endings_are_told(review, tmp_path):
    photo(tmp_path / "sub" / "1.JPG")
    for name in ("a.heic", "notes.txt", "sub/b.heic"):
        (tmp_path / name).write_bytes(b"x")
    assert len(review(tmp_path)) == 1
    assert "Left out files with other endings: 2 .heic, 1 .txt." in review.said
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match=r"Expected photos \(.*\.jpg.*\) in .*none, got none"):
        review(tmp_path / "none")


def test_the_start_is_the_worst_photos_with_the_queue_beside_them(review, tmp_path):
    photo(tmp_path / "1.jpg")
    photo(tmp_path / "2.tif")
    dataset = review(tmp_path)
    options = ReviewOptions(images=tmp_path, port=5999)
    assert demo.start_address(dataset, options).endswith(
        f":5999/datasets/{dataset.name}?workspace=review&view=worst-photos-first"
    )
    panels = [panel["type"] for space in dataset.load_workspace("review").to_dict()["children"]
              for panel in space["children"]]  # fmt: skip
    assert panels == ["Samples", "review_panel"]
    assert dataset.load_saved_view("worst-photos-first").values("min_pred_oks") == pytest.approx([0.6, 0.6])
    assert any(text.startswith("Browsers do not show 2.tif: ") for text in review.said)
    dataset.save_view("worst-photos-first", dataset.limit(1), overwrite=True)  # a user's own stays
    demo.keep_start(dataset)
    assert len(dataset.load_saved_view("worst-photos-first")) == 1


def test_of_a_coco_folder_only_people_are_prompts(review, tmp_path):
    photo(tmp_path / "images" / "1.jpg")
    box = {"image_id": 1, "bbox": [5, 5, 30, 30], "area": 500, "iscrowd": 0}
    people = [{**box, "id": 1, "category_id": 1, "keypoints": [10, 10, 2] * 17, "num_keypoints": 17}]
    document = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 60, "height": 40}],
        "annotations": [*people, {**box, "id": 2, "category_id": 3}],
        "categories": [person_category(COCO), {"id": 3, "name": "bottle"}],
    }
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    dataset = review(coco=tmp_path)
    assert dataset.count("gt_boxes.detections") == 2 and dataset.count("pred.keypoints") == 1
    assert any("kept as boxes" in text for text in review.said)
