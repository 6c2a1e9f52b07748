"""A results file as a calibrator sees it: confidences out, ground truth beside them, calibrated confidences in.

A result is a dict with COCO's ``image_id``, ``category_id``, ``keypoints`` (3K numbers) and ``score``. The confidence
of each joint is looked for in ``keypoint_scores`` (as ``clickpose predict`` writes it), else in the third numbers of
``keypoints`` (as mmpose and others do) unless those are all COCO visibilities (0, 1, 2), else it is the person's
score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clickpose.calibration.aggregation import visibility_weighted
from clickpose.checks import as_array, check_finite, check_unit_range
from clickpose.data.json_file import read_json_as
from clickpose.metrics.average_precision import match_predictions
from clickpose.metrics.keypoint_sets import predictions_from_coco, truth_from_coco
from clickpose.metrics.oks import keypoint_oks
from clickpose.skeleton import Skeleton

MATCH_FROM = 0.1  # OKS; COCO's .5 would hide the poor predictions, and fit calibrators that do not know them


@dataclass(frozen=True, eq=False, kw_only=True)
class ResultScores:
    """What a results file says of N persons.

    Attributes:
        keypoints: (N, K, 2) px.
        scores: (N, K) confidences of the joints, 0..1.
        visibility_scores: (N, K) in 0..1; None where the file has none.
        area: (N,) px²: the result's ``area``, else its box's, else the extent of its keypoints.
        image_ids: (N,) object array.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    visibility_scores: np.ndarray | None
    area: np.ndarray
    image_ids: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class MatchedTruth:
    """The annotated person of each of N results.

    Attributes:
        matched: (N,) bool; the others found nobody, or were more than COCO counts in their image.
        ignored: (N,) bool: stand for a crowd or a person without labelled joints, and say nothing.
        oks: (N, K) OKS term of each joint; 0 where not matched or not labelled.
        visibility: (N, K) int, the annotation's; 0 where not matched.
        instance_oks: (N,) OKS with the matched person; 0 without one.
        truth: (N, K, 2) px, the annotation's keypoints; 0 where not matched.
    """

    matched: np.ndarray
    ignored: np.ndarray
    oks: np.ndarray
    visibility: np.ndarray
    instance_oks: np.ndarray
    truth: np.ndarray


def read_results(path: str | Path) -> tuple[list[dict], dict | None]:
    """Read a COCO results list, or a COCO keypoint dataset of predictions such as ``clickpose predict --json`` writes.

    Returns:
        the results, and the dataset that they stood in (None for a plain list).

    Raises:
        ValueError: if there is no such file or it is neither of the two.
    """
    return read_json_as(path, _from_json)


def _from_json(content: object) -> tuple[list[dict], dict | None]:
    dataset = content if isinstance(content, dict) else None
    results = content.get("annotations") if dataset is not None else content
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise ValueError("Expected a list of keypoint results, or a dataset with annotations, got neither")
    return results, dataset


def result_scores(results: Sequence[dict], skeleton: Skeleton) -> ResultScores:
    """Read the confidences of results.

    Raises:
        ValueError: if a result lacks a field, has another number of joints, a score that is not finite, or a confidence
            of a joint that is not within 0..1.
    """
    joints = len(skeleton)
    try:
        rows = [_triples(result["keypoints"], skeleton) for result in results]
        triples = np.stack(rows) if rows else np.zeros((0, joints, 3))
        person = check_finite("score", as_array("score", [result["score"] for result in results], ("N",)))
        images = [result["image_id"] for result in results]
    except KeyError as error:
        raise ValueError(f"Expected {error} in every result, got one without it") from None
    scores = triples[..., 2] if _thirds_are_scores(triples[..., 2]) else np.repeat(person[:, None], joints, axis=1)
    own = _per_joint("keypoint_scores", results, joints)
    scores = scores if own is None else own
    visibility = _per_joint("visibility_scores", results, joints)
    if visibility is not None:
        check_unit_range("visibility_scores", visibility)
    image_ids = np.empty(len(images), dtype=object)
    image_ids[:] = images
    area = np.array([_area(result, row) for result, row in zip(results, triples, strict=True)])
    return ResultScores(
        keypoints=triples[..., :2],
        scores=check_unit_range("keypoint scores", scores),
        visibility_scores=visibility,
        area=area,
        image_ids=image_ids,
    )


