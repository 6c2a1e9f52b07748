"""The people of a COCO file: annotations, results lists and datasets of predictions, read by one set of rules.

Every reader goes through here, whatever it makes of them:

- **People** are told by their category (:mod:`clickpose.data.coco_categories`).
- **Ignored**, neither right nor wrong, are crowds (``iscrowd``) and people whose ``num_keypoints`` is 0, or who have no
  labelled joint where it or ``keypoints`` is absent, as in pycocotools.
- **Not there** is a joint at 0, 0 whose third number is 0, and one whose position is null or NaN.
- **Confidences** are found by :mod:`clickpose.data.confidences`, boxes and areas by
  :mod:`clickpose.data.coco_extents`; fields are checked by :mod:`clickpose.data.coco_fields`, records written by
  :mod:`clickpose.data.coco_writing`.

What is left out or guessed is counted in ``notes`` (what -> how often), for one line of a command. Errors name the
entry and the field, and the file where ``source`` says it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from clickpose.checks import described
from clickpose.data.coco_categories import JointOrder, PersonCategories, note_lacking, note_other, person_categories
from clickpose.data.coco_fields import (
    as_area,
    as_box,
    as_flag,
    as_id,
    as_number,
    as_number_rows,
    as_numbers,
    as_size,
    check_image_id,
    entries_of,
    is_list,
    number_of,
    of_source,
    shown_id,
    unique_ids,
)
from clickpose.data.notes import Notes, note
from clickpose.skeleton import Skeleton

FLAGS = (0, 1, 2)  # COCO's visibilities
OTHER_ANNOTATIONS = "annotations of other categories"


@dataclass(frozen=True)
class CocoImage:
    """A photo of a file; ``image_hw`` (height, width) px is None where the file tells neither."""

    image_id: Hashable
    file_name: str | None
    image_hw: tuple[int, int] | None
    entry: Mapping


@dataclass(frozen=True, eq=False, kw_only=True)
class CocoPerson:
    """One person of a file, as predictions have it (:func:`read_results`, :func:`read_predictions`).

    Attributes:
        where: names the entry in messages.
        place: in its list, counted from 0.
        entry: the entry as it came.
        order: of its joints.
        image_id, category_id: ids.
        keypoints: (K, 2) px, the skeleton's order; NaN where a joint is not there.
        thirds: (K,) the third numbers as they came; 0 where a joint is not there.
        box_xywh: (4,) px; None without one.
        area: px², as it came; None without one.
        crowd: a region of many people.
        annotation_id: None in a results list.
        score: of the person; None without one.
        keypoint_scores, visibility_scores: (K,), as they came; None without them.
        fixed: (K,) bool, joints that a human placed; None without them.
    """

    where: str
    place: int
    entry: Mapping
    order: JointOrder
    image_id: Hashable
    category_id: Hashable
    keypoints: np.ndarray
    thirds: np.ndarray
    box_xywh: np.ndarray | None
    area: float | None
    crowd: bool
    annotation_id: Hashable = None
    score: float | None = None
    keypoint_scores: np.ndarray | None = None
    visibility_scores: np.ndarray | None = None
    fixed: np.ndarray | None = None

    @property
    def placed(self) -> np.ndarray:
        """(K,) bool: the joint is there."""
        return np.isfinite(self.keypoints[:, 0])


@dataclass(frozen=True, eq=False, kw_only=True)
class CocoAnnotation(CocoPerson):
    """One annotated person of a file (:func:`read_annotations`).

    Attributes:
        visibility: (K,) int 0, 1, 2; 0 where a joint is not there.
        ignored: neither finding nor missing it counts; see the module.
    """

    visibility: np.ndarray
    ignored: bool

    @property
    def labelled(self) -> np.ndarray:
        """(K,) bool."""
        return self.visibility > 0


def coco_images(document: Mapping, source: str = "") -> list[CocoImage]:
    """Read the images of a file.

    Raises:
        ValueError: for an id that is missing, null, a fraction or given twice, a ``file_name`` that is no text, or a
            size that is no number of pixels.
    """
    entries = entries_of(document, "images", source)
    ids = unique_ids(entries, "images", source)
    images = []
    for id_, entry in zip(ids, entries, strict=True):
        where = f"image {shown_id(id_)}{of_source(source)}"
        name = entry.get("file_name")
        if name is not None and not isinstance(name, str):
            raise ValueError(f"Expected text as file_name in {where}, got {described(name)}")
        told = [side for side in ("height", "width") if entry.get(side) is not None]
        size = (
            (as_size(entry.get("height"), "height", where), as_size(entry.get("width"), "width", where))
            if told
            else None
        )
        images.append(CocoImage(id_, name, size, entry))
    return images


def read_annotations(
    document: Mapping,
    skeleton: Skeleton,
    source: str = "",
    *,
    categories: PersonCategories | None = None,
    keypoints: Callable[[Mapping, str], Sequence] | None = None,
    area: Callable[[Mapping, str], object] | None = None,
    notes: Notes | None = None,
) -> list[CocoAnnotation]:
    """Read the people of a COCO keypoint dataset, those to ignore included.

    Args:
        document: the parsed JSON; not changed.
        skeleton: the joints.
        source: the file, for messages.
        categories: which annotations are people's; found out by default.
        keypoints: returns an annotation's keypoint numbers, where a format keeps them elsewhere; gets the annotation
            and its name for messages.
        area: returns an annotation's area, px², likewise.
        notes: what is left out is counted here.

    Raises:
        ValueError: for an annotation of none of the file's images, with another number of joints, or with a field that
            is not what COCO says; names the annotation and the field.
    """
    notes = Counter() if notes is None else notes
    categories = categories or person_categories(document, skeleton, source)
    entries = entries_of(document, "annotations", source)
    ids = unique_ids(entries, "annotations", source)
    known = set(unique_ids(entries_of(document, "images", source), "images", source))
    note_lacking(document, categories, skeleton, notes)
    rows = []
    for place, (id_, entry) in enumerate(zip(ids, entries, strict=True)):
        where = f"annotation {shown_id(id_)}{of_source(source)}"
        found = categories.find(entry, where)
        if found is None:
            note_other(entry, OTHER_ANNOTATIONS, categories, notes)
            continue
        rows.append(_row(entry, place, where, _image_of(entry, known, where), *found, keypoints, annotation_id=id_))
    points, thirds = _triples(rows, skeleton, notes)
    visibility = _visibility(thirds, rows)
    boxes = _boxes(rows)
    people = []
    for row, labels, shared in zip(rows, visibility, _shared_fields(rows, points, thirds, boxes), strict=True):
        given = area(row.entry, row.where) if area else row.entry.get("area")
        counted = None if row.numbers is None else counted_joints(row.entry, row.where)
        ignored = row.crowd or not (np.count_nonzero(labels) if counted is None else counted)
        people.append(
            CocoAnnotation(
                **shared, visibility=labels, area=as_area(given, row.where, optional=True), ignored=bool(ignored)
            )
        )
    return people


def read_results(
    results: Sequence[Mapping],
    skeleton: Skeleton,
    source: str = "",
    *,
    categories: PersonCategories | None = None,
    notes: Notes | None = None,
) -> list[CocoPerson]:
    """Read a COCO results list.

    Args:
        results: the entries; not changed.
        skeleton: the joints.
        source: the file, for messages.
        categories: which entries are people's, by the dataset that they belong to; by default all, with the joints in
            the skeleton's order.
        notes: what is left out is counted here.

    Raises:
        ValueError: if it is no list of objects, or for an entry that lacks a field, has another number of joints or a
            field that is not what COCO says; names the place and the field.
    """
    if not is_list(results):
        raise ValueError(f"Expected a list of keypoint results{of_source(source)}, got {described(results)}")
    categories = categories or PersonCategories({}, JointOrder.same(skeleton))
    rows = []
    for place, entry in enumerate(results):
        where = f"the result at place {place}{of_source(source)}"
        if type(entry) is not dict and not isinstance(entry, Mapping):
            raise ValueError(f"Expected an object as {where}, got {described(entry)}")
        found = categories.find(entry, where)
        if found is None:
            note_other(entry, "results of other categories", categories, Counter() if notes is None else notes)
        else:
            rows.append(_row(entry, place, where, as_id(entry.get("image_id"), "image_id", where), *found))
    return _predictions(rows, skeleton, scored=True)


def read_predictions(
    document: Mapping, skeleton: Skeleton, source: str = "", *, scored: bool = True, notes: Notes | None = None
) -> list[CocoPerson]:
    """Read the people of a COCO dataset of predictions, as ``clickpose predict`` writes it; crowds included.

    Args:
        document: the parsed JSON; not changed.
        skeleton: the joints.
        source: the file, for messages.
        scored: whether each must have a ``score`` and keypoints, as COCO's results do; a crowd need not.
        notes: what is left out is counted here.

    Raises:
        ValueError: as :func:`read_annotations`, but for visibilities and areas, which are not asked for.
    """
    categories = person_categories(document, skeleton, source)
    entries = entries_of(document, "annotations", source)
    ids = iter(unique_ids([entry for entry in entries if "id" in entry], "annotations", source))
    known = set(unique_ids(entries_of(document, "images", source), "images", source))
    rows = []
    for place, entry in enumerate(entries):
        id_ = next(ids) if "id" in entry else None  # which nobody needs to tell predictions apart
        name = f"the annotation at place {place}" if id_ is None else f"annotation {shown_id(id_)}"
        where = f"{name}{of_source(source)}"
        found = categories.find(entry, where)
        if found is None:
            note_other(entry, OTHER_ANNOTATIONS, categories, Counter() if notes is None else notes)
        else:
            rows.append(_row(entry, place, where, _image_of(entry, known, where), *found, annotation_id=id_))
    return _predictions(rows, skeleton, scored)


class _Row(NamedTuple):
    """An entry of people's, before its numbers are looked at; those of all entries are looked at together."""

    entry: Mapping
    place: int
    where: str
    image_id: Hashable
    category_id: Hashable
    order: JointOrder
    annotation_id: Hashable
    crowd: bool
    numbers: Any  # of keypoints, as they came; None for none


