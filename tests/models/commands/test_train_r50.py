"""``clickpose train --model r50``: options to a plan, a run from the command line, and what is refused."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from clickpose.build import load
from clickpose.cli import app
from clickpose.commands import train
from clickpose.commands.evaluate import load_network
from clickpose.data.photos import PhotoScales
from clickpose.r50.train import PRESETS, R50Preset
from helpers import r50_training

RUNNER = CliRunner()


@pytest.fixture
def folder(tmp_path):
    """The made-up people as a COCO file; one annotation more is a person without a labelled joint."""
    folder = tmp_path / "people"
    (folder / "images").mkdir(parents=True)
    data = r50_training.people_dataset(folder / "images")
    images = [{"id": i.image_id, "file_name": i.path.name, "height": 64, "width": 96} for i in data.images]
    annotations = []
    for person in data.persons:
        left, top, right, bottom = person.box_xyxy.tolist()
        triples = np.concatenate([person.keypoints, person.visibility[:, None]], 1).ravel().tolist()
        annotations.append(
            {"id": 1 + person.annotation_id, "image_id": person.image_id, "category_id": 1, "iscrowd": 0,
             "bbox": [left, top, right - left, bottom - top], "area": person.area, "keypoints": triples}
        )  # fmt: skip
    hidden = annotations[0] | {"id": 50, "keypoints": [0] * 51}
    (folder / "annotations.json").write_text(json.dumps({"images": images, "annotations": [*annotations, hidden]}))
    return folder


def run(*arguments):
    return RUNNER.invoke(app, ["train", "--model", "r50", *map(str, arguments)])


@pytest.mark.slow
def test_a_run_says_what_it_reads_and_writes_weights_that_load(folder, tmp_path, monkeypatch):
    train = dataclasses.replace(PRESETS["small"].train, workers=0, batch_size=4)
    monkeypatch.setitem(
        PRESETS, "tiny", R50Preset(r50_training.TINY, train, 1, PhotoScales.around(64), r50_training.TASK)
    )
    out = tmp_path / "run"
    result = run("--preset", "tiny", "--data", folder, "--out", out, "--steps", 2, "--batch-size", 2)
    assert result.exit_code == 0, result.output
    assert "4 images, 7 persons with 17 joints (1 persons without a labelled joint)" in result.output
    assert f"wrote {out / 'r50.safetensors'}" in result.output.replace("\n", "")
    predictor = load("r50", out / "r50.safetensors")
    assert predictor.min_score == 0.3  # for showing
    assert load_network("r50", out / "r50.safetensors", "cpu", None).min_score == 0  # AP takes all
    assert (predictor.short_side, predictor.long_side) == (64, 96)  # photos are shown as in training
    assert len((out / "losses.csv").read_text().splitlines()) == 2


def test_options_become_the_plan(folder, tmp_path, monkeypatch):
    plans = []
    monkeypatch.setattr(train, "train_r50", lambda plan, device: plans.append(plan) or plan.out)
    result = run("--data", f"{folder}:3", "--data", folder / "annotations.json", "--seed", 5, "--backbone", "r.pth",
                 "--init", "w.pth", "--photos", tmp_path, "--out", tmp_path / "run")  # fmt: skip
    assert result.exit_code == 0, result.output
    (plan,) = plans
    assert [(data.name, weight) for data, weight in plan.data] == [("people", 3.0), ("people", 1.0)]
    assert plan.data[0][0].images[0].path.parent == tmp_path
    assert plan.preset.train == dataclasses.replace(PRESETS["paper"].train, seed=5)
    assert (plan.start, plan.backbone, plan.steps) == (Path("w.pth"), Path("r.pth"), None)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Expected at least one --data folder, got none"),
        (["--preset", "huge", "--data", "x"], "Expected a preset of paper, small, got 'huge'"),
        (["--data", "nowhere"], "a folder with annotations.json at nowhere, found neither"),
        (["--data", "nowhere:0"], "Expected a weight above 0, got 'nowhere:0'"),
        (["--data", "nowhere", "--format", "lspet"], "Expected a format of coco, humanart"),
        (["--data", "nowhere", "--skeleton", "none.yaml"], "Expected a skeleton file or one of"),
        (["--model", "r51", "--data", "x"], "Expected --model to be one of lite, r50, got 'r51'"),
    ],
)
def test_wrong_use_is_one_sentence(arguments, sentence):
    result = run(*arguments)
    assert result.exit_code == 2
    assert sentence in result.output.replace("\n", " ")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_photo_is_named(folder, tmp_path, monkeypatch, workers):
    train = dataclasses.replace(PRESETS["small"].train, workers=workers, batch_size=4)
    monkeypatch.setitem(PRESETS, "tiny", R50Preset(r50_training.TINY, train, 1, PhotoScales.around(64)))
    photo = folder / "images" / "2.png"
    photo.write_bytes(photo.read_bytes()[:2000])
    checkpoint = r50_training.save_start(tmp_path / "start.safetensors")
    result = run("--preset", "tiny", "--data", folder, "--init", checkpoint, "--out", tmp_path / "run", "--steps", 1)
    assert result.exit_code == 2
    sentences = [line for line in result.output.splitlines() if line.strip() and not line.startswith("training:")]
    assert len(sentences) == 2  # what is read, and what is wrong
    assert sentences[1].startswith(f"Cannot read {photo}: Expected a whole PNG image, got")


@pytest.mark.slow
def test_a_broken_annotation_is_named(folder):
    path = folder / "annotations.json"
    content = json.loads(path.read_text())
    content["annotations"][2]["keypoints"] = [1.0] * 50
    path.write_text(json.dumps(content))
    result = run("--preset", "small", "--data", folder)
    assert result.exit_code == 2
    assert "annotation 3 of" in result.output.replace("\n", " ") and "50" in result.output
