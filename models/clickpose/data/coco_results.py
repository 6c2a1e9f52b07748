"""Predicted poses as a COCO keypoint file, and back.

Beside COCO's own fields each annotation carries what a prediction has more: ``score``, ``keypoint_scores``,
``visibility_scores`` and ``fixed``. Numbers are written with all their digits.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from clickpose.boxes import box_area, enclosing_box, xywh_to_xyxy, xyxy_to_xywh
from clickpose.checks import as_array, check_finite
from clickpose.data.json_file import read_json_as
from clickpose.skeleton import COCO, Skeleton
from clickpose.structures import Pose, Poses

PERSON_CATEGORY = 1
VISIBLE_FROM = 0.5  # visibility score from which a joint is written as visible (2), else as occluded (1)


@dataclass(frozen=True, eq=False)
class PhotoPoses:
    """The poses of one photo.

    Attributes:
        file_name: the photo's name in the file.
        image_hw: its height and width, pixels.
        poses: its people.
    """

    file_name: str
    image_hw: tuple[int, int]
    poses: Poses


def to_coco(photos: Iterable[PhotoPoses], skeleton: Skeleton = COCO) -> dict:
    """Return a COCO keypoint dataset (``images``, ``annotations``, ``categories``) of predicted poses.

    A joint that is not placed (NaN) is written as ``0, 0, 0``; a placed one with visibility 2 from a visibility score
    of 0.5, else 1. Image and annotation ids count from 1.

    Raises:
        ValueError: if poses have another skeleton.
    """
    images, annotations = [], []
    for photo in photos:
        if photo.poses.skeleton != skeleton:
            raise ValueError(f"Expected poses of skeleton {skeleton.name!r}, got {photo.poses.skeleton.name!r}")
        height, width = photo.image_hw
        images.append({"id": len(images) + 1, "file_name": photo.file_name, "width": width, "height": height})
        for pose in photo.poses:
            ids = {"id": len(annotations) + 1, "image_id": len(images), "category_id": PERSON_CATEGORY}
            annotations.append({**ids, **_annotation(pose)})
    category = {
        "id": PERSON_CATEGORY,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.names),
        "skeleton": [[start + 1, end + 1] for start, end in skeleton.edges],  # COCO counts joints from 1
    }
    return {"images": images, "annotations": annotations, "categories": [category]}


def to_coco_results(document: dict) -> list[dict]:
    """Return the results list that pycocotools' ``loadRes`` takes, of a dataset of :func:`to_coco`."""
    names = ("image_id", "category_id", "keypoints", "score")
    return [{name: annotation[name] for name in names} for annotation in document["annotations"]]


def from_coco_results(results: Sequence[dict], skeleton: Skeleton = COCO) -> dict[Hashable, Poses]:
    """Read a COCO results list of any model, as poses by image id.

    The score of a joint is its entry in ``keypoint_scores``, else the third number of its triple unless those are all
    visibilities (0, 1, 2), else the person's. The box is ``bbox``, else that of the joints.

    Raises:
        ValueError: if a result lacks a field, has another number of joints, or a box or score that is not finite; names
            its place in the list.
    """
    rows = [_result(place, result, skeleton) for place, result in enumerate(results)]
    flags_only = all(np.isin(row.triples[:, 2], (0, 1, 2)).all() for row in rows)
    people: dict[Hashable, list[Pose]] = {}
    for row in rows:
        usual = np.full(len(skeleton), row.score) if flags_only else row.triples[:, 2]
        scores = usual if row.keypoint_scores is None else row.keypoint_scores
        pose = Pose(
            skeleton=skeleton,
            keypoints=row.triples[:, :2],
            box_xyxy=row.box_xyxy,
            keypoint_scores=scores,
            visibility_scores=np.ones(len(skeleton)),
            instance_score=row.score,
        )
        people.setdefault(row.image_id, []).append(pose)
    return {image_id: Poses.stack(skeleton, poses) for image_id, poses in people.items()}


class _Result(NamedTuple):
    """An entry of a results list: ``triples`` (K, 3), ``box_xyxy`` (4,) px, ``keypoint_scores`` (K,) or None."""

    image_id: Hashable
    triples: np.ndarray
    box_xyxy: np.ndarray
    score: float
    keypoint_scores: np.ndarray | None


