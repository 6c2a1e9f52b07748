"""One person is one pose: golden cases of the suppression."""

from dataclasses import replace

import numpy as np
import pytest

from clickpose.postprocess import pose_similarity, suppress_duplicate_poses
from clickpose.skeleton import COCO
from clickpose.structures import Poses

BODY = np.random.default_rng(0).uniform([20, 20], [80, 180], (17, 2))
BOX = np.array([0.0, 0.0, 100.0, 200.0])
RIGHT = np.array([1.0, 0.0, 1.0, 0.0])
AREA = 0.53 * 100 * 200


def people(shifts, scores, boxes=None, fixed=()) -> Poses:
    """The same body moved right by each shift; persons in ``fixed`` have a joint placed by a human."""
    shifts = np.asarray(shifts, float)
    touched = np.zeros((len(shifts), 17), bool)
    touched[list(fixed), 9] = True
    keypoints = BODY + np.stack([shifts, np.zeros_like(shifts)], axis=1)[:, None]
    # boxes of very different shape, so that only the joints decide, unless a test says otherwise
    boxes = np.tile(BOX, (len(shifts), 1)) * np.linspace(1, 0.5, len(shifts))[:, None] if boxes is None else boxes
    ones = np.ones((len(shifts), 17))
    return Poses(
        skeleton=COCO,
        keypoints=keypoints,
        boxes_xyxy=boxes,
        keypoint_scores=ones,
        visibility_scores=ones,
        instance_scores=scores,
        fixed=touched,
    )


def shift_for(similarity: float) -> float:
    """A shift of the whole body by which its OKS (boxes of equal size) becomes ``similarity``."""
    shifts = np.linspace(0, 100, 100_001)
    oks = np.exp(-(shifts[:, None] ** 2) / (8 * COCO.sigma_array**2 * AREA)).mean(axis=1)
    return float(shifts[np.abs(oks - similarity).argmin()])


def test_similarity_is_the_oks_with_the_mean_area():
    boxes = np.array([BOX, BOX * 2])
    similarity = pose_similarity(people([0, 7], [1, 1], boxes))
    area = (AREA + 4 * AREA) / 2
    expected = np.exp(-49 / (8 * COCO.sigma_array**2 * area)).mean()
    np.testing.assert_allclose(similarity, [[1, expected], [expected, 1]], atol=1e-9)


@pytest.mark.parametrize(("similarity", "kept"), [(0.52, [1]), (0.48, [1, 0])])
def test_poses_above_the_threshold_are_one_person_and_the_better_stays(similarity, kept):
    apart = np.stack([BOX, BOX + 300 * RIGHT])
    poses = people([0, shift_for(similarity)], [0.6, 0.8], apart)
    np.testing.assert_array_equal(suppress_duplicate_poses(poses), kept)


def test_equal_boxes_are_one_person_whatever_the_joints():
    boxes = np.array([BOX, [0, 0, 105, 200], [0, 0, 125, 200]])
    poses = people([0, 200, 400], [0.9, 0.8, 0.7], boxes)
    np.testing.assert_array_equal(suppress_duplicate_poses(poses, box_iou_threshold=0.9), [0, 2])
    np.testing.assert_array_equal(suppress_duplicate_poses(poses, box_iou_threshold=1.0), [0, 1, 2])


def test_a_suppressed_pose_suppresses_nobody():
    step = shift_for(0.6)  # 0.28 after two steps
    poses = people(
        [0, step, 2 * step], [0.9, 0.8, 0.7], np.tile(BOX, (3, 1)) + 300 * np.arange(3)[:, None] * [1, 0, 1, 0]
    )
    np.testing.assert_array_equal(suppress_duplicate_poses(poses), [0, 2])


def test_what_a_human_touched_always_stays_and_wins():
    poses = people([0, 0, 0, 300], [0.9, 0.1, 0.2, 0.5], fixed=[1, 2])
    np.testing.assert_array_equal(suppress_duplicate_poses(poses), [3, 2, 1])
    np.testing.assert_array_equal(suppress_duplicate_poses(poses, min_score=0.6), [2, 1])


def test_a_given_box_stays_and_wins():
    poses = people([0, 0, 0, 300], [0.1, 0.2, 0.9, 0.5])
    np.testing.assert_array_equal(suppress_duplicate_poses(poses, given=2), [3, 1, 0])
    np.testing.assert_array_equal(suppress_duplicate_poses(poses, given=0), [2, 3])


def test_low_scores_are_dropped_and_the_order_is_by_score_then_as_given():
    poses = people([0, 300, 600, 900], [0.3, 0.5, 0.29, 0.5])
    np.testing.assert_array_equal(suppress_duplicate_poses(poses, min_score=0.3), [1, 3, 0])


def test_unplaced_joints_are_left_out_of_the_comparison():
    poses = people([0, 0], [0.9, 0.8])
    keypoints = poses.keypoints.copy()
    keypoints[0, :8], keypoints[1, 8:15] = np.nan, np.nan
    partial = replace(poses, keypoints=keypoints)
    np.testing.assert_array_equal(suppress_duplicate_poses(partial), [0])  # both share joints 15 and 16
    keypoints[1, 15:] = np.nan
    disjoint = replace(poses, keypoints=keypoints)
    np.testing.assert_array_equal(suppress_duplicate_poses(disjoint), [0, 1])


def test_nobody_is_nobody():
    kept = suppress_duplicate_poses(Poses.stack(COCO, []))
    assert kept.shape == (0,) and len(Poses.stack(COCO, []).select(kept)) == 0


def test_the_choice_does_not_depend_on_the_order_of_the_input():
    rng = np.random.default_rng(3)
    poses = people(rng.uniform(0, 60, 12), rng.permutation(12) / 12)
    kept = suppress_duplicate_poses(poses)
    order = rng.permutation(12)
    assert 1 < len(kept) < 12
    np.testing.assert_array_equal(order[suppress_duplicate_poses(poses.select(order))], kept)
