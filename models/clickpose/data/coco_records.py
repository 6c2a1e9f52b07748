"""What COCO's keypoint form means, decided once: categories, joints, flags, triples, ids, sizes, areas, confidences.

Every reader of annotations and results goes through here, whatever it makes of them:

- **People** are the annotations of categories that name the skeleton's joints, in any order and usual spelling; where
  no category of a file names joints, those that carry keypoints. Annotations of other categories are left out and
  counted.
- **Ignored**, neither right nor wrong, are crowds (``iscrowd``) and people whose ``num_keypoints`` is 0, or who have no
  labelled joint where it or ``keypoints`` is absent, as in pycocotools.
- **Not there** is a joint at 0, 0 whose third number is 0, and one whose position is null or NaN.
- **Confidences** of joints are ``keypoint_scores``; else the third numbers, unless those of the whole file are flags
  (0, 1, 2); else the person's ``score``; see :func:`joint_confidences`.

What is left out or guessed is counted in ``notes`` (what -> how often), for one line of a command. Errors name the
entry and the field, and the file where ``source`` says it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from clickpose.boxes import enclosing_box, xyxy_to_xywh
from clickpose.checks import described
from clickpose.skeleton import Skeleton

PERSON_CATEGORY = 1  # COCO's id of people
PERSON_NAMES = frozenset({"person", "people", "human", "body", "pedestrian", "man", "woman", "instance"})
FLAGS = (0, 1, 2)  # COCO's visibilities
OVERSHOOT = 1.2  # confidences up to here are those of a heatmap whose peak was sharpened; they are taken as 1
OTHER_ANNOTATIONS = "annotations of other categories"
BOX_MARGIN = 0.1  # of the sides of a box that is made around joints, on each side; at least a pixel

Notes = MutableMapping[str, int]


@dataclass(frozen=True)
class JointOrder:
    """Where the joints of a file stand in a skeleton of ``count`` joints.

    Attributes:
        joints: for each joint of the file its index in the skeleton, None for one that the skeleton lacks.
        count: K.
    """

    joints: tuple[int | None, ...]
    count: int

    @classmethod
    def of_names(cls, names: Sequence[object], skeleton: Skeleton) -> JointOrder:
        """Match joints by name; of two names for one joint the first counts."""
        found: list[int | None] = []
        for name in names:
            joint = skeleton.match(name) if isinstance(name, str) else None
            found.append(None if joint in found else joint)
        return cls(tuple(found), len(skeleton))

    @classmethod
    def same(cls, skeleton: Skeleton) -> JointOrder:
        """Return the order of a file that has the skeleton's own."""
        return cls(tuple(range(len(skeleton))), len(skeleton))

    @property
    def complete(self) -> bool:
        """Whether the file has all joints of the skeleton and no other."""
        return len(self.joints) == self.count and None not in self.joints

    @property
    def places(self) -> tuple[int | None, ...]:
        """For each joint of the skeleton its place in the file, None for one that the file lacks."""
        return tuple(self.joints.index(joint) if joint in self.joints else None for joint in range(self.count))

    @property
    def unmatched(self) -> int:
        """How many joints of the file the skeleton lacks."""
        return self.joints.count(None)

    def to_skeleton(self, values: np.ndarray, absent: float = np.nan) -> np.ndarray:
        """Return values (F, …) of the file's joints as (K, …) of the skeleton's, ``absent`` for those it lacks."""
        values = np.asarray(values)
        if self.joints == tuple(range(self.count)):
            return values
        arranged = np.full((self.count, *values.shape[1:]), absent, np.result_type(values, type(absent)))
        for place, joint in enumerate(self.joints):
            if joint is not None:
                arranged[joint] = values[place]
        return arranged

    def to_file(self, values: np.ndarray, absent: float = 0.0) -> np.ndarray:
        """Return values (K, …) of the skeleton's joints as (F, …) of the file's: the way back."""
        values = np.asarray(values)
        rows = [np.full(values.shape[1:], absent) if joint is None else values[joint] for joint in self.joints]
        return np.array(rows, dtype=np.result_type(values, type(absent)) if None in self.joints else values.dtype)


