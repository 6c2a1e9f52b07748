"""A person that a human adds to a photo."""

from __future__ import annotations

from datetime import datetime, timezone

import fiftyone as fo
from bson import ObjectId

from clickpose.structures import Pose, Poses
from clickpose_fiftyone.checks import require_keypoints
from clickpose_fiftyone.conversion import poses_to_labels
from clickpose_fiftyone.field_names import REFINED, boxes_field_of
from clickpose_fiftyone.fiftyone_internals import ID, list_name, photos_collection, root_dataset_of
from clickpose_fiftyone.refinement import declare_state
from clickpose_fiftyone.removal import refresh_photos


def add_person(samples, field: str, sample_id: str, pose: Pose, image_hw: tuple[int, int]) -> str:
    """Add a person to a photo, and its linked box where the field has boxes; it counts as corrected by a human.

    Args:
        samples: the dataset or a view.
        field: Keypoints field.
        sample_id: the photo.
        pose: the person, px.
        image_hw: height and width of the photo, px.

    Returns:
        the id of its label.

    Raises:
        ValueError: if the photo is not there any more.
    """
    require_keypoints(samples, field)
    dataset = root_dataset_of(samples)
    declare_state(dataset, field)
    keypoints, boxes = poses_to_labels(Poses.stack(pose.skeleton, [pose]), image_hw)
    (person,), (box,) = keypoints.keypoints, boxes.detections
    person.tags = [REFINED]
    if not _push(dataset, field, sample_id, keypoints, person):
        raise ValueError("That photo is not in the dataset any more.")
    if dataset.get_field(boxes_field_of(field)) is not None:
        _push(dataset, boxes_field_of(field), sample_id, boxes, box)
    refresh_photos(dataset, field, [sample_id])
    return person.id


def _push(dataset, field: str, sample_id: str, labels: fo.Label, label: fo.Label) -> bool:
    """Write a label behind the others of a photo's field; tells whether the photo is there."""
    photos, where = photos_collection(dataset), f"{field}.{list_name(type(labels))}"
    now = {"last_modified_at": datetime.now(timezone.utc)}
    photo = {ID: ObjectId(sample_id)}
    done = photos.update_one({**photo, where: {"$type": "array"}}, {"$push": {where: label.to_dict()}, "$set": now})
    if not done.matched_count:  # nobody yet
        nobody = {**photo, where: {"$not": {"$type": "array"}}}
        done = photos.update_one(nobody, {"$set": {field: labels.to_dict(), **now}})
    return bool(done.matched_count)
