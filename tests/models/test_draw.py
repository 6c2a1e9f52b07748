"""The overlay: colours, hollow and missing joints, and photos of any shape."""

from dataclasses import replace

import numpy as np
import pytest

from clickpose.draw import DrawStyle, draw_poses, score_color
from clickpose.skeleton import COCO
from clickpose.structures import Poses

PLAIN = DrawStyle(boxes=False, scores=False, legend=False)
GREY = 120


def pose_at(
    points: dict[str, tuple], scores: float | dict = 0.9, visible: float = 1.0, fixed=(), box=(50, 50, 250, 250)
):
    """One person with some joints placed."""
    keypoints, keypoint_scores = np.full((1, 17, 2), np.nan), np.zeros((1, 17))
    touched = np.zeros((1, 17), bool)
    for name, point in points.items():
        joint = COCO.index(name)
        keypoints[0, joint] = point
        keypoint_scores[0, joint] = scores[name] if isinstance(scores, dict) else scores
        touched[0, joint] = name in fixed
    return Poses(
        skeleton=COCO,
        keypoints=keypoints,
        boxes_xyxy=[box],
        keypoint_scores=keypoint_scores,
        visibility_scores=np.full((1, 17), visible),
        instance_scores=[0.5],
        fixed=touched,
    )


@pytest.fixture
def photo():
    return np.full((300, 300, 3), GREY, np.uint8)


def relative_lightness(color) -> float:
    red, green, blue = (np.array(color) / 255) ** 2.2
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_lightness_rises_with_the_score_so_that_grey_and_colour_blind_eyes_can_read_it():
    lightness = [relative_lightness(score_color(score)) for score in np.linspace(0, 1, 21)]
    assert (np.diff(lightness) > 0).all()
    assert score_color(0) == score_color(-3) == score_color(np.nan) == (96, 22, 204)
    assert score_color(1) == score_color(9) == (240, 249, 33)


def test_joints_and_bones_have_the_colour_of_their_score(photo):
    poses = pose_at({"left_elbow": (100, 150), "left_wrist": (200, 150)}, {"left_elbow": 0.0, "left_wrist": 1.0})
    drawn = draw_poses(photo, poses, PLAIN)
    np.testing.assert_allclose(drawn[150, 100], score_color(0.0), atol=2)
    np.testing.assert_allclose(drawn[150, 200], score_color(1.0), atol=2)
    np.testing.assert_allclose(drawn[150, 150], score_color(0.5), atol=12)
    assert (drawn[:100] == GREY).all() and (drawn[200:] == GREY).all(), "only the bone is drawn"
    assert (photo == GREY).all(), "the input is not changed"


def test_x_is_the_column(photo):
    drawn = draw_poses(photo, pose_at({"nose": (60, 240)}), PLAIN)
    assert (drawn[240, 60] != GREY).any() and (drawn[60, 240] == GREY).all()


def test_occluded_joints_are_hollow_and_their_bones_have_gaps(photo):
    points = {"left_elbow": (100, 150), "left_wrist": (200, 150)}
    seen = draw_poses(photo, pose_at(points), PLAIN)
    hidden = draw_poses(photo, pose_at(points, visible=0.2), PLAIN)
    np.testing.assert_array_equal(hidden[150, 200], [GREY] * 3)
    assert (seen[150, 110:190] != GREY).any(axis=1).all()
    gaps = (hidden[150, 110:190] == GREY).all(axis=1).mean()
    assert 0.1 < gaps < 0.7
    dropped = draw_poses(photo, pose_at(points, visible=0.2), DrawStyle(False, False, False, hide_below=0.3))
    np.testing.assert_array_equal(dropped, photo)


def test_human_joints_wear_a_white_ring(photo):
    white = (255, 255, 255)
    free = draw_poses(photo, pose_at({"nose": (150, 150)}), PLAIN)
    fixed = draw_poses(photo, pose_at({"nose": (150, 150)}, fixed=["nose"]), PLAIN)
    assert (fixed == white).all(axis=2).any() and not (free == white).all(axis=2).any()


def test_boxes_scores_and_legend_can_be_left_out(photo):
    poses = pose_at({"nose": (150, 150)})
    plain = draw_poses(photo, poses, PLAIN)
    changed = {
        part: (draw_poses(photo, poses, replace(PLAIN, **{part: True})) != plain).any(axis=2)
        for part in ("boxes", "scores", "legend")
    }
    assert changed["boxes"][49:52, 100].any() and not changed["boxes"][100:200, 100:200].any()
    assert changed["scores"][52:62, 52:70].any() and not changed["scores"][100:].any()
    assert changed["legend"][240:, :100].any() and not changed["legend"][:200].any()


@pytest.mark.parametrize("image_hw", [(1, 1), (2, 400), (300, 3)])
def test_small_photos_and_joints_outside_them_are_fine(image_hw):
    image = np.full((*image_hw, 3), GREY, np.uint8)
    poses = pose_at({"nose": (-1e7, 5), "left_eye": (1e7, 5), "left_ear": (0, 0)}, box=(-50, -50, 900, 900))
    assert draw_poses(image, poses).shape == image.shape
    far = pose_at({"nose": (5000, 5000)}, box=(4000, 4000, 6000, 6000))
    assert draw_poses(image, far).shape == image.shape


def test_nobody_leaves_the_photo_as_it_is(photo):
    np.testing.assert_array_equal(draw_poses(photo, Poses.stack(COCO, [])), photo)


def test_other_arrays_are_refused():
    with pytest.raises(ValueError, match=r"Expected image of shape \(H, W, 3\), dtype uint8, RGB, got \(3, 3\)"):
        draw_poses(np.zeros((3, 3), np.uint8), Poses.stack(COCO, []))


def test_boxes_and_joints_of_any_size_are_cut_at_the_photo(photo):
    everywhere = pose_at({"nose": (150, 150), "left_eye": (1e200, -1e200)}, box=(-1e200, -1e200, 1e200, 1e200))
    assert draw_poses(photo, everywhere).shape == photo.shape
