"""What became of the people of a dataset, kept in this process and brought up to date: the queue asks after each key.

Reading 12,000 people anew takes a quarter of a second, reading those of the photos that changed a few milliseconds.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from clickpose_fiftyone.field_names import PRED_OKS, SETTLED_AT, SETTLED_BY, TAGS, people_path
from clickpose_fiftyone.fiftyone_internals import (
    ID,
    dataset_version,
    photos_collection,
    raw_columns,
    root_dataset_of,
    stages_of,
)

FOLLOWED = (PRED_OKS, TAGS, SETTLED_BY, SETTLED_AT)
_CHANGED = "last_modified_at"
_MARGIN = timedelta(seconds=30)  # a change is seen later than it says: its time is taken before it is written
_DATASETS = 4
_CHOOSE_PHOTOS = {
    f"fiftyone.core.stages.{name}"
    for name in ("Exclude", "Exists", "Limit", "Match", "MatchTags", "Select", "Shuffle", "Skip", "SortBy", "Take")
}  # stages of a view that leave photos as they are
_LOCK = threading.Lock()  # the app answers several requests at once


@dataclass
class _People:
    """The people of a field, as far as this process knows.

    Attributes:
        version: of the dataset; where it is another one, nothing of this holds.
        photos: photo's id -> its people; None where it has none.
        newest: the latest change that was read.
    """

    version: tuple
    photos: dict = field(default_factory=dict)
    newest: datetime | None = None


_KEPT: OrderedDict[tuple, _People] = OrderedDict()


def people_known(samples, name: str) -> dict[str, list] | None:
    """Return the columns of the people of a view, as :func:`raw_columns` does, of :data:`FOLLOWED`.

    Args:
        samples: a dataset or view.
        name: Keypoints field.

    Returns:
        ``""`` -> ids of the photos, ``"people"`` -> of their people, and each attribute; None for a view that changes
        photos, which has to be read.
    """
    stages = stages_of(samples)
    if any(stage not in _CHOOSE_PHOTOS for stage, _ in stages):
        return None
    with _LOCK:
        photos = _up_to_date(root_dataset_of(samples), name)
        ids = raw_columns(samples, {ID: f"${ID}"})[ID] if stages else list(photos)
        people = [photos.get(sample_id) for sample_id in ids]
    found = {attribute: [None if own is None else [person.get(attribute) for person in own] for own in people]
             for attribute in (ID, *FOLLOWED)}  # fmt: skip
    return {"": ids, "people": found.pop(ID), **found}


def _up_to_date(dataset, name: str) -> dict:
    """Return the people of each photo, after reading what changed."""
    version = dataset_version(dataset)
    key, collection = (version[0], name), photos_collection(dataset)
    kept = _KEPT.get(key)
    if kept is None or kept.version != version:
        kept = _KEPT[key] = _People(version)
    _read(collection, name, kept)
    if len(kept.photos) != collection.estimated_document_count():  # photos were deleted
        kept = _KEPT[key] = _People(version)
        _read(collection, name, kept)
    _KEPT.move_to_end(key)
    while len(_KEPT) > _DATASETS:
        _KEPT.popitem(last=False)
    return kept.photos


def _read(collection, name: str, kept: _People) -> None:
    """Read the photos that changed since the last time; all of them the first time."""
    wanted = {} if kept.newest is None else {_CHANGED: {"$gte": kept.newest - _MARGIN}}
    path = people_path(name)
    for photo in collection.find(wanted, {_CHANGED: True, **{f"{path}.{part}": True for part in (ID, *FOLLOWED)}}):
        kept.photos[photo[ID]] = (photo.get(name) or {}).get("keypoints")
        moment = photo.get(_CHANGED)
        if moment is not None and (kept.newest is None or moment > kept.newest):
            kept.newest = moment
