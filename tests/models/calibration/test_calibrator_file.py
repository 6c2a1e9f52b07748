"""Calibrator files: a round trip on values, and a sentence for each file or model that does not belong."""

import json

import numpy as np
import pytest
import torch

from clickpose.calibration.calibrator_file import (
    load_calibrator,
    load_ccnet,
    save_calibrator,
    save_ccnet,
)
from clickpose.calibration.posthoc import PlattCalibrator
from clickpose.calibration.provenance import CalibratorError, Provenance
from clickpose.skeleton import COCO


@pytest.fixture
def provenance():
    return Provenance.today(
        "hrnet", COCO, "coco_dev, 3 persons", "0123456789ab", {"mse before": 0.1, "mse after": 0.05}
    )


@pytest.fixture
def calibrator():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0, 1, (50, 17))
    return PlattCalibrator(per_joint=True, min_samples=20).fit(scores, scores**2, np.ones((50, 17)))


def test_a_calibrator_survives_its_file(tmp_path, calibrator, provenance):
    path = tmp_path / "calibrator.json"
    save_calibrator(path, calibrator, provenance)
    restored, read = load_calibrator(path)
    assert read == provenance
    assert read.joints == COCO.names and read.data == "coco_dev, 3 persons" and read.figures["mse after"] == 0.05
    scores = np.random.default_rng(1).uniform(0, 1, (5, 17))
    np.testing.assert_array_equal(restored.predict(scores), calibrator.predict(scores))
    assert path.stat().st_size < 10_000
    assert [p.name for p in tmp_path.iterdir()] == ["calibrator.json"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_read(tmp_path, calibrator, provenance, encoding):
    path = tmp_path / "calibrator.json"
    save_calibrator(path, calibrator, provenance)
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    assert load_calibrator(path)[1] == provenance


def test_a_ccnet_head_survives_its_file(tmp_path, provenance):
    path = tmp_path / "head.safetensors"
    state = {"weight": torch.full((17, 2, 4), 0.5), "bias": torch.zeros(34)}
    save_ccnet(path, state, provenance)
    restored, read = load_ccnet(path)
    assert read == provenance
    assert set(restored) == {"weight", "bias"} and torch.equal(restored["weight"], state["weight"])


def test_a_calibrator_of_other_joints_than_its_provenance_is_not_written(tmp_path, provenance):
    small = PlattCalibrator().fit([[0.5]], [[0.5]], [[1]])
    with pytest.raises(ValueError, match="Expected a calibrator of 17 joints, got 1"):
        save_calibrator(tmp_path / "c.json", small, provenance)
    with pytest.raises(RuntimeError, match="Expected a fitted calibrator"):
        save_calibrator(tmp_path / "c.json", PlattCalibrator(), provenance)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": "other"}, "does not say it is one"),
        ({"format_version": 99}, "Expected a calibrator of format version 1 .* got version 99"),
        (
            {"kind": "spline"},
            "Expected a calibrator of isotonic, platt, temperature, closed_form, identity .* got 'spline'",
        ),
        ({"kind": []}, r"Expected a calibrator of isotonic, .* got \[\]"),
        ({"kind": "isotonic"}, "Expected a whole calibrator"),
        ({"state": {"curves": [[1.0, 0.0]], "num_joints": float("inf")}}, "Expected a whole calibrator"),
        ({"state": {}}, "Expected a whole calibrator"),
        ({"state": None}, "Expected a whole calibrator"),
        ({"provenance": {"model": "hrnet"}}, "Expected a whole calibrator"),
    ],
    ids=str,
)
def test_a_damaged_file_is_refused(tmp_path, calibrator, provenance, change, sentence):
    path = tmp_path / "calibrator.json"
    save_calibrator(path, calibrator, provenance)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CalibratorError, match=sentence):
        load_calibrator(path)


def test_joints_that_do_not_fit_the_curves_are_refused(tmp_path, calibrator, provenance):
    path = tmp_path / "calibrator.json"
    save_calibrator(path, calibrator, provenance)
    content = json.loads(path.read_text())
    content["provenance"]["joints"].pop()
    path.write_text(json.dumps(content))
    with pytest.raises(CalibratorError, match=r"Expected a calibrator of 16 joints .* got 17"):
        load_calibrator(path)


def test_what_is_no_calibrator_file_is_refused(tmp_path):
    with pytest.raises(CalibratorError, match="no readable file"):
        load_calibrator(tmp_path / "absent.json")
    with pytest.raises(CalibratorError, match="no readable file"):
        load_ccnet(tmp_path / "absent.safetensors")
    (tmp_path / "text.json").write_text("not json")
    with pytest.raises(CalibratorError, match="got no JSON"):
        load_calibrator(tmp_path / "text.json")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(CalibratorError, match="does not say it is one"):
        load_calibrator(tmp_path / "list.json")
