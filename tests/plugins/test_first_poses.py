"""First poses of another network in FiftyOne: predicted, named, and refused where a form would run code."""

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

import clickpose
from clickpose_fiftyone.install import install_plugin
from clickpose_fiftyone.model import PoseModel
from clickpose_fiftyone.predict import predict_poses
from clickpose_fiftyone.provenance import network_of

FUNCTION = """
import numpy as np

names = []

def look(image, boxes_xyxy):
    names.append(image.file_name)
    boxes = np.array([[10.0, 10, 50, 90], [60, 10, 90, 90]])
    keypoints = np.linspace(boxes[:, :2], boxes[:, 2:], 17, axis=1)
    return {"keypoints": keypoints, "scores": np.full((2, 17), 0.25), "boxes_xyxy": boxes}
"""


@pytest.fixture
def photos(new_dataset, tmp_path):
    Image.new("RGB", (120, 100), (90, 90, 90)).save(tmp_path / "a.png")
    (tmp_path / "seer.py").write_text(FUNCTION)
    return new_dataset(fo.Sample(str(tmp_path / "a.png")))


def first_points(dataset, field):
    (keypoints,) = dataset.values(field)
    return sorted((np.array(k.points[0]) * (120, 100)).round(6).tolist() for k in keypoints.keypoints)


def test_poses_are_the_first_networks_and_the_field_says_so(photos, tmp_path):
    spec = f"{tmp_path / 'seer.py'}:look"
    summary = predict_poses(photos, "pred", first=spec)
    assert summary.persons == 2 and not summary.notes
    assert first_points(photos, "pred") == [[10, 10], [60, 10]]
    network = network_of(photos, "pred")
    assert network.model == "look+lite" and network.fingerprint.partition("+")[0]
    assert photos.get_field("pred").description.startswith("Poses predicted by look+lite (coco, weights ")
    model = PoseModel("lite", first=spec)
    photos.apply_model(model, label_field="applied", skip_failures=False)
    assert first_points(photos, "applied") == [[10, 10], [60, 10]]
    assert network_of(photos, "applied") == network  # the people themselves say so
    names = model.predictor.first._function.__globals__["names"]
    assert names and all(name.endswith("a.png") for name in names)
    with pytest.raises(ValueError, match="Expected the name of a network for first poses"):
        predict_poses(photos, "other", clickpose.load("lite"), first=spec)


def test_a_form_runs_no_function_that_the_app_was_not_started_with(photos, fiftyone_home, monkeypatch):
    install_plugin(fiftyone_home / "plugins")
    from pose_review.operators import prediction

    with pytest.raises(ValueError, match="Expected no function of one's own in the form"):
        prediction._refuse_code("os:system")
    prediction._refuse_code("movenet:thunder.onnx")
    monkeypatch.setenv("CLICKPOSE_FIRST", "os:system")
    prediction._refuse_code("os:system")
