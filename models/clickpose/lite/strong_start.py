"""What a start that another network gave is worth beside what lite sees: one rule, for first poses and after clicks.

lite's predicted OKS s says how far off it is itself: as if the true joint lay around its own with a variance of
v = (1 - s) / s along each axis, in squared tolerances (2 sigma · sqrt(area)), for then the expected OKS is
1 / (1 + v) = s. A joint of the start counts as a measurement too, of the variance :data:`START_VARIANCE`. Where the two
may be of one joint they are weighed by their variances, so that lite moves a right joint little where it is unsure
itself; where they are too far apart for that, the start is a gross error and lite decides alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clickpose.boxes import BODY_SHARE_OF_BOX
from clickpose.networks.lite_decoder import DecoderOutput
from clickpose.terms import squared_tolerances

START_VARIANCE = 0.2
APART, APART_PER_VARIANCE = 0.5, 1.0
"""Half the squared distance, in squared tolerances, beyond which a start is a gross error, and more of it for each unit
of lite's own variance."""


def hold_start(output: DecoderOutput, start_norm: Tensor, sigmas: Tensor) -> DecoderOutput:
    """Return a decoding whose final positions are weighed with those it started from.

    Args:
        output: of B persons in V variants.
        start_norm: (B, V, K, 2); NaN where there was none. Fixed joints are where they were in both.
        sigmas: (K,) OKS sigmas.
    """
    held = weigh_starts(start_norm, output.keypoints_norm[-1], output.oks_logits, output.boxes_norm[-1], sigmas)
    return output._replace(keypoints_norm=torch.cat([output.keypoints_norm[:-1], held[None]]))


def weigh_starts(start: Tensor, seen: Tensor, oks_logits: Tensor, boxes: Tensor, sigmas: Tensor) -> Tensor:
    """Return the (..., K, 2) positions between ``start`` and ``seen``.

    Args:
        start, seen: (..., K, 2); NaN in ``start`` where there is none.
        oks_logits: (..., K) lite's predicted OKS of what it sees, before the sigmoid.
        boxes: (..., 4) of the persons in the same unit, xyxy.
        sigmas: (K,).
    """
    variance = (-oks_logits).exp()
    apart = squared_tolerances(start, seen, _areas(boxes), sigmas)
    is_wrong = ~(apart <= APART + APART_PER_VARIANCE * variance)  # also where it is nowhere
    share = torch.where(is_wrong, torch.ones_like(apart), START_VARIANCE / (START_VARIANCE + variance))
    return torch.where(is_wrong[..., None], seen, start + share[..., None] * (seen - start))


def start_oks(start: Tensor, seen: Tensor, oks_logits: Tensor, boxes: Tensor, sigmas: Tensor) -> Tensor:
    """Return the expected OKS (..., K) of joints as they start, from what lite sees: s / (1 + s · d² / 2).

    With errors of a Gaussian it would be s · exp(-s · d² / 2); lite's are at times much larger than it says, and this
    is as exact and better calibrated (ECE .022 and .009 for .029 and .024; MoveNet, the two development sets).

    Arguments as for :func:`weigh_starts`; 0 where there is no start.
    """
    apart = squared_tolerances(start, seen, _areas(boxes), sigmas)
    own = oks_logits.sigmoid()
    return (own / (1 + own * apart)).nan_to_num(nan=0.0)


def _areas(boxes: Tensor) -> Tensor:
    return BODY_SHARE_OF_BOX * (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-3).prod(-1)
