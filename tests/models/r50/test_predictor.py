"""The predictor interface on the end-to-end network (random weights, tiny): one encoding, exact clicks, one person."""

import dataclasses

import numpy as np
import pytest
import torch

import clickpose
from clickpose.frames import CropFrame
from clickpose.predictor import EncodedRegion
from clickpose.r50.predictor import NO_CONFIDENCE, R50Predictor, input_hw
from clickpose.skeleton import COCO
from clickpose.structures import Clicks, Pose
from clickpose.weights_io import WeightsError
from helpers import tiny_r50

BOXES = np.array([[20.0, 30.0, 120.0, 220.0], [150.0, 40.0, 230.0, 200.0]])
NO_CLICKS = Clicks(positions=np.zeros((17, 2)), mask=np.zeros(17, bool))


@pytest.fixture
def predictor():
    return tiny_r50.counting_predictor()


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (240, 260, 3), dtype=np.uint8)


def test_everybody_boxes_and_clicks_cost_one_encoding(predictor, image):
    predictor.set_image(image)
    poses = predictor.predict()
    assert 1 <= len(poses) <= 5
    assert (np.diff(poses.instance_scores) <= 0).all()
    drawn = predictor.predict(BOXES)
    assert len(drawn) == 2
    predictor.refine(poses[0], {"nose": (30.0, 40.0)})
    predictor.refine(drawn[1], {"nose": (30.0, 40.0)})
    assert predictor.encodings == 1
    predictor.set_image(image)
    predictor.refine(drawn[1], {"nose": (30.0, 40.0)})
    assert predictor.encodings == 2


def test_clicks_are_exact_after_any_number_of_clicks(predictor, image):
    predictor.set_image(image)
    pose = predictor.predict(BOXES)[0]
    clicks = {"left_wrist": (60.123456789, 100.1), "nose": (0.0, 44.0), "right_ankle": (259.99, 239.5)}
    for name, position in clicks.items():
        previous, pose = pose, predictor.refine(pose, {name: position})
        assert (pose.keypoints != previous.keypoints)[~pose.fixed].all()
    for name, position in clicks.items():
        joint = COCO.index(name)
        assert tuple(pose.keypoints[joint]) == position
        assert (pose.keypoint_scores[joint], pose.visibility_scores[joint]) == (1.0, 1.0)
    assert pose.fixed.sum() == 3
    low, high = pose.box_xyxy[:2], pose.box_xyxy[2:]
    assert ((pose.keypoints[pose.fixed] >= low) & (pose.keypoints[pose.fixed] <= high)).all()


def test_a_person_alone_is_refined_as_in_the_network_itself(predictor, image):
    (region,) = predictor.encode(image, None)
    pose = predictor.decode([region])[0]
    clicks = Clicks.from_mapping(COCO, {"left_knee": (100.0, 120.0)})
    refined = predictor.refine_region(region, pose, clicks)
    keypoints = np.where(clicks.mask[:, None], clicks.positions, pose.keypoints) / [260, 240]
    corners = pose.box_xyxy.reshape(2, 2) / [260, 240]
    low = np.minimum(corners[0], keypoints.min(0))
    high = np.maximum(corners[1], keypoints.max(0))
    box = np.concatenate([(low + high) / 2, high - low])
    with torch.inference_mode():
        reading = predictor.network.refine(
            predictor._memory(region),
            torch.tensor(keypoints, dtype=torch.float32)[None, None],
            torch.tensor(box, dtype=torch.float32)[None, None],
            torch.tensor(clicks.mask)[None, None],
        )
    np.testing.assert_allclose(refined.keypoints, reading.keypoints_norm[0, 0].numpy() * [260, 240], atol=1e-3)


def test_a_corrected_person_is_not_less_of_a_person(predictor, image):
    (region,) = predictor.encode(image, None)
    pose = predictor.decode([region])[0]
    sure = dataclasses.replace(pose, instance_score=0.999)
    clicks = Clicks.from_mapping(COCO, {"left_knee": (100.0, 120.0)})
    free, clicked = (predictor.refine_region(region, sure, some) for some in (NO_CLICKS, clicks))
    assert free.instance_score < 0.999 == clicked.instance_score
    unsure = dataclasses.replace(pose, instance_score=0.0)
    assert predictor.refine_region(region, unsure, clicks).instance_score > 0  # it may rise


def test_a_drawn_box_is_answered_alone_or_among_others(predictor, image):
    regions = predictor.encode(image, BOXES)
    assert regions[0] is regions[1]
    together = predictor.decode(regions, BOXES)
    for i in range(2):
        alone = predictor.decode(regions[:1], BOXES[i : i + 1])
        np.testing.assert_allclose(alone.keypoints[0], together.keypoints[i], atol=1e-2)
        np.testing.assert_allclose(alone.boxes_xyxy[0], together.boxes_xyxy[i], atol=1e-2)
    assert np.abs(together.keypoints[0] - together.keypoints[1]).max() > 1


