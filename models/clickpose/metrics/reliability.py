"""Reliability: is a predicted OKS of .8 an OKS of .8 on average? Diagram with bands, ECE and Brier score.

The outcome may be an OKS, anything in 0..1, or whether a joint is correct, 0 or 1. ECE is that of Naeini et al.,
"Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015; bins of equal count as Nguyen and O'Connor,
"Posterior calibration and exploratory analysis", EMNLP 2015.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm, rankdata

from clickpose.checks import as_array, check_unit_range
from clickpose.metrics.inputs import check_samples, group_numbers

BINS = 15
_RESAMPLES = 500
_DRAWN_AT_ONCE = 100_000  # outcomes: what fits into a processor's cache is drawn in a third of the time


@dataclass(frozen=True, eq=False, kw_only=True)
class ReliabilityDiagram:
    """Mean scores and mean outcomes by bins of the score, without empty bins.

    Attributes:
        counts: (B,) samples in each bin.
        scores: (B,) mean scores.
        outcomes: (B,) mean outcomes; equal to ``scores`` for a calibrated model.
        low, high: (B,) confidence band of the mean outcome: by bootstrap, or Wilson's for outcomes of 0 and 1 without
            groups.
        level: of the band, such as .95.
    """

    counts: np.ndarray
    scores: np.ndarray
    outcomes: np.ndarray
    low: np.ndarray
    high: np.ndarray
    level: float

    @property
    def ece(self) -> float:
        """Expected calibration error: mean ``|outcome - score|`` over samples; NaN without samples."""
        return _calibration_error(self.counts, self.scores, self.outcomes)


def reliability_diagram(
    scores: ArrayLike,
    outcomes: ArrayLike,
    bins: int = BINS,
    adaptive: bool = True,
    level: float = 0.95,
    groups: Iterable[Hashable] | None = None,
    seed: int = 0,
) -> ReliabilityDiagram:
    """Return the diagram.

    Args:
        scores: (M,) in 0..1.
        outcomes: (M,) in 0..1: OKS, or whether it is correct.
        bins: how many at most; fewer samples than bins have a bin each.
        adaptive: bins of equal count, of which none parts equal scores; else of equal width.
        level: of the confidence band.
        groups: (M,) what each sample belongs to (joints to a person or photo), whose samples are drawn together, since
            bands of samples that are alike would come out too narrow; None for independent samples.
        seed: of the bootstrap.

    Raises:
        ValueError: for another shape, values out of range, or no bin.

    Example:
        >>> diagram = reliability_diagram([0.2, 0.2, 0.7, 0.9], [0.0, 0.5, 1.0, 1.0], bins=2)
        >>> diagram.scores.tolist(), diagram.outcomes.tolist(), round(diagram.ece, 3)
        ([0.2, 0.8], [0.25, 1.0], 0.125)
    """
    scores, outcomes = _check(scores, outcomes, bins)
    if not 0 < level < 1:
        raise ValueError(f"Expected level between 0 and 1, got {level}")
    index = _bin_index(scores, bins, adaptive)
    counts, mean_scores, mean_outcomes = _bin_means(scores, outcomes, index)
    rng = np.random.default_rng(seed)
    if groups is not None:
        numbers = as_array("groups", group_numbers(groups), (len(scores),), int)
        low, high = _grouped_band(outcomes, index, numbers, level, rng)
    elif np.isin(outcomes, (0, 1)).all():
        low, high = wilson_interval(mean_outcomes * counts, counts, level)
    else:
        members = [outcomes[index == i] for i in range(len(counts))]
        bands = [_bootstrap_mean(values, level, rng) for values in members]
        low, high = np.reshape(bands, (-1, 2)).T
    return ReliabilityDiagram(
        counts=counts, scores=mean_scores, outcomes=mean_outcomes, low=low, high=high, level=level
    )


def expected_calibration_error(
    scores: ArrayLike, outcomes: ArrayLike, bins: int = BINS, adaptive: bool = True
) -> float:
    """Return :attr:`ReliabilityDiagram.ece` without making the bands.

    Args, errors as :func:`reliability_diagram`.
    """
    scores, outcomes = _check(scores, outcomes, bins)
    return _calibration_error(*_bin_means(scores, outcomes, _bin_index(scores, bins, adaptive)))


def brier_score(scores: ArrayLike, outcomes: ArrayLike) -> float:
    """Return the mean squared difference of score and outcome; NaN without samples.

    For outcomes of 0 and 1 that is Brier's score, for OKS the loss that CCNet minimises.

    Raises:
        ValueError: for another shape or values out of range.

    Example:
        >>> brier_score([0.8, 0.4], [1.0, 0.0])
        0.1
    """
    scores, outcomes = _check(scores, outcomes, 1)
    return float(np.square(scores - outcomes).mean()) if len(scores) else float("nan")


def wilson_interval(successes: ArrayLike, counts: ArrayLike, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Return the confidence interval of shares (Wilson, JASA 1927).

    Args:
        successes: (B,) how many of each.
        counts: (B,) of how many, above 0.
        level: such as .95.

    Returns:
        (B,) lower and (B,) upper ends, in 0..1.
    """
    successes, counts = np.asarray(successes, np.float64), np.asarray(counts, np.float64)
    z = norm.ppf((1 + level) / 2)
    share = successes / counts
    middle = (share + z**2 / (2 * counts)) / (1 + z**2 / counts)
    half = z / (1 + z**2 / counts) * np.sqrt(share * (1 - share) / counts + z**2 / (4 * counts**2))
    return np.clip(middle - half, 0, share), np.clip(middle + half, share, 1)


