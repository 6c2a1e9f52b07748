"""Risk and coverage: the error of the predictions that are kept when only the most confident ones are.

Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS 2017. It is the sparsification curve
read from the other side: coverage is what is not removed, and the excess over the best order is AUSE.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from clickpose.metrics.sparsification import sparsification


@dataclass(frozen=True, eq=False, kw_only=True)
class RiskCoverage:
    """Mean error of the kept predictions.

    Attributes:
        coverage: (M,) 1/M, 2/M, …, 1.
        risk: (M,) mean error of that share, most confident first.
        oracle: (M,) the same for the best order there could be.
    """

    coverage: np.ndarray
    risk: np.ndarray
    oracle: np.ndarray

    @property
    def area(self) -> float:
        """AURC: the mean risk over all coverages; NaN without samples."""
        return float(self.risk.mean()) if len(self.risk) else float("nan")

    @property
    def excess_area(self) -> float:
        """What of :attr:`area` a better order could save; NaN without samples."""
        return float((self.risk - self.oracle).mean()) if len(self.risk) else float("nan")

    def coverage_at(self, risk: float) -> float:
        """Return the largest coverage whose risk is at most ``risk``; 0 if there is none."""
        allowed = np.flatnonzero(self.risk <= risk)
        return float(self.coverage[allowed[-1]]) if len(allowed) else 0.0


def risk_coverage(scores: ArrayLike, errors: ArrayLike) -> RiskCoverage:
    """Return the curve of scores.

    Args:
        scores: (M,) finite confidences; only their order matters, equal ones count in expectation over orders.
        errors: (M,) in 0..1, such as ``1 - oks``.

    Raises:
        ValueError: for another shape or values out of range.

    Example:
        >>> curve = risk_coverage([0.9, 0.8, 0.1], [0.0, 0.3, 0.6])
        >>> curve.risk.round(2).tolist(), round(curve.coverage_at(0.2), 2)
        ([0.0, 0.15, 0.3], 0.67)
    """
    curve = sparsification(scores, errors)
    count = len(curve.removed)
    return RiskCoverage(
        coverage=np.arange(1, count + 1) / max(count, 1), risk=curve.errors[::-1], oracle=curve.oracle[::-1]
    )
