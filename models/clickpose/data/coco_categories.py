"""Categories of COCO files: whose annotations are people's, and in which order their joints stand.

People are the annotations of categories that name the skeleton's joints, in any order and usual spelling; where no
category of a file names joints, those that carry keypoints. Annotations of other categories are left out and counted.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clickpose.checks import described
from clickpose.data.coco_fields import as_id, entries_of, of_source, shown_id
from clickpose.data.notes import Notes, note
from clickpose.skeleton import Skeleton

PERSON_CATEGORY = 1  # COCO's id of people
PERSON_NAMES = frozenset({"person", "people", "human", "body", "pedestrian", "man", "woman", "instance"})


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


def person_category(skeleton: Skeleton, category_id: int = PERSON_CATEGORY, name: str = "person") -> dict:
    """Return the COCO category of people with these joints."""
    return joint_category(category_id, name, skeleton.names, skeleton.edges)


def joint_category(category_id: Hashable, name: str, joints: Sequence[str], edges: Sequence[tuple[int, int]]) -> dict:
    """Return the COCO category of things with joints; ``edges`` are 0-based."""
    return {
        "id": category_id,
        "name": name,
        "supercategory": "person",
        "keypoints": list(joints),
        "skeleton": [[start + 1, end + 1] for start, end in edges],  # COCO counts joints from 1
    }


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
        as_id(category.get("id"), "id", f"the category at place {place}{of_source(source)}")
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
            raise ValueError(f"Expected a list of joint names in category {id_!r}{of_source(source)}, got "
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


def note_orders(categories: PersonCategories, skeleton: Skeleton, notes: Notes) -> None:
    """Count in ``notes`` the categories of people whose joints stand in another order than the skeleton's."""
    moved = sum(order.complete and order != categories.default for order in categories.orders.values())
    if moved:
        note(notes, f"categories with the joints of {skeleton.name} in another order, matched by name; those of a "
                    f"results list are taken to stand in that of {skeleton.name}", moved)  # fmt: skip


def note_other(entry: Mapping, what: str, categories: PersonCategories, notes: Notes) -> None:
    """Count an entry of none of the categories of people, and one that would be of one if its id were no text."""
    note(notes, what)
    id_ = entry.get("category_id")
    alike = next((known for known in categories.orders if str(known) == str(id_)), None)
    if alike is not None:
        kinds = ["text" if isinstance(value, str) else "a number" for value in (id_, alike)]
        note(notes, f"of these with a category_id that is {kinds[0]}, while that of the category is {kinds[1]}")


def note_lacking(document: Mapping, categories: PersonCategories, skeleton: Skeleton, notes: Notes) -> None:
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
