"""Sine embeddings of positions: of the cells of a feature map, and of query boxes (DETR, 2020; DAB-DETR, 2022)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

MAP_TEMPERATURE = 20
QUERY_TEMPERATURE = 10000
_EPS = 1e-6


def sine_waves(values: Tensor, dim: int, temperature: float) -> Tensor:
    """Embed (..., n) angles as (..., n, dim): sine and cosine in turn, at dim / 2 falling frequencies."""
    step = torch.arange(0, dim, 2, dtype=values.dtype, device=values.device) / dim
    angles = values[..., None] / temperature**step
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def embed_map(padding_mask: Tensor, dim: int) -> Tensor:
    """Embed the cells of a feature map; positions run from 0 to 2 pi over the part that is not padding.

    Args:
        padding_mask: (B, H, W) bool, True where there is no image.
        dim: channels, half of them for y and half for x.

    Returns:
        (B, dim, H, W), y before x.
    """
    inside = (~padding_mask).float()
    y, x = inside.cumsum(1), inside.cumsum(2)
    y = y / (y[:, -1:] + _EPS) * 2 * math.pi
    x = x / (x[:, :, -1:] + _EPS) * 2 * math.pi
    waves = [sine_waves(values, dim // 2, MAP_TEMPERATURE) for values in (y, x)]
    return torch.cat(waves, dim=-1).permute(0, 3, 1, 2)


def embed_boxes(boxes_cxcywh: Tensor, dim: int) -> Tensor:
    """Embed (..., 4) boxes in 0..1 as (..., 2 · dim), in the order y, x, width, height."""
    waves = sine_waves(boxes_cxcywh * 2 * math.pi, dim // 2, QUERY_TEMPERATURE)  # (..., 4, dim / 2)
    return waves[..., [1, 0, 2, 3], :].flatten(-2)


def inverse_sigmoid(values: Tensor, eps: float = 1e-3) -> Tensor:
    """Return the logits of (...) values in 0..1, kept ``eps`` away from both ends."""
    return torch.log(values.clamp(eps, 1) / (1 - values).clamp(eps, 1))
