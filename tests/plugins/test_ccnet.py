"""CCNet on lite's tokens in FiftyOne: scores without a moved joint, a file, sentences, no half-written field."""

import fiftyone.operators as foo
import numpy as np
import pytest
import torch
from fiftyone.operators.executor import ExecutionContext, Executor
from PIL import Image

from clickpose.calibration.calibrator_file import load_ccnet, save_ccnet
from clickpose.calibration.ccnet_fit import CCNetConfig
from clickpose.calibration.provenance import Provenance
from clickpose.lite.calibration import load_score_reader
from clickpose.lite.mirrored_views import FlipTestLite
from clickpose.lite.predictor import LitePredictor
from clickpose.networks.ccnet import CCNet
from clickpose.networks.lite import LiteConfig, LiteNetwork
from clickpose.networks.lite_decoder import DecoderConfig
from clickpose.skeleton import COCO
from clickpose_fiftyone.calibration import stored_calibration
from clickpose_fiftyone.ccnet import apply_ccnet, calibrate_ccnet, labelled_records
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.install import install_plugin
from clickpose_fiftyone.provenance import FieldNetwork, network_of, store_network

QUICK = CCNetConfig(epochs=2)
WRITTEN = ("keypoint_oks", "visibility", "pred_oks")
PHOTOS = 14


@pytest.fixture(scope="module")
def predictor():
    """A tiny lite network of random weights, with its flip test, that finds nobody by itself."""
    torch.manual_seed(0)
    decoder = DecoderConfig(flip_pairs=COCO.flip_pairs, dim=16, heads=2, layers=2, ffn_dim=24)
    network = FlipTestLite(LiteNetwork(LiteConfig(64, decoder)), COCO)
    return LitePredictor(network, None, "tiny-flip")


@pytest.fixture
def dataset(person_dataset, tmp_path, rng):
    """56 labelled and predicted people on photos that exist, half the size of what the labels refer to."""
    dataset = person_dataset((4,) * PHOTOS, noise=6.0)
    paths = []
    for index in range(PHOTOS):
        paths.append(str(tmp_path / f"{index}.png"))
        Image.fromarray(rng.integers(0, 256, (240, 320, 3), dtype=np.uint8)).save(paths[-1])
    dataset.set_values("filepath", paths)
    return dataset


def stored(dataset):
    columns = PersonColumns(dataset, "pred")
    return {name: columns.values(name) for name in (*WRITTEN, "points", "confidence", "score_raw", "bounding_box")}


def constant_head(tmp_path, predictor, oks, visibility, fingerprint="tiny-flip"):
    """A file with a head that answers the same for every joint."""
    head = CCNet(17, 16)
    with torch.no_grad():
        head.bias.copy_(torch.tensor([oks, visibility]).logit().expand(17, 2))
    path = tmp_path / "head.safetensors"
    save_ccnet(path, head.state_dict(), Provenance.today("lite", COCO, "nobody", fingerprint))
    return path


def test_ccnet_writes_the_scores_of_everybody_and_moves_nothing(dataset, predictor, tmp_path):
    before, path, steps = stored(dataset), tmp_path / "head.safetensors", []
    summary = calibrate_ccnet(
        dataset, model=predictor, save_to=path, config=QUICK, progress=lambda *step: steps.append(step)
    )
    after = stored(dataset)
    for name in ("points", "confidence", "score_raw", "bounding_box"):
        assert after[name] == before[name]
    found = len(labelled_records(PersonColumns(dataset, "pred"), PersonColumns(dataset, "gt")))
    assert (summary.kind, summary.persons, summary.note) == ("ccnet", found, "")
    network = network_of(dataset, "pred")  # who hands a predictor over says that it predicted the field
    assert (network.model, network.fingerprint) == ("lite", "tiny-flip")
    assert 50 <= found <= 56 and steps[-1] == (found + 56, found + 56) and steps == sorted(steps)
    assert summary.after["brier"] < summary.before["brier"]  # a random network knows nothing, its head the mean OKS
    assert all(mine != theirs for mine, theirs in zip(after["keypoint_oks"], before["keypoint_oks"], strict=True))
    weights, scores = np.array(after["visibility"]), np.array(after["keypoint_oks"])
    np.testing.assert_allclose(after["pred_oks"], (weights * scores).sum(1) / weights.sum(1), rtol=1e-9)
    assert dataset.values("min_pred_oks") == [min(people) for people in dataset.values("pred.keypoints.pred_oks")]
    assert dataset.values("num_low_vis") == [
        int((np.array(people) < 0.3).sum()) for people in dataset.values("pred.keypoints.visibility")
    ]
    assert stored_calibration(dataset, "pred").kind == "ccnet"
    _, provenance = load_ccnet(path)
    assert (provenance.model, provenance.fingerprint, provenance.joints) == ("lite", "tiny-flip", COCO.names)
    assert provenance.figures == summary.after


