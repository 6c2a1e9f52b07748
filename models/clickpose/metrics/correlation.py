"""Does confidence rise with quality? Pearson and Spearman correlation of scores with OKS (CCNet, Table 5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from clickpose.metrics.inputs import check_samples


def pearson(scores: ArrayLike, oks: ArrayLike) -> float:
    """Return the linear correlation of scores and OKS.

    Args:
        scores: (M,) finite; of persons, or of labelled joints.
        oks: (M,) in 0..1.

    Returns:
        -1..1; NaN where it is not defined: fewer than two samples, or one of the two does not vary.

    Raises:
        ValueError: for another shape or values that are not finite.

    Example:
        >>> round(pearson([0.1, 0.5, 0.9], [0.2, 0.4, 0.6]), 9)
        1.0
    """
    return _correlation(*check_samples(scores, oks, "oks"))


def spearman(scores: ArrayLike, oks: ArrayLike) -> float:
    """Return the correlation of the ranks of scores and OKS, ties at their mean rank.

    Args, returns and errors as :func:`pearson`.

    Example:
        >>> round(spearman([0.1, 0.2, 0.9], [0.0, 0.7, 0.8]), 9)
        1.0
    """
    scores, oks = check_samples(scores, oks, "oks")
    return _correlation(rankdata(scores), rankdata(oks))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    # to deviations of about 1 first: squares of tiny ones would underflow
    a, b = (deviation / np.abs(deviation).max() for deviation in (a - a.mean(), b - b.mean()))
    return float(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1.0, 1.0))
