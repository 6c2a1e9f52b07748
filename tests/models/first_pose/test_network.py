"""What a foreign network says: checked arrays, rows for boxes, and a photo that is looked at once."""

import numpy as np
import pytest

from clickpose.first_pose.network import FirstPoses
from clickpose.named_image import name_of, named_image
from clickpose.skeleton import COCO
from helpers.first_networks import OfPhotos, grid

BOXES = [[20.0, 30.0, 120.0, 200.0], [150.0, 40.0, 260.0, 220.0]]
PHOTO = np.zeros((240, 320, 3), np.uint8)


def test_whom_the_network_does_not_see_has_no_joint():
    keypoints = np.stack([grid(box, 17) for box in BOXES])
    keypoints[0, 3, 0] = np.nan  # half a position is none
    keypoints[1] = np.nan
    poses = FirstPoses(skeleton=COCO, keypoints=keypoints, scores=np.linspace(0, 1.6, 34).reshape(2, 17))
    assert poses.seen.tolist() == [True, False] and np.isnan(poses.keypoints[0, 3]).all()
    # the mean of the scores of the 16 joints that are there
    placed = np.delete(poses.scores[0], 3)
    np.testing.assert_allclose(poses.instance_scores, [placed.mean(), 0])
    low, high = grid(BOXES[0], 17)[[0, -1], 1]
    margin = 0.1 * (high - low)  # what boxes around joints have
    np.testing.assert_allclose(poses.extents()[0], [69, low - margin, 71, high + margin])
    with pytest.raises(ValueError, match=r"Expected scores of shape \(2, 17\), got \(2, 16\)"):
        FirstPoses(skeleton=COCO, keypoints=keypoints, scores=np.zeros((2, 16)))


def test_people_found_are_given_to_the_boxes_that_they_overlap_most():
    network = OfPhotos(BOXES)
    shifted = np.add([BOXES[1], [400, 400, 450, 450], BOXES[0]], [8, -6, 8, -6])
    poses = network.pose(PHOTO, shifted)
    assert poses.seen.tolist() == [True, False, True]
    np.testing.assert_array_equal(poses.keypoints[0], grid(BOXES[1], 17))
    np.testing.assert_array_equal(poses.keypoints[2], grid(BOXES[0], 17))
    assert poses.instance_scores.tolist() == [0.6, 0, 0.9]
    twice = network.pose(PHOTO, np.array([BOXES[0], BOXES[0]]))  # nobody stands for two
    assert twice.seen.tolist() == [True, False]


def test_a_photo_is_looked_at_once_and_another_one_anew():
    network = OfPhotos(BOXES)
    network.find(PHOTO)
    network.pose(PHOTO.copy(), np.array(BOXES))
    assert network.looks == 1
    changed = PHOTO.copy()
    changed[100, 100, 1] = 1
    network.find(changed)
    network.find(named_image(PHOTO, "other.jpg"))  # what is looked up by name depends on it
    assert network.looks == 3


def test_views_and_copies_of_an_image_keep_its_name():
    image = named_image(PHOTO, "people/a.jpg")
    assert name_of(image[10:20].copy()) == "people/a.jpg" and name_of(PHOTO) == ""
    assert type(np.asarray(image)) is np.ndarray
