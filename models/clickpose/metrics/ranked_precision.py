"""Average precision where it is known whose pose each prediction is: one for each person, from its own box.

With ground-truth boxes COCO's matching nearly always finds these pairs, so that scores and OKS suffice, and a figure
costs milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from clickpose.metrics.average_precision import OKS_THRESHOLDS, RECALLS
from clickpose.metrics.inputs import check_samples


@dataclass(frozen=True, eq=False, kw_only=True)
class RankedPrecision:
    """Precision of N predictions ranked by score.

    Attributes:
        precision: (10, 101) at :data:`OKS_THRESHOLDS` and :data:`RECALLS`, made monotone as COCO does; 0 at recalls
            that are not reached.
        recall: (10,) share of persons with at least that OKS: no score can change it.
    """

    precision: np.ndarray
    recall: np.ndarray

    @property
    def average_precision(self) -> float:
        """AP over the thresholds .50:.05:.95."""
        return float(self.precision.mean())

    @property
    def average_recall(self) -> float:
        """AR over the thresholds."""
        return float(self.recall.mean())


def ranked_precision(scores: ArrayLike, oks: ArrayLike) -> RankedPrecision:
    """Return the curves of persons' scores.

    Args:
        scores: (N,) finite; only their order matters (equal ones in the given order, as in COCO).
        oks: (N,) in 0..1, of each prediction with its own person.

    Raises:
        ValueError: for another shape or values out of range.

    Example:
        >>> round(ranked_precision([0.9, 0.8], [1.0, 1.0]).average_precision, 6)
        1.0
    """
    scores, oks = check_samples(scores, oks, "oks")
    count = len(scores)
    if not count:
        nothing = np.full((len(OKS_THRESHOLDS), len(RECALLS)), np.nan)
        return RankedPrecision(precision=nothing, recall=nothing[:, 0])
    found = oks[np.argsort(-scores, kind="stable")] >= OKS_THRESHOLDS[:, None]  # (10, N)
    hits = np.cumsum(found, axis=1)
    precision = hits / np.arange(1, count + 1)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = hits / count
    # one more place for the recalls that are not reached
    padded = np.concatenate([precision, np.zeros((len(precision), 1))], axis=1)
    places = np.stack([np.searchsorted(row, RECALLS) for row in recall])
    return RankedPrecision(precision=np.take_along_axis(padded, places, axis=1), recall=recall[:, -1])
