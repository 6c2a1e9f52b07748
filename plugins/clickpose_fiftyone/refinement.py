"""Correct a pose with clicks, keep the original, undo, accept or discard.

What a person looked like before each saved refinement stays with it in ``refinement_history``, newest last; the first
entry is the network's own pose. Tags tell what happened: ``refined``, then ``accepted`` or ``refinement_discarded``.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, replace

import fiftyone as fo
import numpy as np
from bson import ObjectId

from clickpose.boxes import grow_boxes
from clickpose.predictor import PosePredictor, place_clicks
from clickpose.structures import Clicks, Pose
from clickpose_fiftyone.checks import require_keypoints
from clickpose_fiftyone.column_writes import declare
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.conversion import label_to_pose, pose_attributes
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
    INSTANCE,
    KEYPOINT_OKS,
    NUM_KEYPOINTS,
    POINTS,
    PRED,
    PRED_OKS,
    REFINED,
    SCORE_RAW,
    TAGS,
    VISIBILITY,
    boxes_field_of,
    joints_field_of,
    people_path,
)
from clickpose_fiftyone.fiftyone_internals import ID, photos_collection, root_dataset_of
from clickpose_fiftyone.people_views import of_photos
from clickpose_fiftyone.person_updates import StoredPerson, change_person, read_person
from clickpose_fiftyone.predictors import refine_cached, shared_predictor
from clickpose_fiftyone.provenance import network_of, other_network
from clickpose_fiftyone.review import mark_persons
from clickpose_fiftyone.skeletons import skeleton_of
from clickpose_fiftyone.thumbnails import cached_photo

_KEPT = (
    POINTS, CONFIDENCE, KEYPOINT_OKS, VISIBILITY, FIXED, PRED_OKS, SCORE_RAW, BOUNDING_BOX,
)  # fmt: skip


_FLOATS = (fo.ListField, fo.FloatField)
_DECLARED = {
    CONFIDENCE: _FLOATS, KEYPOINT_OKS: _FLOATS, VISIBILITY: _FLOATS, FIXED: (fo.ListField, fo.BooleanField),
    PRED_OKS: (fo.FloatField, None), SCORE_RAW: (fo.FloatField, None), BOUNDING_BOX: _FLOATS,
    HISTORY: (fo.StringField, None),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Person:
    """One person of a dataset, as it is stored now.

    Attributes:
        dataset: where it is.
        sample_id: its photo.
        filepath: the photo's file.
        label: its keypoints.
        field: the Keypoints field.
        image_hw: height and width of the photo's file, pixels.
        pose: the same as a pose, px.
    """

    dataset: fo.Dataset
    sample_id: str
    filepath: str
    label: fo.Keypoint
    field: str
    image_hw: tuple[int, int]
    pose: Pose

    @property
    def revision(self) -> int:
        """How many refinements were saved; tells whether somebody else was faster."""
        return len(history_of(self.label))


def find_person(samples, field: str, label_id: str, sample_id: str | None = None) -> Person:
    """Read one person.

    Args:
        samples: the dataset or a view of it.
        field: Keypoints field.
        label_id: which person.
        sample_id: its sample, if known: spares a search through the dataset.

    Raises:
        ValueError: if there is no such person (any more) or its photo cannot be read.
    """
    require_keypoints(samples, field)
    dataset, stored = root_dataset_of(samples), read_person(samples, field, label_id, sample_id)
    image_hw = cached_photo(stored.filepath).shape[:2]
    pose = label_to_pose(stored.label, skeleton_of(samples, field), image_hw)
    return Person(dataset, stored.sample_id, stored.filepath, stored.label, field, image_hw, pose)


def person_of_selection(samples, fields, selected) -> tuple[str, str, str, str | None] | None:
    """Return who is meant by the labels that are selected in the app: a person itself, its box or one of its joints.

    Args:
        samples: a dataset or view.
        fields: Keypoints fields whose people can be meant.
        selected: what the app tells: ``field``, ``sample_id`` and ``label_id`` of each label.

    Returns:
        (field, sample id, label id, name of the joint if one was selected); None where it is nobody, or several.
    """
    found = {_person_of(samples, fields, label) for label in selected} - {None}
    return found.pop() if len(found) == 1 else None


def _person_of(samples, fields, selected) -> tuple[str, str, str, str | None] | None:
    drawn, sample_id, label_id = (selected[name] for name in ("field", "sample_id", "label_id"))
    field = next((name for name in fields if drawn in (name, boxes_field_of(name), joints_field_of(name))), None)
    if field is None or drawn == field:
        return None if field is None else (field, sample_id, label_id, None)
    photo = photos_collection(root_dataset_of(samples)).find_one({ID: ObjectId(sample_id)}, {field: True, drawn: True})
    labels = (photo.get(drawn) or {}).get("detections" if drawn == boxes_field_of(field) else "keypoints")
    label = next((known for known in labels or () if str(known[ID]) == label_id), None)
    people = (photo.get(field) or {}).get("keypoints") or ()
    if label is None:
        return None
    if drawn == boxes_field_of(field):
        link = (label.get(INSTANCE) or {}).get(ID)
        person = next((p for p in people if link is not None and (p.get(INSTANCE) or {}).get(ID) == link), None)
        return None if person is None else (field, sample_id, str(person[ID]), None)
    joint = skeleton_of(samples, field).index(label["label"])
    person = next((p for p in people if p[POINTS][joint] == label[POINTS][0]), None)
    return None if person is None else (field, sample_id, str(person[ID]), label["label"])


def refining_predictor(samples, field: str, model: str | PosePredictor | None = None) -> PosePredictor:
    """Return the network to refine a field with, loaded once in this process.

    Args:
        samples: the dataset or a view of it.
        field: Keypoints field.
        model: name of a network, or a predictor; None for the one that predicted the field if it is known and its
            weights are at hand, else lite.

    Raises:
        ValueError: for another name, or weights that cannot be read.
    """
    network = network_of(samples, field)
    if model is None and network is not None and network.checkpoint is not None:
        return shared_predictor(network.model, network.checkpoint)
    model = model or "lite"
    return shared_predictor(model) if isinstance(model, str) else model


def refined_pose(
    person: Person, clicks: list[tuple[str, float, float]], model: str | PosePredictor | None = None
) -> list[Pose]:
    """Return the pose before, and after each click, without saving anything.

    Where no network is named and the field's (or lite) has other joints, clicked joints are placed and the others stay.

    Args:
        person: who.
        clicks: (joint name, x px, y px) in the order in which they were made.
        model: see :func:`refining_predictor`.

    Raises:
        ValueError: for an unknown joint, or a click outside the photo.
    """
    poses = [person.pose]
    if not clicks:  # nothing to do for a network, which takes seconds to load
        return poses
    predictor = refining_predictor(person.dataset, person.field, model)
    for joint, x, y in clicks:
        height, width = person.image_hw
        if not (0 <= x <= width and 0 <= y <= height):
            raise ValueError(f"Expected a click inside the photo ({width} x {height} px), got ({x:.0f}, {y:.0f})")
        if model is None and not follows(predictor, person.pose):
            placed = place_clicks(poses[-1], Clicks.from_mapping(person.pose.skeleton, {joint: (x, y)}))
            poses.append(_certain(placed, joint))
            continue
        refined = refine_cached(predictor, person.filepath, poses[-1], {joint: (x, y)})
        poses.append(_without_new_joints(poses[-1], refined))
    return poses


def follows(predictor: PosePredictor, pose: Pose) -> bool:
    """Tell whether a network has the joints of a pose, so that they follow a click; else they are placed alone."""
    return predictor.skeleton.names == pose.skeleton.names


def _certain(pose: Pose, joint: str) -> Pose:
    """Return a pose in which a joint that a human placed is certain, and the box holds it."""
    index = pose.skeleton.index(joint)
    scores, seen = pose.keypoint_scores.copy(), pose.visibility_scores.copy()
    scores[index], seen[index] = 1.0, max(seen[index], 0.5)
    box_xyxy = grow_boxes(pose.box_xyxy, pose.keypoints, pose.fixed)
    return replace(pose, keypoint_scores=scores, visibility_scores=seen, box_xyxy=box_xyxy)


def _without_new_joints(before: Pose, refined: Pose) -> Pose:
    """Take joints from a refined pose that were not there and that nobody placed: a human may have deleted them."""
    there = np.isfinite(before.keypoints).all(axis=1) | refined.fixed
    return replace(refined, keypoints=np.where(there[:, None], refined.keypoints, np.nan))


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


def save_refinement(person: Person, pose: Pose, revision: int | None = None) -> None:
    """Write a refined pose over its person; the earlier state goes to the history.

    Args:
        person: who, as read.
        pose: the refined pose, px.
        revision: the revision that the refinement started from; None for that of ``person``.

    Raises:
        ValueError: if somebody else saved in between; nothing is written.
    """
    started = person.revision if revision is None else revision

    def refined(label: fo.Keypoint) -> dict:
        history = history_of(label)
        if len(history) != started:
            raise ValueError("Somebody else refined this person in the meantime; it was reloaded, refine it again")
        changes = pose_attributes(pose, person.image_hw)
        if label.get_attribute_value(NUM_KEYPOINTS, None) is not None:
            changes[NUM_KEYPOINTS] = int(np.isfinite(pose.keypoints).all(axis=1).sum())
        tags = _changed_tags(label, add=(REFINED,), remove=(ACCEPTED, DISCARDED))
        return {**changes, HISTORY: json.dumps([*history, state_of(label)]), TAGS: tags}

    _change(person.dataset, person.field, person.label.id, refined, person.sample_id)


def undo_refinement(samples, label_id: str, pred_field: str = PRED, sample_id: str | None = None) -> int:
    """Take back the last saved refinement of a person, which is open again then; returns how many are left.

    Raises:
        ValueError: if there is none.
    """

    def before(label: fo.Keypoint) -> dict:
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


def history_of(label: fo.Keypoint) -> list[dict]:
    """Return the earlier states of a person, oldest first."""
    stored = label.get_attribute_value(HISTORY, None)
    return json.loads(stored) if stored else []


def state_of(label: fo.Keypoint) -> dict:
    """Return what the history keeps of a person."""
    return {name: label.get_attribute_value(name, None) for name in _KEPT}


def _not_annotated(label: fo.Keypoint) -> dict:
    """Return what takes the flags of Label Studio away: the state that comes back is from before them."""
    return {} if label.get_attribute_value(ANNOTATED_VISIBILITY, None) is None else {ANNOTATED_VISIBILITY: None}


def _changed_tags(label: fo.Keypoint, add=(), remove=()) -> list[str]:
    return [tag for tag in label.tags or [] if tag not in remove and tag not in add] + list(add)


def _change(samples, field: str, label_id: str, change, sample_id: str | None = None) -> StoredPerson | None:
    """Change a person, see :func:`change_person`, and what depends on it: lowest predicted OKS, colours."""
    require_keypoints(samples, field)
    dataset = root_dataset_of(samples)
    _declare_state(dataset, field)
    person = change_person(dataset, field, label_id, change, sample_id)
    if person is not None:
        refresh_derived(dataset.select(person.sample_id), field)
    return person


def _declare_state(dataset, field: str) -> None:
    """Have the attributes that a refinement writes in the schema, so that the app shows and filters them."""
    path = people_path(field)
    if any(dataset.get_field(f"{path}.{name}") is None for name in _DECLARED):
        declare(dataset, {f"{path}.{name}": kind for name, kind in _DECLARED.items()})


def moved_joints(before: Pose, after: Pose, at_least: float = 0.5) -> list[str]:
    """Return the names of the joints that differ by ``at_least`` px."""
    distance = np.linalg.norm(np.nan_to_num(after.keypoints) - np.nan_to_num(before.keypoints), axis=1)
    return [name for name, far in zip(before.skeleton.names, distance >= at_least, strict=True) if far]
