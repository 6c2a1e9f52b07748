"""What a load from Label Studio has changed, kept with the run, and how it is taken back by the run's name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import fiftyone as fo
from bson import json_util

from clickpose_fiftyone.backends import register_backends
from clickpose_fiftyone.checks import people, plural
from clickpose_fiftyone.field_names import BOUNDING_BOX, HISTORY, POINTS, VISIBILITY
from clickpose_fiftyone.fiftyone_internals import ID
from clickpose_fiftyone.labelstudio_labels import Labels, current_labels, linked_boxes, store_labels
from clickpose_fiftyone.labelstudio_merge import Merged
from clickpose_fiftyone.labelstudio_runs import load_run, runs_of

_MOST_LOADS = 20  # that are kept of a run


@dataclass(frozen=True)
class UndoneLoad:
    """What was taken back of a load: people who are as before, back, and gone again; and those who stay."""

    photos: int
    restored: int
    brought_back: int
    removed: int
    kept: int

    def __str__(self) -> str:
        done = {"as before the load": self.restored, "brought back": self.brought_back, "taken away": self.removed}
        text = ", ".join(f"{people(count)} {what}" for what, count in done.items() if count) or "Nothing to take back"
        kept = f" {people(self.kept)} corrected here since, left as they are." if self.kept else ""
        return f"{text} in {plural(self.photos, 'photo')}.{kept}"


def load_record(dataset, field: str, merged: Mapping[str, Merged], synced: Mapping[str, dict]) -> dict:
    """Return what is kept of a load before it is written.

    Args:
        dataset: where to.
        field: Keypoints field.
        merged: sample id -> what becomes of the photos whose people change.
        synced: sample id -> what is kept of the photos from before the load.
    """
    lost = {
        sample_id: {label_id: photo.before[label_id] for label_id in (*photo.corrected, *photo.deleted)}
        for sample_id, photo in merged.items()
    }
    boxes = linked_boxes(dataset, field, lost)
    photos = {
        sample_id: {
            "people": [label.to_dict() for label in lost[sample_id].values()],
            "boxes": [box.to_dict() for box in boxes.get(sample_id, ())],
            "order": list(photo.before),
            "after": {key: _digest(photo.labels[key]) for key in (*photo.corrected, *photo.added)},
            "synced": synced.get(sample_id),
        }
        for sample_id, photo in merged.items()
    }
    return {"at": datetime.now(timezone.utc).isoformat(timespec="seconds"), "photos": photos}


def remember_load(loads: Sequence[dict], record: dict) -> list[dict]:
    """Return the loads of a run with a new one; the oldest ones are forgotten."""
    return [*loads, record][-_MOST_LOADS:]


def undo_load_from_label_studio(dataset: fo.Dataset, anno_key: str = "corrections") -> UndoneLoad:
    """Take back the last load of a run: deleted people come back, corrected ones are as before, added ones go.

    Whom somebody has corrected here since stays as it is. Loading again takes the same corrections from Label Studio.

    Raises:
        ValueError: if there is no such run, or nothing was loaded of it; nothing is written then.
    """
    register_backends()
    run = load_run(dataset, anno_key)
    if not run.loads:
        raise ValueError(f'Expected a load of the run "{anno_key}" to undo, got none; nothing was written')
    record, field = run.loads[-1]["photos"], run.field
    before, _ = current_labels(dataset, field, list(record))
    labels, boxes, counts = {}, {}, dict.fromkeys(("restored", "brought_back", "removed", "kept"), 0)
    for sample_id, current in before.items():
        labels[sample_id] = _undone(current, record[sample_id], counts)
        boxes[sample_id] = [fo.Detection.from_dict(box) for box in record[sample_id]["boxes"]]
    if labels:
        store_labels(dataset, field, before, labels, _of_those_back(before, labels, boxes))
    for sample_id, photo in record.items():
        if photo["synced"] is None:
            run.synced.pop(sample_id, None)
        else:
            run.synced[sample_id] = photo["synced"]
    run.loads = run.loads[:-1]
    run.save()
    return UndoneLoad(photos=len(labels), **counts)


def loads_of(dataset: fo.Dataset) -> dict[str, int]:
    """Return the names of the runs that something was loaded of -> how many loads can be undone."""
    counts = {name: len(load_run(dataset, name).loads) for name in runs_of(dataset)}
    return {name: count for name, count in counts.items() if count}


def _undone(current: dict[str, fo.Keypoint], record: Mapping, counts: dict[str, int]) -> dict[str, fo.Keypoint]:
    """Return a photo's people without what a load has changed; counts them."""
    people_before = {str(label[ID]): label for label in record["people"]}
    labels = dict(current)
    for label_id, digest in record["after"].items():
        now = current.get(label_id)
        if now is None:  # somebody has taken it away here since
            continue
        if _digest(now) != digest:
            counts["kept"] += 1
        elif label_id in people_before:
            labels[label_id] = fo.Keypoint.from_dict(people_before[label_id])
            counts["restored"] += 1
        else:
            del labels[label_id]
            counts["removed"] += 1
    for label_id in people_before.keys() - record["after"].keys() - current.keys():
        labels[label_id] = fo.Keypoint.from_dict(people_before[label_id])
        counts["brought_back"] += 1
    places = {label_id: place for place, label_id in enumerate(record["order"])}
    return dict(sorted(labels.items(), key=lambda found: places.get(found[0], len(places))))


def _of_those_back(before: Labels, labels: Labels, boxes: Mapping[str, list]) -> dict[str, list[fo.Detection]]:
    """Return the kept boxes of the people who were not there and are."""
    found = {}
    for sample_id, kept in boxes.items():
        back = [label for label_id, label in labels[sample_id].items() if label_id not in before[sample_id]]
        links = {label.instance.id for label in back if label.get_attribute_value("instance", None) is not None}
        found[sample_id] = [box for box in kept if box.instance is not None and box.instance.id in links]
    return found


def _digest(label: fo.Keypoint) -> str:
    """Return what tells whether somebody has changed a pose since."""
    names = (POINTS, VISIBILITY, BOUNDING_BOX, HISTORY)
    state = [label.get_attribute_value(name, None) for name in names]
    return hashlib.sha256(json_util.dumps(state).encode()).hexdigest()[:16]
