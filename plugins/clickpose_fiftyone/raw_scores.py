"""The scores of people as the network gave them, and what is written of them: calibrated ones, or these again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from clickpose.boxes import box_area
from clickpose.calibration.aggregation import visibility_weighted
from clickpose.data.confidences import unit_confidences
from clickpose.data.notes import Notes, note
from clickpose_fiftyone.checks import left_out, people, require_samples
from clickpose_fiftyone.collector import collector_paused
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.dataset_info import keep
from clickpose_fiftyone.derived import photo_columns, write_people
from clickpose_fiftyone.field_names import (
    CALIBRATION_INFO,
    CONFIDENCE,
    HISTORY,
    KEYPOINT_OKS,
    PRED,
    PRED_OKS,
    RAW_VISIBILITY,
    SCORE_RAW,
    VISIBILITY,
)
from clickpose_fiftyone.people_views import of_photos
from clickpose_fiftyone.truth import PREDICTION_ATTRIBUTES


def raw_confidence(columns: PersonColumns, notes: Notes | None = None) -> np.ndarray:
    """Return the (N, K) confidences as the network gave them, 0..1; 0 for a joint without one.

    Args:
        columns: the people.
        notes: what was clipped or missing is counted here.

    Raises:
        ValueError: if there are none or they are on another scale than 0..1.
    """
    confidence = columns.joints(CONFIDENCE)
    known = np.isfinite(confidence)
    if not known.any():
        raise ValueError(f'Expected field "{columns.field}" to have a confidence of each joint, got none')
    if notes is not None and (count := int((columns.placed & ~known).sum())):
        note(notes, "joints without a confidence of the network, taken as 0", count)
    ids = columns.label_ids
    return unit_confidences(
        np.where(known, confidence, 0.0), CONFIDENCE, lambda row: f'person {ids[row]} of "{columns.field}"', notes
    )


def visibility_weights(columns: PersonColumns) -> np.ndarray:
    """Return the (N, K) visibilities that weight the joints; 1 where there are none."""
    visibility = columns.joints(VISIBILITY)
    return np.clip(np.where(np.isfinite(visibility), visibility, 1.0), 0, 1)


def raw_scores(columns: PersonColumns) -> np.ndarray:
    """Return the (N,) persons' scores as the network gave them; the mean confidence where there is none."""
    stored = columns.scalars(SCORE_RAW)
    scores = np.where(np.isfinite(stored), stored, raw_confidence(columns).mean(axis=1))
    return np.clip(scores, 0, 1)


def person_areas(columns: PersonColumns) -> np.ndarray:
    """Return the (N,) px² of the persons' boxes, at least 1."""
    return np.maximum(np.nan_to_num(box_area(columns.boxes_xyxy)), 1.0)


def write_scores(columns: PersonColumns, joint_oks: np.ndarray, own: bool) -> None:
    """Write the scores of everybody, and what depends on them; a human's joints stay certain, absent ones have no OKS.

    Args:
        columns: the people.
        joint_oks: (N, K) predicted OKS.
        own: they are the network's own, and the people's are theirs then, but for those whom a human corrected.
    """
    fixed = columns.fixed
    joint_oks = np.where(fixed, 1.0, np.where(columns.placed, joint_oks, 0.0))
    pred_oks = visibility_weighted(joint_oks, visibility_weights(columns))
    if own:
        pred_oks = np.where(fixed.any(axis=1), pred_oks, raw_scores(columns))
    persons = {KEYPOINT_OKS: joint_oks, PRED_OKS: pred_oks}
    if not np.isfinite(columns.scalars(SCORE_RAW)).all():
        persons[SCORE_RAW] = raw_scores(columns)
    write_people(columns, persons)


@dataclass(frozen=True)
class RestoredScores:
    """How many people have the network's own scores again."""

    persons: int
    note: str = ""

    def __str__(self) -> str:
        return f"The network's own scores are back: {people(self.persons)}.{self.note}"


@of_photos
@collector_paused()
def restore_raw_scores(samples, pred_field: str = PRED) -> RestoredScores:
    """Take calibrations back: ``keypoint_oks``, ``pred_oks`` and ``visibility`` are the network's own again.

    Joints that a human placed stay certain.

    Args:
        samples: a dataset or view of images.
        pred_field: Keypoints field with raw ``confidence`` of each joint.

    Raises:
        ValueError: if the field cannot serve, or has no confidences.
    """
    require_samples(samples)
    columns = PersonColumns(samples, pred_field, attributes=(*PREDICTION_ATTRIBUTES, RAW_VISIBILITY, HISTORY))
    if np.isfinite(columns.joints(RAW_VISIBILITY)).any():
        _restore_visibility(columns)
    notes: Counter[str] = Counter()
    write_scores(columns, raw_confidence(columns, notes), own=True)
    keep_calibration(samples, pred_field, None)
    return RestoredScores(len(columns), left_out(notes))


def _restore_visibility(columns: PersonColumns) -> None:
    """Write the visibilities of before a CCNet head read new ones; whom a human has refined since keeps what it has."""
    raw, stored = columns.joints(RAW_VISIBILITY), columns.joints(VISIBILITY)
    untouched = np.array([history in (None, "[]") for history in columns.values(HISTORY)], bool)
    restored = np.isfinite(raw) & untouched[:, None] & ~columns.fixed
    visibility = np.where(restored, raw, stored)
    persons = {VISIBILITY: visibility}
    columns.write_all(persons, photo_columns(columns, persons))


def keep_calibration(samples, pred_field: str, kept: dict | None) -> None:
    """Keep with the dataset what the last calibration of a field did; None where scores are the network's own."""
    keep(samples, CALIBRATION_INFO, pred_field, kept)
