"""Let the confident predictions through unseen: how many, and how good they will be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.field_names import AUTO_ACCEPTED, PRED, PRED_OKS, TAGS
from clickpose_fiftyone.people_views import of_photos
from clickpose_fiftyone.review import DONE
from clickpose_fiftyone.settling import settle
from clickpose_fiftyone.visibility import write_tag


@dataclass(frozen=True)
class AcceptancePlan:
    """What goes through unseen for a target.

    Attributes:
        target: mean OKS that the accepted people should have.
        threshold: predicted OKS from which a person is accepted; None where nobody is.
        accepted, total: people that go through, of how many.
        expected_oks: mean predicted OKS of the accepted; NaN for nobody.
        measured_oks: mean OKS of those with ground truth, where it is known; else NaN.
    """

    target: float
    threshold: float | None
    accepted: int
    total: int
    expected_oks: float
    measured_oks: float = float("nan")

    def __str__(self) -> str:
        if not self.accepted:
            return f"Nobody of {self.total} people goes through unseen at a target OKS of {self.target:.2f}."
        share = 100 * self.accepted / self.total
        text = (
            f"{self.accepted} of {self.total} people ({share:.0f} %) go through unseen: predicted OKS from "
            f"{self.threshold:.3f}, expected error {1 - self.expected_oks:.3f}."
        )
        return text if np.isnan(self.measured_oks) else f"{text} Measured on labels: {1 - self.measured_oks:.3f}."


def plan_acceptance(pred_oks: np.ndarray, target: float, true_oks: np.ndarray | None = None) -> AcceptancePlan:
    """Accept as many people as possible, best first, while their mean predicted OKS reaches the target.

    Args:
        pred_oks: (N,) calibrated scores; NaN is never accepted.
        target: mean OKS of the accepted, 0..1.
        true_oks: (N,) measured OKS where it is known, else NaN.

    Raises:
        ValueError: for a target outside 0..1.
    """
    if not 0 <= target <= 1:
        raise ValueError(f"Expected a target OKS in 0..1, got {target}")
    scores = np.asarray(pred_oks, np.float64)
    known = np.sort(scores[np.isfinite(scores)])[::-1]
    means = np.cumsum(known) / np.arange(1, len(known) + 1)
    passing = int((means >= target - 1e-12).sum())  # means of falling values fall as well
    if not passing:
        return AcceptancePlan(target, None, 0, len(scores), float("nan"))
    threshold = float(known[passing - 1])
    accepted = scores >= threshold
    if scores[accepted].mean() < target - 1e-12:  # equal scores at the edge: all of them or none
        accepted = scores > threshold
    if not accepted.any():
        return AcceptancePlan(target, None, 0, len(scores), float("nan"))
    measured = float("nan")
    if true_oks is not None and np.isfinite(true_oks[accepted]).any():
        measured = float(np.nanmean(true_oks[accepted]))
    low, mean = float(scores[accepted].min()), float(scores[accepted].mean())
    return AcceptancePlan(target, low, int(accepted.sum()), len(scores), mean, measured)


@of_photos
def auto_accept(
    samples, pred_field: str = PRED, target: float = 0.9, tag: str = AUTO_ACCEPTED, write: bool = True,
    oks_attribute: str | None = None, by: str | None = None,
) -> AcceptancePlan:  # fmt: skip
    """Tag the people that go through unseen.

    Args:
        samples: a dataset or view of images.
        pred_field: Keypoints field with calibrated ``pred_oks``.
        target: mean OKS that the accepted people should have.
        tag: label tag of the accepted, taken from all others.
        write: False to only tell what would happen.
        oks_attribute: attribute with the measured OKS, such as ``"eval_iou"``.
        by: who does it; by default who runs this process.

    Raises:
        ValueError: if the field or the target cannot serve.
    """
    columns = PersonColumns(samples, pred_field)
    scores = columns.scalars(PRED_OKS)
    if not np.isfinite(scores).any():
        raise ValueError(f'Expected field "{pred_field}" to have people with pred_oks, got none; predict first')
    settled = np.array([bool(set(tags or ()) & set(DONE)) for tags in columns.values(TAGS)], bool)
    measured = None if oks_attribute is None else columns.scalars(oks_attribute)
    plan = plan_acceptance(scores, target, measured)
    if write:
        passes = scores >= plan.threshold if plan.threshold is not None else np.zeros(len(scores), bool)
        _write(columns, tag, passes & ~settled, by)
    return plan


def _write(columns: PersonColumns, tag: str, passing: np.ndarray, by: str | None) -> None:
    """Tag the (N,) passing people and no others; the usual tag settles them, which the history tells."""
    if tag != AUTO_ACCEPTED:
        write_tag(columns, tag, passing)
        return
    has = np.array([tag in (known or ()) for known in columns.values(TAGS)], bool)
    write_tag(columns, tag, has & passing)
    ids, photos = np.array(columns.label_ids, dtype=object), columns.sample_ids[columns.rows]
    new = passing & ~has
    if new.any():
        own = set(photos[new].tolist())
        settle(columns.samples, columns.field, ids[new].tolist(), AUTO_ACCEPTED, by, sample_ids=own)
