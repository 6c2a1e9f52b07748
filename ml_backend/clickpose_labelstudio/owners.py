"""Whose a keypoint is by what the file says: its parent in the region tree, our own ids, relations.

What is said counts before what lies near. In order:

1. the parent, through other keypoints up to the first box or shape;
2. our own id, where the person whom it names has a box;
3. relations, in either direction: with a person's box, or with keypoints that have an owner;
4. our own id or a parent that is gone: it keeps people without a box together;
5. relations among keypoints alone tell that they are one person, but not who.

A keypoint of a shape that is labelled as a person, or not labelled, is that person's; one of a region of another label,
such as a dog's box, is nobody's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from clickpose_labelstudio.labeling_config import LabelingConfig
from clickpose_labelstudio.region_items import person_token, split_keypoint_id

NOBODY = ""  # the owner of a keypoint that the file gives to something that is no person


class Owners(NamedTuple):
    """Whose keypoints are by what the file says.

    Attributes:
        tokens: one a keypoint: the token of a person (maybe of one without a rectangle), :data:`NOBODY`, or None where
            the file does not say.
        together: lists of indices of keypoints without a token that are one person.
    """

    tokens: list[str | None]
    together: list[list[int]]


def stated_owners(
    keypoints: Sequence[Mapping], tokens: Collection[str], items: Sequence[Mapping], config: LabelingConfig
) -> Owners:
    """Read whose each keypoint is by what the file says.

    Args:
        keypoints: the keypoint items.
        tokens: person tokens of the rectangles of persons.
        items: all items of the result, each with an id; relations and other regions among them.
        config: the labelling configuration.
    """
    tree = _Tree(keypoints, tokens, items, config)
    owners = [_first(tree.by_parent(item), tree.by_id(item)) for item in keypoints]
    known = {item["id"]: owner for item, owner in zip(keypoints, owners, strict=True) if owner is not None}
    known |= tree.by_relation([item["id"] for item in keypoints if item["id"] not in known], known)
    owners = [
        _first(owner, known.get(item["id"]), tree.by_what_is_gone(item))
        for item, owner in zip(keypoints, owners, strict=True)
    ]
    loose: dict[str, list[int]] = {}
    for index, owner in enumerate(owners):
        if owner is None:
            loose.setdefault(keypoints[index]["id"], []).append(index)
    groups = (group for group in tree.groups(list(loose)) if len(group) > 1)
    return Owners(owners, [[index for region_id in group for index in loose[region_id]] for group in groups])


class _Tree:
    """The regions of a result, and what ties them."""

    def __init__(
        self, keypoints: Sequence[Mapping], tokens: Collection[str], items: Sequence[Mapping], config: LabelingConfig
    ):
        self._tokens = tokens
        self._parents = {item["id"]: _text(item.get("parentID")) for item in keypoints}
        self._others: dict[str, set[str]] = {}
        for item in items:
            if item["id"] not in self._parents and person_token(item["id"]) not in tokens and _is_region(item):
                self._others.setdefault(item["id"], set()).update(_labels(item))
        self._person_label = config.person_label
        self._ties: dict[str, list[str]] = {}
        for item in items:
            if item.get("type") == "relation":
                self._tie(_text(item.get("from_id")), _text(item.get("to_id")))
        for child, parent in self._parents.items():
            if parent in self._parents:
                self._tie(child, parent)

    def _tie(self, one: str | None, other: str | None) -> None:
        if one and other:
            self._ties.setdefault(one, []).append(other)
            self._ties.setdefault(other, []).append(one)

    def by_parent(self, item: Mapping) -> str | None:
        """Return the owner that the region tree names."""
        parent, seen = _text(item.get("parentID")), {item["id"]}
        while parent in self._parents and parent not in seen:
            seen.add(parent)
            parent = self._parents[parent]
        return self._owner_of_region(parent) if parent else None

    def _owner_of_region(self, region_id: str) -> str | None:
        """Return the owner of what is tied to a box or another shape; None where that is no such region."""
        token = person_token(region_id)
        if token in self._tokens:
            return token
        labels = self._others.get(region_id)
        if labels is None:
            return None
        return token if self._person_label in labels or not labels else NOBODY

    def by_id(self, item: Mapping) -> str | None:
        """Return the person whom our own id names, if that person has a box."""
        own = split_keypoint_id(item["id"])
        return own[0] if own and own[0] in self._tokens else None

    def by_relation(self, loose: Sequence[str], known: Mapping[str, str]) -> dict[str, str]:
        """Return the owners of the ``loose`` keypoints (ids) that relations tell, given those that are ``known``."""
        owners = ((region_id, _only_one(self._owners_beside(region_id, known))) for region_id in loose)
        found = {region_id: owner for region_id, owner in owners if owner is not None}
        known = {**known, **found}  # a tie of its own counts before what it is tied to by others
        for group in self.groups([region_id for region_id in loose if region_id not in found]):
            owner = _only_one(_people({owner for member in group for owner in self._owners_beside(member, known)}))
            if owner is not None:
                found |= dict.fromkeys(group, owner)
        return found

    def _owners_beside(self, region_id: str, known: Mapping[str, str]) -> set[str]:
        """Return the owners of whatever a keypoint is tied to."""
        owners = (_first(self._owner_of_region(other), known.get(other)) for other in self._ties.get(region_id, ()))
        return _people({owner for owner in owners if owner is not None})

    def groups(self, region_ids: Sequence[str]) -> list[list[str]]:
        """Return the keypoints that are tied to one another, directly or through others of them."""
        left, groups = dict.fromkeys(region_ids), []
        while left:
            group = [left.popitem()[0]]
            for region_id in group:  # grows while it is gone through
                tied = [other for other in self._ties.get(region_id, ()) if other in left]
                for other in dict.fromkeys(tied):
                    del left[other]
                    group.append(other)
            groups.append(group)
        return groups

    def by_what_is_gone(self, item: Mapping) -> str | None:
        """Return the person without a rectangle whom our own id, or a parent that is not there, names."""
        own = split_keypoint_id(item["id"])
        if own:
            return own[0]
        parent = _text(item.get("parentID"))
        return person_token(parent) if parent and parent not in self._parents else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _is_region(item: Mapping) -> bool:
    return item.get("type") != "relation" and isinstance(item.get("value"), Mapping)


def _labels(item: Mapping) -> list[str]:
    """Return the labels of a region of any shape: ``polygonlabels``, ``ellipselabels``, ``labels`` hold lists."""
    lists = (value for key, value in item["value"].items() if str(key).endswith("labels") and isinstance(value, list))
    return [label for labels in lists for label in labels if isinstance(label, str)]


def _first(*owners: str | None) -> str | None:
    return next((owner for owner in owners if owner is not None), None)


def _people(owners: set[str]) -> set[str]:
    """Return the persons of some owners; where there are none, what is left: nobody, or nothing."""
    return owners - {NOBODY} or owners


def _only_one(owners: Collection[str]) -> str | None:
    return next(iter(owners)) if len(owners) == 1 else None
