"""``clickpose calibrate network`` for lite: files beside the weights, and what is refused before the network runs."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from tests.helpers.result_files import make_world
from typer.testing import CliRunner

from clickpose.calibration.calibrator_file import load_calibrator, load_ccnet
from clickpose.cli import app
from clickpose.lite.calibration import CCNetScores, PosthocScores
from clickpose.lite.predictor import LitePredictor, network_mark
from clickpose.networks.lite import LiteNetwork
from clickpose.weights_io import save_weights

RUNNER = CliRunner()


def run(*arguments):
    result = RUNNER.invoke(app, ["calibrate", "network", *map(str, arguments)])
    return result, " ".join(result.output.split())


@pytest.fixture(scope="module")
def labelled_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    dataset, _ = make_world(2, 3)
    crowd = {"id": 99, "image_id": 100, "category_id": 1, "iscrowd": 1, "area": 900.0, "bbox": [0.0, 0.0, 30.0, 30.0]}
    dataset["annotations"].append({**crowd, "keypoints": [0] * 51, "num_keypoints": 0})
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    for number in range(2):
        pixels = rng.integers(0, 256, (120, 300, 3), dtype=np.uint8)  # stored at half its size
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
    (folder / "annotations.json").write_text(json.dumps(dataset))
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    save_weights(path, LiteNetwork().state_dict(), {"kind": "lite", "skeleton": "coco"})
    return path


@pytest.mark.slow
def test_fit_lite_beside_its_weights(labelled_folder, weights, tmp_path):
    arguments = ["--data", labelled_folder, "--checkpoint", weights, "--clicks", 1, "--threads", 1,
                 "--cache", tmp_path / "cache"]  # fmt: skip
    out = weights.with_name("mine.calibration")
    result, output = run(*arguments, "--method", "ccnet", "--out", out)
    assert result.exit_code == 0, result.output
    assert "after 0 clicks" in output and "after 1 clicks" in output and "Pearson, joints" in output
    assert "own scores: mean squared error" in output and "ccnet: mean squared error" in output
    assert "4 labelled people are few for ccnet, 50 or more are better" in output
    assert "2 images, 4 persons with 17 joints (1 crowds)" in output
    head = weights.with_name("mine.calibration.safetensors")
    provenance = load_ccnet(head)[1]
    assert (provenance.model, provenance.fingerprint) == ("lite", network_mark(weights))
    assert isinstance(LitePredictor.load(weights).read_scores, CCNetScores)

    result, output = run(*arguments, "--method", "platt", "--out", out)  # from the cache
    assert result.exit_code == 0 and f"{head.name} lies beside mine.calibration.json: remove the one" in output
    head.unlink()
    assert isinstance(LitePredictor.load(weights).read_scores, PosthocScores)
    assert load_calibrator(f"{out}.json")[1].fingerprint == network_mark(weights)

    before = weights.read_bytes()
    result, output = run(*arguments, "--method", "ccnet", "--out", weights)
    assert result.exit_code == 2 and "Expected ccnet weights" in output
    assert weights.read_bytes() == before  # a network is never replaced by its calibration


@pytest.mark.slow
def test_what_cannot_be_fitted_is_refused_before_the_network_runs(labelled_folder, weights, tmp_path, monkeypatch):
    monkeypatch.setattr("clickpose.lite.tokens.collect_lite", lambda *_: pytest.fail("the network ran"))
    arguments = ["--data", labelled_folder, "--checkpoint", weights]
    result, output = run(*arguments)
    assert result.exit_code == 2 and "Expected at least 20 labelled people" in output and "got 4; a method" in output
    result, output = run(*arguments, "--method", "platt", "--per-joint")
    assert result.exit_code == 2 and "at least 50 labels of a joint for a curve of its own (--per-joint)" in output
    result, output = run(*arguments, "--method", "ccnet", "--per-joint")
    assert result.exit_code == 2 and "Expected --per-joint for a post-hoc curve" in output
    result, output = run(*arguments, "--method", "ccnet", "--out", labelled_folder / "annotations.json" / "head")
    assert result.exit_code == 2 and "Expected --out in a folder, got" in output
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations.json").write_bytes((labelled_folder / "annotations.json").read_bytes())
    result, output = run("--data", tmp_path, "--checkpoint", weights, "--method", "ccnet")
    assert result.exit_code == 2 and "No such file or directory" in output


@pytest.mark.slow
def test_own_scores_that_are_kept_are_read_as_they_are(labelled_folder, weights, tmp_path, monkeypatch):
    """A network whose scores are the OKS: auto writes what changes nothing, and the network reads it."""
    from clickpose.lite.tokens import collect_lite

    def perfect(*arguments):
        data = collect_lite(*arguments)
        for table in data.tables:
            table.oks.copy_(table.scores)
        return data

    monkeypatch.setattr("clickpose.lite.tokens.collect_lite", perfect)
    monkeypatch.setattr("clickpose.calibration.fit.Curve.fewest_persons", 4)
    out = tmp_path / "kept.json"
    result, output = run("--data", labelled_folder, "--checkpoint", weights, "--clicks", 0, "--out", out)
    assert result.exit_code == 0, result.output
    assert "The network's own scores are kept" in output
    assert load_calibrator(out)[0].kind == "identity"
