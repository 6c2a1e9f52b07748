"""Object keypoint similarity (OKS), as pycocotools computes it.

A joint displaced by d contributes exp(-d^2 / (2 · (2·sigma)^2 · area)); a person's OKS is the mean over labelled
joints.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from clickpose.checks import as_array, check_positive


def _exponential(squared_distances: np.ndarray, area: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """Return exp(-d^2 / (2·(2·sigma)^2·area)) of (..., K) distances in px^2, areas (...) in px^2 and sigmas (K,)."""
    check_positive("sigmas", sigmas)
    if (area < 0).any():
        raise ValueError(f"Expected area of 0 px^2 or more, got {area.min()}")
    # pycocotools adds spacing(1) so that an instance without area is a value, not a division by zero
    exponent = squared_distances / (2 * sigmas) ** 2 / (area[..., None] + np.spacing(1)) / 2
    return np.where(np.isnan(exponent), 0.0, np.exp(-exponent))


def _squared_lengths(offsets: np.ndarray) -> np.ndarray:
    """Return dx^2 + dy^2 (...) of (..., 2) offsets; written out, since NumPy is slow in sums of two."""
    return np.square(offsets[..., 0]) + np.square(offsets[..., 1])


def _as_keypoints(name: str, value: ArrayLike) -> np.ndarray:
    keypoints = np.asarray(value, dtype=np.float64)
    if keypoints.ndim < 2 or keypoints.shape[-1] != 2:
        raise ValueError(f"Expected {name} of shape (..., K, 2), got {keypoints.shape}")
    return keypoints


def keypoint_oks(keypoints_a: ArrayLike, keypoints_b: ArrayLike, area: ArrayLike, sigmas: ArrayLike) -> np.ndarray:
    """Return the OKS term of every joint.

    Args:
        keypoints_a: (..., K, 2) px; NaN where a joint is not placed.
        keypoints_b: (..., K, 2) px, broadcast against ``keypoints_a``.
        area: (...) instance area, px^2, 0 or more; of 0 only what is exact counts.
        sigmas: (K,) per-joint sigmas, COCO convention.

    Returns:
        (..., K) in 0..1; 0 where either position or the area is NaN.

    Raises:
        ValueError: if the shapes do not fit, an area is negative or a sigma is not above 0.
    """
    keypoints_a, keypoints_b = _as_keypoints("keypoints_a", keypoints_a), _as_keypoints("keypoints_b", keypoints_b)
    sigmas = as_array("sigmas", sigmas, (keypoints_a.shape[-2],))
    if keypoints_b.shape[-2] != len(sigmas):
        raise ValueError(f"Expected keypoints_b of shape (..., {len(sigmas)}, 2), got {keypoints_b.shape}")
    return _exponential(_squared_lengths(keypoints_a - keypoints_b), np.asarray(area, dtype=np.float64), sigmas)


def oks(
    keypoints_a: ArrayLike,
    keypoints_b: ArrayLike,
    area: ArrayLike,
    sigmas: ArrayLike,
    visibility: ArrayLike | None = None,
) -> np.ndarray:
    """Return the OKS of poses, pair by pair.

    Args:
        keypoints_a: (..., K, 2) px, usually the prediction; a labelled joint that is NaN here counts as 0.
        keypoints_b: (..., K, 2) px, usually the annotation; broadcast against ``keypoints_a``.
        area: (...) area of the annotated instance, px^2, 0 or more.
        sigmas: (K,) per-joint sigmas, COCO convention.
        visibility: (..., K) joints with a value above 0 count; None to count the joints that are finite in
            ``keypoints_b``.

    Returns:
        (...) in 0..1; NaN where no joint counts (use :func:`oks_matrix` for COCO's answer to such persons).

    Raises:
        ValueError: as :func:`keypoint_oks`.

    Example:
        >>> sigmas, area = np.array([0.05, 0.1]), 10_000.0
        >>> float(oks([[10.0, 0.0], [5.0, 5.0]], [[0.0, 0.0], [5.0, 5.0]], area, sigmas).round(4))  # (e^-1/2 + 1) / 2
        0.8033
    """
    terms = keypoint_oks(keypoints_a, keypoints_b, area, sigmas)
    counted = np.isfinite(_as_keypoints("keypoints_b", keypoints_b)).all(axis=-1)
    if visibility is not None:
        counted = np.asarray(visibility) > 0
    if counted.shape[-1:] != terms.shape[-1:]:
        raise ValueError(f"Expected visibility of shape (..., {terms.shape[-1]}), got {counted.shape}")
    counted = np.broadcast_to(counted, terms.shape)
    return _mean_over(terms, counted)


def _mean_over(terms: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Return the mean (...) of the counted ones of (..., K) terms; NaN where none counts.

    Adds in pycocotools' order, so that not even the last bit differs: an OKS may equal a threshold.
    """
    shape, joints = terms.shape[:-1], terms.shape[-1]
    terms, counted = terms.reshape(-1, joints), counted.reshape(-1, joints)
    numbers = counted.sum(axis=1)
    counted_first = np.take_along_axis(terms, np.argsort(~counted, axis=1, kind="stable"), axis=1)
    means = np.full(len(terms), np.nan)
    for number in np.unique(numbers[numbers > 0]):
        rows = numbers == number
        means[rows] = np.ascontiguousarray(counted_first[rows, :number]).sum(axis=1) / number
    return means.reshape(shape)[()]


def oks_pairs(
    pred: ArrayLike,
    gt: ArrayLike,
    gt_visibility: ArrayLike,
    gt_area: ArrayLike,
    gt_boxes_xywh: ArrayLike,
    sigmas: ArrayLike,
) -> np.ndarray:
    """Return the OKS of M pairs of a prediction and an annotation, as pycocotools' ``COCOeval.computeOks``.

    An annotation without a labelled joint (a crowd, a box only) is compared by the distance of each predicted joint to
    the box grown by its own width and height on each side: 1 for a prediction inside, so that it can be ignored.

    Args:
        pred: (M, K, 2) px; a joint that is NaN counts as 0.
        gt: (M, K, 2) px; values of joints with visibility 0 are not read.
        gt_visibility: (M, K) COCO visibility; above 0 is labelled.
        gt_area: (M,) px^2, 0 or more.
        gt_boxes_xywh: (M, 4) px.
        sigmas: (K,) per-joint sigmas, COCO convention.

    Returns:
        (M,) in 0..1.

    Raises:
        ValueError: as :func:`keypoint_oks`.
    """
    joints = len(np.atleast_1d(sigmas))
    pred = as_array("pred", pred, ("M", joints, 2))
    count = len(pred)
    gt = as_array("gt", gt, (count, joints, 2))
    labelled = as_array("gt_visibility", gt_visibility, (count, joints)) > 0
    area = as_array("gt_area", gt_area, (count,))
    boxes_xywh = as_array("gt_boxes_xywh", gt_boxes_xywh, (count, 4))
    sigmas = as_array("sigmas", sigmas, (joints,))

    similarity = _mean_over(keypoint_oks(pred, gt, area, sigmas), labelled)  # NaN without labels
    bare = ~labelled.any(axis=1)
    corners, extents = boxes_xywh[bare, None, :2], boxes_xywh[bare, None, 2:]  # (bare, 1, 2)
    low, high = corners - extents, corners + 2 * extents
    outside = np.maximum(low - pred[bare], 0) + np.maximum(pred[bare] - high, 0)  # (bare, K, 2)
    similarity[bare] = _exponential(_squared_lengths(outside), area[bare], sigmas).mean(axis=-1)
    return similarity


def oks_matrix(
    pred: ArrayLike,
    gt: ArrayLike,
    gt_visibility: ArrayLike,
    gt_area: ArrayLike,
    gt_boxes_xywh: ArrayLike,
    sigmas: ArrayLike,
) -> np.ndarray:
    """Return the OKS of every prediction with every annotation: :func:`oks_pairs` of all pairs.

    Args:
        pred: (P, K, 2) px.
        gt: (G, K, 2) px.
        gt_visibility: (G, K) COCO visibility.
        gt_area: (G,) px^2, 0 or more.
        gt_boxes_xywh: (G, 4) px.
        sigmas: (K,) per-joint sigmas, COCO convention.

    Returns:
        (P, G) in 0..1.

    Raises:
        ValueError: as :func:`keypoint_oks`.
    """
    joints = len(np.atleast_1d(sigmas))
    pred = as_array("pred", pred, ("P", joints, 2))
    gt = as_array("gt", gt, ("G", joints, 2))
    visibility = as_array("gt_visibility", gt_visibility, (len(gt), joints))
    area = as_array("gt_area", gt_area, (len(gt),))
    boxes_xywh = as_array("gt_boxes_xywh", gt_boxes_xywh, (len(gt), 4))
    rows, columns = (index.ravel() for index in np.indices((len(pred), len(gt))))
    pairs = oks_pairs(pred[rows], gt[columns], visibility[columns], area[columns], boxes_xywh[columns], sigmas)
    return pairs.reshape(len(pred), len(gt))
