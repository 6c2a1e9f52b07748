"""The people of a field as a COCO keypoint file: what came in goes out, and what somebody changed is changed."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clickpose.boxes import box_area, xyxy_to_xywh
from clickpose.data.coco_categories import JointOrder, PersonCategories, person_categories, person_category
from clickpose.data.coco_fields import as_area, as_box
from clickpose.data.coco_records import joints_there
from clickpose.data.coco_results import VISIBLE_FROM
from clickpose.data.coco_writing import fresh_ids, person_record, replace_joints
from clickpose.skeleton import Skeleton
from clickpose.steps import Steps, stepwise
from clickpose_fiftyone.checks import image_sizes, require_keypoints, require_samples
from clickpose_fiftyone.coco_kept import Kept, KeptDocument, kept_document, kept_entry, kept_images
from clickpose_fiftyone.coco_reading import foreign_skeleton, image_of
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.field_names import (
    ANNOTATED_VISIBILITY,
    AREA,
    BOUNDING_BOX,
    CATEGORY_ID,
    COCO_EXTRA,
    COCO_ID,
    CONFIDENCE,
    ISCROWD,
    KEYPOINT_OKS,
    PRED_OKS,
    SCORE_RAW,
    VISIBILITY,
    boxes_field_of,
)
from clickpose_fiftyone.fiftyone_internals import dataset_of
from clickpose_fiftyone.photo_names import photo_names
from clickpose_fiftyone.skeletons import skeleton_of
from clickpose_fiftyone.truth import labelled_visibility, truth_areas

_DIGITS = 9  # undoes the rounding of x / width * width
_SAME_PX = 1e-6  # positions that differ by less are those that came in
_PEOPLE_A_STEP = 1_000
_LAST = float("inf")  # place of what was in no file
_STORED = (COCO_ID, CATEGORY_ID, COCO_EXTRA, BOUNDING_BOX, AREA, ISCROWD, PRED_OKS, SCORE_RAW, KEYPOINT_OKS, CONFIDENCE)


@dataclass(frozen=True, eq=False, kw_only=True)
class WrittenField:
    """A field as a COCO file has it, in parts.

    Attributes:
        document: the rest of the file that the field was read from, or a new one.
        categories: which of its categories are people's.
        images: of the S photos.
        rows: (N,) the photo of each person.
        people: of the N persons; the place of somebody who was in no file is infinite.
        others: of other categories.
    """

    document: KeptDocument
    categories: PersonCategories
    images: list[Kept]
    rows: np.ndarray
    people: list[Kept]
    others: list[Kept]


@stepwise
def document_of(samples, field: str, results: bool | None = None) -> Steps[dict | list[dict]]:
    """Return the people of a field as a COCO keypoint dataset, or as a list of results.

    Args:
        samples: a dataset or view.
        field: Keypoints field.
        results: True for a list of results, as pycocotools' ``loadRes`` takes it; None for what the field was read
            from, else a dataset.
        progress: called with (people done, people in all).

    Raises:
        ValueError: if the field cannot serve, or two photos would have one file name.
    """
    written = yield from written_field.steps(samples, field)
    as_list = written.document.is_list if results is None else results
    ordered = sorted([*written.people, *written.others], key=lambda kept: kept.place)
    annotations = [entry for _, entry in ordered]
    if as_list:
        return [_as_result(entry) for entry in annotations]
    _number(annotations)
    placed = sorted(written.images, key=lambda image: image.place)
    return {**written.document.rest, "images": [image.entry for image in placed], "annotations": annotations}


@stepwise
def written_field(samples, field: str) -> Steps[WrittenField]:
    """Return the people of a field, their photos, and what else their file has; errors as :func:`document_of`."""
    require_samples(samples)
    require_keypoints(samples, field)
    skeleton = _skeleton(samples, field)
    document = kept_document(samples, field) or KeptDocument(rest={"categories": [person_category(skeleton)]})
    records = kept_images(samples, field)
    sizes = _sizes(samples, records)
    images = _images(samples, records, sizes)
    people = _People(PersonColumns(samples, field, skeleton, sizes), document)
    entries = []
    for kept in people.entries(images):
        entries.append(kept)
        if len(entries) % _PEOPLE_A_STEP == 0:
            yield len(entries), len(people.columns)
    return WrittenField(
        document=document,
        categories=people.categories,
        images=images,
        rows=people.columns.rows,
        people=entries,
        others=[*_other_boxes(samples, field, images, sizes), *_others_of(document, images)],
    )


def _skeleton(samples, field: str) -> Skeleton:
    """Return the joints of a field, also of one that was read with joints that the package does not know."""
    try:
        return skeleton_of(samples, field)
    except ValueError:
        known = dataset_of(samples).skeletons.get(field)
        if known is None or kept_document(samples, field) is None:
            raise
        return foreign_skeleton(known.labels)


def _sizes(samples, records: Sequence[Kept | None]) -> np.ndarray:
    """Return the (S, 2) widths and heights that positions refer to: those of the records, else of the photos."""
    told = [(None, None) if kept is None else (kept.entry.get("width"), kept.entry.get("height")) for kept in records]
    sizes = np.array(told, np.float64).reshape(-1, 2)
    unknown = ~np.isfinite(sizes).all(axis=1)
    return np.where(unknown[:, None], image_sizes(samples, unknown), sizes) if unknown.any() else sizes


def _images(samples, records: Sequence[Kept | None], sizes: np.ndarray) -> list[Kept]:
    """Return the record of each photo of a view: that of its file, or a new one."""
    known = [None if kept is None else str(kept.entry.get("file_name")) for kept in records]
    names = photo_names(samples.values("filepath"), known)
    fresh = fresh_ids(kept.entry["id"] for kept in records if kept is not None)
    images = []
    for kept, name, size in zip(records, names, sizes, strict=True):
        if kept is None:
            width, height = map(int, size)
            kept = Kept(_LAST, {"id": next(fresh), "file_name": name, "width": width, "height": height})
        images.append(kept)
    return images


class _People:
    """The people of a field and how each becomes an annotation."""

    def __init__(self, columns: PersonColumns, document: KeptDocument):
        self.columns, self.document = columns, document
        self.categories = _categories(document, columns.skeleton)
        columns.read_stored(*_STORED)
        self.stored = {name: columns.values(name) for name in _STORED}
        self.pixels = columns.points * columns.image_wh[columns.rows][:, None]
        self.flags = _flags(columns)
        self.areas = truth_areas(columns)
        self.visibility, self.fixed = np.nan_to_num(columns.joints(VISIBILITY)), columns.fixed & columns.placed

    def entries(self, images: Sequence[Kept]) -> Iterator[Kept]:
        """Yield each person's annotation and its place in the file."""
        for person in range(len(self.columns)):
            own = {name: values[person] for name, values in self.stored.items()}
            kept = kept_entry(own)
            image_id = images[self.columns.rows[person]].entry["id"]
            if kept is None:
                yield Kept(_LAST, self._new(person, own, image_id))
            else:
                yield Kept(_LAST if kept.place < 0 else kept.place, self._restored(person, own, kept, image_id))

    def _box(self, own: Mapping, person: int) -> np.ndarray | None:
        """Return the (4,) box px, xywh."""
        if own[BOUNDING_BOX] is None:
            return None
        return np.array(own[BOUNDING_BOX], np.float64) * np.tile(self.columns.image_wh[self.columns.rows[person]], 2)

    def _new(self, person: int, own: Mapping, image_id: Hashable) -> dict:
        """Return the annotation of somebody who was in no file."""
        category_id, order = _first(self.categories)
        placed, flags = self.columns.placed[person], self.flags[person]
        points = np.where(placed[:, None], self.pixels[person], np.nan)
        box = xyxy_to_xywh(self.columns.boxes_xyxy[person])
        scored = own[PRED_OKS] is not None
        area = box_area(self.columns.boxes_xyxy[person]) if scored and own[AREA] is None else self.areas[person]
        record = person_record(
            points,
            flags,
            image_id=image_id,
            category_id=category_id,
            area=np.nan_to_num(area),
            box_xywh=box if np.isfinite(box).all() else None,
            order=order,
            crowd=own[ISCROWD] or 0,
        )
        cleaned = {name: _clean(record[name]) for name in ("keypoints", "bbox") if name in record}
        entry: dict = {"id": None, **record, **cleaned}
        if scored:
            entry["score"] = own[PRED_OKS]
        if scored and own[KEYPOINT_OKS] is not None:
            entry["keypoint_scores"] = order.to_file(np.array(own[KEYPOINT_OKS])).tolist()
            entry["visibility_scores"] = order.to_file(self.visibility[person]).tolist()
        if self.fixed[person].any():
            entry["fixed"] = order.to_file(self.fixed[person], False).tolist()
        return entry

    def _restored(self, person: int, own: Mapping, kept: Kept, image_id: Hashable) -> dict:
        """Return the annotation that somebody was read from, with what has changed since."""
        entry = {**kept.entry, "image_id": image_id}
        order = (self.categories.find(entry, "") or _first(self.categories))[1]
        if kept.place < 0:  # version 0.1 kept these apart
            entry.setdefault("keypoints", [0] * (3 * len(order.joints)))
            entry |= {} if own[PRED_OKS] is None else {"score": own[PRED_OKS]}
        changed = self._write_joints(person, own, entry, order)
        self._write_box(person, own, entry)
        if own[ISCROWD] is not None and entry.get("iscrowd") not in (own[ISCROWD], str(own[ISCROWD]), None):
            entry["iscrowd"] = own[ISCROWD]
        if own[PRED_OKS] is not None and own[PRED_OKS] != own[SCORE_RAW]:
            entry["score"] = own[PRED_OKS]
        if own[KEYPOINT_OKS] is not None and own[KEYPOINT_OKS] != own[CONFIDENCE]:
            entry["keypoint_scores"] = order.to_file(np.array(own[KEYPOINT_OKS])).tolist()
        if changed and entry.get("visibility_scores") is not None:
            entry["visibility_scores"] = order.to_file(self.visibility[person]).tolist()
        fixed = order.to_file(self.fixed[person], False)
        if (fixed if entry.get("fixed") is None else fixed != np.array(entry["fixed"], bool)).any():
            entry["fixed"] = fixed.tolist()
        return entry

    def _write_joints(self, person: int, own: Mapping, entry: dict, order: JointOrder) -> bool:
        """Write the joints that have changed; returns whether there is any."""
        count, numbers = 3 * len(order.joints), entry.get("keypoints")
        known = isinstance(numbers, list) and len(numbers) == count  # else none, or of a crowd in another form
        numbers = list(numbers) if known else [0] * count
        came = np.array([np.nan if number is None else number for number in numbers], np.float64).reshape(-1, 3)
        came = order.to_skeleton(came)
        there = joints_there(came)
        thirds = np.where(there, np.nan_to_num(came[:, 2]), 0)
        now, flags, pixels = self.columns.placed[person], self.flags[person], self.pixels[person]
        moved = np.abs(np.nan_to_num(pixels) - np.nan_to_num(came[:, :2])).max(axis=1) > _SAME_PX
        if own[PRED_OKS] is None:
            changed = (flags != thirds) | (moved & (flags > 0))
        else:
            changed = (now != there) | (moved & now)
            if self.document.flags:
                changed |= now & (self._annotated(person) > 0) & (flags != thirds)
        if not changed.any():
            return False
        confidences = own[PRED_OKS] is not None and not self.document.flags
        written = np.array(own[KEYPOINT_OKS]) if confidences else flags
        points = np.where((now & (flags > 0))[:, None], np.round(pixels, _DIGITS), np.nan)
        entry |= replace_joints(numbers, order, changed, points, written)
        return True

    def _annotated(self, person: int) -> np.ndarray:
        """Return the (K,) visibilities that a human gave in Label Studio; NaN where nobody did."""
        if not hasattr(self, "_given"):
            self._given = self.columns.joints(ANNOTATED_VISIBILITY)
        return self._given[person]

    def _write_box(self, person: int, own: Mapping, entry: dict) -> None:
        """Write box and area where they have changed; an area is multiplied as the box's is, as from Label Studio."""
        box, came, area = self._box(own, person), as_box(entry.get("bbox"), ""), as_area(entry.get("area"), "", True)
        if box is not None and (came is None or np.abs(box - came).max() > _SAME_PX):
            entry["bbox"] = _clean(box)
            if came is not None and area and came[2:].prod() > 0:
                entry["area"] = float(area * box[2:].prod() / came[2:].prod())
        if own[AREA] is not None and area is not None and not np.isclose(own[AREA], area, rtol=1e-12, atol=0):
            entry["area"] = own[AREA]  # which somebody has changed itself


