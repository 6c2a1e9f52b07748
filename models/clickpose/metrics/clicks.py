"""Click curves: how good a person's pose is after n clicks, and how many clicks a quality takes.

Protocol: every person by itself; a click puts the worst labelled joint (smallest OKS term) in place. "AP" is the share
of persons whose OKS passes a threshold, averaged over .5:.05:.95; NoC@t is the mean number of clicks until a person's
OKS reaches t, at most ``cap``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clickpose.checks import as_array
from clickpose.metrics.average_precision import OKS_THRESHOLDS

NOC_TARGETS = (0.85, 0.90, 0.95)
CLICK_CAP = 17


@dataclass(frozen=True, eq=False)
class ClickCurve:
    """OKS of N persons after 0, 1, 2, … clicks.

    Attributes:
        oks: (N, 1 + clicks); after a person's last labelled joint is clicked its OKS repeats.
    """

    oks: np.ndarray

    def __post_init__(self):
        object.__setattr__(self, "oks", as_array("oks", self.oks, ("N", "clicks")))

    def average_precision(self, clicks: int) -> float:
        """Return C_n in percent: the mean share of persons over the ten thresholds after ``clicks`` clicks."""
        column = self.oks[:, min(clicks, self.oks.shape[1] - 1), None]
        return float((column >= OKS_THRESHOLDS - 1e-9).mean() * 100)

    def number_of_clicks(self, target: float, cap: int = CLICK_CAP) -> float:
        """Return NoC@target: mean clicks until OKS >= target; ``cap`` for a person that never gets there."""
        reached = self.oks[:, : cap + 1] >= target - 1e-9
        return float(np.where(reached.any(axis=1), reached.argmax(axis=1), cap).mean())

    def summary(self, clicks: Sequence[int] = (0, 1, 2, 3, 4, 6, 8)) -> dict[str, float]:
        """Return C_n and NoC figures by name."""
        figures = {f"C{n}": self.average_precision(n) for n in clicks}
        return figures | {f"NoC{round(t * 100)}": self.number_of_clicks(t) for t in NOC_TARGETS}


def manual_correction_curve(
    keypoint_terms: np.ndarray, labelled: np.ndarray, clicks: int = CLICK_CAP, clicked_terms: np.ndarray | None = None
) -> ClickCurve:
    """Return the curve of "model + manual correction": each click puts the worst joint in place, nothing else moves.

    Args:
        keypoint_terms: (N, K) OKS terms of the model's joints.
        labelled: (N, K) bool.
        clicks: how many.
        clicked_terms: (N, K) OKS terms of where the annotator would put each joint; None for exactly right.
    """
    order = np.argsort(np.where(labelled, keypoint_terms, np.inf), axis=1)  # worst first, unlabelled last
    placed = np.ones_like(keypoint_terms) if clicked_terms is None else clicked_terms
    before, after, counted = (np.take_along_axis(array, order, axis=1) for array in (keypoint_terms, placed, labelled))
    values = [
        (np.concatenate([after[:, :n], before[:, n:]], axis=1) * counted).sum(axis=1) / counted.sum(axis=1)
        for n in range(clicks + 1)
    ]
    return ClickCurve(np.stack(values, axis=1))
