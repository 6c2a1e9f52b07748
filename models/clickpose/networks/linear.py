"""Linear layers on a CPU by oneDNN, which multiplies matrices up to 2.5 times as fast as what PyTorch calls by itself.

In single precision PyTorch calls MKL, which on processors of other makers than Intel reaches less than half of their
speed. oneDNN is part of the same PyTorch and knows them all. It is reached by the operator that ``torch.compile`` puts
in the place of a linear layer; where that is missing, or a gradient is wanted, PyTorch chooses.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_FEWEST_ROWS, _LEAST_PACKED = 4, 2**15  # rows, and numbers of a weight, for which a packed product is quicker
_LEAST_WORK = 2**21  # multiplications for which the call is worth its overhead, which is twice that of a plain one
_ONEDNN = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None


class Linear(nn.Linear):
    """A linear layer, with a ReLU after it if wanted.

    Attributes:
        packed: the weights once more, in oneDNN's own layout; None unless :func:`pack` made them, also in copies.
    """

    packed: Tensor | None = None

    def __getstate__(self) -> dict:
        """Return what a copy or a pickle holds: all but what is packed, which has no form outside of oneDNN."""
        return {name: value for name, value in self.__dict__.items() if name != "packed"}

    def forward(self, x: Tensor, relu: bool = False) -> Tensor:
        """Map (..., in_features) to (..., out_features)."""
        many = x.numel() >= _FEWEST_ROWS * self.in_features
        if _ONEDNN is not None and self.packed is not None and many and not torch.is_grad_enabled():
            return _ONEDNN(x, self.packed, self.bias, "relu" if relu else "none", [], "")
        return linear(x, self.weight, self.bias, relu)


def pack(module: nn.Module, rows: int) -> None:
    """Keep larger weights of a module in oneDNN's own layout too, into which each product brings them otherwise.

    Where few rows are multiplied, as for one person, most of the time goes into that. Call it for inference in single
    precision on the CPU, when the weights are final: later changes of them have no effect.

    Args:
        module: whose :class:`Linear` layers are packed.
        rows: about how many are multiplied at once.
    """
    for layer in module.modules():
        if _ONEDNN is not None and isinstance(layer, Linear) and layer.weight.numel() >= _LEAST_PACKED:
            layer.packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), rows)


def linear(x: Tensor, weight: Tensor, bias: Tensor, relu: bool = False) -> Tensor:
    """Return x @ weight.T + bias, above 0 if ``relu``; the same from any library but for rounding.

    Args:
        x: (..., in_features).
        weight: (out_features, in_features).
        bias: (out_features,).
        relu: cut off what is below 0.
    """
    if _ONEDNN is not None and _by_onednn(x, weight):
        return _ONEDNN(x, weight, bias, "relu" if relu else "none", [], "")
    y = F.linear(x, weight, bias)
    return F.relu(y) if relu else y


def _by_onednn(x: Tensor, weight: Tensor) -> bool:
    return (
        not torch.is_grad_enabled()
        and x.numel() * weight.shape[0] >= _LEAST_WORK
        and x.dtype == weight.dtype == torch.float32
        and x.device.type == "cpu"
        and not torch.onnx.is_in_onnx_export()
    )
