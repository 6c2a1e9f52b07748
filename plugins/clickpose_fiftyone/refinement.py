"""Correct a pose with clicks, keep the original, undo, accept or discard.

What a person looked like before each saved refinement stays with it in ``refinement_history``, newest last; the first
entry is the network's own pose. Tags tell what happened: ``refined``, then ``accepted`` or ``refinement_discarded``.
"""

from __future__ import annotations

import json
import warnings

import fiftyone as fo
import numpy as np

from clickpose.predictor import PosePredictor
from clickpose.structures import Pose
from clickpose_fiftyone.checks import require_keypoints
from clickpose_fiftyone.clicked_poses import follows, refined_pose, refining_predictor
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.conversion import pose_attributes
from clickpose_fiftyone.declaring import declare
from clickpose_fiftyone.derived import refresh_derived
from clickpose_fiftyone.field_names import (
    ACCEPTED,
    ANNOTATED_VISIBILITY,
    BOUNDING_BOX,
    CONFIDENCE,
    CORRECTED,
    DISCARDED,
    FIXED,
    HISTORY,
    KEYPOINT_OKS,
    NUM_KEYPOINTS,
    PRED,
    PRED_OKS,
    REFINED,
    SCORE_RAW,
    TAGS,
    VISIBILITY,
    people_path,
)
from clickpose_fiftyone.fiftyone_internals import root_dataset_of
from clickpose_fiftyone.found_persons import Person, find_person
from clickpose_fiftyone.people_views import of_photos
from clickpose_fiftyone.person_history import history_of, mark_of, state_of
from clickpose_fiftyone.person_updates import StoredPerson, change_person
from clickpose_fiftyone.provenance import other_network
from clickpose_fiftyone.review import mark_persons

_FLOATS = (fo.ListField, fo.FloatField)
_DECLARED = {
    CONFIDENCE: _FLOATS, KEYPOINT_OKS: _FLOATS, VISIBILITY: _FLOATS, FIXED: (fo.ListField, fo.BooleanField),
    PRED_OKS: (fo.FloatField, None), SCORE_RAW: (fo.FloatField, None), BOUNDING_BOX: _FLOATS,
    HISTORY: (fo.StringField, None),
}  # fmt: skip


class ChangedMeanwhileError(ValueError):
    """Somebody else changed the person that was to be written; nothing was."""


def refine_pose(
    samples,
    label_id: str,
    clicks: dict[str, tuple[float, float]],
    pred_field: str = PRED,
    sample_id: str | None = None,
    model: str | PosePredictor | None = None,
) -> Pose:
    """Refine one person and save it: clicked joints stay exactly where they were put, the others follow.

    Args:
        samples: a dataset or view.
        label_id: which person.
        clicks: joint name -> (x, y) px.
        pred_field: Keypoints field.
        sample_id: its sample, if known.
        model: see :func:`refining_predictor`; a warning says so if another network predicted the field.

    Returns:
        the refined pose, px.

    Raises:
        ValueError: as :func:`find_person` and :func:`refined_pose`.
    """
    person = find_person(samples, pred_field, label_id, sample_id)
    network = refining_predictor(samples, pred_field, model)
    if follows(network, person.pose) and (sentence := other_network(samples, pred_field, network)):
        warnings.warn(sentence, stacklevel=2)
    pose = refined_pose(person, [(joint, *position) for joint, position in clicks.items()], model)[-1]
    save_refinement(person, pose)
    return pose


def save_refinement(person: Person, pose: Pose, mark: str | None = None) -> None:
    """Write a refined pose over its person; the earlier state goes to the history.

    Args:
        person: who, as read.
        pose: the refined pose, px.
        mark: what the person was when the refinement started, see :func:`mark_of`; None for what ``person`` is.

    Raises:
        ChangedMeanwhileError: if somebody else changed the person in between; nothing is written.
    """
    started = mark_of(person.label) if mark is None else mark

    def refined(label: fo.Keypoint) -> dict:
        history = history_of(label)
        if mark_of(label) != started:
            raise ChangedMeanwhileError("Somebody else changed this person in the meantime; it stays as they left it")
        changes = pose_attributes(pose, person.image_hw)
        if label.get_attribute_value(NUM_KEYPOINTS, None) is not None:
            changes[NUM_KEYPOINTS] = int(np.isfinite(pose.keypoints).all(axis=1).sum())
        tags = _changed_tags(label, add=(REFINED,), remove=(ACCEPTED, DISCARDED))
        return {**changes, HISTORY: json.dumps([*history, state_of(label)]), TAGS: tags}

    _change(person.dataset, person.field, person.label.id, refined, person.sample_id)


