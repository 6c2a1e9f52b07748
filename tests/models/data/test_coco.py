"""COCO keypoint folders for training and evaluation: what is read, and what is refused with a sentence."""

import json

import numpy as np
import pytest

from clickpose.data.coco import read_coco_persons
from clickpose.skeleton import COCO


def person(**changes) -> dict:
    keypoints = [10.0, 20.0, 2] * 16 + [0, 0, 0]
    return {"id": 7, "image_id": 1, "bbox": [5, 6, 30, 40], "area": 600.0, "keypoints": keypoints} | changes


@pytest.fixture
def read(tmp_path):
    def write_and_read(annotations, names=COCO.names):
        images = [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}]
        content = {"images": images, "annotations": annotations}
        if names is not None:
            content["categories"] = [{"id": 1, "name": "person", "keypoints": list(names)}]
        (tmp_path / "annotations.json").write_text(json.dumps(content))
        return read_coco_persons(tmp_path)

    return write_and_read


@pytest.mark.parametrize("names", [COCO.names, None, [name.replace("_", " ").title() for name in COCO.names]])
def test_a_person_is_read(read, tmp_path, names):
    (record,) = read([person()], names)
    assert (record.annotation_id, record.image_path, record.image_hw) == (7, tmp_path / "images" / "a.jpg", (48, 64))
    np.testing.assert_array_equal(record.box_xyxy, [5, 6, 35, 46])
    np.testing.assert_array_equal(record.labelled, [True] * 16 + [False])
    assert (record.area, record.visibility_known) == (600.0, False)


def test_crowds_and_annotations_without_labelled_keypoints_or_box_are_left_out(read):
    boxless, unlabelled, segments_only = person(bbox=[5, 6, 0, 40]), person(keypoints=[0] * 51), person()
    del segments_only["keypoints"]
    assert read([person(iscrowd=1), unlabelled, boxless, segments_only]) == []


def test_one_occluded_label_tells_that_visibility_is_known(read):
    occluded = person(keypoints=[1.0, 2.0, 1] * 17)
    assert [record.visibility_known for record in read([person(), occluded])] == [True, True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_id": 2}, "image 2 of annotation 7"),
        ({"keypoints": [1.0, 2.0, 2] * 16}, "51 keypoint numbers"),
        ({"area": None}, "an entry without 'area'"),
    ],
)
def test_broken_annotations_are_named(read, changes, message):
    broken = {key: value for key, value in person(**changes).items() if value is not None}
    with pytest.raises(ValueError, match=message):
        read([broken])


def test_joints_in_another_order_are_refused(read):
    with pytest.raises(ValueError, match="Expected the joints nose, left_eye"):
        read([person()], names=(*COCO.names[1:], COCO.names[0]))
