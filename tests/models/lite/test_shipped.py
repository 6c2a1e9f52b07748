"""The network that users get, on the four demo photos of this repository: does it still do what it did?

The joints and boxes below were placed by hand and eye: each photo was enlarged up to eight times below a grid of
pixels, a joint was put where it is seen, left and right as the person has them, and the marks were drawn into the photo
and looked at again. The network had no part in it. Joints under hair, clothes or other people are left out, except
shoulders, elbows and wrists whose place the sleeve shows. An error of a few pixels is worth .01 to .05 of OKS here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from clickpose.boxes import BODY_SHARE_OF_BOX, box_area, box_iou
from clickpose.image_io import read_image
from clickpose.lite.predictor import LitePredictor
from clickpose.metrics.oks import keypoint_oks
from clickpose.networks.movenet import scale_pixels
from clickpose.skeleton import COCO

DEMO = Path(__file__).resolve().parents[3] / "ml_backend" / "clickpose_labelstudio" / "demo"

# Photo -> people from left to right: "box" (left, top, right, bottom) and joints (x, y), in pixels.
PEOPLE = {
    "astronaut": [
        {"box": (18, 12, 372, 512), "nose": (226, 122), "left_eye": (246, 103), "right_eye": (203, 101),
         "left_ear": (272, 118), "right_ear": (177, 113), "left_shoulder": (325, 275), "right_shoulder": (90, 265),
         "right_elbow": (55, 440)},
    ],
    "grace-hopper": [
        {"box": (8, 22, 512, 600), "nose": (270, 235), "left_eye": (305, 186), "right_eye": (222, 189),
         "left_ear": (364, 215), "right_ear": (168, 222), "left_shoulder": (455, 415), "right_shoulder": (70, 420)},
    ],
    "group-1": [
        {"box": (48, 57, 575, 965), "nose": (265, 232), "left_eye": (263, 190), "right_eye": (217, 210),
         "right_shoulder": (265, 305), "left_elbow": (392, 165), "right_elbow": (362, 545), "right_wrist": (480, 385)},
        {"box": (138, 10, 645, 965), "nose": (470, 137), "left_eye": (522, 127), "right_eye": (472, 99),
         "left_ear": (558, 160), "left_shoulder": (520, 275), "left_elbow": (463, 550), "left_wrist": (270, 535)},
        {"box": (490, 67, 880, 965), "nose": (683, 213), "left_eye": (720, 191), "right_eye": (673, 187),
         "left_ear": (793, 200), "left_shoulder": (795, 335), "left_elbow": (800, 565), "left_wrist": (604, 505)},
        {"box": (725, 64, 1245, 965), "nose": (876, 184), "left_eye": (921, 177), "right_eye": (876, 152),
         "left_shoulder": (950, 335), "left_elbow": (1070, 550), "left_wrist": (852, 600)},
    ],
    "group-2": [
        {"box": (92, 250, 485, 1025), "nose": (258, 438), "left_eye": (279, 396), "right_eye": (211, 405),
         "right_ear": (162, 430), "right_shoulder": (125, 610)},
        {"box": (395, 143, 690, 1025), "nose": (500, 342), "left_eye": (531, 297), "right_eye": (471, 302),
         "left_shoulder": (645, 525)},
        {"box": (645, 108, 985, 1025), "nose": (848, 330), "left_eye": (886, 283), "right_eye": (818, 285),
         "left_shoulder": (910, 390), "left_elbow": (920, 680), "left_wrist": (905, 880)},
        {"box": (925, 104, 1205, 1025), "nose": (1038, 298), "left_eye": (1086, 262), "right_eye": (1029, 250),
         "left_ear": (1135, 290), "left_shoulder": (1140, 470), "left_elbow": (1045, 725), "left_wrist": (965, 890)},
    ],
}  # fmt: skip
ENTANGLED = ("group-1", 1)  # the network takes another woman's arm for hers; a test below says what clicks do about it
WELL_SEEN = [(p, i) for p, people in PEOPLE.items() for i in range(len(people)) if (p, i) != ENTANGLED]
OUT_OF_SIGHT = ("left_knee", "right_knee", "left_ankle", "right_ankle")  # all photos end above the knees

# What the network said of one person when this was written: (x, y, predicted OKS, visibility). Not by hand: a guard
# against changes that are too small for the joints placed by eye.
RECORDED = {
    "nose": (689.9, 215.7, 0.94, 1.00), "left_eye": (718.8, 191.9, 0.96, 1.00), "right_eye": (673.4, 191.2, 0.95, 1.00),
    "left_ear": (795.8, 197.3, 0.94, 1.00), "right_ear": (664.8, 202.0, 0.87, 0.08),
    "left_shoulder": (797.0, 342.0, 0.95, 1.00), "right_shoulder": (654.4, 328.9, 0.91, 1.00),
    "left_elbow": (785.4, 553.2, 0.92, 1.00), "right_elbow": (596.6, 504.2, 0.69, 0.71),
    "left_wrist": (601.3, 507.0, 0.96, 1.00), "right_wrist": (587.2, 506.7, 0.69, 0.69),
    "left_hip": (755.0, 720.6, 0.88, 1.00), "right_hip": (631.7, 704.7, 0.77, 0.99),
    "left_knee": (695.0, 941.4, 0.86, 0.19), "right_knee": (584.2, 937.0, 0.72, 0.17),
    "left_ankle": (745.0, 918.3, 0.43, 0.01), "right_ankle": (697.6, 909.5, 0.33, 0.01),
}  # fmt: skip


def boxes_of(photo: str) -> np.ndarray:
    return np.array([person["box"] for person in PEOPLE[photo]], dtype=float)


def joints_of(person: dict) -> dict[str, tuple[float, float]]:
    return {name: place for name, place in person.items() if name != "box"}


def oks_terms(pose, person: dict, without=()) -> dict[str, float]:
    """OKS term of each joint that was placed by hand."""
    area = BODY_SHARE_OF_BOX * box_area(person["box"])
    placed = {name: place for name, place in joints_of(person).items() if name not in without}
    rows = [COCO.index(name) for name in placed]
    truth = np.array(list(placed.values()), dtype=float)
    terms = keypoint_oks(pose.keypoints[rows], truth, area, COCO.sigma_array[rows])
    return dict(zip(placed, terms.tolist(), strict=True))


def oks(pose, person: dict, without=()) -> float:
    return float(np.mean(list(oks_terms(pose, person, without).values())))


@pytest.fixture(scope="module")
def lite() -> LitePredictor:
    return LitePredictor.load(threads=1)


@pytest.fixture(scope="module")
def photos() -> dict[str, np.ndarray]:
    return {photo: read_image(DEMO / f"{photo}.jpg") for photo in PEOPLE}


@pytest.fixture(scope="module")
def prompted(lite, photos):
    """Photo -> the poses from the boxes drawn by hand."""
    found = {}
    for photo, image in photos.items():
        lite.set_image(image)
        found[photo] = lite.predict(boxes_of(photo))
    return found


@pytest.fixture
def refine(lite, photos):
    """Refines a person after one joint, or several one after the other, were put where the hand put them."""

    def refined(photo: str, index: int, pose, *clicked: str):
        lite.set_image(photos[photo])
        for name in clicked:
            pose = lite.refine(pose, {name: PEOPLE[photo][index][name]})
        for name in clicked:
            assert tuple(pose.keypoints[COCO.index(name)]) == PEOPLE[photo][index][name]
        return pose

    return refined


@pytest.mark.parametrize(("photo", "index"), WELL_SEEN)
def test_joints_lie_where_a_human_sees_them(prompted, photo, index):
    terms = oks_terms(prompted[photo][index], PEOPLE[photo][index])
    assert np.mean(list(terms.values())) >= 0.9, terms
    assert min(terms.values()) >= 0.7, terms


@pytest.mark.parametrize("photo", PEOPLE)
def test_from_the_photo_alone_everybody_is_found(lite, photos, photo):
    """Without boxes: the detector's people, their poses, and which of them is whose."""
    lite.set_image(photos[photo])
    poses = lite.predict()
    assert len(poses) == len(PEOPLE[photo])
    quality = np.array([[oks(pose, person) for pose in poses] for person in PEOPLE[photo]])
    rows, columns = linear_sum_assignment(-quality)
    found = dict(zip(rows.tolist(), quality[rows, columns].tolist(), strict=True))
    assert all(found[i] >= 0.9 for i in found if (photo, i) != ENTANGLED), found


