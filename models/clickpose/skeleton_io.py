"""Skeleton files: the skeletons that ship with the package, and a user's own in the same form.

A skeleton file is YAML::

    name: golf
    joints:              # in the order of the data, each with its OKS sigma
      left_wrist:        # a joint of COCO may leave its sigma out
      right_wrist:
      club_head: 0.08
    edges: [[left_wrist, right_wrist], [right_wrist, club_head]]
    flip_pairs: []       # besides left_x and right_x, which are paired by their names
    parts: {hands: [left_wrist, right_wrist]}   # may be left out
    aliases: {club: club_head}                  # other spelling: joint; may be left out
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clickpose.checks import described
from clickpose.skeleton import COCO, Skeleton, normalize_joint_name
from clickpose.text_file import read_text

_FOLDER = Path(__file__).with_name("skeletons")
_REQUIRED, _OPTIONAL = ("name", "joints", "edges"), ("flip_pairs", "parts", "aliases")


def load_skeleton(source: str | Path) -> Skeleton:
    """Load a skeleton by its name in :data:`SKELETONS`, or from a YAML file.

    Raises:
        FileNotFoundError: if it is neither.
        ValueError: if the file is not a skeleton; names the file and what is wrong.
    """
    if str(source) in SKELETONS:
        return SKELETONS[str(source)]
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a skeleton file or one of {', '.join(SKELETONS)}, got {source}")
    return _read(path)


def skeleton_from_dict(document: Mapping) -> Skeleton:
    """Build a skeleton from the content of a skeleton file.

    Raises:
        ValueError: says what is wrong.
    """
    if not isinstance(document, Mapping):
        raise ValueError(f"Expected a mapping with {', '.join(_REQUIRED)}, got {described(document)}")
    if missing := [key for key in _REQUIRED if document.get(key) is None]:
        raise ValueError(f"Expected the entries {', '.join(_REQUIRED)}, got none for {', '.join(missing)}")
    if unknown := [str(key) for key in document if key not in (*_REQUIRED, *_OPTIONAL)]:
        raise ValueError(f"Expected the entries {', '.join((*_REQUIRED, *_OPTIONAL))}, got {', '.join(unknown)}")
    joints = document["joints"]
    if not isinstance(joints, Mapping) or not joints:
        raise ValueError(f"Expected joints as a mapping of joint to sigma, got {described(joints)}")
    for entry in ("parts", "aliases"):
        if not isinstance(document.get(entry) or {}, Mapping):
            raise ValueError(f"Expected {entry} as a mapping, got {described(document[entry])}")
    names = tuple(str(name) for name in joints)
    flip_pairs = _sided_pairs(names) + _pairs("flip_pairs", document, names)
    _check_names(names, flip_pairs)
    aliases = {str(alias): str(joint) for alias, joint in (document.get("aliases") or {}).items()}
    for joint in aliases.values():
        _index("aliases", joint, names)
    return Skeleton(
        str(document["name"]), names, _pairs("edges", document, names), flip_pairs,
        tuple(_sigma(str(name), sigma) for name, sigma in joints.items()), _parts(document, names), aliases,
    )  # fmt: skip


def skeleton_to_dict(skeleton: Skeleton) -> dict:
    """Return the content of a skeleton file: the inverse of :func:`skeleton_from_dict`."""
    names, sided = skeleton.names, _sided_pairs(skeleton.names)
    flips = [pair for pair in skeleton.flip_pairs if pair not in sided]
    return {
        "name": skeleton.name,
        "joints": dict(zip(names, skeleton.sigmas, strict=True)),
        "edges": [[names[a], names[b]] for a, b in skeleton.edges],
        "flip_pairs": [[names[a], names[b]] for a, b in flips],
        "parts": {part: [names[i] for i in joints] for part, joints in skeleton.parts.items()},
        "aliases": dict(skeleton.aliases),
    }


def skeleton_to_json(skeleton: Skeleton) -> str:
    """Write a skeleton as one line of text, for the header of a weights file."""
    return json.dumps(skeleton_to_dict(skeleton))


def _read(path: Path) -> Skeleton:
    import yaml

    try:
        return skeleton_from_dict(yaml.load(read_text(path), Loader=_strict_loader()))
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"Cannot read the skeleton {path}: {error}") from None


def _strict_loader() -> type:
    """Return YAML's safe loader, made to refuse a key given twice (it would keep the last without a word)."""
    import yaml

    class StrictLoader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            if twice := {str(key) for key in keys if keys.count(key) > 1}:
                raise ValueError(f"Expected each entry once, got {', '.join(sorted(twice))} twice")
            return super().construct_mapping(node, deep)

    return StrictLoader


