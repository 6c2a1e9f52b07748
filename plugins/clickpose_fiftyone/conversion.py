"""Poses <-> FiftyOne labels of one photo, and which joints of a label are not there.

A joint is not there where its point is NaN, and where its ``visibility`` and its ``keypoint_oks`` (if it has one) are
exactly 0: of labels that is COCO's "not labelled", of predictions a joint that was not found or that a human took away.
Points of predictions are always finite, since one NaN breaks FiftyOne's patches views: such a joint keeps some place,
which no reader takes for a position. Joints that are there, however doubtful, are written with a visibility above 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import fiftyone as fo
import numpy as np

from clickpose.boxes import xywh_to_xyxy, xyxy_to_xywh
from clickpose.skeleton import Skeleton
from clickpose.structures import Pose, Poses
from clickpose_fiftyone.field_names import (
    BOUNDING_BOX,
    CONFIDENCE,
    FIXED,
    INSTANCE,
    KEYPOINT_OKS,
    POINTS,
    PRED_OKS,
    SCORE_RAW,
    VISIBILITY,
)

PERSON = "person"
HIDDEN = 0.25  # visibility of a joint that somebody marked as hidden: below what counts as visible or as certain
_BARELY = 1e-6  # of a joint that is there and that a network thinks invisible


def poses_to_labels(
    poses: Poses, image_hw: tuple[int, int], label: str = PERSON, instances: list[fo.Instance] | None = None
) -> tuple[fo.Keypoints, fo.Detections]:
    """Write the poses of one photo as keypoints and boxes, each pair linked by an ``fo.Instance``.

    Args:
        poses: N persons, px.
        image_hw: (height, width) of the photo.
        label: class of the persons.
        instances: N links that exist already, such as those of prompt boxes; by default new ones.

    Returns:
        the poses with ``confidence``, ``keypoint_oks``, ``visibility``, ``fixed`` (lists) and ``pred_oks``,
        ``score_raw``, ``bounding_box``; and the boxes with ``confidence`` = ``pred_oks``.
    """
    links = [fo.Instance() for _ in range(len(poses))] if instances is None else instances
    keypoints, boxes = [], []
    for pose, link in zip(poses, links, strict=True):
        attributes = pose_attributes(pose, image_hw)
        keypoints.append(fo.Keypoint(label=label, instance=link, tags=[], **attributes))
        boxes.append(
            fo.Detection(
                label=label,
                bounding_box=attributes[BOUNDING_BOX],
                confidence=float(pose.instance_score),
                instance=link,
            )
        )
    return fo.Keypoints(keypoints=keypoints), fo.Detections(detections=boxes)


def pose_attributes(pose: Pose, image_hw: tuple[int, int]) -> dict:
    """Return the attributes of one person's ``fo.Keypoint``."""
    height, width = image_hw
    box = relative_box(pose.box_xyxy, image_hw)
    placed = np.isfinite(pose.keypoints).all(axis=1)
    points, visibility = stored_joints(pose.keypoints / (width, height), pose.visibility_scores, box)
    scores = np.where(placed, pose.keypoint_scores, 0.0).tolist()
    return {
        POINTS: points,
        CONFIDENCE: scores,
        KEYPOINT_OKS: scores,
        VISIBILITY: visibility,
        FIXED: (pose.fixed & placed).tolist(),
        PRED_OKS: float(pose.instance_score),
        SCORE_RAW: float(pose.instance_score),
        BOUNDING_BOX: box,
    }


def stored_joints(
    points: np.ndarray, visibility: np.ndarray, box: Sequence[float] | None, before: np.ndarray | None = None
) -> tuple[list[list[float]], list[float]]:
    """Return the points and visibilities of a predicted person as they are stored.

    Args:
        points: (K, 2) in 0..1 of the photo; NaN for joints that are not there.
        visibility: (K,) probabilities.
        box: left, top, width, height in 0..1, amid which such joints are kept; None for amid the others.
        before: (K, 2) where they are kept instead, as they were before.
    """
    placed = np.isfinite(points).all(axis=1)
    if box is not None:
        kept = np.array([box[0] + box[2] / 2, box[1] + box[3] / 2])
    else:
        kept = points[placed].mean(axis=0) if placed.any() else np.array([0.5, 0.5])
    if before is not None:
        kept = np.where(np.isfinite(before), before, kept)
    stored = np.where(placed[:, None], points, kept)
    return stored.tolist(), np.where(placed, np.maximum(visibility, _BARELY), 0.0).tolist()


def absent_joints(points: np.ndarray, visibility: np.ndarray, keypoint_oks: np.ndarray) -> np.ndarray:
    """Tell which joints are not there, by what is stored of them.

    Args:
        points: (..., 2); NaN for joints without a point.
        visibility, keypoint_oks: (...,); NaN where none is stored.
    """
    return ~np.isfinite(points).all(axis=-1) | ((visibility == 0) & ~(keypoint_oks > 0))


def relative_box(box_xyxy: np.ndarray, image_hw: tuple[int, int]) -> list[float]:
    """Return (left, top, width, height) in 0..1 of a (4,) box in px."""
    height, width = image_hw
    return (xyxy_to_xywh(box_xyxy) / (width, height, width, height)).tolist()


def detection_boxes(detections: fo.Detections | None, image_hw: tuple[int, int]) -> np.ndarray:
    """Return the (N, 4) boxes in px, xyxy, of a photo's detections (or None)."""
    height, width = image_hw
    given = [] if detections is None else [detection.bounding_box for detection in detections.detections]
    return xywh_to_xyxy(np.reshape(given, (-1, 4)) * (width, height, width, height))


def instance_of(label: fo.Label) -> fo.Instance | None:
    """Return what links a label to others; a label without a link may lack the attribute."""
    return label.get_attribute_value(INSTANCE, None)


def label_to_pose(label: fo.Keypoint, skeleton: Skeleton, image_hw: tuple[int, int]) -> Pose:
    """Read one person's label as a pose, px.

    Raises:
        ValueError: if the label has another number of points than the skeleton joints.
    """
    height, width = image_hw
    count = len(skeleton)
    if len(label.points) != count:
        raise ValueError(f"Expected {count} points ({skeleton.name}) in the person, got {len(label.points)}")
    scores, visibility = (
        np.array(_list(label, name, none, count), np.float64) for name, none in ((KEYPOINT_OKS, 0.0), (VISIBILITY, 1.0))
    )
    points = np.array(label.points, np.float64)
    absent = absent_joints(points, visibility, scores)
    keypoints = np.where(absent[:, None], np.nan, points * (width, height))
    box = label.get_attribute_value(BOUNDING_BOX, None)
    if box is None:
        placed = keypoints[np.isfinite(keypoints).all(axis=1)]
        if not len(placed):
            raise ValueError("Expected a person with a box or a placed joint, got neither")
        box_xyxy = np.concatenate([placed.min(axis=0), placed.max(axis=0)])
    else:
        box_xyxy = xywh_to_xyxy(np.array(box) * (width, height, width, height))
    return Pose(
        skeleton=skeleton,
        keypoints=keypoints,
        box_xyxy=box_xyxy,
        keypoint_scores=scores,
        visibility_scores=visibility,
        instance_score=float(label.get_attribute_value(PRED_OKS, None) or 0.0),
        fixed=np.array(_list(label, FIXED, False, count), bool) & ~absent,
    )


def _list(label: fo.Keypoint, name: str, default, count: int) -> list:
    values = label.get_attribute_value(name, None)
    return [default] * count if values is None else [default if value is None else value for value in values]
