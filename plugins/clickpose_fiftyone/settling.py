"""Settle people, each by somebody at a time: accept, reject, send, let through unseen; and take that back.

A person is changed only if nobody settled it meanwhile, and an action that is taken back opens those people alone who
are still as it left them: reviewers who share a queue do not undo each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import fiftyone as fo

from clickpose_fiftyone.checks import people, require_keypoints
from clickpose_fiftyone.declaring import declare
from clickpose_fiftyone.derived import refresh_derived
from clickpose_fiftyone.field_names import (
    ACCEPTED,
    AUTO_ACCEPTED,
    REJECTED,
    SENT,
    SETTLED_AT,
    SETTLED_BY,
    TAGS,
    people_path,
    person_path,
)
from clickpose_fiftyone.fiftyone_internals import root_dataset_of, write_operations
from clickpose_fiftyone.person_updates import (
    FoundPerson,
    by_photo,
    find_people,
    tell_loaded_tags,
    update_people,
    with_lists_of_tags,
)
from clickpose_fiftyone.review_log import REOPENED, WORDS, Action, clock, default_reviewer, now, record, utc

SETTLED = (ACCEPTED, REJECTED, SENT, AUTO_ACCEPTED)  # tags: each takes its person out of the queue
_VERDICTS = (ACCEPTED, REJECTED)  # of which a person has one
_STANDS = {  # what a tag is not given beside
    ACCEPTED: _VERDICTS,
    REJECTED: _VERDICTS,
    SENT: (SENT, REJECTED),
    AUTO_ACCEPTED: (*_VERDICTS, SENT, AUTO_ACCEPTED),
}
_DECLARED = {SETTLED_BY: (fo.StringField, None), SETTLED_AT: (fo.DateTimeField, None)}


@dataclass(frozen=True)
class Settled:
    """What an action did.

    Attributes:
        action: as it was kept; None where nobody was changed.
        others: label id -> the person as somebody else had settled it before; they stay so.
        gone: how many are not in the dataset any more.
    """

    action: Action | None
    others: Mapping[str, FoundPerson]
    gone: int = 0

    @property
    def count(self) -> int:
        """How many people were settled."""
        return 0 if self.action is None else len(self.action.label_ids)

    def __str__(self) -> str:
        done = f"{WORDS[self.action.what].capitalize()} {people(self.count)}." if self.action else "Nobody was changed."
        first = next((person for person in self.others.values() if person.settled_by), None)
        by = f" ({first.settled_by}, {clock(first.settled_at)})" if first else ""
        stay = f" {people(len(self.others))} had been settled already{by}." if self.others else ""
        gone = f" {people(self.gone)} of them are not there any more." if self.gone else ""
        return f"{done}{stay}{gone}"


def settle(
    samples, field: str, label_ids: Iterable[str], tag: str, by: str | None = None, *,
    sample_ids: Collection | None = None, over: bool = False,
) -> Settled:  # fmt: skip
    """Settle people that nobody has settled yet.

    Args:
        samples: a dataset or view.
        field: Keypoints field.
        label_ids: whom.
        tag: one of :data:`SETTLED`.
        by: who does it; by default who runs this process.
        sample_ids: their photos, if they are known: spares a search through the dataset.
        over: also those who were accepted or rejected before; what they were comes back with the action.

    Raises:
        ValueError: if the field cannot serve.
    """
    require_keypoints(samples, field)
    dataset, by, at, wanted = root_dataset_of(samples), by or default_reviewer(), now(), list(dict.fromkeys(label_ids))
    declare_settled(dataset, field)
    found = find_people(dataset, field, wanted, sample_ids)
    stands, removed = _STANDS[tag], tuple(name for name in (*_VERDICTS, AUTO_ACCEPTED) if name != tag) if over else ()
    blocking = (tag,) if over else stands
    free = {label_id: person for label_id, person in found.items() if not set(blocking) & set(person.tags or ())}
    photos = by_photo(found, free)
    operations = with_lists_of_tags(dataset, field, free)
    if over:
        operations += update_people(dataset, field, photos, {"$pull": {TAGS: {"$in": list(removed)}}})
    stamp = {SETTLED_BY: by, SETTLED_AT: at}
    update = {"$addToSet": {TAGS: tag}, "$set": stamp}
    operations += update_people(dataset, field, photos, update, **{TAGS: {"$nin": list(blocking)}})
    write_operations(dataset, operations, ordered=True)
    after = find_people(dataset, field, free, list(photos))
    changed = {i: found[i] for i, person in after.items() if _stamped(person, by, at)}
    tell_loaded_tags(dataset, field, {i: (person, tag, removed) for i, person in changed.items()}, **stamp)
    action = None
    if changed:
        replaced = _replaced(changed, tag) if over else {}
        action = record(dataset, field, tag, list(changed), by=by, at=at, replaced=replaced)
    if tag == REJECTED or over:
        _refresh(dataset, field, changed)
    others = {i: after.get(i, person) for i, person in found.items() if i not in changed}
    return Settled(action, others, len(wanted) - len(found))


def reopen(
    samples, field: str, label_ids: Iterable[str], by: str | None = None, *, sample_ids: Collection | None = None
) -> Settled:
    """Have people wait again whom somebody settled; the arguments are those of :func:`settle`."""
    require_keypoints(samples, field)
    dataset, by, at, wanted = root_dataset_of(samples), by or default_reviewer(), now(), list(dict.fromkeys(label_ids))
    declare_settled(dataset, field)
    found = find_people(dataset, field, wanted, sample_ids)
    closed = {label_id: person for label_id, person in found.items() if set(SETTLED) & set(person.tags or ())}
    stamp = {SETTLED_BY: by, SETTLED_AT: at}
    update = {"$pull": {TAGS: {"$in": list(SETTLED)}}, "$set": stamp}
    write_operations(dataset, update_people(dataset, field, by_photo(found, closed), update), ordered=True)
    tell_loaded_tags(dataset, field, {i: (person, None, SETTLED) for i, person in closed.items()}, **stamp)
    action = None
    if closed:
        action = record(dataset, field, REOPENED, list(closed), by=by, at=at, replaced=_replaced(closed, REOPENED))
    _refresh(dataset, field, {i: person for i, person in closed.items() if REJECTED in person.tags})
    return Settled(action, {}, len(wanted) - len(found))


def take_back(samples, action: Action) -> int:
    """Open the people of an action again who are still as it left them; returns how many.

    Args:
        samples: the dataset or a view.
        action: of :func:`settle` or :func:`reopen`.
    """
    dataset, field = root_dataset_of(samples), action.field
    found = find_people(dataset, field, action.label_ids)
    own = {i: person for i, person in found.items() if _stamped(person, action.by, action.at)}
    still = {SETTLED_BY: action.by, SETTLED_AT: action.at}
    photos = by_photo(found, own)
    operations = update_people(dataset, field, photos, {"$pull": {TAGS: action.what}}, **still)
    operations += _put_back(dataset, field, found, own, action, still)
    operations += update_people(dataset, field, photos, {"$set": {SETTLED_BY: None, SETTLED_AT: None}}, **still)
    write_operations(dataset, operations, ordered=True)
    for label_id, person in own.items():
        tag, by, at = action.replaced.get(label_id, (None, None, None))
        told = {label_id: (person, tag, (action.what,))}
        tell_loaded_tags(dataset, field, told, **{SETTLED_BY: by, SETTLED_AT: at})
    if action.what == REJECTED or action.replaced:
        _refresh(dataset, field, own)
    return len(own)


def _put_back(dataset, field: str, found, own, action: Action, still: Mapping) -> list:
    """Return the updates that give people what they were before an action that went over it."""
    operations = []
    for label_id, (tag, by, at) in action.replaced.items():
        if label_id in own:
            update = {"$addToSet": {TAGS: tag}, "$set": {SETTLED_BY: by, SETTLED_AT: at}}
            operations += update_people(dataset, field, by_photo(found, [label_id]), update, **still)
    return operations


def _replaced(changed: Mapping[str, FoundPerson], tag: str) -> dict[str, tuple]:
    """Return label id -> (tag, by, at) of those who were settled before."""
    before = {i: next((name for name in SETTLED if name in (p.tags or ()) and name != tag), None)
              for i, p in changed.items()}  # fmt: skip
    return {i: (name, changed[i].settled_by, changed[i].settled_at) for i, name in before.items() if name is not None}


def _stamped(person: FoundPerson, by: str, at) -> bool:
    return person.settled_by == by and person.settled_at is not None and utc(person.settled_at) == at


def _refresh(dataset, field: str, changed: Mapping[str, FoundPerson]) -> None:
    if changed:
        refresh_derived(dataset.select(list({str(person.sample_id) for person in changed.values()})), field)


def declare_settled(dataset, field: str) -> None:
    """Have who settled a person, and when, in the schema, so that the app shows it and filters by it."""
    if any(dataset.get_field(person_path(field, name)) is None for name in _DECLARED):
        declare(dataset, {f"{people_path(field)}.{name}": kind for name, kind in _DECLARED.items()})
