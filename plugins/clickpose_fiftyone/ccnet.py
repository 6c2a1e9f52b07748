"""CCNet in the app: fit a head on lite's final keypoint tokens, and read the scores of its poses anew.

A post-hoc curve knows a joint's confidence only; CCNet ("On the Calibration of Human Pose Estimation", Sec. 5) sees
what the network saw, so that the photos are read again. Positions and boxes stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clickpose.boxes import box_area
from clickpose.calibration.aggregation import visibility_weighted
from clickpose.calibration.calibrator_file import CCNET_KIND, Provenance, load_ccnet, save_ccnet
from clickpose.calibration.ccnet_fit import CCNetConfig
from clickpose.data.records import PersonRecord
from clickpose.image_io import read_image
from clickpose.lite.calibration import MODEL, CCNetScores, ScoreReader, load_score_reader
from clickpose.lite.predictor import LitePredictor
from clickpose.lite.tokens import iterate_lite
from clickpose.metrics.calibration_figures import CalibrationSample
from clickpose.predictor import prompt_box
from clickpose.steps import Steps, mapped, stepwise
from clickpose.structures import Clicks, Poses
from clickpose.token_calibration import CalibrationFit, TokenTables, fit_token_ccnet
from clickpose_fiftyone.calibration import (
    CalibrationSummary,
    LabelledPairs,
    calibration_figures,
    labelled_pairs,
    remember_calibration,
)
from clickpose_fiftyone.checks import plural, require_keypoints, require_samples
from clickpose_fiftyone.columns import PersonColumns, index_lowest_oks, lowest_oks
from clickpose_fiftyone.field_names import FIXED, GT, KEYPOINT_OKS, PRED, PRED_OKS, VISIBILITY
from clickpose_fiftyone.fiftyone_internals import dataset_of
from clickpose_fiftyone.matching import group_indices
from clickpose_fiftyone.predictors import PREDICTOR_LOCK, shared_predictor
from clickpose_fiftyone.provenance import network_of
from clickpose_fiftyone.truth import labelled_visibility, truth_areas
from clickpose_fiftyone.visibility import LOW_VISIBILITY, low_counts

FEWEST_PERSONS = 50  # a head has a weight for every feature of every joint: more to fit than a curve
_BATCH = 8  # persons between two steps of the progress


@dataclass(frozen=True, eq=False)
class _Readings:
    """New scores, nothing of them written yet.

    Attributes:
        sample_ids: photos that were read.
        scores: label id -> (K,) predicted OKS and (K,) visibilities of a person.
        failures: photo path -> the sentence why its people keep the scores that they have.
    """

    sample_ids: list[str]
    scores: dict[str, tuple[np.ndarray, np.ndarray]]
    failures: dict[str, str]


@stepwise
def calibrate_ccnet(
    samples,
    pred_field: str = PRED,
    gt_field: str = GT,
    fit_samples=None,
    model: str | LitePredictor = MODEL,
    checkpoint: str | None = None,
    save_to: str | Path | None = None,
    config: CCNetConfig | None = None,
) -> Steps[CalibrationSummary]:
    """Fit a CCNet head on labelled people and write the scores that it reads for the people of all photos.

    The fit sees each labelled person that the predictions found, in the label's box, before and after simulated clicks.
    ``keypoint_oks``, ``visibility`` and ``pred_oks`` are written once, at the end: an interrupted run leaves the
    dataset as it was.

    Args:
        samples: where to write: a dataset or view of images.
        pred_field: Keypoints field with poses that lite predicted; corrected ones keep their positions.
        gt_field: Keypoints field with annotations.
        fit_samples: the labelled view to fit on; None for the labelled photos of ``samples``.
        model: ``"lite"``, or a predictor.
        checkpoint: weights of lite that predicted the poses; None for those that the dataset knows, else the shipped.
        save_to: ``.safetensors`` file to write the head to; :func:`apply_ccnet` and ``clickpose`` read it.
        config: how to fit.
        progress: called with (people done, people in all).

    Raises:
        ValueError: for another network, a field or file that cannot serve, photos that cannot be read, or fewer than 50
            labelled people; nothing is written then.
    """
    columns = _predicted(samples, pred_field)
    path = None if save_to is None else _head_file(save_to)
    fit_on = samples if fit_samples is None else fit_samples
    records = labelled_records(PersonColumns(fit_on, pred_field), PersonColumns(fit_on, gt_field))
    predictor = _lite(model, checkpoint, columns)
    fit = fit_token_ccnet((yield from _tokens(predictor, records, len(columns))), config)
    readings = yield from _read_scores(predictor, CCNetScores(fit.fitted, predictor.device), columns, len(records))
    summary = _summary(fit, len(records), readings)
    if path is not None:
        data = f"{dataset_of(samples).name}, {len(records)} persons"
        provenance = Provenance.today(MODEL, predictor.skeleton, data, predictor.fingerprint, summary.after)
        save_ccnet(path, fit.fitted.state_dict(), provenance)
    _write(samples, pred_field, readings)
    remember_calibration(samples, pred_field, summary)
    return summary


@stepwise
def apply_ccnet(
    samples,
    path: str | Path,
    pred_field: str = PRED,
    model: str | LitePredictor = MODEL,
    checkpoint: str | None = None,
) -> Steps[CalibrationSummary]:
    """Write the scores that a fitted head reads; arguments as for :func:`calibrate_ccnet`.

    Args:
        path: file that :func:`calibrate_ccnet` or ``clickpose calibrate --model lite`` wrote.

    Raises:
        ValueError: if the file is none, or of another network, other weights or another skeleton.
    """
    columns = _predicted(samples, pred_field)
    predictor = _lite(model, checkpoint, columns)
    reader, _ = load_score_reader(Path(path), predictor.skeleton, predictor.fingerprint, predictor.device)
    readings = yield from _read_scores(predictor, reader, columns, 0)
    summary = CalibrationSummary(CCNET_KIND, 0, note=_note(readings))
    _write(samples, pred_field, readings)
    remember_calibration(samples, pred_field, summary)
    return summary


def labelled_records(predictions: PersonColumns, truth: PersonColumns) -> list[PersonRecord]:
    """Return the labelled people that the predictions found, each with its label's box; the post-hoc fit's people.

    Raises:
        ValueError: if they are fewer than 50 or all in one photo.
    """
    pairs = labelled_pairs(predictions, truth)
    visibility, areas, boxes = labelled_visibility(truth), truth_areas(truth), truth.boxes_xyxy
    paths = truth.samples.values("filepath")
    records = []
    for person in pairs.partners[np.nan_to_num(box_area(boxes[pairs.partners])) > 0].tolist():
        row = truth.rows[person]
        width, height = truth.image_wh[row].astype(int).tolist()
        labelled = visibility[person] > 0
        records.append(
            PersonRecord(
                annotation_id=person,
                image_path=Path(paths[row]),
                image_hw=(height, width),
                keypoints=np.where(labelled[:, None], truth.keypoints[person], 0.0),
                visibility=visibility[person],
                box_xyxy=boxes[person],
                area=float(areas[person]),
                visibility_known=True,
            )
        )
    photos = len({record.image_path for record in records})
    if len(records) < FEWEST_PERSONS or photos < 2:
        raise ValueError(
            f"Expected at least {FEWEST_PERSONS} labelled people with a prediction, in two photos or more, to fit "
            f"CCNet on, got {len(records)} in {plural(photos, 'photo')}; a post-hoc curve needs fewer"
        )
    return records


def _predicted(samples, pred_field: str) -> PersonColumns:
    require_samples(samples)
    require_keypoints(samples, pred_field)
    columns = PersonColumns(samples, pred_field)
    if not len(columns):
        raise ValueError(f'Expected people in field "{pred_field}" to calibrate, got none; predict first')
    return columns


def _lite(model: str | LitePredictor, checkpoint: str | None, columns: PersonColumns) -> LitePredictor:
    """Return the network that predicted a field, refusing those whose tokens are not at hand here."""
    network = network_of(columns.samples, columns.field)
    for name in (model, MODEL if network is None else network.model):
        if isinstance(name, str) and name != MODEL:
            raise ValueError(f"Expected poses that {MODEL} predicted to calibrate with CCNet, got those of {name!r}; "
                             "a post-hoc curve suits every network")  # fmt: skip
    if checkpoint is None and network is not None:
        checkpoint = network.checkpoint
    predictor = shared_predictor(model, checkpoint) if isinstance(model, str) else model
    if network is not None and network.fingerprint != predictor.fingerprint:
        raise ValueError(
            f"Expected the weights {network.fingerprint} of {MODEL}, which predicted the poses, to calibrate with "
            f"CCNet, got {predictor.fingerprint}; name their file"
        )
    if predictor.skeleton.names != columns.skeleton.names:
        raise ValueError(
            f"Expected poses that {MODEL} predicted, with its {len(predictor.skeleton)} joints "
            f"({predictor.skeleton.name}), to calibrate with CCNet, got {len(columns.skeleton)} joints "
            f'({columns.skeleton.name}) in "{columns.field}"; a post-hoc curve suits every network'
        )
    return predictor


def _head_file(save_to: str | Path) -> Path:
    """Refuse, before the long fit, a file that could not be written or is something else than a head."""
    path = Path(save_to)
    if path.suffix != ".safetensors":
        raise ValueError(f"Expected a file name that ends in .safetensors for a CCNet head, got {path.name!r}")
    if not path.parent.is_dir():
        raise ValueError(f"Expected a file in a folder that exists, got {path}")
    if path.exists():
        load_ccnet(path)
    return path


def _tokens(predictor: LitePredictor, records: list[PersonRecord], others: int) -> Steps[TokenTables]:
    """Run the network over the labelled people; ``others`` are still to come."""
    try:
        run = iterate_lite(predictor.network, records, predictor.skeleton, batch_size=_BATCH)
        return (yield from mapped(run, lambda done, total: (done, total + others)))
    except OSError as error:  # of Pillow, for a photo that is missing or damaged
        raise ValueError(f"Expected labelled photos that can be read, got an error: {error}") from None


def _read_scores(
    predictor: LitePredictor, reader: ScoreReader, columns: PersonColumns, before: int
) -> Steps[_Readings]:
    """Decode everybody again from their boxes; ``before`` people were done already."""
    calibrated = LitePredictor(
        predictor.network, predictor.detector, predictor.fingerprint, predictor.device, reader, predictor.skeleton
    )
    poses, paths = columns.poses(), columns.samples.values("filepath")
    readings, done, total = _Readings([], {}, {}), before, before + len(columns)
    for row, persons in group_indices(columns.rows).items():
        try:
            scores = _photo_scores(calibrated, paths[row], poses.select(persons), columns.image_wh[row])
        except ValueError as error:  # one photo that cannot be read does not stop the others
            readings.failures[paths[row]] = str(error)
        else:
            readings.sample_ids.append(columns.sample_ids[row])
            readings.scores.update(zip((columns.label_ids[person] for person in persons), scores, strict=True))
        done += len(persons)
        yield done, total
    if not readings.sample_ids:
        raise ValueError(f"Expected photos that can be read, got none: {next(iter(readings.failures.values()))}")
    return readings


def _photo_scores(
    predictor: LitePredictor, path: str, poses: Poses, image_wh: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the (K,) scores and (K,) visibilities of one photo's people.

    Args:
        predictor: with the calibrated scores.
        path: the photo.
        poses: its people, in pixels of the stored size.
        image_wh: (2,) the stored width and height; the file may have another size.
    """
    image = read_image(path)
    scale = np.array(image.shape[1::-1]) / image_wh
    poses = replace(poses, keypoints=poses.keypoints * scale, boxes_xyxy=poses.boxes_xyxy * np.tile(scale, 2))
    untouched = Clicks.from_mapping(poses.skeleton, {})
    people = [poses[person] for person in range(len(poses))]
    with PREDICTOR_LOCK:
        regions = predictor.encode(image, np.stack([prompt_box(pose) for pose in people]))
        found = predictor.decode(regions)
        read = [
            predictor.refine_region(region, pose, untouched) if pose.fixed.any() else found[person]
            for person, (region, pose) in enumerate(zip(regions, people, strict=True))
        ]
    return [(pose.keypoint_scores, pose.visibility_scores) for pose in read]


