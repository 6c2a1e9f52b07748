"""Find annotations that are probably wrong: exchanged sides, chimeras, doubles, missing joints, stray joints, limbs
longer than people have."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

import numpy as np

from clickpose.metrics.oks import keypoint_oks, oks
from clickpose.steps import Steps, stepwise
from clickpose_fiftyone.checks import require_compared, require_keypoints, require_samples
from clickpose_fiftyone.collector import uncollected
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.dataset_info import keep, kept_of
from clickpose_fiftyone.field_names import (
    GT,
    KEYPOINT_OKS,
    LABEL_ERROR_TAG,
    LABEL_ERRORS,
    LABEL_ERRORS_INFO,
    PRED,
    VISIBILITY,
)
from clickpose_fiftyone.matching import group_indices, match_persons
from clickpose_fiftyone.people_views import photos_of
from clickpose_fiftyone.truth import labelled_visibility, read_predictions, read_truth, truth_areas
from clickpose_fiftyone.visibility import write_tag

KINDS = {
    "left_right_flip": "left and right are exchanged",
    "chimera": "the joints belong to two people",
    "duplicate": "the same person is labelled twice",
    "missing_joint": "a joint that is clearly visible is not labelled",
    "far_from_prediction": "a joint is far from where the network is sure it is",
    "impossible_limb": "a limb is longer than people have",
}
_SURE = 0.75  # predicted OKS and visibility from which the network counts as sure
_DOUBLE_OKS = 0.8
_FLIP_ADVANTAGE = 0.3
_LIMB_FACTOR = 2.2  # times the longest usual length (the 95th percentile) of that bone, in units of sqrt(area)


@dataclass(frozen=True)
class LabelError:
    """One finding.

    Attributes:
        sample_id, label_id: the annotated person.
        kind: a key of :data:`KINDS`.
        joint: the joint's name, where it is of one joint.
        suspicion: 0..1, for sorting.
    """

    sample_id: str
    label_id: str
    kind: str
    joint: str | None
    suspicion: float

    def __str__(self) -> str:
        where = f" ({self.joint})" if self.joint else ""
        return f"{KINDS[self.kind]}{where}"


@dataclass(frozen=True)
class LabelErrors:
    """The findings of a view, most suspicious first."""

    errors: tuple[LabelError, ...]
    persons: int

    def __str__(self) -> str:
        if not self.errors:
            return f"No suspicious labels among {self.persons} people."
        counts = Counter(error.kind for error in self.errors)
        parts = [f"{counts[kind]} × {kind.replace('_', ' ')}" for kind in KINDS if counts[kind]]
        people = len({error.label_id for error in self.errors})
        return f"{people} of {self.persons} labelled people look wrong: {', '.join(parts)}."


@stepwise
@uncollected
def find_label_errors(
    samples, pred_field: str | None = PRED, gt_field: str = GT, write: bool = True
) -> Steps[LabelErrors]:
    """Look for annotations that are probably wrong.

    Doubles and limbs need no predictions; the other kinds compare with confident ones.

    Args:
        samples: a dataset or view of images.
        pred_field: Keypoints field with predictions; None to compare with none.
        gt_field: Keypoints field with annotations.
        write: tag the persons ``label_error`` and store the kinds as ``label_errors``.
        progress: called with (parts of the search done, parts in all).

    Raises:
        ValueError: if the fields cannot serve or nobody is labelled.
    """
    samples = photos_of(samples, people=False)
    require_samples(samples)
    if pred_field is None:
        require_keypoints(samples, gt_field)
    else:
        require_compared(samples, pred_field, gt_field)
    truth = _Truth(PersonColumns(samples, gt_field))
    yield 1, 4
    found = [*_duplicates(truth), *_impossible_limbs(truth)]
    yield 2, 4
    if pred_field is not None:
        found += _against_predictions(truth, PersonColumns(samples, pred_field))
    yield 3, 4
    found.sort(key=lambda error: -error.suspicion)
    if write:
        _write(truth.columns, found)
    return LabelErrors(tuple(found), len(truth.columns))


class _Truth:
    """The annotated people of a view and how a finding on one of them is made."""

    def __init__(self, columns: PersonColumns):
        self.columns = columns
        self.people = read_truth(columns)
        self.skeleton = columns.skeleton
        self.visibility = labelled_visibility(columns)
        self.areas = np.maximum(truth_areas(columns), 1.0)

    def error(self, person: int, kind: str, suspicion: float, joint: int | None = None) -> LabelError:
        sample_id = str(self.columns.sample_ids[self.columns.rows[person]])
        name = None if joint is None else self.skeleton.names[joint]
        return LabelError(sample_id, self.columns.label_ids[person], kind, name, float(np.clip(suspicion, 0, 1)))


def _duplicates(truth: _Truth) -> list[LabelError]:
    """Two people of one photo with nearly the same joints: the one with fewer labels is the double."""
    found = []
    people, counts = truth.people, (truth.visibility > 0).sum(axis=1)
    for members in group_indices(people.image_ids).values():
        for a, b in ((a, b) for a in members.tolist() for b in members.tolist() if a < b):
            shared = (truth.visibility[a] > 0) & (truth.visibility[b] > 0)
            if shared.sum() < 3 or people.crowd[a] or people.crowd[b]:
                continue
            area = min(truth.areas[a], truth.areas[b])
            similar = oks(people.keypoints[a], people.keypoints[b], area, truth.skeleton.sigma_array, shared)
            if similar > _DOUBLE_OKS:
                found.append(truth.error(a if counts[a] < counts[b] else b, "duplicate", float(similar)))
    return found


def _impossible_limbs(truth: _Truth) -> list[LabelError]:
    """Bones far longer than usual for the person's size. Short ones are no error: limbs point at the camera."""
    found = []
    scale = np.sqrt(truth.areas)
    for start, end in truth.skeleton.edges:
        both = (truth.visibility[:, start] > 0) & (truth.visibility[:, end] > 0) & ~truth.people.crowd
        if both.sum() < 8:
            continue
        length = np.linalg.norm(truth.people.keypoints[:, start] - truth.people.keypoints[:, end], axis=1) / scale
        usual = np.quantile(length[both], 0.95)
        for person in np.flatnonzero(both & (length > _LIMB_FACTOR * usual)).tolist():
            found.append(truth.error(person, "impossible_limb", 1 - usual / length[person], end))
    return found


