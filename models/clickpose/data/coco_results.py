"""Predicted poses as a COCO keypoint file, and back.

Beside COCO's own fields each annotation carries what a prediction has more: ``score``, ``keypoint_scores``,
``visibility_scores`` and ``fixed``. Numbers are written with all their digits. What a file means is decided in
:mod:`clickpose.data.coco_records`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from clickpose.boxes import box_area, xywh_to_xyxy, xyxy_to_xywh
from clickpose.checks import described
from clickpose.data.coco_categories import PERSON_CATEGORY, person_category
from clickpose.data.coco_extents import box_of_joints
from clickpose.data.coco_records import CocoPerson, coco_images, read_predictions, read_results
from clickpose.data.coco_writing import flat_triples, person_record
from clickpose.data.confidences import OVERSHOOT, joint_confidences, person_confidences, thirds_are_flags
from clickpose.data.json_file import read_json_as
from clickpose.data.notes import Notes, note
from clickpose.skeleton import COCO, Skeleton
from clickpose.structures import Pose, Poses

VISIBLE_FROM = 0.5  # visibility score from which a joint is written as visible (2), else as occluded (1)


@dataclass(frozen=True, eq=False)
class PhotoPoses:
    """The poses of one photo.

    Attributes:
        file_name: the photo's name in the file.
        image_hw: its height and width, pixels; None for a photo without people whose file tells no size.
        poses: its people.
    """

    file_name: str
    image_hw: tuple[int, int] | None
    poses: Poses


@dataclass(frozen=True, eq=False, kw_only=True)
class PoseFile:
    """A COCO keypoint dataset and its people as poses.

    Attributes:
        document: the parsed JSON, as it came.
        photos: one for each image, in the file's order.
        entries: the people of each photo as they stand in the file, in the order of its poses.
        notes: what was left out or guessed -> how often.
    """

    document: Mapping
    photos: list[PhotoPoses]
    entries: list[list[CocoPerson]]
    notes: Mapping[str, int] = field(default_factory=Counter)

    def with_pose(self, photo: int, person: int, pose: Pose) -> dict:
        """Return the document with another pose of one person; all else goes out as it came in.

        Joints stand in the file's order. The area stays the file's own, but where it was that of the box it follows the
        box.

        Args:
            photo: place among ``photos``.
            person: place among its poses.
            pose: the new one.
        """
        old = self.entries[photo][person]
        flags = thirds_are_flags([entry for entries in self.entries for entry in entries])
        annotations = list(self.document["annotations"])
        annotations[old.place] = {**old.entry, **_changed_fields(old, pose, flags)}
        return {**self.document, "annotations": annotations}


def to_coco(photos: Iterable[PhotoPoses], skeleton: Skeleton = COCO) -> dict:
    """Return a COCO keypoint dataset (``images``, ``annotations``, ``categories``) of predicted poses.

    A joint that is not placed (NaN) is written as ``0, 0, 0``; a placed one with visibility 2 from a visibility score
    of 0.5, else 1. Image and annotation ids count from 1.

    Raises:
        ValueError: if poses have another skeleton.
    """
    images: list[dict] = []
    annotations: list[dict] = []
    for photo in photos:
        if photo.poses.skeleton != skeleton:
            raise ValueError(f"Expected poses of skeleton {skeleton.name!r}, got {photo.poses.skeleton.name!r}")
        size = {} if photo.image_hw is None else {"width": photo.image_hw[1], "height": photo.image_hw[0]}
        images.append({"id": len(images) + 1, "file_name": photo.file_name, **size})
        for pose in photo.poses:
            annotations.append({"id": len(annotations) + 1, **prediction_record(pose, len(images))})
    return {"images": images, "annotations": annotations, "categories": [person_category(skeleton)]}


def to_coco_results(document: dict) -> list[dict]:
    """Return the results list that pycocotools' ``loadRes`` takes, of a dataset of :func:`to_coco`."""
    names = ("image_id", "category_id", "keypoints", "score")
    return [{name: annotation[name] for name in names} for annotation in document["annotations"]]


