"""Calibrate the confidences of a field on its labelled photos, and keep what the panels show of it.

``confidence`` and ``score_raw`` keep what the network said; ``keypoint_oks``, ``pred_oks`` and ``min_pred_oks`` become
what it means.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np

from clickpose.boxes import box_area
from clickpose.calibration.aggregation import visibility_weighted
from clickpose.calibration.calibrator_file import Provenance, load_calibrator, save_calibrator
from clickpose.calibration.posthoc import (
    CALIBRATORS,
    PosthocCalibrator,
    choose_calibrator,
    cross_validate,
    make_calibrator,
)
from clickpose.metrics.oks import keypoint_oks
from clickpose.metrics.reliability import brier_score, expected_calibration_error
from clickpose.metrics.sparsification import ause
from clickpose_fiftyone.checks import require_compared, require_samples
from clickpose_fiftyone.columns import PersonColumns, index_lowest_oks, lowest_oks
from clickpose_fiftyone.field_names import (
    CALIBRATION_INFO,
    CONFIDENCE,
    FIXED,
    GT,
    KEYPOINT_OKS,
    PRED,
    PRED_OKS,
    SCORE_RAW,
    VISIBILITY,
)
from clickpose_fiftyone.fiftyone_internals import dataset_of
from clickpose_fiftyone.matching import match_persons
from clickpose_fiftyone.provenance import check_calibrator, network_of
from clickpose_fiftyone.truth import read_predictions, read_truth

AUTO = "auto"
KINDS = (AUTO, *CALIBRATORS)
FIT_OKS = 0.1  # a prediction with this OKS is a (maybe bad) pose of that person; below it is of nobody
FEWEST_PERSONS = 20
_FOLDS = 5


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledPairs:
    """Predictions with the annotated person that each is a pose of. M pairs, K joints.

    Attributes:
        persons: (M,) indices of the predictions.
        partners: (M,) indices of the annotated persons.
        oks: (M, K) OKS term of each joint; 0 where not labelled.
        visibility: (M, K) COCO visibility of the annotation.
        person_oks: (M,) OKS of the person.
        groups: (M,) photo of each.
    """

    persons: np.ndarray
    partners: np.ndarray
    oks: np.ndarray
    visibility: np.ndarray
    person_oks: np.ndarray
    groups: np.ndarray


@dataclass
class CalibrationSummary:
    """What a calibration did; ``before`` and ``after`` are figures on labelled persons, out of fold where fitted.

    Attributes:
        kind: the calibrator.
        persons: labelled persons that it was fitted on; 0 where a file was applied.
        before, after: ``ece``, ``brier``, ``ause`` of joints, ``person_ece`` of persons.
        note: a sentence on what was left as it was; empty where nothing was.
    """

    kind: str
    persons: int
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    note: str = ""

    def __str__(self) -> str:
        note = f" {self.note}" if self.note else ""
        if not self.persons:
            return f"Applied a fitted {self.kind} calibrator.{note}"
        return (
            f"Fitted a {self.kind} calibrator on {self.persons} labelled people. Calibration error of joints "
            f"{self.before['ece']:.3f} -> {self.after['ece']:.3f}, of people {self.before['person_ece']:.3f} -> "
            f"{self.after['person_ece']:.3f} (cross-validated).{note}"
        )


def calibrate(
    samples,
    pred_field: str = PRED,
    gt_field: str = GT,
    fit_samples=None,
    kind: str = AUTO,
    per_joint: bool = False,
    model: str = "lite",
    save_to: str | Path | None = None,
) -> CalibrationSummary:
    """Fit a calibrator on labelled photos and write calibrated scores of all photos.

    Args:
        samples: where to write: a dataset or view of images.
        pred_field: Keypoints field with raw ``confidence`` of each joint.
        gt_field: Keypoints field with annotations.
        fit_samples: the labelled view to fit on; None for the labelled photos of ``samples``.
        kind: ``"auto"`` (the best by cross-validation) or a post-hoc calibrator.
        per_joint: one curve for each joint where there are labels enough.
        model: name of the network, kept with the calibrator, for a field of which it is not known.
        save_to: file to write the calibrator to.

    Raises:
        ValueError: if a field cannot serve or fewer than 20 people are labelled; nothing is written then.
    """
    if kind not in KINDS:
        raise ValueError(f"Expected a calibrator of {', '.join(KINDS)}, got {kind!r}")
    require_samples(samples)
    require_compared(samples, pred_field, gt_field)
    fit_on = samples if fit_samples is None else fit_samples
    columns = PersonColumns(fit_on, pred_field)
    pairs = labelled_pairs(columns, PersonColumns(fit_on, gt_field))
    if len(pairs.persons) < FEWEST_PERSONS:
        raise ValueError(
            f"Expected at least {FEWEST_PERSONS} labelled people with a prediction to calibrate on, "
            f"got {len(pairs.persons)}"
        )
    scores, areas = raw_confidence(columns)[pairs.persons], person_areas(columns)[pairs.persons]
    fit_data = (scores, pairs.oks, pairs.visibility, areas)
    chosen, calibrator = _choose(kind, columns.skeleton, per_joint, fit_data, pairs.groups)
    out_of_fold = cross_validate(calibrator, *fit_data, groups=pairs.groups, folds=_FOLDS)
    calibrator.fit(*fit_data)
    summary = CalibrationSummary(chosen, len(pairs.persons))
    weights = visibility_weights(columns)[pairs.persons]
    raw_persons = raw_scores(columns)[pairs.persons]
    summary.before = calibration_figures(scores, raw_persons, pairs)
    summary.after = calibration_figures(out_of_fold, visibility_weighted(out_of_fold, weights), pairs)
    _apply(PersonColumns(samples, pred_field), calibrator)
    if save_to is not None:
        data = f"{dataset_of(samples).name}, {len(pairs.persons)} persons"
        network = network_of(samples, pred_field)
        name, mark = (model, "") if network is None else (network.model, network.fingerprint)
        save_calibrator(save_to, calibrator, Provenance.today(name, columns.skeleton, data, mark, summary.after))
    remember_calibration(samples, pred_field, summary)
    return summary


def apply_calibrator(samples, path: str | Path, pred_field: str = PRED, model: str = "lite") -> CalibrationSummary:
    """Write scores calibrated by a file that :func:`calibrate` or ``clickpose calibrate`` wrote.

    Args:
        samples: a dataset or view of images.
        path: the file.
        pred_field: Keypoints field with raw ``confidence`` of each joint.
        model: name of the network that predicted the field, where the dataset does not know it.

    Raises:
        ValueError: if the file is none, or of another network, other weights or another skeleton.
    """
    require_samples(samples)
    columns = PersonColumns(samples, pred_field)
    calibrator, provenance = load_calibrator(path)
    check_calibrator(samples, pred_field, provenance, columns.skeleton, model)
    _apply(columns, calibrator)
    summary = CalibrationSummary(calibrator.kind, 0)
    remember_calibration(samples, pred_field, summary)
    return summary


def labelled_pairs(predictions: PersonColumns, truth: PersonColumns) -> LabelledPairs:
    """Pair the predictions of a view with the annotated people they are poses of.

    Raises:
        ValueError: if nobody is labelled.
    """
    people = read_truth(truth)
    sigmas = truth.skeleton.sigma_array
    matches = match_persons(people, read_predictions(predictions), sigmas, FIT_OKS)
    chosen = np.flatnonzero((matches.truth_of >= 0) & matches.counted)
    partner = matches.truth_of[chosen]
    terms = keypoint_oks(predictions.keypoints[chosen], people.keypoints[partner], people.areas[partner], sigmas)
    visibility = people.visibility[partner]
    return LabelledPairs(
        persons=chosen,
        partners=partner,
        oks=np.where(visibility > 0, terms, 0.0),
        visibility=visibility,
        person_oks=matches.oks[chosen],
        groups=predictions.rows[chosen],
    )


def raw_confidence(columns: PersonColumns) -> np.ndarray:
    """Return the (N, K) confidences as the network gave them, 0..1.

    Raises:
        ValueError: if there are none or they are not within 0..1.
    """
    confidence = columns.joints(CONFIDENCE)
    if not np.isfinite(confidence).any():
        raise ValueError(f'Expected field "{columns.field}" to have a confidence of each joint, got none')
    confidence = np.nan_to_num(confidence)
    if confidence.min() < 0 or confidence.max() > 1:
        raise ValueError(f'Expected confidences within 0..1 in "{columns.field}", got {confidence.min():g}..'
                         f"{confidence.max():g}; take a sigmoid of logits first")  # fmt: skip
    return confidence


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


def stored_calibration(samples, pred_field: str) -> CalibrationSummary | None:
    """Return what the last calibration of a field did; None if it was not calibrated since it was predicted."""
    stored = (dataset_of(samples).info.get(CALIBRATION_INFO) or {}).get(pred_field)
    if stored is None:
        return None
    return CalibrationSummary(
        **{part.name: stored[part.name] for part in fields(CalibrationSummary) if part.name in stored}
    )


def _choose(kind: str, skeleton, per_joint: bool, fit_data, groups) -> tuple[str, PosthocCalibrator]:
    names = CALIBRATORS if kind == AUTO else (kind,)
    candidates = {name: make_calibrator(name, skeleton, per_joint) for name in names}
    if len(candidates) > 1:
        kind, _ = choose_calibrator(candidates, *fit_data, groups=groups, folds=_FOLDS)
    return kind, candidates[kind]


def calibration_figures(joint_scores: np.ndarray, person_scores: np.ndarray, pairs: LabelledPairs) -> dict[str, float]:
    """Return what a summary keeps of (M, K) scores of joints and (M,) of persons, by name."""
    labelled = pairs.visibility > 0
    scores, oks = joint_scores[labelled], pairs.oks[labelled]
    return {
        "ece": expected_calibration_error(scores, oks),
        "brier": brier_score(scores, oks),
        "ause": ause(scores, 1 - oks),
        "person_ece": expected_calibration_error(person_scores, pairs.person_oks),
    }


def _apply(columns: PersonColumns, calibrator: PosthocCalibrator) -> None:
    """Write the calibrated columns; a human's joints stay certain."""
    joint_oks = calibrator.predict(raw_confidence(columns), person_areas(columns))
    joint_oks = np.where(np.nan_to_num(columns.joints(FIXED)) > 0, 1.0, joint_oks)
    pred_oks = visibility_weighted(joint_oks, visibility_weights(columns))
    persons = {KEYPOINT_OKS: joint_oks, PRED_OKS: pred_oks}
    if not np.isfinite(columns.scalars(SCORE_RAW)).all():
        persons[SCORE_RAW] = raw_scores(columns)
    columns.write_all(persons, lowest_oks(columns, pred_oks))
    index_lowest_oks(columns)


def remember_calibration(samples, pred_field: str, summary: CalibrationSummary | None) -> None:
    """Keep a summary with the dataset, for :func:`stored_calibration`; None where scores are the network's again."""
    dataset = dataset_of(samples)
    known = dict(dataset.info.get(CALIBRATION_INFO) or {})
    known[pred_field] = None if summary is None else json.loads(json.dumps(asdict(summary)))
    dataset.info[CALIBRATION_INFO] = known
    dataset.save()
