"""What people have become in Label Studio, as labels: joints that a human changed there are certain, others stay.

A person is compared with what was sent of it, so that what was corrected here meanwhile stays.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import fiftyone as fo
import numpy as np

from clickpose.boxes import box_iou, xywh_to_xyxy
from clickpose.calibration.aggregation import visibility_weighted
from clickpose.data.confidences import OCCLUDED_BELOW
from clickpose.data.notes import Notes, note
from clickpose.structures import Annotations
from clickpose_fiftyone.conversion import HIDDEN, PERSON, absent_joints, instance_of, relative_box, stored_joints
from clickpose_fiftyone.field_names import (
    ANNOTATED_VISIBILITY,
    AREA,
    BOUNDING_BOX,
    CORRECTED,
    FIXED,
    HISTORY,
    KEYPOINT_OKS,
    NUM_KEYPOINTS,
    PRED_OKS,
    VISIBILITY,
)
from clickpose_fiftyone.labelstudio_tasks import MODEL_VERSION
from clickpose_fiftyone.refinement import history_of, state_of
from clickpose_labelstudio.codec import decode_result

_SAME_PERSON_IOU = 0.5
_MOVED = 1e-6  # of the photo's side: less is the rounding of percentages


def read_task(
    task: dict, entry: dict, config, current: dict[str, fo.Keypoint], scored: bool = True, notes: Notes | None = None
) -> dict[str, fo.Keypoint]:
    """Return label id -> keypoint of an annotation of a task.

    Args:
        task: with its data and predictions.
        entry: the annotation.
        config: labelling configuration.
        current: the photo's labels in FiftyOne now.
        scored: somebody new gets predicted OKS, as the people of the field have.
        notes: regions that belong to nobody are counted here.
    """
    decoded = decode_result(entry.get("result") or [], config)
    for _, reason in decoded.left_over if notes is not None else ():
        note(notes, f"regions {reason}")
    if decoded.image_hw is None:
        return {}
    sent, ids = _sent(task, config), _label_ids(task, decoded.annotations, config)
    labels = {}
    for person, label_id in enumerate(ids):
        old = current.get(label_id)
        if label_id is not None and old is None:  # sent, and gone from the dataset since
            continue
        with_scores = scored if old is None else old.get_attribute_value(PRED_OKS, None) is not None
        now = _drawn(decoded.annotations, person, decoded.image_hw)
        before = None if old is None else sent.get(label_id) or _as_sent(old, with_scores)
        label = _label(now, before, old, with_scores)
        labels[label.id] = label
    return labels


@dataclass(frozen=True, eq=False, kw_only=True)
class _Drawn:
    """A person as Label Studio shows it: (K, 2) points in 0..1, (K,) visibility 0, 1, 2, box in 0..1 or None."""

    points: np.ndarray
    visibility: np.ndarray
    box: list[float] | None


def _drawn(annotations: Annotations, person: int, image_hw: tuple[int, int]) -> _Drawn:
    height, width = image_hw
    box = annotations.boxes_xyxy[person]
    return _Drawn(
        points=annotations.keypoints[person] / (width, height),
        visibility=annotations.visibility[person],
        box=relative_box(box, image_hw) if np.isfinite(box).all() else None,
    )


def _sent(task: dict, config) -> dict[str, _Drawn]:
    """Return label id -> what was sent of each person of a task."""
    prediction = next((p for p in task.get("predictions") or [] if p.get("model_version") == MODEL_VERSION), None)
    decoded = None if prediction is None else decode_result(prediction["result"], config)
    if decoded is None or decoded.image_hw is None:
        return {}
    known, ids = task["data"].get("label_ids") or {}, decoded.annotations.ids
    rows = {known[region]: person for person, region in enumerate(ids) if region in known}
    return {label_id: _drawn(decoded.annotations, row, decoded.image_hw) for label_id, row in rows.items()}


def _label_ids(task: dict, annotations: Annotations, config) -> list[str | None]:
    """Return the label id of each annotated person: by region id, else by the box that was sent; None for a new one."""
    known = dict(task["data"].get("label_ids") or {})
    ids = [known.pop(region, None) for region in annotations.ids]
    sent = next((p for p in task.get("predictions") or [] if p.get("model_version") == MODEL_VERSION), None)
    if not known or sent is None or all(ids):
        return ids
    before = decode_result(sent["result"], config).annotations
    rows = [row for row, region in enumerate(before.ids) if region in known]
    overlaps = box_iou(np.nan_to_num(annotations.boxes_xyxy), np.nan_to_num(before.boxes_xyxy[rows]))
    overlaps[[person for person, label_id in enumerate(ids) if label_id]] = 0
    while overlaps.size and overlaps.max() >= _SAME_PERSON_IOU:
        person, column = np.unravel_index(int(overlaps.argmax()), overlaps.shape)
        ids[person] = known[before.ids[rows[column]]]
        overlaps[person], overlaps[:, column] = 0, 0
    return ids


def _label(now: _Drawn, before: _Drawn | None, old: fo.Keypoint | None, scored: bool) -> fo.Keypoint:
    """Return one person's label: the present one with the joints that the human changed, or a new one.

    Args:
        now: the person in Label Studio.
        before: the same when it was sent; None for somebody new.
        old: the person in the dataset.
        scored: it has predicted OKS.
    """
    label = fo.Keypoint(label=PERSON) if old is None else old.copy()
    changed, resized = np.ones(len(now.points), bool), True
    if old is not None and before is not None:
        label.id = old.id
        if instance_of(old) is not None:
            label.instance = instance_of(old)  # a copy has a new link
        changed, resized = _changed_joints(before, now), _resized(before, now)
        if not (changed.any() or resized):
            return label
        label[HISTORY] = json.dumps([*history_of(old), state_of(old)])
    label.tags = [*(tag for tag in (label.tags or []) if tag != CORRECTED), CORRECTED]
    label[ANNOTATED_VISIBILITY] = now.visibility.tolist()
    if resized and now.box is not None:
        _resize(label, now.box)
    _place(label, now, changed, old, scored)
    if label.get_attribute_value(NUM_KEYPOINTS, None) is not None:
        label[NUM_KEYPOINTS] = int((now.visibility > 0).sum())
    return label


def _place(label: fo.Keypoint, now: _Drawn, changed: np.ndarray, old: fo.Keypoint | None, scored: bool) -> None:
    """Write the joints that a human changed: they are certain; the others keep places and scores."""
    count = len(changed)
    kept = np.full((count, 2), np.nan) if old is None else np.array(old.points, np.float64)
    if not scored:
        stored = np.zeros(count) if old is None else _numbers_of(old, VISIBILITY, 2.0, count)
        label.points = np.where(changed[:, None], now.points, kept).tolist()
        label[VISIBILITY] = np.where(changed, now.visibility, stored).astype(int).tolist()
        return
    person = 0.0 if old is None else float(old.get_attribute_value(PRED_OKS, None) or 0.0)
    scores = np.zeros(count) if old is None else _numbers_of(old, KEYPOINT_OKS, person, count)
    seen = np.zeros(count) if old is None else _numbers_of(old, VISIBILITY, 1.0, count)
    fixed = np.zeros(count) if old is None else _numbers_of(old, FIXED, 0.0, count)
    there = now.visibility > 0
    absent = np.ones(count, bool) if old is None else absent_joints(kept, seen, scores)
    points = np.where(changed[:, None], now.points, np.where(absent[:, None], np.nan, kept))
    seen = np.where(changed, np.where(now.visibility == 2, 1.0, HIDDEN), seen)
    label.points, label[VISIBILITY] = stored_joints(points, seen, _box_of(label), None if old is None else kept)
    oks = np.where(changed, there.astype(float), scores)
    label[KEYPOINT_OKS], label[FIXED] = oks.tolist(), np.where(changed, there, fixed > 0).tolist()
    if old is None:
        label[PRED_OKS] = 1.0
    elif changed.any():
        label[PRED_OKS] = float(visibility_weighted(np.clip(oks, 0, 1), np.clip(label[VISIBILITY], 0, 1)))


def _numbers_of(label: fo.Keypoint, name: str, none: float, count: int) -> np.ndarray:
    values = label.get_attribute_value(name, None)
    return np.full(count, none) if not values else np.array([none if v is None else v for v in values], np.float64)


def _resize(label: fo.Keypoint, box: list[float]) -> None:
    """Give a person another box; an area is multiplied as the box's is, since a person's share of it stays the same."""
    before, area = _box_of(label), label.get_attribute_value(AREA, None)
    if before is not None and area is not None and before[2] * before[3] > 0:
        label[AREA] = area * box[2] * box[3] / (before[2] * before[3])
    label[BOUNDING_BOX] = box


def _box_of(label: fo.Keypoint) -> list[float] | None:
    return label.get_attribute_value(BOUNDING_BOX, None)


def _as_sent(old: fo.Keypoint, scored: bool) -> _Drawn:
    """Return how a person of the dataset is sent; positions are clipped to the photo."""
    points = np.array(old.points, np.float64)
    stored = _numbers_of(old, VISIBILITY, 1.0 if scored else 2.0, len(points))
    scores = _numbers_of(old, KEYPOINT_OKS, np.nan, len(points))
    visibility = np.where(stored >= OCCLUDED_BELOW, 2, 1) if scored else stored
    visibility = np.where(absent_joints(points, stored, scores), 0, visibility)
    return _Drawn(points=np.clip(points, 0, 1), visibility=visibility, box=_box_of(old))


def _changed_joints(before: _Drawn, now: _Drawn) -> np.ndarray:
    """Tell which (K,) joints a human changed."""
    moved = np.abs(np.nan_to_num(before.points) - np.nan_to_num(now.points)).max(axis=1) > _MOVED
    return (now.visibility != before.visibility) | (moved & (now.visibility > 0))


def _resized(before: _Drawn, now: _Drawn) -> bool:
    """Tell whether a human changed the box."""
    if before.box is None or now.box is None:
        return before.box is None and now.box is not None
    sent, drawn = (np.clip(xywh_to_xyxy(np.array(box)), 0, 1) for box in (before.box, now.box))
    return bool(np.abs(sent - drawn).max() > _MOVED)