def _sigma(name: str, value: Any) -> float:
    if value is None:
        joint = COCO.match(name)
        if joint is None:
            raise ValueError(f"Expected a sigma for {name!r}, got none; only joints of COCO may leave theirs out")
        return COCO.sigmas[joint]
    try:
        sigma = float(value)
    except (TypeError, ValueError, OverflowError):  # of hundreds of digits
        sigma = math.nan
    if not (math.isfinite(sigma) and sigma > 0):
        raise ValueError(f"Expected a sigma above 0 for {name!r}, got {value!r}")
    return sigma


def _index(entry: str, name: object, names: tuple[str, ...]) -> int:
    if str(name) not in names:
        raise ValueError(f"Expected {entry} to name joints ({', '.join(names)}), got {name!r}")
    return names.index(str(name))


def _pairs(entry: str, document: Mapping, names: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    pairs = document.get(entry) or []
    if not isinstance(pairs, (list, tuple)):
        raise ValueError(f"Expected {entry} as a list of pairs of joints, got {described(pairs)}")
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or pair[0] == pair[1]:
            raise ValueError(f"Expected {entry} as pairs of two different joints, got {pair!r}")
    return tuple((_index(entry, a, names), _index(entry, b, names)) for a, b in pairs)


def _parts(document: Mapping, names: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    parts = document.get("parts") or {}
    for part, joints in parts.items():
        if not isinstance(joints, (list, tuple)):
            raise ValueError(f"Expected parts.{part} as a list of joints, got {described(joints)}")
    return {str(part): tuple(_index(f"parts.{part}", joint, names) for joint in parts[part]) for part in parts}


def _sided_pairs(names: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Pair ``left_x`` with ``right_x``."""
    normalized = [normalize_joint_name(name) for name in names]
    mirrored = [name.replace("left_", "right_", 1) if name.startswith("left_") else None for name in normalized]
    return tuple((i, normalized.index(other)) for i, other in enumerate(mirrored) if other in normalized)


def _check_names(names: tuple[str, ...], flip_pairs: tuple[tuple[int, int], ...]) -> None:
    """Refuse joints that read alike, and a joint with two mirror joints."""
    normalized = [normalize_joint_name(name) for name in names]
    if twice := [name for name, plain in zip(names, normalized, strict=True) if normalized.count(plain) > 1]:
        raise ValueError(f"Expected joints with different names, got {', '.join(twice)}")
    flipped = [joint for pair in flip_pairs for joint in pair]
    if twice := sorted({names[joint] for joint in flipped if flipped.count(joint) > 1}):
        raise ValueError(f"Expected one mirror joint each, got several for {', '.join(twice)}")


class _Library(Mapping):
    """The shipped skeletons by name; a file is read when its skeleton is first asked for."""

    def __init__(self) -> None:
        self._loaded = {COCO.name: COCO}

    def __getitem__(self, name: str) -> Skeleton:
        if name not in self._loaded:
            if name not in list(self):
                raise KeyError(name)
            self._loaded[name] = _read(_FOLDER / f"{name}.yaml")
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter((COCO.name, *sorted(path.stem for path in _FOLDER.glob("*.yaml"))))

    def __len__(self) -> int:
        return len(list(iter(self)))


SKELETONS: Mapping[str, Skeleton] = _Library()
"""The shipped skeletons by name; OCHuman and the 17 joints of Human-Art are ``"coco"``."""