def _result(place: int, result: dict, skeleton: Skeleton) -> _Result:
    joints = len(skeleton)
    try:
        image_id, numbers, score = result["image_id"], result["keypoints"], result["score"]
        triples = as_array("keypoints", numbers, (3 * joints,)).reshape(-1, 3)
        score = float(check_finite("score", as_array("score", score, ())))
        box_xyxy = _read_box(result["bbox"]) if result.get("bbox") else enclosing_box(triples[:, :2])
        scores = result.get("keypoint_scores")
        scores = None if scores is None else as_array("keypoint_scores", scores, (joints,))
        hash(image_id)
    except KeyError as error:
        raise ValueError(f"Expected {error} in the result at place {place}, got none") from None
    except (TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"Cannot read the result at place {place}: {error}") from None
    return _Result(image_id, triples, box_xyxy, score, scores)


def _read_box(bbox) -> np.ndarray:
    """Return (4,) xyxy px of COCO's (left, top, width, height)."""
    return xywh_to_xyxy(check_finite("bbox", as_array("bbox", bbox, (4,))))


def from_coco(document: dict, skeleton: Skeleton = COCO) -> list[PhotoPoses]:
    """Read a COCO keypoint dataset, ours or another's, as poses.

    Where another's file lacks our fields, the score is 1, the joints have the person's score, the visibility score is
    1 for visible joints and 0 for others, and no joint counts as placed by a human. Crowds are left out.

    Args:
        document: the parsed JSON.
        skeleton: the joints, in the file's order.

    Returns:
        One entry for each image, in the file's order, people in the file's order.

    Raises:
        ValueError: if the document is not a COCO keypoint dataset with these joints.
    """
    try:
        _check_joints(document["categories"], skeleton)
        photos = [
            (image["id"], str(image["file_name"]), (int(image["height"]), int(image["width"])))
            for image in document["images"]
        ]
        people: dict[int, list[Pose]] = {image_id: [] for image_id, _, _ in photos}
        for annotation in document["annotations"]:
            if not annotation.get("iscrowd"):
                people[annotation["image_id"]].append(_pose(annotation, skeleton))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"Expected a COCO keypoint dataset (images, annotations, categories), got one where {error!r} fails"
        ) from None
    return [PhotoPoses(name, image_hw, Poses.stack(skeleton, people[id_])) for id_, name, image_hw in photos]


def write_coco(path: str | Path, photos: Iterable[PhotoPoses], skeleton: Skeleton = COCO) -> None:
    """Write :func:`to_coco` to a file."""
    Path(path).write_text(json.dumps(to_coco(photos, skeleton), allow_nan=False), encoding="utf-8")


def read_coco(path: str | Path, skeleton: Skeleton = COCO) -> list[PhotoPoses]:
    """Read :func:`from_coco` from a file.

    Raises:
        ValueError: if there is no such file, or it is not a COCO keypoint dataset; the message names the file.
    """
    return read_json_as(path, lambda content: from_coco(content, skeleton))


def _annotation(pose: Pose) -> dict:
    """Return COCO's fields and ours of one person."""
    placed = np.isfinite(pose.keypoints).all(axis=1)
    visibility = np.where(placed, np.where(pose.visibility_scores >= VISIBLE_FROM, 2, 1), 0)
    triples = zip(np.where(placed[:, None], pose.keypoints, 0.0).tolist(), visibility.tolist(), strict=True)
    return {
        "bbox": xyxy_to_xywh(pose.box_xyxy).tolist(),
        "area": float(box_area(pose.box_xyxy)),
        "iscrowd": 0,
        "num_keypoints": int(placed.sum()),
        "keypoints": [number for (x, y), v in triples for number in (x, y, v)],
        "score": pose.instance_score,
        "keypoint_scores": pose.keypoint_scores.tolist(),
        "visibility_scores": pose.visibility_scores.tolist(),
        "fixed": pose.fixed.tolist(),
    }


def _pose(annotation: dict, skeleton: Skeleton) -> Pose:
    """Read one person."""
    triples = as_array("keypoints", annotation["keypoints"], (3 * len(skeleton),)).reshape(-1, 3)
    score = float(annotation.get("score", 1.0))
    return Pose(
        skeleton=skeleton,
        keypoints=np.where(triples[:, 2:] > 0, triples[:, :2], np.nan),
        box_xyxy=_read_box(annotation["bbox"]),
        keypoint_scores=annotation.get("keypoint_scores", [score] * len(skeleton)),
        visibility_scores=annotation.get("visibility_scores", triples[:, 2] == 2),
        instance_score=score,
        fixed=annotation.get("fixed"),
    )


def _check_joints(categories: Sequence[dict], skeleton: Skeleton) -> None:
    """Refuse a file whose joints are others, or in another order."""
    for category in categories:
        names = category.get("keypoints", [])
        if [skeleton.match(name) for name in names] != list(range(len(skeleton))):
            raise ValueError(f"Expected the joints {', '.join(skeleton.names)}, got {', '.join(names) or 'none'}")
