"""What kind of errors the predictions have, joint by joint: Ronchi and Perona, "Benchmarking and Error Diagnosis in
Multi-Instance Pose Estimation", ICCV 2017, section 3.

A labelled joint of a found person is *good* (OKS term >= .85 with its own place), *jitter* (>= .5), else *inversion*
(>= .5 with the mirrored joint of the same person), *swap* (>= .5 with the same or the mirrored joint of another
person), else *miss*.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clickpose.metrics.keypoint_sets import KeypointTruth
from clickpose.metrics.oks import keypoint_oks
from clickpose.steps import Steps, stepwise
from clickpose_fiftyone.checks import require_compared, require_samples
from clickpose_fiftyone.collector import uncollected
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.field_names import GT, JOINT_ERRORS, PRED
from clickpose_fiftyone.matching import group_indices, match_persons
from clickpose_fiftyone.people_views import photos_of
from clickpose_fiftyone.truth import (
    PREDICTION_ATTRIBUTES,
    TRUTH_ATTRIBUTES,
    read_predictions,
    read_truth,
    require_same_joints,
)

ERRORS = ("good", "jitter", "inversion", "swap", "miss")
GOOD_FROM, NEAR_FROM, FOUND_FROM = 0.85, 0.5, 0.1
UNLABELLED = "unlabelled"
_NOT_LABELLED = -1


_PEOPLE_A_STEP = 1_000


@dataclass(frozen=True, eq=False, kw_only=True)
class Diagnosis:
    """Counts of the errors.

    Attributes:
        joints: K names.
        counts: (K, 5) joints of each name by :data:`ERRORS`.
        persons: people that were compared.
    """

    joints: tuple[str, ...]
    counts: np.ndarray
    persons: int

    @property
    def shares(self) -> np.ndarray:
        """(K, 5) shares of each joint's labels; 0 where it was never labelled."""
        total = self.counts.sum(axis=1, keepdims=True)
        return np.divide(self.counts, total, out=np.zeros(self.counts.shape), where=total > 0)

    def __str__(self) -> str:
        total = max(int(self.counts.sum()), 1)
        parts = [f"{name} {100 * count / total:.0f} %" for name, count in zip(ERRORS, self.counts.sum(0), strict=True)]
        return f"Compared {total} joints of {self.persons} people: {', '.join(parts)}."


@stepwise
@uncollected
def diagnose(samples, pred_field: str = PRED, gt_field: str = GT, write: bool = True) -> Steps[Diagnosis]:
    """Classify the error of every labelled joint that a prediction exists for.

    Args:
        samples: a dataset or view of images.
        pred_field: Keypoints field with predictions.
        gt_field: Keypoints field with annotations.
        write: store the kinds as ``joint_errors`` of each predicted person (``unlabelled`` without an
            annotation).
        progress: called with (people done, people in all).

    Raises:
        ValueError: if the fields cannot serve or nobody is labelled.
    """
    samples = photos_of(samples)
    require_samples(samples)
    require_compared(samples, pred_field, gt_field)
    predictions = PersonColumns(samples, pred_field, attributes=PREDICTION_ATTRIBUTES)
    truth_columns = PersonColumns(samples, gt_field, attributes=TRUTH_ATTRIBUTES)
    require_same_joints(predictions, truth_columns)
    truth = read_truth(truth_columns)
    skeleton = truth_columns.skeleton
    matches = match_persons(truth, read_predictions(predictions), skeleton.sigma_array, FOUND_FROM)
    kinds = np.full((len(predictions), len(skeleton)), _NOT_LABELLED)
    compared = np.flatnonzero((matches.truth_of >= 0) & matches.counted)
    people_of = group_indices(truth.image_ids)
    for done, prediction in enumerate(compared.tolist(), 1):
        person = int(matches.truth_of[prediction])
        others = [i for i in people_of[truth.image_ids[person]].tolist() if i != person]
        kinds[prediction] = classify_joints(predictions.keypoints[prediction], truth, person, others, skeleton)
        if done % _PEOPLE_A_STEP == 0:
            yield done, len(compared)
    if write:
        names = np.array([*ERRORS, UNLABELLED])
        predictions.write(JOINT_ERRORS, names[kinds].tolist())
    counts = np.stack([(kinds == kind).sum(axis=0) for kind in range(len(ERRORS))], axis=1)
    return Diagnosis(joints=skeleton.names, counts=counts, persons=len(compared))


def classify_joints(keypoints: np.ndarray, truth: KeypointTruth, person: int, others: list[int], skeleton):
    """Return the (K,) index into :data:`ERRORS` of each joint of one prediction; -1 where not labelled.

    Args:
        keypoints: (K, 2) predicted positions, px.
        truth: annotated persons.
        person: the one that the prediction is of.
        others: the other annotated persons of the photo.
        skeleton: the joints.
    """
    sigmas, mirrored = skeleton.sigma_array, skeleton.flip_indices
    area = truth.areas[person]
    labelled = truth.visibility[person] > 0

    def terms(index: int, order) -> np.ndarray:
        # the size of the compared person counts, also for places on other people
        seen = truth.visibility[index][order] > 0
        return np.where(seen, keypoint_oks(keypoints, truth.keypoints[index][order], area, sigmas), 0.0)

    straight = np.arange(len(skeleton))
    own = terms(person, straight)
    inverted = np.where(mirrored != straight, terms(person, mirrored), 0.0)
    elsewhere = np.zeros(len(skeleton))
    for other in others:
        elsewhere = np.maximum(elsewhere, np.maximum(terms(other, straight), terms(other, mirrored)))
    tests = [own >= GOOD_FROM, own >= NEAR_FROM, inverted >= NEAR_FROM, elsewhere >= NEAR_FROM]
    return np.where(labelled, np.select(tests, range(4), default=4), _NOT_LABELLED)


def stored_diagnosis(samples, pred_field: str = PRED) -> Diagnosis | None:
    """Return the counts of what :func:`diagnose` stored in a view; None where nothing is stored."""
    columns = PersonColumns(samples, pred_field)
    rows = [row for row in columns.values(JOINT_ERRORS) if row]
    if not rows:
        return None
    table = np.array(rows)
    counts = np.stack([(table == kind).sum(axis=0) for kind in ERRORS], axis=1)
    return Diagnosis(joints=columns.skeleton.names, counts=counts, persons=int((table != UNLABELLED).any(axis=1).sum()))


def persons_with_error(samples, pred_field: str, joint: str, error: str) -> list[str]:
    """Return the label ids of the people whose joint has an error.

    Raises:
        ValueError: for an unknown joint or error.
    """
    if error not in ERRORS:
        raise ValueError(f"Expected an error of {', '.join(ERRORS)}, got {error!r}")
    columns = PersonColumns(samples, pred_field)
    index = columns.skeleton.index(joint)
    rows = columns.values(JOINT_ERRORS)
    return [label_id for label_id, row in zip(columns.label_ids, rows, strict=True) if row and row[index] == error]
