"""After the network: one person is one pose."""

from __future__ import annotations

import numpy as np

from clickpose.boxes import BODY_SHARE_OF_BOX, box_area, box_iou, greedy_suppression
from clickpose.metrics.oks import oks
from clickpose.structures import Poses


def suppress_duplicate_poses(
    poses: Poses, oks_threshold: float = 0.5, box_iou_threshold: float = 0.9, min_score: float = 0.0, given: int = 0
) -> np.ndarray:
    """Choose the poses to keep when several boxes led to the same person.

    Greedy, best instance score first: a pose is dropped when a kept one is more similar to it than a threshold. A pose
    in which a human has placed a joint, or whose box a human has given, is always kept, and is considered before the
    others.

    Args:
        poses: the N poses of one image.
        oks_threshold: OKS above which two poses are one person.
        box_iou_threshold: overlap of the boxes above which they are one person, whatever their joints.
        min_score: poses with a lower instance score are dropped.
        given: so many poses, the first ones, are of boxes that a human gave.

    Returns:
        Indices into ``poses``, best instance score first (ties in the given order).
    """
    scores = poses.instance_scores
    human = poses.fixed.any(axis=1) | (np.arange(len(poses)) < given)
    candidates = np.flatnonzero(human | (scores >= min_score))
    poses, scores, human = poses.select(candidates), scores[candidates], human[candidates]

    excess = np.maximum(
        pose_similarity(poses) - oks_threshold, box_iou(poses.boxes_xyxy, poses.boxes_xyxy) - box_iou_threshold
    )
    excess[human] = 0.0  # nothing is too similar to a human's work, which comes first
    first_human = np.lexsort((-scores, ~human))
    rank = np.empty(len(scores))
    rank[first_human] = -np.arange(len(scores))
    kept = greedy_suppression(excess, rank, threshold=0.0)
    return candidates[kept[np.argsort(-scores[kept], kind="stable")]]


def pose_similarity(poses: Poses) -> np.ndarray:
    """Return the (N, N) OKS between poses, over the joints that both have placed; 0 where they share none.

    The area of a pair is the mean of both persons', estimated from their boxes.
    """
    keypoints = poses.keypoints
    area = BODY_SHARE_OF_BOX * box_area(poses.boxes_xyxy)
    placed = np.isfinite(keypoints).all(axis=-1)
    similarity = oks(
        keypoints[:, None],
        keypoints[None],
        (area[:, None] + area[None]) / 2,
        poses.skeleton.sigma_array,
        placed[:, None] & placed[None],
    )
    return np.nan_to_num(similarity, nan=0.0)
