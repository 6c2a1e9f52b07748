"""Which network predicted a field: stored, shown, and asked by calibration and refinement."""

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from fiftyone.operators.executor import ExecutionContext, Executor

from clickpose.skeleton import COCO
from clickpose_fiftyone import refinement
from clickpose_fiftyone.calibration import apply_calibrator, calibrate
from clickpose_fiftyone.ccnet import apply_ccnet
from clickpose_fiftyone.install import install_plugin
from clickpose_fiftyone.provenance import network_of, other_network, remember_network


class Network:
    """What a predictor says of itself."""

    skeleton = COCO

    def __init__(self, name="lite", fingerprint="0123456789ab"):
        self.name, self.fingerprint = name, fingerprint


@pytest.fixture
def dataset(person_dataset):
    dataset = person_dataset((3,) * 10, noise=4.0)
    remember_network(dataset, "pred", Network())
    return dataset


def test_the_network_is_kept_and_described(dataset):
    network = network_of(fo.load_dataset(dataset.name), "pred")
    assert (network.model, network.fingerprint, network.skeleton, network.checkpoint) == (
        "lite", "0123456789ab", "coco", None
    )  # fmt: skip
    assert dataset.get_field("pred").description == "Poses predicted by lite (coco, weights 0123456789ab)"
    assert network_of(dataset, "gt") is None


def test_a_calibrator_of_another_network_or_other_weights_is_refused(dataset, tmp_path):
    path = tmp_path / "calibrator.json"
    calibrate(dataset, kind="temperature", save_to=path)
    assert str(apply_calibrator(dataset, path)) == "Applied a fitted temperature calibrator."
    before = dataset.values("pred.keypoints.keypoint_oks")
    for other, sentence in (
        (Network(fingerprint="ffffffffffff"), "Expected weights 0123456789ab .* got ffffffffffff: fit again"),
        (Network("r50"), "Expected confidences of 'lite'.* predicted by r50 .*nothing was written"),
    ):
        remember_network(dataset, "pred", other)
        with pytest.raises(ValueError, match=sentence):
            apply_calibrator(dataset, path)
    assert dataset.values("pred.keypoints.keypoint_oks") == before


def test_a_calibrator_remembers_the_network_of_the_field(dataset, tmp_path):
    remember_network(dataset, "pred", Network("r50", "aaaaaaaaaaaa"))
    calibrate(dataset, kind="temperature", save_to=tmp_path / "calibrator.json")
    assert str(apply_calibrator(dataset, tmp_path / "calibrator.json")).startswith("Applied")
    remember_network(dataset, "pred", Network())
    with pytest.raises(ValueError, match="Expected confidences of 'r50'"):
        apply_calibrator(dataset, tmp_path / "calibrator.json")


def test_ccnet_reads_only_poses_of_lite_with_its_own_weights(dataset):
    with pytest.raises(ValueError, match=r"weights 0123456789ab of lite.* got ffff"):
        apply_ccnet(dataset, "head.safetensors", model=Network(fingerprint="ffff"))
    remember_network(dataset, "pred", Network("r50"))
    with pytest.raises(ValueError, match="got those of 'r50'; a post-hoc curve suits every network"):
        apply_ccnet(dataset, "head.safetensors", model=Network())


def test_refining_takes_the_network_that_predicted(dataset, monkeypatch):
    asked = []
    monkeypatch.setattr(refinement, "shared_predictor", lambda *names: asked.append(names) or Network())
    refinement.refining_predictor(dataset, "pred")
    remember_network(dataset, "pred", Network("r50"), "weights.pth")
    refinement.refining_predictor(dataset, "pred")
    refinement.refining_predictor(dataset, "pred", "lite")
    assert asked == [("lite",), ("r50", "weights.pth"), ("lite",)]


def test_refining_with_another_network_says_so(dataset, monkeypatch, fiftyone_home):
    install_plugin(fiftyone_home / "plugins")
    other, label_id = Network(fingerprint="ffff"), dataset.first().pred.keypoints[0].id
    assert other_network(dataset, "pred", Network()) == "" and other_network(dataset, "gt", other) == ""
    monkeypatch.setattr(refinement, "shared_predictor", lambda name: other)
    monkeypatch.setattr(refinement, "refine_cached", lambda predictor, path, pose, clicks: pose)
    monkeypatch.setattr(refinement, "read_image", lambda path: np.zeros((480, 640, 3), np.uint8))
    with pytest.warns(UserWarning, match="predicted by lite .*0123456789ab.* refined by lite .weights ffff"):
        refinement.refine_pose(dataset, label_id, {"nose": (5.0, 5.0)})
    uri = "@clickpose/pose_review/refine"
    params = {"label_id": label_id, "joint": "nose", "x": 5, "y": 5}
    request = {"dataset_name": dataset.name, "params": params}
    answer = foo.get_operator(uri).execute(ExecutionContext(request, executor=Executor(), operator_uri=uri))
    assert "joints may move that nobody touched" in answer["message"]
