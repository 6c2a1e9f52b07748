"""What people have become in Label Studio, as labels: joints that a human changed there are certain, others stay."""

from __future__ import annotations

import json

import fiftyone as fo
import numpy as np

from clickpose.calibration.aggregation import visibility_weighted
from clickpose_fiftyone.conversion import HIDDEN, PERSON, absent_joints, instance_of, stored_joints
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
from clickpose_fiftyone.labelstudio_drawn import Drawn, box_of, is_scored, numbers_of
from clickpose_fiftyone.person_history import history_of, state_of


def new_person(now: Drawn, scored: bool) -> fo.Keypoint:
    """Return the label of somebody whom a human has added.

    Args:
        now: the person in Label Studio.
        scored: it gets predicted OKS, as the people of the field have.
    """
    label = fo.Keypoint(label=PERSON, tags=[CORRECTED])
    label[ANNOTATED_VISIBILITY] = now.visibility.tolist()
    if now.box is not None:
        label[BOUNDING_BOX] = now.box
    _place(label, now, np.ones(len(now.points), bool), None, scored)
    return label


def corrected_person(old: fo.Keypoint, now: Drawn, changed: np.ndarray, resized: bool, kept: np.ndarray) -> fo.Keypoint:
    """Return a person with what a human has changed; what it was before goes to its history.

    Args:
        old: the person in the dataset.
        now: the same in Label Studio.
        changed: (K,) joints that are taken from there.
        resized: the box is taken from there.
        kept: (K,) joints that somebody has changed here, and that stay as they are.
    """
    label = old.copy()
    label.id = old.id
    if instance_of(old) is not None:
        label.instance = instance_of(old)  # a copy has a new link
    label[HISTORY] = json.dumps([*history_of(old), state_of(old)])
    label.tags = [*(tag for tag in (label.tags or []) if tag != CORRECTED), CORRECTED]
    given = numbers_of(old, ANNOTATED_VISIBILITY, 0, len(changed))
    label[ANNOTATED_VISIBILITY] = np.where(kept, given, now.visibility).astype(int).tolist()
    if resized and now.box is not None:
        _resize(label, now.box)
    _place(label, now, changed, old, is_scored(old))
    if label.get_attribute_value(NUM_KEYPOINTS, None) is not None:
        label[NUM_KEYPOINTS] = int((Drawn.of_label(label).visibility > 0).sum())
    return label


def _place(label: fo.Keypoint, now: Drawn, changed: np.ndarray, old: fo.Keypoint | None, scored: bool) -> None:
    """Write the joints that a human changed: they are certain; the others keep places and scores."""
    count = len(changed)
    kept = np.full((count, 2), np.nan) if old is None else np.array(old.points, np.float64)
    if not scored:
        stored = np.zeros(count) if old is None else numbers_of(old, VISIBILITY, 2.0, count)
        label.points = np.where(changed[:, None], now.points, kept).tolist()
        label[VISIBILITY] = np.where(changed, now.visibility, stored).astype(int).tolist()
        return
    person = 0.0 if old is None else float(old.get_attribute_value(PRED_OKS, None) or 0.0)
    scores = np.zeros(count) if old is None else numbers_of(old, KEYPOINT_OKS, person, count)
    seen = np.zeros(count) if old is None else numbers_of(old, VISIBILITY, 1.0, count)
    fixed = np.zeros(count) if old is None else numbers_of(old, FIXED, 0.0, count)
    there = now.visibility > 0
    absent = np.ones(count, bool) if old is None else absent_joints(kept, seen, scores)
    points = np.where(changed[:, None], now.points, np.where(absent[:, None], np.nan, kept))
    seen = np.where(changed, np.where(now.visibility == 2, 1.0, HIDDEN), seen)
    label.points, label[VISIBILITY] = stored_joints(points, seen, box_of(label), None if old is None else kept)
    oks = np.where(changed, there.astype(float), scores)
    label[KEYPOINT_OKS], label[FIXED] = oks.tolist(), np.where(changed, there, fixed > 0).tolist()
    if old is None:
        label[PRED_OKS] = 1.0
    elif changed.any():
        label[PRED_OKS] = float(visibility_weighted(np.clip(oks, 0, 1), np.clip(label[VISIBILITY], 0, 1)))


def _resize(label: fo.Keypoint, box: list[float]) -> None:
    """Give a person another box; an area is multiplied as the box's is, since a person's share of it stays the same."""
    before, area = box_of(label), label.get_attribute_value(AREA, None)
    if before is not None and area is not None and before[2] * before[3] > 0:
        label[AREA] = area * box[2] * box[3] / (before[2] * before[3])
    label[BOUNDING_BOX] = box
