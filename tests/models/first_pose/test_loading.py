"""Networks of first poses by name, and what is said of names that lead nowhere."""

import numpy as np
import pytest

import clickpose
from clickpose.build import check_named, chosen_options
from clickpose.first_pose.loading import KINDS, FirstSpec, is_merged, load_first
from clickpose.first_pose.network import FirstPoseError
from clickpose.skeleton import COCO
from helpers.first_networks import InBoxes, save_peak_movenet, save_peak_yolo

SOURCE = """
import numpy as np

def look(image, boxes_xyxy):
    if boxes_xyxy is None:
        return None
    middle = (boxes_xyxy[:, None, :2] + boxes_xyxy[:, None, 2:]) / 2
    scores = np.ones((len(boxes_xyxy), 2))
    return {"keypoints": np.repeat(middle, 2, axis=1), "scores": scores, "skeleton": look.skeleton}

class Seer:
    name = "seer of all"

look.skeleton = "SKELETON"
number = 7
"""
GOLF = "name: golf\njoints: {left_wrist: , nose: }\nedges: []\n"


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "golf.yaml").write_text(GOLF)
    (tmp_path / "my_seer.py").write_text(SOURCE.replace("SKELETON", str(tmp_path / "golf.yaml")))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "my_seer.py"


def test_a_name_has_a_kind_what_to_load_and_options():
    spec = FirstSpec.parse("results:out,of the way.json,skeleton=halpe,images=a=b.json")
    assert (spec.kind, spec.what) == ("results", "out,of the way.json")
    assert spec.options == {"skeleton": "halpe", "images": "a=b.json"}
    for text in ("movenet", "movenet:", "", ":x"):
        with pytest.raises(FirstPoseError, match="Expected first poses of kind:what"):
            FirstSpec.parse(text or " ")


def test_what_is_missing_is_said_before_anything_is_loaded(tmp_path, monkeypatch):
    with pytest.raises(FirstPoseError, match=r"Expected an ONNX file of MoveNet SinglePose at none\.onnx, found no"):
        check_named("lite", None, "movenet:none.onnx")
    with pytest.raises(ValueError, match="Expected the network lite, which corrects first poses of others, got 'r50'"):
        check_named("r50", tmp_path, "movenet:none.onnx")
    with pytest.raises(ValueError, match="Expected the network lite, which corrects"):
        chosen_options("none", first="movenet:none.onnx")
    assert chosen_options("lite") == {} and chosen_options("lite", False, "a:b") == {"flip_test": False, "first": "a:b"}
    for kind in KINDS.values():
        if kind.extra is not None:
            monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
            with pytest.raises(FirstPoseError, match=rf'pip install "clickpose\[{kind.extra}\]"'):
                FirstSpec(next(k for k, v in KINDS.items() if v is kind), "x").check()


def test_options_are_those_of_the_kind_and_a_name_of_ones_own(tmp_path):
    path = save_peak_movenet(tmp_path / "my net+1.onnx")
    assert load_first(f"movenet:{path}").name == "my-net-1"
    assert load_first(f"movenet:{path},name=lightning").name == "lightning"
    with pytest.raises(FirstPoseError, match="Expected options of movenet among merge, name, got side"):
        load_first(f"movenet:{path},side=3")
    assert [is_merged(f"movenet:{path}{said}") for said in ("", ",merge=yes", ",merge=no")] == [False, True, False]
    assert load_first(f"movenet:{path},merge=yes").name == "my-net-1" and not is_merged(InBoxes())
    with pytest.raises(FirstPoseError, match="Expected merge=yes or merge=no of first poses, got 'maybe'"):
        FirstSpec.parse(f"movenet:{path},merge=maybe").check()
    network = InBoxes()
    assert load_first(network) is network


@pytest.mark.parametrize("text", ["my_seer:look", "my_seer.py:look", "function:my_seer.py:look"])
def test_a_function_of_ones_own_is_imported_from_a_module_or_a_file(module, text):
    network = load_first(text)
    assert network.name == "look" and network.skeleton.names == ("left_wrist", "nose")
    boxes = np.array([[0.0, 0, 10, 20], [4, 4, 8, 8]])
    assert network.find(np.zeros((9, 9, 3), np.uint8)) is None
    poses = network.pose(np.zeros((9, 9, 3), np.uint8), boxes)
    assert poses.keypoints[:, 1].tolist() == [[5, 10], [6, 6]]
    changed = load_first(text).fingerprint == network.fingerprint
    module.write_text(module.read_text() + "\n# other weights\n")
    assert changed and load_first("function:my_seer.py:look").fingerprint != network.fingerprint


def test_a_function_that_is_none_is_named(module):
    for text, sentence in (
        ("my_seer:gone", "Expected a function gone in my_seer, got none"),
        ("no_such_module_here:look", "Expected a function look in no_such_module_here, got none: No module"),
        ("nowhere.py:look", r"Expected a function look in nowhere\.py, got none: no such file"),
        ("my_seer:number", "Expected a function number in my_seer, got int"),
    ):
        with pytest.raises(FirstPoseError, match=sentence):
            load_first(text)


def test_a_function_may_find_people_and_must_keep_to_the_form():
    boxes = np.array([[10.0, 10, 50, 90], [100, 10, 150, 90]])

    def finder(image, boxes_xyxy):
        return {"keypoints": np.ones((2, 17, 2)) * [[[30]], [[120]]], "scores": np.ones((2, 17)), "boxes_xyxy": boxes}

    network = load_first(finder)
    photo = np.zeros((100, 200, 3), np.uint8)
    assert len(network.find(photo)) == 2 and network.skeleton is COCO
    assert network.pose(photo, boxes[::-1] + 1).keypoints[:, 0, 0].tolist() == [120, 30]
    for answer, sentence in (
        (3, "Expected <lambda> to return a mapping, got int"),
        ({"keypoints": np.ones((2, 17, 2))}, "Expected <lambda> to return scores, got none"),
        ({"keypoints": np.ones((1, 14, 2)), "scores": np.ones((1, 14)), "skeleton": "crowdpose"}, "say so beforehand"),
    ):
        with pytest.raises(FirstPoseError, match=sentence):
            load_first(lambda image, boxes_xyxy, answer=answer: answer).find(photo)


def test_lite_loads_with_first_poses():
    predictor = clickpose.load("lite", first=InBoxes())
    assert predictor.name == "grid+lite" and predictor.fingerprint.startswith("1111+") and predictor.own.name == "lite"


def test_a_gpu_that_onnx_runtime_cannot_use_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    save_peak_yolo(tmp_path / "net.onnx")
    with pytest.raises(ValueError, match=r"Expected an ONNX Runtime for cuda:1 \(onnxruntime-gpu\)"):
        load_first(f"yolo:{tmp_path / 'net.onnx'}", device="cuda:1")
