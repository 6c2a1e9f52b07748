"""Another network sees first, a fake lite corrects: who is found, whose joint is where, and what a click costs."""

import numpy as np
import pytest

from clickpose.first_pose.joining import keep_first, merge_poses
from clickpose.first_pose.joints import FirstPose
from clickpose.first_pose.network import FirstPoseError
from clickpose.first_pose.predictor import FirstPosePredictor, first_of, notes_of, refining_part, with_first
from clickpose.predictor import EncodedRegion
from clickpose.skeleton import COCO
from clickpose.skeleton_io import SKELETONS
from clickpose.structures import Clicks
from helpers.fakes import SHIFT, FakePredictor, template
from helpers.first_networks import InBoxes, OfPhotos, grid

BOXES = np.array([[20.0, 30.0, 120.0, 200.0], [150.0, 40.0, 260.0, 220.0]])
PHOTO = np.zeros((240, 320, 3), np.uint8)


def predict(first, boxes=None):
    predictor = FirstPosePredictor(FakePredictor(), first)
    predictor.set_image(PHOTO)
    return predictor, predictor.predict(boxes)


def expected_oks(first_keypoints, own, column=slice(None)):
    """s / (1 + s · d² / 2): by hand, d in 2 sigma · sqrt(.53 box area)."""
    size = own.box_xyxy[2:] - own.box_xyxy[:2]
    squared = ((first_keypoints - own.keypoints) ** 2).sum(-1) / (4 * COCO.sigma_array**2 * 0.53 * size.prod())
    return (own.keypoint_scores / (1 + own.keypoint_scores * squared / 2))[column]


