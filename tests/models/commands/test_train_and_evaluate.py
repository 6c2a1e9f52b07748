"""``clickpose train`` and ``clickpose evaluate``: what a user types, what comes out, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from clickpose.cli import app
from clickpose.commands import train
from clickpose.commands.train import parse_folder
from clickpose.lite.mirrored_views import FlipTestLite
from clickpose.lite.predictor import LitePredictor
from clickpose.lite.weights import describe_skeleton
from clickpose.skeleton_io import SKELETONS
from clickpose.weights_io import save_weights

RUNNER = CliRunner()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "people"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (200, 160, 3), dtype=np.uint8)).save(folder / "images" / "a.png")
    points = np.concatenate([rng.uniform([30, 20], [130, 180], (17, 2)), np.full((17, 1), 2)], 1)
    person = {"id": 1, "image_id": 7, "category_id": 1, "bbox": [20, 10, 120, 180], "area": 11448.0, "iscrowd": 0}
    content = {
        "images": [{"id": 7, "file_name": "a.png", "width": 160, "height": 200}],
        "annotations": [person | {"keypoints": points.ravel().tolist(), "num_keypoints": 17}],
        "categories": [{"id": 1, "name": "person"}],
    }
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder


def run_evaluate(*arguments):
    result = RUNNER.invoke(app, ["evaluate", "--threads", "1", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_evaluate_prints_the_tables_and_writes_figures_and_curves(folder, tmp_path):
    out, plot = tmp_path / "out" / "figures.json", tmp_path / "out" / "curves.svg"
    printed = run_evaluate(folder, "--json", out, "--plot", plot)
    assert "people: 1 images, 1 persons with 17 joints" in printed
    assert "worst joint clicked, progressive loop" in printed and "lite + manual" in printed
    figures = json.loads(out.read_text())["people"]
    manual, refined = figures["average_precision"]["lite + manual"], figures["average_precision"]["lite refined"]
    # on noise the pose is wrong at first; manual correction needs many clicks, and no more than the cap
    assert manual["C0"] == refined["C0"] < 50 and 8 < manual["NoC95"] <= 17
    assert figures["curves"]["lite + manual"][17] == figures["curves"]["lite refined"][17] == pytest.approx(100)
    assert figures["persons"]["lite + manual"]["S8"] < 100 and figures["people"]["lite refined"] == {
        "found": 1,
        "missed": 0,
    }
    drawn = plot.read_text()
    assert drawn.startswith("<?xml") and "<svg" in drawn


@pytest.mark.parametrize(("options", "flip_test"), [([], True), (["--no-flip-test"], False)])
def test_evaluate_measures_lite_with_its_flip_test_or_without(folder, monkeypatch, options, flip_test):
    loaded = []
    real = LitePredictor.load
    monkeypatch.setattr(LitePredictor, "load", lambda *a, **kw: loaded.append(real(*a, **kw)) or loaded[-1])
    run_evaluate(folder, "--clicks", 0, *options)
    assert isinstance(loaded[0].network, FlipTestLite) is flip_test


@pytest.mark.parametrize("name", ["r50", "none"])
def test_evaluate_leaves_the_flip_test_out_of_lite_alone(folder, name):
    refused = RUNNER.invoke(app, ["evaluate", str(folder), "--model", name, "--no-flip-test"])
    assert refused.exit_code == 2
    assert "Expected the network lite where the flip test is left out" in refused.stderr


def test_evaluate_results_of_another_model_alone(folder, tmp_path):
    person = json.loads((folder / "annotations.json").read_text())["annotations"][0]
    triples = np.reshape(person["keypoints"], (-1, 3))
    triples[:, 2] = 0.9
    triples[:2, 0] += 200.0  # two joints far off
    results = [{"image_id": 7, "category_id": 1, "keypoints": triples.ravel().tolist(), "score": 0.8}]
    (tmp_path / "theirs.json").write_text(json.dumps(results))
    out = tmp_path / "figures.json"
    run_evaluate(folder, "--model", "none", "--results", f"theirs={tmp_path / 'theirs.json'}", "--json", out)
    figures = json.loads(out.read_text())["people"]
    assert list(figures["average_precision"]) == ["theirs + manual"]
    # 15 of 17 joints right is an OKS of .882: thresholds .50 to .85; 16 is .941: to .90; then all
    curve = figures["curves"]["theirs + manual"]
    assert curve[:4] == pytest.approx([80, 90, 100, 100])
    assert figures["average_precision"]["theirs + manual"]["NoC95"] == 2


def test_evaluate_clicks_on_first_poses_of_another_network(folder, tmp_path):
    content = json.loads((folder / "annotations.json").read_text())
    triples = np.reshape(content["annotations"][0]["keypoints"], (-1, 3))
    triples[:2, 0] += 200.0  # two joints far off, the others right
    content["annotations"][0] |= {"keypoints": triples.ravel().tolist(), "score": 0.8}
    (tmp_path / "theirs.json").write_text(json.dumps(content))
    out = tmp_path / "figures.json"
    printed = run_evaluate(folder, "--first", f"results:{tmp_path / 'theirs.json'}", "--clicks", 2, "--json", out)
    assert "was given the boxes" in printed and "did not see" not in printed
    curves = json.loads(out.read_text())["people"]["curves"]
    assert list(curves) == ["theirs + manual", "theirs+lite refined"]
    assert curves["theirs + manual"] == pytest.approx([80, 90, 100])  # as from the same file as results
    assert curves["theirs+lite refined"][0] == pytest.approx(80)
    refused = CliRunner().invoke(app, ["evaluate", str(folder), "--first", "20"])
    assert refused.exit_code == 2 and "only so many photos: --limit 20" in refused.stderr


def test_evaluate_refuses_results_of_other_photos(folder, tmp_path):
    results = [{"image_id": 1, "category_id": 1, "keypoints": [5.0, 5.0, 0.9] * 17, "score": 0.8}]
    (tmp_path / "theirs.json").write_text(json.dumps(results))
    arguments = ["evaluate", str(folder), "--model", "none", "--results", f"theirs={tmp_path / 'theirs.json'}"]
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 2
    assert "results for images of people, such as 7, got none in" in refused.stderr
    assert refused.stderr.rstrip().endswith("but for others, such as 1")
    (tmp_path / "theirs.json").write_text(json.dumps([{**results[0], "image_id": "7"}]))
    refused = CliRunner().invoke(app, arguments)
    assert refused.stderr.rstrip().endswith("but for others, such as '7'; ids of images are numbers there")
    few = CliRunner().invoke(app, [*arguments, "--limit", "1"])  # among a few photos there may be nobody
    assert few.exit_code == 0, few.output


@pytest.mark.slow
def test_evaluate_keeps_data_sets_of_one_name_apart(folder, tmp_path):
    moved = [Path(shutil.copytree(folder, tmp_path / side / "val")) for side in ("left", "right")]
    content = json.loads((moved[1] / "annotations.json").read_text())
    content["annotations"][0]["keypoints"][2::3] = [2] * 5 + [0] * 12
    (moved[1] / "annotations.json").write_text(json.dumps(content))
    out, plots = tmp_path / "figures.json", tmp_path / "plots"
    run_evaluate(moved[0], moved[1], "--clicks", 5, "--json", out, "--plot", plots)
    figures = json.loads(out.read_text())
    assert list(figures) == ["val", "val-2"] and {path.name for path in plots.iterdir()} == {"val.png", "val-2.png"}
    # five clicks place all joints of the second one's person
    assert [figures[name]["curves"]["lite + manual"][5] for name in figures] == pytest.approx([0, 100], abs=40)
    assert figures["val"]["curves"] != figures["val-2"]["curves"]


@pytest.mark.slow
def test_evaluate_shows_pckh_for_mpii(tmp_path):
    Image.new("RGB", (200, 200), (90, 120, 60)).save(tmp_path / "a.jpg")
    rng = np.random.default_rng(0)
    joints = rng.uniform([60, 20], [140, 180], (16, 2)).tolist()
    entry = {"image": "a.jpg", "joints": joints, "joints_vis": [1] * 16, "scale": 0.9, "center": [100, 100]}
    (tmp_path / "mpii.json").write_text(json.dumps([entry]))
    out = tmp_path / "figures.json"
    printed = run_evaluate(tmp_path / "mpii.json", "--format", "mpii", "--clicks", 12, "--json", out)
    figures = json.loads(out.read_text())["mpii"]
    assert "compared 12 joints: right_ankle" in figures["data"] and "PCKh@.5" in printed
    row = figures["pckh"]["lite + manual"]
    assert row["C0"] < row["C8"] <= 100
    assert figures["curves"]["lite + manual"][12] == pytest.approx(100)


@pytest.mark.slow
def test_training_goes_on_with_the_joints_of_the_weights(folder, tmp_path, monkeypatch):
    plans = []
    monkeypatch.setattr(train, "train_lite", lambda plan, device: plans.append(plan) or plan.out / "w")
    crowdpose = SKELETONS["crowdpose"]
    header = {"kind": "lite"} | describe_skeleton(crowdpose, (12, 13))
    save_weights(tmp_path / "adapted.safetensors", {}, header)
    crowd = shutil.copytree(folder, tmp_path / "crowd")
    content = json.loads((crowd / "annotations.json").read_text())
    for annotation in content["annotations"]:
        annotation["keypoints"] = annotation["keypoints"][: 3 * 14]
    (crowd / "annotations.json").write_text(json.dumps(content))
    for start, data in ((None, folder), ("adapted.safetensors", crowd), ("thunder.onnx", folder)):
        init = [] if start is None else ["--init", str(tmp_path / start)]
        result = RUNNER.invoke(app, ["train", "--data", str(data), "--out", str(tmp_path), *init])
        assert result.exit_code == 0, result.output
    assert [plan.skeleton.name for plan in plans] == ["coco", "crowdpose", "coco"]
    assert [plan.network.decoder.num_keypoints for plan in plans] == [17, 14, 17]
    assert plans[0].network == plans[2].network and plans[1].network.decoder.added == (12, 13)
    assert [(plan.trunk.steps, plan.decoder.steps, plan.keep) for plan in plans] == [
        (60, 100, 0.5), (60, 100, 0.5), (1100, 5700, 0.0),
    ]  # fmt: skip


def test_training_says_what_cannot_be_kept(folder, tmp_path):
    arguments = ["train", "--data", str(folder), "--out", str(tmp_path), "--keep"]
    refused = RUNNER.invoke(app, [*arguments, "0.5", "--init", str(tmp_path / "thunder.onnx")])
    assert refused.exit_code == 2 and "Expected --keep with lite weights to go on from" in refused.output
    refused = RUNNER.invoke(app, [*arguments, "1"])
    assert refused.exit_code == 2 and "share of the weights from 0 to below 1, got 1" in refused.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train"], "Expected at least one --data folder, got none"),
        (["train", "--data", "nowhere"], "Expected a folder with annotations.json and images/, got nowhere"),
        (
            ["evaluate", "nowhere"],
            "Expected an annotation file or a folder with annotations.json at nowhere, found neither",
        ),
        (["evaluate", "nowhere", "--strategy", "best"], "Expected strategy to be one of worst, lowest_score, random"),
        (["evaluate", "nowhere", "--boxes", "mine"], "Expected boxes to be one of ground-truth, detected, got 'mine'"),
        (["evaluate", "nowhere", "--format", "lspet"], "Expected a format of coco, humanart"),
        (["evaluate", "nowhere", "--results", "file.json"], "Expected --results name=FILE with different names"),
        (["evaluate", "nowhere", "--model", "none"], "Expected a network or a results file to evaluate, got neither"),
        (["evaluate", "nowhere", "--model-skeleton", "crowdpose"], "a model skeleton with the network r50 alone"),
        (["evaluate", "nowhere", "--model", "r50"], "Expected a checkpoint for the network r50, got none"),
        (["evaluate", "nowhere", "--device", "abacus"], "Expected a device that this PyTorch can use, got 'abacus'"),
        (["train", "--data", "nowhere", "--device", "cuda:99"], "this PyTorch can use, got 'cuda:99': it finds"),
        (["adapt", "--skeleton", "crowdpose", "--images", "0", "--device", "meta"], "PyTorch can use, got 'meta'"),
    ],
)
def test_wrong_use_is_one_sentence(arguments, sentence):
    result = RUNNER.invoke(app, arguments)
    assert result.exit_code == 2
    assert sentence in result.output.replace("\n", " ")


def test_a_folder_may_carry_its_weight(folder):
    assert (parse_folder(f"{folder}:0.75").weight, parse_folder(f"{folder}:0.75").views) == (0.75, 1)
    assert parse_folder(f"{folder}:2").views == 2
    assert parse_folder(str(folder)).weight == 1.0
    with pytest.raises(ValueError, match="Expected a weight above 0"):
        parse_folder(f"{folder}:0")