def _against_predictions(truth: _Truth, predictions: PersonColumns) -> list[LabelError]:
    """The kinds that a confident prediction shows."""
    sigmas = truth.skeleton.sigma_array
    matches = match_persons(truth.people, read_predictions(predictions), sigmas, 0.1)
    joint_oks = np.nan_to_num(predictions.joints(KEYPOINT_OKS))
    visibility = np.nan_to_num(predictions.joints(VISIBILITY), nan=1.0)
    sure = (joint_oks >= _SURE) & (visibility >= _SURE)
    predictions_of = group_indices(predictions.rows)
    found = []
    for person in np.flatnonzero(~truth.people.crowd & (truth.visibility > 0).any(axis=1)).tolist():
        photo = predictions_of.get(truth.people.image_ids[person], np.array([], int))
        own = int(matches.prediction_of[person])
        own = own if own >= 0 else _mirrored_match(truth, person, predictions, photo)
        if own >= 0:
            found += _exchanged_sides(truth, person, predictions.keypoints[own], sure[own])
            found += _joints_apart(truth, person, predictions.keypoints[own], sure[own], joint_oks[own])
        found += _chimera(truth, person, predictions.keypoints[photo], sure[photo])
    return found


def _mirrored_match(truth: _Truth, person: int, predictions: PersonColumns, photo: np.ndarray) -> int:
    """Return the prediction that fits a person with left and right exchanged, -1 for none: a wholly exchanged person
    hardly overlaps with itself."""
    order = truth.skeleton.flip_indices
    keypoints, seen = truth.people.keypoints[person][order], truth.visibility[person][order] > 0
    if not len(photo):
        return -1
    similar = oks(predictions.keypoints[photo], keypoints, truth.areas[person], truth.skeleton.sigma_array, seen)
    return int(photo[similar.argmax()]) if similar.max() >= 0.5 else -1


