"""Which keypoint region belongs to which person, and which joint it is.

Our own regions say so in their ids. Of regions drawn by hand, which have random ids, the region tree and relations tell
the person (:mod:`.owners`), else the box that they lie in; their label tells the joint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from clickpose.boxes import enclosing_box
from clickpose.skeleton import Skeleton
from clickpose_labelstudio.labeling_config import LabelingConfig
from clickpose_labelstudio.owners import NOBODY, stated_owners
from clickpose_labelstudio.region_items import is_human_made, labels_of, new_person_id, person_token, split_keypoint_id

KEYPOINT_REACH = 0.25  # how far outside a box a keypoint without a parent may lie, as a share of the longer box side
CLICK_REACH = 1.0  # the same for a click, which corrects a person who may have been boxed badly


@dataclass(eq=False)
class Keypoint:
    """A keypoint item on its way to a person."""

    item: dict
    point: np.ndarray  # (2,) px
    touched: bool


@dataclass(eq=False)
class Person:
    """The regions of one person.

    Attributes:
        id: region id of the rectangle; ``cp-<person>`` where there is none.
        box_item: the rectangle, or None.
        box_xyxy: (4,) px; NaN where there is no rectangle.
        joints: joint index -> its keypoint.
    """

    id: str
    box_item: dict | None = None
    box_xyxy: np.ndarray = field(default_factory=lambda: np.full(4, np.nan))
    joints: dict[int, Keypoint] = field(default_factory=dict)

    def extent(self) -> np.ndarray | None:
        """Return the person's (4,) px box, else the one around the keypoints; None where there is neither."""
        if np.isfinite(self.box_xyxy).all():
            return self.box_xyxy
        return enclosing_box(np.stack([k.point for k in self.joints.values()])) if self.joints else None


class Leftover(NamedTuple):
    """A region that belongs to nobody, and why."""

    item: dict
    reason: str


# Why a region belongs to nobody; said behind a number.
TWICE = "a joint that the person has already"
UNLABELLED = "without a label"
NO_JOINT = "of a label that is no joint"
OF_SOMETHING_ELSE = "of another label's region"
OF_NO_PERSON = "near no person"
UNTOLD = "with no box, parent or relation that tells whose"
SAME_BOX_TWICE = "a box of the same id"


def group_keypoints(
    persons: Sequence[Person],
    keypoints: Sequence[Keypoint],
    config: LabelingConfig,
    items: Sequence[Mapping] = (),
    other_boxes: np.ndarray | None = None,
) -> tuple[list[Person], list[Leftover]]:
    """Give every keypoint to its person.

    Args:
        persons: those with a rectangle; their joints are filled in.
        keypoints: all keypoint regions.
        config: the labelling configuration.
        items: all items of the result: relations and other regions tell more about whose a keypoint is.
        other_boxes: (B, 4) px, the boxes of other labels; what lies in them and in no person's box is nobody's.

    Returns:
        the persons, those without a rectangle last, and the keypoints that belong to nobody or double a joint.
    """
    by_token = {person_token(person.id): person for person in persons}
    owners = stated_owners([keypoint.item for keypoint in keypoints], by_token, items, config)
    claimed: dict[str, list[Keypoint]] = {}
    for keypoint, token in zip(keypoints, owners.tokens, strict=True):
        if token is not None:
            claimed.setdefault(token, []).append(keypoint)
    left_over = [Leftover(keypoint.item, OF_SOMETHING_ELSE) for keypoint in claimed.pop(NOBODY, [])]
    for token, members in claimed.items():
        person = by_token.setdefault(token, Person(f"cp-{token}"))
        left_over += _fill_joints(person, members, config)
    everyone = list(by_token.values())
    orphans = [keypoint for keypoint, token in zip(keypoints, owners.tokens, strict=True) if token is None]
    groups = [[keypoints[index] for index in group] for group in owners.together]
    others = np.zeros((0, 4)) if other_boxes is None else other_boxes
    left_over += _place_orphans(everyone, orphans, groups, config, others)
    return everyone, left_over


