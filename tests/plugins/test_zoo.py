"""The remote zoo source in plugins/zoo, registered and loaded through FiftyOne's own zoo."""

import shutil
from pathlib import Path

import fiftyone as fo
import fiftyone.zoo as foz
import numpy as np
import pytest
from PIL import Image

from helpers import tiny_r50

ZOO = Path(__file__).resolve().parents[2] / "plugins" / "zoo"


@pytest.fixture(scope="module")
def source(fiftyone_home):
    """The source where FiftyOne puts one that it downloaded."""
    target = fiftyone_home / "models" / "clickpose_zoo"  # as the manifest names it; "clickpose" would hide the package
    shutil.copytree(ZOO, target)
    yield target
    shutil.rmtree(target)


def test_the_zoo_has_both_networks_and_loads_the_shipped_one(source):
    assert {"clickpose-lite", "clickpose-r50"} <= set(foz.list_zoo_models())
    model = foz.load_zoo_model("clickpose-lite", min_score=0.5)
    assert (source / "clickpose-lite.safetensors").is_file()
    assert model.min_score == 0.5
    assert model.predict(np.zeros((64, 64, 3), np.uint8)).keypoints == []


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A file of random weights as the official code writes it, of a tiny end-to-end network."""
    return tiny_r50.write_checkpoint(tmp_path_factory.mktemp("r50") / "tiny.pth", tiny_r50.tiny_network())


@pytest.fixture
def photos(new_dataset, tmp_path, rng):
    """Three photos of two sizes with a box each, the last one with two."""
    samples = []
    for index, side in enumerate((64, 96, 64)):
        path = tmp_path / f"{index}.png"
        Image.fromarray(rng.integers(0, 256, (64, side, 3), np.uint8)).save(path)
        corners = [[0.25, 0.25, 0.5, 0.5], [0.5, 0.0, 0.25, 1.0]][: 1 + index // 2]
        boxes = [fo.Detection(label="person", bounding_box=box) for box in corners]
        samples.append(fo.Sample(str(path), people=fo.Detections(detections=boxes)))
    return new_dataset(*samples)


def test_the_end_to_end_network_runs_from_the_zoo_with_boxes_and_batches(source, checkpoint, photos):
    with pytest.raises(ValueError, match=r"ships none: foz\.load_zoo_model\('clickpose-r50', checkpoint='<file>'"):
        foz.load_zoo_model("clickpose-r50")
    model = foz.load_zoo_model("clickpose-r50", checkpoint=str(checkpoint), min_score=0.0)
    assert model.predictor.name == "r50" and model.predictor.skeleton.name == "coco"
    photos.apply_model(model, label_field="found", batch_size=2, skip_failures=False)
    photos.apply_model(model, label_field="prompted", prompt_field="people", batch_size=2, skip_failures=False)
    prompted = photos.values("prompted")
    assert [len(label.keypoints) for label in prompted] == [1, 1, 2]
    for sample, label in zip(photos, prompted, strict=True):
        model.predictor.set_image(np.array(Image.open(sample.filepath)))
        width = 96 if sample.filepath.endswith("1.png") else 64
        boxes = np.array([d.bounding_box for d in sample.people.detections]) * (width, 64, width, 64)
        expected = model.predictor.predict(np.c_[boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])
        np.testing.assert_allclose([k.points for k in label.keypoints], expected.keypoints / (width, 64), rtol=1e-5)
    found = photos.values("found")
    assert all(np.isfinite(keypoint.points).all() for label in found for keypoint in label.keypoints)


def test_a_checkpoint_that_was_put_into_the_zoo_is_taken(source, checkpoint):
    shutil.copy(checkpoint, source / "clickpose-r50.pth")
    assert foz.load_zoo_model("clickpose-r50", min_score=0.1).predictor.name == "r50"
