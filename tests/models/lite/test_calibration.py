"""Calibrated scores of lite: a file beside the weights, read at every decoding, refused where it does not fit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from clickpose.calibration.calibrator_file import save_calibrator, save_ccnet
from clickpose.calibration.posthoc import ClosedFormCalibrator, PlattCalibrator
from clickpose.calibration.provenance import Provenance
from clickpose.lite.calibration import (
    CCNetScores,
    PosthocScores,
    calibration_files,
    find_calibration,
    load_score_reader,
    raw_scores,
)
from clickpose.lite.mirrored_views import FlipTestLite
from clickpose.lite.predictor import LitePredictor, network_mark
from clickpose.lite.tokens import collect_lite
from clickpose.networks.ccnet import CCNet
from clickpose.networks.lite import LiteNetwork
from clickpose.skeleton import COCO
from clickpose.token_calibration import token_sample
from clickpose.weights_io import WeightsError, save_weights

BOXES = np.array([[20.0, 30.0, 120.0, 220.0], [150.0, 40.0, 230.0, 200.0]])


def random_head(joints=17, features=16):
    head = CCNet(joints, features)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        head.weight.copy_(torch.randn(head.weight.shape, generator=generator))
    return head


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (240, 260, 3), dtype=np.uint8)


def poses_of(network, read_scores, image):
    predictor = LitePredictor(network, None, "test", read_scores=read_scores)
    predictor.set_image(image)
    before = predictor.predict(BOXES)
    return before, predictor.refine(before[0], {"left_wrist": (60.0, 100.0)})


def test_calibration_changes_scores_after_every_click_and_nothing_else(network, image):
    raw, raw_clicked = poses_of(network, raw_scores, image)
    new, new_clicked = poses_of(network, CCNetScores(random_head()), image)
    np.testing.assert_array_equal(new.keypoints, raw.keypoints)
    np.testing.assert_array_equal(new.boxes_xyxy, raw.boxes_xyxy)
    np.testing.assert_array_equal(new_clicked.keypoints, raw_clicked.keypoints)
    assert np.abs(new.keypoint_scores - raw.keypoint_scores).min() > 0
    free = ~new_clicked.fixed
    assert np.abs(new_clicked.keypoint_scores - new[0].keypoint_scores)[free].max() > 1e-3  # follows the click
    assert new_clicked.keypoint_scores[COCO.index("left_wrist")] == 1.0
    weighted = (new.keypoint_scores * new.visibility_scores).sum(1) / new.visibility_scores.sum(1)
    np.testing.assert_allclose(new.instance_scores, weighted)


def test_a_posthoc_calibrator_maps_the_networks_own_scores(network, image):
    scores = np.random.default_rng(1).uniform(0, 1, (200, 17))
    calibrator = PlattCalibrator().fit(scores, scores**2, np.ones((200, 17)))
    raw, _ = poses_of(network, raw_scores, image)
    new, _ = poses_of(network, PosthocScores(calibrator), image)
    np.testing.assert_allclose(new.keypoint_scores, calibrator.predict(raw.keypoint_scores))
    np.testing.assert_array_equal(new.visibility_scores, raw.visibility_scores)
    closed = ClosedFormCalibrator(COCO.sigma_array)
    with pytest.raises(ValueError, match="Expected a calibrator that needs no area for lite, got closed_form"):
        PosthocScores(closed)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A whole lite network on disk, of random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    save_weights(path, LiteNetwork().state_dict(), {"kind": "lite", "skeleton": "coco"})
    return path


@pytest.fixture
def beside(weights):
    """The two files that may lie beside the weights; removed afterwards."""
    files = calibration_files(weights)
    yield files
    for path in files:
        path.unlink(missing_ok=True)


def test_the_file_beside_the_weights_is_used(weights, beside):
    assert find_calibration(weights) is None
    assert LitePredictor.load(weights).read_scores is raw_scores
    head_file, json_file = beside
    assert [path.name for path in beside] == ["mine.calibration.safetensors", "mine.calibration.json"]
    provenance = Provenance.today("lite", COCO, "test", network_mark(weights))
    save_ccnet(head_file, random_head(features=128).state_dict(), provenance)
    reader = LitePredictor.load(weights).read_scores
    assert isinstance(reader, CCNetScores) and reader.head.num_features == 128
    calibrator = PlattCalibrator().fit(np.full((2, 17), 0.5), np.ones((2, 17)), np.ones((2, 17)))
    save_calibrator(json_file, calibrator, provenance)
    with pytest.raises(WeightsError, match=r"Expected one calibration of .*mine.safetensors, got .* and "):
        LitePredictor.load(weights)
    head_file.unlink()
    assert isinstance(LitePredictor.load(weights).read_scores, PosthocScores)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"fingerprint": "0123456789ab"}, "Expected weights 0123456789ab of 'lite'.*fit again"),
        ({"model": "r50"}, "Expected confidences of 'r50', the model of the calibrator, got 'lite'"),
        ({"joints": COCO.names[::-1]}, "Expected the 17 joints of skeleton 'coco'"),
    ],
)
def test_a_calibration_of_something_else_is_refused(weights, beside, change, sentence):
    provenance = replace(Provenance.today("lite", COCO, "test", network_mark(weights)), **change)
    save_ccnet(beside[0], random_head(features=128).state_dict(), provenance)
    with pytest.raises(WeightsError, match=f"Cannot use the calibration .*{sentence}"):
        LitePredictor.load(weights)


def test_a_damaged_calibration_is_refused(tmp_path):
    path = tmp_path / "lite.calibration.json"
    path.write_text("{}")
    with pytest.raises(WeightsError, match="Cannot use the calibration"):
        load_score_reader(path, COCO, "")


@pytest.mark.parametrize("flip_test", [False, True])
def test_what_is_collected_is_what_the_predictor_does(network, records, flip_test):
    network = FlipTestLite(network, COCO).eval() if flip_test else network
    data = collect_lite(network, records, COCO, clicks=2, batch_size=4)
    predictor = LitePredictor(network, None, "test")
    for i, record in enumerate(records):
        predictor.set_image(np.asarray(Image.open(record.image_path)))
        pose = predictor.predict(record.box_xyxy[None])[0]
        np.testing.assert_allclose(data.keypoints[i], pose.keypoints, atol=1e-2)
        np.testing.assert_allclose(data.tables[0].scores[i], pose.keypoint_scores, atol=1e-3)
        worst = np.where(record.labelled, data.tables[0].oks[i], np.inf).argmin()
        clicked = predictor.refine(pose, {COCO.names[worst]: record.keypoints[worst]})
        free = ~clicked.fixed
        np.testing.assert_allclose(data.tables[1].scores[i][free], clicked.keypoint_scores[free], atol=1e-3)
        assert data.tables[1].visibility[i, worst] == -1  # clicked: left out
        assert (data.tables[1].visibility[i] == -1).sum() == 1
    assert (data.tables[2].visibility == -1).sum(1).tolist() == [1, 2, 2, 2, 2, 2]  # the first has one label only
    assert data.tables[0].groups.tolist() == [0, 0, 1, 1, 2, 2]
    assert len(token_sample(data)) == 18


def test_features_are_collected_once(network, records, tmp_path):
    first = collect_lite(network, records, COCO, 1, tmp_path / "cache", "weights1")
    again = collect_lite(None, records, COCO, 1, tmp_path / "cache", "weights1")  # no network needed
    assert torch.equal(token_sample(again).features, token_sample(first).features)
    np.testing.assert_array_equal(again.keypoints, first.keypoints)
    with pytest.raises(AttributeError):
        collect_lite(None, records, COCO, 1, tmp_path / "cache", "weights2")
    corrected = np.add(records[3].keypoints, [1.0, 0.0])
    relabelled = [*records[:3], replace(records[3], keypoints=corrected), *records[4:]]
    with pytest.raises(AttributeError):  # the same persons, but their OKS is another
        collect_lite(None, relabelled, COCO, 1, tmp_path / "cache", "weights1")
    with pytest.raises(ValueError, match="Expected labelled persons to fit on, got none"):
        collect_lite(network, [], COCO)


def test_a_calibration_of_one_view_does_not_suit_the_flip_test(weights, beside):
    one_view = network_mark(weights, flip_test=False)
    save_ccnet(beside[0], random_head(features=128).state_dict(), Provenance.today("lite", COCO, "test", one_view))
    assert isinstance(LitePredictor.load(weights, flip_test=False).read_scores, CCNetScores)
    with pytest.raises(WeightsError, match=f"Expected weights {one_view} of 'lite'.*got {one_view}-flip: fit again"):
        LitePredictor.load(weights)


def test_the_box_grows_to_hold_the_clicks_and_no_other_joint(network, records, monkeypatch):
    """As the predictor's does: a click far outside is inside the box of the next decoding; what drifts out is not."""
    far = [replace(record, keypoints=record.keypoints + np.array([0, 3 * record.image_hw[0]])) for record in records]
    seen, decode = [], network.decode

    def watched(person, queries):
        output = decode(person, queries)
        seen.append((queries, output))
        return output

    monkeypatch.setattr(network, "decode", watched)
    collect_lite(network, far, COCO, clicks=2, batch_size=len(far))
    (_, before), (first, after), (second, _) = seen
    for output, queries in ((before, first), (after, second)):
        box, wanted = output.boxes_norm[-1, :, 0], queries.box_norm[:, 0]
        for person in range(len(far)):
            placed = queries.keypoints_norm[person, 0][queries.fixed[person, 0]]
            corners = torch.cat([box[person].view(2, 2), placed])
            assert torch.equal(wanted[person], torch.cat([corners.amin(0), corners.amax(0)]))
    assert first.fixed.sum() == len(far) and second.fixed.sum() == 2 * len(far) - 1  # one has one label
    assert (first.box_norm[..., 3] > before.boxes_norm[-1, ..., 3] + 1).all()  # the clicks are a crop's side below
