"""Rotations as axis-angle vectors, as body models take them."""

from __future__ import annotations

import torch
from torch import Tensor


def rotation_matrices(vectors: Tensor) -> Tensor:
    """Return (..., 3, 3) rotations by (..., 3) axis-angle vectors (Rodrigues' formula)."""
    angle = (vectors.square().sum(dim=-1) + 1e-12).sqrt()
    x, y, z = (vectors / angle[..., None]).unbind(dim=-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    sin, cos = angle.sin()[..., None, None], angle.cos()[..., None, None]
    return torch.eye(3, dtype=vectors.dtype) + sin * cross + (1 - cos) * (cross @ cross)
