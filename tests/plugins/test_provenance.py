"""Which network predicted a field: stored, shown, and asked by calibration and refinement."""

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.executor import ExecutionContext, Executor

from clickpose.calibration.calibrator_file import load_calibrator
from clickpose.calibration.provenance import CalibratorError
from clickpose.skeleton import COCO
from clickpose_fiftyone import clicked_poses, found_persons, refinement
from clickpose_fiftyone.calibration import apply_calibrator, calibrate
from clickpose_fiftyone.ccnet import apply_ccnet
from clickpose_fiftyone.install import install_plugin
from clickpose_fiftyone.provenance import FieldNetwork, network_of, other_network, remember_network


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


@pytest.fixture
def imported(person_dataset):
    """Poses of which nobody knows the network."""
    return person_dataset((3,) * 10, noise=4.0)


def test_a_calibrator_of_an_unknown_network_is_not_written(imported, tmp_path):
    """It was called lite's: a curve of imported HRNet poses passed for one of lite's weights."""
    path, before = tmp_path / "calibrator.json", imported.values("pred.keypoints.keypoint_oks")
    for name in (None, "", " "):
        with pytest.raises(
            ValueError, match=r'network that predicted "pred".*to write a calibrator.*nothing was written'
        ):
            calibrate(imported, kind="temperature", save_to=path, model=name)
    assert imported.values("pred.keypoints.keypoint_oks") == before and not path.exists()
    calibrate(imported, kind="temperature")  # without a file nobody else can take it for theirs
    assert network_of(imported, "pred") is None
    calibrate(imported, kind="temperature", save_to=path, model="hrnet")
    provenance = load_calibrator(path)[1]
    assert (provenance.model, provenance.fingerprint) == ("hrnet", "")
    with pytest.raises(CalibratorError, match="Expected confidences of 'hrnet'"):
        provenance.check_weights("lite", COCO, "0123456789ab")
    known = network_of(imported, "pred")  # kept for the field
    assert (known.model, str(known)) == ("hrnet", "hrnet (coco, weights not known)")
    assert imported.get_field("pred").description == "Poses predicted by hrnet (coco, weights not known)"


def test_a_calibrator_fits_an_imported_field_once_its_network_is_named(imported, dataset, tmp_path):
    path = tmp_path / "hrnet.calibration.json"
    calibrate(imported, kind="temperature", save_to=path, model="hrnet")
    with pytest.raises(ValueError, match=r"Expected confidences of 'hrnet'.*predicted by lite .*nothing was written"):
        apply_calibrator(dataset, path)
    with pytest.raises(ValueError, match=r'predicted "pred", lite .*, got .hrnet.'):
        apply_calibrator(dataset, path, model="hrnet")  # the dataset knows better
    remember_nothing(imported)
    before = imported.values("pred.keypoints.keypoint_oks")
    with pytest.raises(ValueError, match=r"does not know, to apply a calibrator of 'hrnet', got none"):
        apply_calibrator(imported, path)
    with pytest.raises(ValueError, match="Expected confidences of 'hrnet', the model of the calibrator, got 'vitpose'"):
        apply_calibrator(imported, path, model="vitpose")
    assert imported.values("pred.keypoints.keypoint_oks") == before and network_of(imported, "pred") is None
    assert str(apply_calibrator(imported, path, model="hrnet")) == "Applied a fitted temperature calibrator."
    assert network_of(imported, "pred").model == "hrnet"
    assert str(apply_calibrator(imported, path)).startswith("Applied")  # asked once


def test_a_file_that_does_not_know_its_weights_says_so(imported, dataset, tmp_path):
    path = tmp_path / "calibrator.json"
    calibrate(imported, kind="temperature", save_to=path, model="lite")  # who says so is believed
    assert "does not say which weights of lite it was fitted for" in str(apply_calibrator(dataset, path))
    with pytest.raises(ValueError, match=r"ends in \.json for a curve, got 'head\.safetensors'"):
        calibrate(dataset, kind="temperature", save_to=tmp_path / "head.safetensors")


def remember_nothing(dataset):
    dataset.info.pop("clickpose_networks")
    dataset.save()


