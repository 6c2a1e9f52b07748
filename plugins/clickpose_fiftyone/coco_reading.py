"""A COCO keypoint file, or a results list, as the labels that a dataset is going to have; nothing is written here.

What COCO's form means is decided in :mod:`clickpose.data.coco_records`; here it becomes FiftyOne's labels. Each label
keeps the entry that it was made of as JSON text, so that the way back can tell what somebody changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import fiftyone as fo
import numpy as np

from clickpose.data.coco_categories import PersonCategories, categories_of_results, note_orders, person_categories
from clickpose.data.coco_extents import result_areas
from clickpose.data.coco_fields import as_box, check_image_id, entries_of, unique_ids
from clickpose.data.coco_records import (
    CocoImage,
    CocoPerson,
    coco_images,
    counted_joints,
    read_annotations,
    read_predictions,
    read_results,
)
from clickpose.data.confidences import joint_confidences, person_confidences, thirds_are_flags
from clickpose.data.notes import Notes, note
from clickpose.skeleton import COCO, Skeleton
from clickpose.skeleton_io import SKELETONS
from clickpose_fiftyone.coco_kept import Kept, keep_entry
from clickpose_fiftyone.conversion import HIDDEN, PERSON, stored_joints
from clickpose_fiftyone.field_names import (
    AREA,
    BOUNDING_BOX,
    CATEGORY_ID,
    COCO_EXTRA,
    COCO_ID,
    CONFIDENCE,
    FIXED,
    INSTANCE,
    ISCROWD,
    KEYPOINT_OKS,
    NUM_KEYPOINTS,
    POINTS,
    PRED_OKS,
    RESULT_AREA,
    SCORE_RAW,
    VISIBILITY,
)
from clickpose_fiftyone.skeletons import known_skeleton

_LARGEST = 2**62  # of the whole numbers that the database takes
_FOREIGN_SIGMA = 0.05  # of joints that no skeleton of the package names: a file needs none, its figures do


@dataclass(frozen=True, eq=False, kw_only=True)
class CocoFile:
    """What a file says.

    Attributes:
        skeleton: the joints of its people.
        categories: which entries are people's.
        images: its photos.
        people: of them, in the file's order.
        others: the annotations of other categories.
        names: category id -> name.
        rest: the document without images and annotations.
        predicted: the people have scores: they are predictions.
        is_list: it is a list of results, without images and categories of its own.
        notes: what was left out or guessed -> how often.
    """

    skeleton: Skeleton
    categories: PersonCategories
    images: list[CocoImage]
    people: list[CocoPerson]
    others: list[Kept]
    names: Mapping[Hashable, str]
    rest: Mapping
    predicted: bool
    is_list: bool = False
    notes: Notes = field(default_factory=Counter)


@dataclass(frozen=True, eq=False, kw_only=True)
class PhotoLabels:
    """The labels of one photo: people, and boxes: theirs and those of other categories."""

    keypoints: list[fo.Keypoint] = field(default_factory=list)
    boxes: list[fo.Detection] = field(default_factory=list)


def read_document(document: object, source: str = "") -> CocoFile:
    """Read a COCO keypoint dataset, of labels or of predictions.

    Raises:
        ValueError: if it is none; names the entry, the field and the file.
    """
    notes: Notes = Counter()
    entries = entries_of(document, "annotations", source)
    unique_ids(entries, "annotations", source)
    images = coco_images(document, source)
    skeleton = skeleton_of_file(document, source)
    categories = person_categories(document, skeleton, source)
    predicted = any(entry.get("score") is not None for entry in entries)
    if predicted:
        people = read_predictions(document, skeleton, source, scored=False, notes=notes)
    else:
        people = read_annotations(document, skeleton, source, categories=categories, notes=notes)
    known = {image.image_id for image in images}
    others = _others(entries, people, notes)
    if lost := sum(image_of(kept.entry) not in known for kept in others):
        note(notes, "of these of images that the file does not list, left out", lost)
    listed = entries_of(document, "categories", source, optional=True)
    return CocoFile(
        skeleton=skeleton,
        categories=categories,
        images=images,
        people=people,
        others=others,
        names={category["id"]: str(category.get("name") or PERSON) for category in listed},
        rest={key: value for key, value in document.items() if key not in ("images", "annotations")},
        predicted=predicted,
        notes=notes,
    )


def read_list(
    results: Sequence, images: list[CocoImage], skeleton: Skeleton, rest: Mapping, source: str = ""
) -> CocoFile:
    """Read a COCO results list for photos that a dataset of labels gave ids.

    Args:
        results: the entries.
        images: the photos that have ids.
        skeleton: the joints of the labels.
        rest: their document without images and annotations, with the categories.
        source: the file, for messages.

    Raises:
        ValueError: if it is none, or for other photos; names the place, the field and the file.
    """
    notes: Notes = Counter()
    listed = entries_of(rest, "categories", optional=True)
    note_orders(person_categories({**rest, "annotations": []}, skeleton), skeleton, notes)
    rest = {**rest, "categories": categories_of_results(listed, skeleton)} if listed else rest
    categories = person_categories({**rest, "annotations": []}, skeleton)
    people = read_results(results, skeleton, source, categories=categories, notes=notes)
    _require_images(people, {image.image_id for image in images})
    others = _others(results, people, notes)
    return CocoFile(
        skeleton=skeleton, categories=categories, images=images, people=people, others=others,
        names={category["id"]: str(category.get("name") or PERSON) for category in rest.get("categories") or ()},
        rest=rest, predicted=True, is_list=True, notes=notes,
    )  # fmt: skip


def _others(entries: Sequence[Mapping], people: Sequence[CocoPerson], notes: Notes) -> list[Kept]:
    """Return the entries that are not people's, which are kept, not left out."""
    places = {person.place for person in people}
    for what in ("annotations of other categories", "results of other categories"):
        notes.pop(what, None)
    others = [Kept(place, entry) for place, entry in enumerate(entries) if place not in places]
    if others:
        note(notes, "annotations of categories that are no people, kept as boxes", len(others))
    return others


