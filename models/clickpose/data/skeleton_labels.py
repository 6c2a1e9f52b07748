"""People with skeletons as annotation tools hold them, and the way to COCO's form and back.

CVAT, Datumaro, SLEAP and DeepLabCut name joints where COCO counts them, and know neither areas nor ids. Each has an
adapter of its own (:mod:`clickpose.data.cvat`, …) that speaks in the classes of this module; what they share is here.
A joint keeps its name and its visibility (0 not there, 1 hidden, 2 visible) on every way.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from clickpose.checks import described
from clickpose.data.coco_categories import JointOrder, joint_category
from clickpose.data.coco_extents import box_of_joints
from clickpose.data.coco_fields import as_box, as_flag, as_id, as_numbers, entries_of, of_source, unique_ids
from clickpose.data.coco_records import FLAGS, CocoImage, coco_images
from clickpose.data.coco_writing import fresh_ids, person_record, replace_joints
from clickpose.data.confidences import OCCLUDED_BELOW
from clickpose.data.notes import Notes, note
from clickpose.skeleton import COCO, Skeleton

COCO_ID = "coco_id"  # attribute under which a tool carries the id of an annotation along
SCORE = "score"  # attribute under which a tool carries the score of a prediction along
ROUNDED_PX = 0.0051  # tools keep two digits: a number that differs by less is the same one
_HELD = {"id", "image_id", "category_id", "keypoints", "num_keypoints", "bbox", "iscrowd", "area", "attributes",
         "score", "keypoint_scores", "visibility_scores"}  # fmt: skip


@dataclass(frozen=True)
class SkeletonLabel:
    """A kind of thing with joints, such as a person.

    Attributes:
        name: of the label.
        joints: names, in the order of the file.
        edges: bones as pairs of 0-based places in ``joints``.
    """

    name: str
    joints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledPerson:
    """One of them in a photo.

    Attributes:
        label: its label.
        keypoints: (K, 2) px, in the order of the label's joints; NaN where a joint is not there.
        visibility: (K,) int 0, 1, 2; 0 where a joint is not there.
        box_xywh: (4,) px; None without one.
        score: of a prediction; None for what a human labelled.
        attributes: what else the tool says of it.
    """

    label: SkeletonLabel
    keypoints: np.ndarray
    visibility: np.ndarray
    box_xywh: np.ndarray | None = None
    score: float | None = None
    attributes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelledPhoto:
    """A photo with its people; ``image_hw`` (height, width) px is None where the tool does not tell."""

    name: str
    image_hw: tuple[int, int] | None
    persons: tuple[LabelledPerson, ...] = ()


def labels_of_coco(
    document: Mapping, skeleton: Skeleton, source: str = "", notes: Notes | None = None
) -> list[LabelledPhoto]:
    """Return the photos of a COCO keypoint dataset with all people who have joints.

    Args:
        document: ``images``, ``annotations`` and ``categories``; every category that names ``keypoints`` is a label.
        skeleton: names and bones where no category names joints.
        source: the file, for messages.
        notes: crowds, boxes of other categories, and fields that no tool holds are counted here.

    Raises:
        ValueError: if an entry cannot be read, or an image has no ``file_name``.
    """
    notes = {} if notes is None else notes
    labels = _labels_by_category(document, skeleton, source)
    images = coco_images(document, source)
    people: dict[Hashable, list[LabelledPerson]] = {image.image_id: [] for image in images}
    for place, entry in enumerate(entries_of(document, "annotations", source)):
        where = f"annotation {entry.get('id', place)!r}{of_source(source)}"
        image_id = as_id(entry.get("image_id"), "image_id", where)
        if image_id not in people:
            raise ValueError(f"Expected {where} to be of one of the images, got image_id {image_id!r}")
        label = labels.get(entry.get("category_id")) if labels else None
        person = None if label is None else _person_of(entry, label, where, notes)
        if label is None:
            note(notes, "annotations of categories without joints, left out")
        elif person is not None:
            people[image_id].append(person)
    return [LabelledPhoto(_name_of(image, source), image.image_hw, tuple(people[image.image_id])) for image in images]


def _name_of(image: CocoImage, source: str) -> str:
    if not image.file_name:
        raise ValueError(f"Expected a file_name of image {image.image_id!r}{of_source(source)}, got none")
    return image.file_name


def _labels_by_category(document: Mapping, skeleton: Skeleton, source: str) -> dict[object, SkeletonLabel]:
    """Return category id -> label; the skeleton's own for every category where none names joints."""
    categories = entries_of(document, "categories", source, optional=True)
    labels: dict[object, SkeletonLabel] = {}
    for category in categories:
        joints = category.get("keypoints")
        if not joints:
            continue
        if not isinstance(joints, Sequence) or not all(isinstance(joint, str) for joint in joints):
            where = f"category {category.get('id')!r}{of_source(source)}"
            raise ValueError(f"Expected the keypoints of {where} to be names, got {described(joints)}")
        edges = tuple((a - 1, b - 1) for a, b in category.get("skeleton") or ())
        labels[category.get("id")] = SkeletonLabel(str(category.get("name") or "person"), tuple(joints), edges)
    if labels:
        return labels
    own = SkeletonLabel("person", skeleton.names, tuple((int(a), int(b)) for a, b in skeleton.edges))
    used = {entry.get("category_id") for entry in entries_of(document, "annotations", source)}
    return dict.fromkeys(used, own)


