"""The predictor interface on the lite network (random weights, tiny): encode once, hold clicks, touch one person."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from clickpose.frames import ImageFrame
from clickpose.lite.predictor import LitePredictor
from clickpose.predictor import EncodedRegion
from clickpose.skeleton import COCO
from clickpose.structures import Clicks, Pose
from clickpose.weights_io import WeightsError, save_weights

BOXES = np.array([[20.0, 30.0, 120.0, 220.0], [150.0, 40.0, 230.0, 200.0]])


class TwoPeople:
    """A detector that always finds the two boxes."""

    def detect(self, image):
        return BOXES, np.array([0.9, 0.8])


@pytest.fixture
def predictor(network):
    predictor = LitePredictor(network, TwoPeople(), "test")
    encode, predictor.encodings = network.encode, 0

    def counted(image, prompt):
        predictor.encodings += len(image)
        return encode(image, prompt)

    network.encode = counted
    return predictor


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (240, 260, 3), dtype=np.uint8)


def test_an_image_that_was_set_may_be_drawn_on(predictor, image):
    predictor.set_image(image)
    expected = predictor.predict(BOXES).keypoints
    predictor.set_image(image)
    image[:] = 0
    np.testing.assert_array_equal(predictor.predict(BOXES).keypoints, expected)


def test_clicks_are_exact_after_any_number_of_clicks_and_cost_no_encoding(predictor, image):
    predictor.set_image(image)
    pose = predictor.predict(BOXES)[0]
    assert predictor.encodings == 2
    clicks = {"left_wrist": (60.123456789, 100.1), "nose": (71.7, 44.0), "right_ankle": (99.99, 201.5)}
    for name, position in clicks.items():
        previous, pose = pose, predictor.refine(pose, {name: position})
        assert (pose.keypoints != previous.keypoints)[~pose.fixed].all()
    assert predictor.encodings == 2
    for name, position in clicks.items():
        joint = COCO.index(name)
        assert tuple(pose.keypoints[joint]) == position
        assert (pose.keypoint_scores[joint], pose.visibility_scores[joint]) == (1.0, 1.0)
    assert sorted(np.flatnonzero(pose.fixed)) == sorted(COCO.index(name) for name in clicks)


def test_the_box_holds_every_clicked_joint(predictor, image):
    predictor.set_image(image)
    pose = predictor.refine(predictor.predict(BOXES)[0], {"left_wrist": (131.0, 100.0)})
    assert pose.box_xyxy[0] <= 131.0 <= pose.box_xyxy[2]


def test_without_clicks_the_pose_stays_as_it_is(predictor, image):
    predictor.set_image(image)
    base = predictor.predict(BOXES)[0]
    assert predictor.refine(base, {}) is base
    clicked = predictor.refine(base, {"nose": (71.7, 44.0)})
    assert predictor.refine(clicked, {}) is clicked
    with pytest.raises(RuntimeError, match="Expected set_image"):
        del predictor._image
        predictor.refine(base, {})


def test_zero_clicks_from_nowhere_is_the_first_prediction(predictor, image):
    (region,) = predictor.encode(image, BOXES[:1])
    base = predictor.decode([region])[0]
    nowhere = Pose.from_keypoints(COCO, np.full((17, 2), np.nan), BOXES[0])
    again = predictor.refine_region(region, nowhere, Clicks(positions=np.zeros((17, 2)), mask=np.zeros(17, bool)))
    np.testing.assert_allclose(again.keypoints, base.keypoints, atol=1e-3)
    np.testing.assert_allclose(again.keypoint_scores, base.keypoint_scores, atol=1e-5)


def test_a_click_outside_the_crop_encodes_a_new_one_that_holds_it(predictor, image):
    predictor.set_image(image)
    pose = predictor.predict(BOXES[1:])[0]
    far = (20.0, 230.0)
    refined = predictor.refine(pose, {"left_ankle": far})
    assert predictor.encodings == 2
    assert tuple(refined.keypoints[COCO.index("left_ankle")]) == far
    predictor.refine(refined, {"nose": (100.0, 100.0)})
    assert predictor.encodings == 2


def test_people_are_independent_of_the_batch(predictor, image):
    together = predictor.decode(predictor.encode(image, BOXES))
    for i in range(2):
        alone = predictor.decode(predictor.encode(image, BOXES[i : i + 1]))
        np.testing.assert_allclose(alone.keypoints[0], together.keypoints[i], atol=0.05)  # half precision cache


def test_regions_survive_serialisation(predictor, image):
    (region,) = predictor.encode(image, BOXES[:1])
    copy = EncodedRegion.from_bytes(region.to_bytes())
    assert copy.frame == region.frame
    assert np.array_equal(predictor.decode([copy]).keypoints, predictor.decode([region]).keypoints)
    with pytest.raises(ValueError, match="Expected an encoded region"):
        EncodedRegion.from_bytes(b"nothing of the kind")


@pytest.mark.parametrize(
    "box", [[np.nan, 0, 10, 10], [10, 10, 10, 50], [300, 10, 400, 50], [50, 50, 20, 90], [0, 0, np.inf, 9]]
)
def test_a_box_that_shows_nobody_is_refused(predictor, image, box):
    with pytest.raises(ValueError, match="Expected boxes"):
        predictor.encode(image, np.array([box], dtype=float))


def test_what_another_network_encoded_is_refused(predictor, image):
    with pytest.raises(ValueError, match="whom the network lite sees one by one, got none"):
        predictor.encode(image, None)
    (region,) = predictor.encode(image, BOXES[:1])
    whole = replace(region, frame=ImageFrame(*image.shape[:2]))
    with pytest.raises(ValueError, match="got one that is a whole image"):
        predictor.decode([whole])


def test_no_boxes_no_poses(predictor, image):
    predictor.set_image(image)
    assert len(predictor.predict(np.zeros((0, 4)))) == 0


def test_given_boxes_come_first_and_whoever_is_in_none_of_them_after(predictor, image):
    predictor.set_image(image)
    own = BOXES[[1]] + [1, 0, 1, 0]
    (given,) = predictor.predict(own)
    both = predictor.predict(own, find_others=True)
    assert both.keypoints[0].tolist() == given.keypoints.tolist()
    other = predictor.predict(BOXES[[0]])
    assert both.keypoints[1:].tolist() == other.keypoints.tolist()  # the detector's second box is the given person
    nobody = predictor.predict(np.zeros((0, 4)), find_others=True)
    assert nobody.keypoints.tolist() == predictor.predict().keypoints.tolist()


def test_calls_in_the_wrong_order_name_the_missing_one(predictor):
    with pytest.raises(RuntimeError, match="Expected set_image"):
        predictor.predict()


def test_another_networks_weights_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_weights(path, {"layer.weight": torch.zeros(2, 2)}, {"kind": "lite", "skeleton": "coco"})
    with pytest.raises(WeightsError, match="Expected the lite network's tensors"):
        LitePredictor.load(path)
