"""COCO's ten keypoint figures, from arrays or from COCO JSON, for any skeleton; equal to pycocotools'."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from clickpose.checks import as_array, check_positive
from clickpose.metrics.inputs import sorted_ids
from clickpose.metrics.keypoint_sets import (
    KeypointPredictions,
    KeypointTruth,
    image_ids_of,
    predictions_from_coco,
    truth_from_coco,
)
from clickpose.skeleton import COCO, Skeleton

if TYPE_CHECKING:
    from clickpose.metrics.coco_engine import ArrayEvaluation

FIGURES = (
    "AP", "AP50", "AP75", "AP_medium", "AP_large",
    "AR", "AR50", "AR75", "AR_medium", "AR_large",
)  # fmt: skip
OKS_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = 20  # COCO's, for keypoints


@dataclass(frozen=True, eq=False, kw_only=True)
class KeypointEvaluation:
    """What an evaluation gives.

    Attributes:
        figures: the ten of :data:`FIGURES`, 0..1; NaN where there is nobody to find, such as nobody of medium size.
        precision: (10, 101) at :data:`OKS_THRESHOLDS` and :data:`RECALLS`, persons of all sizes, mean over categories.
    """

    figures: dict[str, float]
    precision: np.ndarray


def evaluate_keypoints(
    truth: KeypointTruth,
    predictions: KeypointPredictions,
    sigmas: ArrayLike,
    image_ids: Sequence[Hashable] | None = None,
    max_detections: int = MAX_DETECTIONS,
) -> KeypointEvaluation:
    """Evaluate predictions as COCO does.

    Args:
        truth: annotated persons.
        predictions: predicted persons.
        sigmas: (K,) per-joint sigmas, COCO convention (the nose is 0.026).
        image_ids: images to evaluate; None for all that have a person in ``truth`` or ``predictions``.
        max_detections: predictions of an image that count, best scores first.

    Raises:
        ValueError: if the number of joints differs, sigmas are not positive or there is no room for a prediction.
    """
    engine = make_engine(truth, predictions, sigmas, image_ids, max_detections)
    if engine is None:
        nowhere = np.full((len(OKS_THRESHOLDS), len(RECALLS)), np.nan)
        return KeypointEvaluation(figures=dict.fromkeys(FIGURES, float("nan")), precision=nowhere)
    return KeypointEvaluation(
        figures=dict(zip(FIGURES, engine.figures().tolist(), strict=True)), precision=engine.precision()
    )


def average_precision(
    annotations: dict,
    results: Sequence[dict],
    image_ids: Sequence[Hashable] | None = None,
    skeleton: Skeleton = COCO,
    max_detections: int = MAX_DETECTIONS,
) -> dict[str, float]:
    """Evaluate COCO keypoint results against a COCO keypoint dataset.

    Args:
        annotations: a COCO keypoint dataset (parsed JSON); not changed.
        results: COCO keypoint results: ``image_id``, ``category_id``, ``keypoints`` (3K numbers), ``score``;
            ``clickpose.data.coco_results.to_coco_results`` makes them.
        image_ids: images to evaluate; None for all of the dataset.
        skeleton: the joints, whose sigmas count.
        max_detections: predictions of an image that count, best scores first.

    Returns:
        The figures of :data:`FIGURES`, 0..1; NaN where the dataset has no person to find (pycocotools says -1), such
        as nobody of medium size.

    Raises:
        ValueError: if ``annotations`` is no such dataset, a result names an image that it lacks, or has another number
            of joints, or its score is not finite.

    Example:
        >>> person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 60, 180], "area": 5000.0, "iscrowd": 0,
        ...           "keypoints": [30, 20, 2] * 17}
        >>> dataset = {"images": [{"id": 1, "width": 60, "height": 180}], "annotations": [person],
        ...            "categories": [{"id": 1, "name": "person"}]}
        >>> found = {"image_id": 1, "category_id": 1, "keypoints": [30, 21, 1] * 17, "score": 0.9}  # a pixel lower
        >>> figures = average_precision(dataset, [found])
        >>> round(figures["AP"], 2), round(figures["AP50"], 2)
        (1.0, 1.0)
    """
    truth = truth_from_coco(annotations, skeleton)
    predictions = predictions_from_coco(annotations, results, skeleton)
    images = image_ids_of(annotations) if image_ids is None else image_ids
    return evaluate_keypoints(truth, predictions, skeleton.sigma_array, images, max_detections).figures


def with_oracle_scores(
    truth: KeypointTruth, predictions: KeypointPredictions, sigmas: ArrayLike
) -> KeypointPredictions:
    """Return the predictions with their best OKS (:func:`best_oks`) as the score: no confidence ranks better.

    Raises:
        ValueError: as :func:`best_oks`.
    """
    return replace(predictions, scores=best_oks(truth, predictions, sigmas))


def oracle_gain(truth: KeypointTruth, predictions: KeypointPredictions, sigmas: ArrayLike) -> dict[str, float]:
    """Return how much average precision is lost by scores that do not rank as OKS does (CCNet, Table 1).

    With intervals: :func:`~clickpose.metrics.bootstrap.compare_average_precision` of the predictions and those of
    :func:`with_oracle_scores`.

    Returns:
        ``AP`` as it is, ``oracle_AP`` with OKS as the score, and their difference ``gain``.

    Raises:
        ValueError: as :func:`evaluate_keypoints`.
    """
    as_is = evaluate_keypoints(truth, predictions, sigmas).figures["AP"]
    best = evaluate_keypoints(truth, with_oracle_scores(truth, predictions, sigmas), sigmas).figures["AP"]
    return {"AP": as_is, "oracle_AP": best, "gain": best - as_is}


def best_oks(truth: KeypointTruth, predictions: KeypointPredictions, sigmas: ArrayLike) -> np.ndarray:
    """Return (P,) the best OKS of each prediction with a person of its image and category; 0 where there is none.

    Crowds and ignored persons are left out.

    Raises:
        ValueError: if the number of joints differs or sigmas are not positive.
    """
    from clickpose.metrics.coco_engine import best_similarities

    return best_similarities(truth, predictions, _check_sigmas(truth, predictions, sigmas))


def match_predictions(
    truth: KeypointTruth,
    predictions: KeypointPredictions,
    sigmas: ArrayLike,
    min_oks: float,
    max_detections: int = MAX_DETECTIONS,
) -> np.ndarray:
    """Return (P,) the index in ``truth`` of the person that each prediction is taken for, -1 for nobody.

    In each image and category the predictions, best score first, take the unmatched person of highest OKS, if that is
    at least ``min_oks``; crowds take any number. An ignored person is taken only where no other one is left.

    Args:
        truth: annotated persons.
        predictions: predicted persons.
        sigmas: (K,) per-joint sigmas.
        min_oks: what counts as found, above 0 to 1.
        max_detections: predictions of an image that count, best scores first; the others find nobody.

    Raises:
        ValueError: as :func:`evaluate_keypoints`, or if ``min_oks`` is out of range.
    """
    from clickpose.metrics.coco_engine import matched_persons

    if not 0 < min_oks <= 1:
        raise ValueError(f"Expected min_oks above 0 and at most 1, got {min_oks}")
    return matched_persons(truth, predictions, _check_sigmas(truth, predictions, sigmas), min_oks, max_detections)


def average_precision_by_part(
    truth: KeypointTruth,
    predictions: KeypointPredictions,
    sigmas: ArrayLike,
    parts: Mapping[str, Sequence[int]],
    part_scores: Mapping[str, np.ndarray] | None = None,
) -> dict[str, dict[str, float]]:
    """Evaluate each part of the body by itself, as COCO-WholeBody does, and all joints together as ``"whole"``.

    A person without a labelled joint of a part is ignored there. Areas are the whole person's.

    Args:
        truth: annotated persons.
        predictions: predicted persons.
        sigmas: (K,) per-joint sigmas.
        parts: joint indices by part, such as ``Skeleton.parts``.
        part_scores: (P,) scores by part, where a part has its own (CCNet, Table 3); the person's scores elsewhere.

    Returns:
        The ten figures by part.

    Raises:
        ValueError: for scores of a part that is not there, joints that are not there, and as
            :func:`evaluate_keypoints`.
    """
    alone = split_by_part(truth, predictions, sigmas, parts, part_scores)
    return {name: evaluate_keypoints(*part).figures for name, part in alone.items()}


def split_by_part(
    truth: KeypointTruth,
    predictions: KeypointPredictions,
    sigmas: ArrayLike,
    parts: Mapping[str, Sequence[int]],
    part_scores: Mapping[str, np.ndarray] | None = None,
) -> dict[str, tuple[KeypointTruth, KeypointPredictions, np.ndarray]]:
    """Return the joints of each part alone, and of ``"whole"``: truth, predictions, sigmas.

    Args and errors as :func:`average_precision_by_part`.
    """
    sigmas = _check_sigmas(truth, predictions, sigmas)
    part_scores = part_scores or {}
    everything = {**parts, "whole": range(len(sigmas))}
    if unknown := set(part_scores) - set(everything):
        raise ValueError(f"Expected scores of the parts {', '.join(everything)}, got {', '.join(sorted(unknown))}")
    alone = {}
    for name, joints in everything.items():
        chosen = np.asarray(joints, dtype=int)
        if not (len(chosen) and (chosen >= 0).all() and (chosen < len(sigmas)).all()):
            raise ValueError(f"Expected joints of part {name!r} in 0..{len(sigmas) - 1}, got {chosen.tolist()}")
        found = predictions.select_joints(chosen, part_scores.get(name))
        alone[name] = (truth.select_joints(chosen), found, sigmas[chosen])
    return alone


def make_engine(
    truth: KeypointTruth,
    predictions: KeypointPredictions,
    sigmas: ArrayLike,
    image_ids: Iterable[Hashable] | None = None,
    max_detections: int = MAX_DETECTIONS,
    keep_images: bool = False,
) -> ArrayEvaluation | None:
    """Return a :class:`~clickpose.metrics.coco_engine.ArrayEvaluation`, None where there is nobody to find.

    Args and errors as :func:`evaluate_keypoints`; ``keep_images`` for evaluating drawn images again.
    """
    from clickpose.metrics.coco_engine import ArrayEvaluation  # loads the engine's binary only when it is wanted

    sigmas = _check_sigmas(truth, predictions, sigmas)
    if max_detections < 1:
        raise ValueError(f"Expected max_detections of at least 1, got {max_detections}")
    ids = [*truth.image_ids, *predictions.image_ids] if image_ids is None else image_ids
    images, categories = sorted_ids(ids), sorted_ids(truth.category_ids.tolist())
    if not images or not categories:
        return None
    return ArrayEvaluation(truth, predictions, sigmas, images, categories, max_detections, keep_images)


def _check_sigmas(truth: KeypointTruth, predictions: KeypointPredictions, sigmas: ArrayLike) -> np.ndarray:
    sigmas = check_positive("sigmas", as_array("sigmas", sigmas, ("K",)))
    for name, persons in (("truth", truth), ("predictions", predictions)):
        if persons.keypoints.shape[1] != len(sigmas):
            raise ValueError(f"Expected {len(sigmas)} keypoints in {name}, got {persons.keypoints.shape[1]}")
    return sigmas
