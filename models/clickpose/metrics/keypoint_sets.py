"""The persons of a data set as flat arrays, annotated and predicted, and how they are read from COCO JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from clickpose.checks import as_array, check_finite, check_not_negative
from clickpose.data.coco_categories import note_orders, person_categories
from clickpose.data.coco_extents import (
    area_of_person,
    box_of_person,
    coco_positions,
    count_ignored,
    extent_areas,
    result_areas,
)
from clickpose.data.coco_fields import check_image_id, entries_of, unique_ids
from clickpose.data.coco_records import read_annotations, read_results
from clickpose.data.notes import Notes
from clickpose.metrics.inputs import as_ids
from clickpose.skeleton import COCO, Skeleton


@dataclass(frozen=True, eq=False, kw_only=True)
class KeypointTruth:
    """Annotated persons of a data set. G persons, K joints, pixels of each person's image.

    Attributes:
        keypoints: (G, K, 2) px; values of joints with visibility 0 are not read.
        visibility: (G, K) COCO visibility; above 0 is labelled.
        areas: (G,) px², 0 or more.
        boxes_xywh: (G, 4) px.
        image_ids: (G,) any ids.
        crowd: (G,) bool; a crowd takes any number of predictions. None for no crowd.
        ignored: (G,) bool: neither finding nor missing it counts. None for crowds and persons without a labelled joint.
        category_ids: (G,) ids; None for one category. Figures are means over categories.
    """

    keypoints: np.ndarray
    visibility: np.ndarray
    areas: np.ndarray
    boxes_xywh: np.ndarray
    image_ids: np.ndarray
    crowd: np.ndarray = field(default=None)  # type: ignore[arg-type]  # as said above
    ignored: np.ndarray = field(default=None)  # type: ignore[arg-type]  # as said above
    category_ids: np.ndarray = field(default=None)  # type: ignore[arg-type]  # as said above

    def __post_init__(self) -> None:
        keypoints = as_array("keypoints", self.keypoints, ("G", "K", 2))
        count, joints = keypoints.shape[:2]
        visibility = as_array("visibility", self.visibility, (count, joints))
        areas = check_not_negative("areas", as_array("areas", self.areas, (count,)))
        if not np.isfinite(keypoints[visibility > 0]).all():
            raise ValueError("Expected finite keypoints where visibility is above 0, got NaN or infinity")
        crowd = np.zeros(count, bool) if self.crowd is None else self.crowd
        crowd = as_array("crowd", crowd, (count,), bool)
        ignored = crowd | ~(visibility > 0).any(axis=1) if self.ignored is None else self.ignored
        for name, value in {
            "keypoints": keypoints,
            "visibility": visibility,
            "areas": areas,
            "boxes_xywh": as_array("boxes_xywh", self.boxes_xywh, (count, 4)),
            "image_ids": as_ids("image_ids", self.image_ids, count),
            "crowd": crowd,
            "ignored": as_array("ignored", ignored, (count,), bool),
            "category_ids": _category_ids(self.category_ids, count),
        }.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.keypoints)

    def select_joints(self, joints: np.ndarray) -> KeypointTruth:
        """Keep some joints only; a person without a labelled one among them is ignored."""
        visibility = self.visibility[:, joints]
        ignored = self.ignored | ~(visibility > 0).any(axis=1)
        return replace(self, keypoints=self.keypoints[:, joints], visibility=visibility, ignored=ignored)


@dataclass(frozen=True, eq=False, kw_only=True)
class KeypointPredictions:
    """Predicted persons of a data set. P persons, K joints, pixels of each person's image.

    Attributes:
        keypoints: (P, K, 2) px; a joint that is NaN is not placed and has an OKS term of 0.
        scores: (P,) finite; only their order matters.
        image_ids: (P,) ids as in the truth.
        areas: (P,) finite, px², which decide for unmatched predictions whether they count among medium or large
            persons; None for the extent of the keypoints, as COCO has it.
        category_ids: (P,) ids; None for one category.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    image_ids: np.ndarray
    areas: np.ndarray = field(default=None)  # type: ignore[arg-type]  # as said above
    category_ids: np.ndarray = field(default=None)  # type: ignore[arg-type]  # as said above

    def __post_init__(self) -> None:
        keypoints = as_array("keypoints", self.keypoints, ("P", "K", 2))
        count = len(keypoints)
        if np.isinf(keypoints).any():
            raise ValueError("Expected finite keypoints, or NaN where a joint is not placed, got infinity")
        scores = check_finite("scores", as_array("scores", self.scores, (count,)))
        areas = extent_areas(keypoints) if self.areas is None else self.areas
        areas = check_finite("areas", as_array("areas", areas, (count,)))
        object.__setattr__(self, "keypoints", keypoints)
        object.__setattr__(self, "scores", scores)
        object.__setattr__(self, "areas", areas)
        object.__setattr__(self, "image_ids", as_ids("image_ids", self.image_ids, count))
        object.__setattr__(self, "category_ids", _category_ids(self.category_ids, count))

    def __len__(self) -> int:
        return len(self.keypoints)

    def select_joints(self, joints: np.ndarray, scores: np.ndarray | None = None) -> KeypointPredictions:
        """Keep some joints only, with other scores (P,) where they are given."""
        return replace(self, keypoints=self.keypoints[:, joints], scores=self.scores if scores is None else scores)