def from_coco_results(
    results: Sequence[Mapping], skeleton: Skeleton = COCO, notes: Notes | None = None
) -> dict[Hashable, Poses]:
    """Read a COCO results list of any model, as poses by image id.

    The score of a joint is its entry in ``keypoint_scores``, else the third number of its triple unless those are all
    visibilities (0, 1, 2), else the person's. A joint written as 0, 0, 0 is not there. The box is ``bbox``, else that
    of the joints.

    Args:
        results: the entries, joints in the skeleton's order.
        skeleton: the joints.
        notes: what is left out or guessed is counted here.

    Raises:
        ValueError: if a result lacks a field, has another number of joints, a box or score that is not finite, or
            confidences of joints on another scale than 0..1; names its place in the list.
    """
    return poses_of_results(read_results(results, skeleton, notes=notes), skeleton, notes)


def poses_of_results(
    people: Sequence[CocoPerson], skeleton: Skeleton, notes: Notes | None = None
) -> dict[Hashable, Poses]:
    """Return the people of a results file as poses by image id.

    Persons' scores are of any scale: they only rank. Where nothing else tells the confidences of joints, and the scores
    are not within 0..1, all joints have 1.

    Args:
        people: all of the file.
        skeleton: their joints.
        notes: what is guessed is counted here.

    Raises:
        ValueError: for joints' confidences on another scale than 0..1, or a person without a score.
    """
    notes = Counter() if notes is None else notes
    found: dict[Hashable, list[Pose]] = {}
    for person, confidences in zip(people, _joint_scores(people, skeleton, notes), strict=True):
        if person.score is None:
            raise ValueError(f"Expected a score in {person.where}, got none")
        pose = Pose(
            skeleton=skeleton,
            keypoints=person.keypoints,
            box_xyxy=_box(person, person.keypoints, notes),
            keypoint_scores=confidences,
            visibility_scores=np.ones(len(skeleton)),
            instance_score=person.score,
        )
        found.setdefault(person.image_id, []).append(pose)
    return {image_id: Poses.stack(skeleton, poses) for image_id, poses in found.items()}


def _joint_scores(people: Sequence[CocoPerson], skeleton: Skeleton, notes: Notes) -> np.ndarray:
    """Return confidences (N, K) in 0..1."""
    own = any(person.keypoint_scores is not None for person in people) or not thirds_are_flags(people)
    if own or all(person.score is None or 0 <= person.score <= OVERSHOOT for person in people):
        return joint_confidences(people, skeleton, notes)
    note(notes, "results without confidences of joints, whose scores are no 0..1 and only rank them", len(people))
    return np.ones((len(people), len(skeleton)))


def from_coco(document: Mapping, skeleton: Skeleton = COCO) -> list[PhotoPoses]:
    """Read a COCO keypoint dataset, ours or another's, as poses.

    Where another's file lacks our fields, the score is 1, the joints have the confidences that
    :func:`~clickpose.data.confidences.joint_confidences` finds, the visibility score is 1 for visible joints and 0 for
    others, and no joint counts as placed by a human. Crowds and other categories are left out, joints are matched by
    name.

    Args:
        document: the parsed JSON.
        skeleton: the joints.

    Returns:
        One entry for each image, in the file's order, people in the file's order.

    Raises:
        ValueError: if the document is not a COCO keypoint dataset with these joints; names the entry and the field.
    """
    return pose_file(document, skeleton).photos


def pose_file(document: Mapping, skeleton: Skeleton = COCO) -> PoseFile:
    """Read a COCO keypoint dataset as :func:`from_coco` does, to be written again with a changed pose."""
    notes: Counter[str] = Counter()
    images = coco_images(document)
    everybody = read_predictions(document, skeleton, scored=False, notes=notes)
    people = [person for person in everybody if not person.crowd]
    if len(people) < len(everybody):
        note(notes, "crowds left out", len(everybody) - len(people))
    poses = _poses_of_predictions(people, skeleton, notes)
    of_image: dict[Hashable, list[int]] = {image.image_id: [] for image in images}
    for row, person in enumerate(people):
        of_image[person.image_id].append(row)
    photos, entries = [], []
    for image in images:
        rows = of_image[image.image_id]
        if image.file_name is None:
            raise ValueError(f"Expected a file_name in image {image.image_id!r}, got none")
        if image.image_hw is None and rows:
            raise ValueError(f"Expected height and width in image {image.image_id!r}, which has people, got none")
        photos.append(PhotoPoses(image.file_name, image.image_hw, Poses.stack(skeleton, [poses[row] for row in rows])))
        entries.append([people[row] for row in rows])
    return PoseFile(document=document, photos=photos, entries=entries, notes=notes)


