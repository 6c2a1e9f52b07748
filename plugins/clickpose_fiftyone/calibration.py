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

from clickpose.calibration.calibrator_file import HEAD_SUFFIX, load_calibrator, save_calibrator
from clickpose.calibration.fit import AUTO, OWN, CalibrationFit, fit_calibration
from clickpose.calibration.posthoc import CALIBRATORS, PosthocCalibrator
from clickpose.calibration.provenance import Provenance
from clickpose.calibration.sample import FitSample
from clickpose.data.notes import Notes, told
from clickpose.metrics.average_precision import match_predictions
from clickpose.metrics.calibration_figures import CalibrationSample
from clickpose.metrics.oks import keypoint_oks
from clickpose.metrics.reliability import brier_score, expected_calibration_error
from clickpose.metrics.sparsification import ause
from clickpose.outputs import check_outputs
from clickpose.steps import Steps, stepwise
from clickpose_fiftyone.checks import require_compared, require_samples
from clickpose_fiftyone.collector import collector_paused, uncollected
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.dataset_info import kept_of
from clickpose_fiftyone.field_names import CALIBRATION_INFO, GT, PRED
from clickpose_fiftyone.fiftyone_internals import dataset_of
from clickpose_fiftyone.matching import oks_of_pairs
from clickpose_fiftyone.people_views import of_photos, photos_of
from clickpose_fiftyone.provenance import check_calibrator, network_needed, network_of, network_said, store_network
from clickpose_fiftyone.raw_scores import (
    keep_calibration,
    person_areas,
    raw_confidence,
    raw_scores,
    visibility_weights,
    write_scores,
)
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
        written: False where a calibration is worse than the network's own scores, and nothing was written.
    """

    kind: str
    persons: int
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    note: str = ""
    written: bool = True

    @classmethod
    def of(cls, fit: CalibrationFit, *notes: str, written: bool = True) -> CalibrationSummary:
        """Sum up a fit; ``notes`` come after its own, which the text says already where scores are kept."""
        said = () if fit.keeps_own else fit.notes
        note = " ".join(filter(None, (*said, *notes)))
        return cls(fit.kind, fit.persons, summary_figures(fit.before), summary_figures(fit.after), note, written)

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
        done = "Fitted" if self.written else "Nothing was written: the scores stay as they are. Tried"
        return (
            f"{done} {_article(self.kind)} {self.kind} calibrator on {self.persons} labelled people. Calibration error "
            f"of joints {self.before['ece']:.3f} -> {self.after['ece']:.3f}, of people "
            f"{self.before['person_ece']:.3f} -> {self.after['person_ece']:.3f} (cross-validated).{note}"
        )


@stepwise
@uncollected
def calibrate(
    samples,
    pred_field: str = PRED,
    gt_field: str = GT,
    fit_samples=None,
    kind: str = AUTO,
    per_joint: bool = False,
    model: str | None = None,
    save_to: str | Path | None = None,
    even_if_worse: bool = False,
) -> Steps[CalibrationSummary]:
    """Fit a calibrator on labelled photos and write calibrated scores of all photos, if they are the better ones.

    A calibrator that was named and is worse than the network's own scores, on people that it was not fitted on, is told
    and not written. :func:`restore_raw_scores` takes a calibration back.

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
        even_if_worse: write it also where the network's own scores are better.
        progress: called with (parts of the work done, parts in all); nothing is written before the last one.

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
    yield 1, 4
    pairs = labelled_pairs(columns, truth)
    sample, skeleton = labelled_sample(columns, truth, pairs), columns.skeleton
    del columns, truth, pairs  # of 250,000 people half a gigabyte, of which the fit needs nothing
    yield 2, 4
    fit = fit_calibration(sample, skeleton, kind, per_joint, source=f'"{gt_field}"')
    yield 3, 4
    if fit.worse and not even_if_worse:
        return CalibrationSummary.of(fit, written=False)
    notes: Counter[str] = Counter()
    _apply(PersonColumns(samples, pred_field, attributes=PREDICTION_ATTRIBUTES), fit.fitted, notes)
    summary = CalibrationSummary.of(fit, _sentence(notes))
    if save_to is not None and network is not None:
        data = f"{dataset_of(samples).name}, {fit.persons} persons"
        provenance = Provenance.today(network.model, skeleton, data, network.fingerprint, summary.after)
        save_calibrator(save_to, fit.fitted, provenance)
    if network is not None and network_of(samples, pred_field) is None:
        store_network(samples, pred_field, network)
    remember_calibration(samples, pred_field, summary)
    return summary


@of_photos
@collector_paused()
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
    found, labelled = read_predictions(predictions), read_truth(truth)
    truth_of = match_predictions(labelled, found, truth.skeleton.sigma_array, FIT_OKS)
    chosen = np.flatnonzero(truth_of >= 0)
    chosen = chosen[~labelled.ignored[truth_of[chosen]]]
    partners = truth_of[chosen]
    oks = oks_of_pairs(labelled, found, truth.skeleton.sigma_array, chosen, partners)
    return Pairs(persons=chosen, partners=partners, oks=oks)


def labelled_sample(predictions: PersonColumns, truth: PersonColumns, pairs: Pairs) -> FitSample:
    """Return paired people as a fit takes them.

    Raises:
        ValueError: for confidences that are not there, or not within 0..1.
    """
    labelled, sigmas = read_truth(truth), truth.skeleton.sigma_array
    persons, partners = pairs.persons, pairs.partners
    terms = keypoint_oks(predictions.keypoints[persons], labelled.keypoints[partners], labelled.areas[partners], sigmas)
    visibility = labelled.visibility[partners]
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


def stored_calibration(samples, pred_field: str) -> CalibrationSummary | None:
    """Return what the last calibration of a field did; None if it was not calibrated since it was predicted."""
    stored = kept_of(samples, CALIBRATION_INFO, pred_field)
    if stored is None:
        return None
    return CalibrationSummary(
        **{part.name: stored[part.name] for part in fields(CalibrationSummary) if part.name in stored}
    )


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


def _check_file(path: Path) -> None:
    """Refuse, before the fit, a file that could not be written or is something else than a curve."""
    if path.suffix == HEAD_SUFFIX:
        raise ValueError(f"Expected a file name that ends in .json for a curve, got {path.name!r}")
    check_outputs({"save_to": path})
    if path.exists():
        load_calibrator(path)


def _apply(columns: PersonColumns, calibrator: PosthocCalibrator, notes: Notes) -> None:
    """Write calibrated columns; what was clipped or missing is counted in ``notes``."""
    joint_oks = calibrator.predict(raw_confidence(columns, notes), person_areas(columns))
    write_scores(columns, joint_oks, own=calibrator.kind == OWN)


def remember_calibration(samples, pred_field: str, summary: CalibrationSummary | None) -> None:
    """Keep a summary with the dataset, for :func:`stored_calibration`; None where scores are the network's again."""
    kept = None if summary is None else json.loads(json.dumps(asdict(summary)))
    keep_calibration(samples, pred_field, kept)


def _article(word: str) -> str:
    return "an" if word[:1] in "aeiou" else "a"


def _sentence(notes: Counter[str]) -> str:
    return f"{told(notes)}." if notes else ""
