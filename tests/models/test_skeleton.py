"""A skeleton holds together, and what all of its users share cannot be changed."""

import numpy as np
import pytest

from clickpose.skeleton import COCO, Skeleton, normalize_joint_name


@pytest.mark.parametrize(
    ("spelling", "name"),
    [("LWrist", "left_wrist"), ("wrist left", "left_wrist"), ("Right-Big.Toe", "right_big_toe"), ("nose", "nose"),
     ("leftEye", "left_eye"), ("hip_r", "right_hip"), ("upperarm01", "upperarm01")],
)  # fmt: skip
def test_joint_names_are_read_in_any_usual_spelling(spelling, name):
    assert normalize_joint_name(spelling) == name


def test_joints_are_found_by_name_and_by_alias():
    skeleton = Skeleton("golf", ("left_hand", "club"), ((0, 1),), (), (0.1, 0.2), aliases={"Golf Stick": "club"})
    assert (skeleton.match("hand L"), skeleton.match("golfStick"), skeleton.match("ball")) == (0, 1, None)
    assert skeleton.index("club") == 1 and skeleton.neighbours(1) == (0,)
    with pytest.raises(ValueError, match=r"Expected a joint of skeleton 'golf' \(left_hand, club\), got 'hand L'"):
        skeleton.index("hand L")


def test_a_part_of_a_skeleton_keeps_what_is_among_its_joints():
    arms = COCO.subset([9, 7, 5, 6], "arms")
    assert arms.names == ("left_wrist", "left_elbow", "left_shoulder", "right_shoulder")
    assert set(map(frozenset, arms.edges)) == {frozenset({2, 3}), frozenset({2, 1}), frozenset({1, 0})}
    assert arms.flip_pairs == ((2, 3),) and arms.parts == {"arms": (2, 3, 1, 0)}
    assert arms.sigmas == (0.062, 0.072, 0.079, 0.079)
    with pytest.raises(ValueError, match=r"Expected joint indices in 0\.\.16, got \[1, 17\]"):
        COCO.subset([1, 17], "more")
    with pytest.raises(ValueError, match="Expected joints with different names"):
        COCO.subset([1, 1], "twice")


def test_the_arrays_that_all_users_share_are_locked():
    assert COCO.sigma_array is COCO.sigma_array and COCO.sigma_array[0] == 0.026
    for shared in (COCO.sigma_array, COCO.flip_indices):
        with pytest.raises(ValueError, match="read-only"):
            shared[0] = 1
    np.testing.assert_array_equal(COCO.flip_indices[:5], [0, 2, 1, 4, 3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ("a", "a")}, "Expected joints with different names for skeleton 'x', got a, a"),
        ({"sigmas": (0.1,)}, "Expected 2 sigmas for skeleton 'x', got 1"),
        ({"sigmas": (0.1, 0.0)}, "Expected sigmas above 0 for skeleton 'x', got 0.0"),
        ({"sigmas": (0.1, float("nan"))}, "Expected sigmas above 0 for skeleton 'x', got nan"),
        ({"edges": ((0, 2),)}, r"Expected joint indices in 0\.\.1 for skeleton 'x', got \(0, 2\)"),
        ({"flip_pairs": ((-1, 0),)}, r"Expected joint indices in 0\.\.1 for skeleton 'x', got \(-1, 0\)"),
        ({"parts": {"all": (0, 1, 2)}}, r"Expected joint indices in 0\.\.1 for skeleton 'x', got \(0, 1, 2\)"),
        ({"aliases": {"other": "c"}}, "Expected aliases of joints for skeleton 'x', got one of 'c'"),
    ],
)
def test_what_does_not_hold_together_is_refused(change, message):
    facts = {"name": "x", "names": ("a", "b"), "edges": (), "flip_pairs": (), "sigmas": (0.1, 0.1)}
    with pytest.raises(ValueError, match=message):
        Skeleton(**facts | change)