def test_a_head_that_knows_less_than_the_network_is_told(dataset, predictor):
    wild = CCNetConfig(epochs=1, learning_rate=30.0)
    summary = calibrate_ccnet(dataset, model=predictor, config=wild)
    assert summary.after["brier"] > summary.before["brier"]
    assert "ccnet is worse than the network's own scores, " in str(summary)


def test_a_saved_head_reads_what_the_predictor_would(dataset, predictor, tmp_path):
    """The head's answers to the tokens of each person's box, in the pixels of the smaller file."""
    path = tmp_path / "head.safetensors"
    calibrate_ccnet(dataset, model=predictor, save_to=path, config=QUICK)
    fitted = np.array(stored(dataset)["keypoint_oks"])
    PersonColumns(dataset, "pred").write("keypoint_oks", np.zeros((56, 17)))
    assert str(apply_ccnet(dataset, path, model=predictor)) == "Applied a fitted ccnet calibrator."
    applied = np.array(stored(dataset)["keypoint_oks"])
    np.testing.assert_allclose(applied, fitted, atol=2e-3)  # a head is stored in half precision
    reader, _ = load_score_reader(path, COCO, "tiny-flip")
    expected = LitePredictor(predictor.network, None, "tiny-flip", read_scores=reader)
    expected.set_image(np.array(Image.open(dataset.first().filepath)))
    poses = expected.predict(PersonColumns(dataset, "pred").boxes_xyxy[:4] / 2)
    np.testing.assert_allclose(applied[:4], poses.keypoint_scores, atol=1e-6)


def test_joints_of_a_human_stay_certain_and_tell_the_network_about_the_others(dataset, predictor, tmp_path):
    columns = PersonColumns(dataset, "pred")
    fixed = np.zeros((56, 17))
    fixed[0, :3] = 1
    columns.write("fixed", fixed)
    visibility = columns.joints("visibility")
    apply_ccnet(dataset, constant_head(tmp_path, predictor, 0.25, 0.75), model=predictor)
    after = PersonColumns(dataset, "pred")
    assert after.joints("keypoint_oks")[0, :3].tolist() == [1, 1, 1]
    np.testing.assert_allclose(after.joints("visibility")[0, :3], visibility[0, :3])
    for name, value in (("keypoint_oks", 0.25), ("visibility", 0.75)):
        np.testing.assert_allclose(after.joints(name)[0, 3:], value, rtol=1e-3)
        np.testing.assert_allclose(after.joints(name)[1:], value, rtol=1e-3)
    np.testing.assert_array_equal(after.keypoints, columns.keypoints)


def test_a_cancelled_calibration_writes_nothing(dataset, predictor, tmp_path):
    before, path = stored(dataset), tmp_path / "head.safetensors"
    run = calibrate_ccnet.steps(dataset, model=predictor, save_to=path, config=QUICK)
    steps = [next(run) for _ in range(7 + PHOTOS - 1)]  # all people are fitted on, all photos but one read
    assert steps[-1] < (steps[-1][1], steps[-1][1])
    run.close()
    assert stored(dataset) == before and stored_calibration(dataset, "pred") is None and not path.exists()


def test_a_photo_that_is_gone_keeps_its_scores(dataset, predictor, tmp_path):
    before = stored(dataset)
    (tmp_path / "3.png").unlink()
    summary = apply_ccnet(dataset, constant_head(tmp_path, predictor, 0.25, 0.75), model=predictor)
    after = stored(dataset)
    assert "1 photo could not be read; the people there keep their scores: Cannot read" in str(summary)
    assert after["keypoint_oks"][12:16] == before["keypoint_oks"][12:16]
    np.testing.assert_allclose(np.delete(after["keypoint_oks"], range(12, 16), axis=0), 0.25, rtol=1e-3)


