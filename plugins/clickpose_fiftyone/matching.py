"""Which prediction found which annotated person at one OKS threshold: COCO's greedy rule, as pycocotools applies it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clickpose.metrics.average_precision import MAX_DETECTIONS
from clickpose.metrics.keypoint_sets import KeypointPredictions, KeypointTruth
from clickpose.metrics.oks import oks_matrix

_TIE = 1e-10  # pycocotools' margin under an OKS of exactly the threshold


@dataclass(frozen=True, eq=False)
class Matches:
    """The outcome of matching P predictions with G annotated persons.

    Attributes:
        truth_of: (P,) index of the annotated person that each prediction found; -1 for none.
        prediction_of: (G,) the reverse; a crowd's is the last of its predictions.
        oks: (P,) OKS with the found person; else the best with any person of the photo, 0 without one.
        counted: (P,) False where a prediction is neither right nor wrong: it lies on a crowd or an ignored person, or
            is beyond the 20 best of its photo.
    """

    truth_of: np.ndarray
    prediction_of: np.ndarray
    oks: np.ndarray
    counted: np.ndarray


def match_persons(
    truth: KeypointTruth, predictions: KeypointPredictions, sigmas: np.ndarray, threshold: float = 0.5
) -> Matches:
    """Match the predictions of every photo, best scores first.

    Args:
        truth: annotated persons.
        predictions: predicted persons.
        sigmas: (K,) COCO convention.
        threshold: OKS from which a prediction finds a person.
    """
    result = Matches(
        np.full(len(predictions), -1),
        np.full(len(truth), -1),
        np.zeros(len(predictions)),
        np.ones(len(predictions), bool),
    )
    persons_of = group_indices(truth.image_ids)
    for image_id, found in group_indices(predictions.image_ids).items():
        found = found[np.argsort(-predictions.scores[found], kind="mergesort")]
        result.counted[found[MAX_DETECTIONS:]] = False
        persons = persons_of.get(image_id)
        if persons is not None:
            _match_photo(truth, predictions, sigmas, persons, found[:MAX_DETECTIONS], threshold, result)
    return result


def _match_photo(truth, predictions, sigmas, persons, found, threshold: float, result: Matches) -> None:
    """Match one photo's predictions (best first) and write into ``result``."""
    persons = persons[np.argsort(truth.ignored[persons], kind="mergesort")]  # ignored persons last
    similarity = oks_matrix(
        predictions.keypoints[found], truth.keypoints[persons], truth.visibility[persons], truth.areas[persons],
        truth.boxes_xywh[persons], sigmas,
    )  # fmt: skip
    ignored, crowd = truth.ignored[persons], truth.crowd[persons]
    real = similarity[:, ~ignored]
    result.oks[found] = real.max(axis=1) if real.shape[1] else 0.0
    taken = np.zeros(len(persons), bool)
    for row, prediction in enumerate(found.tolist()):
        best = _best_person(similarity[row], ignored, taken & ~crowd, min(threshold, 1 - _TIE))
        if best is not None:
            taken[best] = True
            result.truth_of[prediction] = persons[best]
            result.prediction_of[persons[best]] = prediction
            result.oks[prediction] = similarity[row, best]
            result.counted[prediction] = not ignored[best]


def _best_person(similarity: np.ndarray, ignored: np.ndarray, taken: np.ndarray, threshold: float) -> int | None:
    """Return the free person with the highest OKS; an ignored one only where no other passes the threshold."""
    for candidates in (~taken & ~ignored, ~taken & ignored):
        passing = candidates & (similarity >= threshold)
        if passing.any():
            best = similarity[passing].max()
            return int(np.flatnonzero(passing & (similarity == best))[-1])  # pycocotools keeps the last of equals
    return None


def group_indices(ids: np.ndarray) -> dict:
    """Return id -> the indices that have it, ascending."""
    groups: dict = {}
    for index, image_id in enumerate(ids.tolist()):
        groups.setdefault(image_id, []).append(index)
    return {image_id: np.array(indices) for image_id, indices in groups.items()}
