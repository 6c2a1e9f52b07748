"""Percentage of correct keypoints (PCK): the share of joints within a distance that scales with the person.

Andriluka et al., "2D Human Pose Estimation: New Benchmark and State of the Art Analysis", CVPR 2014, for PCKh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from clickpose.checks import as_array, check_finite, check_positive
from clickpose.skeleton import Skeleton

HEAD_SIZE_OF_DIAGONAL = 0.6  # MPII's "head size" is this share of its head box's diagonal
MPII_NOT_COUNTED = ("pelvis", "thorax")  # MPII's mean leaves them out


@dataclass(frozen=True, eq=False, kw_only=True)
class PckFigures:
    """Shares of correct joints, 0..1.

    Attributes:
        mean: over all labelled joints that count; NaN without one.
        by_joint: (K,) NaN for a joint that nobody has labelled.
        correct: (N, K) 1 or 0; NaN where the joint is not labelled.
        counted: (K,) bool, joints that the mean is of.
    """

    mean: float
    by_joint: np.ndarray
    correct: np.ndarray
    counted: np.ndarray


def correct_keypoints(
    keypoints: ArrayLike, truth: ArrayLike, visibility: ArrayLike, scales: ArrayLike, threshold: float
) -> np.ndarray:
    """Tell which joints are within ``threshold`` times the person's scale of where they belong.

    Args:
        keypoints: (N, K, 2) px, predicted; a labelled joint that is NaN (not placed) is wrong.
        truth: (N, K, 2) px; not read where the joint is not labelled.
        visibility: (N, K) above 0 is labelled.
        scales: (N,) px, above 0: head sizes, torso or box sizes.
        threshold: 0.5 for PCKh@.5; a joint exactly at the distance is correct.

    Returns:
        (N, K) 1 or 0; NaN where the joint is not labelled.

    Raises:
        ValueError: if shapes do not fit, or a scale or the threshold is not above 0.

    Example:
        >>> correct_keypoints([[[3.0, 4.0]], [[3.0, 4.1]]], np.zeros((2, 1, 2)), [[2], [2]], [10.0, 10.0], 0.5).tolist()
        [[1.0], [0.0]]
    """
    keypoints = as_array("keypoints", keypoints, ("N", "K", 2))
    truth = as_array("truth", truth, keypoints.shape)
    labelled = as_array("visibility", visibility, keypoints.shape[:2]) > 0
    scales = check_positive("scales", as_array("scales", scales, (len(keypoints),)))
    check_positive("threshold", np.asarray(threshold, dtype=np.float64))
    check_finite("truth of labelled joints", truth[labelled])
    offsets = keypoints - truth
    near = np.hypot(offsets[..., 0], offsets[..., 1]) <= threshold * scales[:, None]  # NaN compares false
    return np.where(labelled, near, np.nan)


def pck(
    keypoints: ArrayLike,
    truth: ArrayLike,
    visibility: ArrayLike,
    scales: ArrayLike,
    threshold: float,
    not_counted: Sequence[int] = (),
) -> PckFigures:
    """Return the share of correct joints.

    Args:
        keypoints, truth, visibility, scales, threshold: as :func:`correct_keypoints`.
        not_counted: joint indices that the mean leaves out.

    Raises:
        ValueError: as :func:`correct_keypoints`.
    """
    correct = correct_keypoints(keypoints, truth, visibility, scales, threshold)
    counted = ~np.isin(np.arange(correct.shape[1]), list(not_counted))
    mean, by_joint = shares_of(correct, counted)
    return PckFigures(mean=mean, by_joint=by_joint, correct=correct, counted=counted)


def shares_of(correct: np.ndarray, counted: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean share of correct joints and the (K,) shares by joint.

    Args:
        correct: (N, K) of :func:`correct_keypoints`.
        counted: (K,) bool, joints that the mean is of.
    """
    return float(_mean_of_finite(correct[:, counted].ravel())), _mean_of_finite(correct, axis=0)


def pckh(
    keypoints: ArrayLike,
    truth: ArrayLike,
    visibility: ArrayLike,
    head_boxes_xyxy: ArrayLike,
    skeleton: Skeleton,
    threshold: float = 0.5,
) -> PckFigures:
    """Return PCK relative to the head size, as MPII: 0.6 times the diagonal of the head box.

    Pelvis and thorax do not count in the mean, as usual on MPII.

    Args:
        keypoints, truth, visibility: as :func:`correct_keypoints`.
        head_boxes_xyxy: (N, 4) px.
        skeleton: the K joints.
        threshold: 0.5, or 0.1 for the strict figure.

    Raises:
        ValueError: as :func:`correct_keypoints`, or if a head box has no extent.
    """
    not_counted = [joint for joint, name in enumerate(skeleton.names) if name in MPII_NOT_COUNTED]
    return pck(keypoints, truth, visibility, head_sizes(head_boxes_xyxy), threshold, not_counted)


def head_sizes(head_boxes_xyxy: ArrayLike) -> np.ndarray:
    """Return MPII's head sizes (N,) px of head boxes (N, 4)."""
    boxes = as_array("head_boxes_xyxy", head_boxes_xyxy, ("N", 4))
    extent = boxes[:, 2:] - boxes[:, :2]
    return HEAD_SIZE_OF_DIAGONAL * np.hypot(extent[:, 0], extent[:, 1])


def _mean_of_finite(values: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Return the mean of what is finite; NaN where nothing is."""
    known = np.isfinite(values)
    total, count = np.where(known, values, 0.0).sum(axis=axis), known.sum(axis=axis)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)[()]
