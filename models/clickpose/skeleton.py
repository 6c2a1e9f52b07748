"""Skeletons as data: joint names, bones, mirror pairs and OKS sigmas, each stated once."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}


def normalize_joint_name(name: str) -> str:
    """Bring a joint name to ``side_joint`` form: ``"LWrist"``, ``"wrist left"`` -> ``"left_wrist"``.

    Args:
        name: any spelling, with camel case, spaces, dots, hyphens or a side written before or after the joint.

    Returns:
        Lower-case words joined by underscores, the side (``left`` or ``right``) first.
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    words = [word for word in re.split(r"[^A-Za-z0-9]+", spaced.lower()) if word]
    sides = [_SIDES[word] for word in words if word in _SIDES]
    joint = [word for word in words if word not in _SIDES]
    return "_".join(sides[:1] + joint)


@dataclass(frozen=True)
class Skeleton:
    """The joints of a body and what the metrics and the drawing need to know of them.

    Attributes:
        name: short name, such as ``"coco"``.
        names: K joint names.
        edges: bones as 0-based joint index pairs.
        flip_pairs: 0-based (left, right) index pairs that a mirrored image exchanges.
        sigmas: K per-joint standard deviations of OKS (COCO convention: the nose is 0.026).
        parts: joint indices by body part.
        aliases: other spellings of joint names (normalised) -> joint name.

    Example:
        >>> len(COCO), COCO.names[9], COCO.sigmas[0]
        (17, 'left_wrist', 0.026)
        >>> COCO.subset([5, 7, 9], "left arm").names
        ('left_shoulder', 'left_elbow', 'left_wrist')
    """

    name: str
    names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    flip_pairs: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]
    parts: dict[str, tuple[int, ...]] = field(default_factory=dict, hash=False)
    aliases: dict[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        count, where = len(self.names), f"for skeleton {self.name!r}"
        if len(set(self.names)) != count:
            raise ValueError(f"Expected joints with different names {where}, got {', '.join(self.names)}")
        if len(self.sigmas) != count:
            raise ValueError(f"Expected {count} sigmas {where}, got {len(self.sigmas)}")
        if wrong := [sigma for sigma in self.sigmas if not 0 < sigma < math.inf]:
            raise ValueError(f"Expected sigmas above 0 {where}, got {wrong[0]}")
        for joints in (*self.edges, *self.flip_pairs, *self.parts.values()):
            if not all(0 <= joint < count for joint in joints):
                raise ValueError(f"Expected joint indices in 0..{count - 1} {where}, got {joints}")
        if unknown := set(self.aliases.values()) - set(self.names):
            raise ValueError(f"Expected aliases of joints {where}, got one of {min(unknown)!r}")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def sigma_array(self) -> np.ndarray:
        """Sigmas as an array of shape (K,), read-only."""
        return _read_only(np.array(self.sigmas, dtype=np.float64))

    @cached_property
    def flip_indices(self) -> np.ndarray:
        """Index array (K,), read-only: ``keypoints[flip_indices]`` exchanges left and right."""
        order = np.arange(len(self))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return _read_only(order)

    @cached_property
    def _index_by_name(self) -> dict[str, int]:
        index = {normalize_joint_name(name): i for i, name in enumerate(self.names)}
        index.update({normalize_joint_name(alias): self.names.index(name) for alias, name in self.aliases.items()})
        return index

    def index(self, name: str) -> int:
        """Return the index of a joint by its exact name.

        Raises:
            ValueError: if the skeleton has no such joint.
        """
        if name not in self.names:
            raise ValueError(f"Expected a joint of skeleton {self.name!r} ({', '.join(self.names)}), got {name!r}")
        return self.names.index(name)

    def match(self, label: str) -> int | None:
        """Return the index of the joint that ``label`` names in any usual spelling, or None."""
        return self._index_by_name.get(normalize_joint_name(label))

    def subset(self, joints: Sequence[int], name: str) -> Skeleton:
        """Return a skeleton of some joints, in the given order, with what edges, pairs and parts remain among them.

        Raises:
            ValueError: for a joint that is not there, or one that is given twice.
        """
        if not set(joints) <= set(range(len(self))):
            raise ValueError(f"Expected joint indices in 0..{len(self) - 1}, got {list(joints)}")
        place = {joint: i for i, joint in enumerate(joints)}

        def kept(pairs: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
            return tuple((place[a], place[b]) for a, b in pairs if a in place and b in place)

        names = tuple(self.names[joint] for joint in joints)
        parts = {part: tuple(place[joint] for joint in whole if joint in place) for part, whole in self.parts.items()}
        return Skeleton(
            name, names, kept(self.edges), kept(self.flip_pairs), tuple(self.sigmas[joint] for joint in joints),
            {part: left for part, left in parts.items() if left},
            {alias: joint for alias, joint in self.aliases.items() if joint in names},
        )  # fmt: skip

    def neighbours(self, joint: int) -> tuple[int, ...]:
        """Return the joints that share an edge with ``joint``, in the order of the edges."""
        return tuple(a if b == joint else b for a, b in self.edges if joint in (a, b))


def _read_only(array: np.ndarray) -> np.ndarray:
    """Lock an array that every user of a skeleton shares."""
    array.setflags(write=False)
    return array


# fmt: off
COCO = Skeleton(
    name="coco",
    names=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
        "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
        "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    edges=(
        (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8),
        (7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
    ),
    flip_pairs=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    sigmas=(
        0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062,
        0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
    ),
    parts={
        "face": (0, 1, 2, 3, 4),
        "arms": (5, 6, 7, 8, 9, 10),
        "legs": (11, 12, 13, 14, 15, 16),
    },
)
# fmt: on