def test_the_form_asks_for_the_network_that_nobody_knows(imported, dataset, fiftyone_home, tmp_path):
    install_plugin(fiftyone_home / "plugins")
    uri = "@clickpose/pose_review/calibrate"

    def run(where, **params):
        request = {"dataset_name": where.name, "params": {"pred_field": "pred", "gt_field": "gt", **params}}
        context = ExecutionContext(request, executor=Executor(), operator_uri=uri)
        operator = foo.get_operator(uri)
        return operator.resolve_input(context).type.properties, list(operator.execute(context))[-1]

    path = str(tmp_path / "calibrator.json")
    form, _ = run(imported, kind="temperature")
    assert "model" not in form and "network" not in form  # nothing is shared: nobody needs a name
    form, answer = run(imported, kind="temperature", save_to=path)
    assert form["model"].required and form["model"].default is None
    assert "to write a calibrator to a file, got none" in answer["error"]
    _, answer = run(imported, kind="temperature", save_to=path, model="hrnet")
    assert answer["message"].startswith("Fitted a temperature calibrator")
    form, answer = run(imported, source="file", path=path)
    assert "model" not in form and answer["message"] == "Applied a fitted temperature calibrator."
    assert form["network"].view.label == "“pred” was predicted by hrnet (coco, weights not known)."
    remember_nothing(imported)
    form, answer = run(imported, source="file", path=path)
    assert form["model"].required and "to apply a calibrator of 'hrnet'" in answer["error"]
    form, answer = run(dataset, source="file", path=path)
    assert "model" not in form and "predicted by lite" in answer["error"]


def test_ccnet_reads_only_poses_of_lite_with_its_own_weights(dataset):
    with pytest.raises(ValueError, match=r"weights 0123456789ab of lite.* got ffff"):
        apply_ccnet(dataset, "head.safetensors", model=Network(fingerprint="ffff"))
    remember_network(dataset, "pred", Network("r50"))
    with pytest.raises(ValueError, match="got those of 'r50'; a post-hoc curve suits every network"):
        apply_ccnet(dataset, "head.safetensors", model=Network())


def test_refining_takes_the_network_that_predicted(dataset, monkeypatch):
    asked = []
    monkeypatch.setattr(clicked_poses, "shared_predictor", lambda *names: asked.append(names) or Network())
    refinement.refining_predictor(dataset, "pred")
    remember_network(dataset, "pred", Network("r50"), "weights.pth")
    refinement.refining_predictor(dataset, "pred")
    refinement.refining_predictor(dataset, "pred", "lite")
    assert asked == [("lite",), ("r50", "weights.pth"), ("lite",)]


def test_first_poses_of_another_network_are_refined_by_the_lite_that_corrected_them(dataset, monkeypatch):
    remember_network(dataset, "pred", Network("movenet+lite", "1111+0123456789ab-flip"), "mine.safetensors")
    network = network_of(dataset, "pred")
    assert FieldNetwork.from_text(network.to_text()) == network
    assert str(network) == "movenet+lite (coco, weights 1111+0123456789ab-flip)"
    assert other_network(dataset, "pred", Network(fingerprint="0123456789ab-flip")) == ""
    assert "joints may move" in other_network(dataset, "pred", Network(fingerprint="ffff"))
    asked = []
    monkeypatch.setattr(clicked_poses, "shared_predictor", lambda *names: asked.append(names) or Network())
    refinement.refining_predictor(dataset, "pred")
    assert asked == [("lite", "mine.safetensors")]
    with pytest.raises(ValueError, match=r"got those of 'movenet\+lite'; a post-hoc curve suits every network"):
        apply_ccnet(dataset, "head.safetensors", model=Network())


def test_refining_with_another_network_says_so(dataset, monkeypatch, fiftyone_home):
    install_plugin(fiftyone_home / "plugins")
    other, label_id = Network(fingerprint="ffff"), dataset.first().pred.keypoints[0].id
    assert other_network(dataset, "pred", Network()) == "" and other_network(dataset, "gt", other) == ""
    monkeypatch.setattr(clicked_poses, "shared_predictor", lambda name: other)
    monkeypatch.setattr(clicked_poses, "refine_cached", lambda predictor, path, pose, clicks: pose)
    monkeypatch.setattr(found_persons, "read_sides", lambda path, upright: (480, 640))
    with pytest.warns(UserWarning, match="predicted by lite .*0123456789ab.* refined by lite .weights ffff"):
        refinement.refine_pose(dataset, label_id, {"nose": (5.0, 5.0)})
    uri = "@clickpose/pose_review/refine"
    params = {"label_id": label_id, "joint": "nose", "x": 5, "y": 5}
    request = {"dataset_name": dataset.name, "params": params}
    answer = foo.get_operator(uri).execute(ExecutionContext(request, executor=Executor(), operator_uri=uri))
    assert "joints may move that nobody touched" in answer["message"]
