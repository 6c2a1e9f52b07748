"""Read the published MoveNet Thunder weights from ONNX into :class:`~clickpose.networks.movenet.MoveNetThunder`.

Layers are matched by the names that TensorFlow gave them, so that a reordered file still loads.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clickpose.extras import require_extra
from clickpose.networks.movenet import MoveNetThunder

# The head's names in the graph and in our module.
_HEADS = {
    "center_0": ("center", "separable_conv2d_3", "conv2d_4"),
    "kpt_heatmap_0": ("heatmap", "separable_conv2d_4", "conv2d_5"),
    "kpt_regress_0": ("regression", "separable_conv2d_5", "conv2d_6"),
    "kpt_offset_0": ("offset", "separable_conv2d_6", "conv2d_7"),
}


def _layer_names() -> Iterator[tuple[str, str]]:
    """Yield (end of the layer's name in the graph, name of our module)."""
    yield "model/Conv1/Conv2D", "stem"
    for index in range(17):
        graph = "model/expanded_conv" if index == 0 else f"model/block_{index}"
        if index:
            yield f"{graph}_expand/Conv2D", f"blocks.{index}.expand"
        yield f"{graph}_depthwise/depthwise", f"blocks.{index}.depthwise"
        yield f"{graph}_project/Conv2D", f"blocks.{index}.project"
    yield "model/Conv_1/Conv2D", "top"
    for graph, stride in (("conv2d", "32"), ("conv2d_1", "16"), ("conv2d_2", "8"), ("conv2d_3", "4")):
        yield f"model_1/{graph}", f"lateral.{stride}"
    for graph, stride in (("separable_conv2d", "16"), ("separable_conv2d_1", "8"), ("separable_conv2d_2", "4")):
        yield f"model_1/{graph}/separable_conv2d/depthwise", f"smooth.{stride}.depthwise"
        yield f"model_1/{graph}/separable_conv2d", f"smooth.{stride}.pointwise"
    for graph, (head, separable, conv) in _HEADS.items():
        yield f"{graph}/{separable}/separable_conv2d/depthwise", f"{head}.0.depthwise"
        yield f"{graph}/{separable}", f"{head}.0.pointwise"
        yield f"{graph}/{conv}", f"{head}.1"


def _graph_layer(node: Any) -> str:
    """Name a convolution by its bias, or by its output when it has none, without the operation's suffixes."""
    name = (node.input[2] if len(node.input) > 2 else node.output[0]).removesuffix(":0")
    return name.removesuffix("_bn_offset").removesuffix("/BiasAdd/ReadVariableOp")


def read_movenet_onnx(path: str | Path) -> dict[str, Tensor]:
    """Return the state dict of :class:`MoveNetThunder` from the published ONNX file.

    Args:
        path: ``movenet-thunder-heads.onnx``.

    Raises:
        ValueError: if the file is no ONNX graph, lacks a layer or has one of another shape; or if the extra ``train``
            is not installed.
    """
    require_extra("train", "onnx")
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import numpy_helper

    try:
        graph = onnx.load(str(path)).graph
    except DecodeError as error:
        raise ValueError(f"Expected MoveNet Thunder in {Path(path).name}, got no ONNX graph: {error}") from None
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    convolutions = {_graph_layer(node): node for node in graph.node if node.op_type == "Conv"}
    wanted = MoveNetThunder().state_dict()
    state = {}
    for suffix, module in _layer_names():
        found = [node for name, node in convolutions.items() if name.endswith("/" + suffix)]
        if len(found) != 1:
            raise ValueError(f"Expected one layer {suffix!r} of MoveNet Thunder in {Path(path).name}, got {len(found)}")
        for key, name in zip(("weight", "bias"), found[0].input[1:], strict=False):
            tensor = torch.from_numpy(arrays[name].copy())
            expected = wanted[f"{module}.{key}"].shape
            if tensor.shape != expected:
                raise ValueError(f"Expected {module}.{key} of shape {tuple(expected)}, got {tuple(tensor.shape)}")
            state[f"{module}.{key}"] = tensor
    missing = sorted(set(wanted) - set(state))
    if missing:
        raise ValueError(f"Expected all layers of MoveNet Thunder in {Path(path).name}, got none for {missing[:5]}")
    return state