@dataclass(frozen=True)
class PersonCategories:
    """Which annotations of a file are people's.

    Attributes:
        orders: category id -> the order of its joints. Empty where the file lists no category: all are people's.
        default: order of the joints where no category is listed.
    """

    orders: Mapping[Hashable, JointOrder]
    default: JointOrder

    @property
    def of_results(self) -> PersonCategories:
        """The same for a results list, which names no joints.

        They stand in the skeleton's order whatever the dataset's is, since networks are trained on COCO's; but where
        the dataset has only some of the skeleton's joints, or others, in the dataset's.
        """
        orders = {id_: self.default if order.complete else order for id_, order in self.orders.items()}
        return PersonCategories(orders, self.default)

    def find(self, entry: Mapping, where: str) -> tuple[Hashable, JointOrder] | None:
        """Return the category and joint order of an annotation or result; None where it is not people's.

        Raises:
            ValueError: for an entry without ``category_id`` where there are several categories of people, or one that
                is neither number nor text.
        """
        category = entry.get("category_id")
        if category is None:
            if len(self.orders) > 1:
                raise ValueError(f"Expected a category_id in {where}, got none, and several categories are people")
            return next(iter(self.orders.items()), (PERSON_CATEGORY, self.default))
        category = as_id(category, "category_id", where)
        if not self.orders:
            return category, self.default
        order = self.orders.get(category)
        return None if order is None else (category, order)


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


def person_category(skeleton: Skeleton, category_id: int = PERSON_CATEGORY, name: str = "person") -> dict:
    """Return the COCO category of people with these joints."""
    return {
        "id": category_id,
        "name": name,
        "supercategory": "person",
        "keypoints": list(skeleton.names),
        "skeleton": [[start + 1, end + 1] for start, end in skeleton.edges],  # COCO counts joints from 1
    }


def flat_triples(keypoints: np.ndarray, thirds: np.ndarray) -> list:
    """Return COCO's 3K numbers of (K, 2) positions and (K,) third numbers; ``0, 0, 0`` for joints that are NaN."""
    numbers: list = []
    for (x, y), third in zip(np.asarray(keypoints).tolist(), np.asarray(thirds).tolist(), strict=True):
        numbers += [x, y, third] if math.isfinite(x) and math.isfinite(y) else [0, 0, 0]
    return numbers


def entries_of(document: object, name: str, source: str = "", optional: bool = False) -> Sequence[Mapping]:
    """Return a list of a COCO file.

    Args:
        document: the parsed JSON.
        name: ``images``, ``annotations`` or ``categories``.
        source: the file, for messages.
        optional: an absent list is an empty one.

    Raises:
        ValueError: if it is no COCO file, or its list is none or holds something else than objects.
    """
    in_file = f" in {source}" if source else ""
    if not isinstance(document, Mapping):
        raise ValueError(f"Expected a COCO keypoint dataset{in_file}, got {described(document)}")
    entries = document.get(name)
    if entries is None and optional:
        return []
    if entries is None:
        raise ValueError(f"Expected a COCO keypoint dataset with a list of {name}{in_file}, got one without")
    if not _is_list(entries):
        raise ValueError(f"Expected a list of {name}{in_file}, got {described(entries)}")
    for place, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise ValueError(f"Expected objects as {name}{in_file}, got {described(entry)} at place {place}")
    return entries


