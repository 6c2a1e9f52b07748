"""What a calibrator accepts: shapes, ranges, and a sentence for everything else.

Nothing is repaired silently. A confidence that is NaN, infinite or outside 0..1 is an error, because clipping it would
hide that raw heatmap peaks or logits were handed in; an OKS is read only where the joint is labelled.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from clickpose.checks import as_array, check_finite, check_positive, check_unit_range


class LabelledScores(NamedTuple):
    """What calibrators are fitted on, checked: ``scores`` and ``oks`` (N, K) in 0..1, ``labelled`` (N, K) bool and
    ``area`` (N,) px² or None; ``oks`` is 0 where the joint is not labelled."""

    scores: np.ndarray
    oks: np.ndarray
    labelled: np.ndarray
    area: np.ndarray | None


def check_labelled_scores(
    scores: ArrayLike, oks: ArrayLike, visibility: ArrayLike, area: ArrayLike | None = None
) -> LabelledScores:
    """Check what calibrators are fitted on.

    Args:
        scores: (N, K) confidences of the joints, 0..1.
        oks: (N, K) OKS term of each joint, 0..1; not read where the joint is not labelled, NaN is fine there.
        visibility: (N, K) COCO visibility; above 0 is labelled.
        area: (N,) instance area, px², above 0; None where it is not needed.

    Raises:
        ValueError: for another shape, a value out of its range, no person, or no labelled joint at all.
    """
    scores = check_unit_range("scores", as_array("scores", scores, ("N", "K")))
    oks = as_array("oks", oks, scores.shape)
    visibility = check_finite("visibility", as_array("visibility", visibility, scores.shape))
    labelled = visibility > 0
    if not labelled.any():
        raise ValueError(f"Expected at least one labelled keypoint to fit on, got none among {len(scores)} persons")
    check_unit_range("oks of labelled keypoints", oks[labelled])
    if area is not None:
        area = check_positive("area", as_array("area", area, (len(scores),)))
    return LabelledScores(scores, np.where(labelled, oks, 0.0), labelled, area)
