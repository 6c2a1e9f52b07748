"""MoveNet's graph of TensorFlow.js becomes ONNX: small graphs of the same operations against PyTorch's."""

import base64
import json

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from clickpose.first_pose.movenet_tfjs import movenet_onnx
from clickpose.first_pose.network import FirstPoseError

SIDE = 16
HEADS = {
    "kpt_heatmap_0/conv2d_5": 17,
    "kpt_regress_0/conv2d_6": 34,
    "kpt_offset_0/conv2d_7": 34,
    "center_0/conv2d_4": 1,
}


@pytest.fixture
def graph(tmp_path):
    """A stem of stride 2, a depthwise convolution, an upsampled sum and the four heads; what it must answer."""
    rng = np.random.default_rng(0)
    weights, nodes = {}, []

    def conv(name, source, shape, fused=(), stride=1, operation="_FusedConv2D"):
        weights[f"{name}/w"] = rng.normal(0, 0.4, shape).astype(np.float32)
        inputs = [source, f"{name}/w"]
        if "BiasAdd" in fused:
            channels = shape[3] if operation == "_FusedConv2D" else shape[2]
            weights[f"{name}/b"] = rng.normal(0, 0.4, channels).astype(np.float32)
            inputs.append(f"{name}/b")
        listed = [base64.b64encode(kind.encode()).decode() for kind in fused]
        attributes = {
            "strides": {"list": {"i": ["1", str(stride), str(stride), "1"]}},
            "fused_ops": {"list": {"s": listed}},
        }
        nodes.append({"name": name, "op": operation, "input": inputs, "attr": attributes})

    size = {"dim": [{"size": str(n)} for n in (1, SIDE, SIDE, 3)]}
    nodes.append({"name": "input", "op": "Placeholder", "attr": {"shape": {"shape": size}}})
    conv("m/Conv1_relu/Relu6", "prepared", (3, 3, 3, 4), ("BiasAdd", "Relu6"), stride=2)
    conv("m/depthwise", "m/Conv1_relu/Relu6", (3, 3, 4, 1), ("BiasAdd", "Relu"), 2, "FusedDepthwiseConv2dNative")
    nodes.append({"name": "m/up", "op": "ResizeBilinear", "input": ["m/depthwise", "size"],
                  "attr": {"half_pixel_centers": {"b": True}}})  # fmt: skip
    nodes.append({"name": "m/add", "op": "AddV2", "input": ["m/up", "m/Conv1_relu/Relu6"], "attr": {}})
    for name, channels in HEADS.items():
        conv(f"{name}/BiasAdd", "m/add", (1, 1, 4, channels), ("BiasAdd",))

    # the first weights are stored in a byte each, the others in halves or as they are
    stored, data = [], b""
    for number, (name, array) in enumerate(weights.items()):
        entry = {"name": name, "shape": list(array.shape), "dtype": "float32"}
        if number == 0:
            scale, low = float(np.ptp(array)) / 255, float(array.min())
            packed = np.rint((array - low) / scale).astype(np.uint8)
            entry["quantization"] = {"dtype": "uint8", "scale": scale, "min": low}
            weights[name] = packed * np.float32(scale) + np.float32(low)
        elif number % 2:
            packed = array.astype(np.float16)
            entry["quantization"] = {"dtype": "float16"}
            weights[name] = packed.astype(np.float32)
        else:
            packed = array
        stored.append(entry)
        data += packed.tobytes()
    (tmp_path / "a.bin").write_bytes(data[:100])
    (tmp_path / "b.bin").write_bytes(data[100:])
    document = {"modelTopology": {"node": nodes}, "weightsManifest": [{"paths": ["a.bin", "b.bin"], "weights": stored}]}
    (tmp_path / "net.json").write_text(json.dumps(document))
    return tmp_path / "net.json", {name: torch.from_numpy(array) for name, array in weights.items()}


def expected(image, weights):
    """Run the graph in PyTorch, padded as TensorFlow pads: right and below first."""

    def kernel(name, depthwise=False):
        return weights[f"{name}/w"].permute(*((2, 3, 0, 1) if depthwise else (3, 2, 0, 1)))

    stem, narrow = "m/Conv1_relu/Relu6", "m/depthwise"
    fine = F.relu6(F.conv2d(F.pad(image, (0, 1, 0, 1)), kernel(stem), weights[f"{stem}/b"], 2))
    coarse = F.relu(F.conv2d(F.pad(fine, (0, 1, 0, 1)), kernel(narrow, True), weights[f"{narrow}/b"], 2, groups=4))
    both = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False) + fine
    return [F.conv2d(both, kernel(f"{name}/BiasAdd"), weights[f"{name}/BiasAdd/b"]) for name in HEADS]


def test_the_heads_answer_as_the_graph_does(graph):
    path, weights = graph
    session = onnxruntime.InferenceSession(movenet_onnx(path))
    image = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 2 - 1
    answers = session.run(None, {"image": image.numpy()})
    assert [len(answer[0]) for answer in answers] == list(HEADS.values())
    for answer, right in zip(answers, expected(image, weights), strict=True):
        np.testing.assert_allclose(answer, right.numpy(), atol=1e-4)
    assert movenet_onnx(path) == movenet_onnx(path)  # its fingerprint is that of these bytes


def test_other_graphs_are_refused(graph, tmp_path):
    path, _ = graph
    document = json.loads(path.read_text())
    for change, sentence in (
        (lambda d: d["modelTopology"]["node"].pop(), "Expected the four heads"),
        (lambda d: d["modelTopology"]["node"][4].update(op="Mystery"), "an unknown operation Mystery at m/add"),
        (lambda d: d.pop("modelTopology"), "Expected a graph model"),
        (lambda d: d["weightsManifest"][0]["paths"].append("c.bin"), "c.bin"),
    ):
        other = json.loads(json.dumps(document))
        change(other)
        (tmp_path / "other.json").write_text(json.dumps(other))
        with pytest.raises(FirstPoseError, match=f"Expected MoveNet SinglePose in .*, got none: .*{sentence}"):
            movenet_onnx(tmp_path / "other.json")
