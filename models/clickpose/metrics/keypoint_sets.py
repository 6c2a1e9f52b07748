"""The persons of a data set as flat arrays, annotated and predicted, and how they are read from COCO JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from clickpose.checks import as_array, check_finite, check_not_negative
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
    crowd: np.ndarray = field(default=None)
    ignored: np.ndarray = field(default=None)
    category_ids: np.ndarray = field(default=None)

    def __post_init__(self):
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
    areas: np.ndarray = field(default=None)
    category_ids: np.ndarray = field(default=None)

    def __post_init__(self):
        keypoints = as_array("keypoints", self.keypoints, ("P", "K", 2))
        count = len(keypoints)
        if np.isinf(keypoints).any():
            raise ValueError("Expected finite keypoints, or NaN where a joint is not placed, got infinity")
        scores = check_finite("scores", as_array("scores", self.scores, (count,)))
        areas = _extents(keypoints) if self.areas is None else self.areas
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


def truth_from_coco(annotations: dict, skeleton: Skeleton = COCO) -> KeypointTruth:
    """Read the persons of a COCO keypoint dataset (parsed JSON).

    ``num_keypoints`` of 0 makes a person ignored whatever its keypoints say, as in pycocotools; without the field the
    labelled joints are counted. Annotations of categories that the dataset does not list are left out.

    Raises:
        ValueError: if it is no such dataset, or an annotation lacks a field or has another number of joints.
    """
    entries = _entries(annotations, "annotations")
    listed = {category["id"] for category in _entries(annotations, "categories", "id", optional=True)}
    try:
        rows = [row for row in entries if not listed or row["category_id"] in listed]
        triples = _triples([row["keypoints"] for row in rows], skeleton)
        crowd = np.array([bool(row.get("iscrowd", 0)) for row in rows], dtype=bool)
        labelled = (triples[..., 2] > 0).sum(axis=1)
        counts = [row.get("num_keypoints", count) for row, count in zip(rows, labelled.tolist(), strict=True)]
        return KeypointTruth(
            keypoints=triples[..., :2], visibility=triples[..., 2], areas=[row["area"] for row in rows],
            boxes_xywh=_boxes(rows), image_ids=[row["image_id"] for row in rows], crowd=crowd,
            ignored=crowd | (np.asarray(counts, dtype=int) == 0), category_ids=[row["category_id"] for row in rows],
        )  # fmt: skip
    except KeyError as error:
        raise ValueError(f"Expected {error} in every annotation, got one without it") from None


def predictions_from_coco(annotations: dict, results: Sequence[dict], skeleton: Skeleton = COCO) -> KeypointPredictions:
    """Read COCO keypoint results (parsed JSON).

    As in pycocotools' ``loadRes``, the area is that of ``bbox`` where the first result has one, else the extent of the
    keypoints, not placed ones (0, 0) included.

    Raises:
        ValueError: if there is no list of images, or a result names an image that it lacks, lacks a field, or has
            another number of joints.
    """
    known = set(image_ids_of(annotations))
    try:
        for result in results:
            if result["image_id"] not in known:
                raise ValueError(f"Expected results for images of the dataset, got image_id {result['image_id']!r}")
        triples = _triples([result["keypoints"] for result in results], skeleton)
        areas = None
        if len(results) and results[0].get("bbox"):
            areas = _boxes(results)[:, 2:].prod(axis=1)
        return KeypointPredictions(
            keypoints=triples[..., :2],
            scores=[result["score"] for result in results],
            image_ids=[result["image_id"] for result in results],
            areas=areas,
            category_ids=[result["category_id"] for result in results],
        )
    except KeyError as error:
        raise ValueError(f"Expected {error} in every result, got one without it") from None


def image_ids_of(annotations: dict) -> list:
    """Return the ids of the images of a COCO dataset, in its order.

    Raises:
        ValueError: if there is no list of images, or one of them has no id.
    """
    return [image["id"] for image in _entries(annotations, "images", "id")]


def _entries(dataset: Mapping, name: str, wanted: str | None = None, optional: bool = False) -> Sequence[Mapping]:
    """Return a list of a COCO dataset whose entries have the field ``wanted``."""
    entries = dataset.get(name, [] if optional else None) if isinstance(dataset, Mapping) else None
    if not isinstance(entries, Sequence) or not all(isinstance(entry, Mapping) for entry in entries):
        raise ValueError(f"Expected a COCO keypoint dataset with a list of {name}, got one without")
    if wanted is not None and not all(wanted in entry for entry in entries):
        raise ValueError(f"Expected {wanted!r} in all {name}, got one without it")
    return entries


def _triples(rows: list, skeleton: Skeleton) -> np.ndarray:
    """Return (N, K, 3) x, y, visibility."""
    numbers = 3 * len(skeleton)
    try:
        if wrong := [len(row) for row in rows if len(row) != numbers]:
            raise ValueError(f"Expected {numbers} numbers in keypoints, got {wrong[0]}")
        return as_array("keypoints", rows, ("N", numbers) if rows else ("N",)).reshape(-1, len(skeleton), 3)
    except TypeError:  # of len
        raise ValueError(f"Expected {numbers} numbers in keypoints, got none") from None


def _boxes(rows: Sequence[dict]) -> np.ndarray:
    """Return (N, 4) x, y, width, height."""
    return as_array("bbox", [row["bbox"] for row in rows] or np.zeros((0, 4)), ("N", 4))


def _extents(keypoints: np.ndarray) -> np.ndarray:
    """Return (P,) px² of the boxes around the placed joints of (P, K, 2) keypoints; 0 without one."""
    placed = np.isfinite(keypoints).all(axis=2, keepdims=True)
    low = np.where(placed, keypoints, np.inf).min(axis=1, initial=np.inf)
    high = np.where(placed, keypoints, -np.inf).max(axis=1, initial=-np.inf)
    return np.clip(np.where(np.isfinite(low), high - low, 0.0), 0, None).prod(axis=1)


def _category_ids(values, count: int) -> np.ndarray:
    """Return ids as an object array (count,); one and the same for None."""
    return as_ids("category_ids", [1] * count if values is None else values, count)
