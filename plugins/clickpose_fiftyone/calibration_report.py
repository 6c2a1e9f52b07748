"""What the Calibration panel shows, as binned aggregates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from clickpose.metrics.average_precision import RECALLS, evaluate_keypoints
from clickpose.metrics.reliability import ReliabilityDiagram, reliability_diagram
from clickpose.metrics.sparsification import sparsification
from clickpose_fiftyone.calibration import labelled_pairs, labelled_sample
from clickpose_fiftyone.collector import collector_paused
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.field_names import KEYPOINT_OKS, PRED_OKS
from clickpose_fiftyone.kept import kept_while_unchanged
from clickpose_fiftyone.raw_scores import raw_scores
from clickpose_fiftyone.truth import PREDICTION_ATTRIBUTES, TRUTH_ATTRIBUTES, read_predictions, read_truth

BINS = 10
MOST_POINTS = 400  # of a curve: the browser need not draw more
Curve = TypeVar("Curve")


@dataclass(frozen=True, eq=False, kw_only=True)
class DrawnSparsification:
    """A sparsification curve with as many points as are drawn: whole ones take 16 MB for 12,000 people, and are kept.

    Attributes:
        removed, errors, oracle: some 400 points of :class:`~clickpose.metrics.sparsification.SparsificationCurve`.
        ause: of the whole curve.
    """

    removed: np.ndarray
    errors: np.ndarray
    oracle: np.ndarray
    ause: float

    @classmethod
    def of(cls, scores: np.ndarray, errors: np.ndarray) -> DrawnSparsification:
        """Compute it."""
        curve = sparsification(scores, errors)
        step = max(1, len(curve.removed) // MOST_POINTS)
        removed, left, oracle = (values[::step].copy() for values in (curve.removed, curve.errors, curve.oracle))
        return cls(removed=removed, errors=left, oracle=oracle, ause=curve.ause)


@dataclass(frozen=True, eq=False, kw_only=True)
class CalibrationReport:
    """Curves before (raw scores) and after (present scores) calibration; each pair is (before, after).

    Attributes:
        joints: K names.
        reliability: of labelled joints, bins of equal width.
        sparsification: of labelled joints, error 1 - OKS.
        precision: (101,) at OKS .5 by recall 0, .01, …, 1.
        joint_predicted, joint_measured: (K,) mean present score and mean OKS of each joint's labels; NaN without any.
        persons: labelled people with a prediction.
    """

    joints: tuple[str, ...]
    reliability: tuple[ReliabilityDiagram, ReliabilityDiagram]
    sparsification: tuple[DrawnSparsification, DrawnSparsification]
    precision: tuple[np.ndarray, np.ndarray]
    joint_predicted: np.ndarray
    joint_measured: np.ndarray
    persons: int

    @property
    def recalls(self) -> np.ndarray:
        """(101,) recalls of ``precision``."""
        return RECALLS


@kept_while_unchanged
@collector_paused()
def calibration_report(samples, pred_field: str, gt_field: str) -> CalibrationReport:
    """Compute the curves.

    Raises:
        ValueError: if the fields cannot serve or nobody is labelled.
    """
    predictions = PersonColumns(samples, pred_field, attributes=PREDICTION_ATTRIBUTES)
    truth = PersonColumns(samples, gt_field, attributes=TRUTH_ATTRIBUTES)
    pairs = labelled_pairs(predictions, truth)
    if not len(pairs.persons):
        raise ValueError(f'Expected labelled people that "{pred_field}" found, got none')
    sample = labelled_sample(predictions, truth, pairs)
    labelled, before = sample.labelled, sample.scores
    after = np.clip(np.nan_to_num(predictions.joints(KEYPOINT_OKS))[pairs.persons], 0, 1)
    oks = sample.oks[labelled]
    scores = (before[labelled], after[labelled])
    count = labelled.sum(axis=0)

    def mean_by_joint(values):
        return np.divide(
            np.where(labelled, values, 0).sum(axis=0), count, out=np.full(len(count), np.nan), where=count > 0
        )

    return CalibrationReport(
        joints=predictions.skeleton.names,
        reliability=_before_and_after(lambda values: reliability_diagram(values, oks, BINS, adaptive=False), *scores),
        sparsification=_before_and_after(lambda values: DrawnSparsification.of(values, 1 - oks), *scores),
        precision=_precision(predictions, truth),
        joint_predicted=mean_by_joint(after),
        joint_measured=mean_by_joint(sample.oks),
        persons=len(pairs.persons),
    )


def _before_and_after(
    curve: Callable[[np.ndarray], Curve], before: np.ndarray, after: np.ndarray
) -> tuple[Curve, Curve]:
    """Return a curve of two scores of the same people; of scores that nobody has changed it is computed once."""
    first = curve(before)
    return first, first if np.array_equal(before, after) else curve(after)


def _precision(predictions: PersonColumns, truth: PersonColumns) -> tuple[np.ndarray, np.ndarray]:
    """Return precision at OKS .5, ranked by the raw and by the present scores."""
    people, found = read_truth(truth), read_predictions(predictions)
    sigmas, images = truth.skeleton.sigma_array, range(len(truth.counts))

    def precision(scores: np.ndarray) -> np.ndarray:
        return evaluate_keypoints(people, replace(found, scores=scores), sigmas, images).precision[0]

    return _before_and_after(precision, raw_scores(predictions), found.scores)


def score_histogram(samples, pred_field: str) -> np.ndarray:
    """Return (BINS,) people by predicted OKS."""
    scores = PersonColumns(samples, pred_field).scalars(PRED_OKS)
    return np.histogram(scores[np.isfinite(scores)], bins=BINS, range=(0, 1))[0]


def persons_by_score(samples, pred_field: str, low: float, high: float) -> list[str]:
    """Return the label ids of people with a predicted OKS in [low, high); 1 belongs to the last bin."""
    columns = PersonColumns(samples, pred_field)
    scores = columns.scalars(PRED_OKS)
    chosen = (scores >= low) & ((scores < high) | (high >= 1))
    return [label_id for label_id, wanted in zip(columns.label_ids, chosen, strict=True) if wanted]


def persons_by_joint_score(
    samples, pred_field: str, low: float, high: float, attribute: str = KEYPOINT_OKS, joint: str | None = None
) -> list[str]:
    """Return the label ids of people with a joint (or a certain one) whose score is in [low, high)."""
    columns = PersonColumns(samples, pred_field)
    scores = columns.joints(attribute)
    if joint is not None:
        scores = scores[:, [columns.skeleton.index(joint)]]
    chosen = ((scores >= low) & ((scores < high) | (high >= 1))).any(axis=1)
    return [label_id for label_id, wanted in zip(columns.label_ids, chosen, strict=True) if wanted]