def person_categories(
    document: Mapping, skeleton: Skeleton, source: str = "", *, named: bool = True, partial: bool = False
) -> PersonCategories:
    """Find out which annotations of a file are people's, and in which order their joints stand.

    Args:
        document: the parsed JSON.
        skeleton: the joints.
        source: the file, for messages.
        named: False for formats whose categories name other joints than the annotations have: their order is the
            skeleton's.
        partial: where no category has all of the skeleton's joints and no others, take those that share some with it,
            if they are people's by their name or have no joint that the skeleton lacks.

    Raises:
        ValueError: if categories name joints, and none of them the skeleton's; names the joints.
    """
    categories = entries_of(document, "categories", source, optional=True)
    same = JointOrder.same(skeleton)
    ids = [
        as_id(category.get("id"), "id", f"the category at place {place}{_of(source)}")
        for place, category in enumerate(categories)
    ]
    with_joints = {id_: category for id_, category in zip(ids, categories, strict=True) if category.get("keypoints")}
    if not with_joints:
        return PersonCategories(dict.fromkeys(_people_without_names(document, categories, source), same), same)
    if not named:
        return PersonCategories(dict.fromkeys(with_joints, same), same)
    orders = {}
    for id_, category in with_joints.items():
        if not isinstance(category["keypoints"], Sequence) or isinstance(category["keypoints"], str):
            raise ValueError(f"Expected a list of joint names in category {id_!r}{_of(source)}, got "
                             f"{described(category['keypoints'])}")  # fmt: skip
        orders[id_] = JointOrder.of_names(category["keypoints"], skeleton)
    fitting = {id_: order for id_, order in orders.items() if order.complete}
    if not fitting and partial:
        fitting = {id_: order for id_, order in orders.items() if _is_part(order, with_joints[id_])}
    if not fitting:
        raise ValueError(
            f"Expected the joints {', '.join(skeleton.names)}{' in ' + source if source else ''}, got "
            + "; ".join(", ".join(map(str, category["keypoints"])) for category in with_joints.values())
        )
    return PersonCategories(fitting, same)


def categories_of_results(categories: Sequence[Mapping], skeleton: Skeleton) -> list[dict]:
    """Return the categories of a dataset as its results lists have them, see :attr:`PersonCategories.of_results`.

    Args:
        categories: as :func:`person_categories` takes them.
        skeleton: the joints.
    """
    changed = []
    for category in categories:
        names = category.get("keypoints")
        own = {}
        if names and JointOrder.of_names(names, skeleton).complete:
            own = {key: person_category(skeleton)[key] for key in ("keypoints", "skeleton")}
            own = {} if JointOrder.of_names(names, skeleton) == JointOrder.same(skeleton) else own
        changed.append({**category, **own})
    return changed


def _is_part(order: JointOrder, category: Mapping) -> bool:
    """Tell whether a category that lacks joints of the skeleton, or has others, is people's all the same."""
    is_person = str(category.get("name")).strip().lower() in PERSON_NAMES
    return order.unmatched < len(order.joints) and (is_person or not order.unmatched)


def _people_without_names(document: Mapping, categories: Sequence[Mapping], source: str) -> list[Hashable]:
    """Return the categories of people of a file that names no joints: person, else those with keypoints, else all."""
    if persons := [category["id"] for category in categories if str(category.get("name")).lower() == "person"]:
        return persons
    annotations = entries_of(document, "annotations", source, optional=True)
    carrying = {str(annotation.get("category_id")) for annotation in annotations if annotation.get("keypoints")}
    ids = [category["id"] for category in categories]
    return [id_ for id_ in ids if str(id_) in carrying] or ids


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
        where = f"image {shown_id(id_)}{_of(source)}"
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
    _note_lacking(document, categories, skeleton, notes)
    rows = []
    for place, (id_, entry) in enumerate(zip(ids, entries, strict=True)):
        where = f"annotation {shown_id(id_)}{_of(source)}"
        found = categories.find(entry, where)
        if found is None:
            _note_other(entry, OTHER_ANNOTATIONS, categories, notes)
            continue
        rows.append(_row(entry, place, where, _image_of(entry, known, where), *found, keypoints, annotation_id=id_))
    points, thirds = _triples(rows, skeleton, notes)
    visibility = _visibility(thirds, rows)
    boxes = _boxes(rows)
    people = []
    for row, labels, shared in zip(rows, visibility, _shared_fields(rows, points, thirds, boxes), strict=True):
        given = area(row.entry, row.where) if area else row.entry.get("area")
        counted = None if row.numbers is None else _counted(row.entry, row.where)
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
    if not _is_list(results):
        raise ValueError(f"Expected a list of keypoint results{_of(source)}, got {described(results)}")
    categories = categories or PersonCategories({}, JointOrder.same(skeleton))
    rows = []
    for place, entry in enumerate(results):
        where = f"the result at place {place}{_of(source)}"
        if type(entry) is not dict and not isinstance(entry, Mapping):
            raise ValueError(f"Expected an object as {where}, got {described(entry)}")
        found = categories.find(entry, where)
        if found is None:
            _note_other(entry, "results of other categories", categories, Counter() if notes is None else notes)
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
        where = f"{name}{_of(source)}"
        found = categories.find(entry, where)
        if found is None:
            _note_other(entry, OTHER_ANNOTATIONS, categories, Counter() if notes is None else notes)
        else:
            rows.append(_row(entry, place, where, _image_of(entry, known, where), *found, annotation_id=id_))
    return _predictions(rows, skeleton, scored)


