"""People as COCO's records: new ones, changed ones, and their ids."""

from itertools import islice

import numpy as np
import pytest

from clickpose.data.coco_categories import JointOrder
from clickpose.data.coco_writing import fresh_ids, person_record, replace_joints
from helpers.coco_files import NAN

KEYPOINTS = np.array([[1.0, 2.0], [NAN, NAN], [5.0, 6.0]])
TURNED = JointOrder((2, None, 0), 3)  # the third joint first, one that the skeleton lacks, and no second joint


def test_a_record_has_cocos_fields():
    record = person_record(KEYPOINTS, np.array([2, 2, 1]), image_id="a", category_id=3, area=8, box_xywh=np.arange(4.0))
    assert record == {
        "image_id": "a", "category_id": 3, "iscrowd": 0, "keypoints": [1.0, 2.0, 2, 0, 0, 0, 5.0, 6.0, 1],
        "num_keypoints": 2, "area": 8.0, "bbox": [0.0, 1.0, 2.0, 3.0],
    }  # fmt: skip
    assert all(type(flag) is int for flag in record["keypoints"][2::3])  # as COCO's own files have them


def test_joints_stand_in_the_order_of_the_file_and_those_that_it_lacks_are_not_counted():
    keypoints = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    record = person_record(keypoints, np.array([2, 2, 1]), image_id=1, category_id=1, order=TURNED)
    assert record["keypoints"] == [5.0, 6.0, 1, 0, 0, 0, 1.0, 2.0, 2] and record["num_keypoints"] == 2
    assert not {"area", "bbox"} & record.keys()


def test_joints_that_have_not_changed_keep_their_numbers():
    numbers = [5, 6.123456789012345, 1, 7, 8, 2, 9, 9, 2]
    changed = replace_joints(numbers, TURNED, np.array([True, True, False]), KEYPOINTS + 10, np.array([1, 1, 1]))
    assert changed == {"keypoints": [5, 6.123456789012345, 1, 7, 8, 2, 11.0, 12.0, 1], "num_keypoints": 3}
    removed = replace_joints(numbers, TURNED, np.array([True, False, False]), np.full((3, 2), NAN), np.zeros(3))
    assert removed == {"keypoints": [5, 6.123456789012345, 1, 7, 8, 2, 0, 0, 0], "num_keypoints": 2}


def test_a_record_without_joints_gets_zeros_for_the_others():
    changed = replace_joints([], TURNED, np.array([True, False, False]), KEYPOINTS, np.array([2, 2, 2]))
    assert changed == {"keypoints": [0, 0, 0, 0, 0, 0, 1.0, 2.0, 2], "num_keypoints": 1}


@pytest.mark.parametrize(("third", "count"), [("0", 1), ("2", 2), (None, 1), (0.0, 1)])
def test_thirds_written_as_text_are_counted_as_what_they_say(third, count):
    numbers = [5, 6, third, 0, 0, 0, 0, 0, 0]
    changed = replace_joints(numbers, TURNED, np.array([True, False, False]), KEYPOINTS, np.array([2, 2, 2]))
    assert changed["num_keypoints"] == count


def test_new_ids_are_of_the_kind_of_the_others_and_above_them():
    assert list(islice(fresh_ids([3, None, 9]), 2)) == [10, 11]
    assert list(islice(fresh_ids(["p-1", "7"]), 2)) == ["8", "9"]
    assert next(fresh_ids(["p-1", 4])) == 5  # of both kinds
    assert next(fresh_ids([])) == 1
