"""A CCNet head of the end-to-end network: fitted on its tokens before and after clicks, read beside its checkpoint."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from clickpose.calibration.aggregation import visibility_weighted
from clickpose.calibration.calibrator_file import load_ccnet, save_ccnet
from clickpose.calibration.provenance import Provenance
from clickpose.commands.calibrate.network import NetworkRequest, fit_network
from clickpose.data.coco import read_coco_persons
from clickpose.metrics.oks import keypoint_oks
from clickpose.networks.ccnet import CCNet
from clickpose.r50.calibration import calibration_file
from clickpose.r50.predictor import R50Predictor
from clickpose.r50.tokens import collect_tokens
from clickpose.skeleton import COCO
from clickpose.skeleton_io import load_skeleton
from clickpose.weights_io import WeightsError, fingerprint
from helpers import tiny_r50


@pytest.fixture
def folder(tmp_path):
    """Three photos of 96 x 128 px, two people on the first."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    images, annotations = [], []
    for number, people in enumerate((2, 1, 1)):
        pixels = rng.integers(0, 256, (96, 128, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
        images.append({"id": number + 1, "file_name": f"{number}.png", "height": 96, "width": 128})
        for person in range(people):
            left = 10.0 + 60 * person
            points = rng.uniform([left, 10], [left + 40, 80], (17, 2))
            visibility = np.where(np.arange(17) == 4, 0, 2)
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number + 1, "category_id": 1, "iscrowd": 0, "area": 90_000.0,
                 "bbox": [left, 10.0, 40.0, 70.0], "num_keypoints": 16,
                 "keypoints": np.column_stack([points * (visibility > 0)[:, None], visibility]).ravel().tolist()}
            )  # fmt: skip
    dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / "annotations.json").write_text(json.dumps(dataset))
    return tmp_path


@pytest.fixture
def predictor():
    return R50Predictor(tiny_r50.tiny_network(), "test", min_score=0.0, short_side=96, long_side=160)


def test_tokens_are_those_of_the_predictor_before_and_after_clicks(predictor, folder):
    records = read_coco_persons(folder, COCO)
    tables, keypoints, ordered = collect_tokens(predictor, records[::-1], clicks=2)
    assert [len(table) for table in tables] == [4, 4, 4] and tables[0].groups.tolist() == [0, 0, 1, 2]
    seen = []

    def watch(contents):
        seen.append(contents[:, 1:])
        return np.zeros((len(contents), 17)), np.zeros((len(contents), 17))

    predictor.calibrator = watch
    first = ordered[0]
    predictor.set_image(np.asarray(Image.open(first.image_path)))
    pose = predictor.predict(first.box_xyxy[None])[0]
    np.testing.assert_allclose(keypoints[0], pose.keypoints, atol=1e-2)
    np.testing.assert_allclose(tables[0].features[0].float(), seen[-1][0], atol=1e-2)
    terms = keypoint_oks(pose.keypoints[None], first.keypoints[None], np.array([first.area]), COCO.sigma_array)[0]
    np.testing.assert_allclose(tables[0].oks[0], np.where(first.labelled, terms, 0), atol=1e-3)

    worst = int(np.where(first.labelled, terms, np.inf).argmin())
    refined = predictor.refine(pose, {COCO.names[worst]: tuple(first.keypoints[worst])})
    np.testing.assert_allclose(tables[1].features[0].float(), seen[-1][0], atol=2e-2)
    left_out = (tables[1].visibility[0] < 0).nonzero().flatten().tolist()
    assert left_out == [worst] and (tables[2].visibility[0] < 0).sum() == 2 and refined.fixed[worst]
    assert (tables[0].visibility[:, 4] == 0).all()


