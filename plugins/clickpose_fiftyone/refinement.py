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

from clickpose.image_io import read_image
from clickpose.predictor import PosePredictor
from clickpose.structures import Pose
from clickpose_fiftyone.checks import require_keypoints
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.conversion import instance_of, label_to_pose, pose_attributes
from clickpose_fiftyone.derived import refresh_derived
from clickpose_fiftyone.field_names import (
    ACCEPTED,
    BOUNDING_BOX,
    CONFIDENCE,
    DISCARDED,
    FIXED,
    HISTORY,
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
)
from clickpose_fiftyone.fiftyone_internals import root_dataset_of
from clickpose_fiftyone.linked_boxes import follow_poses
from clickpose_fiftyone.predictors import refine_cached, shared_predictor
from clickpose_fiftyone.provenance import network_of, other_network
from clickpose_fiftyone.review import mark_persons
from clickpose_fiftyone.skeletons import skeleton_of

_KEPT = (
    POINTS, CONFIDENCE, KEYPOINT_OKS, VISIBILITY, FIXED, PRED_OKS, SCORE_RAW, BOUNDING_BOX,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Person:
    """One person of a dataset, as it is stored now.

    Attributes:
        sample: its sample.
        label: its keypoints.
        field: the Keypoints field.
        image_hw: height and width of the photo's file, pixels.
        pose: the same as a pose, px.
    """

    sample: fo.Sample
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
    sample, label = _find_label(samples, field, label_id, sample_id)
    image_hw = read_image(sample.filepath).shape[:2]
    return Person(sample, label, field, image_hw, label_to_pose(label, skeleton_of(samples, field), image_hw))


def _find_label(samples, field: str, label_id: str, sample_id: str | None = None) -> tuple[fo.Sample, fo.Keypoint]:
    """Read the sample and the keypoints of a person; its photo is not needed.

    Raises:
        ValueError: if there is no such person (any more).
    """
    require_keypoints(samples, field)
    dataset = root_dataset_of(samples)
    if sample_id is None:
        ids = dataset.select_labels(ids=[label_id], fields=field).values("id")
        sample_id = ids[0] if ids else None
    sample = dataset[sample_id] if sample_id in _ids(dataset, sample_id) else None
    labels = [] if sample is None or sample[field] is None else sample[field].keypoints
    label = next((known for known in labels if known.id == label_id), None)
    if label is None:
        raise ValueError(f'Expected a person of field "{field}", got an id that is not there any more; reload')
    return sample, label


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
    predictor = refining_predictor(person.sample.dataset, person.field, model)
    for joint, x, y in clicks:
        height, width = person.image_hw
        if not (0 <= x <= width and 0 <= y <= height):
            raise ValueError(f"Expected a click inside the photo ({width} x {height} px), got ({x:.0f}, {y:.0f})")
        refined = refine_cached(predictor, person.sample.filepath, poses[-1], {joint: (x, y)})
        poses.append(_without_new_joints(poses[-1], refined))
    return poses


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
    model = refining_predictor(samples, pred_field, model)
    if sentence := other_network(samples, pred_field, model):
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
    person.sample.reload()
    sample, label = _find_label(person.sample.dataset, person.field, person.label.id, person.sample.id)
    history = history_of(label)
    if len(history) != (person.revision if revision is None else revision):
        raise ValueError("Somebody else refined this person in the meantime; it was reloaded, refine it again")
    history.append(state_of(label))
    _set_attributes(label, pose_attributes(pose, person.image_hw))
    if label.get_attribute_value(NUM_KEYPOINTS, None) is not None:
        label[NUM_KEYPOINTS] = int(np.isfinite(pose.keypoints).all(axis=1).sum())
    label[HISTORY] = json.dumps(history)
    _set_tags(label, add=(REFINED,), remove=(ACCEPTED, DISCARDED))
    _store(sample, label, person.field)


def undo_refinement(samples, label_id: str, pred_field: str = PRED, sample_id: str | None = None) -> int:
    """Take back the last saved refinement of a person, which is open again then; returns how many are left.

    Raises:
        ValueError: if there is none.
    """
    sample, label = _find_label(samples, pred_field, label_id, sample_id)
    history = history_of(label)
    if not history:
        raise ValueError("Expected a refined person, got one without a saved refinement")
    _set_attributes(label, history.pop())
    label[HISTORY] = json.dumps(history)
    _set_tags(label, remove=(ACCEPTED,) if history else (REFINED, ACCEPTED))
    _store(sample, label, pred_field)
    return len(history)


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
    discarded = 0
    for label_id in ids:
        sample, label = _find_label(samples, pred_field, label_id)
        history = history_of(label)
        if not history:
            continue
        _set_attributes(label, history[0])
        label[HISTORY] = None
        _set_tags(label, add=(DISCARDED,), remove=(REFINED, ACCEPTED))
        _store(sample, label, pred_field)
        discarded += 1
    return discarded


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


def _ids(dataset, sample_id: str | None) -> set[str]:
    return set() if sample_id is None else set(dataset.select(sample_id).values("id"))


def _set_attributes(label: fo.Keypoint, attributes: dict) -> None:
    for name, value in attributes.items():
        label[name] = value


def _set_tags(label: fo.Keypoint, add=(), remove=()) -> None:
    label.tags = [tag for tag in label.tags or [] if tag not in remove and tag not in add] + list(add)


def _store(sample: fo.Sample, label: fo.Keypoint, field: str) -> None:
    """Save the sample with what depends on the person: linked box, lowest predicted OKS, colours."""
    _move_linked_box(sample, boxes_field_of(field), label)
    sample.save()
    refresh_derived(sample.dataset.select(sample.id), field)


def _move_linked_box(sample: fo.Sample, boxes_field: str, label: fo.Keypoint) -> None:
    boxes = sample[boxes_field] if boxes_field in sample.field_names else None
    if boxes is not None and instance_of(label) is not None:
        follow_poses(boxes.detections, [label])


def moved_joints(before: Pose, after: Pose, at_least: float = 0.5) -> list[str]:
    """Return the names of the joints that differ by ``at_least`` px."""
    distance = np.linalg.norm(np.nan_to_num(after.keypoints) - np.nan_to_num(before.keypoints), axis=1)
    return [name for name, far in zip(before.skeleton.names, distance >= at_least, strict=True) if far]