def _note_other(entry: Mapping, what: str, categories: PersonCategories, notes: Notes) -> None:
    """Count an entry of none of the categories of people, and one that would be of one if its id were no text."""
    note(notes, what)
    id_ = entry.get("category_id")
    alike = next((known for known in categories.orders if str(known) == str(id_)), None)
    if alike is not None:
        kinds = ["text" if isinstance(value, str) else "a number" for value in (id_, alike)]
        note(notes, f"of these with a category_id that is {kinds[0]}, while that of the category is {kinds[1]}")


def note_orders(categories: PersonCategories, skeleton: Skeleton, notes: Notes) -> None:
    """Count in ``notes`` the categories of people whose joints stand in another order than the skeleton's."""
    moved = sum(order.complete and order != categories.default for order in categories.orders.values())
    if moved:
        note(notes, f"categories with the joints of {skeleton.name} in another order, matched by name; those of a "
                    f"results list are taken to stand in that of {skeleton.name}", moved)  # fmt: skip


def _note_lacking(document: Mapping, categories: PersonCategories, skeleton: Skeleton, notes: Notes) -> None:
    """Count the joints of people's categories that the skeleton lacks."""
    for category in entries_of(document, "categories", optional=True):
        order = categories.orders.get(category["id"])
        if order is None or order.complete:
            continue
        names = zip(category.get("keypoints") or (), order.joints, strict=False)
        lacking = [str(name) for name, joint in names if joint is None]
        if lacking:
            note(notes, f"joints of category {shown_id(category['id'])} that {skeleton.name} lacks, left out: "
                        f"{', '.join(lacking)}", len(lacking))  # fmt: skip


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
    if _is_list(numbers) and not len(numbers):
        numbers = None
    if crowd and not (_is_list(numbers) and len(numbers) == 3 * len(order.joints)):
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


def thirds_are_flags(people: Sequence[CocoPerson]) -> bool:
    """Tell COCO's visibilities from confidences, by the third numbers of all results of a file."""
    return not people or bool(np.isin(np.stack([person.thirds for person in people]), FLAGS).all())


def joint_confidences(
    people: Sequence[CocoPerson], skeleton: Skeleton, notes: Notes | None = None, mixed: bool = False
) -> np.ndarray:
    """Return the confidences (N, K) in 0..1 of the joints of a file's results.

    They are ``keypoint_scores`` where all results have them; else the third numbers, unless those of the whole file are
    flags (0, 1, 2); else the persons' scores, or 1 where nobody has one. A joint that is not there has 0.

    Args:
        people: all results of the file.
        skeleton: their K joints.
        notes: confidences above 1 that were taken as 1 are counted here.
        mixed: let some have ``keypoint_scores`` and others not, as in a dataset of which people drew a part.

    Raises:
        ValueError: if some results have ``keypoint_scores`` and others not, or a confidence is below 0 or beyond
            :data:`OVERSHOOT`; names the place, and says what the numbers look like.
    """
    if not people:
        return np.zeros((0, len(skeleton)))
    having = np.array([person.keypoint_scores is not None for person in people])
    if having.any() and not having.all() and not mixed:
        lacking = people[int(having.argmin())]
        raise ValueError(f"Expected keypoint_scores in all results or in none, got them in {having.sum()} of "
                         f"{len(people)}; {lacking.where} has none")  # fmt: skip
    placed = np.isfinite(np.stack([person.keypoints[:, 0] for person in people]))
    flags = thirds_are_flags([person for person, own in zip(people, having, strict=True) if not own])
    confidences = np.zeros((len(people), len(skeleton)))
    for own, name in ((True, "keypoint_scores"), (False, "score" if flags else "third numbers of keypoints")):
        rows = np.flatnonzero(having == own)
        if not len(rows):
            continue
        chosen = [people[row] for row in rows.tolist()]
        values = np.stack([_raw_confidences(person, name) for person in chosen])
        absent = ~placed[rows] & (np.isnan(values) if own else True)
        place_of = [person.where for person in chosen].__getitem__
        confidences[rows] = unit_confidences(np.where(absent, 0.0, values), name, place_of, notes)
    return confidences


