"""Delete people of a field, and bring them back: what they were is kept until their dataset is deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import fiftyone as fo
from bson import ObjectId
from pymongo import ReturnDocument

from clickpose_fiftyone.checks import require_keypoints
from clickpose_fiftyone.derived import refresh_derived
from clickpose_fiftyone.field_names import INSTANCE, boxes_field_of, people_path
from clickpose_fiftyone.fiftyone_internals import (
    ID,
    dataset_id,
    loaded_samples,
    own_collection,
    photos_collection,
    root_dataset_of,
    set_loaded,
)
from clickpose_fiftyone.person_updates import by_photo, find_people, require_found
from clickpose_fiftyone.review_log import DELETED, Action, default_reviewer, now, record

_ORIGINALS = "deleted_people"


def delete_persons(samples, field: str, label_ids: Iterable[str], by: str | None = None) -> Action:
    """Take people and their linked boxes out of a dataset.

    What they were is kept first, so that :func:`bring_back` gives them back, at their places.

    Args:
        samples: a dataset or view.
        field: Keypoints field.
        label_ids: whom.
        by: who does it; by default who runs this process.

    Raises:
        ValueError: if the field cannot serve or an id is of nobody; nothing is written.
    """
    require_keypoints(samples, field)
    dataset, wanted = root_dataset_of(samples), list(dict.fromkeys(label_ids))
    found = find_people(dataset, field, wanted)
    require_found(field, wanted, found)
    action = record(dataset, field, DELETED, wanted, by=by or default_reviewer(), at=now())
    photos = by_photo(found, wanted)
    for sample_id, ids in photos.items():
        _delete(dataset, field, sample_id, set(ids), action)
    refresh_photos(dataset, field, photos)
    return action


def bring_back(samples, action: Action) -> int:
    """Give back the people whom an action deleted; returns how many. Those of photos that are gone stay away."""
    dataset, originals = root_dataset_of(samples), own_collection(_ORIGINALS)
    photos, back = set(), 0
    for original in originals.find({"action": ObjectId(action.id)}):
        if _insert(dataset, action.field, original):
            photos.add(original["sample_id"])
            back += 1
    originals.delete_many({"action": ObjectId(action.id), "sample_id": {"$in": list(photos)}})
    refresh_photos(dataset, action.field, photos)
    return back


def _delete(dataset, field: str, sample_id: ObjectId, ids: set[ObjectId], action: Action) -> None:
    """Keep what people of a photo are, take them out, and keep what they were at that very moment."""
    photos, boxes = photos_collection(dataset), boxes_field_of(field)
    before = photos.find_one({ID: sample_id}, {field: True, boxes: True}) or {}
    _keep(dataset, field, before, ids, action)
    links = _links(_list(before, field, "keypoints"), ids)
    pulled = {people_path(field): {ID: {"$in": list(ids)}}}
    if links and _list(before, boxes, "detections"):
        pulled[f"{boxes}.detections"] = {f"{INSTANCE}.{ID}": {"$in": list(links)}}
    update = {"$pull": pulled, "$set": {"last_modified_at": now()}}
    really = photos.find_one_and_update(
        {ID: sample_id}, update, {field: True, boxes: True}, return_document=ReturnDocument.BEFORE
    )
    if really is not None and really != before:  # somebody changed them in between
        _keep(dataset, field, really, ids, action)


def _keep(dataset, field: str, photo: Mapping, ids: set[ObjectId], action: Action) -> None:
    people, boxes = _list(photo, field, "keypoints"), _list(photo, boxes_field_of(field), "detections")
    originals = own_collection(_ORIGINALS)
    for place, person in enumerate(people):
        if person[ID] in ids:
            links = _links([person], ids)
            linked = [[i, box] for i, box in enumerate(boxes) if (box.get(INSTANCE) or {}).get(ID) in links]
            kept = {"dataset": dataset_id(dataset), "action": ObjectId(action.id), "sample_id": photo[ID],
                    "label_id": person[ID], "place": place, "person": person, "boxes": linked}  # fmt: skip
            originals.replace_one({"action": kept["action"], "label_id": person[ID]}, kept, upsert=True)


def _insert(dataset, field: str, original: Mapping) -> bool:
    """Put a person and its boxes back into a photo where it is not; tells whether it did."""
    pushed = {people_path(field): _at(original["place"], original["person"])}
    photos, boxes = photos_collection(dataset), f"{boxes_field_of(field)}.detections"
    absent = {ID: original["sample_id"], f"{people_path(field)}.{ID}": {"$ne": original["label_id"]}}
    stamped = {"$set": {"last_modified_at": now()}}
    done = photos.update_one({**absent, people_path(field): {"$type": "array"}}, {"$push": pushed, **stamped})
    if done.matched_count:
        for place, box in original["boxes"]:
            none = {ID: original["sample_id"], boxes: {"$type": "array"}, f"{boxes}.{ID}": {"$ne": box[ID]}}
            photos.update_one(none, {"$push": {boxes: _at(place, box)}})
    return bool(done.matched_count)


def _at(place: int, document: Mapping) -> dict:
    return {"$each": [document], "$position": place}


def _list(photo: Mapping, field: str, name: str) -> list:
    return (photo.get(field) or {}).get(name) or []


def _links(people: Iterable[Mapping], ids: set[ObjectId]) -> set[ObjectId]:
    """Return what links the named people with their boxes."""
    links = {(person.get(INSTANCE) or {}).get(ID) for person in people if person[ID] in ids}
    return links - {None}


def refresh_photos(dataset, field: str, photos: Iterable) -> None:
    """Write anew what depends on the people of photos, and let samples that somebody holds know them."""
    ids = [str(sample_id) for sample_id in photos]
    if not ids:
        return
    held, boxes = loaded_samples(dataset), boxes_field_of(field)
    for sample_id in set(ids) & set(held):
        photo = photos_collection(dataset).find_one({ID: ObjectId(sample_id)}, {field: True, boxes: True})
        values = {field: photo.get(field) and fo.Keypoints.from_dict(photo[field])}
        if photo.get(boxes):
            values[boxes] = fo.Detections.from_dict(photo[boxes])
        set_loaded(held[sample_id], **values)
    refresh_derived(dataset.select(ids), field)
