"""Pose-error modelling (Click-Pose, Sec. 3.2): corrupt true poses with the four errors of Ronchi and Perona (2017).

Jitter (near miss), miss (far off), swap (another person's joint) are displacements bounded by the box; inversion
exchanges left and right with probability 0.4. Some joints are kept right, as references for the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PoseErrorConfig:
    """Rates of the errors; a joint suffers at most one displacement.

    Attributes:
        keep: probability range that a joint is kept right; drawn anew for each person.
        inversion: probability that a left/right pair is exchanged, unless one of the two is kept right.
        miss: share of the displaced joints that land anywhere in the person's box.
        swap: share that land on another joint of the same kind elsewhere (a neighbouring person's).
        jitter_sigmas: standard deviation of jitter in units of the joint's OKS sigma times sqrt(area).
    """

    keep: tuple[float, float] = (0.1, 0.7)
    inversion: float = 0.4
    miss: float = 0.2
    swap: float = 0.15
    jitter_sigmas: float = 3.0


def corrupt_poses(
    keypoints_norm: Tensor,
    area_norm: Tensor,
    box_norm: Tensor,
    sigmas: Tensor,
    flip_pairs: tuple[tuple[int, int], ...],
    generator: torch.Generator,
    config: PoseErrorConfig | None = None,
) -> tuple[Tensor, Tensor]:
    """Corrupt true poses.

    Args:
        keypoints_norm: (B, K, 2) true positions in 0..1 of the crop (any value where unlabelled).
        area_norm: (B,) person area in crop units (1 = the whole crop).
        box_norm: (B, 4) xyxy.
        sigmas: (K,) OKS sigmas.
        flip_pairs: left/right joint pairs.
        generator: random numbers.
        config: error rates.

    Returns:
        corrupted (B, K, 2), and kept (B, K) bool: True where the position was left exactly right.
    """
    config = config or PoseErrorConfig()
    batch, joints, _ = keypoints_norm.shape
    device = keypoints_norm.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    low, high = config.keep
    kept = uniform(batch, joints) < low + (high - low) * uniform(batch, 1)
    size = (box_norm[:, 2:] - box_norm[:, :2]).clamp(min=1e-3)[:, None]  # (B, 1, 2)

    noise = torch.randn(batch, joints, 2, generator=generator, device=device)
    strength = config.jitter_sigmas * uniform(batch, 1, 1)
    jitter = noise * strength * sigmas[:, None] * area_norm.clamp(min=1e-6).sqrt()[:, None, None]
    displacement = (uniform(batch, joints, 2) * 2 - 1) * size * uniform(batch, joints, 2)  # |dx| < lx · w
    corrupted = keypoints_norm + jitter

    kind = uniform(batch, joints)
    missed = kind < config.miss
    swapped = (kind >= config.miss) & (kind < config.miss + config.swap)
    corrupted = torch.where(missed[..., None], keypoints_norm + displacement / 2, corrupted)
    # A swap moves the joint to where a neighbour of the same build, shifted by up to a box width, has it.
    neighbour = (uniform(batch, 1, 2) * 2 - 1) * size
    corrupted = torch.where(swapped[..., None], keypoints_norm + neighbour * 0.7 + jitter, corrupted)
    corrupted = torch.where(kept[..., None], keypoints_norm, corrupted)

    for left, right in flip_pairs:
        invert = (uniform(batch) < config.inversion) & ~kept[:, left] & ~kept[:, right]
        exchanged = corrupted[:, [right, left]]
        corrupted[:, [left, right]] = torch.where(invert[:, None, None], exchanged, corrupted[:, [left, right]])
    return corrupted, kept
