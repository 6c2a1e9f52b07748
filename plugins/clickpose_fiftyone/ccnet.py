"""CCNet in the app: fit a head on lite's final keypoint tokens, and read the scores of its poses anew.

A post-hoc curve knows a joint's confidence only; CCNet ("On the Calibration of Human Pose Estimation", Sec. 5) sees
what the network saw, so that the photos are read again. Positions and boxes stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clickpose.boxes import box_area
from clickpose.calibration.aggregation import visibility_weighted
from clickpose.calibration.calibrator_file import CCNET_KIND, HEAD_SUFFIX, load_ccnet, save_ccnet
from clickpose.calibration.ccnet_fit import CCNetConfig
from clickpose.calibration.fit import Labels, candidates_for, fit_calibration
from clickpose.calibration.provenance import Provenance
from clickpose.data.records import PersonRecord
from clickpose.image_io import read_image
from clickpose.lite.calibration import MODEL, CCNetScores, ScoreReader, load_score_reader
from clickpose.lite.predictor import LitePredictor
from clickpose.lite.tokens import iterate_lite
from clickpose.outputs import check_outputs
from clickpose.predictor import prompt_box
from clickpose.steps import Steps, mapped, stepwise
from clickpose.structures import Clicks, Poses
from clickpose.token_calibration import TokenHead, TokenTables, token_sample
from clickpose_fiftyone.calibration import CalibrationSummary, labelled_pairs, remember_calibration
from clickpose_fiftyone.checks import plural, require_keypoints, require_samples
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.derived import write_people
from clickpose_fiftyone.field_names import FIXED, GT, KEYPOINT_OKS, PRED, PRED_OKS, RAW_VISIBILITY, VISIBILITY
from clickpose_fiftyone.fiftyone_internals import dataset_of
from clickpose_fiftyone.matching import group_indices
from clickpose_fiftyone.people_views import photos_of
from clickpose_fiftyone.predictors import PREDICTOR_LOCK, shared_predictor
from clickpose_fiftyone.provenance import network_needed, network_of, remember_network
from clickpose_fiftyone.truth import labelled_visibility, truth_areas

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
    model: str | LitePredictor | None = None,
    checkpoint: str | None = None,
    save_to: str | Path | None = None,
    config: CCNetConfig | None = None,
    even_if_worse: bool = False,
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
        model: ``"lite"``, or a predictor of it, where the dataset does not know what predicted the field; kept for it.
        checkpoint: weights of lite that predicted the poses; None for those that the dataset knows, else the shipped.
        save_to: ``.safetensors`` file to write the head to; :func:`apply_ccnet` and ``clickpose`` read it.
        config: how to fit.
        even_if_worse: write its scores also where the network's own are better on people it was not fitted on.
        progress: called with (people done, people in all).

    Raises:
        ValueError: for another network, or one that nobody named, a field or file that cannot serve, photos that cannot
            be read, or labelled people on fewer than two photos; nothing is written then.
    """
    fit_on = photos_of(samples if fit_samples is None else fit_samples, people=False)
    samples = photos_of(samples, people=False)
    columns = _predicted(samples, pred_field)
    predictor, known = _lite(model, checkpoint, columns)
    path = None if save_to is None else _head_file(save_to)
    records = labelled_records(PersonColumns(fit_on, pred_field), PersonColumns(fit_on, gt_field))
    wish = (CCNET_KIND, False, (TokenHead(config),), ())
    candidates_for(_labels(records, gt_field), predictor.skeleton, *wish)  # refused before the network runs
    tokens = yield from _tokens(predictor, records, len(columns))
    fit = fit_calibration(token_sample(tokens), predictor.skeleton, *wish)
    if fit.worse and not even_if_worse:
        return CalibrationSummary.of(fit, written=False)
    readings = yield from _read_scores(predictor, CCNetScores(fit.fitted, predictor.device), columns, len(records))
    summary = CalibrationSummary.of(fit, _note(readings))
    if path is not None:
        data = f"{dataset_of(samples).name}, {len(records)} persons"
        provenance = Provenance.today(MODEL, predictor.skeleton, data, predictor.fingerprint, summary.after)
        save_ccnet(path, fit.fitted.state_dict(), provenance)
    _write(samples, pred_field, readings)
    if not known:
        remember_network(samples, pred_field, predictor, checkpoint)
    remember_calibration(samples, pred_field, summary)
    return summary


@stepwise
def apply_ccnet(
    samples,
    path: str | Path,
    pred_field: str = PRED,
    model: str | LitePredictor | None = None,
    checkpoint: str | None = None,
) -> Steps[CalibrationSummary]:
    """Write the scores that a fitted head reads; arguments as for :func:`calibrate_ccnet`.

    Args:
        path: file that :func:`calibrate_ccnet` or ``clickpose calibrate network`` wrote.

    Raises:
        ValueError: if the file is none, or of another network, other weights or another skeleton, or nobody knows what
            predicted the field.
    """
    samples = photos_of(samples)
    columns = _predicted(samples, pred_field)
    predictor, known = _lite(model, checkpoint, columns)
    reader, _ = load_score_reader(Path(path), predictor.skeleton, predictor.fingerprint, predictor.device)
    readings = yield from _read_scores(predictor, reader, columns, 0)
    summary = CalibrationSummary(CCNET_KIND, 0, note=_note(readings))
    _write(samples, pred_field, readings)
    if not known:
        remember_network(samples, pred_field, predictor, checkpoint)
    remember_calibration(samples, pred_field, summary)
    return summary