def nearest_person(
    persons: Sequence[Person], point: np.ndarray, joint: int, skeleton: Skeleton, reach: float
) -> Person | None:
    """Return the person whom a keypoint at ``point`` (px) most likely belongs to, or None if all are out of reach.

    Of those in reach, the one whose box and neighbouring joints are nearest, in units of the person's size.
    """
    costs = [(cost, i) for i, p in enumerate(persons) if (cost := _cost(p, point, joint, skeleton, reach)) is not None]
    return persons[min(costs)[1]] if costs else None


def _fill_joints(person: Person, members: Sequence[Keypoint], config: LabelingConfig) -> list[Leftover]:
    """Put keypoints in their places in a person; return those that found none."""
    left_over = []
    joints = _joints_of(members, config)
    for keypoint, joint in sorted(zip(members, joints, strict=True), key=lambda pair: not pair[0].touched):
        if joint is None or joint in person.joints:
            left_over.append(Leftover(keypoint.item, _why_no_joint(keypoint.item) if joint is None else TWICE))
        else:
            person.joints[joint] = keypoint
    return left_over


def _why_no_joint(item: Mapping) -> str:
    return NO_JOINT if labels_of(item, "keypointlabels") else UNLABELLED


def _joints_of(members: Sequence[Keypoint], config: LabelingConfig) -> list[int | None]:
    """Return the joint of each keypoint of one person: from the label, or from our ids where labels went wrong.

    Label Studio writes the selected label on every region of a suggestion that is accepted while a keypoint is
    selected. So labels that occur twice among our own regions are not believed. Labels that contradict our ids but are
    all different were exchanged by a human, and stand.
    """
    by_id = [_joint_in_id(keypoint.item["id"], config.skeleton) for keypoint in members]
    by_label = [_joint_in_label(keypoint.item, config) for keypoint in members]
    own_labels = Counter(label for label, own in zip(by_label, by_id, strict=True) if own is not None)
    trusted = None not in own_labels and all(count == 1 for count in own_labels.values())
    return [label if own is None or trusted else own for label, own in zip(by_label, by_id, strict=True)]


def _joint_in_id(region_id: str, skeleton: Skeleton) -> int | None:
    own = split_keypoint_id(region_id)
    return skeleton.index(own[1]) if own and own[1] in skeleton.names else None


def _joint_in_label(item: Mapping, config: LabelingConfig) -> int | None:
    joints = (config.joint_by_label.get(label) for label in labels_of(item, "keypointlabels"))
    return next((joint for joint in joints if joint is not None), None)


def _place_orphans(
    persons: list[Person],
    orphans: Sequence[Keypoint],
    groups: Sequence[Sequence[Keypoint]],
    config: LabelingConfig,
    other_boxes: np.ndarray,
) -> list[Leftover]:
    """Give keypoints that name no person to the person they lie on; return those that found none.

    Where there is no person at all and no joint twice, the keypoints are one person (appended to ``persons``). The
    ``groups`` among them that are one person each stay together: they go to a person who has none of their joints and
    in whose reach all of them lie, else they are a person without a rectangle.
    """
    if not persons:
        outside = [keypoint for keypoint in orphans if not _is_inside(other_boxes, keypoint.point)]
        joints = [joint for keypoint in outside if (joint := _joint_in_label(keypoint.item, config)) is not None]
        if joints and len(set(joints)) == len(joints):
            persons.append(_new_person(outside))
            inside = (keypoint for keypoint in orphans if not any(keypoint is other for other in outside))
            left_over = _fill_joints(persons[-1], outside, config)
            return left_over + [Leftover(keypoint.item, OF_SOMETHING_ELSE) for keypoint in inside]
    left_over, boxed = [], list(persons)
    for group in groups:
        person = _person_of_group(boxed, group, config)
        if person is None:
            person = _new_person(group)
            persons.append(person)
        left_over += _fill_joints(person, group, config)
    grouped = {id(keypoint) for group in groups for keypoint in group}
    alone = [keypoint for keypoint in orphans if id(keypoint) not in grouped]
    return left_over + _place_alone(persons, alone, config, other_boxes)


