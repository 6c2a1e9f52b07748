"""Poses, human labels and clicks: arrays whose shapes fit each other, people that stay together."""

import numpy as np
import pytest

from clickpose.skeleton import COCO
from clickpose.structures import Annotations, Clicks, Pose, Poses


@pytest.fixture
def poses():
    rng = np.random.default_rng(0)
    keypoints, fixed = rng.uniform(0, 99, (3, 17, 2)), rng.random((3, 17)) < 0.3
    scores, visibility = rng.random((2, 3, 17))
    return Poses(
        skeleton=COCO,
        keypoints=keypoints,
        boxes_xyxy=rng.uniform(0, 99, (3, 4)),
        keypoint_scores=scores,
        visibility_scores=visibility,
        instance_scores=[0.1, 0.2, 0.3],
        fixed=fixed,
    )


def equal(a: Pose, b: Pose) -> bool:
    names = ("keypoints", "box_xyxy", "keypoint_scores", "visibility_scores", "instance_score", "fixed")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


def test_people_are_taken_out_and_put_together_whole(poses):
    assert len(poses) == 3 and [pose.instance_score for pose in poses] == [0.1, 0.2, 0.3]
    chosen = poses.select([2, 0])
    assert equal(chosen[0], poses[2]) and equal(chosen[1], poses[0])
    assert all(map(equal, poses.select(poses.instance_scores > 0.15), (poses[1], poses[2])))
    assert all(map(equal, Poses.stack(COCO, list(poses)), poses))
    for nobody in (poses.select([]), Poses.stack(COCO, [])):
        assert len(nobody) == 0 and nobody.keypoints.shape == (0, 17, 2) and nobody.fixed.shape == (0, 17)


def test_a_pose_that_no_network_has_scored():
    pose = Pose.from_keypoints(COCO, np.full((17, 2), np.nan), [0, 0, 9, 9])
    assert not pose.fixed.any() and pose.instance_score == 0
    pose.keypoint_scores[0] = 1
    assert pose.visibility_scores[0] == 0  # arrays of their own


def test_an_unlabelled_joint_has_no_place_and_visibility_is_coco_s():
    visibility = np.zeros((1, 17))
    visibility[0, :2] = [2, 1]
    person = Annotations(
        skeleton=COCO, keypoints=np.ones((1, 17, 2)), visibility=visibility, boxes_xyxy=np.full((1, 4), np.nan)
    )
    assert np.isfinite(person.keypoints[0]).all(axis=1).tolist() == [True] * 2 + [False] * 15
    assert person.ids == ("0",) and not person.touched.any() and person.visibility.dtype.kind == "i"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"visibility": np.full((1, 17), 3)}, r"Expected visibility of 0, 1 or 2, got \[3\]"),
        ({"visibility": np.full((1, 17), 1.9)}, r"Expected whole numbers in visibility, got 1\.9"),
        ({"visibility": np.full((1, 17), np.nan)}, "Expected whole numbers in visibility, got nan"),
        ({"boxes_xyxy": np.zeros((2, 4))}, r"Expected boxes_xyxy of shape \(1, 4\), got \(2, 4\)"),
        ({"ids": ("a", "b")}, r"Expected 1 unique person ids, got \('a', 'b'\)"),
        ({"keypoints": np.zeros((1, 16, 2))}, r"Expected keypoints of shape \(N, 17, 2\), got \(1, 16, 2\)"),
    ],
)
def test_labels_that_do_not_fit_are_refused(change, message):
    facts = {"keypoints": np.ones((1, 17, 2)), "visibility": np.ones((1, 17)), "boxes_xyxy": np.zeros((1, 4))}
    with pytest.raises(ValueError, match=message):
        Annotations(skeleton=COCO, **facts | change)


def test_clicks_are_named_joints_at_finite_places():
    clicks = Clicks.from_mapping(COCO, {"left_wrist": (3, 4.5)})
    assert clicks.positions[9].tolist() == [3, 4.5] and np.flatnonzero(clicks.mask).tolist() == [9]
    with pytest.raises(ValueError, match="Expected a joint of skeleton 'coco'"):
        Clicks.from_mapping(COCO, {"wrist": (3, 4)})
    with pytest.raises(ValueError, match=r"Expected position of nose of shape \(2,\), got \(3,\)"):
        Clicks.from_mapping(COCO, {"nose": (3, 4, 5)})
    with pytest.raises(ValueError, match=r"Expected finite click positions in pixels, got \[\[3\.0, nan\]\]"):
        Clicks.from_mapping(COCO, {"nose": (3, float("nan"))})