def skeleton_of_file(document: Mapping, source: str = "") -> Skeleton:
    """Return the joints of a file's people: a known skeleton whose joints a category names in any order and usual
    spelling, else the file's own; COCO's where no category names joints.

    Raises:
        ValueError: if several categories name joints and none of them those of a known skeleton.
    """
    named = [
        category["keypoints"]
        for category in entries_of(document, "categories", source, optional=True)
        if isinstance(category.get("keypoints"), Sequence) and category["keypoints"]
    ]
    for names in named:
        if (skeleton := known_skeleton(names)) is not None:
            return skeleton
    if not named:
        return COCO
    if len({tuple(map(str, names)) for names in named}) > 1:
        raise ValueError(
            f"Expected a category with the joints of a known skeleton ({', '.join(SKELETONS)})"
            f"{f' in {source}' if source else ''}, got several with others: "
            + "; ".join(", ".join(map(str, names)) for names in named)
        )
    category = next(category for category in document["categories"] if category.get("keypoints"))
    return foreign_skeleton(named[0], _bones(category.get("skeleton"), len(named[0])))


def _bones(stated: object, count: int) -> list[tuple[int, int]]:
    """Return the 0-based bones of a category; COCO counts joints from 1. What is no bone is only not drawn."""
    pairs = stated if isinstance(stated, Sequence) and not isinstance(stated, str) else ()
    bones = [pair for pair in pairs if isinstance(pair, Sequence) and len(pair) == 2]
    return [(a - 1, b - 1) for a, b in bones if all(isinstance(end, int) and 1 <= end <= count for end in (a, b))]


def foreign_skeleton(names: Sequence[object], edges: Sequence[tuple[int, int]] = ()) -> Skeleton:
    """Return a skeleton of joints that the package does not know, to carry them; it serves for no figure.

    Raises:
        ValueError: if two joints have one name.
    """
    names = tuple(map(str, names))
    return Skeleton(
        name="of the file", names=names, edges=tuple(edges), flip_pairs=(), sigmas=(_FOREIGN_SIGMA,) * len(names)
    )


def _require_images(people: Sequence[CocoPerson], known: set) -> None:
    for person in people:
        check_image_id(person.image_id, known, person.where)


def photo_labels(
    file: CocoFile, sizes: Mapping[Hashable, tuple[float, float]], ids: Mapping[str, Callable]
) -> dict[Hashable, PhotoLabels]:
    """Return the labels of some photos.

    Args:
        file: what was read.
        sizes: image id -> (width, height) px of the photos that are taken.
        ids: for ``coco_id`` and ``category_id``, what makes values of their columns; see :func:`id_storage`.

    Returns:
        image id -> labels.
    """
    photos = {image_id: PhotoLabels() for image_id in sizes}
    make = _predictions(file) if file.predicted else _annotations(file)
    for person, attributes in zip(file.people, make, strict=True):
        if person.image_id in photos:
            labels, size = photos[person.image_id], sizes[person.image_id]
            link = fo.Instance()
            shared = {"label": file.names.get(person.category_id, PERSON), INSTANCE: link}
            box = None if person.box_xywh is None else _relative(person.box_xywh, size)
            labels.keypoints.append(
                fo.Keypoint(**shared, **attributes(size, box), **_kept(person.place, person.entry, ids))
            )
            if box is not None:
                labels.boxes.append(fo.Detection(**shared, bounding_box=box))
    for place, entry in file.others:
        image_id, box = image_of(entry), _usable_box(entry)
        if image_id in photos and box is not None:
            size = sizes[image_id]
            label = file.names.get(entry.get("category_id"), PERSON)
            kept = _kept(place, entry, ids)
            photos[image_id].boxes.append(
                fo.Detection(label=label, instance=fo.Instance(), bounding_box=_relative(box, size), **kept)
            )
    return photos