def _row(
    entry: Mapping,
    place: int,
    where: str,
    image_id: Hashable,
    category_id: Hashable,
    order: JointOrder,
    keypoints: Callable[[Mapping, str], Sequence] | None = None,
    annotation_id: Hashable = None,
) -> _Row:
    numbers: Any = entry.get("keypoints") if keypoints is None else keypoints(entry, where)
    crowd = as_flag(entry.get("iscrowd"), "iscrowd", where)
    if is_list(numbers) and not len(numbers):
        numbers = None
    if crowd and not (is_list(numbers) and len(numbers) == 3 * len(order.joints)):
        numbers = None  # a region of many people, whose joints nobody labelled
    return _Row(entry, place, where, image_id, category_id, order, annotation_id, crowd, numbers)


def _predictions(rows: Sequence[_Row], skeleton: Skeleton, scored: bool) -> list[CocoPerson]:
    for row in rows:
        if row.numbers is None and scored and not row.crowd:
            raise ValueError(f"Expected keypoints in {row.where}, got none")
    points, thirds = _triples(rows, skeleton)
    return [
        CocoPerson(
            **shared,
            area=as_area(row.entry.get("area"), row.where, optional=True),
            score=_score(row.entry, row.where, scored and not row.crowd),
            keypoint_scores=_per_joint(row.entry, "keypoint_scores", row.order, row.where),
            visibility_scores=_per_joint(row.entry, "visibility_scores", row.order, row.where),
            fixed=_fixed(row.entry, row.order, row.where),
        )
        for row, shared in zip(rows, _shared_fields(rows, points, thirds, _boxes(rows)), strict=True)
    ]