def _person_of(entry: Mapping, label: SkeletonLabel, where: str, notes: Notes) -> LabelledPerson | None:
    """Read one annotation; None for one that has nothing to place in a tool, which is counted."""
    if as_flag(entry.get("iscrowd", 0), "iscrowd", where):
        note(notes, "crowds, which tools do not know, left out")
        return None
    count = len(label.joints)
    numbers = entry.get("keypoints")
    flat = np.zeros(3 * count) if numbers is None else as_numbers(numbers, 3 * count, "keypoints", where)
    triples = flat.reshape(-1, 3)
    keypoints, visibility = _placed(triples, entry, where)
    box_xywh = as_box(entry.get("bbox"), where)
    if not visibility.any() and box_xywh is None:
        note(notes, "people with neither joints nor a box, left out")
        return None
    for name in sorted(set(entry) - _HELD):
        note(notes, f"fields {name}, which tools do not hold, left out")
    score = entry.get("score")
    attributes = dict(entry["attributes"]) if isinstance(entry.get("attributes"), Mapping) else {}
    if entry.get("id") is not None:
        attributes[COCO_ID] = entry["id"]
    return LabelledPerson(label=label, keypoints=keypoints, visibility=visibility, box_xywh=box_xywh,
                          score=None if score is None else float(score), attributes=attributes)  # fmt: skip