@pytest.mark.parametrize("photo", PEOPLE)
def test_the_detectors_boxes_are_those_that_a_human_draws(lite, photos, photo):
    boxes, scores = lite.detect(photos[photo])
    assert len(boxes) == len(PEOPLE[photo])
    assert (np.diff(scores) <= 0).all() and scores.min() > 0.3 and scores.max() < 0.9
    overlaps = box_iou(boxes_of(photo), boxes)
    matched = overlaps[linear_sum_assignment(-overlaps)]
    assert matched.min() >= (0.9 if len(boxes) == 1 else 0.6), matched
    assert matched.mean() >= 0.78, matched


@pytest.mark.parametrize(("photo", "index"), WELL_SEEN)
def test_what_is_seen_is_visible_and_what_the_photo_does_not_show_is_not(prompted, photo, index):
    pose = prompted[photo][index]
    visibility = dict(zip(COCO.names, pose.visibility_scores.tolist(), strict=True))
    assert min(visibility[name] for name in joints_of(PEOPLE[photo][index])) >= 0.6, visibility
    assert max(visibility[name] for name in OUT_OF_SIGHT) <= 0.25, visibility


@pytest.mark.parametrize(("photo", "index"), WELL_SEEN)
def test_predicted_oks_is_in_its_place_and_near_the_true_one(prompted, photo, index):
    pose, person = prompted[photo][index], PEOPLE[photo][index]
    scores = dict(zip(COCO.names, pose.keypoint_scores.tolist(), strict=True))
    seen = [scores[name] for name in joints_of(person)]
    assert min(scores.values()) > 0 and max(scores.values()) < 1
    assert np.mean(seen) == pytest.approx(oks(pose, person), abs=0.25)
    assert np.mean(seen) >= 0.15 + np.mean([scores[name] for name in OUT_OF_SIGHT])
    # knees and ankles of nobody's are guesses with a score of their own, far from their visibility of 0
    assert np.mean([scores[name] for name in OUT_OF_SIGHT]) >= 0.2
    # CCNet's Eq. 7: the person's score is the mean of the joints', weighted by their visibility
    weighted = (pose.visibility_scores * pose.keypoint_scores).sum() / pose.visibility_scores.sum()
    assert pose.instance_score == pytest.approx(weighted, abs=1e-9)
    assert np.isfinite(pose.keypoints).all() and not pose.fixed.any()


