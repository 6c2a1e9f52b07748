"""Calibrate the confidences of a field on its labelled photos, and keep what the panels show of it.

``confidence`` and ``score_raw`` keep what the network said; ``keypoint_oks``, ``pred_oks`` and ``min_pred_oks`` become
what it means. The fit itself is :mod:`clickpose.calibration.fit`.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np

from clickpose.boxes import box_area
from clickpose.calibration.aggregation import visibility_weighted
from clickpose.calibration.calibrator_file import HEAD_SUFFIX, load_calibrator, save_calibrator
from clickpose.calibration.fit import AUTO, OWN, CalibrationFit, fit_calibration
from clickpose.calibration.posthoc import CALIBRATORS, PosthocCalibrator
from clickpose.calibration.provenance import Provenance
from clickpose.calibration.sample import FitSample
from clickpose.data.confidences import unit_confidences
from clickpose.data.notes import Notes, note, told
from clickpose.metrics.calibration_figures import CalibrationSample
from clickpose.metrics.oks import keypoint_oks
from clickpose.metrics.reliability import brier_score, expected_calibration_error
from clickpose.metrics.sparsification import ause
from clickpose.outputs import check_outputs
from clickpose_fiftyone.checks import require_compared, require_samples
from clickpose_fiftyone.columns import PersonColumns, index_lowest_oks, lowest_oks
from clickpose_fiftyone.field_names import (
    CALIBRATION_INFO,
    CONFIDENCE,
    GT,
    KEYPOINT_OKS,
    PRED,
    PRED_OKS,
    SCORE_RAW,
    VISIBILITY,
)
from clickpose_fiftyone.fiftyone_internals import dataset_of
from clickpose_fiftyone.matching import match_persons
from clickpose_fiftyone.people_views import of_photos, photos_of
from clickpose_fiftyone.provenance import check_calibrator, network_needed, network_of, network_said, store_network
from clickpose_fiftyone.truth import (
    PREDICTION_ATTRIBUTES,
    TRUTH_ATTRIBUTES,
    read_predictions,
    read_truth,
    require_same_joints,
)

KINDS = (AUTO, *CALIBRATORS)
FIT_OKS = 0.1  # a prediction with this OKS is a (maybe bad) pose of that person; below it is of nobody


class Pairs(NamedTuple):
    """Predictions with the annotated person that each is a pose of: (M,) indices of both, and their (M,) OKS."""

    persons: np.ndarray
    partners: np.ndarray
    oks: np.ndarray


@dataclass
class CalibrationSummary:
    """What a calibration did; ``before`` and ``after`` are figures on labelled persons, out of fold where fitted.

    Attributes:
        kind: the calibrator; ``"identity"`` where the network's own scores stay.
        persons: labelled persons that it was fitted on; 0 where a file was applied.
        before, after: ``ece``, ``brier``, ``ause`` of joints, ``person_ece`` of persons.
        note: what else to know, such as that a method is worse than the network's own scores; empty for nothing.
    """

    kind: str
    persons: int
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    note: str = ""

    @classmethod
    def of(cls, fit: CalibrationFit, *notes: str) -> CalibrationSummary:
        """Sum up a fit; ``notes`` come after its own, which the text says already where scores are kept."""
        said = () if fit.keeps_own else fit.notes
        note = " ".join(filter(None, (*said, *notes)))
        return cls(fit.kind, fit.persons, summary_figures(fit.before), summary_figures(fit.after), note)

    def __str__(self) -> str:
        note = f" {self.note}" if self.note else ""
        if not self.persons:
            return f"Applied a fitted {self.kind} calibrator.{note}"
        if self.kind == OWN:
            return (
                f"Kept the network's own scores: on {self.persons} labelled people no calibrator is nearer to the OKS "
                f"(cross-validated). Calibration error of joints {self.before['ece']:.3f}, of people "
                f"{self.before['person_ece']:.3f}.{note}"
            )
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
    model: str | None = None,
    save_to: str | Path | None = None,
) -> CalibrationSummary:
    """Fit a calibrator on labelled photos and write calibrated scores of all photos.

    Args:
        samples: where to write: a dataset or view of images.
        pred_field: Keypoints field with raw ``confidence`` of each joint.
        gt_field: Keypoints field with annotations.
        fit_samples: the labelled view to fit on; None for the labelled photos of ``samples``.
        kind: ``"auto"`` (the best by cross-validation, or the network's own scores where none is better) or a post-hoc
            calibrator.
        per_joint: one curve for each joint where there are labels enough.
        model: name of the network that predicted the field, where the dataset does not know it; kept for the field.
        save_to: file to write the calibrator to; needs the network's name.

    Raises:
        ValueError: if a field or file cannot serve, the network of a file's calibrator has no name, or ``"auto"`` finds
            fewer than 20 labelled people; nothing is written then.
    """
    if kind not in KINDS:
        raise ValueError(f"Expected a calibrator of {', '.join(KINDS)}, got {kind!r}")
    fit_on = photos_of(samples if fit_samples is None else fit_samples, people=False)
    samples = photos_of(samples, people=False)
    require_samples(samples)
    require_compared(samples, pred_field, gt_field)
    columns = PersonColumns(fit_on, pred_field, attributes=PREDICTION_ATTRIBUTES)
    network = network_said(samples, pred_field, columns.skeleton, model)
    if save_to is not None:
        network = network_needed(samples, pred_field, columns.skeleton, model, "to write a calibrator to a file")
        _check_file(Path(save_to))
    truth = PersonColumns(fit_on, gt_field, attributes=TRUTH_ATTRIBUTES)
    pairs = labelled_pairs(columns, truth)
    sample = labelled_sample(columns, truth, pairs)
    fit = fit_calibration(sample, columns.skeleton, kind, per_joint, source=f'"{gt_field}"')
    notes: Counter[str] = Counter()
    _apply(PersonColumns(samples, pred_field, attributes=PREDICTION_ATTRIBUTES), fit.fitted, notes)
    summary = CalibrationSummary.of(fit, _sentence(notes))
    if save_to is not None and network is not None:
        data = f"{dataset_of(samples).name}, {fit.persons} persons"
        provenance = Provenance.today(network.model, columns.skeleton, data, network.fingerprint, summary.after)
        save_calibrator(save_to, fit.fitted, provenance)
    if network is not None and network_of(samples, pred_field) is None:
        store_network(samples, pred_field, network)
    remember_calibration(samples, pred_field, summary)
    return summary


@of_photos
def apply_calibrator(samples, path: str | Path, pred_field: str = PRED, model: str | None = None) -> CalibrationSummary:
    """Write scores calibrated by a file that :func:`calibrate` or ``clickpose calibrate`` wrote.

    Args:
        samples: a dataset or view of images.
        path: the file.
        pred_field: Keypoints field with raw ``confidence`` of each joint.
        model: name of the network that predicted the field, where the dataset does not know it; kept for the field.

    Raises:
        ValueError: if the file is none, or of another network, other weights or another skeleton, or nobody knows the
            field's network.
    """
    require_samples(samples)
    columns = PersonColumns(samples, pred_field, attributes=PREDICTION_ATTRIBUTES)
    calibrator, provenance = load_calibrator(path)
    network = check_calibrator(samples, pred_field, provenance, columns.skeleton, model)
    notes: Counter[str] = Counter()
    _apply(columns, calibrator, notes)
    if network_of(samples, pred_field) is None:
        store_network(samples, pred_field, network)
    said = [_sentence(notes)]
    if network.fingerprint and not provenance.fingerprint:
        said.insert(0, f"The file does not say which weights of {provenance.model} it was fitted for.")
    summary = CalibrationSummary(calibrator.kind, 0, note=" ".join(filter(None, said)))
    remember_calibration(samples, pred_field, summary)
    return summary


def labelled_pairs(predictions: PersonColumns, truth: PersonColumns) -> Pairs:
    """Pair the predictions of a view with the annotated people they are poses of.

    Raises:
        ValueError: if nobody is labelled.
    """
    require_same_joints(predictions, truth)
    people = read_truth(truth)
    matches = match_persons(people, read_predictions(predictions), truth.skeleton.sigma_array, FIT_OKS)
    chosen = np.flatnonzero((matches.truth_of >= 0) & matches.counted)
    return Pairs(persons=chosen, partners=matches.truth_of[chosen], oks=matches.oks[chosen])


def labelled_sample(predictions: PersonColumns, truth: PersonColumns, pairs: Pairs) -> FitSample:
    """Return paired people as a fit takes them.

    Raises:
        ValueError: for confidences that are not there, or not within 0..1.
    """
    people, sigmas = read_truth(truth), truth.skeleton.sigma_array
    persons, partners = pairs.persons, pairs.partners
    terms = keypoint_oks(predictions.keypoints[persons], people.keypoints[partners], people.areas[partners], sigmas)
    visibility = people.visibility[partners]
    return FitSample(
        oks=np.where(visibility > 0, terms, 0.0),
        scores=raw_confidence(predictions)[persons],
        visibility=visibility,
        instance_oks=pairs.oks,
        instance_scores=raw_scores(predictions)[persons],
        image_ids=predictions.rows[persons],
        weights=visibility_weights(predictions)[persons],
        area=person_areas(predictions)[persons],
    )


def raw_confidence(columns: PersonColumns, notes: Notes | None = None) -> np.ndarray:
    """Return the (N, K) confidences as the network gave them, 0..1; 0 for a joint without one.

    Args:
        columns: the people.
        notes: what was clipped or missing is counted here.

    Raises:
        ValueError: if there are none or they are on another scale than 0..1.
    """
    confidence = columns.joints(CONFIDENCE)
    known = np.isfinite(confidence)
    if not known.any():
        raise ValueError(f'Expected field "{columns.field}" to have a confidence of each joint, got none')
    if notes is not None and (count := int((columns.placed & ~known).sum())):
        note(notes, "joints without a confidence of the network, taken as 0", count)
    ids = columns.label_ids
    return unit_confidences(
        np.where(known, confidence, 0.0), CONFIDENCE, lambda row: f'person {ids[row]} of "{columns.field}"', notes
    )


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


def remember_calibration(samples, pred_field: str, summary: CalibrationSummary | None) -> None:
    """Keep a summary with the dataset, for :func:`stored_calibration`; None where scores are the network's again."""
    dataset = dataset_of(samples)
    known = dict(dataset.info.get(CALIBRATION_INFO) or {})
    known[pred_field] = None if summary is None else json.loads(json.dumps(asdict(summary)))
    dataset.info[CALIBRATION_INFO] = known
    dataset.save()


def summary_figures(sample: CalibrationSample) -> dict[str, float]:
    """Return what a summary keeps of labelled people's confidences, by name."""
    scores, oks = sample.scores[sample.labelled], sample.oks[sample.labelled]
    rows = sample.measured
    return {
        "ece": expected_calibration_error(scores, oks),
        "brier": brier_score(scores, oks),
        "ause": ause(scores, 1 - oks),
        "person_ece": expected_calibration_error(sample.instance_scores[rows], sample.instance_oks[rows]),
    }


def _sentence(notes: Counter[str]) -> str:
    return f"{told(notes)}." if notes else ""


def _check_file(path: Path) -> None:
    """Refuse, before the fit, a file that could not be written or is something else than a curve."""
    if path.suffix == HEAD_SUFFIX:
        raise ValueError(f"Expected a file name that ends in .json for a curve, got {path.name!r}")
    check_outputs({"save_to": path})
    if path.exists():
        load_calibrator(path)


def _apply(columns: PersonColumns, calibrator: PosthocCalibrator, notes: Notes) -> None:
    """Write the calibrated columns; a human's joints stay certain, and joints that are not there have no OKS.

    What was clipped or missing is counted in ``notes``.
    """
    fixed, joint_oks = columns.fixed, calibrator.predict(raw_confidence(columns, notes), person_areas(columns))
    joint_oks = np.where(fixed, 1.0, np.where(columns.placed, joint_oks, 0.0))
    pred_oks = visibility_weighted(joint_oks, visibility_weights(columns))
    if calibrator.kind == OWN:  # of the people, too, but for those whom a human corrected
        pred_oks = np.where(fixed.any(axis=1), pred_oks, raw_scores(columns))
    persons = {KEYPOINT_OKS: joint_oks, PRED_OKS: pred_oks}
    if not np.isfinite(columns.scalars(SCORE_RAW)).all():
        persons[SCORE_RAW] = raw_scores(columns)
    columns.write_all(persons, lowest_oks(columns, pred_oks))
    index_lowest_oks(columns)