def test_what_cannot_be_calibrated_is_a_sentence_and_changes_nothing(dataset, predictor, tmp_path):
    before = stored(dataset)
    other = constant_head(tmp_path, predictor, 0.25, 0.75, fingerprint="others")
    (tmp_path / "notes.safetensors").write_text("mine")

    def refused(match, run, *args, **options):
        with pytest.raises(ValueError, match=match):
            run(dataset, *args, **options)

    refused('people on at least two photos of "gt"', calibrate_ccnet, fit_samples=dataset[:1], model=predictor)
    refused("got those of 'r50'; a post-hoc curve suits every network", calibrate_ccnet, model="r50")
    refused("ends in .safetensors", calibrate_ccnet, model=predictor, save_to=tmp_path / "head.json")
    in_a_file = tmp_path / "notes.safetensors" / "head.safetensors"
    refused("save_to in a folder, .* a file stands in the way", calibrate_ccnet, model=predictor, save_to=in_a_file)
    refused("notes.safetensors", calibrate_ccnet, model=predictor, save_to=tmp_path / "notes.safetensors")
    refused("fitted for, got tiny-flip: fit again", apply_ccnet, other, model=predictor)
    (tmp_path / "5.png").write_bytes(b"no photo")
    refused(r"Cannot read .*5\.png", calibrate_ccnet, model=predictor, config=QUICK)
    (tmp_path / "5.png").unlink()
    refused(r"Cannot read .*5\.png", calibrate_ccnet, model=predictor, config=QUICK)
    assert stored(dataset) == before and stored_calibration(dataset, "pred") is None
    assert (tmp_path / "notes.safetensors").read_text() == "mine"


@pytest.mark.parametrize("known", [None, FieldNetwork("hrnet", "", "coco")])
def test_poses_that_are_not_known_to_be_of_lite_are_refused_before_the_work(
    dataset, predictor, tmp_path, known, monkeypatch
):
    if known is not None:
        store_network(dataset, "pred", known)
    before = stored(dataset)
    monkeypatch.setattr("clickpose_fiftyone.ccnet.shared_predictor", lambda *_: pytest.fail("the network was loaded"))
    for run, arguments in ((calibrate_ccnet, ()), (apply_ccnet, [constant_head(tmp_path, predictor, 0.2, 0.7)])):
        with pytest.raises(ValueError, match="got those of 'hrnet'" if known else "which the dataset does not know"):
            run(dataset, *arguments)
    assert stored(dataset) == before and network_of(dataset, "pred") == known


def test_a_head_of_few_people_says_so(dataset, predictor):
    summary = calibrate_ccnet(dataset, fit_samples=dataset[:4], model=predictor, config=QUICK)
    assert f"{summary.persons} labelled people are few for ccnet, 50 or more are better" in str(summary)


def test_the_operator_calibrates_with_ccnet_and_reports_progress(
    dataset, predictor, fiftyone_home, monkeypatch, tmp_path
):
    install_plugin(fiftyone_home / "plugins")
    monkeypatch.setattr("clickpose_fiftyone.ccnet.shared_predictor", lambda name, checkpoint: predictor)
    uri, before = "@clickpose/pose_review/calibrate", stored(dataset)["keypoint_oks"]

    def run(**params):
        request = {"dataset_name": dataset.name, "params": {"pred_field": "pred", "gt_field": "gt", **params}}
        context = ExecutionContext(request, executor=Executor(), operator_uri=uri)
        operator = foo.get_operator(uri)
        return operator.resolve_input(context).type.properties, list(operator.execute(context))

    form, steps = run(kind="ccnet")
    assert form["model"].required and form["model"].default is None
    assert 'the network that predicted "pred" (model), which the dataset does not know' in steps[-1]["error"]
    form, steps = run(kind="ccnet", model="r50")
    assert "a post-hoc curve suits every network" in steps[-1]["error"]
    assert steps[-2].body.params["message"] == steps[-1]["error"]  # what a generator does not yield the app never sees
    assert "model" in form and "per_joint" not in form and stored(dataset)["keypoint_oks"] == before
    _, steps = run(kind="ccnet", model="lite")
    assert steps[-1]["message"].startswith("Fitted a ccnet calibrator on 5")
    assert len(steps) > PHOTOS and stored(dataset)["keypoint_oks"] != before
    form, steps = run(source="file", path=str(constant_head(tmp_path, predictor, 0.25, 0.75)))
    assert "model" not in form and "checkpoint" not in form  # the dataset knows both now
    assert steps[-1]["message"] == "Applied a fitted ccnet calibrator."
    np.testing.assert_allclose(stored(dataset)["keypoint_oks"], 0.25, rtol=1e-3)
