"""Many keypoint confidences into one for the person: Eq. 5 and Eq. 7 of "On the Calibration of Human Pose Estimation"
(ICML 2024), and the same by body part (its Table 3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from clickpose.checks import check_not_negative, check_unit_range
from clickpose.skeleton import Skeleton

USUAL_THRESHOLD = 0.2  # what mmpose and HRNet use


def mean_above_threshold(keypoint_scores: ArrayLike, threshold: float = USUAL_THRESHOLD) -> np.ndarray:
    """Return the mean over the joints whose score is above ``threshold`` (Eq. 5), the common practice.

    Args:
        keypoint_scores: (..., K) in 0..1.
        threshold: scores at or below it do not count.

    Returns:
        (...) in 0..1; 0 where no joint passes.

    Raises:
        ValueError: for scores that are not finite or not within 0..1.

    Example:
        >>> mean_above_threshold([0.9, 0.7, 0.1]).round(2).item()
        0.8
    """
    scores = check_unit_range("keypoint_scores", _as_joints("keypoint_scores", keypoint_scores))
    return _weighted_mean(scores, (scores > threshold).astype(np.float64))


def visibility_weighted(keypoint_scores: ArrayLike, visibility: ArrayLike) -> np.ndarray:
    """Return sum(v s) / sum(v), the form of OKS itself (Eq. 7): from predicted OKS terms, the person's.

    Args:
        keypoint_scores: (..., K) predicted OKS of the joints, 0..1.
        visibility: (..., K) weights from 0 up: visibility scores of a network (0..1), or COCO visibility, of which
            ``visibility > 0`` is what OKS weights by.

    Returns:
        (...) in 0..1; 0 for a person without a visible joint: with no evidence it ranks last.

    Raises:
        ValueError: for scores not within 0..1, weights that are negative or not finite, or shapes that differ.

    Example:
        >>> visibility_weighted([0.9, 0.5, 0.1], [1.0, 1.0, 0.0]).round(2).item()
        0.7
    """
    scores = check_unit_range("keypoint_scores", _as_joints("keypoint_scores", keypoint_scores))
    weights = _as_joints("visibility", visibility)
    if weights.shape != scores.shape:
        raise ValueError(f"Expected visibility of shape {scores.shape}, got {weights.shape}")
    return _weighted_mean(scores, check_not_negative("visibility", weights))


def by_part(keypoint_scores: ArrayLike, visibility: ArrayLike, skeleton: Skeleton) -> dict[str, np.ndarray]:
    """Return one :func:`visibility_weighted` score for each part of the skeleton.

    A whole person's score says little about small parts (feet, hands, face): each part ranks better by its own.

    Args:
        keypoint_scores: (..., K) in 0..1.
        visibility: (..., K) weights from 0 up.
        skeleton: whose ``parts`` count.

    Returns:
        part name -> (...) in 0..1.

    Raises:
        ValueError: as :func:`visibility_weighted`, or if the skeleton has another number of joints or no parts.
    """
    scores, weights = _as_joints("keypoint_scores", keypoint_scores), _as_joints("visibility", visibility)
    if scores.shape[-1] != len(skeleton):
        raise ValueError(f"Expected keypoint_scores of shape (..., {len(skeleton)}), got {scores.shape}")
    if weights.shape != scores.shape:
        raise ValueError(f"Expected visibility of shape {scores.shape}, got {weights.shape}")
    if not skeleton.parts:
        raise ValueError(f"Expected a skeleton with parts, got {skeleton.name!r} without")
    columns = {part: list(joints) for part, joints in skeleton.parts.items()}
    return {part: visibility_weighted(scores[..., i], weights[..., i]) for part, i in columns.items()}


def _as_joints(name: str, value: ArrayLike) -> np.ndarray:
    array = np.asarray(value, dtype=np.float64)
    if array.ndim < 1:
        raise ValueError(f"Expected {name} of shape (..., K), got a single number")
    return array


def _weighted_mean(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = weights.sum(axis=-1)
    return np.divide((scores * weights).sum(axis=-1), total, out=np.zeros(total.shape), where=total > 0)
