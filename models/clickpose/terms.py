"""What losses, matching and simulated clicks are made of: how far joints and boxes are from the truth."""

from __future__ import annotations

import torch
from torch import Tensor


def oks_terms(predicted: Tensor, truth: Tensor, area: Tensor, sigmas: Tensor) -> Tensor:
    """Return exp(-d² / (2 · area · (2 sigma)²)) for each joint (CCNet Eq. 6; COCO's k = 2 sigma).

    Args:
        predicted, truth: (..., K, 2) in the same unit.
        area: (...,) in that unit squared.
        sigmas: (K,).
    """
    return torch.exp(-squared_tolerances(predicted, truth, area, sigmas))


def squared_tolerances(predicted: Tensor, truth: Tensor, area: Tensor, sigmas: Tensor) -> Tensor:
    """Return how far off each joint is: minus the logarithm of :func:`oks_terms`, of the same arguments."""
    squared = (predicted - truth).square().sum(-1)
    return squared / (8 * area.clamp(min=1e-9)[..., None] * sigmas.square())


def grow_boxes_tensor(boxes_xyxy: Tensor, keypoints: Tensor, held: Tensor | None = None) -> Tensor:
    """Return boxes grown so that they hold joints, as :func:`clickpose.boxes.grow_boxes` does.

    Args:
        boxes_xyxy: (..., 4); one that is nowhere (NaN) becomes that of the joints.
        keypoints: (..., K, 2) in the boxes' unit; joints that are nowhere (NaN) are left out.
        held: (..., K) bool, the joints that count; None for all.
    """
    counted = keypoints.isfinite().all(-1) if held is None else keypoints.isfinite().all(-1) & held
    low = keypoints.masked_fill(~counted[..., None], float("inf")).amin(-2)
    high = keypoints.masked_fill(~counted[..., None], float("-inf")).amax(-2)
    first, last = boxes_xyxy[..., :2], boxes_xyxy[..., 2:]  # torch.fmin and fmax, which ONNX cannot say
    first, last = torch.where(first.isnan(), low, first), torch.where(last.isnan(), high, last)
    return torch.cat([torch.minimum(first, low), torch.maximum(last, high)], -1)


def box_terms(boxes: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Return the L1 distance and 1 - GIoU (Rezatofighi et al., 2019) of (..., 4) xyxy boxes."""
    l1 = (boxes - truth).abs().sum(-1)
    inner = (torch.minimum(boxes[..., 2:], truth[..., 2:]) - torch.maximum(boxes[..., :2], truth[..., :2])).clamp(min=0)
    outer = (torch.maximum(boxes[..., 2:], truth[..., 2:]) - torch.minimum(boxes[..., :2], truth[..., :2])).prod(-1)
    area = (boxes[..., 2:] - boxes[..., :2]).prod(-1) + (truth[..., 2:] - truth[..., :2]).prod(-1)
    inner = inner.prod(-1)
    union = (area - inner).clamp(min=1e-6)
    giou = inner / union - (outer - union) / outer.clamp(min=1e-6)
    return l1, 1 - giou