def _raw_confidences(person: CocoPerson, name: str) -> np.ndarray:
    if name == "score":
        return np.full(len(person.thirds), 1.0 if person.score is None else person.score)
    return person.thirds if person.keypoint_scores is None else person.keypoint_scores


def person_confidences(people: Sequence[CocoPerson], notes: Notes | None = None) -> np.ndarray:
    """Return the scores (N,) of persons as confidences in 0..1, where they are shown, stored or calibrated.

    Where only their ranking counts, as in average precision, any finite ``score`` serves. One that is missing is 1.

    Raises:
        ValueError: as :func:`joint_confidences`.
    """
    scores = np.array([1.0 if person.score is None else person.score for person in people])
    return unit_confidences(scores, "score", [person.where for person in people].__getitem__, notes)


def unit_confidences(
    values: np.ndarray, name: str, where: Callable[[int], str], notes: Notes | None = None
) -> np.ndarray:
    """Return confidences (N,) or (N, K) of people within 0..1: a heatmap's overshoot is taken as 1.

    Args:
        values: as they came.
        name: of the field, for messages.
        where: returns what names the person at a place, for messages.
        notes: what was taken as 1 is counted here.

    Raises:
        ValueError: for one below 0 or beyond :data:`OVERSHOOT`; says what the numbers look like.

    Example:
        >>> unit_confidences(np.array([0.5, 1.1]), "score", lambda place: f"person {place}").tolist()
        [0.5, 1.0]
    """
    if not len(values):
        return values
    rows = values.reshape(len(values), -1)
    wrong = ~((rows >= 0) & (rows <= OVERSHOOT))  # NaN too
    if wrong.any():
        row = int(wrong.any(axis=1).argmax())
        worst = rows[row][wrong[row]][0]
        hint = _hint_of_scale(rows[np.isfinite(rows)])
        raise ValueError(f"Expected confidences within 0..1 as {name} of {where(row)}, got {worst:g}{hint}")
    if notes is not None and (over := int((rows > 1).sum())):
        note(notes, "confidences above 1 (overshoot of a heatmap), taken as 1", over)
    return np.clip(values, 0.0, 1.0)


def _hint_of_scale(values: np.ndarray) -> str:
    """Say what to do with numbers that are no confidences."""
    if (values < 0).any():
        return "; logits? apply the sigmoid first"
    if values.size and OVERSHOOT < values.max() <= 100:
        return "; percent? divide by 100 first (logits: apply the sigmoid)"
    return ""


def result_areas(people: Sequence[CocoPerson]) -> np.ndarray:
    """Return the areas (N,) px² that pycocotools' ``loadRes`` gives results: those of the boxes, else of the joints.

    Boxes count where the first result has one. Without, the area is the extent of the joints; one written as 0, 0, 0
    is at 0, 0 for COCO.
    """
    if not people:
        return np.zeros(0)
    extents = extent_areas(coco_positions(people))
    if people[0].box_xywh is None:
        return extents
    boxes = [person.box_xywh for person in people]
    return np.array([area if box is None else box[2] * box[3] for box, area in zip(boxes, extents, strict=True)])


def coco_positions(people: Sequence[CocoPerson]) -> np.ndarray:
    """Return keypoints (N, K, 2) px as pycocotools takes them: those written as 0, 0, 0 at 0, 0.

    Only COCO's figures want this; for all else such a joint is not there.
    """
    points = np.stack([person.keypoints for person in people])
    for row in np.flatnonzero(np.isnan(points).any(axis=(1, 2))).tolist():
        raw = np.array(people[row].entry["keypoints"], dtype=np.float64).reshape(-1, 3)
        there = np.isfinite(raw).all(axis=1, keepdims=True)
        points[row] = people[row].order.to_skeleton(np.where(there, raw, np.nan)[:, :2])
    return points


