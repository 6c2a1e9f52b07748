"""Hungarian matching (DETR, 2020, Eq. 1): which query answers for which annotated person.

Costs are the terms of the losses: focal classification, box L1 and GIoU, keypoint L1 and OKS. The box's costs are zero
once a query has keypoints: those say better who it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from clickpose.networks.clickpose import center_to_corners
from clickpose.terms import box_terms, oks_terms

NOBODY = -1
_FOCAL_ALPHA, _FOCAL_GAMMA = 0.25, 2.0


@dataclass(frozen=True)
class MatchCosts:
    """Weights of the costs; those of the losses are the same in the published configuration."""

    person: float = 2.0
    box_l1: float = 5.0
    box_giou: float = 2.0
    keypoint_l1: float = 10.0
    oks: float = 4.0


class Targets(NamedTuple):
    """Annotated persons of B images, padded to N; coordinates in 0..1 of the image without its padding.

    Attributes:
        boxes_norm: (B, N, 4) cx, cy, w, h.
        keypoints_norm: (B, N, K, 2); any finite value where not labelled.
        labelled: (B, N, K) bool.
        area_norm: (B, N) share of the image's area.
        aspect: (B, 2) what turns x and y of 0..1 into one unit, the square root of the image's area: without it a pixel
            counts for more across the short side than along the long one.
        present: (B, N) bool, False for filled-up places.
    """

    boxes_norm: Tensor
    keypoints_norm: Tensor
    labelled: Tensor
    area_norm: Tensor
    aspect: Tensor
    present: Tensor


@torch.no_grad()
def match_people(
    person_logits: Tensor,
    boxes_norm: Tensor,
    keypoints_norm: Tensor | None,
    targets: Targets,
    sigmas: Tensor,
    costs: MatchCosts | None = None,
) -> Tensor:
    """Match queries to persons, each person once, at the least total cost of an image.

    Args:
        person_logits: (B, Q) of the class person.
        boxes_norm: (B, Q, 4) cx, cy, w, h.
        keypoints_norm: (B, Q, K, 2), or None before there are any.
        targets: annotated persons.
        sigmas: (K,) OKS sigmas.
        costs: weights.

    Returns:
        (B, Q) index of each query's person, -1 for nobody. Where there are more persons than queries, some get none.

    Raises:
        FloatingPointError: if a cost is not finite, as after a diverged step.
    """
    costs = costs or MatchCosts()
    cost = costs.person * focal_cost(person_logits.float())[:, :, None]
    if keypoints_norm is None:
        l1, giou = box_distances(boxes_norm.float()[:, :, None], targets.boxes_norm[:, None])
        cost = cost + costs.box_l1 * l1 + costs.box_giou * giou
    else:
        l1, oks = pose_distances(keypoints_norm.float()[:, :, None], targets, sigmas)
        cost = cost + costs.keypoint_l1 * l1.sum(-1) + costs.oks * (1 - oks)
    if not torch.isfinite(cost).all():
        raise FloatingPointError("Expected finite costs of matching, got NaN or infinity: the training has diverged")
    person = torch.full(person_logits.shape, NOBODY)
    for image, (matrix, present) in enumerate(zip(cost.cpu(), targets.present.cpu(), strict=True)):
        persons = present.nonzero()[:, 0]
        queries, columns = linear_sum_assignment(matrix[:, persons].numpy())
        person[image, queries] = persons[columns]
    return person.to(person_logits.device)


def focal_cost(logits: Tensor) -> Tensor:
    """Return the focal loss (Lin et al., 2017, Eq. 5) of calling a query a person less that of calling it none."""
    person, nobody = focal_terms(logits)
    return person - nobody


def focal_terms(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the focal loss of each logit if the answer is yes, and if it is no."""
    probability = logits.sigmoid()
    yes = _FOCAL_ALPHA * (1 - probability) ** _FOCAL_GAMMA * -F.logsigmoid(logits)
    no = (1 - _FOCAL_ALPHA) * probability**_FOCAL_GAMMA * -F.logsigmoid(-logits)
    return yes, no


def box_distances(boxes_norm: Tensor, truth_norm: Tensor) -> tuple[Tensor, Tensor]:
    """Return the L1 distance and 1 - GIoU of (..., 4) boxes cx, cy, w, h, broadcast against each other."""
    l1 = (boxes_norm - truth_norm).abs().sum(-1)
    return l1, box_terms(center_to_corners(boxes_norm), center_to_corners(truth_norm))[1]


def pose_distances(keypoints_norm: Tensor, targets: Targets, sigmas: Tensor) -> tuple[Tensor, Tensor]:
    """Compare poses with the annotated ones.

    Args:
        keypoints_norm: (B, Q or 1, N or 1, K, 2).
        targets: annotated persons.
        sigmas: (K,).

    Returns:
        ``|dx| + |dy|`` of every joint (B, Q, N, K), 0 where not labelled, and the OKS (B, Q, N).
    """
    labelled = targets.labelled[:, None]
    truth = targets.keypoints_norm[:, None]
    l1 = (keypoints_norm - truth).abs().sum(-1) * labelled
    aspect = targets.aspect[:, None, None, None]
    terms = oks_terms(keypoints_norm * aspect, truth * aspect, targets.area_norm[:, None], sigmas)
    return l1, (terms * labelled).sum(-1) / labelled.sum(-1).clamp(min=1)
