"""Exported graphs: equal to torch at every size, and a folder that is loaded like a checkpoint."""

import numpy as np
import pytest

from clickpose.commands.export import TOLERANCE, export_from_options
from clickpose.r50.onnx import CLICK_FILE, OnnxEngine, export_network
from clickpose.r50.predictor import R50Predictor
from clickpose.structures import Clicks
from clickpose.weights_io import WeightsError
from helpers import tiny_r50

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny_r50.write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny.pth", tiny_r50.tiny_network())


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    assert export_from_options(checkpoint, folder) <= TOLERANCE  # it checks encode and click at another size
    return folder


def test_the_folder_is_loaded_like_a_checkpoint_and_gives_the_same_poses(checkpoint, exported):
    options = {"threads": 1, "min_score": 0.0, "short_side": 96, "long_side": 160}
    by_torch = R50Predictor.load(checkpoint, **options)
    by_onnx = R50Predictor.load(exported, **options)
    assert by_torch.engine is None and by_onnx.engine is not None
    image = np.random.default_rng(0).integers(0, 256, (240, 260, 3), dtype=np.uint8)
    refined = []
    for predictor in (by_torch, by_onnx):
        predictor.set_image(image)
        poses = predictor.predict()
        refined.append((poses, predictor.refine(poses[0], {"nose": (11.5, 200.25)})))
    np.testing.assert_allclose(refined[0][0].keypoints, refined[1][0].keypoints, atol=1e-4 * 260)
    np.testing.assert_allclose(refined[0][1].keypoints, refined[1][1].keypoints, atol=1e-4 * 260)
    assert refined[1][1].keypoints[0].tolist() == [11.5, 200.25]
    assert by_torch.fingerprint == by_onnx.fingerprint


def test_a_click_runs_in_the_graph(exported, monkeypatch):
    predictor = R50Predictor.load(exported, threads=1, min_score=0.0, short_side=96, long_side=160)
    (region,) = predictor.encode(np.zeros((96, 96, 3), np.uint8), None)
    pose = predictor.decode([region])[0]
    clicked = np.arange(17) == 2
    monkeypatch.setattr(predictor.network, "refine", None)  # torch is not asked
    refined = predictor.refine_region(region, pose, Clicks(positions=pose.keypoints, mask=clicked))
    assert refined.fixed.tolist() == clicked.tolist()
    np.testing.assert_array_equal(refined.keypoints[clicked], pose.keypoints[clicked])
    assert (refined.keypoints[~clicked] != pose.keypoints[~clicked]).any()


def test_a_folder_with_another_checkpoint_is_left_alone(checkpoint, exported, tmp_path):
    other = tmp_path / "other.pth"
    other.write_bytes(checkpoint.read_bytes())
    with pytest.raises(ValueError, match=r"Expected a folder without another checkpoint, got .* with tiny.pth"):
        export_network(tiny_r50.tiny_network(), other, exported)


@pytest.mark.parametrize("content", [None, b"nothing of the kind"])
def test_a_missing_or_foreign_graph_is_named(exported, tmp_path, content):
    for path in exported.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    if content is None:
        (tmp_path / CLICK_FILE).unlink()
    else:
        (tmp_path / CLICK_FILE).write_bytes(content)
    with pytest.raises(WeightsError, match=r"Expected an exported network in .*click.onnx"):
        OnnxEngine(tmp_path, threads=1)


def test_a_folder_without_a_checkpoint_is_refused(exported, tmp_path):
    for path in exported.glob("*.onnx"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(WeightsError, match="Expected one checkpoint in the exported folder"):
        R50Predictor.load(tmp_path)
