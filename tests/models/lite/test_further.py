"""Going on from lite weights: a short training in several views, of which a share goes into the weights."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from clickpose.lite.further import plan_further_training
from clickpose.lite.predictor import DEFAULT_FILE
from clickpose.lite.train import LitePlan, TrainingFolder, export_weights
from clickpose.weights_io import load_weights, read_metadata


@pytest.fixture
def make_folder(tmp_path):
    """Makes a folder of so many people, on one photo."""

    def make(name: str, people: int) -> Path:
        folder = tmp_path / name
        (folder / "images").mkdir(parents=True)
        Image.new("RGB", (90, 80)).save(folder / "images" / "a.png")
        image = {"id": 1, "file_name": "a.png", "width": 90, "height": 80}
        person = {"image_id": 1, "category_id": 1, "bbox": [10, 5, 65, 70], "area": 2400.0, "iscrowd": 0}
        annotations = [{**person, "id": i, "keypoints": [20, 30, 2] * 17} for i in range(1, people + 1)]
        (folder / "annotations.json").write_text(json.dumps({"images": [image], "annotations": annotations}))
        return folder

    return make


@pytest.mark.parametrize(("people", "views"), [(3, 16), (250, 8), (3000, 1)])
def test_few_people_are_shown_in_more_views(make_folder, tmp_path, people, views):
    plan = plan_further_training([TrainingFolder(make_folder("few", people))], DEFAULT_FILE, tmp_path / "out")
    assert [(folder.weight, folder.views) for folder in plan.folders] == [(views, views)]


def test_weights_of_several_folders_stay_relative_to_each_other(make_folder, tmp_path):
    folders = [TrainingFolder(make_folder("a", 100)), TrainingFolder(make_folder("b", 100), 0.5)]
    plan = plan_further_training(folders, DEFAULT_FILE, tmp_path / "out")
    assert [folder.weight for folder in plan.folders] == [10, 5]


def test_what_is_asked_for_comes_before_the_defaults(make_folder, tmp_path):
    given = {"trunk_steps": 7, "decoder_steps": 9, "keep": 0.0, "seed": 3, "trust_labels": True}
    plan = plan_further_training([TrainingFolder(make_folder("few", 3))], DEFAULT_FILE, tmp_path / "out", **given)
    assert (plan.trunk.steps, plan.decoder.steps, plan.keep, plan.trust_labels) == (7, 9, 0, True)
    assert (plan.trunk.seed, plan.decoder.seed) == (3, 3)


def test_the_share_of_the_weights_before_is_kept(tmp_path):
    state = {"average": {"w": torch.tensor([4.0, 8.0]), "count": torch.tensor(5)}, "step": 2, "config": "{}"}
    torch.save(state, tmp_path / "checkpoint.pt")
    before = {"w": torch.tensor([0.0, 16.0]), "count": torch.tensor(1)}
    export_weights(tmp_path / "checkpoint.pt", tmp_path / "a.safetensors", None, before, 0.25)
    weights = load_weights(tmp_path / "a.safetensors", kind="lite")
    assert weights["w"].tolist() == [3.0, 10.0] and weights["count"].item() == 5
    assert read_metadata(tmp_path / "a.safetensors")["kept"] == "0.25"


@pytest.mark.parametrize("keep", [1.0, -0.1])
def test_a_share_that_leaves_nothing_new_is_refused(tmp_path, keep):
    with pytest.raises(ValueError, match="share of the weights from 0 to below 1"):
        LitePlan([], DEFAULT_FILE, tmp_path, keep=keep)
