"""First poses of another network in the service: who made a prediction stays with it, and no click depends on them."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import clickpose
from clickpose import cli
from clickpose.first_pose.network import FirstPoses
from clickpose.first_pose.predictor import FirstPosePredictor
from clickpose.named_image import name_of
from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.service import AnnotationService
from clickpose_labelstudio.settings import ServiceSettings
from helpers import fakes
from helpers.first_networks import InBoxes, grid

XML = build_labeling_config()
BOXES = [[20.0, 30.0, 120.0, 200.0], [150.0, 40.0, 260.0, 220.0]]


class Named(InBoxes):
    """Remembers the names of the photos that it was shown; fails while ``broken``."""

    def __init__(self):
        super().__init__()
        self.names, self.broken = [], False

    def pose(self, image, boxes_xyxy) -> FirstPoses:
        self.names.append(name_of(image))
        if self.broken:
            raise RuntimeError("out of memory")
        return super().pose(image, boxes_xyxy)


@pytest.fixture
def first():
    return Named()


@pytest.fixture
def service(first):
    predictor = FirstPosePredictor(fakes.FakePredictor(), first)
    names = ("/data/a.png", "/data/upload/3/22ef5c30-b.png", "/data/c.png")
    images = {name: fakes.blank_image() + np.uint8(number) for number, name in enumerate(names)}
    return AnnotationService(lambda: predictor, fakes.FakeImages(images), fakes.MemoryRegions())


def predict(service, reference="/data/a.png", context=None, **data):
    (reply,) = service.predict([{"id": 1, "data": {"image": reference, **data}}], XML, context)
    return reply


def test_predictions_are_the_first_networks_and_say_so(service, first):
    reply = predict(service)
    joints = [item for item in reply["result"] if item["type"] == "keypointlabels"]
    noses = [i["value"] for i in joints if i["value"]["keypointlabels"] == ["nose"]]
    expected = [grid(box, 17)[0] / [3.2, 2.4] for box in BOXES]
    np.testing.assert_allclose([[nose["x"], nose["y"]] for nose in noses], expected)
    assert reply["model_version"] == f"clickpose-grid+fake-{clickpose.__version__}-1111+f00dfeed"
    assert first.asked == 2


def test_a_photo_goes_by_the_name_that_other_files_have(service, first):
    predict(service)
    predict(service, "/data/upload/3/22ef5c30-b.png")
    predict(service, "/data/c.png", file_name="set/c.jpg")
    assert first.names == ["data/a.png", "b.png", "set/c.jpg"]


def test_a_network_that_fails_costs_its_photo_and_no_click(service, first, caplog):
    first.broken = True
    assert predict(service) == {"error": "grid failed on this photo: out of memory"}
    first.broken = False
    result = predict(service)["result"]
    first.broken = True
    nose = next(item for item in result if item["id"].endswith("-nose"))
    moved = {**nose, "origin": "prediction-changed", "value": {**nose["value"], "x": 95.0}}  # beyond what was encoded
    shown = [moved if item is nose else item for item in result]
    reply = predict(service, context={"result": shown, "edited": [nose["id"]]})
    kept = next(item for item in reply["result"] if item["id"] == nose["id"])
    assert kept["value"]["x"] == 95.0 and len(reply["result"]) >= 17
    assert "Refined without a first pose" in caplog.text


def test_the_setting_is_read_and_passed_on():
    settings = ServiceSettings.from_environment({"CLICKPOSE_FIRST": "movenet:thunder.onnx"})
    assert settings.first == "movenet:thunder.onnx"
    assert settings.to_environment()["CLICKPOSE_FIRST"] == "movenet:thunder.onnx"
    with pytest.raises(ValueError, match="Expected the network lite, which corrects first poses of others, got 'r50'"):
        ServiceSettings.from_environment({"CLICKPOSE_FIRST": "movenet:x", "CLICKPOSE_MODEL": "r50"})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["labelstudio", "start", "--first", "movenet:none.onnx"],
            "MoveNet SinglePose at none.onnx, found",
        ),
        (["labelstudio", "start", "--first", "movenet"], "Expected first poses of kind:what"),
        (["labelstudio", "start", "--first", "movenet:x", "--model", "r50"], "which corrects first poses of others"),
        (["labelstudio", "start", "--first", "a:b", "--backend-url", "http://localhost:1"], "got --backend-url"),
        (["serve", "--first", "yolo:none.onnx"], "YOLO pose network at none.onnx, found no such file"),
        (["predict", "none.jpg", "--first", "rtmlib"], "Expected first poses of kind:what"),
    ],
)
def test_what_cannot_be_had_is_refused_before_anything_starts(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "none.jpg").touch()
    refused = CliRunner().invoke(cli.app, arguments)
    assert refused.exit_code == 2 and sentence in refused.stderr
    assert not (tmp_path / ".clickpose").exists()


def test_the_environment_names_it_for_commands_and_make_does(tmp_path):
    (tmp_path / "a.jpg").touch()
    refused = CliRunner().invoke(cli.app, ["predict", str(tmp_path / "a.jpg")], env={"CLICKPOSE_FIRST": "movenet:gone"})
    assert refused.exit_code == 2 and "MoveNet SinglePose at gone" in refused.stderr
    makefile = Path(clickpose.__file__).parents[2] / "Makefile"
    if not makefile.exists():
        pytest.skip("needs a checkout")
    command = ["make", "-n", "-C", str(makefile.parent), "run", "FIRST=movenet:a.onnx,name=b"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert '--first "movenet:a.onnx,name=b"' in printed
