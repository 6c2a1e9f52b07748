"""Labelled people as every fit of a calibration takes them, wherever they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clickpose.calibration.aggregation import visibility_weighted
from clickpose.checks import as_array, check_unit_range
from clickpose.metrics.calibration_figures import CalibrationSample
from clickpose.metrics.inputs import as_ids

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class FitSample(CalibrationSample):
    """Confidences of N persons as the network gives them, what became of each, and what else a fit may look at.

    ``image_ids`` say which persons are never fitted on for each other's sake. A person may stand here several times,
    after 0, 1, … simulated clicks. ``visibility`` below 0 leaves a joint out: a clicked one.

    Attributes:
        weights: (N, K) what a joint counts in its person's confidence, 0..1, such as its predicted visibility.
        area: (N,) px² of the persons; None where it is not known, or where the confidences know it already.
        clicks: (N,) simulated clicks before; None for none.
        features: (N, F) or (N, K, F), what a head sees of the network; None without one.
        folds_by: (N,) ids of what stays together in a fold, where those are not the ``image_ids``.
    """

    weights: np.ndarray
    area: np.ndarray | None = None
    clicks: np.ndarray = None  # type: ignore[assignment]  # filled in below
    features: Tensor | None = None
    folds_by: np.ndarray = None  # type: ignore[assignment]  # filled in below

    def __post_init__(self) -> None:
        super().__post_init__()
        count = len(self.oks)
        weights = check_unit_range("weights", as_array("weights", self.weights, self.oks.shape))
        object.__setattr__(self, "weights", weights)
        if self.image_ids is None:
            raise ValueError("Expected image_ids of the persons: those of one photo are not fitted on for each other")
        if self.area is not None:
            object.__setattr__(self, "area", as_array("area", self.area, (count,)))
        clicks = np.zeros(count) if self.clicks is None else self.clicks
        object.__setattr__(self, "clicks", as_array("clicks", clicks, (count,), int))
        if self.features is not None and len(self.features) != count:
            raise ValueError(f"Expected features of {count} persons, got {len(self.features)}")
        folds_by = self.image_ids if self.folds_by is None else as_ids("folds_by", self.folds_by, count)
        object.__setattr__(self, "folds_by", folds_by)

    @property
    def before_clicks(self) -> FitSample:
        """Every person once, before any click."""
        return self.take(np.flatnonzero(self.clicks == 0))

    def own(self) -> CalibrationSample:
        """Return the network's own confidences, as the measures take them."""
        return self._measured(self.scores, self.instance_scores)

    def calibrated(self, scores: np.ndarray, weights: np.ndarray | None = None) -> CalibrationSample:
        """Return the same persons with other confidences (N, K), as the measures take them.

        Args:
            scores: of the joints.
            weights: of the joints in a person's confidence; None for this sample's.
        """
        return self._measured(scores, visibility_weighted(scores, self.weights if weights is None else weights))

    def squared_errors(self, scores: np.ndarray) -> np.ndarray:
        """Return the mean squared error of (N, K) scores over the labelled joints, by the number of clicks.

        NaN where nothing is labelled.
        """
        errors = np.full(int(self.clicks.max(initial=0)) + 1, np.nan)
        for number in np.unique(self.clicks):
            known = self.labelled & (self.clicks == number)[:, None]
            if known.any():
                errors[number] = np.square(scores - self.oks)[known].mean()
        return errors

    def _measured(self, scores: np.ndarray, instance_scores: np.ndarray) -> CalibrationSample:
        return CalibrationSample(
            oks=self.oks,
            scores=scores,
            visibility=self.visibility,
            instance_oks=self.instance_oks,
            instance_scores=instance_scores,
            correct=self.correct,
            image_ids=self.image_ids,
        )