def _placed(triples: np.ndarray, entry: Mapping, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (K, 2) positions and (K,) visibilities of (K, 3) triples; their third numbers may be confidences."""
    keypoints, thirds = triples[:, :2].copy(), triples[:, 2]
    with np.errstate(invalid="ignore"):
        there = np.isfinite(keypoints).all(axis=1) & ~((keypoints == 0).all(axis=1) & ~(thirds > 0))
    if entry.get("score") is None and np.isin(thirds[there], FLAGS).all():
        visibility = np.where(there, thirds, 0).astype(int)
    else:
        seen = entry.get("visibility_scores")
        seen = np.ones(len(triples)) if seen is None else as_numbers(seen, len(triples), "visibility_scores", where)
        visibility = np.where(there, np.where(seen < OCCLUDED_BELOW, 1, 2), 0)
    keypoints[visibility == 0] = np.nan
    return keypoints, visibility


def labels_to_coco(
    photos: Sequence[LabelledPhoto], labels: Iterable[SkeletonLabel] = (), like: Mapping | None = None,
    notes: Notes | None = None,
) -> dict:  # fmt: skip
    """Return photos and their people as a COCO keypoint dataset.

    Args:
        photos: photos in order.
        labels: further labels that no person has.
        like: the COCO dataset that once went into the tool. Order, ids, images, categories, areas and all other fields
            come from it, and what the tool did not have: crowds, other categories, further photos. Of a person only
            the joints and the box that have changed by more than tools round are new.
        notes: counted here: people who are new, and boxes made around joints.

    Raises:
        ValueError: if two photos have one name.
    """
    notes = {} if notes is None else notes
    frame = _Frame(like, [*labels, *(person.label for photo in photos for person in photo.persons)])
    names = [photo.name for photo in photos]
    if len(set(names)) < len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise ValueError(f"Expected photos of different names, got several called {twice}")
    images, annotations = [], []
    for photo in photos:
        image = frame.image_of(photo)
        images.append(image)
        annotations += [frame.annotation_of(person, image["id"], notes) for person in photo.persons]
    made = {"images": images, "annotations": annotations, "categories": frame.categories}
    return made if like is None else {**like, **made, **_merged(like, images, annotations)}


def _merged(like: Mapping, images: Sequence[dict], annotations: Sequence[dict]) -> dict:
    """Return images and annotations in the order of an earlier dataset, with what the tool did not have of it."""
    new_images = {entry["id"]: entry for entry in images}
    new_people = {entry["id"]: entry for entry in annotations}
    seen = set(new_images)
    went_in = {person.attributes.get(COCO_ID) for photo in labels_of_coco(like, COCO) for person in photo.persons}
    people = []
    for entry in like["annotations"]:
        if entry.get("id") in new_people:
            people.append(new_people.pop(entry["id"]))
        elif entry.get("image_id") not in seen or entry.get("id") not in went_in:
            people.append(entry)
    return {
        "images": [*(new_images.pop(entry["id"], entry) for entry in like["images"]), *new_images.values()],
        "annotations": [*people, *new_people.values()],
    }


class _Frame:
    """Ids and entries of the dataset that is being written, taken from an earlier one where it has them."""

    def __init__(self, like: Mapping | None, labels: Sequence[SkeletonLabel]):
        like = like or {}
        self._images = {image.file_name: image.entry for image in coco_images(like)} if like else {}
        entries = entries_of(like, "annotations") if like else []
        self._annotations = {str(entry.get("id")): entry for entry in entries}
        self.categories = [dict(category) for category in like.get("categories", ())]
        self._ids = {category.get("name"): category["id"] for category in self.categories if category.get("keypoints")}
        fresh = fresh_ids([category["id"] for category in self.categories])
        for label in labels:
            if label.name not in self._ids:
                self._ids[label.name] = next(fresh)
                self.categories.append(joint_category(self._ids[label.name], label.name, label.joints, label.edges))
        self._next_image = fresh_ids([entry["id"] for entry in self._images.values()])
        self._next_id = fresh_ids(unique_ids(entries, "annotation") if like else [])
        self._used: set[str] = set()

    def image_of(self, photo: LabelledPhoto) -> dict:
        if photo.name in self._images:
            return dict(self._images[photo.name])
        image = {"id": next(self._next_image), "file_name": photo.name}
        return image if photo.image_hw is None else image | {"width": photo.image_hw[1], "height": photo.image_hw[0]}

    def annotation_of(self, person: LabelledPerson, image_id: Hashable, notes: Notes) -> dict:
        mark = str(person.attributes.get(COCO_ID, ""))
        before = self._annotations.get(mark)
        if before is not None and before.get("image_id") == image_id and mark not in self._used:
            self._used.add(mark)
            return _changed(before, person)
        if self._annotations:
            note(notes, "people who are new")
        return {"id": self._id_of(mark), **_fresh(person, image_id, self._ids[person.label.name], notes)}

    def _id_of(self, mark: str) -> Hashable:
        if mark and mark not in self._used and not self._annotations:
            self._used.add(mark)
            return int(mark) if mark.isdecimal() else mark
        while str(id_ := next(self._next_id)) in self._used:
            continue
        self._used.add(str(id_))
        return id_


def _file_order(label: SkeletonLabel) -> JointOrder:
    return JointOrder(tuple(range(len(label.joints))), len(label.joints))


def _fresh(person: LabelledPerson, image_id: Hashable, category_id: Hashable, notes: Notes) -> dict:
    box_xywh = person.box_xywh
    if box_xywh is None:
        box_xywh = box_of_joints(person.keypoints)
        note(notes, "boxes made around the joints of people without one")
    area = None if box_xywh is None else float(box_xywh[2] * box_xywh[3])
    record = person_record(person.keypoints, person.visibility, image_id=image_id, category_id=category_id,
                           area=area, box_xywh=box_xywh)  # fmt: skip
    if person.score is not None:
        record["score"] = person.score
    others = {name: value for name, value in person.attributes.items() if name != COCO_ID}
    return record | ({"attributes": others} if others else {})


def _changed(before: Mapping, person: LabelledPerson) -> dict:
    """Return an annotation as it was, but for joints and a box that have changed by more than tools round."""
    order = _file_order(person.label)
    numbers = before.get("keypoints") or [0] * 3 * order.count
    triples = np.array([[math.nan if number is None else float(number) for number in numbers]]).reshape(-1, 3)
    keypoints, visibility = _placed(triples, before, "the annotation")
    with np.errstate(invalid="ignore"):
        same = (np.abs(keypoints - person.keypoints) < ROUNDED_PX).all(axis=1) & (visibility == person.visibility)
    changed = ~(same | ((visibility == 0) & (person.visibility == 0)))
    record = dict(before)
    if changed.any():
        record |= replace_joints(numbers, order, changed, person.keypoints, person.visibility)
    box_before = as_box(before.get("bbox"), "the annotation")
    if person.box_xywh is not None and (
        box_before is None or (np.abs(box_before - person.box_xywh) > 2 * ROUNDED_PX).any()
    ):
        record["bbox"] = [float(number) for number in person.box_xywh]
        if box_before is not None and record.get("area") is not None and box_before[2:].prod() > 0:
            record["area"] = float(record["area"]) * float(person.box_xywh[2:].prod() / box_before[2:].prod())
    return record
