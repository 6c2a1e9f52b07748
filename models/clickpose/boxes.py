"""Box formats and overlap. A box is four numbers in pixels unless its name says otherwise."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

BODY_SHARE_OF_BOX = 0.53
"""Area of a person as a share of the box's where none is annotated; CrowdPose's and AI Challenger's tools say so."""


def xywh_to_xyxy(boxes_xywh: ArrayLike) -> np.ndarray:
    """Convert (..., 4) boxes from (left, top, width, height) to (left, top, right, bottom).

    Example:
        >>> xywh_to_xyxy([10, 20, 30, 40]).tolist()
        [10.0, 20.0, 40.0, 60.0]
    """
    boxes = np.asarray(boxes_xywh, dtype=np.float64)
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def xyxy_to_xywh(boxes_xyxy: ArrayLike) -> np.ndarray:
    """Convert (..., 4) boxes from (left, top, right, bottom) to (left, top, width, height)."""
    boxes = np.asarray(boxes_xyxy, dtype=np.float64)
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def box_area(boxes_xyxy: ArrayLike) -> np.ndarray:
    """Return the areas (...,) in px² of (..., 4) boxes; a reversed box has area 0."""
    boxes = np.asarray(boxes_xyxy, dtype=np.float64)
    return np.clip(boxes[..., 2:] - boxes[..., :2], 0, None).prod(axis=-1)


def box_iou(boxes_a_xyxy: ArrayLike, boxes_b_xyxy: ArrayLike) -> np.ndarray:
    """Return the (A, B) intersection over union of boxes (A, 4) and (B, 4); 0 where both are empty.

    Example:
        >>> box_iou([[0, 0, 2, 2]], [[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]]).round(3).tolist()
        [[1.0, 0.333, 0.0]]
    """
    a = np.asarray(boxes_a_xyxy, dtype=np.float64).reshape(-1, 1, 4)
    b = np.asarray(boxes_b_xyxy, dtype=np.float64).reshape(1, -1, 4)
    top_left = np.maximum(a[..., :2], b[..., :2])
    bottom_right = np.minimum(a[..., 2:], b[..., 2:])
    intersection = np.clip(bottom_right - top_left, 0, None).prod(axis=-1)
    union = box_area(a) + box_area(b) - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def clip_boxes(boxes_xyxy: ArrayLike, image_hw: tuple[int, int]) -> np.ndarray:
    """Clip (..., 4) boxes to an image of ``image_hw`` = (height, width)."""
    height, width = image_hw
    return np.clip(np.asarray(boxes_xyxy, dtype=np.float64), 0, [width, height, width, height])


def enclosing_box(points: ArrayLike) -> np.ndarray:
    """Return the (4,) xyxy box around (M, 2) points; NaN points are ignored.

    Raises:
        ValueError: if no point is finite.

    Example:
        >>> enclosing_box([[3, 1], [np.nan, np.nan], [2, 5]]).tolist()
        [2.0, 1.0, 3.0, 5.0]
    """
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    finite = points[np.isfinite(points).all(axis=1)]
    if not len(finite):
        raise ValueError(f"Expected at least one finite point, got {len(points)} points without one")
    return np.concatenate([finite.min(axis=0), finite.max(axis=0)])


def grow_boxes(boxes_xyxy: np.ndarray, keypoints: np.ndarray, held: np.ndarray | None = None) -> np.ndarray:
    """Return boxes grown so that they hold joints: how a person's box follows its clicks, here and in every network.

    :func:`clickpose.terms.grow_boxes_tensor` is the same for tensors.

    Args:
        boxes_xyxy: (..., 4); one that is nowhere (NaN) becomes that of the joints.
        keypoints: (..., K, 2) in the boxes' unit; joints that are nowhere (NaN) are left out.
        held: (..., K) bool, the joints that count; None for all.
    """
    boxes, keypoints = np.asarray(boxes_xyxy, dtype=np.float64), np.asarray(keypoints, dtype=np.float64)
    counted = np.isfinite(keypoints).all(axis=-1) if held is None else np.isfinite(keypoints).all(axis=-1) & held
    low = np.where(counted[..., None], keypoints, np.inf).min(axis=-2, initial=np.inf)
    high = np.where(counted[..., None], keypoints, -np.inf).max(axis=-2, initial=-np.inf)
    return np.concatenate([np.fmin(boxes[..., :2], low), np.fmax(boxes[..., 2:], high)], axis=-1)


def match_boxes(boxes_a_xyxy: np.ndarray, boxes_b_xyxy: np.ndarray, at_least: float) -> np.ndarray:
    """Pair boxes, the pair of largest overlap first, each box once.

    Args:
        boxes_a_xyxy: (A, 4).
        boxes_b_xyxy: (B, 4).
        at_least: intersection over union below which two boxes are no pair.

    Returns:
        (A,) index of the box of B, -1 for those without one.

    Example:
        >>> match_boxes([[0, 0, 9, 9], [0, 0, 4, 4]], [[0, 0, 4, 5], [50, 50, 60, 60]], 0.3).tolist()
        [-1, 0]
    """
    matches = np.full(len(boxes_a_xyxy), -1)
    if not len(boxes_a_xyxy) or not len(boxes_b_xyxy):
        return matches
    overlaps = box_iou(boxes_a_xyxy, boxes_b_xyxy)
    while overlaps.max() >= at_least:
        first, second = np.unravel_index(overlaps.argmax(), overlaps.shape)
        matches[first] = second
        overlaps[first], overlaps[:, second] = -1, -1
    return matches


def greedy_suppression(overlaps: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """Keep, best first, every item that overlaps no better kept one by more than ``threshold``.

    Args:
        overlaps: (N, N) similarity of each pair.
        scores: (N,) larger is better; ties keep their order.
        threshold: overlap above which the worse item of a pair is dropped.

    Returns:
        Indices of the kept items, best first.
    """
    order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    kept: list[int] = []
    for index in order:
        if not (overlaps[index, kept] > threshold).any():
            kept.append(int(index))
    return np.array(kept, dtype=int)
