"""Boxes and areas of people in COCO files: the file's own, else those around the joints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clickpose.boxes import enclosing_box, xyxy_to_xywh
from clickpose.data.coco_records import CocoAnnotation, CocoPerson
from clickpose.data.notes import Notes, note

BOX_MARGIN = 0.1  # of the sides of a box that is made around joints, on each side; at least a pixel


def box_of_joints(keypoints: np.ndarray, margin: float = BOX_MARGIN) -> np.ndarray | None:
    """Return a box (4,) xywh px around (K, 2) joints for a person without one; None without a finite joint.

    Args:
        keypoints: px; NaN where a joint is not there or not labelled.
        margin: of the box's sides on each side; at least a pixel, so that it has an area; 0 for none.
    """
    if not np.isfinite(keypoints).all(axis=1).any():
        return None
    box = enclosing_box(keypoints)
    grown = np.maximum(margin * (box[2:] - box[:2]), 1.0) if margin else np.zeros(2)
    return xyxy_to_xywh(np.concatenate([box[:2] - grown, box[2:] + grown]))


def box_of_person(person: CocoAnnotation, notes: Notes) -> tuple[np.ndarray, bool] | None:
    """Return the box (4,) xywh px of an annotated person, and whether it is the annotation's own.

    Without one, or where it has no area, it is made around the labelled joints, as COCO's figures ask for no box of a
    person who has some. None, counted in ``notes``, for one to ignore that nothing tells the place of.
    """
    box = person.box_xywh
    if box is not None and (box[2:] > 0).all():
        return box, True
    made = box_of_joints(np.where(person.labelled[:, None], person.keypoints, np.nan))
    if made is not None:
        note(notes, "boxes missing or without an area, made around the joints")
        return made, False
    if box is None:
        note(notes, "of these without a box, left out")
        return None
    note(notes, "boxes without an area")
    return box, True


def area_of_person(person: CocoAnnotation, notes: Notes) -> float:
    """Return the area of an annotated person, px²; one of 0 is counted in ``notes``.

    Raises:
        ValueError: if there is none.
    """
    if person.area is None:
        raise ValueError(f"Expected an area of 0 px² or more in {person.where}, got none")
    if not (person.area or person.ignored):
        note(notes, "persons with an area of 0, whom only an exact pose matches")
    return person.area


def result_areas(people: Sequence[CocoPerson]) -> np.ndarray:
    """Return the areas (N,) px² that pycocotools' ``loadRes`` gives results: those of the boxes, else of the joints.

    Boxes count where the first result has one. Without, the area is the extent of the joints; one written as 0, 0, 0
    is at 0, 0 for COCO.
    """
    if not people:
        return np.zeros(0)
    extents = extent_areas(coco_positions(people))
    if people[0].box_xywh is None:
        return extents
    boxes = [person.box_xywh for person in people]
    return np.array([area if box is None else box[2] * box[3] for box, area in zip(boxes, extents, strict=True)])


def coco_positions(people: Sequence[CocoPerson]) -> np.ndarray:
    """Return keypoints (N, K, 2) px as pycocotools takes them: those written as 0, 0, 0 at 0, 0.

    Only COCO's figures want this; for all else such a joint is not there.
    """
    points = np.stack([person.keypoints for person in people])
    for row in np.flatnonzero(np.isnan(points).any(axis=(1, 2))).tolist():
        raw = np.array(people[row].entry["keypoints"], dtype=np.float64).reshape(-1, 3)
        there = np.isfinite(raw).all(axis=1, keepdims=True)
        points[row] = people[row].order.to_skeleton(np.where(there, raw, np.nan)[:, :2])
    return points


def extent_areas(keypoints: np.ndarray) -> np.ndarray:
    """Return (P,) px² of the boxes around the placed joints of (P, K, 2) keypoints; 0 without one."""
    placed = np.isfinite(keypoints).all(axis=2, keepdims=True)
    low = np.where(placed, keypoints, np.inf).min(axis=1, initial=np.inf)
    high = np.where(placed, keypoints, -np.inf).max(axis=1, initial=-np.inf)
    return np.clip(np.where(np.isfinite(low), high - low, 0.0), 0, None).prod(axis=1)


def count_ignored(people: Sequence[CocoAnnotation], notes: Notes) -> None:
    """Count in ``notes`` why people are ignored."""
    for person in people:
        if person.annotation_id == 0 and not person.ignored:
            note(notes, "persons whose annotation has the id 0, found like others; pycocotools takes them for missed")
        if person.crowd:
            note(notes, "crowds")
        elif not person.labelled.any():
            counted = "" if person.ignored else ", to be found all the same by their num_keypoints, as COCO does"
            note(notes, f"persons without a labelled joint{counted}")
        elif person.ignored:
            note(notes, "persons ignored since num_keypoints is 0, though joints are labelled")
