"""Who would be lost when a field that has people is written anew: that is done only for somebody who asks for it.

A network writes its own people again, and a file those that were read from a file. Whom somebody corrected, accepted or
rejected, and who is from elsewhere (labels under a prediction, predictions under labels) is not replaced unasked.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from clickpose_fiftyone.checks import people
from clickpose_fiftyone.field_names import (
    ACCEPTED,
    COCO_EXTRA,
    CORRECTED,
    REFINED,
    REJECTED,
    SCORE_RAW,
    TAGS,
    boxes_field_of,
    people_path,
)
from clickpose_fiftyone.fiftyone_internals import raw_columns

_TOUCHED = [ACCEPTED, REJECTED, REFINED, CORRECTED]


class Writer(Enum):
    """Who writes people into a field, and what is said of those whom it did not write."""

    NETWORK = "no network predicted"
    FILE = "no file brought"


class Lost(NamedTuple):
    """How many people would be lost: those whom somebody touched, and others whom another writer wrote."""

    touched: int
    foreign: int


def count_lost(samples, field: str, writer: Writer) -> Lost:
    """Return how many people of a field would be lost if a writer replaced them.

    Where there is no such field, but one of boxes that has the name of its boxes, those would be.

    Args:
        samples: a dataset or view of the photos that are written.
        field: Keypoints field.
        writer: who writes.
    """
    if samples.get_field(people_path(field)) is None:
        boxes = f"{boxes_field_of(field)}.detections"
        return Lost(0, 0 if samples.get_field(boxes) is None else samples.count(boxes))
    touched = {"$ne": [{"$setIntersection": [{"$ifNull": [f"$$person.{TAGS}", []]}, _TOUCHED]}, []]}
    columns = {
        "touched": _count(field, touched),
        "foreign": _count(field, {"$and": [{"$not": [touched]}, {"$not": [_written_by(writer)]}]}),
    }
    return Lost(*(sum(counts) for counts in raw_columns(samples, columns).values()))


def count_touched(samples, field: str) -> int:
    """Return how many people of a field somebody accepted, rejected or corrected; 0 where there is no such field."""
    return count_lost(samples, field, Writer.NETWORK).touched


def require_replaceable(samples, field: str, writer: Writer, replace: bool) -> None:
    """Refuse to replace people who would be lost.

    Args:
        samples, field, writer: as for :func:`count_lost`.
        replace: somebody asked for it.

    Raises:
        ValueError: if there are such people and they are not to be replaced.
    """
    if replace:
        return
    touched, foreign = count_lost(samples, field, writer)
    if touched:
        raise ValueError(
            f'Expected a field without corrected or accepted people, got {people(touched)} in "{field}" '
            "whose corrections would be lost; write to another field, or choose to replace corrected people"
        )
    if foreign:
        raise ValueError(
            f'Expected a field without people of another source, got {people(foreign)} in "{field}" whom '
            f"{writer.value} and who would be lost; write to another field, or choose to replace them"
        )


def replacing(lost: Lost, field: str, writer: Writer) -> str:
    """Return what a form says of people who would be lost; empty for nobody."""
    parts = [f"{people(lost.touched)} whom somebody corrected or accepted"] * bool(lost.touched)
    parts += [f"{people(lost.foreign)} whom {writer.value}"] * bool(lost.foreign)
    return f"Replace {' and '.join(parts)} in “{field}”: they are lost then" if parts else ""


def _count(field: str, condition: dict) -> dict:
    """Return the database's expression of how many people of a photo meet a condition."""
    everybody = {"$ifNull": [f"${people_path(field)}", []]}
    return {"$size": {"$filter": {"input": everybody, "as": "person", "cond": condition}}}


def _written_by(writer: Writer) -> dict:
    scored, read = ({"$ne": [{"$ifNull": [f"$$person.{name}", None]}, None]} for name in (SCORE_RAW, COCO_EXTRA))
    return read if writer is Writer.FILE else {"$and": [scored, {"$not": [read]}]}
