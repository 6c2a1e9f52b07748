"""A person as Label Studio shows it: what was sent, what came back, and in what two of them differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import fiftyone as fo
import numpy as np

from clickpose.boxes import xywh_to_xyxy
from clickpose.data.confidences import OCCLUDED_BELOW
from clickpose.structures import Annotations
from clickpose_fiftyone.conversion import absent_joints, relative_box
from clickpose_fiftyone.field_names import BOUNDING_BOX, FIXED, KEYPOINT_OKS, PRED_OKS, VISIBILITY

_MOVED = 1e-6  # of the photo's side: less is the rounding of percentages


@dataclass(frozen=True, eq=False, kw_only=True)
class Drawn:
    """A person as Label Studio shows it.

    Attributes:
        points: (K, 2) in 0..1 of the photo; of joints that are not there anything.
        visibility: (K,) COCO's 0, 1, 2.
        box: left, top, width, height in 0..1; None without one.
    """

    points: np.ndarray
    visibility: np.ndarray
    box: list[float] | None

    @classmethod
    def of(cls, annotations: Annotations, person: int, image_hw: tuple[int, int]) -> Drawn:
        """Take one of a photo's people, px."""
        height, width = image_hw
        box = annotations.boxes_xyxy[person]
        return cls(
            points=annotations.keypoints[person] / (width, height),
            visibility=annotations.visibility[person],
            box=relative_box(box, image_hw) if np.isfinite(box).all() else None,
        )

    @classmethod
    def of_label(cls, label: fo.Keypoint) -> Drawn:
        """Return how a person of the dataset is sent; positions are clipped to the photo."""
        points, scored = np.array(label.points, np.float64), is_scored(label)
        stored = numbers_of(label, VISIBILITY, 1.0 if scored else 2.0, len(points))
        scores = numbers_of(label, KEYPOINT_OKS, np.nan, len(points))
        visibility = np.where(stored >= OCCLUDED_BELOW, 2, 1) if scored else stored
        visibility = np.where(absent_joints(points, stored, scores), 0, visibility)
        return cls(points=np.clip(points, 0, 1), visibility=visibility, box=box_of(label))

    def to_dict(self) -> dict:
        """Return what :meth:`from_dict` reads."""
        points = np.nan_to_num(self.points).tolist()
        return {"points": points, "visibility": self.visibility.astype(int).tolist(), "box": self.box}

    @classmethod
    def from_dict(cls, stored: Mapping) -> Drawn:
        """Return the person of :meth:`to_dict`."""
        points = np.reshape(stored["points"], (-1, 2)).astype(np.float64)
        return cls(points=points, visibility=np.array(stored["visibility"], int), box=stored["box"])

    def changed_joints(self, now: Drawn) -> np.ndarray:
        """Tell which (K,) joints somebody has moved, taken away, placed or marked otherwise since."""
        moved = np.abs(np.nan_to_num(self.points) - np.nan_to_num(now.points)).max(axis=1) > _MOVED
        return (now.visibility != self.visibility) | (moved & (now.visibility > 0))

    def resized(self, now: Drawn) -> bool:
        """Tell whether somebody has changed the box since, or drawn one."""
        if self.box is None or now.box is None:
            return self.box is None and now.box is not None
        one, other = (np.clip(xywh_to_xyxy(np.array(box)), 0, 1) for box in (self.box, now.box))
        return bool(np.abs(one - other).max() > _MOVED)

    def differs(self, now: Drawn) -> bool:
        """Tell whether anything has changed since."""
        return bool(self.changed_joints(now).any()) or self.resized(now)


def joints_changed_here(before: Drawn, label: fo.Keypoint) -> np.ndarray:
    """Tell which (K,) joints of a person somebody has changed in the dataset since it was ``before``.

    Of predictions the visibility alone says nothing, unless a human placed the joint: it is a network's, which a
    calibration reads anew.
    """
    now = Drawn.of_label(label)
    changed = before.changed_joints(now)
    if not is_scored(label):
        return changed
    there = (before.visibility > 0) != (now.visibility > 0)
    moved = np.abs(np.nan_to_num(before.points) - np.nan_to_num(now.points)).max(axis=1) > _MOVED
    placed = numbers_of(label, FIXED, 0.0, len(changed)) > 0
    return changed & (there | moved | placed)


def is_scored(label: fo.Keypoint) -> bool:
    """Tell whether a person has predicted OKS: it is a prediction, not a label."""
    return label.get_attribute_value(PRED_OKS, None) is not None


def box_of(label: fo.Keypoint) -> list[float] | None:
    """Return a person's box."""
    return label.get_attribute_value(BOUNDING_BOX, None)


def numbers_of(label: fo.Keypoint, name: str, none: float, count: int) -> np.ndarray:
    """Return (count,) numbers of an attribute of a person's joints; ``none`` where there is none."""
    values = label.get_attribute_value(name, None)
    return np.full(count, none) if not values else np.array([none if v is None else v for v in values], np.float64)
