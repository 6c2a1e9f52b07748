"""One person of a photo, read and changed where the database keeps it: at once, whoever else is writing.

A photo is one document with all its people. Saving a loaded photo writes what it looked like when it was loaded, over
what others did meanwhile; here only the person is touched, and only if it still is what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

import fiftyone as fo
from bson import ObjectId
from bson.errors import InvalidId
from pymongo import UpdateOne

from clickpose_fiftyone.conversion import instance_of
from clickpose_fiftyone.field_names import BOUNDING_BOX, HISTORY, PRED_OKS, TAGS, boxes_field_of, people_path
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


def change_tags(
    samples, field: str, label_ids: Iterable[str], add: str | None = None, remove: str | None = None
) -> int:
    """Give people a tag, or take one; other tags stay, also those that others are writing. Returns how many changed.

    Raises:
        ValueError: if an id is of no person of the field; nothing is written.
    """
    dataset, people = root_dataset_of(samples), people_path(field)
    wanted = set(label_ids)
    found = _tags_of(dataset, field, wanted)
    if missing := len(wanted) - len(found):
        raise ValueError(f'Expected ids of persons of field "{field}", got {missing} others')
    changed = {
        label_id: (sample_id, tags)
        for label_id, (sample_id, tags) in found.items()
        if (add is not None and add not in tags) or (remove is not None and remove in tags)
    }
    now = datetime.now(timezone.utc)
    operations = []
    for label_id, (sample_id, _) in changed.items():
        path, filters = f"{people}.$[person].{TAGS}", [{f"person.{ID}": ObjectId(label_id)}]
        if add is not None:
            none = [{**filters[0], f"person.{TAGS}": None}]
            operations.append(UpdateOne({ID: sample_id}, {"$set": {path: []}}, array_filters=none))
        update = {"$addToSet": {path: add}} if add is not None else {"$pull": {path: remove}}
        update["$set"] = {"last_modified_at": now}
        operations.append(UpdateOne({ID: sample_id}, update, array_filters=filters))
    write_operations(dataset, operations, ordered=True)
    for label_id, (sample_id, tags) in changed.items():
        kept = [tag for tag in tags if tag != remove]
        _tell_loaded(dataset, field, str(sample_id), {label_id: {TAGS: kept if add is None else [*kept, add]}})
    return len(changed)


def _tags_of(dataset, field: str, label_ids: set[str]) -> dict[str, tuple[ObjectId, list[str]]]:
    """Return label id -> (photo's id, tags) of those people that are there."""
    people = people_path(field)
    ids = [ObjectId(label_id) for label_id in label_ids if ObjectId.is_valid(label_id)]
    wanted = {f"{people}.{ID}": True, f"{people}.{TAGS}": True}
    return {
        str(person[ID]): (photo[ID], person.get(TAGS) or [])
        for photo in photos_collection(dataset).find({f"{people}.{ID}": {"$in": ids}}, wanted)
        for person in photo[field]["keypoints"]
        if str(person[ID]) in label_ids
    }


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
