"""The whole plan of a training as plain values, so that a working folder is only ever gone on with by its own plan.

Everything that a plan holds counts: settings of any depth, the content of weights and annotation files, the labels of
data that were read already. What may differ is named by the plan itself, such as how many processes load data. Photos
count by where they lie, not by what they show; the number of processes and the device are not part of a plan.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path

from clickpose.data.records import PoseDataset, labels_digest
from clickpose.training.processes import rank_and_world

PLAN_FILE = "plan.json"
_VERSION = 2  # of the file; the first one held a part of the plan and no version
_SHOWN = 5  # differences that a message names


def describe_plan(plan: object, may_differ: Collection[str] = ()) -> dict[str, object]:
    """Return every setting of a plan by its dotted name, ``"decoder.learning_rate"``, as JSON holds it.

    Args:
        plan: a dataclass, of dataclasses, sequences, paths, data sets and plain values.
        may_differ: dotted names to leave out.

    Raises:
        ValueError: for a name to leave out that the plan does not have: it would hide nothing.
        TypeError: for a value that cannot be written down.
    """
    described = {name.removeprefix("."): value for name, value in _walk("", plan)}
    if unknown := set(may_differ) - set(described):
        raise ValueError(f"Expected settings of {type(plan).__name__}, got {', '.join(sorted(unknown))}")
    return {name: value for name, value in described.items() if name not in may_differ}


def keep_plan(folder: Path, described: Mapping[str, object]) -> None:
    """Write down what a working folder is for, or refuse to go on from another plan's.

    Args:
        folder: the working folder; made if it is not there.
        described: of :func:`describe_plan`.

    Raises:
        ValueError: names what differs, or says that the folder is of a version that did not write all of it down.
    """
    path, wanted = folder / PLAN_FILE, json.loads(json.dumps(dict(described)))
    before = read_plan(folder)
    if before is not None:
        _check_same(folder, before, wanted)
    elif rank_and_world()[0] == 0:
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")  # another process may be reading: never show it half a file
        partial.write_text(json.dumps({"version": _VERSION, "plan": wanted}, indent=1), encoding="utf-8")
        partial.replace(path)


def read_plan(folder: Path) -> dict[str, object] | None:
    """Return the plan that a working folder is for; None where no training has begun.

    Raises:
        ValueError: if it is damaged, or of another version.
    """
    path = folder / PLAN_FILE
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"Expected the plan of a training in {path}, got a damaged file; name another working folder")
    if found.get("version") != _VERSION:
        raise ValueError(
            f"Expected {folder} to hold a training of this version, got one begun with another (0.1.0 wrote down "
            "only a part of its plan, so nobody can tell whether this is the same one): finish it with that version, "
            "or name another working folder"
        )
    return found["plan"]


def _check_same(folder: Path, before: Mapping, now: Mapping) -> None:
    names = [name for name in {**now, **before} if (name in before, before.get(name)) != (name in now, now.get(name))]
    if not names:
        return
    told = "; ".join(f"{name} is {_said(now, name)} and was {_said(before, name)}" for name in names[:_SHOWN])
    more = f"; and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    raise ValueError(
        f"Expected {folder} to go on with the plan that it was begun with, got another: {told}{more}. Name another "
        "working folder"
    )


def _said(plan: Mapping, name: str) -> str:
    return json.dumps(plan[name]) if name in plan else "not set"


def _walk(name: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield (dotted name, plain value) of all that a value holds."""
    if isinstance(value, PoseDataset):
        yield f"{name}.name", value.name
        yield f"{name}.labels", _labels_mark(value)
        yield from _walk(f"{name}.skeleton", value.skeleton)
    elif is_dataclass(value):
        if name:
            yield name, type(value).__name__  # two kinds may have the same fields
        for part in fields(value):
            yield from _walk(f"{name}.{part.name}", getattr(value, part.name))
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        for part in value._fields:
            yield from _walk(f"{name}.{part}", getattr(value, part))
    elif isinstance(value, (list, tuple)) and not _is_plain(value):
        yield name, len(value)
        for number, item in enumerate(value):
            yield from _walk(f"{name}.{number}", item)
    elif isinstance(value, Path):
        yield name, _path_mark(value)
    elif _is_plain(value):
        yield name, value
    else:
        raise TypeError(f"Expected a plain value for {name.removeprefix('.')} of a plan, got {type(value).__name__}")


def _is_plain(value: object) -> bool:
    """Tell whether JSON holds a value as it is, tuples as lists."""
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return value is None or isinstance(value, (bool, int, float, str))


def _path_mark(path: Path) -> str:
    """Name a file by its content, a folder by its place and the content of its annotations."""
    if path.is_file():
        return f"{path.name} ({_content(path)})"
    annotations = path / "annotations.json"
    return f"{path.resolve()} ({_content(annotations)})" if annotations.is_file() else str(path.resolve())


def _content(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:12]


def _labels_mark(data: PoseDataset) -> str:
    digest = labels_digest([*data.persons, *data.ignored])
    images = hashlib.sha256(
        "\0".join(f"{i.image_id!r}\0{i.path.resolve()}\0{tuple(i.image_hw)}" for i in data.images).encode()
    )
    mark = hashlib.sha256(f"{digest}\0{images.hexdigest()}".encode()).hexdigest()[:12]
    return f"{len(data.persons)} persons in {len(data.images)} images ({mark})"