def _new_person(keypoints: Sequence[Keypoint]) -> Person:
    return Person(new_person_id(*sorted(keypoint.item["id"] for keypoint in keypoints)))


def _person_of_group(persons: Sequence[Person], group: Sequence[Keypoint], config: LabelingConfig) -> Person | None:
    """Return the person whom keypoints that are one person fit best, or None."""
    joints = {joint for keypoint in group if (joint := _joint_in_label(keypoint.item, config)) is not None}
    costs = []
    for index, person in enumerate(persons if joints else ()):
        each = [_cost(person, k.point, next(iter(joints)), config.skeleton, KEYPOINT_REACH) for k in group]
        known = [cost for cost in each if cost is not None]
        if len(known) == len(each) and not joints & person.joints.keys():
            costs.append((sum(known), index))
    return persons[min(costs)[1]] if costs else None


def _place_alone(
    persons: Sequence[Person], orphans: Sequence[Keypoint], config: LabelingConfig, other_boxes: np.ndarray
) -> list[Leftover]:
    """Give keypoints to the person they lie on, one by one, the best fit first; return those that found none.

    What lies in the box of another label comes last within a person's box, and outside it is not the person's.
    """
    wishes: list[tuple[bool, float, int, int, Person]] = []
    joints = [_joint_in_label(keypoint.item, config) for keypoint in orphans]
    elsewhere = [_is_inside(other_boxes, keypoint.point) for keypoint in orphans]
    for index, (keypoint, joint) in enumerate(zip(orphans, joints, strict=True)):
        if joint is None:
            continue
        for person in persons:
            cost = _cost(person, keypoint.point, joint, config.skeleton, KEYPOINT_REACH)
            if cost is None or (box := person.extent()) is None:
                continue
            if not elsewhere[index] or _is_inside(box[None], keypoint.point):
                wishes.append((elsewhere[index], cost, index, joint, person))
    placed, wished = set(), {index for _, _, index, *_ in wishes}
    for _, _, index, joint, person in sorted(wishes, key=lambda wish: wish[:3]):
        if index not in placed and joint not in person.joints:
            person.joints[joint] = orphans[index]
            placed.add(index)
    left_over = []
    for index, keypoint in enumerate(orphans):
        if index not in placed:
            near = TWICE if index in wished else OF_NO_PERSON if persons else UNTOLD
            why = OF_SOMETHING_ELSE if elsewhere[index] else near
            left_over.append(
                Leftover(keypoint.item, why if joints[index] is not None else _why_no_joint(keypoint.item))
            )
    return left_over


def _is_inside(boxes_xyxy: np.ndarray, point: np.ndarray) -> bool:
    """Tell whether a (2,) point lies in one of (B, 4) boxes."""
    return bool(((boxes_xyxy[:, :2] <= point) & (point <= boxes_xyxy[:, 2:])).all(axis=1).any())


def _cost(person: Person, point: np.ndarray, joint: int, skeleton: Skeleton, reach: float) -> float | None:
    """Return how ill a joint at ``point`` fits a person: distance outside the box plus distance to its neighbours.

    In units of the longer box side; None further than ``reach`` outside the box. The sum lets a wrist go to the arm it
    belongs to even where that arm's box is wrong and a neighbour's box holds the wrist.
    """
    box = person.extent()
    if box is None:
        return None
    size = max(float((box[2:] - box[:2]).max()), 1.0)
    outside = float(np.linalg.norm(np.maximum(np.maximum(box[:2] - point, point - box[2:]), 0))) / size
    if outside > reach:
        return None
    neighbours = {joint, *(end for edge in skeleton.edges if joint in edge for end in edge)}
    known = [person.joints[j].point for j in neighbours if j in person.joints] or [(box[:2] + box[2:]) / 2]
    return outside + min(float(np.linalg.norm(point - other)) for other in known) / size


def touched_by_human(item: Mapping, touched_ids: frozenset[str]) -> bool:
    """Tell whether a human placed, moved or confirmed a region; ``touched_ids`` are ids known to be so."""
    return is_human_made(item) or item["id"] in touched_ids