def test_a_top_down_network_poses_whom_the_detector_found():
    first = InBoxes()
    predictor, poses = predict(first)
    np.testing.assert_array_equal(poses.keypoints, [grid(box, 17) for box in BOXES])
    own = FakePredictor().decode(FakePredictor().encode(PHOTO, BOXES))
    for pose, beside in zip(poses, own, strict=True):
        np.testing.assert_allclose(pose.keypoint_scores, expected_oks(pose.keypoints, beside), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(poses.visibility_scores, own.visibility_scores)
    assert (predictor.name, predictor.fingerprint) == ("grid+fake", "1111+f00dfeed")
    assert refining_part(predictor.name) == "fake" and predictor.refiner.name == "fake"
    assert first.asked == 2 and not notes_of(predictor)


def test_a_network_that_finds_people_decides_who_is_there():
    found = [[150.0, 40.0, 330.0, 220.0], [10.0, 10.0, 60.0, 90.0], [-80.0, 10.0, -20.0, 90.0]]
    first = OfPhotos(found, scores=[0.4, 0.8, 0.9])
    predictor = FirstPosePredictor(FakePredictor(), first)
    boxes, scores = predictor.detect(PHOTO)
    # the best first, the part inside the photo, nobody outside it
    assert boxes.tolist() == [found[1], [150, 40, 320, 220]] and scores.tolist() == [0.8, 0.4]
    predictor.set_image(PHOTO)
    poses = predictor.predict()
    assert sorted(poses.keypoints[:, 0, 0]) == [35.0, 240.0] and first.looks == 1
    nobody = FirstPosePredictor(FakePredictor(), OfPhotos([]))
    nobody.set_image(PHOTO)
    assert len(nobody.predict()) == 0  # although the detector would have found two


def test_joints_that_the_first_network_lacks_are_lites():
    predictor = FirstPosePredictor(FakePredictor(), InBoxes(SKELETONS["crowdpose"]))
    poses = predictor.decode(predictor.encode(PHOTO, BOXES))
    lacking = np.array([name in ("nose", "left_eye", "right_eye", "left_ear", "right_ear") for name in COCO.names])
    np.testing.assert_array_equal(poses.keypoints[0][lacking], template(BOXES[0])[lacking])
    names = [SKELETONS["crowdpose"].index(name) for name in np.array(COCO.names)[~lacking]]
    np.testing.assert_array_equal(poses.keypoints[0][~lacking], grid(BOXES[0], 14)[names])
    own = FakePredictor().decode(FakePredictor().encode(PHOTO, BOXES))[0]
    np.testing.assert_array_equal(poses.keypoint_scores[0][lacking], own.keypoint_scores[lacking])
    expected = expected_oks(poses.keypoints[0], own, ~lacking)
    np.testing.assert_allclose(poses.keypoint_scores[0][~lacking], expected, rtol=1e-4, atol=1e-6)


def test_whom_the_first_network_does_not_see_lite_poses_and_that_is_counted():
    predictor, poses = predict(InBoxes(blind_left_of=100), BOXES)
    np.testing.assert_array_equal(poses.keypoints[0], template(BOXES[0]))
    np.testing.assert_array_equal(poses.keypoints[1], grid(BOXES[1], 17))
    assert dict(notes_of(predictor)) == {"people whom grid did not see, posed by fake": 1}


def test_clicks_start_from_the_first_pose_and_ask_nobody_again():
    first = InBoxes()
    predictor, poses = predict(first, BOXES)
    refined = predictor.refine(poses[1], {"left_wrist": (200.5, 100.25)})
    wrist = COCO.index("left_wrist")
    assert refined.keypoints[wrist].tolist() == [200.5, 100.25] and refined.fixed.sum() == 1
    others = np.arange(17) != wrist
    np.testing.assert_allclose(refined.keypoints[others], (grid(BOXES[1], 17) + SHIFT)[others])
    assert first.asked == 2


def test_regions_keep_the_first_pose_through_a_cache():
    predictor = FirstPosePredictor(FakePredictor(), InBoxes(SKELETONS["crowdpose"]))
    regions = [EncodedRegion.from_bytes(region.to_bytes()) for region in predictor.encode(PHOTO, BOXES)]
    expected = predictor.decode(predictor.encode(PHOTO, BOXES))
    np.testing.assert_array_equal(predictor.decode(regions).keypoints, expected.keypoints)
    np.testing.assert_array_equal(predictor.decode(regions).keypoint_scores, expected.keypoint_scores)
    pose = predictor.decode(regions)[0]
    clicks = Clicks.from_mapping(COCO, {"nose": (70.0, 40.0)})
    assert predictor.covers(regions[0], pose) and predictor.refine_region(regions[0], pose, clicks).fixed.sum() == 1
    predictor.own.standalone_inputs = lambda region: region.features
    assert list(predictor.standalone_inputs(regions[0])) == ["token"]  # browsers get what the decoder takes


def test_a_network_that_fails_is_named():
    class Broken(InBoxes):
        def pose(self, image, boxes_xyxy):
            raise KeyError("layer 7")

    class Short(InBoxes):
        def pose(self, image, boxes_xyxy):
            return super().pose(image, boxes_xyxy[1:])

    with pytest.raises(FirstPoseError, match="grid failed on this photo: 'layer 7'"):
        predict(Broken())
    with pytest.raises(FirstPoseError, match="Expected 2 poses of grid, one a box, got 1"):
        predict(Short())


def test_told_visibilities_count_and_raw_scores_of_any_scale_stay_with_the_region():
    own = FakePredictor().decode(FakePredictor().encode(PHOTO, BOXES))[0]
    scores, seen = np.linspace(-0.2, 1.4, 17), np.where(np.arange(17) < 8, 0.1, np.nan)
    pose = keep_first(FirstPose(grid(BOXES[0], 17), scores, seen, 3.0), own)
    np.testing.assert_array_equal(pose.visibility_scores, np.where(np.arange(17) < 8, 0.1, own.visibility_scores))
    expected = (pose.keypoint_scores * pose.visibility_scores).sum() / pose.visibility_scores.sum()
    assert pose.instance_score == pytest.approx(expected)
    np.testing.assert_array_equal(pose.box_xyxy, own.box_xyxy)
    region = with_first(FakePredictor().encode(PHOTO, BOXES)[0], FirstPose(grid(BOXES[0], 17), scores, seen, 3.0))
    np.testing.assert_array_equal(first_of(region).scores, scores)


def test_a_merged_joint_lies_between_both_or_where_lite_sees_it():
    """By hand: near ones by their variances (.2 and (1 - s) / s), those too far apart for that at lite's."""
    own = FakePredictor().decode(FakePredictor().encode(PHOTO, BOXES))[0]
    first = own.keypoints.copy()
    nose, wrist, ankle = (COCO.index(name) for name in ("nose", "left_wrist", "left_ankle"))
    tolerance = 2 * COCO.sigma_array * np.sqrt(0.53 * 100 * 170)
    first[nose] += [0.5 * tolerance[nose], 0]
    first[wrist] += [0, 3 * tolerance[wrist]]  # d² / 2 = 4.5, beyond .5 + (1 - s) / s
    first[ankle] = np.nan
    merged = merge_poses(FirstPose(first, np.zeros(17), np.full(17, np.nan), 1.0), own)
    moved = (merged.keypoints - own.keypoints) / tolerance[:, None]
    variance = (1 - own.keypoint_scores) / own.keypoint_scores
    np.testing.assert_allclose(moved[nose], [0.5 * variance[nose] / (0.2 + variance[nose]), 0], atol=1e-9)
    assert np.abs(np.delete(moved, nose, axis=0)).max() == 0
    np.testing.assert_array_equal(merged.keypoint_scores, own.keypoint_scores)
    kept = FirstPosePredictor(FakePredictor(), InBoxes())
    assert FirstPosePredictor(FakePredictor(), InBoxes(), merge_poses).fingerprint != kept.fingerprint
