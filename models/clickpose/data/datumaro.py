"""People to and from Datumaro's JSON, which CVAT exports as "Datumaro 1.0" and other tools read.

A skeleton's joints stand in one list of triples, in the order that ``categories.points`` names; the visibility of each
is 0 absent, 1 hidden, 2 visible, as COCO's. A person's box is a ``bbox`` annotation of the same group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from clickpose.checks import described
from clickpose.data.coco_fields import as_box, as_numbers, entries_of
from clickpose.data.coco_writing import flat_triples
from clickpose.data.json_file import read_json_as
from clickpose.data.notes import Notes, note
from clickpose.data.skeleton_labels import COCO_ID, SCORE, LabelledPerson, LabelledPhoto, SkeletonLabel


def read_datumaro(path: str | Path, notes: Notes | None = None) -> tuple[list[LabelledPhoto], list[SkeletonLabel]]:
    """Read an ``annotations/*.json`` of Datumaro.

    Returns:
        the photos, and the skeletons of the labels.

    Raises:
        ValueError: if it is no such file, or an annotation cannot be read.
    """
    return read_json_as(path, lambda content: from_datumaro(content, notes))


def from_datumaro(content: object, notes: Notes | None = None) -> tuple[list[LabelledPhoto], list[SkeletonLabel]]:
    """Read the parsed content; see :func:`read_datumaro`."""
    notes = {} if notes is None else notes
    if not isinstance(content, Mapping) or not isinstance(content.get("categories"), Mapping):
        raise ValueError(f"Expected Datumaro's JSON with categories and items, got {described(content)}")
    names = _names(content["categories"])
    labels = _labels(content["categories"], names)
    photos = [_photo(item, labels, notes) for item in entries_of(content, "items")]
    return photos, list(labels.values())


def _names(categories: Mapping) -> list[str]:
    label = categories.get("label")
    entries = label.get("labels") if isinstance(label, Mapping) else None
    if not isinstance(entries, list):
        raise ValueError(f"Expected categories.label.labels to be a list, got {described(entries)}")
    return [str(entry.get("name", "")) for entry in entries]


def _labels(categories: Mapping, names: Sequence[str]) -> dict[int, SkeletonLabel]:
    """Return label id -> skeleton. Bones are counted from 1, as in COCO."""
    points = categories.get("points")
    labels = {}
    for entry in points.get("items", ()) if isinstance(points, Mapping) else ():
        joints, id_ = tuple(map(str, entry.get("labels", ()))), int(entry["label_id"])
        bones = tuple((int(a) - 1, int(b) - 1) for a, b in entry.get("joints", ()))
        edges = tuple(bone for bone in bones if all(0 <= end < len(joints) for end in bone))
        labels[id_] = SkeletonLabel(names[id_] if id_ < len(names) else str(id_), joints, edges)
    return labels


def _photo(item: Mapping, labels: Mapping[int, SkeletonLabel], notes: Notes) -> LabelledPhoto:
    image = item.get("image")
    image = image if isinstance(image, Mapping) else {}
    name = str(image.get("path") or item.get("id") or "")
    where = f"item {item.get('id')!r}"
    if not name:
        raise ValueError("Expected every item to have an image path or an id, got one with neither")
    size = image.get("size")
    image_hw = (int(size[0]), int(size[1])) if isinstance(size, Sequence) and len(size) == 2 else None
    entries = [entry for entry in item.get("annotations") or () if isinstance(entry, Mapping)]
    boxes = {entry["group"]: entry for entry in entries if entry.get("type") == "bbox" and entry.get("group")}
    persons, used = [], set()
    for entry in entries:
        label = labels.get(entry.get("label_id", -1))
        if entry.get("type") != "skeleton" or label is None:
            continue
        box = boxes.get(entry.get("group"))
        used.add(id(box))
        persons.append(_person(entry, label, box, where))
    for entry in entries:
        if id(entry) not in used and (entry.get("type") != "skeleton" or entry.get("label_id") not in labels):
            note(notes, f"annotations of the kind {entry.get('type')}, left out")
    return LabelledPhoto(name, image_hw, tuple(persons))


def _person(entry: Mapping, label: SkeletonLabel, box: Mapping | None, where: str) -> LabelledPerson:
    triples = as_numbers(entry.get("points"), 3 * len(label.joints), "points", where).reshape(-1, 3)
    visibility = triples[:, 2].astype(int)
    if not np.isin(triples[:, 2], (0, 1, 2)).all():
        raise ValueError(f"Expected visibilities 0, 1 or 2 of a skeleton in {where}, got {triples[:, 2].tolist()}")
    keypoints = np.where(visibility[:, None] > 0, triples[:, :2], np.nan)
    attributes = dict(entry.get("attributes") or {})
    score = attributes.pop(SCORE, None)
    return LabelledPerson(
        label=label,
        keypoints=keypoints,
        visibility=visibility,
        box_xywh=None if box is None else as_box(box.get("bbox"), where),
        score=None if score in (None, "") else float(score),
        attributes={name: value for name, value in attributes.items() if name != COCO_ID or value not in (None, "")},
    )


def to_datumaro(photos: Sequence[LabelledPhoto]) -> dict:
    """Return photos as the content of an ``annotations/default.json`` of Datumaro."""
    labels = list({person.label.name: person.label for photo in photos for person in photo.persons}.values())
    ids: dict[str, int] = {}
    entries: list[dict] = []
    for label in labels:
        ids[label.name] = len(entries)
        entries.append({"name": label.name, "parent": "", "attributes": []})
        entries += [{"name": joint, "parent": label.name, "attributes": []} for joint in label.joints]
    boxes = {}
    for label in labels:
        boxes[label.name] = len(entries)
        entries.append({"name": f"{label.name} box", "parent": "", "attributes": []})
    points = [{"label_id": ids[label.name], "labels": list(label.joints),
               "joints": [[a + 1, b + 1] for a, b in label.edges]} for label in labels]  # fmt: skip
    items, group = [], 0
    for frame, photo in enumerate(photos):
        annotations: list[dict] = []
        for person in photo.persons:
            group += 1
            annotations += _annotations(person, ids[person.label.name], boxes[person.label.name], group)
        image: dict = {"path": photo.name}
        if photo.image_hw is not None:
            image["size"] = list(photo.image_hw)
        name = str(PurePosixPath(photo.name).with_suffix(""))
        items.append({"id": name, "annotations": annotations, "attr": {"frame": frame}, "image": image})
    return {
        "info": {},
        "categories": {"label": {"labels": entries, "attributes": []}, "points": {"items": points}},
        "items": items,
    }


def _annotations(person: LabelledPerson, label_id: int, box_id: int, group: int) -> list[dict]:
    attributes = dict(person.attributes) | ({} if person.score is None else {SCORE: person.score})
    common = {"id": 0, "group": group}
    made = [common | {
        "type": "skeleton", "attributes": attributes, "label_id": label_id,
        "points": flat_triples(person.keypoints, person.visibility),
        "points_attributes": [{} for _ in person.label.joints],
    }]  # fmt: skip
    if person.box_xywh is not None:
        made.append(common | {"type": "bbox", "attributes": {}, "label_id": box_id, "z_order": 0,
                              "bbox": [float(number) for number in person.box_xywh]})  # fmt: skip
    return made
