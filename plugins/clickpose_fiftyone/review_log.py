"""Who did what in the review of a dataset: each action once, by name and time, in a collection of its own.

Actions are written whole and at once, so that two processes lose none of each other's. They end with their dataset.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from getpass import getuser

from bson import ObjectId

from clickpose_fiftyone.checks import people
from clickpose_fiftyone.field_names import ACCEPTED, AUTO_ACCEPTED, REJECTED, SENT
from clickpose_fiftyone.fiftyone_internals import ID, dataset_id, known_dataset_ids, own_collection

DELETED, REOPENED = "deleted", "opened"  # actions, but no tags
WORDS = {  # what people are told
    ACCEPTED: ACCEPTED,  # the tag is the word
    AUTO_ACCEPTED: f"{ACCEPTED} unseen",
    REJECTED: "rejected",
    SENT: "sent to Label Studio",
    DELETED: "deleted",
    REOPENED: "opened again",
}
_ACTIONS = "review_actions"
_LISTED = 30


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something that a reviewer did to people of a field.

    Attributes:
        id: of the action.
        what: a key of :data:`WORDS`.
        by, at: who, and when (UTC).
        field: Keypoints field.
        label_ids: to whom.
        replaced: label id -> (tag, by, at) of those who were settled otherwise before.
        undone_by: who took it back; None while it stands.
    """

    id: str
    what: str
    by: str
    at: datetime
    field: str
    label_ids: tuple[str, ...]
    replaced: Mapping[str, Sequence]
    undone_by: str | None

    def __str__(self) -> str:
        text = f"{WORDS[self.what]} {people(len(self.label_ids))}, {self.by}, {clock(self.at)}"
        return text if self.undone_by is None else f"{text} (undone by {self.undone_by})"


def default_reviewer() -> str:
    """Return the name of who runs this process: a reviewer who gives none."""
    try:
        return getuser()
    except (KeyError, OSError):  # a container without a user of that number
        return "somebody"


def now() -> datetime:
    """Return the time as the database keeps it: UTC, whole milliseconds."""
    moment = datetime.now(timezone.utc)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def utc(moment: datetime) -> datetime:
    """Return a time that the database gave with its zone."""
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment


def clock(moment: datetime) -> str:
    """Return a time as people tell it, where this process runs: of today the hour, else also the day."""
    local = utc(moment).astimezone()
    return local.strftime("%H:%M" if local.date() == datetime.now(local.tzinfo).date() else "%Y-%m-%d %H:%M")


def record(
    samples, field: str, what: str, label_ids: Sequence[str], *, by: str, at: datetime,
    replaced: Mapping[str, Sequence] | None = None,
) -> Action:  # fmt: skip
    """Keep an action; returns it."""
    _begin()
    actions = own_collection(_ACTIONS)
    action = {
        ID: ObjectId(), "dataset": dataset_id(samples), "field": field, "what": what, "by": by, "at": at,
        "label_ids": list(label_ids), "replaced": dict(replaced or {}), "undone_by": None,
    }  # fmt: skip
    actions.insert_one(action)
    return _read(action)


def actions_of(samples, count: int = _LISTED, by: str | None = None, standing: bool = False) -> list[Action]:
    """Return the last actions in a dataset, newest first.

    Args:
        samples: the dataset or a view.
        count: how many at most.
        by: only those of one reviewer.
        standing: only those that nobody took back.
    """
    wanted = {"dataset": dataset_id(samples)} | ({} if by is None else {"by": by})
    wanted |= {"undone_by": None} if standing else {}
    return [_read(action) for action in own_collection(_ACTIONS).find(wanted).sort([("at", -1), (ID, -1)]).limit(count)]


def find_action(samples, action_id: str) -> Action:
    """Return an action.

    Raises:
        ValueError: if there is none, or it was taken back.
    """
    known = ObjectId(action_id) if ObjectId.is_valid(action_id) else None
    found = own_collection(_ACTIONS).find_one({ID: known, "dataset": dataset_id(samples)})
    if found is None:
        raise ValueError("That action is not known any more; reload the panel")
    if found["undone_by"] is not None:
        raise ValueError(f"{found['undone_by']} has taken that back already")
    return _read(found)


def note_undone(action: Action, by: str) -> None:
    """Note who took an action back."""
    own_collection(_ACTIONS).update_one({ID: ObjectId(action.id)}, {"$set": {"undone_by": by}})


@functools.cache
def _begin() -> None:
    """Once in each process, forget what is nobody's any more; the database is asked by dataset and time."""
    forget_deleted_datasets()
    own_collection(_ACTIONS).create_index([("dataset", 1), ("at", -1)])


def forget_deleted_datasets() -> None:
    """Forget what was kept for datasets that are not there any more."""
    for name in (_ACTIONS, "deleted_people", "review_filters"):
        own_collection(name).delete_many({"dataset": {"$nin": known_dataset_ids()}})


def _read(action: Mapping) -> Action:
    names = ("what", "by", "field", "replaced", "undone_by")
    return Action(
        id=str(action[ID]), at=utc(action["at"]), label_ids=tuple(action["label_ids"]),
        **{name: action[name] for name in names},
    )  # fmt: skip