def truth_from_coco(
    annotations: Mapping, skeleton: Skeleton = COCO, source: str = "", notes: Notes | None = None
) -> KeypointTruth:
    """Read the persons of a COCO keypoint dataset (parsed JSON) by the rules of :mod:`clickpose.data.coco_records`.

    Args:
        annotations: the dataset; not changed.
        skeleton: the joints, matched by name where the categories name theirs.
        source: the file, for messages.
        notes: what is left out or guessed is counted here.

    Raises:
        ValueError: if it is no such dataset, its joints are others, or an annotation lacks a field or has another
            number of joints.
    """
    notes = Counter() if notes is None else notes
    categories = person_categories(annotations, skeleton, source)
    note_orders(categories, skeleton, notes)
    rows = read_annotations(annotations, skeleton, source, categories=categories, notes=notes)
    count_ignored(rows, notes)
    boxes = [box_of_person(row, notes) for row in rows]
    rows = [row for row, box in zip(rows, boxes, strict=True) if box is not None]
    count, joints = len(rows), len(skeleton)
    return KeypointTruth(
        keypoints=np.nan_to_num(np.reshape([row.keypoints for row in rows], (count, joints, 2))),
        visibility=np.reshape([row.visibility for row in rows], (count, joints)),
        areas=np.array([area_of_person(row, notes) for row in rows], dtype=np.float64),
        boxes_xywh=np.reshape([box[0] for box in boxes if box is not None], (count, 4)),
        image_ids=as_ids("image_ids", [row.image_id for row in rows], len(rows)),
        crowd=np.array([row.crowd for row in rows], dtype=bool),
        ignored=np.array([row.ignored for row in rows], dtype=bool),
        category_ids=as_ids("category_ids", [row.category_id for row in rows], len(rows)),
    )


def predictions_from_coco(
    annotations: Mapping,
    results: Sequence[dict],
    skeleton: Skeleton = COCO,
    source: str = "",
    notes: Notes | None = None,
) -> KeypointPredictions:
    """Read COCO keypoint results (parsed JSON).

    As in pycocotools' ``loadRes``, the area is that of ``bbox`` where the first result has one, else the extent of the
    keypoints, and one written as 0, 0, 0 is at 0, 0.

    Args:
        annotations: the dataset that the results are of.
        results: the entries, joints in the skeleton's order; those of other categories than people's are left out.
        skeleton: the joints.
        source: the results' file, for messages.
        notes: what is left out is counted here.

    Raises:
        ValueError: if there is no list of images, or a result names an image that it lacks, lacks a field, or has
            another number of joints.
    """
    known = set(image_ids_of(annotations))
    categories = person_categories(annotations, skeleton).of_results
    rows = read_results(results, skeleton, source, categories=categories, notes=notes)
    for row in rows:
        check_image_id(row.image_id, known, row.where)
    return KeypointPredictions(
        keypoints=coco_positions(rows) if rows else np.zeros((0, len(skeleton), 2)),
        scores=np.array([row.score for row in rows], dtype=np.float64),
        image_ids=as_ids("image_ids", [row.image_id for row in rows], len(rows)),
        areas=result_areas(rows),
        category_ids=as_ids("category_ids", [row.category_id for row in rows], len(rows)),
    )


def image_ids_of(annotations: Mapping, source: str = "") -> list:
    """Return the ids of the images of a COCO dataset, in its order.

    Raises:
        ValueError: if there is no list of images, or one of them has no id, or another's.
    """
    return unique_ids(entries_of(annotations, "images", source), "images", source)


def _category_ids(values: Iterable[Hashable] | None, count: int) -> np.ndarray:
    """Return ids as an object array (count,); one and the same for None."""
    return as_ids("category_ids", [1] * count if values is None else values, count)
