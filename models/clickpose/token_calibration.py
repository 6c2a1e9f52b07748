"""Fit a calibration of a Click-Pose network on the final keypoint tokens of its decoder, before and after clicks.

A network's own module collects the tokens (:mod:`clickpose.lite.tokens`, :mod:`clickpose.r50.tokens`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clickpose.calibration.aggregation import visibility_weighted
from clickpose.calibration.ccnet_fit import CCNetConfig, FeatureTable, apply_ccnet, cross_fit_ccnet, fit_ccnet
from clickpose.calibration.posthoc import PosthocCalibrator, cross_validate
from clickpose.metrics.calibration_figures import CalibrationSample
from clickpose.networks.ccnet import CCNet


@dataclass(frozen=True, eq=False)
class TokenTables:
    """What the fit needs, computed once.

    Attributes:
        tables: of the same N persons after 0, 1, … clicks.
        keypoints: (N, K, 2) px, the prediction before any click.
    """

    tables: tuple[FeatureTable, ...]
    keypoints: np.ndarray

    @property
    def rows(self) -> FeatureTable:
        """All tables, one below the other."""
        return FeatureTable.concatenate(self.tables)


@dataclass(frozen=True, eq=False, kw_only=True)
class CalibrationFit:
    """A fitted calibration and what it is worth on people that its folds were not fitted on.

    Attributes:
        fitted: a CCNet head or a post-hoc calibrator, fitted on everybody.
        before, after: the persons without clicks, network's own scores and out-of-fold calibrated ones.
        errors: (rounds, 2) mean squared error of predicted OKS of the joints not clicked, before and after
            calibration, by the number of clicks.
    """

    fitted: CCNet | PosthocCalibrator
    before: CalibrationSample
    after: CalibrationSample
    errors: np.ndarray


def fit_token_ccnet(data: TokenTables, config: CCNetConfig | None = None, folds: int = 5) -> CalibrationFit:
    """Fit a CCNet head on the final keypoint tokens.

    Args:
        data: labelled persons of at least two photos.
        config: how.
        folds: of the cross-validation that the figures come from.
    """
    rows = data.rows
    size = (rows.oks.shape[1], rows.features.shape[-1])
    scores, visibility = cross_fit_ccnet(lambda: CCNet(*size), rows, config, folds)
    head = CCNet(*size)
    fit_ccnet(head, rows, config)
    return _report(head, data, scores, visibility)


def fit_token_posthoc(data: TokenTables, calibrator: PosthocCalibrator, folds: int = 5) -> CalibrationFit:
    """Fit a post-hoc calibrator of the network's own predicted OKS; visibilities stay as they are.

    Args:
        data: labelled persons of at least two photos.
        calibrator: unfitted, one that needs no area.
        folds: of the cross-validation that the figures come from.
    """
    rows = data.rows
    labelled = (rows.scores.numpy(), rows.oks.numpy(), rows.visibility.numpy())
    scores = cross_validate(calibrator, *labelled, groups=rows.groups.numpy(), folds=folds)
    return _report(calibrator.fit(*labelled), data, scores, rows.visibility_scores.numpy())


def apply_to_table(fitted: CCNet | PosthocCalibrator, table: FeatureTable) -> tuple[np.ndarray, np.ndarray]:
    """Return calibrated scores and visibilities, both (N, K), of a table that was not fitted on."""
    if isinstance(fitted, CCNet):
        return apply_ccnet(fitted, table.features)
    return fitted.predict(table.scores.numpy()), table.visibility_scores.numpy().astype(np.float64)


def table_sample(table: FeatureTable, scores: np.ndarray, visibility_scores: np.ndarray) -> CalibrationSample:
    """Return persons of a table with (N, K) scores and visibilities, as the measures take them."""
    oks, visibility = table.oks.numpy().astype(np.float64), np.maximum(table.visibility.numpy(), 0)
    return CalibrationSample(
        oks=oks, scores=scores, visibility=visibility, instance_oks=visibility_weighted(oks, visibility > 0),
        instance_scores=visibility_weighted(scores, visibility_scores), image_ids=table.groups.numpy(),
    )  # fmt: skip


def _report(fitted, data: TokenTables, scores: np.ndarray, visibility: np.ndarray) -> CalibrationFit:
    """Measure out-of-fold (rows, K) scores and visibilities, rows as in ``data.rows``."""
    first, count = data.tables[0], len(data.tables[0])
    errors = []
    for clicks, table in enumerate(data.tables):
        free, oks = table.visibility.numpy() > 0, table.oks.numpy()
        after = scores[clicks * count : (clicks + 1) * count]
        errors.append([np.square(values - oks)[free].mean() for values in (table.scores.numpy(), after) if free.any()])
    raw = (first.scores.numpy().astype(np.float64), first.visibility_scores.numpy().astype(np.float64))
    return CalibrationFit(
        fitted=fitted,
        before=table_sample(first, *raw),
        after=table_sample(first, scores[:count], visibility[:count].astype(np.float64)),
        errors=np.array([row or [np.nan, np.nan] for row in errors]),
    )
