"""The people of a view as Label Studio's tasks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clickpose.structures import Poses
from clickpose_fiftyone.checks import image_sizes
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.field_names import PRED_OKS, VISIBILITY
from clickpose_fiftyone.photo_names import photo_names
from clickpose_labelstudio.codec import encode_poses
from clickpose_labelstudio.labeling_config import build_labeling_config, parse_labeling_config

MODEL_VERSION = "clickpose-fiftyone"


def moved_inside(columns: PersonColumns) -> dict[str, int]:
    """Count the joints outside their photos, which Label Studio has no place for."""
    outside = columns.placed & ((columns.points < 0) | (columns.points > 1)).any(axis=-1)
    return {"joints outside the photo, sent at its border": int(outside.sum())}


def make_tasks(samples, field: str, reference) -> list[dict]:
    """Return the Label Studio tasks of a view.

    Args:
        samples: a view of images.
        field: Keypoints field.
        reference: photo path -> what Label Studio shows as its image.
    """
    columns = PersonColumns(samples, field)
    config = parse_labeling_config(build_labeling_config(columns.skeleton), columns.skeleton)
    poses = _sendable(columns)
    paths, sizes = samples.values("filepath"), image_sizes(samples)
    tasks = []
    for row, (path, name) in enumerate(zip(paths, photo_names(paths), strict=True)):
        people = np.flatnonzero(columns.rows == row)
        width, height = sizes[row]
        regions = {f"cp-{columns.label_ids[person]}": columns.label_ids[person] for person in people}
        result = encode_poses(poses.select(people), config, (int(height), int(width)), list(regions))
        lowest = float(poses.instance_scores[people].min()) if len(people) else 0.0
        data = {"image": reference(path), "file_name": name, "sample_id": str(columns.sample_ids[row])}
        prediction = {"model_version": MODEL_VERSION, "score": lowest, "result": result}
        tasks.append({"data": {**data, "label_ids": regions}, "predictions": [prediction]})
    return tasks


def _sendable(columns: PersonColumns) -> Poses:
    """Return the people as poses; of annotations without scores the COCO visibility becomes one."""
    poses = columns.poses()
    annotated = ~np.isfinite(columns.scalars(PRED_OKS))[:, None]
    known = np.where(annotated, np.where(columns.joints(VISIBILITY) == 1, 0.0, 1.0), poses.visibility_scores)
    return replace(poses, boxes_xyxy=np.nan_to_num(poses.boxes_xyxy), visibility_scores=known, fixed=None)
