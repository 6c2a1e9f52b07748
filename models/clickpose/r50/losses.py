"""Losses of the end-to-end network: classification, box and pose of queries that answer for annotated persons.

Every query of every stage has an assignment: by matching, or by construction (denoising, clicks). The terms are those
of the lite network where both have them: box L1 and GIoU, keypoint L1, OKS.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from clickpose.networks.clickpose import PERSON_CLASS, center_to_corners
from clickpose.networks.human_decoder import BoxReading
from clickpose.networks.keypoint_decoder import PersonReading
from clickpose.r50.matcher import NOBODY, MatchCosts, Targets, focal_terms, match_people
from clickpose.terms import box_terms, oks_terms

_IGNORED_SHARE = 0.5  # of a query's box that must lie in a crowd for it to be neither right nor wrong


class Assignment(NamedTuple):
    """Which annotated person each query answers for.

    Attributes:
        person: (B, Q) index of the person, -1 for nobody.
        weight: (B, Q) how much box and pose count; 0 for nobody.
        class_weight: (B, Q) how much the classification counts; 0 where nothing is known, as in a crowd.
    """

    person: Tensor
    weight: Tensor
    class_weight: Tensor

    @classmethod
    def known(cls, person: Tensor, weight: Tensor | float = 1.0) -> Assignment:
        """Assign by construction; queries of nobody are places to be passed over."""
        weight = (person != NOBODY) * weight
        return cls(person, weight, weight)


def assign_by_matching(
    reading: BoxReading | PersonReading, targets: Targets, ignored_norm: Tensor, sigmas: Tensor, costs: MatchCosts
) -> Assignment:
    """Match a stage's queries to the persons; unmatched ones are nobody, or ignored where they lie in a crowd.

    Args:
        reading: what the stage says.
        targets: annotated persons.
        ignored_norm: (B, R, 4) cx, cy, w, h of regions in which a find is neither right nor wrong.
        sigmas: (K,).
        costs: weights.
    """
    keypoints = getattr(reading, "keypoints_norm", None)
    person = match_people(
        reading.class_logits[..., PERSON_CLASS], reading.boxes_norm, keypoints, targets, sigmas, costs
    )
    found = person != NOBODY
    excused = ~found & (share_inside(reading.boxes_norm.detach().float(), ignored_norm) > _IGNORED_SHARE)
    return Assignment(person, found.float(), (~excused).float())


def share_inside(boxes_norm: Tensor, regions_norm: Tensor) -> Tensor:
    """Return the largest share (B, Q) of each (B, Q, 4) box that one of the (B, R, 4) regions covers, R > 0."""
    boxes, regions = center_to_corners(boxes_norm)[:, :, None], center_to_corners(regions_norm)[:, None]
    low, high = torch.maximum(boxes[..., :2], regions[..., :2]), torch.minimum(boxes[..., 2:], regions[..., 2:])
    covered = (high - low).clamp(min=0).prod(-1)
    return (covered / boxes_norm[..., 2:].prod(-1).clamp(min=1e-9)[:, :, None]).amax(-1)


def stage_losses(
    reading: BoxReading | PersonReading, assignment: Assignment, targets: Targets, sigmas: Tensor, weights: MatchCosts
) -> dict[str, Tensor]:
    """Return the weighted sums of a stage's terms over its queries: person, box, and with poses keypoints.

    Divide them by the number of persons of the batch. ``box`` holds L1 and GIoU, ``keypoints`` L1 and ``oks`` 1 - OKS.
    """
    rows = assignment.person.clamp(min=0)
    boxes = _of_persons(targets.boxes_norm, rows)
    predicted = reading.boxes_norm.float()
    l1 = (predicted - boxes).abs().sum(-1)
    giou = box_terms(center_to_corners(predicted), center_to_corners(boxes))[1]
    losses = {
        "person": weights.person * _person_loss(reading.class_logits.float(), assignment),
        "box": ((weights.box_l1 * l1 + weights.box_giou * giou) * assignment.weight).sum(),
    }
    if isinstance(reading, PersonReading):
        keypoint_l1, oks = pose_terms(reading.keypoints_norm.float(), rows, targets, sigmas)
        losses["keypoints"] = weights.keypoint_l1 * (keypoint_l1 * assignment.weight).sum()
        losses["oks"] = weights.oks * ((1 - oks) * assignment.weight).sum()
    return losses


def pose_terms(keypoints_norm: Tensor, rows: Tensor, targets: Targets, sigmas: Tensor) -> tuple[Tensor, Tensor]:
    """Compare (B, Q, K, 2) poses with the persons ``rows`` (B, Q): L1 summed over labelled joints and OKS, both (B, Q).

    The L1 is in 0..1 of the image, as published; the OKS is in one unit along both axes.
    """
    truth, labelled = _of_persons(targets.keypoints_norm, rows), _of_persons(targets.labelled, rows)
    l1 = ((keypoints_norm - truth).abs().sum(-1) * labelled).sum(-1)
    aspect = targets.aspect[:, None, None]
    terms = oks_terms(keypoints_norm * aspect, truth * aspect, targets.area_norm.gather(1, rows), sigmas)
    return l1, (terms * labelled).sum(-1) / labelled.sum(-1).clamp(min=1)


def _person_loss(logits: Tensor, assignment: Assignment) -> Tensor:
    """Return the focal loss of (B, Q, classes) logits, summed; the class person is right where somebody is answered."""
    yes, no = focal_terms(logits)
    right = torch.zeros_like(logits, dtype=torch.bool)
    right[..., PERSON_CLASS] = assignment.person != NOBODY
    return (torch.where(right, yes, no).sum(-1) * assignment.class_weight).sum()


def _of_persons(values: Tensor, rows: Tensor) -> Tensor:
    """Return the rows (B, Q) of (B, N, ...) values: (B, Q, ...)."""
    index = rows.view(*rows.shape, *[1] * (values.ndim - 2)).expand(*rows.shape, *values.shape[2:])
    return values.gather(1, index)