def test_joints_without_a_position_start_from_the_network_s_estimate(predictor, image):
    (region,) = predictor.encode(image, None)
    pose = predictor.decode([region])[0]
    without = Pose.from_keypoints(COCO, np.where(np.arange(17)[:, None] == 5, np.nan, pose.keypoints), pose.box_xyxy)
    np.testing.assert_allclose(
        predictor.refine_region(region, without, NO_CLICKS).keypoints,
        predictor.refine_region(region, pose, NO_CLICKS).keypoints,
        atol=1e-3,
    )
    box = np.array([1.0, 1.0, 3.0, 3.0])  # nobody of the first pass: the box is prompted
    nowhere = Pose.from_keypoints(COCO, np.full((17, 2), np.nan), box)
    prompted = Pose.from_keypoints(COCO, predictor.decode([region], box[None]).keypoints[0], box)
    np.testing.assert_allclose(
        predictor.refine_region(region, nowhere, NO_CLICKS).keypoints,
        predictor.refine_region(region, prompted, NO_CLICKS).keypoints,
        atol=1e-3,
    )


def test_the_constant_confidence_and_a_calibrator_in_its_place(predictor, image):
    predictor.set_image(image)
    pose = predictor.predict(BOXES[:1])[0]
    assert np.unique(pose.keypoint_scores).round(4).tolist() == [0.7311] and round(NO_CONFIDENCE, 4) == 0.7311
    seen = []

    def calibrator(contents):
        seen.append(contents.shape)
        return np.full((*contents.shape[:1], 17), 0.25), np.full((*contents.shape[:1], 17), 0.5)

    predictor.calibrator = calibrator
    predictor.set_image(image)
    pose = predictor.predict(BOXES[:1])[0]
    assert set(pose.keypoint_scores) == {0.25} and set(pose.visibility_scores) == {0.5}
    assert seen == [(5, 18, 32), (1, 18, 32)]  # the first pass, then the drawn box


def test_regions_survive_serialisation(predictor, image):
    (region,) = predictor.encode(image, None)
    copy = EncodedRegion.from_bytes(region.to_bytes())
    assert copy.frame == region.frame and copy.prompt_box_xyxy is None
    assert np.array_equal(predictor.decode([copy]).keypoints, predictor.decode([region]).keypoints)
    pose = predictor.decode([region])[0]
    one, other = (predictor.refine_region(r, pose, NO_CLICKS).keypoints for r in (copy, region))
    assert np.array_equal(one, other)


def test_half_the_cache_costs_a_fraction_of_a_pixel(predictor, image):
    halved = R50Predictor(tiny_r50.tiny_network(), "tiny", min_score=0.0, short_side=96, long_side=160, half_cache=True)
    assert halved.fingerprint != predictor.fingerprint
    (full,), (half,) = predictor.encode(image, None), halved.encode(image, None)
    assert half.features["memory"].nbytes * 2 == full.features["memory"].nbytes
    pose = predictor.decode([full])[0]
    one, other = predictor.refine_region(full, pose, NO_CLICKS), halved.refine_region(half, pose, NO_CLICKS)
    assert 0 < np.abs(one.keypoints - other.keypoints).max() < 0.5
    assert len(halved.decode([half], BOXES[:1])) == 1


@pytest.mark.parametrize(
    ("image_hw", "wanted"),
    [
        ((480, 640), (800, 1066)),  # int(800 · 640 / 480) = 1066, truncated
        ((640, 427), (1199, 800)),  # int(800 · 640 / 427) = 1199
        ((800, 1200), (800, 1200)),
        ((300, 900), (444, 1332)),  # the long side bounds: round(1333 / 3) = 444
        ((500, 500), (800, 800)),
    ],
)
def test_the_network_sees_images_at_the_size_of_the_paper(image_hw, wanted):
    assert input_hw(image_hw) == wanted


@pytest.mark.parametrize("box", [[np.nan, 0, 10, 10], [300, 10, 400, 50], [50, 50, 20, 90]])
def test_a_box_that_shows_nobody_is_refused(predictor, image, box):
    with pytest.raises(ValueError, match="Expected boxes"):
        predictor.encode(image, np.array([box], dtype=float))


def test_what_another_network_encoded_is_refused(predictor, image):
    (region,) = predictor.encode(image, BOXES[:1])
    square = dataclasses.replace(region, frame=CropFrame.around_box(BOXES[0], 256))
    with pytest.raises(ValueError, match="got one that is a person's square"):
        predictor.decode([square], BOXES[:1])


def test_people_below_the_least_score_are_left_out(predictor, image):
    (region,) = predictor.encode(image, None)
    scores = predictor.decode([region]).instance_scores
    bound = (scores[1] + scores[2]) / 2
    strict = R50Predictor(tiny_r50.tiny_network(), "test", min_score=bound, short_side=96, long_side=160)
    np.testing.assert_allclose(strict.decode(strict.encode(image, None)).instance_scores, scores[:2])
    assert len(strict.decode(strict.encode(image, BOXES), BOXES)) == 2  # who is asked for is answered


def test_no_boxes_no_poses_and_no_encoding(predictor, image):
    predictor.set_image(image)
    assert len(predictor.predict(np.zeros((0, 4)))) == 0
    assert predictor.encodings == 0


def test_loading_by_name_needs_a_checkpoint(tmp_path):
    with pytest.raises(WeightsError, match="Expected a checkpoint for the network r50"):
        clickpose.load("r50")
    loaded = clickpose.load("r50", checkpoint=tiny_r50.write_checkpoint(tmp_path / "tiny.pth", tiny_r50.tiny_network()))
    assert loaded.name == "r50" and len(loaded.fingerprint) == 12
