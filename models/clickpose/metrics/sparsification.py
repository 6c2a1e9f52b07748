"""Sparsification: what error is left when the least confident samples are removed, and how far that is from the best
order there could be (AUSE).

Ilg et al., "Uncertainty Estimates and Multi-Hypotheses Networks for Optical Flow", ECCV 2018; CCNet, Tables 4 and 5.
The error of a joint or a person is 1 - OKS, or 1 where PCK counts it as wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from clickpose.metrics.inputs import check_samples


@dataclass(frozen=True, eq=False, kw_only=True)
class SparsificationCurve:
    """Mean errors of what is left of M samples.

    Attributes:
        removed: (M,) 0, 1/M, …, (M-1)/M: the share that is removed.
        errors: (M,) when the least confident are removed first; the expectation over orders where scores are equal.
        oracle: (M,) when the samples with the largest errors are removed first.
    """

    removed: np.ndarray
    errors: np.ndarray
    oracle: np.ndarray

    @property
    def ause(self) -> float:
        """Area between the two curves, 0 for scores that rank as well as the errors themselves; NaN without samples.

        Not divided by the mean error, as in CCNet (which prints it times 100).
        """
        return float((self.errors - self.oracle).mean()) if len(self.removed) else float("nan")


def sparsification(scores: ArrayLike, errors: ArrayLike) -> SparsificationCurve:
    """Return the curve of scores.

    Args:
        scores: (M,) finite confidences; only their order matters.
        errors: (M,) in 0..1, such as ``1 - oks`` or ``1 - correct``.

    Raises:
        ValueError: for another shape or values out of range.

    Example:
        >>> sparsification([0.9, 0.1], [0.0, 1.0]).errors.tolist()
        [0.5, 0.0]
        >>> round(sparsification([0.1, 0.9], [0.0, 1.0]).ause, 3)  # (0.5 - 0.5 + 1 - 0) / 2
        0.5
    """
    scores, errors = check_samples(scores, errors, "errors")
    removed = np.arange(len(scores)) / max(len(scores), 1)
    return SparsificationCurve(
        removed=removed, errors=_rest(_expected_order(scores, errors)), oracle=_rest(np.sort(errors)[::-1])
    )


def ause(scores: ArrayLike, errors: ArrayLike) -> float:
    """Return :attr:`SparsificationCurve.ause` of :func:`sparsification`."""
    return sparsification(scores, errors).ause


def _expected_order(scores: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Return the errors, least confident first; among equal scores each has the mean of them."""
    _, group, counts = np.unique(scores, return_inverse=True, return_counts=True)
    means = np.bincount(group, weights=errors, minlength=len(counts)) / np.maximum(counts, 1)
    return np.repeat(means, counts)


def _rest(errors: np.ndarray) -> np.ndarray:
    """Return the mean of each tail of the (M,) errors."""
    return np.cumsum(errors[::-1])[::-1] / np.arange(len(errors), 0, -1)