def extent_areas(keypoints: np.ndarray) -> np.ndarray:
    """Return (P,) px² of the boxes around the placed joints of (P, K, 2) keypoints; 0 without one."""
    placed = np.isfinite(keypoints).all(axis=2, keepdims=True)
    low = np.where(placed, keypoints, np.inf).min(axis=1, initial=np.inf)
    high = np.where(placed, keypoints, -np.inf).max(axis=1, initial=-np.inf)
    return np.clip(np.where(np.isfinite(low), high - low, 0.0), 0, None).prod(axis=1)


def box_of_joints(keypoints: np.ndarray, margin: float = BOX_MARGIN) -> np.ndarray | None:
    """Return a box (4,) xywh px around (K, 2) joints for a person without one; None without a finite joint.

    Args:
        keypoints: px; NaN where a joint is not there or not labelled.
        margin: of the box's sides on each side; at least a pixel, so that it has an area; 0 for none.
    """
    if not np.isfinite(keypoints).all(axis=1).any():
        return None
    box = enclosing_box(keypoints)
    grown = np.maximum(margin * (box[2:] - box[:2]), 1.0) if margin else np.zeros(2)
    return xyxy_to_xywh(np.concatenate([box[:2] - grown, box[2:] + grown]))


def box_of_person(person: CocoAnnotation, notes: Notes) -> tuple[np.ndarray, bool] | None:
    """Return the box (4,) xywh px of an annotated person, and whether it is the annotation's own.

    Without one, or where it has no area, it is made around the labelled joints, as COCO's figures ask for no box of a
    person who has some. None, counted in ``notes``, for one to ignore that nothing tells the place of.
    """
    box = person.box_xywh
    if box is not None and (box[2:] > 0).all():
        return box, True
    made = box_of_joints(np.where(person.labelled[:, None], person.keypoints, np.nan))
    if made is not None:
        note(notes, "boxes missing or without an area, made around the joints")
        return made, False
    if box is None:
        note(notes, "of these without a box, left out")
        return None
    note(notes, "boxes without an area")
    return box, True


def area_of_person(person: CocoAnnotation, notes: Notes) -> float:
    """Return the area of an annotated person, px²; one of 0 is counted in ``notes``.

    Raises:
        ValueError: if there is none.
    """
    if person.area is None:
        raise ValueError(f"Expected an area of 0 px² or more in {person.where}, got none")
    if not (person.area or person.ignored):
        note(notes, "persons with an area of 0, whom only an exact pose matches")
    return person.area


def count_ignored(people: Sequence[CocoAnnotation], notes: Notes) -> None:
    """Count in ``notes`` why people are ignored."""
    for person in people:
        if person.annotation_id == 0 and not person.ignored:
            note(notes, "persons whose annotation has the id 0, found like others; pycocotools takes them for missed")
        if person.crowd:
            note(notes, "crowds")
        elif not person.labelled.any():
            counted = "" if person.ignored else ", to be found all the same by their num_keypoints, as COCO does"
            note(notes, f"persons without a labelled joint{counted}")
        elif person.ignored:
            note(notes, "persons ignored since num_keypoints is 0, though joints are labelled")


def note(notes: Notes, what: str, count: int = 1) -> None:
    """Count something that was left out or guessed."""
    notes[what] = notes.get(what, 0) + count


def told(notes: Mapping[str, int]) -> str:
    """Say in one line what was counted: ``3 crowds; 1 boxes without an area``; empty for nothing."""
    return "; ".join(f"{count} {what}" for what, count in notes.items() if count)