def _flags(columns: PersonColumns) -> np.ndarray:
    """Return the (N, K) visibilities 0, 1, 2 of a file: what a human said in Label Studio, else what is stored."""
    given = columns.joints(ANNOTATED_VISIBILITY)
    usual = np.where(columns.joints(VISIBILITY) >= VISIBLE_FROM, 2, 1)
    scored = np.isfinite(columns.scalars(PRED_OKS))[:, None]
    flags = np.where(scored, np.where(given > 0, given, usual), labelled_visibility(columns))
    return np.where(columns.placed, flags, 0).astype(int)


def _categories(document: KeptDocument, skeleton: Skeleton) -> PersonCategories:
    return person_categories({**document.rest, "annotations": []}, skeleton)


def _first(categories: PersonCategories) -> tuple[Hashable, JointOrder]:
    """Return the category of somebody new."""
    return next(iter(categories.orders.items()), (1, categories.default))


def _other_boxes(samples, field: str, images: Sequence[Kept], sizes: np.ndarray) -> Iterator[Kept]:
    """Yield the annotations of other categories that boxes stand for."""
    path = f"{boxes_field_of(field)}.detections"
    if samples.get_field(f"{path}.{COCO_EXTRA}") is None:
        return
    names = (COCO_ID, CATEGORY_ID, ISCROWD, AREA, COCO_EXTRA, BOUNDING_BOX)
    columns = [samples.values(f"{path}.{name}") for name in names]
    people = set(filter(None, samples.values(f"{field}.keypoints.{COCO_ID}", unwind=True)))
    for row, image in enumerate(images):
        for values in zip(*(column[row] or () for column in columns), strict=True):
            own = dict(zip(names, values, strict=True))
            kept = kept_entry(own)
            if kept is None or (kept.place < 0 and own[COCO_ID] in people):  # version 0.1 kept it with the person's box
                continue
            entry = {**kept.entry, "image_id": image.entry["id"]}
            box, came = np.array(own[BOUNDING_BOX], np.float64) * np.tile(sizes[row], 2), entry.get("bbox")
            if came is None or np.abs(box - np.array(came, np.float64)).max() > _SAME_PX:
                entry["bbox"] = _clean(box)
            yield Kept(_LAST if kept.place < 0 else kept.place, entry)


def _others_of(document: KeptDocument, images: Sequence[Kept]) -> list[Kept]:
    """Return the annotations of a view's photos that no label stands for."""
    known = {image.entry["id"] for image in images}
    return [kept for kept in document.others if image_of(kept.entry) in known]


def _number(annotations: list[dict]) -> None:
    """Give ids to those that have none, and to the later ones of two that have one."""
    seen: set = set()
    for entry in annotations:
        if entry.get("id") in seen:
            entry["id"] = None
        seen.add(entry.get("id"))
    fresh = fresh_ids(entry.get("id") for entry in annotations)
    for entry in annotations:
        if entry.get("id") is None:
            entry["id"] = next(fresh)


def _as_result(entry: dict) -> dict:
    """Return an annotation as a result: one that came from a list as it was; of others what a result has."""
    if "id" in entry and entry["id"] is None:
        names = ("image_id", "category_id", "keypoints", "score", "keypoint_scores", "visibility_scores")
        return {name: entry[name] for name in names if name in entry}
    return entry


def _clean(values: Sequence | np.ndarray) -> list[float | int]:
    """Undo the rounding error of storing shares of the photo."""
    rounded = [round(float(value), _DIGITS) for value in values]
    return [int(value) if value.is_integer() else value for value in rounded]
