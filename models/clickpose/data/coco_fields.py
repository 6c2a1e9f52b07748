"""The fields of COCO's form as checked values: lists, ids, flags, sizes, numbers, areas, boxes.

Each is read in one way wherever it stands, and refused with a sentence that names the entry and the field, and the file
where ``source`` says it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from clickpose.checks import described


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
    if not is_list(entries):
        raise ValueError(f"Expected a list of {name}{in_file}, got {described(entries)}")
    for place, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise ValueError(f"Expected objects as {name}{in_file}, got {described(entry)} at place {place}")
    return entries


def unique_ids(entries: Sequence[Mapping], name: str, source: str = "") -> list[Hashable]:
    """Return the ids of images or annotations.

    Raises:
        ValueError: if one is missing, neither a whole number nor text, or there more than once.
    """
    singular = name.removesuffix("s")
    ids = [
        as_id(entry.get("id"), "id", f"the {singular} at place {place}{of_source(source)}")
        for place, entry in enumerate(entries)
    ]
    if len(set(ids)) < len(ids):
        twice = next(id_ for id_, count in Counter(ids).items() if count > 1)
        raise ValueError(f"Expected {name}{of_source(source)} with different ids, got {shown_id(twice)} more than once")
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
    number = None if isinstance(value, str) else number_of(value)
    if number is not None and math.isfinite(number) and number >= 1 and number == int(number):
        return int(number)
    raise ValueError(f"Expected a whole number of pixels above 0 as {name} in {where}, got {described(value)}")


def as_number(value: object, name: str, where: str) -> float:
    """Return a finite number, also one written as text.

    Raises:
        ValueError: otherwise; names the entry.
    """
    number = number_of(value)
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
    number = number_of(value)
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
        wrong = next(value for value in values if value is not None and number_of(value) is None)
        raise ValueError(f"Expected {count} {what} in {where}, got {described(wrong)} among them")
    if np.isinf(array).any():
        raise ValueError(f"Expected {count} finite {what} in {where}, got infinity")
    return array


def as_number_rows(values: Sequence[Any], count: int, what: str, where: Sequence[str]) -> np.ndarray:
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


def number_of(value: object) -> float | None:
    """Return a number, also one written as text; None for anything else."""
    if type(value) is float:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str | np.number):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):  # of a whole number with hundreds of digits
        return None


def is_list(value: object) -> bool:
    """Tell a list from text and all else."""
    return type(value) is list or (isinstance(value, Sequence) and not isinstance(value, str))


def of_source(source: str) -> str:
    """Return ``" of gt.json"`` for messages; empty where no file is known."""
    return f" of {source}" if source else ""


def shown_id(id_: Hashable) -> str:
    """Return an id as messages have it: text in quotes, which tells ``'1'`` from 1."""
    return repr(id_) if isinstance(id_, str) else str(id_)


def _an(name: str) -> str:
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"
