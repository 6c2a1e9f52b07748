"""``clickpose train`` and ``clickpose evaluate``: what a user types, what comes out, and what is refused."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from clickpose.cli import app
from clickpose.train_command import parse_folder

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


def test_evaluate_prints_both_curves_and_writes_them(folder, tmp_path):
    out = tmp_path / "figures.json"
    result = RUNNER.invoke(app, ["evaluate", str(folder), "--json", str(out), "--threads", "1"])
    assert result.exit_code == 0, result.output
    assert "people: 1 persons, worst joint clicked" in result.output
    rows = json.loads(out.read_text())["people"]
    assert set(rows) == {"first pose + manual", "refined"}
    # on noise the pose is wrong at first; manual correction needs many clicks, and no more than the cap
    assert rows["first pose + manual"]["C0"] < 50 and 8 < rows["first pose + manual"]["NoC95"] <= 17


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train"], "Expected at least one --data folder, got none"),
        (["train", "--data", "nowhere"], "Expected a folder with annotations.json and images/, got nowhere"),
        (["evaluate", "nowhere"], "Expected COCO keypoints at"),
        (["evaluate", "nowhere", "--strategy", "best"], "Expected strategy to be one of worst, lowest_score, random"),
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
