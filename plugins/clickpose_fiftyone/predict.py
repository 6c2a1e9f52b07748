"""Predict the people of a view with the same predictor as everywhere else; what is found is kept as it goes."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from dataclasses import dataclass, field

import fiftyone as fo
import numpy as np

from clickpose.data.notes import told
from clickpose.first_pose.predictor import notes_of
from clickpose.image_io import read_image
from clickpose.named_image import named_image
from clickpose.predictor import PosePredictor
from clickpose.steps import Steps, stepwise
from clickpose_fiftyone.calibration import remember_calibration
from clickpose_fiftyone.checks import (
    plural,
    require_field,
    require_images,
    require_own_photos,
    require_samples,
    require_writable,
)
from clickpose_fiftyone.colours import color_by_confidence
from clickpose_fiftyone.column_writes import label_documents, write_labels
from clickpose_fiftyone.conversion import detection_boxes, instance_of, poses_to_labels
from clickpose_fiftyone.dataset_info import keep, kept_of
from clickpose_fiftyone.derived import refresh_sample_columns
from clickpose_fiftyone.field_names import PRED, PREDICTING_INFO, boxes_field_of, joints_field_of
from clickpose_fiftyone.fiftyone_internals import dataset_of
from clickpose_fiftyone.overwriting import Writer, require_replaceable
from clickpose_fiftyone.people_views import photos_of
from clickpose_fiftyone.predictors import PREDICTOR_LOCK, shared_predictor
from clickpose_fiftyone.provenance import remember_network
from clickpose_fiftyone.skeletons import set_skeleton

_KEEP_SECONDS = 15.0  # what is lost at most where the process ends; writing takes a fraction of a second


@dataclass
class PredictSummary:
    """What a prediction run did.

    Attributes:
        photos: photos with poses, maybe none in them.
        persons: how many people they show.
        failures: photo path -> the sentence why it has none.
        earlier: photos that a run which was stopped had done before.
        notes: what first poses of another network left to lite -> how often.
    """

    photos: int = 0
    persons: int = 0
    earlier: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        text = f"Found {plural(self.persons, 'person')} in {plural(self.photos, 'photo')}."
        if self.earlier:
            text += f" {plural(self.earlier, 'photo')} had been done before the last run was stopped."
        if self.notes:
            text += f" {told(self.notes)}."
        if self.failures:
            first = next(iter(self.failures.values()))
            text += f" {plural(len(self.failures), 'photo')} could not be read and stay as they were: {first}"
        return text


@stepwise
def predict_poses(
    samples,
    pred_field: str = PRED,
    model: str | PosePredictor = "lite",
    prompt_field: str | None = None,
    min_score: float = 0.0,
    checkpoint: str | None = None,
    replace_corrected: bool = False,
    colours: bool = False,
    resume: bool = True,
    first: str | None = None,
) -> Steps[PredictSummary]:
    """Predict the poses of everybody, or of the people in the boxes of a field.

    What was found is written every few seconds; a run that was stopped goes on where it was, if it is asked the same
    with the same weights. Until then the photos that it did not reach stay as they were.
    ``predict_poses.steps`` is the same as a generator of (photos done, photos in all) that returns the summary.

    Args:
        samples: a dataset or view of images.
        pred_field: Keypoints field to write; its boxes go to ``<pred_field>_boxes``, each linked to its pose.
        model: name for :func:`clickpose.load`, or a predictor.
        prompt_field: Detections field whose boxes are the persons; None to find them.
        min_score: leave out people with a lower predicted OKS.
        checkpoint: weights to load instead of the shipped ones; ``"r50"`` ships none.
        replace_corrected: also replace people whom somebody corrected or accepted, or whom no network predicted, such
            as labels; they are lost then.
        colours: colour joints and bones by confidence as well, see :func:`clickpose_fiftyone.color_by_confidence`.
        resume: go on with a run that was stopped; else all photos are done anew.
        first: another network whose poses lite starts from, such as ``"movenet:thunder.onnx"``; see
            :mod:`clickpose.first_pose.loading`. For a network or a function of one's own, give
            ``model=clickpose.load("lite", first=...)``.
        progress: called with (photos done, photos in all).

    Raises:
        ValueError: if the collection, a field or the threshold cannot serve, or the field has people who would be lost
            (also if somebody corrected them while the network ran).
    """
    samples = photos_of(samples, people=False)
    _check(samples, pred_field, prompt_field, min_score, colours)
    predictor = _predictor_of(model, checkpoint, first)
    ids, paths = samples.values(["id", "filepath"])
    asked = {"network": predictor.fingerprint, "prompt_field": prompt_field, "min_score": min_score}
    run = _Run(dataset_of(samples), pred_field, asked, tuple(ids))
    start = run.done_before() if resume else 0
    if start:
        require_replaceable(dataset_of(samples).select(ids[start:]), pred_field, Writer.NETWORK, replace_corrected)
    else:
        require_replaceable(samples, pred_field, Writer.NETWORK, replace_corrected)
    summary, left_before = PredictSummary(earlier=start), notes_of(predictor)
    prompts = [None] * len(ids) if prompt_field is None else samples.values(prompt_field)
    found: dict = {}
    written = set(ids[:start])
    done, kept_at = start, time.monotonic()

    def keep() -> None:
        """Write what was found since the last time."""
        if found:
            require_replaceable(dataset_of(samples).select(list(found)), pred_field, Writer.NETWORK, replace_corrected)
            _write(samples, pred_field, found, predictor, colours)
            written.update(found)
            remember_network(samples, pred_field, predictor, checkpoint, written)
            if not summary.photos:
                remember_calibration(samples, pred_field, None)
            summary.photos += len(found)
            summary.persons += sum(len(keypoints.keypoints) for keypoints, _, _ in found.values())
            found.clear()
            run.remember(done)

    try:
        for sample_id, path, prompt in zip(ids[start:], paths[start:], prompts[start:], strict=True):
            try:
                found[sample_id] = _predict_photo(predictor, path, prompt_field is not None, prompt, min_score)
            except ValueError as error:  # one photo that cannot be read does not stop the others
                summary.failures[path] = str(error)
            done += 1
            if time.monotonic() - kept_at >= _KEEP_SECONDS:
                keep()
                kept_at = time.monotonic()
            yield done, len(ids)
    except (GeneratorExit, KeyboardInterrupt):  # stopped
        keep()
        raise
    keep()
    if not summary.photos and not start:
        raise ValueError(f"Expected photos that can be read, got none: {next(iter(summary.failures.values()))}")
    run.forget()
    summary.notes = notes_of(predictor) - left_before
    return summary


@dataclass(frozen=True)
class _Run:
    """A prediction of the photos of a view, in order, as the dataset remembers it while it is not finished.

    Attributes:
        dataset, field: where it writes.
        asked: what else makes the same run: weights and options.
        ids: the photos.
    """

    dataset: fo.Dataset
    field: str
    asked: dict
    ids: tuple[str, ...]

    def done_before(self) -> int:
        """Return how many of the photos an unfinished run with the same weights and options has done."""
        known = kept_of(self.dataset, PREDICTING_INFO, self.field) or {}
        done = known.get("done", 0)
        same = known.get("asked") == self.asked and self.dataset.get_field(self.field) is not None
        return done if same and done < len(self.ids) and known["digest"] == self._digest(done) else 0

    def remember(self, done: int) -> None:
        """Note that the first photos are done."""
        self._store({"asked": self.asked, "done": done, "digest": self._digest(done)})

    def forget(self) -> None:
        """Note that the run is finished."""
        if photos_done(self.dataset, self.field):
            self._store(None)

    def _digest(self, count: int) -> str:
        return hashlib.sha256(" ".join(self.ids[:count]).encode()).hexdigest()

    def _store(self, state: dict | None) -> None:
        keep(self.dataset, PREDICTING_INFO, self.field, state)


def photos_done(samples, pred_field: str) -> int:
    """Return how many photos a prediction of a field had done that was not finished; 0 where there is none."""
    known = kept_of(samples, PREDICTING_INFO, pred_field) or {}
    return known.get("done", 0)


def _predictor_of(model: str | PosePredictor, checkpoint: str | None, first: str | None) -> PosePredictor:
    if not isinstance(model, str):
        if first:
            raise ValueError("Expected the name of a network for first poses of another one, got a network")
        return model
    return shared_predictor(model, checkpoint, **({"first": first} if first else {}))


def _check(samples, pred_field: str, prompt_field: str | None, min_score: float, colours: bool) -> None:
    require_images(samples)
    require_own_photos(samples)
    require_samples(samples)
    require_writable(samples, pred_field, fo.Keypoints)
    require_writable(samples, boxes_field_of(pred_field), fo.Detections)
    if colours:
        require_writable(samples, joints_field_of(pred_field), fo.Keypoints)
    if prompt_field is not None:
        require_field(samples, prompt_field, fo.Detections, "boxes of the people")
    if not 0 <= min_score <= 1:
        raise ValueError(f"Expected min_score in 0..1, got {min_score}")


def _predict_photo(predictor, path: str, prompted: bool, prompt, min_score: float):
    """Return (keypoints, boxes, metadata) of one photo."""
    image = read_image(path)
    image_hw = image.shape[:2]
    with PREDICTOR_LOCK:
        predictor.set_image(named_image(image, path))
        poses = predictor.predict(detection_boxes(prompt, image_hw) if prompted else None)
    links = _links(prompt) if prompted else None
    kept = np.flatnonzero(poses.instance_scores >= min_score)
    links = None if links is None else [links[person] for person in kept]
    keypoints, boxes = poses_to_labels(poses.select(kept), image_hw, instances=links)
    return keypoints, boxes, fo.ImageMetadata(width=image_hw[1], height=image_hw[0], num_channels=3)


def _links(prompt: fo.Detections | None) -> list[fo.Instance]:
    """Return each prompt box's own instance, so that its pose is linked to it; new ones where a box has none."""
    detections = [] if prompt is None else prompt.detections
    return [instance_of(detection) or fo.Instance() for detection in detections]


