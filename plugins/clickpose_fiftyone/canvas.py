"""What the canvas of the Refine panel is told of a photo, and what it tells of a person: plain records, in pixels.

The canvas runs in a browser and holds what is not saved. It is told a photo with all its people once, and sends with
each question the person that it means as it shows it, so that nothing here remembers a browser.
"""

from __future__ import annotations

import fiftyone as fo
import numpy as np
from bson import ObjectId

from clickpose.boxes import grow_boxes
from clickpose.image_io import read_sides
from clickpose.skeleton import Skeleton
from clickpose.structures import Pose
from clickpose_fiftyone.checks import require_keypoints, truth_fields
from clickpose_fiftyone.conversion import label_to_pose
from clickpose_fiftyone.field_names import ACCEPTED, BOUNDING_BOX, ISCROWD, REJECTED
from clickpose_fiftyone.fiftyone_internals import ID, is_annotatable, photos_collection, root_dataset_of
from clickpose_fiftyone.person_history import history_of, mark_of, with_state
from clickpose_fiftyone.skeletons import skeleton_of

Record = dict[str, object]


def photo_record(samples, field: str, sample_id: str) -> Record:
    """Return a photo with its people.

    Args:
        samples: the dataset or a view of it; everybody in the photo is told of.
        field: Keypoints field.
        sample_id: the photo.

    Returns:
        ``dataset`` (its name), ``sample_id``, ``field``, ``filepath``, ``width`` and ``height`` (px, upright);
        ``joints`` (names), ``bones`` and ``pairs`` (left, right) as indices; ``is_annotatable``, whether the app itself
        lets its users place joints; ``people``, but for rejected ones, see :func:`person_record`; ``unreadable``, how
        many have neither a box nor a joint; ``truth``, the labelled people of the photo as :func:`pose_record` has
        them, from ``truth_field``.

    Raises:
        ValueError: if the photo is not there any more, or cannot be read.
    """
    require_keypoints(samples, field)
    dataset, skeleton = root_dataset_of(samples), skeleton_of(samples, field)
    truth_field = next(iter(truth_fields(dataset, field)), None)
    names = [name for name in (field, truth_field) if name is not None]
    wanted = {ID: ObjectId(sample_id)} if ObjectId.is_valid(sample_id) else None
    photo = wanted and photos_collection(dataset).find_one(wanted, {"filepath": True, **dict.fromkeys(names, True)})
    if photo is None:
        raise ValueError("That photo is not in the dataset any more.")
    image_hw = read_sides(photo["filepath"], upright=True)
    labels = _labels(photo, field)
    labels = [label for label in labels if REJECTED not in (label.tags or ())]
    people = [person_record(label, skeleton, image_hw) for label in labels if _is_somewhere(label)]
    return {
        "dataset": dataset.name,
        "sample_id": sample_id,
        "field": field,
        "filepath": photo["filepath"],
        "width": image_hw[1],
        "height": image_hw[0],
        "joints": list(skeleton.names),
        "bones": [list(edge) for edge in skeleton.edges],
        "pairs": [list(pair) for pair in skeleton.flip_pairs],
        "is_annotatable": is_annotatable(dataset, field),
        "people": people,
        "unreadable": len(labels) - len(people),
        "truth_field": truth_field,
        "truth": [] if truth_field is None else _truth(dataset, photo, truth_field, skeleton, image_hw),
    }


def person_record(label: fo.Keypoint, skeleton: Skeleton, image_hw: tuple[int, int]) -> Record:
    """Return a person as the canvas takes it.

    Returns:
        ``id``; ``saved``, how often it was refined; ``mark``, see :func:`mark_of`; ``is_accepted``; ``network``, its
        pose before it was refined, if it was; and what :func:`pose_record` has.

    Raises:
        ValueError: as :func:`label_to_pose`.
    """
    history = history_of(label)
    network = with_state(label, history[0]) if history else None
    return {
        "id": label.id,
        "saved": len(history),
        "mark": mark_of(label),
        "is_accepted": ACCEPTED in (label.tags or ()),
        "network": network and pose_record(label_to_pose(network, skeleton, image_hw)),
        **pose_record(label_to_pose(label, skeleton, image_hw)),
    }


def pose_record(pose: Pose) -> Record:
    """Return a pose as the canvas takes it.

    Returns:
        ``joints``: for each (x px, y px, predicted OKS, visibility, placed by a human), None for one that is not there;
        ``box``: left, top, right, bottom px; ``score``: predicted OKS of the person.
    """
    there = np.isfinite(pose.keypoints).all(axis=1)
    columns = (pose.keypoints[:, 0], pose.keypoints[:, 1], pose.keypoint_scores, pose.visibility_scores)
    joints = [
        [*(float(column[joint]) for column in columns), bool(pose.fixed[joint])] if there[joint] else None
        for joint in range(len(pose.skeleton))
    ]
    return {"joints": joints, "box": [float(side) for side in pose.box_xyxy], "score": float(pose.instance_score)}


def record_pose(record: Record, skeleton: Skeleton, image_hw: tuple[int, int]) -> Pose:
    """Return the pose of a record; its box holds what a human placed.

    Raises:
        ValueError: for another number of joints, or numbers that are none, or lie outside the photo.
    """
    joints, box = record.get("joints"), record.get("box")
    if not isinstance(joints, list) or len(joints) != len(skeleton) or not isinstance(box, list) or len(box) != 4:
        raise ValueError(f"Expected a person with {len(skeleton)} joints ({skeleton.name}) and a box; reload the page")
    values = np.array([[np.nan] * 2 + [0.0] * 3 if joint is None else joint for joint in joints], np.float64)
    keypoints, fixed = values[:, :2], values[:, 4] > 0
    height, width = image_hw
    placed = keypoints[fixed]
    if not (np.isfinite(placed).all() and (placed >= 0).all() and (placed <= (width, height)).all()):
        raise ValueError(f"Expected joints inside the photo ({width} x {height} px), got one outside")
    box_xyxy = grow_boxes(np.array(box, np.float64), keypoints, fixed)
    return Pose(
        skeleton=skeleton, keypoints=keypoints, box_xyxy=box_xyxy, keypoint_scores=values[:, 2],
        visibility_scores=values[:, 3], instance_score=float(record.get("score") or 0.0), fixed=fixed,
    )  # fmt: skip


def _truth(dataset, photo: dict, field: str, skeleton: Skeleton, image_hw: tuple[int, int]) -> list[Record]:
    """Return the labelled people whose joints are those that are corrected; crowds are nobody's pose."""
    if skeleton_of(dataset, field).names != skeleton.names:
        return []
    labels = [label for label in _labels(photo, field) if not label.get_attribute_value(ISCROWD, None)]
    return [pose_record(label_to_pose(label, skeleton, image_hw)) for label in labels if _is_somewhere(label)]


def _labels(photo: dict, field: str) -> list[fo.Keypoint]:
    """Return the people of a photo as the database keeps it."""
    return [fo.Keypoint.from_dict(person) for person in (photo.get(field) or {}).get("keypoints") or ()]


def _is_somewhere(label: fo.Keypoint) -> bool:
    """Tell whether there is anything to draw of a person."""
    return label.get_attribute_value(BOUNDING_BOX, None) is not None or bool(
        np.isfinite(np.array(label.points, np.float64)).all(axis=-1).any()
    )