def undo_refinement(
    samples, label_id: str, pred_field: str = PRED, sample_id: str | None = None, mark: str | None = None
) -> int:
    """Take back the last saved refinement of a person, which is open again then; returns how many are left.

    Args:
        samples: a dataset or view.
        label_id: which person.
        pred_field: Keypoints field.
        sample_id: its sample, if known.
        mark: what the person is thought to be, see :func:`mark_of`; None for whatever it is.

    Raises:
        ChangedMeanwhileError: if it is not.
        ValueError: if there is no saved refinement.
    """

    def before(label: fo.Keypoint) -> dict:
        if mark is not None and mark_of(label) != mark:
            raise ChangedMeanwhileError("Somebody else changed this person in the meantime; it stays as they left it")
        history = history_of(label)
        if not history:
            raise ValueError("Expected a refined person, got one without a saved refinement")
        *kept, state = history
        tags = _changed_tags(label, remove=(ACCEPTED,) if kept else (REFINED, ACCEPTED, CORRECTED))
        return {**state, **_not_annotated(label), HISTORY: json.dumps(kept), TAGS: tags}

    person = _change(samples, pred_field, label_id, before, sample_id)
    return len(history_of(person.label)) - 1


def accept_refinements(samples, label_ids=None, pred_field: str = PRED) -> int:
    """Settle refinements: the persons are tagged ``accepted``, their originals stay in the history.

    Args:
        samples: a dataset or view.
        label_ids: which persons, refined or not; None for all refined ones of ``samples``.
        pred_field: Keypoints field.

    Returns:
        how many were accepted that were not before.

    Raises:
        ValueError: if an id is of no person of the field; nothing is written.
    """
    ids = refined_ids(samples, pred_field) if label_ids is None else list(label_ids)
    return mark_persons(samples, pred_field, ids, ACCEPTED) if ids else 0


def discard_refinements(samples, label_ids=None, pred_field: str = PRED) -> int:
    """Bring back the originals of refined persons, tagged ``refinement_discarded``; returns how many.

    Args:
        samples: a dataset or view.
        label_ids: which persons, accepted or not; None for all refined ones of ``samples`` that are not accepted.
        pred_field: Keypoints field.

    Raises:
        ValueError: if an id is of no person of the field.
    """
    ids = refined_ids(samples, pred_field) if label_ids is None else list(label_ids)

    def original(label: fo.Keypoint) -> dict | None:
        history = history_of(label)
        tags = _changed_tags(label, add=(DISCARDED,), remove=(REFINED, ACCEPTED, CORRECTED))
        return {**history[0], **_not_annotated(label), HISTORY: None, TAGS: tags} if history else None

    return sum(_change(samples, pred_field, label_id, original) is not None for label_id in ids)


@of_photos
def refined_ids(samples, pred_field: str = PRED) -> list[str]:
    """Return the label ids of the persons of a view with a saved refinement that is not accepted yet."""
    columns = PersonColumns(samples, pred_field)
    states = zip(columns.label_ids, columns.values(TAGS), columns.values(HISTORY), strict=True)
    return [
        label_id
        for label_id, tags, history in states
        if history and json.loads(history) and ACCEPTED not in (tags or ())
    ]


def _not_annotated(label: fo.Keypoint) -> dict:
    """Return what takes the flags of Label Studio away: the state that comes back is from before them."""
    return {} if label.get_attribute_value(ANNOTATED_VISIBILITY, None) is None else {ANNOTATED_VISIBILITY: None}


def _changed_tags(label: fo.Keypoint, add=(), remove=()) -> list[str]:
    return [tag for tag in label.tags or [] if tag not in remove and tag not in add] + list(add)


def _change(samples, field: str, label_id: str, change, sample_id: str | None = None) -> StoredPerson | None:
    """Change a person, see :func:`change_person`, and what depends on it: lowest predicted OKS, colours."""
    require_keypoints(samples, field)
    dataset = root_dataset_of(samples)
    declare_state(dataset, field)
    person = change_person(dataset, field, label_id, change, sample_id)
    if person is not None:
        refresh_derived(dataset.select(person.sample_id), field)
    return person


def declare_state(dataset, field: str) -> None:
    """Have the attributes that a refinement writes in the schema, so that the app shows and filters them."""
    path = people_path(field)
    if any(dataset.get_field(f"{path}.{name}") is None for name in _DECLARED):
        declare(dataset, {f"{path}.{name}": kind for name, kind in _DECLARED.items()})
