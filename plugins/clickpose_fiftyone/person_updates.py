"""One person of a photo, read and changed where the database keeps it: at once, whoever else is writing.

A photo is one document with all its people. Saving a loaded photo writes what it looked like when it was loaded, over
what others did meanwhile; here only the person is touched, and only if it still is what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

import fiftyone as fo
from bson import ObjectId
from bson.errors import InvalidId
from pymongo import UpdateOne

from clickpose_fiftyone.conversion import instance_of
from clickpose_fiftyone.field_names import (
    BOUNDING_BOX,
    HISTORY,
    PRED_OKS,
    SETTLED_AT,
    SETTLED_BY,
    TAGS,
    boxes_field_of,
    people_path,
)
from clickpose_fiftyone.fiftyone_internals import (
    ID,
    loaded_samples,
    photos_collection,
    root_dataset_of,
    set_loaded,
    write_operations,
)

_TRIES = 20  # another's change between reading and writing is rare, and takes milliseconds
Changes = Mapping[str, object]


@dataclass(frozen=True, eq=False)
class StoredPerson:
    """A person as the database keeps it now.

    Attributes:
        sample_id: its photo.
        filepath: the photo's file.
        label: its keypoints; changing them changes nothing in the dataset.
    """

    sample_id: str
    filepath: str
    label: fo.Keypoint


def read_person(samples, field: str, label_id: str, sample_id: str | None = None) -> StoredPerson:
    """Read one person; without ``sample_id`` all photos are searched.

    Raises:
        ValueError: if there is no such person (any more).
    """
    people = people_path(field)
    try:
        query = {f"{people}.{ID}": ObjectId(label_id)} | ({} if sample_id is None else {ID: ObjectId(sample_id)})
    except InvalidId:
        query = None
    wanted = {"filepath": True, f"{people}.$": True}
    found = None if query is None else photos_collection(root_dataset_of(samples)).find_one(query, wanted)
    if found is None:
        raise ValueError(f'Expected a person of field "{field}", got an id that is not there any more; reload')
    label = fo.Keypoint.from_dict(found[field]["keypoints"][0])
    return StoredPerson(str(found[ID]), found["filepath"], label)


def change_person(
    samples, field: str, label_id: str, change: Callable[[fo.Keypoint], Changes | None], sample_id: str | None = None
) -> StoredPerson | None:
    """Change attributes of one person, and its linked box with it.

    Args:
        samples: a dataset or view.
        field: Keypoints field.
        label_id, sample_id: who.
        change: the person as it is now -> its new attributes; None to leave it. Asked again where somebody else was
            faster.

    Returns:
        the person before; None where it was left.

    Raises:
        ValueError: if there is no such person (any more), or as ``change``.
    """
    dataset = root_dataset_of(samples)
    for _ in range(_TRIES):
        person = read_person(dataset, field, label_id, sample_id)
        changes = change(person.label)
        if changes is None:
            return None
        if _write(dataset, field, person, changes):
            return person
    raise ValueError("Others change this person all the time; nothing was written, try again")


def _write(dataset, field: str, before: StoredPerson, changes: Changes) -> bool:
    """Write changes of a person unless it is not as it was ``before``; tells whether it did."""
    people, label_id = people_path(field), ObjectId(before.label.id)
    unchanged = {ID: label_id}
    for name in (HISTORY, TAGS, PRED_OKS):  # each change of a pose or of what became of it shows in one of these
        value = before.label.get_attribute_value(name, None)
        unchanged[name] = list(value) if name == TAGS and value is not None else value
    written = {f"{people}.$[person].{name}": value for name, value in changes.items()}
    filters = [{f"person.{ID}": label_id}]
    boxes, link = _box_changes(changes), instance_of(before.label)
    if boxes and link is not None and dataset.get_field(boxes_field_of(field)) is not None:
        written |= {f"{boxes_field_of(field)}.detections.$[box].{name}": value for name, value in boxes.items()}
        filters.append({f"box.instance.{ID}": ObjectId(link.id)})
    query = {ID: ObjectId(before.sample_id), people: {"$elemMatch": unchanged}}
    if len(filters) > 1:
        query[f"{boxes_field_of(field)}.detections"] = {"$type": "array"}
    photos, now = photos_collection(dataset), {"last_modified_at": datetime.now(timezone.utc)}
    done = photos.update_one(query, {"$set": {**written, **now}}, array_filters=filters)
    if not done.matched_count and len(filters) > 1:  # a photo without boxes
        only_person = {path: value for path, value in written.items() if path.startswith(people)}
        query[f"{boxes_field_of(field)}.detections"] = {"$not": {"$type": "array"}}
        done = photos.update_one(query, {"$set": {**only_person, **now}}, array_filters=filters[:1])
    if done.matched_count:
        _tell_loaded(dataset, field, before.sample_id, {before.label.id: changes})
        for box in _loaded_boxes(dataset, field, before.sample_id) if link is not None else ():
            if (known := instance_of(box)) is not None and known.id == link.id:
                set_loaded(box, **boxes)
    return bool(done.matched_count)


def _box_changes(changes: Changes) -> dict:
    """Return what a linked box takes over from its pose."""
    taken = {BOUNDING_BOX: changes.get(BOUNDING_BOX), "confidence": changes.get(PRED_OKS)}
    return {name: value for name, value in taken.items() if value is not None}


@dataclass(frozen=True)
class FoundPerson:
    """Where a person is, and what became of it.

    Attributes:
        sample_id: its photo.
        tags: its tags.
        settled_by, settled_at: who settled it last, and when; None for nobody.
    """

    sample_id: ObjectId
    tags: tuple[str, ...] | None
    settled_by: str | None = None
    settled_at: datetime | None = None


def find_people(samples, field: str, label_ids: Iterable[str], sample_ids: Iterable | None = None) -> dict:
    """Return label id -> :class:`FoundPerson` of those people that are there.

    Args:
        samples: a dataset or view.
        field: Keypoints field.
        label_ids: of whom.
        sample_ids: their photos, where they are known: else all photos are searched.
    """
    people, wanted = people_path(field), set(label_ids)
    ids = [ObjectId(label_id) for label_id in wanted if ObjectId.is_valid(label_id)]
    query = {f"{people}.{ID}": {"$in": ids}}
    if sample_ids is not None:
        query = {ID: {"$in": [ObjectId(str(sample_id)) for sample_id in sample_ids]}}
    read = {f"{people}.{name}": True for name in (ID, TAGS, SETTLED_BY, SETTLED_AT)}
    return {
        str(person[ID]): FoundPerson(photo[ID], person.get(TAGS), person.get(SETTLED_BY), person.get(SETTLED_AT))
        for photo in photos_collection(root_dataset_of(samples)).find(query, read)
        for person in ((photo.get(field) or {}).get("keypoints") or ())
        if str(person[ID]) in wanted
    }


def by_photo(found: Mapping[str, FoundPerson], label_ids: Iterable[str]) -> dict[ObjectId, list[ObjectId]]:
    """Return photo -> those of its people that are named."""
    photos: dict[ObjectId, list[ObjectId]] = {}
    for label_id in label_ids:
        photos.setdefault(found[label_id].sample_id, []).append(ObjectId(label_id))
    return photos


def update_people(
    samples, field: str, photos: Mapping[ObjectId, list[ObjectId]], update: Mapping[str, Mapping], **where
) -> list[UpdateOne]:
    """Return the updates that change people of a field at once, one a photo.

    Args:
        samples: a dataset or view.
        field: Keypoints field.
        photos: photo -> its people, see :func:`by_photo`.
        update: the database's operator -> attribute -> value, such as ``{"$addToSet": {"tags": "accepted"}}``.
        where: attribute -> the database's condition that a person must meet when the update comes to it.
    """
    path = f"{people_path(field)}.$[person]"
    changes = {kind: {f"{path}.{name}": value for name, value in values.items()} for kind, values in update.items()}
    changes.setdefault("$set", {})["last_modified_at"] = datetime.now(timezone.utc)
    conditions = {f"person.{name}": condition for name, condition in where.items()}
    return [
        UpdateOne({ID: sample_id}, changes, array_filters=[{f"person.{ID}": {"$in": ids}, **conditions}])
        for sample_id, ids in photos.items()
    ]


def with_lists_of_tags(samples, field: str, found: Mapping[str, FoundPerson]) -> list[UpdateOne]:
    """Return the updates after which each of some people has a list of tags: nothing can be added to none."""
    bare = [label_id for label_id, person in found.items() if person.tags is None]
    return update_people(samples, field, by_photo(found, bare), {"$set": {TAGS: []}}, **{TAGS: None})


def change_tags(
    samples, field: str, label_ids: Iterable[str], add: str | None = None, remove: str | None = None,
    sample_ids: Iterable | None = None,
) -> int:  # fmt: skip
    """Give people a tag, or take one; other tags stay, also those that others are writing. Returns how many changed.

    Args:
        samples: a dataset or view.
        field: Keypoints field.
        label_ids: whom.
        add, remove: the tag; one of the two.
        sample_ids: their photos, if they are known; people who are not there any more are then nobody's fault.

    Raises:
        ValueError: if an id is of no person of the field; nothing is written.
    """
    dataset, wanted = root_dataset_of(samples), set(label_ids)
    found = find_people(dataset, field, wanted, sample_ids)
    if sample_ids is None:
        require_found(field, wanted, found)
    changed = {
        label_id: person
        for label_id, person in found.items()
        if (add is not None and add not in (person.tags or ()))
        or (remove is not None and remove in (person.tags or ()))
    }
    update = {"$addToSet": {TAGS: add}} if add is not None else {"$pull": {TAGS: remove}}
    operations = with_lists_of_tags(dataset, field, changed) if add is not None else []
    operations += update_people(dataset, field, by_photo(found, changed), update)
    write_operations(dataset, operations, ordered=True)
    tell_loaded_tags(dataset, field, {label_id: (person, add, (remove,)) for label_id, person in changed.items()})
    return len(changed)


def require_found(field: str, label_ids: Collection[str], found: Mapping) -> None:
    """Refuse ids of nobody.

    Raises:
        ValueError: telling how many.
    """
    if missing := len(set(label_ids)) - len(found):
        raise ValueError(f'Expected ids of persons of field "{field}", got {missing} others')


def tell_loaded_tags(dataset, field: str, changed: Mapping[str, tuple], **attributes) -> None:
    """Let samples that somebody holds know new tags: label id -> (the person before, tag added, tags removed)."""
    by_sample: dict[str, dict] = {}
    for label_id, (person, added, removed) in changed.items():
        kept = [tag for tag in person.tags or () if tag not in removed and tag != added]
        tags = kept if added is None else [*kept, added]
        by_sample.setdefault(str(person.sample_id), {})[label_id] = {TAGS: tags, **attributes}
    held = loaded_samples(dataset)
    for sample_id, people in by_sample.items():
        if sample_id in held:
            _tell_loaded(dataset, field, sample_id, people)


def _loaded_boxes(dataset, field: str, sample_id: str) -> list[fo.Detection]:
    """Return the boxes of a photo whose sample somebody holds in this process."""
    sample, name = loaded_samples(dataset).get(sample_id), boxes_field_of(field)
    boxes = sample[name] if sample is not None and name in sample.field_names else None
    return [] if boxes is None else boxes.detections


def _tell_loaded(dataset, field: str, sample_id: str, changes: Mapping[str, Changes]) -> None:
    """Let a sample that somebody holds know what was written to people of it (label id -> attributes)."""
    sample = loaded_samples(dataset).get(sample_id)
    if sample is None or sample[field] is None:
        return
    for label in sample[field].keypoints:
        if label.id in changes:
            set_loaded(label, **changes[label.id])