def instance_scores(keypoint_scores: np.ndarray, visibility_scores: np.ndarray | None, raw_scores) -> np.ndarray:
    """Return the persons' scores (N,), the joints' weighted by visibility (Eq. 7).

    Where no visibility was predicted, a joint's raw confidence stands in for it: heatmap and regression networks are
    less sure of joints that cannot be seen. That ranks better than a mean over joints above a threshold (Eq. 5), which
    jumps where a joint passes it, and gives 0 to a person of whom none does.

    Args:
        keypoint_scores: (N, K) calibrated, 0..1.
        visibility_scores: (N, K) in 0..1, or None.
        raw_scores: (N, K) before calibration, 0..1.
    """
    return visibility_weighted(keypoint_scores, raw_scores if visibility_scores is None else visibility_scores)


def with_scores(results: Sequence[dict], keypoint_scores: np.ndarray, scores: np.ndarray) -> list[dict]:
    """Return copies of results with other confidences; positions and order stay.

    Args:
        results: of N persons.
        keypoint_scores: (N, K), written to ``keypoint_scores`` and, where they stood there, to ``keypoints``' thirds.
        scores: (N,) of the persons.
    """
    third_are_scores = _thirds_are_scores([result["keypoints"][2::3] for result in results])
    changed = []
    for result, joints, score in zip(results, keypoint_scores.tolist(), scores.tolist(), strict=True):
        result = {**result, "keypoint_scores": joints, "score": score}
        if third_are_scores:
            values = list(result["keypoints"])
            values[2::3] = joints
            result["keypoints"] = values
        changed.append(result)
    return changed


def match_to_truth(
    annotations: dict, results: Sequence[dict], skeleton: Skeleton, min_oks: float = MATCH_FROM
) -> MatchedTruth:
    """Find each result's annotated person as COCO does; see
    :func:`~clickpose.metrics.average_precision.match_predictions`.

    Args:
        annotations: a COCO keypoint dataset (parsed JSON); not changed.
        results: of its images; a joint that is NaN is not placed, its OKS term is 0.
        skeleton: the joints, whose sigmas count.
        min_oks: what counts as found, above 0 to 1.

    Raises:
        ValueError: if a result names an image that the dataset lacks, a result or an annotation lacks a field or has
            another number of joints, or ``min_oks`` is out of range.
    """
    persons = truth_from_coco(annotations, skeleton)
    found = predictions_from_coco(annotations, results, skeleton)
    owner = match_predictions(persons, found, skeleton.sigma_array, min_oks)
    ignored = (owner >= 0) & persons.ignored[owner] if len(persons) else np.zeros(len(found), bool)
    matched = (owner >= 0) & ~ignored
    own = owner[matched]
    truth, visibility = np.zeros(found.keypoints.shape), np.zeros(found.keypoints.shape[:2], int)
    terms = np.zeros(visibility.shape)
    truth[matched], visibility[matched] = persons.keypoints[own], persons.visibility[own].astype(int)
    terms[matched] = keypoint_oks(found.keypoints[matched], truth[matched], persons.areas[own], skeleton.sigma_array)
    labelled = visibility > 0
    terms = np.where(labelled, terms, 0.0)
    return MatchedTruth(
        matched=matched,
        ignored=ignored,
        oks=terms,
        visibility=visibility,
        instance_oks=visibility_weighted(terms, labelled),
        truth=truth,
    )


def _triples(values: Sequence[float], skeleton: Skeleton) -> np.ndarray:
    """Return (K, 3) x, y, third number."""
    array, joints = as_array("keypoints", values, ("3K",)), len(skeleton)
    if array.size != 3 * joints:
        raise ValueError(f"Expected {3 * joints} numbers in keypoints, got {array.size}: not the {joints} joints of "
                         f"skeleton {skeleton.name!r}")  # fmt: skip
    return array.reshape(-1, 3)


def _thirds_are_scores(thirds) -> bool:
    """Tell confidences from COCO visibilities, by the third numbers (N, K) of all results."""
    return not np.isin(thirds, (0, 1, 2)).all()


def _per_joint(name: str, results: Sequence[dict], joints: int) -> np.ndarray | None:
    """Return an (N, K) field that all results have; None where none has it."""
    having = [result for result in results if name in result]
    if not having:
        return None
    if len(having) < len(results):
        raise ValueError(f"Expected {name} in all results or in none, got them in {len(having)} of {len(results)}")
    return np.stack([as_array(name, result[name], (joints,)) for result in results])


def _area(result: dict, triples: np.ndarray) -> float:
    if "area" in result:
        return float(as_array("area", result["area"], ()))
    if result.get("bbox"):
        return float(as_array("bbox", result["bbox"], (4,))[2:].prod())
    return float(np.ptp(triples[:, :2], axis=0).prod())