def _write(samples, pred_field: str, readings: _Readings) -> None:
    """Write the columns of the photos that were read; people may have come and gone meanwhile, and keep what they have.

    A human's joints stay certain, with the visibility that the human gave.
    """
    columns = PersonColumns(dataset_of(samples).select(readings.sample_ids, ordered=True), pred_field)
    fixed = np.nan_to_num(columns.joints(FIXED)) > 0
    stored = columns.joints(VISIBILITY)
    joint_oks, visibility = np.nan_to_num(columns.joints(KEYPOINT_OKS)), np.where(np.isfinite(stored), stored, 1.0)
    pred_oks = columns.scalars(PRED_OKS)
    for person, label_id in enumerate(columns.label_ids):
        if label_id in readings.scores:
            scores, seen = readings.scores[label_id]
            joint_oks[person] = np.where(fixed[person], 1.0, scores)
            visibility[person] = np.where(fixed[person], visibility[person], seen)
            pred_oks[person] = visibility_weighted(joint_oks[person], np.clip(visibility[person], 0, 1))
    photos = {**lowest_oks(columns, pred_oks), **low_counts(columns, visibility, LOW_VISIBILITY)}
    columns.write_all({KEYPOINT_OKS: joint_oks, VISIBILITY: visibility, PRED_OKS: pred_oks}, photos)
    index_lowest_oks(columns)


def _summary(fit: CalibrationFit, persons: int, readings: _Readings) -> CalibrationSummary:
    before, after = _figures(fit.before), _figures(fit.after)
    notes = [_note(readings)]
    if after["brier"] >= before["brier"]:  # lite was trained to predict its OKS: a head of few labels seldom beats that
        notes.insert(0, f"The network's own scores are nearer to the OKS (squared error {before['brier']:.4f}, now "
                        f"{after['brier']:.4f}): fit on more people, or a post-hoc curve.")  # fmt: skip
    return CalibrationSummary(CCNET_KIND, persons, before, after, " ".join(filter(None, notes)))


def _figures(sample: CalibrationSample) -> Mapping[str, float]:
    persons = np.arange(len(sample.oks))
    pairs = LabelledPairs(
        persons=persons,
        partners=persons,
        oks=sample.oks,
        visibility=sample.visibility,
        person_oks=sample.instance_oks,
        groups=sample.image_ids,
    )
    return calibration_figures(sample.scores, sample.instance_scores, pairs)


def _note(readings: _Readings) -> str:
    if not readings.failures:
        return ""
    first = next(iter(readings.failures.values()))
    return f"{plural(len(readings.failures), 'photo')} could not be read; the people there keep their scores: {first}"