def _shared_fields(
    rows: Sequence[_Row], points: np.ndarray, thirds: np.ndarray, boxes: Sequence[np.ndarray | None]
) -> Iterator[dict[str, Any]]:
    """Yield what annotations and predictions have both."""
    for row, keypoints, third, box in zip(rows, points, thirds, boxes, strict=True):
        yield {
            "where": row.where,
            "place": row.place,
            "entry": row.entry,
            "order": row.order,
            "annotation_id": row.annotation_id,
            "image_id": row.image_id,
            "category_id": row.category_id,
            "keypoints": keypoints,
            "thirds": third,
            "box_xywh": box,
            "crowd": row.crowd,
        }


def _image_of(entry: Mapping, known: Collection[Hashable], where: str) -> Hashable:
    return check_image_id(as_id(entry.get("image_id"), "image_id", where), known, where)


def counted_joints(entry: Mapping, where: str) -> int | None:
    """Return ``num_keypoints``; None without it.

    Raises:
        ValueError: if it is no whole number, or below 0; names the entry.
    """
    value = entry.get("num_keypoints")
    if value is None:
        return None
    number = number_of(value)
    if number is None or not math.isfinite(number) or number < 0 or number != int(number):
        raise ValueError(f"Expected a whole number as num_keypoints in {where}, got {described(value)}")
    return int(number)