def unique_ids(entries: Sequence[Mapping], name: str, source: str = "") -> list[Hashable]:
    """Return the ids of images or annotations.

    Raises:
        ValueError: if one is missing, neither a whole number nor text, or there more than once.
    """
    singular = name.removesuffix("s")
    ids = [
        as_id(entry.get("id"), "id", f"the {singular} at place {place}{_of(source)}")
        for place, entry in enumerate(entries)
    ]
    if len(set(ids)) < len(ids):
        twice = next(id_ for id_, count in Counter(ids).items() if count > 1)
        raise ValueError(f"Expected {name}{_of(source)} with different ids, got {shown_id(twice)} more than once")
    return ids


def as_id(value: object, name: str, where: str) -> Hashable:
    """Return an id: a whole number or text.

    Raises:
        ValueError: otherwise; names the entry.
    """
    if type(value) in (int, str) or isinstance(value, str | np.integer):  # bool is none of these
        return value
    raise ValueError(f"Expected {_an(name)} that is a whole number or text in {where}, got {described(value)}")


def check_image_id(image_id: Hashable, known: Collection[Hashable], where: str) -> Hashable:
    """Return the id of an entry's image if it is one of those that are known.

    Raises:
        ValueError: otherwise; names the entry, and says where ids are of another kind.
    """
    if image_id in known:
        return image_id
    raise ValueError(f"Expected image {shown_id(image_id)} of {where}, got no such image{kind_hint(image_id, known)}")


def kind_hint(image_id: Hashable, known: Collection[Hashable]) -> str:
    """Say where the ids of images are of another kind than one that is not among them; empty where they are not."""
    kinds = {isinstance(id_, str) for id_ in known}
    kind = "text" if kinds == {True} else "numbers"
    return f"; ids of images are {kind} there" if len(kinds) == 1 and isinstance(image_id, str) not in kinds else ""


def as_flag(value: object, name: str, where: str) -> bool:
    """Return a yes or no: 0, 1, false, true, ``"0"``, ``"1"``, null for no.

    Raises:
        ValueError: otherwise; names the entry.
    """
    if value is None or value is False:
        return False
    if isinstance(value, str):
        if value in ("0", "1"):
            return value == "1"
    elif isinstance(value, int | float | np.bool_) and value in (0, 1):
        return bool(value)
    raise ValueError(f"Expected 0 or 1 as {name} in {where}, got {described(value)}")


def as_size(value: object, name: str, where: str) -> int:
    """Return a photo's height or width: a whole number of pixels, at least 1; 640.0 is 640.

    Raises:
        ValueError: otherwise; names the entry.
    """
    number = None if isinstance(value, str) else _number(value)
    if number is not None and math.isfinite(number) and number >= 1 and number == int(number):
        return int(number)
    raise ValueError(f"Expected a whole number of pixels above 0 as {name} in {where}, got {described(value)}")


def as_number(value: object, name: str, where: str) -> float:
    """Return a finite number, also one written as text.

    Raises:
        ValueError: otherwise; names the entry.
    """
    number = _number(value)
    if number is None or not math.isfinite(number):
        raise ValueError(f"Expected a finite number as {name} in {where}, got {described(value)}")
    return number


def as_area(value: object, where: str, optional: bool = False) -> float | None:
    """Return an area, px².

    Raises:
        ValueError: if it is no number, or below 0; or none, unless ``optional``.
    """
    if value is None and optional:
        return None
    number = _number(value)
    if number is None or not (math.isfinite(number) and number >= 0):
        raise ValueError(f"Expected an area of 0 px² or more in {where}, got {described(value)}")
    return number


def as_box(value: object, where: str) -> np.ndarray | None:
    """Return a box (4,) left, top, width, height, px; None for null and an empty list.

    Raises:
        ValueError: if it is not four finite numbers.
    """
    if value is None or (isinstance(value, Sequence) and not len(value)):
        return None
    box = as_numbers(value, 4, "numbers of bbox (left, top, width, height)", where)
    if np.isnan(box).any():
        raise ValueError(f"Expected 4 finite numbers of bbox in {where}, got one that is null or NaN")
    return box