def _check(scores: ArrayLike, outcomes: ArrayLike, bins: int) -> tuple[np.ndarray, np.ndarray]:
    if bins < 1:
        raise ValueError(f"Expected at least one bin, got {bins}")
    scores, outcomes = check_samples(scores, outcomes, "outcomes")
    return check_unit_range("scores", scores), outcomes


def _bin_index(scores: np.ndarray, bins: int, adaptive: bool) -> np.ndarray:
    """Return (M,) bin numbers 0, 1, … of which none is empty."""
    if adaptive:  # equal scores stay together, at their mean rank
        number = ((rankdata(scores) - 0.5) / max(len(scores), 1) * bins).astype(int)
    else:
        number = np.searchsorted(np.arange(1, bins) / bins, scores, side="right")
    return np.unique(number, return_inverse=True)[1]


def _bin_means(
    scores: np.ndarray, outcomes: np.ndarray, index: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    counts = np.bincount(index)
    return counts, np.bincount(index, weights=scores) / counts, np.bincount(index, weights=outcomes) / counts


def _calibration_error(counts: np.ndarray, scores: np.ndarray, outcomes: np.ndarray) -> float:
    return float(np.abs(outcomes - scores) @ counts / counts.sum()) if len(counts) else float("nan")


def _bootstrap_mean(values: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Return lower and upper end of the percentile interval of the mean."""
    rows = max(1, _DRAWN_AT_ONCE // len(values))
    draws = (min(rows, _RESAMPLES - start) for start in range(0, _RESAMPLES, rows))
    means = np.concatenate([values[rng.integers(0, len(values), (n, len(values)))].mean(axis=1) for n in draws])
    return np.quantile(means, [(1 - level) / 2, (1 + level) / 2])


def _grouped_band(
    outcomes: np.ndarray, index: np.ndarray, groups: np.ndarray, level: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return lower and upper ends (B,) of the bins' mean outcomes when groups are drawn with all their samples."""
    if not len(outcomes):
        return np.empty(0), np.empty(0)
    shape = (groups.max() + 1, index.max() + 1)  # G, B
    cell = groups * shape[1] + index
    counts = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    sums = np.bincount(cell, weights=outcomes, minlength=shape[0] * shape[1]).reshape(shape)
    times_drawn = rng.multinomial(shape[0], np.full(shape[0], 1 / shape[0]), size=_RESAMPLES)  # (R, G)
    found = times_drawn @ counts
    means = np.divide(times_drawn @ sums, found, out=np.full(found.shape, np.nan), where=found > 0)
    low, high = np.nanquantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high