def read_pose_file(path: str | Path, skeleton: Skeleton = COCO) -> PoseFile:
    """Read :func:`pose_file` from a file.

    Raises:
        ValueError: if there is no such file, or it is not a COCO keypoint dataset; the message names the file.
    """

    def parse(content: object) -> PoseFile:
        if not isinstance(content, Mapping):
            raise ValueError(f"Expected a COCO keypoint dataset, got {described(content)}")
        return pose_file(content, skeleton)

    return read_json_as(path, parse)


def write_coco(
    path: str | Path, photos: Iterable[PhotoPoses], skeleton: Skeleton = COCO, network: str | None = None
) -> None:
    """Write :func:`to_coco` to a file, which says what ``network`` made its poses where that is told."""
    said = {} if network is None else {"info": {"description": f"Poses predicted by {network}"}}
    Path(path).write_text(json.dumps(said | to_coco(photos, skeleton), allow_nan=False), encoding="utf-8")


def read_coco(path: str | Path, skeleton: Skeleton = COCO) -> list[PhotoPoses]:
    """Read :func:`from_coco` from a file.

    Raises:
        ValueError: if there is no such file, or it is not a COCO keypoint dataset; the message names the file.
    """
    return read_pose_file(path, skeleton).photos


def _poses_of_predictions(people: Sequence[CocoPerson], skeleton: Skeleton, notes: Notes) -> list[Pose]:
    """Return a pose for each person of a dataset."""
    flags = thirds_are_flags(people)
    confidences = joint_confidences(people, skeleton, notes, mixed=True)
    poses = []
    for person, joints, score in zip(people, confidences, person_confidences(people, notes), strict=True):
        labelled = person.thirds > 0 if flags else person.placed
        keypoints = np.where(labelled[:, None], person.keypoints, np.nan)
        if person.box_xywh is None and np.isfinite(keypoints).any():
            note(notes, "people without a box, given that of their joints")
        visible = (person.thirds == 2 if flags else person.placed).astype(float)
        poses.append(
            Pose(
                skeleton=skeleton,
                keypoints=keypoints,
                box_xyxy=_box(person, keypoints, notes),
                keypoint_scores=joints,
                visibility_scores=visible if person.visibility_scores is None else person.visibility_scores,
                instance_score=float(score),
                fixed=np.zeros(len(skeleton), bool) if person.fixed is None else person.fixed,
            )
        )
    return poses


def _box(person: CocoPerson, keypoints: np.ndarray, notes: Notes) -> np.ndarray:
    """Return (4,) xyxy px: the person's box, else that of the joints; an empty one where there is neither."""
    if person.box_xywh is not None:
        return xywh_to_xyxy(person.box_xywh)
    box = box_of_joints(keypoints, margin=0.0)
    if box is None:
        note(notes, "people without a box or a joint")
        return np.zeros(4)
    return xywh_to_xyxy(box)


def prediction_record(pose: Pose, image_id: Hashable) -> dict:
    """Return COCO's fields and ours of one person."""
    record = person_record(
        pose.keypoints,
        _visibilities(pose),
        image_id=image_id,
        category_id=PERSON_CATEGORY,
        area=float(box_area(pose.box_xyxy)),
        box_xywh=xyxy_to_xywh(pose.box_xyxy),
    )
    return record | {
        "score": pose.instance_score,
        "keypoint_scores": pose.keypoint_scores.tolist(),
        "visibility_scores": pose.visibility_scores.tolist(),
        "fixed": pose.fixed.tolist(),
    }


def _visibilities(pose: Pose) -> np.ndarray:
    """Return COCO's visibility (K,) of the joints, if they are placed."""
    return np.where(pose.visibility_scores >= VISIBLE_FROM, 2, 1)


def _changed_fields(old: CocoPerson, pose: Pose, flags: bool) -> dict:
    """Return what a new pose changes of an annotation, joints in the file's order."""
    order, fields = old.order, prediction_record(pose, old.image_id)
    thirds = _visibilities(pose) if flags else pose.keypoint_scores
    fields["keypoints"] = flat_triples(order.to_file(pose.keypoints, np.nan), order.to_file(thirds))
    for name in ("keypoint_scores", "visibility_scores", "fixed"):
        fields[name] = order.to_file(np.asarray(fields[name])).tolist()
    box = old.box_xywh
    if old.area is not None and not (box is not None and np.isclose(old.area, box[2] * box[3])):
        fields["area"] = old.entry["area"]  # of a mask, say
    for name in ("image_id", "category_id", "iscrowd"):  # they stay as they are written
        del fields[name]
    if "num_keypoints" not in old.entry:
        del fields["num_keypoints"]
    return fields
