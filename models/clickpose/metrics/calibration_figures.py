"""All measures of calibrated confidence of one set of predictions, with intervals, and of two sets compared.

CCNet ("On the Calibration of Human Pose Estimation", ICML 2024), Tables 1, 4 and 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from clickpose.checks import as_array, check_unit_range
from clickpose.metrics.bootstrap import RESAMPLES, Comparison, Interval, bootstrap, bootstrap_pair
from clickpose.metrics.correlation import pearson, spearman
from clickpose.metrics.inputs import as_ids
from clickpose.metrics.ranked_precision import ranked_precision
from clickpose.metrics.reliability import brier_score, expected_calibration_error
from clickpose.metrics.risk_coverage import risk_coverage
from clickpose.metrics.sparsification import ause

_HIGHER_IS_BETTER = ("Pearson", "Spearman")  # of what begins otherwise, lower is, but for:
_BETTER = {"AP": 1, "AP, OKS as score": 0, "AP left to gain": -1, "AR": 0}


Sample = TypeVar("Sample", bound="CalibrationSample")


@dataclass(frozen=True, eq=False, kw_only=True)
class CalibrationSample:
    """Confidences of N persons with K joints each, and how good the poses are.

    Attributes:
        oks: (N, K) OKS term of each joint, 0..1; not read where the joint is not labelled.
        scores: (N, K) its confidence, 0..1.
        visibility: (N, K) COCO visibility of the annotation; above 0 is labelled.
        instance_oks: (N,) OKS of each person, 0..1; not read for a person without a labelled joint.
        instance_scores: (N,) its confidence, 0..1.
        correct: (N, K) whether each joint is correct, by the name of the criterion, such as ``"PCK.5"``; not read where
            the joint is not labelled.
        image_ids: (N,) ids of any kind, whose persons belong together when intervals are made; None for each by itself.
    """

    oks: np.ndarray
    scores: np.ndarray
    visibility: np.ndarray
    instance_oks: np.ndarray
    instance_scores: np.ndarray
    correct: Mapping[str, np.ndarray] = field(default_factory=dict)
    image_ids: np.ndarray | None = None

    def __post_init__(self) -> None:
        oks = as_array("oks", self.oks, ("N", "K"))
        visibility = as_array("visibility", self.visibility, oks.shape)
        labelled = visibility > 0
        instance_oks = as_array("instance_oks", self.instance_oks, (len(oks),))
        check_unit_range("oks of labelled joints", oks[labelled])
        check_unit_range("instance_oks of labelled persons", instance_oks[labelled.any(axis=1)])
        correct = {name: as_array(name, values, oks.shape) for name, values in self.correct.items()}
        for name, values in correct.items():
            check_unit_range(f"{name} of labelled joints", values[labelled])
        scores = check_unit_range("scores", as_array("scores", self.scores, oks.shape))
        instance_scores = as_array("instance_scores", self.instance_scores, (len(oks),))
        object.__setattr__(self, "oks", oks)
        object.__setattr__(self, "scores", scores)
        object.__setattr__(self, "visibility", visibility)
        object.__setattr__(self, "instance_oks", instance_oks)
        object.__setattr__(self, "instance_scores", check_unit_range("instance_scores", instance_scores))
        object.__setattr__(self, "correct", correct)
        if self.image_ids is not None:
            object.__setattr__(self, "image_ids", as_ids("image_ids", self.image_ids, len(oks)))

    def __len__(self) -> int:
        return len(self.oks)

    @property
    def labelled(self) -> np.ndarray:
        """(N, K) bool."""
        return self.visibility > 0

    @property
    def measured(self) -> np.ndarray:
        """(N,) bool: has a labelled joint, so that there is an OKS to compare with."""
        return np.asarray(self.labelled.any(axis=1))

    def take(self: Sample, persons: np.ndarray) -> Sample:
        """Return the persons at the given indices (repeats allowed)."""
        return replace(self, **{name: _rows(getattr(self, name), persons) for name in self.__dataclass_fields__})


def _rows(values: Any, persons: np.ndarray) -> Any:
    """Return the rows of an array, of each array of a mapping, or of nothing."""
    if isinstance(values, Mapping):
        return {name: array[persons] for name, array in values.items()}
    return None if values is None else values[persons]


def calibration_figures(sample: CalibrationSample) -> dict[str, float]:
    """Return every figure by name; NaN where it is not defined, such as a correlation of equal scores.

    ``AP`` and ``AR`` take each prediction for its own person's
    (:func:`~clickpose.metrics.ranked_precision.ranked_precision`), ``AP, OKS as score`` is what no confidence can
    exceed, and ``AP left to gain`` the difference. Then for persons and for joints: Pearson, Spearman, AUSE, AURC (both
    of 1 - OKS), ECE and Brier score; AUSE of each criterion of ``sample.correct``.
    """
    rows, labelled = sample.measured, sample.labelled
    person_scores, person_oks = sample.instance_scores[rows], sample.instance_oks[rows]
    ranked = ranked_precision(person_scores, person_oks)
    oracle = ranked_precision(person_oks, person_oks).average_precision
    figures = {
        "AP": ranked.average_precision,
        "AP, OKS as score": oracle,
        "AP left to gain": oracle - ranked.average_precision,
        "AR": ranked.average_recall,
    }
    joint_scores = sample.scores[labelled]
    for level, scores, oks in (
        ("persons", person_scores, person_oks),
        ("joints", joint_scores, sample.oks[labelled]),
    ):
        curve = risk_coverage(scores, 1 - oks)
        figures |= {
            f"Pearson, {level}": pearson(scores, oks),
            f"Spearman, {level}": spearman(scores, oks),
            f"AUSE, {level}": curve.excess_area,
            f"AURC, {level}": curve.area,
            f"ECE, {level}": expected_calibration_error(scores, oks),
            f"Brier, {level}": brier_score(scores, oks),
        }
    return figures | {
        f"AUSE-{name}": ause(joint_scores, 1 - correct[labelled]) for name, correct in sample.correct.items()
    }


def figures_with_intervals(
    sample: CalibrationSample, resamples: int = RESAMPLES, level: float = 0.95, seed: int = 0
) -> dict[str, Interval]:
    """Return :func:`calibration_figures` with bootstrap intervals; photos (or persons) are drawn."""
    return bootstrap(lambda drawn: calibration_figures(sample.take(drawn)), _groups(sample), resamples, level, seed)


def compare(
    before: CalibrationSample,
    after: CalibrationSample,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Comparison]:
    """Return the figures of the same persons before and after, on the same draws.

    Raises:
        ValueError: if the two have another number of persons or joints, or other labels.
    """
    if before.oks.shape != after.oks.shape or (before.labelled != after.labelled).any():
        raise ValueError(
            f"Expected the same persons before and after, got {before.oks.shape} and {after.oks.shape}, "
            f"{before.labelled.sum()} and {after.labelled.sum()} labelled joints"
        )

    return bootstrap_pair(
        lambda drawn: calibration_figures(before.take(drawn)), lambda drawn: calibration_figures(after.take(drawn)),
        _groups(before), resamples, level, seed, _better,
    )  # fmt: skip


def _better(name: str) -> int:
    return _BETTER.get(name, 1 if name.startswith(_HIGHER_IS_BETTER) else -1)


def _groups(sample: CalibrationSample) -> np.ndarray:
    return np.arange(len(sample)) if sample.image_ids is None else sample.image_ids