def test_the_answer_is_the_recorded_one(prompted):
    pose = prompted["group-1"][2]
    recorded = np.array([RECORDED[name] for name in COCO.names])
    seen = recorded[:, 3] > 0.5
    np.testing.assert_allclose(pose.keypoints[seen], recorded[seen, :2], atol=0.5)
    np.testing.assert_allclose(pose.keypoints, recorded[:, :2], atol=3)  # guesses of what is not there move easily
    np.testing.assert_allclose(pose.keypoint_scores, recorded[:, 2], atol=0.02)
    np.testing.assert_allclose(pose.visibility_scores, recorded[:, 3], atol=0.02)
    np.testing.assert_allclose(pose.box_xyxy, [499.2, 74.5, 871.5, 913.9], atol=1)
    assert pose.instance_score == pytest.approx(0.885, abs=0.01)


def test_a_swap_is_mended_by_one_click(prompted, refine):
    """The arm of one woman lies on her neighbour's: shoulder and elbow follow the wrist."""
    pose, neighbour = prompted["group-1"][2], prompted["group-1"][0]
    arm = [COCO.index(f"left_{joint}") for joint in ("shoulder", "elbow", "wrist")]
    keypoints = pose.keypoints.copy()
    keypoints[arm] = neighbour.keypoints[arm]
    wrong, person = replace(pose, keypoints=keypoints), PEOPLE["group-1"][2]
    mended = refine("group-1", 2, wrong, "left_wrist")
    assert oks(wrong, person, ["left_wrist"]) == pytest.approx(0.65, abs=0.03)
    assert oks(mended, person, ["left_wrist"]) >= 0.95  # .970 when this was written