@pytest.mark.slow
def test_a_fit_lies_beside_the_checkpoint_and_scores_follow_it(folder, tmp_path, monkeypatch):
    checkpoint = tiny_r50.write_checkpoint(tmp_path / "mine.pth", tiny_r50.tiny_network())
    plain = R50Predictor.load(checkpoint, short_side=96, long_side=160)
    monkeypatch.setattr("clickpose.build.load", lambda *_, calibrator: plain)
    request = NetworkRequest(data=(folder,), model="r50", checkpoint=checkpoint, method="ccnet", clicks=1,
                             out=calibration_file(checkpoint))  # fmt: skip
    outcome = fit_network(request)
    assert outcome.written == [tmp_path / "mine.calibration.safetensors"] and "after 1 clicks" in outcome.notes[1]
    assert np.unique(outcome.before.scores).size <= 4  # one for each person, none for a joint
    provenance = load_ccnet(calibration_file(checkpoint))[1]
    assert (provenance.model, provenance.fingerprint) == ("r50", fingerprint(checkpoint))

    calibrated = R50Predictor.load(checkpoint, short_side=96, long_side=160)
    image, box = np.asarray(Image.open(folder / "images" / "0.png")), np.array([[10.0, 10.0, 50.0, 80.0]])
    poses = []
    for predictor in (plain, calibrated):
        predictor.set_image(image)
        poses.append(predictor.predict(box)[0])
    before, after = poses
    np.testing.assert_array_equal(after.keypoints, before.keypoints)
    assert np.unique(after.keypoint_scores).size == 17
    expected = before.instance_score * visibility_weighted(after.keypoint_scores, after.visibility_scores)
    assert after.instance_score == pytest.approx(float(expected), abs=1e-6)
    assert calibrated.fingerprint != plain.fingerprint  # what is kept of its answers is not the other's


def test_own_scores_that_are_kept_need_no_file(folder, tmp_path, monkeypatch):
    checkpoint = tiny_r50.write_checkpoint(tmp_path / "mine.pth", tiny_r50.tiny_network())
    monkeypatch.setattr("clickpose.calibration.sample.FitSample.squared_errors", lambda *_: np.zeros(1))
    monkeypatch.setattr("clickpose.token_calibration.TokenHead.fewest_persons", 4)
    request = NetworkRequest(data=(folder,), model="r50", checkpoint=checkpoint, clicks=0, out=tmp_path / "mine.x")
    outcome = fit_network(request)
    assert outcome.method == "identity" and not outcome.written and not list(tmp_path.glob("mine.x*"))
    assert outcome.notes[-1] == "No calibrator is written: r50 reads its own scores where there is none."


def test_a_calibration_of_other_weights_or_joints_is_refused(tmp_path):
    checkpoint = tiny_r50.write_checkpoint(tmp_path / "mine.pth", tiny_r50.tiny_network())
    head = CCNet(17, 32).state_dict()
    for model, skeleton, mark, sentence in (
        ("r50", COCO, "0123456789ab", "Expected weights 0123456789ab of 'r50'.*fit again"),
        ("lite", COCO, fingerprint(checkpoint), "Expected confidences of 'lite'"),
        (
            "r50",
            load_skeleton("humanart21"),
            fingerprint(checkpoint),
            "Expected the 21 joints of skeleton 'humanart21'",
        ),
    ):
        save_ccnet(calibration_file(checkpoint), head, Provenance.today(model, skeleton, "test", mark))
        with pytest.raises(WeightsError, match=sentence):
            R50Predictor.load(checkpoint)
    assert R50Predictor.load(checkpoint, calibrator=None).calibrator is None
    calibration_file(checkpoint).write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="Cannot use the calibration"):
        R50Predictor.load(checkpoint)


def test_other_methods_have_nothing_to_bend(folder, tmp_path):
    checkpoint = tiny_r50.write_checkpoint(tmp_path / "mine.pth", tiny_r50.tiny_network())
    with pytest.raises(ValueError, match="Expected `method` auto or ccnet for r50, got platt: its own confidence"):
        NetworkRequest(data=(folder,), model="r50", checkpoint=checkpoint, method="platt")
    (folder / "annotations.json").write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    with pytest.raises(ValueError, match="Expected"):
        collect_tokens(R50Predictor(tiny_r50.tiny_network(), "test"), [])
    assert torch.is_grad_enabled()