def _exchanged_sides(truth: _Truth, person: int, predicted: np.ndarray, sure: np.ndarray) -> list[LabelError]:
    """The joints of a part fit a sure prediction clearly better with left and right exchanged."""
    skeleton, people = truth.skeleton, truth.people
    flipped = people.keypoints[person][skeleton.flip_indices]
    area = truth.areas[person]
    straight = keypoint_oks(predicted, people.keypoints[person], area, skeleton.sigma_array)
    crossed = keypoint_oks(predicted, flipped, area, skeleton.sigma_array)
    labelled = truth.visibility[person] > 0
    sided = (skeleton.flip_indices != np.arange(len(skeleton))) & labelled & labelled[skeleton.flip_indices] & sure
    parts = skeleton.parts.values() or [tuple(range(len(skeleton)))]
    for part in parts:
        chosen = sided & np.isin(np.arange(len(skeleton)), part)
        if chosen.sum() >= 4 and (gain := float((crossed - straight)[chosen].mean())) > _FLIP_ADVANTAGE:
            return [truth.error(person, "left_right_flip", 0.5 + gain / 2)]
    return []


def _joints_apart(truth: _Truth, person: int, predicted, sure, joint_oks) -> list[LabelError]:
    """Joints that the network is sure of and the annotation lacks or has elsewhere."""
    own = keypoint_oks(predicted, truth.people.keypoints[person], truth.areas[person], truth.skeleton.sigma_array)
    labelled = truth.visibility[person] > 0
    found = [
        truth.error(person, "missing_joint", 0.5 * joint_oks[joint], joint)
        for joint in np.flatnonzero(sure & ~labelled).tolist()
        if labelled.sum() >= 5  # somebody who labels few joints only does not forget one
    ]
    return found + [
        truth.error(person, "far_from_prediction", joint_oks[joint] * (1 - own[joint]), joint)
        for joint in np.flatnonzero(sure & labelled & (own < 0.05)).tolist()
    ]


def _chimera(truth: _Truth, person: int, predicted: np.ndarray, sure: np.ndarray) -> list[LabelError]:
    """At least three joints lie on one predicted person and three others on another one."""
    if len(predicted) < 2:
        return []
    labelled = truth.visibility[person] > 0
    terms = keypoint_oks(predicted, truth.people.keypoints[person], truth.areas[person], truth.skeleton.sigma_array)
    near = (terms >= 0.5) & labelled & sure  # (P, K)
    only = near & (near.sum(axis=0) == 1)
    counts = np.sort(only.sum(axis=1))[::-1]
    return [truth.error(person, "chimera", 0.5 + counts[1] / labelled.sum())] if counts[1] >= 3 else []


def _write(columns: PersonColumns, found: list[LabelError]) -> None:
    """Store the kinds and the tag; what an earlier search stored is replaced."""
    kinds: dict[str, list[str]] = {}
    for error in found:
        kinds.setdefault(error.label_id, []).append(
            error.kind if error.joint is None else f"{error.kind}:{error.joint}"
        )
    wrong = np.array([label_id in kinds for label_id in columns.label_ids], bool)
    stored = [kinds.get(label_id, []) for label_id in columns.label_ids]
    columns.write(LABEL_ERRORS, stored)
    write_tag(columns, LABEL_ERROR_TAG, wrong)
    rows = [[e.sample_id, e.label_id, e.kind, e.joint, e.suspicion] for e in found]
    keep(columns.samples, LABEL_ERRORS_INFO, columns.field, json.dumps(rows))


def stored_label_errors(samples, gt_field: str = GT) -> tuple[LabelError, ...]:
    """Return what the last search stored for a field."""
    rows = kept_of(samples, LABEL_ERRORS_INFO, gt_field)
    return tuple(LabelError(*row) for row in json.loads(rows)) if rows else ()
