"""Predict the people of a view with the same predictor as everywhere else; write the columns once, at the end."""

from __future__ import annotations

from dataclasses import dataclass, field

import fiftyone as fo
import numpy as np

from clickpose.image_io import read_image
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
from clickpose_fiftyone.derived import refresh_sample_columns
from clickpose_fiftyone.field_names import PRED, boxes_field_of, joints_field_of
from clickpose_fiftyone.fiftyone_internals import dataset_of
from clickpose_fiftyone.predictors import PREDICTOR_LOCK, shared_predictor
from clickpose_fiftyone.provenance import remember_network
from clickpose_fiftyone.review import count_touched
from clickpose_fiftyone.skeletons import set_skeleton


@dataclass
class PredictSummary:
    """What a prediction run did.

    Attributes:
        photos: photos with poses, maybe none in them.
        persons: how many people they show.
        failures: photo path -> the sentence why it has none.
    """

    photos: int = 0
    persons: int = 0
    failures: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        text = f"Found {plural(self.persons, 'person')} in {plural(self.photos, 'photo')}."
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
) -> Steps[PredictSummary]:
    """Predict the poses of everybody, or of the people in the boxes of a field.

    Nothing is written before the last photo is done, so an interrupted run leaves the dataset as it was.
    ``predict_poses.steps`` is the same as a generator of (photos done, photos in all) that returns the summary.

    Args:
        samples: a dataset or view of images.
        pred_field: Keypoints field to write; its boxes go to ``<pred_field>_boxes``, each linked to its pose.
        model: name for :func:`clickpose.load`, or a predictor.
        prompt_field: Detections field whose boxes are the persons; None to find them.
        min_score: leave out people with a lower predicted OKS.
        checkpoint: weights to load instead of the shipped ones; ``"r50"`` ships none.
        replace_corrected: also replace people whom somebody corrected or accepted; that is lost then.
        colours: colour joints and bones by confidence as well, see :func:`clickpose_fiftyone.color_by_confidence`.
        progress: called with (photos done, photos in all).

    Raises:
        ValueError: if the collection, a field or the threshold cannot serve, or the field has corrected people (also if
            somebody corrected them while the network ran).
    """
    _check(samples, pred_field, prompt_field, min_score, colours)
    _require_uncorrected(samples, pred_field, replace_corrected)
    predictor = shared_predictor(model, checkpoint) if isinstance(model, str) else model
    summary = PredictSummary()
    ids, paths = samples.values(["id", "filepath"])
    prompts = [None] * len(ids) if prompt_field is None else samples.values(prompt_field)
    found = {}
    for done, (sample_id, path, prompt) in enumerate(zip(ids, paths, prompts, strict=True), 1):
        try:
            found[sample_id] = _predict_photo(predictor, path, prompt_field is not None, prompt, min_score)
        except ValueError as error:  # one photo that cannot be read does not stop the others
            summary.failures[path] = str(error)
        yield done, len(ids)
    if not found:
        raise ValueError(f"Expected photos that can be read, got none: {next(iter(summary.failures.values()))}")
    _require_uncorrected(dataset_of(samples).select(list(found)), pred_field, replace_corrected)
    _write(samples, pred_field, found, predictor, colours)
    remember_network(samples, pred_field, predictor, checkpoint)
    remember_calibration(samples, pred_field, None)
    summary.photos = len(found)
    summary.persons = sum(len(keypoints.keypoints) for keypoints, _, _ in found.values())
    return summary


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


def _require_uncorrected(samples, pred_field: str, replace_corrected: bool) -> None:
    """Refuse to overwrite what humans did.

    Raises:
        ValueError: if there are corrected people and they are not to be replaced.
    """
    touched = 0 if replace_corrected else count_touched(samples, pred_field)
    if touched:
        raise ValueError(
            f'Expected a field without corrected or accepted people, got {plural(touched, "person")} in "{pred_field}" '
            "whose corrections would be lost; write to another field, or choose to replace corrected people"
        )


def _predict_photo(predictor, path: str, prompted: bool, prompt, min_score: float):
    """Return (keypoints, boxes, metadata) of one photo."""
    image = read_image(path)
    image_hw = image.shape[:2]
    with PREDICTOR_LOCK:
        predictor.set_image(image)
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
