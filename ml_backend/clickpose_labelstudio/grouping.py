"""Which keypoint region belongs to which person, and which joint it is.

Our own regions say so in their ids. Regions drawn by hand have random ids: their ``parentID`` tells the person, else
the box that they lie in; their label tells the joint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from clickpose.boxes import enclosing_box
from clickpose.skeleton import Skeleton
from clickpose_labelstudio.labeling_config import LabelingConfig
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


def group_keypoints(
    persons: Sequence[Person], keypoints: Sequence[Keypoint], config: LabelingConfig
) -> tuple[list[Person], list[dict]]:
    """Give every keypoint to its person.

    Args:
        persons: those with a rectangle; their joints are filled in.
        keypoints: all keypoint regions.

    Returns:
        the persons, those without a rectangle last, and the keypoint items that belong to nobody or double a joint.
    """
    by_token = {person_token(person.id): person for person in persons}
    claimed: dict[str, list[Keypoint]] = {}
    orphans = []
    for keypoint in keypoints:
        token = _claimed_person(keypoint.item, by_token)
        if token is None:
            orphans.append(keypoint)
        else:
            claimed.setdefault(token, []).append(keypoint)
    unassigned = []
    for token, members in claimed.items():
        person = by_token.setdefault(token, Person(f"cp-{token}"))
        unassigned += _fill_joints(person, members, config)
    everyone = list(by_token.values())
    unassigned += _place_orphans(everyone, orphans, config)
    return everyone, unassigned


def nearest_person(
    persons: Sequence[Person], point: np.ndarray, joint: int, skeleton: Skeleton, reach: float
) -> Person | None:
    """Return the person whom a keypoint at ``point`` (px) most likely belongs to, or None if all are out of reach.

    Of those in reach, the one whose box and neighbouring joints are nearest, in units of the person's size.
    """
    costs = [(cost, i) for i, p in enumerate(persons) if (cost := _cost(p, point, joint, skeleton, reach)) is not None]
    return persons[min(costs)[1]] if costs else None


def _claimed_person(item: Mapping, by_token: Mapping[str, Person]) -> str | None:
    """Return the token of the person that the item itself names: by parent, else by its id."""
    parent = item.get("parentID")
    parent_token = person_token(parent) if isinstance(parent, str) and parent else None
    if parent_token in by_token:
        return parent_token
    own = split_keypoint_id(item["id"])
    return own[0] if own else parent_token


def _fill_joints(person: Person, members: Sequence[Keypoint], config: LabelingConfig) -> list[dict]:
    """Put keypoints in their places in a person; return the items that found none."""
    unassigned = []
    joints = _joints_of(members, config)
    for keypoint, joint in sorted(zip(members, joints, strict=True), key=lambda pair: not pair[0].touched):
        if joint is None or joint in person.joints:
            unassigned.append(keypoint.item)
        else:
            person.joints[joint] = keypoint
    return unassigned


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


def _place_orphans(persons: list[Person], orphans: Sequence[Keypoint], config: LabelingConfig) -> list[dict]:
    """Give keypoints that name no person to the person they lie on; return the items that found none.

    Where there is no person at all and no joint twice, the keypoints are one person (appended to ``persons``).
    """
    labelled = [(keypoint, _joint_in_label(keypoint.item, config)) for keypoint in orphans]
    if not persons and labelled:
        joints = [joint for _, joint in labelled if joint is not None]
        if joints and len(set(joints)) == len(joints):
            persons.append(Person(new_person_id(*sorted(keypoint.item["id"] for keypoint in orphans))))
            return _fill_joints(persons[-1], orphans, config)
    wishes = []
    for index, (keypoint, joint) in enumerate(labelled):
        for person in persons if joint is not None else ():
            cost = _cost(person, keypoint.point, joint, config.skeleton, KEYPOINT_REACH)
            if cost is not None:
                wishes.append((cost, index, person))
    placed = set()
    for _, index, person in sorted(wishes, key=lambda wish: wish[:2]):
        keypoint, joint = labelled[index]
        if index not in placed and joint not in person.joints:
            person.joints[joint] = keypoint
            placed.add(index)
    return [keypoint.item for index, (keypoint, _) in enumerate(labelled) if index not in placed]


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
