"""What measures of confidence accept: a score and what came of it for each sample, finite, one axis."""

from __future__ import annotations

import numpy as np

from clickpose.checks import as_array, check_finite, check_unit_range


def check_samples(scores, outcomes, outcome_name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (M,), any finite numbers, and outcomes (M,) in 0..1.

    Raises:
        ValueError: for another shape, scores that are not finite, or outcomes out of range (NaN: leave out the joints
            that are not labelled).
    """
    scores = check_finite("scores", as_array("scores", scores, ("M",)))
    outcomes = as_array(outcome_name, outcomes, (len(scores),))
    return scores, check_unit_range(outcome_name, outcomes)
