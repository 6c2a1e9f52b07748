"""Click curves: how good a person's pose is after n clicks, and how many clicks a quality takes.

Protocol: every person by itself; a click puts the worst labelled joint (smallest OKS term) in place. S_n is the share
of persons, in percent, whose OKS passes a threshold after n clicks, averaged over .5:.05:.95; NoC@t is the mean number
of clicks until a person's OKS reaches t, at most ``cap``. S_n is no average precision: nobody is missed, no pose is
false and scores do not count. The paper's C_n is COCO's AP; it is in :mod:`clickpose.clicks.interactive`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from clickpose.checks import as_array, check_unit_range
from clickpose.metrics.average_precision import OKS_THRESHOLDS

NOC_TARGETS = (0.85, 0.90, 0.95)
CLICK_CAP = 17
_ROUNDING = 1e-9  # an OKS that is short of a target by less has reached it


@dataclass(frozen=True, eq=False)
class ClickCurve:
    """OKS of N persons after 0, 1, 2, … clicks.

    Attributes:
        oks: (N, 1 + clicks) in 0..1; after a person's last labelled joint is clicked its OKS repeats.
    """

    oks: np.ndarray

    def __post_init__(self) -> None:
        oks = check_unit_range("oks", as_array("oks", self.oks, ("N", "1 + clicks")))
        if not oks.shape[1]:
            raise ValueError(f"Expected oks of shape (N, 1 + clicks), before any click at least, got {oks.shape}")
        object.__setattr__(self, "oks", oks)

    def share_of_persons(self, clicks: int) -> float:
        """Return S_n in percent: the mean share of persons over the ten thresholds after ``clicks`` clicks.

        NaN without persons; after the curve's last click nothing changes.
        """
        column = self.oks[:, min(clicks, self.oks.shape[1] - 1), None]
        return float((column >= OKS_THRESHOLDS - _ROUNDING).mean() * 100) if len(self.oks) else float("nan")

    def number_of_clicks(self, target: float, cap: int = CLICK_CAP) -> float:
        """Return NoC@target: mean clicks until OKS >= target; ``cap`` for a person that never gets there.

        NaN without persons.
        """
        reached = self.oks[:, : cap + 1] >= target - _ROUNDING
        needed = np.where(reached.any(axis=1), reached.argmax(axis=1), cap)
        return float(needed.mean()) if len(needed) else float("nan")

    def summary(self, clicks: Sequence[int] = (0, 1, 2, 3, 4, 6, 8)) -> dict[str, float]:
        """Return S_n and NoC figures by name."""
        figures = {f"S{n}": self.share_of_persons(n) for n in clicks}
        return figures | {f"NoC{round(t * 100)}": self.number_of_clicks(t) for t in NOC_TARGETS}


def manual_correction_curve(
    keypoint_terms: ArrayLike, labelled: ArrayLike, clicks: int = CLICK_CAP, clicked_terms: np.ndarray | None = None
) -> ClickCurve:
    """Return the curve of "model + manual correction": each click puts the worst joint in place, nothing else moves.

    Args:
        keypoint_terms: (N, K) OKS terms of the model's joints, 0..1; not read where a joint is not labelled.
        labelled: (N, K) bool, at least one of each person.
        clicks: how many.
        clicked_terms: (N, K) OKS terms of where the annotator would put each joint; None for exactly right.

    Raises:
        ValueError: for another shape, a term of a labelled joint out of range, or a person without a labelled joint.
    """
    terms = as_array("keypoint_terms", keypoint_terms, ("N", "K"))
    labelled = as_array("labelled", labelled, terms.shape, bool)
    if bare := int((~labelled.any(axis=1)).sum()):
        raise ValueError(f"Expected a labelled joint of every person, got {bare} without one")
    placed = as_array("clicked_terms", np.ones_like(terms) if clicked_terms is None else clicked_terms, terms.shape)
    terms, placed = (np.where(labelled, values, 0.0) for values in (terms, placed))
    order = np.argsort(np.where(labelled, terms, np.inf), axis=1)  # worst first, unlabelled last
    before, after = (np.take_along_axis(values, order, axis=1) for values in (terms, placed))
    number = labelled.sum(axis=1)
    sums = [after[:, :n].sum(axis=1) + before[:, n:].sum(axis=1) for n in range(clicks + 1)]
    return ClickCurve(np.stack(sums, axis=1) / number[:, None])
