"""The people of a view as Label Studio's tasks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from clickpose.data.notes import Notes
from clickpose.structures import Poses
from clickpose_fiftyone.checks import image_sizes
from clickpose_fiftyone.coco_kept import kept_images
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.field_names import PRED_OKS, VISIBILITY
from clickpose_fiftyone.labelstudio_carried import carried_data
from clickpose_fiftyone.photo_names import photo_names
from clickpose_labelstudio.codec import encode_poses
from clickpose_labelstudio.labeling_config import build_labeling_config, parse_labeling_config

MODEL_VERSION = "clickpose-fiftyone"


def moved_inside(columns: PersonColumns) -> dict[str, int]:
    """Count the joints outside their photos, which Label Studio has no place for."""
    outside = columns.placed & ((columns.points < 0) | (columns.points > 1)).any(axis=-1)
    return {"joints outside the photo, sent at its border": int(outside.sum())}


def make_tasks(samples, field: str, reference, notes: Notes | None = None) -> list[dict]:
    """Return the Label Studio tasks of a view.

    Args:
        samples: a view of images.
        field: Keypoints field.
        reference: photo path -> what Label Studio shows as its image.
        notes: what is left out of the COCO entries that go along is counted here.
    """
    columns = PersonColumns(samples, field)
    config = parse_labeling_config(build_labeling_config(columns.skeleton), columns.skeleton)
    scored = np.isfinite(columns.scalars(PRED_OKS))
    poses, regions = _sendable(columns), [f"cp-{label_id}" for label_id in columns.label_ids]
    carried = carried_data(samples, field, regions, {} if notes is None else notes)
    paths, sizes, tasks = samples.values("filepath"), image_sizes(samples), []
    for row, (path, name) in enumerate(zip(paths, _names(samples, field, paths), strict=True)):
        people = np.flatnonzero(columns.rows == row)
        width, height = sizes[row]
        own = {regions[person]: columns.label_ids[person] for person in people}
        result = encode_poses(poses.select(people), config, (int(height), int(width)), list(own))
        _forget_scores(result, [region for region, person in zip(own, people, strict=True) if not scored[person]])
        lowest = float(poses.instance_scores[people].min()) if len(people) else 0.0
        data = {"image": reference(path), "file_name": name, "sample_id": str(columns.sample_ids[row])}
        prediction = {"model_version": MODEL_VERSION, "score": lowest, "result": result}
        tasks.append({"data": {**data, "label_ids": own, **carried[row]}, "predictions": [prediction]})
    return tasks


def _forget_scores(result: list[dict], regions: Collection[str]) -> None:
    """Take the scores from the regions of labels: they have none, and an export would write them."""
    for item in result:
        if item["id"] in regions or item.get("parentID") in regions:
            item.pop("score", None)


def _names(samples, field: str, paths: list[str]) -> list[str]:
    """Return the photos' names: those of the file that the field was read from, else what tells the photos apart."""
    return photo_names(paths, [kept and str(kept.entry.get("file_name")) for kept in kept_images(samples, field)])


def _sendable(columns: PersonColumns) -> Poses:
    """Return the people as poses; of annotations without scores the COCO visibility becomes one."""
    poses = columns.poses()
    annotated = ~np.isfinite(columns.scalars(PRED_OKS))[:, None]
    known = np.where(annotated, np.where(columns.joints(VISIBILITY) == 1, 0.0, 1.0), poses.visibility_scores)
    return replace(poses, boxes_xyxy=np.nan_to_num(poses.boxes_xyxy), visibility_scores=known, fixed=None)