def _write(samples, pred_field: str, found: dict, predictor: PosePredictor, colours: bool) -> None:
    """Write all results by columns."""
    dataset = dataset_of(samples)
    view = dataset.select(list(found), ordered=True)
    keypoints, boxes, metadata = (list(column) for column in zip(*found.values(), strict=True))
    _fill_metadata(view, metadata)
    # an app that is open lists new fields as they come and draws the first one on top: coloured joints belong there
    first = {joints_field_of(pred_field): (fo.Keypoints, [None] * len(view))} if colours else {}
    write_labels(
        view,
        {
            **first,
            pred_field: (fo.Keypoints, [label_documents(label) for label in keypoints]),
            boxes_field_of(pred_field): (fo.Detections, [label_documents(label) for label in boxes]),
        },
    )
    set_skeleton(dataset, pred_field, predictor.skeleton)
    refresh_sample_columns(view, pred_field)
    if colours:
        color_by_confidence(view, pred_field)


def _fill_metadata(view, metadata: list[fo.ImageMetadata]) -> None:
    """Write the photos' sizes where none is known; a known one may be that of the labels' own frame."""
    known = view.values("metadata.width")
    if any(width is None for width in known):
        stored = view.values("metadata")
        view.set_values(
            "metadata", [own if own and own.width else new for own, new in zip(stored, metadata, strict=True)]
        )