def _score(entry: Mapping, where: str, wanted: bool) -> float | None:
    value = entry.get("score")
    if value is None and not wanted:
        return None
    return as_number(value, "score", where)


def _per_joint(entry: Mapping, name: str, order: JointOrder, where: str) -> np.ndarray | None:
    if entry.get(name) is None:
        return None
    return order.to_skeleton(as_numbers(entry[name], len(order.joints), f"numbers of {name}", where))


def _fixed(entry: Mapping, order: JointOrder, where: str) -> np.ndarray | None:
    values = entry.get("fixed")
    if values is None:
        return None
    if not isinstance(values, Sequence) or len(values) != len(order.joints):
        raise ValueError(f"Expected {len(order.joints)} flags of fixed in {where}, got {described(values)}")
    return order.to_skeleton(np.array([as_flag(value, "fixed", where) for value in values]), absent=False)


def _boxes(rows: Sequence[_Row]) -> list[np.ndarray | None]:
    """Return the (4,) box of each row; None for one without."""
    given = [row.entry.get("bbox") for row in rows]
    if all(isinstance(box, list) and len(box) == 4 for box in given):
        boxes = as_number_rows(given, 4, "numbers of bbox (left, top, width, height)", [row.where for row in rows])
        if not np.isnan(boxes).any():
            return list(boxes)
    return [as_box(box, row.where) for box, row in zip(given, rows, strict=True)]


def _triples(rows: Sequence[_Row], skeleton: Skeleton, notes: Notes | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return positions (N, K, 2), NaN where a joint is not there, and third numbers (N, K), 0 there."""
    points, thirds = np.full((len(rows), len(skeleton), 2), np.nan), np.zeros((len(rows), len(skeleton)))
    by_order: dict[JointOrder, list[int]] = {}
    for number, row in enumerate(rows):
        if row.numbers is not None:
            by_order.setdefault(row.order, []).append(number)
    for order, numbers in by_order.items():
        chosen = [rows[number] for number in numbers]
        joints, where = len(order.joints), [row.where for row in chosen]
        what = f"numbers of keypoints ({skeleton.name})"
        triples = as_number_rows([row.numbers for row in chosen], 3 * joints, what, where).reshape(-1, joints, 3)
        known = np.isfinite(triples[..., :2]).all(axis=2)
        if notes is not None and (lost := int((~known & (triples[..., 2] > 0)).sum())):
            note(notes, "labelled joints whose position is null or NaN, taken as not there", lost)
        if (untold := (known & np.isnan(triples[..., 2])).any(axis=1)).any():
            raise ValueError("Expected a third number with each position of keypoints in "
                             f"{where[int(untold.argmax())]}, got null or NaN")  # fmt: skip
        there = joints_there(triples)
        for place, joint in enumerate(order.joints):
            if joint is not None:
                points[numbers, joint] = np.where(there[:, place, None], triples[:, place, :2], np.nan)
                thirds[numbers, joint] = np.where(there[:, place], triples[:, place, 2], 0.0)
    return points, thirds


def joints_there(triples: np.ndarray) -> np.ndarray:
    """Tell which joints (..., F) of triples (..., F, 3) are there: neither null or NaN nor 0, 0, 0."""
    return np.isfinite(triples[..., :2]).all(axis=-1) & triples.any(axis=-1)


def _visibility(thirds: np.ndarray, rows: Sequence[_Row]) -> np.ndarray:
    """Return (N, K) int of third numbers that are COCO's flags."""
    wrong = ~np.isin(thirds, FLAGS)
    if wrong.any():
        row = int(wrong.any(axis=1).argmax())
        raise ValueError(f"Expected visibility of 0, 1 or 2 in {rows[row].where}, got {thirds[row][wrong[row]][0]:g}")
    return thirds.astype(int)