def boxless(file: CocoFile) -> list[Kept]:
    """Return the annotations of other categories that no label stands for."""
    return [Kept(place, entry) for place, entry in file.others if _usable_box(entry) is None]


def _annotations(file: CocoFile):
    """Yield what makes each labelled person's attributes of a photo's size and a box."""
    for person in file.people:

        def attributes(size, box, person=person):
            return {
                POINTS: (person.keypoints / size).tolist(),
                VISIBILITY: person.visibility.tolist(),
                BOUNDING_BOX: box,
                AREA: person.area,
                ISCROWD: int(person.crowd),
                NUM_KEYPOINTS: _counted(person.entry),
            }

        yield attributes


def _predictions(file: CocoFile):
    """The same of predicted people; see :mod:`clickpose_fiftyone.conversion` for joints that are not there."""
    joints = joint_confidences(file.people, file.skeleton, file.notes)
    scores = person_confidences(file.people, file.notes)
    areas = result_areas(file.people) if file.is_list else [None] * len(file.people)
    visibility = predicted_visibility(file.people)
    for person, confidence, score, area, seen in zip(file.people, joints, scores, areas, visibility, strict=True):

        def attributes(size, box, person=person, confidence=confidence, score=score, area=area, seen=seen):
            points, stored = stored_joints(person.keypoints / size, seen, box)
            fixed = {} if person.fixed is None else {FIXED: person.fixed.tolist()}
            return {
                POINTS: points,
                VISIBILITY: stored,
                CONFIDENCE: confidence.tolist(),
                KEYPOINT_OKS: confidence.tolist(),
                PRED_OKS: float(score),
                SCORE_RAW: float(score),
                BOUNDING_BOX: box,
                AREA: person.area,
                RESULT_AREA: None if area is None else float(area),
                ISCROWD: int(person.crowd),
                NUM_KEYPOINTS: _counted(person.entry),
                **fixed,
            }

        yield attributes


def predicted_visibility(people: Sequence[CocoPerson]) -> list[np.ndarray]:
    """Return the (K,) visibilities of predicted people.

    They are ``visibility_scores``; else, where the third numbers are flags and tell visible (2) from hidden joints
    (1), those; else 1: most results have one and the same number at every joint.
    """
    flags = thirds_are_flags(people) and any((person.thirds == 2).any() for person in people)
    return [
        person.visibility_scores if person.visibility_scores is not None
        else np.where(person.thirds == 2, 1.0, HIDDEN) if flags
        else np.ones(len(person.thirds))
        for person in people
    ]  # fmt: skip


def _kept(place: int, entry: Mapping, ids: Mapping[str, Callable]) -> dict:
    """Return what every label keeps of the entry that it was made of."""
    return {
        COCO_ID: ids[COCO_ID](entry.get("id")),
        CATEGORY_ID: ids[CATEGORY_ID](entry.get("category_id")),
        COCO_EXTRA: keep_entry(place, entry),
    }


def id_storage(values: Iterable, existing: fo.Field | None) -> Callable:
    """Return what makes values of a column of ids, which are all numbers or all text in FiftyOne.

    The entry that a label keeps has the id itself; the column is for filters.

    Args:
        values: all ids.
        existing: the field that has them already; an id that it cannot hold is left out of it.
    """
    values = [value for value in values if value is not None]
    if all(isinstance(value, int) and abs(value) < _LARGEST for value in values):
        if not isinstance(existing, fo.StringField):
            return lambda value: value
    elif isinstance(existing, fo.IntField):
        return lambda value: value if isinstance(value, int) and abs(value) < _LARGEST else None
    return lambda value: None if value is None else str(value)


def _counted(entry: Mapping) -> int | None:
    counted = counted_joints(entry, "") if entry.get("keypoints") else None  # a count of nothing counts for nothing
    return None if counted is None else min(counted, _LARGEST)


def image_of(entry: Mapping) -> Hashable:
    """Return the image id of an annotation of another category; None for what is no id: nobody asks what it says."""
    image_id = entry.get("image_id")
    return image_id if isinstance(image_id, (int, str)) else None


def _usable_box(entry: Mapping) -> np.ndarray | None:
    """Return the (4,) box of an annotation of another category; None without four numbers: nobody asks what it says."""
    try:
        return as_box(entry.get("bbox"), "")
    except ValueError:
        return None


def _relative(box_xywh: np.ndarray, size: tuple[float, float]) -> list[float]:
    return (np.asarray(box_xywh) / (*size, *size)).tolist()