@pytest.mark.parametrize(
    ("photo", "index", "clicked", "before"),
    [("astronaut", 0, "left_shoulder", 0.15), ("group-2", 3, "left_wrist", 0.15)],
)
def test_an_inversion_is_mended_by_one_click(prompted, refine, photo, index, clicked, before):
    """Left and right of the whole body are exchanged; one joint put right turns all others."""
    pose, person = prompted[photo][index], PEOPLE[photo][index]
    wrong = replace(pose, keypoints=pose.keypoints[COCO.flip_indices])
    mended = refine(photo, index, wrong, clicked)
    assert oks(wrong, person, [clicked]) == pytest.approx(before, abs=0.03)
    assert oks(mended, person, [clicked]) >= 0.92  # .981 and .946


def test_a_stray_arm_is_mended_by_one_click(prompted, refine):
    """An arm lies 200 px off, in nobody; shoulder and elbow come back with the wrist."""
    pose, person = prompted["group-1"][3], PEOPLE["group-1"][3]
    keypoints = pose.keypoints.copy()
    keypoints[[COCO.index(f"left_{joint}") for joint in ("shoulder", "elbow", "wrist")]] += (120, -160)
    wrong = replace(pose, keypoints=keypoints)
    mended = refine("group-1", 3, wrong, "left_wrist")
    assert oks(wrong, person, ["left_wrist"]) == pytest.approx(0.58, abs=0.03)
    assert oks(mended, person, ["left_wrist"]) >= 0.93  # .954


def test_an_error_of_its_own_is_mended_by_two_clicks(prompted, refine):
    """Of the second woman of the group the network sees the arm that hugs her: wrist and elbow put it right."""
    pose, person, clicked = prompted[ENTANGLED[0]][ENTANGLED[1]], PEOPLE["group-1"][1], ("left_wrist", "left_elbow")
    assert oks(pose, person) < 0.6
    mended = refine("group-1", 1, pose, *clicked)
    assert oks(mended, person, clicked) >= oks(pose, person, clicked) + 0.15  # .748 -> .951
    assert oks(mended, person, clicked) >= 0.9


def test_a_right_pose_stays_right_when_a_right_joint_is_confirmed(prompted, refine):
    for photo, index in (("grace-hopper", 0), ("group-2", 0), ("group-2", 1)):
        confirmed = refine(photo, index, prompted[photo][index], "nose")
        assert oks(confirmed, PEOPLE[photo][index], ["nose"]) >= 0.93


def test_the_flip_test_makes_left_and_right_alike(lite, photos):
    """A mirrored photo gets the mirrored answer, which the network alone does not give."""

    def asymmetry(predictor) -> float:
        image, box = photos["astronaut"], boxes_of("astronaut")
        width = image.shape[1]
        predictor.set_image(image)
        plain = predictor.predict(box)[0]
        predictor.set_image(np.ascontiguousarray(image[:, ::-1]))
        mirrored = predictor.predict(np.array([width, 0, width, 0]) + box[:, [2, 1, 0, 3]] * [-1, 1, -1, 1])[0]
        back = mirrored.keypoints[COCO.flip_indices] * [-1, 1] + [width, 0]
        return float(np.linalg.norm(back - plain.keypoints, axis=1).max())

    assert asymmetry(lite) < 1
    assert asymmetry(LitePredictor.load(threads=1, flip_test=False)) > 10


def test_pixels_are_scaled_as_the_trunk_was_trained():
    """MoveNet's own export multiplies by 0.007843 and takes 1 off: 0 -> -1, 255 -> 1."""
    levels = torch.tensor([0, 51, 127, 128, 255], dtype=torch.uint8).view(5, 1, 1, 1)
    scaled = scale_pixels(levels).flatten()
    torch.testing.assert_close(scaled, torch.tensor([-1.0, -0.6, -1 / 255, 1 / 255, 1.0]), rtol=0, atol=1e-3)
