"""The human-feedback loop (Click-Pose, Sec. 3.3): simulate the clicks of an annotator on the worst joints."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from clickpose.terms import squared_tolerances


class Clicked(NamedTuple):
    """``keypoints_norm`` (..., K, 2) with the clicked joints put in place; ``fixed`` (..., K) all clicked so far."""

    keypoints_norm: Tensor
    fixed: Tensor


def click_worst(
    predicted: Tensor,
    truth: Tensor,
    labelled: Tensor,
    fixed: Tensor,
    area: Tensor,
    sigmas: Tensor,
    count: Tensor,
    noise: Tensor | None = None,
) -> Clicked:
    """Set the ``count`` worst free labelled joints of each pose to the truth, and fix them.

    Args:
        predicted: (B, K, 2) current pose; its fixed joints stay.
        truth: (B, K, 2).
        labelled: (B, K) bool, joints whose truth is known.
        fixed: (B, K) bool, clicked before.
        area: (B,) person area in the unit of the positions, squared.
        sigmas: (K,).
        count: (B,) int, clicks for each person; fewer are made when fewer joints are free.
        noise: (B, K, 2) added to clicked positions (an annotator's imprecision), or None.
    """
    clickable = labelled & ~fixed
    # The term itself is 0 for all joints that are far off; its logarithm still tells which of them is the worst.
    error = squared_tolerances(predicted, truth, area, sigmas).masked_fill(~clickable, -1.0)
    rank = error.argsort(-1, descending=True).argsort(-1)
    clicked = (rank < count[:, None]) & clickable
    target = truth if noise is None else truth + noise
    return Clicked(torch.where(clicked[..., None], target, predicted), fixed | clicked)
