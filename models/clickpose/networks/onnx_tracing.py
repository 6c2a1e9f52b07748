"""Write a torch module as an ONNX file."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

OPSET = 17


def trace_onnx(
    module: nn.Module,
    example: tuple[Tensor, ...],
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    free_axes: Mapping[str, Mapping[int, str]],
) -> bytes:
    """Trace a module; the same weights give the same bytes.

    The tracing exporter is used because it keeps axes free, and needs no further packages.

    Args:
        module: in evaluation mode; is left as it is.
        example: inputs of the right shapes and types.
        inputs, outputs: their names, in order.
        free_axes: name -> axis -> what the axis counts, for those whose length is not that of the example.
    """
    with tempfile.TemporaryDirectory() as folder, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecation, and of numbers that the tracer rightly takes for constants
        file = Path(folder) / "traced.onnx"
        torch.onnx.export(
            module, example, file, input_names=list(inputs), output_names=list(outputs),
            dynamic_axes={name: dict(axes) for name, axes in free_axes.items()}, opset_version=OPSET, dynamo=False,
        )  # fmt: skip
        return file.read_bytes()