def labelled_records(predictions: PersonColumns, truth: PersonColumns) -> list[PersonRecord]:
    """Return the labelled people that the predictions found, each with its label's box; the post-hoc fit's people."""
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
    return records


def _labels(records: list[PersonRecord], gt_field: str) -> Labels:
    return Labels(
        labelled=np.reshape([record.visibility > 0 for record in records], (len(records), -1)),
        image_ids=np.array([str(record.image_path) for record in records], dtype=object),
        source=f'"{gt_field}"',
    )


def _predicted(samples, pred_field: str) -> PersonColumns:
    require_samples(samples)
    require_keypoints(samples, pred_field)
    columns = PersonColumns(samples, pred_field)
    if not len(columns):
        raise ValueError(f'Expected people in field "{pred_field}" to calibrate, got none; predict first')
    return columns


def _lite(
    model: str | LitePredictor | None, checkpoint: str | None, columns: PersonColumns
) -> tuple[LitePredictor, bool]:
    """Return the network that predicted a field, and whether the dataset knew; others' tokens are not at hand here.

    Raises:
        ValueError: for a field of another network, of other weights, or of a network that nobody named.
    """
    known = network_of(columns.samples, columns.field)
    said = model if model is None or isinstance(model, str) else model.name
    if said not in (None, "", MODEL):
        raise _not_lite(said)
    purpose = f"to calibrate with CCNet, which reads what {MODEL} saw"
    network = network_needed(columns.samples, columns.field, columns.skeleton, said if known is None else None, purpose)
    if network.model != MODEL:
        raise _not_lite(network.model)
    checkpoint = checkpoint or network.checkpoint
    predictor = shared_predictor(MODEL, checkpoint) if model is None or isinstance(model, str) else model
    if network.fingerprint and network.fingerprint != predictor.fingerprint:
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
    return predictor, known is not None and bool(known.fingerprint)


def _not_lite(name: str) -> ValueError:
    return ValueError(f"Expected poses that {MODEL} predicted to calibrate with CCNet, got those of {name!r}; "
                      "a post-hoc curve suits every network")  # fmt: skip


def _head_file(save_to: str | Path) -> Path:
    """Refuse, before the long fit, a file that could not be written or is something else than a head."""
    path = Path(save_to)
    if path.suffix != HEAD_SUFFIX:
        raise ValueError(f"Expected a file name that ends in .safetensors for a CCNet head, got {path.name!r}")
    check_outputs({"save_to": path})
    if path.exists():
        load_ccnet(path)
    return path


def _tokens(predictor: LitePredictor, records: list[PersonRecord], others: int) -> Steps[TokenTables]:
    """Run the network over the labelled people; ``others`` are still to come."""
    run = iterate_lite(predictor.network, records, predictor.skeleton, batch_size=_BATCH)
    return (yield from mapped(run, lambda done, total: (done, total + others)))


def _read_scores(
    predictor: LitePredictor, reader: ScoreReader, columns: PersonColumns, before: int
) -> Steps[_Readings]:
    """Decode everybody again from their boxes; ``before`` people were done already."""
    calibrated = predictor.with_scores(reader)
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

    A human's joints stay certain, with the visibility that the human gave, and joints that are not there stay so.
    """
    columns = PersonColumns(dataset_of(samples).select(readings.sample_ids, ordered=True), pred_field)
    fixed = np.nan_to_num(columns.joints(FIXED)) > 0
    stored = columns.joints(VISIBILITY)
    joint_oks, visibility = np.nan_to_num(columns.joints(KEYPOINT_OKS)), np.where(np.isfinite(stored), stored, 1.0)
    known, before = columns.joints(RAW_VISIBILITY), visibility.copy()
    raw = np.where(np.isfinite(known), known, before)  # for restore_raw_scores
    pred_oks = columns.scalars(PRED_OKS).copy()
    for person, label_id in enumerate(columns.label_ids):
        if label_id in readings.scores:
            scores, seen = (np.where(columns.placed[person], read, 0.0) for read in readings.scores[label_id])
            joint_oks[person] = np.where(fixed[person], 1.0, scores)
            visibility[person] = np.where(fixed[person], visibility[person], seen)
            pred_oks[person] = visibility_weighted(joint_oks[person], np.clip(visibility[person], 0, 1))
    people = {KEYPOINT_OKS: joint_oks, VISIBILITY: visibility, RAW_VISIBILITY: raw, PRED_OKS: pred_oks}
    write_people(columns, people)


def _note(readings: _Readings) -> str:
    if not readings.failures:
        return ""
    first = next(iter(readings.failures.values()))
    return f"{plural(len(readings.failures), 'photo')} could not be read; the people there keep their scores: {first}"