def as_numbers(values: object, count: int, what: str, where: str) -> np.ndarray:
    """Return ``count`` numbers as an array, NaN for null.

    Args:
        values: of the file.
        count: how many.
        what: ``numbers of bbox`` or the like, for messages.
        where: names the entry.

    Raises:
        ValueError: if there are more or fewer, one is no number, or infinite.
    """
    if not isinstance(values, Sequence | np.ndarray) or isinstance(values, str):
        raise ValueError(f"Expected {count} {what} in {where}, got {described(values)}")
    if len(values) != count:
        raise ValueError(f"Expected {count} {what} in {where}, got {len(values)}")
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        array = None
    if array is None or array.ndim != 1:
        wrong = next(value for value in values if value is not None and _number(value) is None)
        raise ValueError(f"Expected {count} {what} in {where}, got {described(wrong)} among them")
    if np.isinf(array).any():
        raise ValueError(f"Expected {count} finite {what} in {where}, got infinity")
    return array


def _number(value: object) -> float | None:
    """Return a number, also one written as text; None for anything else."""
    if type(value) is float:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str | np.number):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):  # of a whole number with hundreds of digits
        return None


def _image_of(entry: Mapping, known: Collection[Hashable], where: str) -> Hashable:
    return check_image_id(as_id(entry.get("image_id"), "image_id", where), known, where)


def _counted(entry: Mapping, where: str) -> int | None:
    """Return ``num_keypoints``; None without it."""
    value = entry.get("num_keypoints")
    if value is None:
        return None
    number = _number(value)
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


def _stacked(values: Sequence[Any], count: int, what: str, where: Sequence[str]) -> np.ndarray:
    """Return :func:`as_numbers` of N entries as (N, count), at once where nothing is wrong."""
    if all(isinstance(value, list) and len(value) == count for value in values):
        try:
            array = np.array(values, dtype=np.float64).reshape(len(values), -1)
        except (TypeError, ValueError, OverflowError):
            array = np.full((len(values), count), np.inf)
        if array.shape == (len(values), count) and not np.isinf(array).any():
            return array
    rows = [as_numbers(value, count, what, place) for value, place in zip(values, where, strict=True)]
    return np.reshape(rows, (len(rows), count))


def _boxes(rows: Sequence[_Row]) -> list[np.ndarray | None]:
    """Return the (4,) box of each row; None for one without."""
    given = [row.entry.get("bbox") for row in rows]
    if all(isinstance(box, list) and len(box) == 4 for box in given):
        boxes = _stacked(given, 4, "numbers of bbox (left, top, width, height)", [row.where for row in rows])
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
        triples = _stacked([row.numbers for row in chosen], 3 * joints, what, where).reshape(-1, joints, 3)
        there = np.isfinite(triples[..., :2]).all(axis=2)
        if notes is not None and (lost := int((~there & (triples[..., 2] > 0)).sum())):
            note(notes, "labelled joints whose position is null or NaN, taken as not there", lost)
        if (untold := (there & np.isnan(triples[..., 2])).any(axis=1)).any():
            raise ValueError("Expected a third number with each position of keypoints in "
                             f"{where[int(untold.argmax())]}, got null or NaN")  # fmt: skip
        there &= triples.any(axis=2)
        for place, joint in enumerate(order.joints):
            if joint is not None:
                points[numbers, joint] = np.where(there[:, place, None], triples[:, place, :2], np.nan)
                thirds[numbers, joint] = np.where(there[:, place], triples[:, place, 2], 0.0)
    return points, thirds


def _visibility(thirds: np.ndarray, rows: Sequence[_Row]) -> np.ndarray:
    """Return (N, K) int of third numbers that are COCO's flags."""
    wrong = ~np.isin(thirds, FLAGS)
    if wrong.any():
        row = int(wrong.any(axis=1).argmax())
        raise ValueError(f"Expected visibility of 0, 1 or 2 in {rows[row].where}, got {thirds[row][wrong[row]][0]:g}")
    return thirds.astype(int)


def _is_list(value: object) -> bool:
    return type(value) is list or (isinstance(value, Sequence) and not isinstance(value, str))


def _of(source: str) -> str:
    return f" of {source}" if source else ""


def shown_id(id_: Hashable) -> str:
    """Return an id as messages have it: text in quotes, which tells ``'1'`` from 1."""
    return repr(id_) if isinstance(id_, str) else str(id_)


def _an(name: str) -> str:
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"
