"""Which prediction found which annotated person at one OKS threshold, by COCO's rule; persons grouped by photo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clickpose.metrics.average_precision import MAX_DETECTIONS, best_oks, match_predictions
from clickpose.metrics.keypoint_sets import KeypointPredictions, KeypointTruth
from clickpose.metrics.oks import oks_pairs


@dataclass(frozen=True, eq=False, kw_only=True)
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
        threshold: OKS from which a prediction finds a person, above 0 to 1.

    Raises:
        ValueError: as :func:`~clickpose.metrics.average_precision.match_predictions`.
    """
    truth_of = match_predictions(truth, predictions, sigmas, threshold)
    best_first = np.argsort(-predictions.scores, kind="stable")
    found = best_first[truth_of[best_first] >= 0]
    persons = truth_of[found]
    prediction_of = np.full(len(truth), -1)
    prediction_of[persons] = found  # of several on a crowd the last one stays
    oks = best_oks(truth, predictions, sigmas)
    oks[found] = oks_of_pairs(truth, predictions, sigmas, found, persons)
    counted = np.ones(len(predictions), bool)
    counted[found] = ~truth.ignored[persons]
    for members in group_indices(predictions.image_ids[best_first]).values():
        counted[best_first[members[MAX_DETECTIONS:]]] = False
    return Matches(truth_of=truth_of, prediction_of=prediction_of, oks=oks, counted=counted)


def oks_of_pairs(
    truth: KeypointTruth, predictions: KeypointPredictions, sigmas: np.ndarray, found: np.ndarray, persons: np.ndarray
) -> np.ndarray:
    """Return the (M,) OKS of predictions ``found`` (M,) with annotated ``persons`` (M,)."""
    return oks_pairs(
        predictions.keypoints[found], truth.keypoints[persons], truth.visibility[persons], truth.areas[persons],
        truth.boxes_xywh[persons], sigmas,
    )  # fmt: skip


def group_indices(ids: np.ndarray) -> dict:
    """Return id -> the indices that have it, ascending."""
    groups: dict = {}
    for index, image_id in enumerate(ids.tolist()):
        groups.setdefault(image_id, []).append(index)
    return {image_id: np.array(indices) for image_id, indices in groups.items()}
