"""Columns and whole labels into the database: one operation a photo, however much is written of it.

FiftyOne's ``set_values`` makes one operation a person and attribute, and with ``dynamic=True`` looks at the type of
every value; here a column is declared once, and all columns of a photo travel together. People are found by their ids,
so somebody who adds or deletes people meanwhile does no harm. New labels are written as the documents that the database
keeps: making an ``fo.Keypoint`` of each joint takes ten times as long as writing it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from itertools import chain

import fiftyone as fo
import numpy as np
from bson import ObjectId
from pymongo import UpdateOne

from clickpose_fiftyone.collector import collector_paused
from clickpose_fiftyone.declaring import Kind, declare
from clickpose_fiftyone.field_names import TAGS
from clickpose_fiftyone.fiftyone_internals import (
    CLASS,
    ID,
    is_generated,
    late_labels,
    list_name,
    loaded_samples,
    object_ids,
    own_attributes,
    set_loaded,
    write_operations,
)
from clickpose_fiftyone.process_memory import note_work

_SCALAR_FIELDS = {
    bool: fo.BooleanField, int: fo.IntField, float: fo.FloatField, str: fo.StringField, datetime: fo.DateTimeField,
}  # fmt: skip
Nested = list[list | None]
Documents = list[list[dict] | None]


@collector_paused()
def write_columns(samples, path: str, label_ids: Nested, persons: Mapping[str, Nested], photos: Mapping[str, list]):
    """Write attributes of the persons and fields of the photos of a view.

    Args:
        samples: a dataset or view with S photos.
        path: of the list of persons, such as ``"pred.keypoints"``.
        label_ids: S lists of the persons' ids; None for a photo whose field is None.
        persons: attribute -> S lists with one value a person (None as in ``label_ids``).
        photos: sample field -> S values.

    Raises:
        ValueError: if an attribute or field exists already and holds something else; nothing is written then.
    """
    declared = {f"{path}.{name}": _field_of(_flat(nested)) for name, nested in persons.items()}
    declared |= {name: _field_of(values) for name, values in photos.items()}
    declare(samples, declared)
    # what nothing tells the type of cannot be declared, and FiftyOne reads no photo with a field that it does not know
    photos = {name: values for name, values in photos.items() if declared[name] or samples.get_field(name) is not None}
    if is_generated(samples):  # patches and frames: FiftyOne carries each column on to the dataset they come from
        for name, nested in persons.items():
            samples.set_values(f"{path}.{name}", nested)
        for name, values in photos.items():
            samples.set_values(name, values)
        return
    sample_ids = object_ids(samples)
    write_operations(samples, _operations(sample_ids, path, label_ids, persons, photos))
    for row, sample in _loaded(samples, sample_ids):
        set_loaded(sample, **{name: values[row] for name, values in photos.items()})
        people = dict(zip(label_ids[row] or (), range(len(label_ids[row] or ())), strict=True))
        for label in _people_of(sample, path) if persons else ():
            if (person := people.get(label.id)) is not None:
                set_loaded(label, **{name: nested[row][person] for name, nested in persons.items()})
    note_work()


@collector_paused()
def write_labels(samples, labels: Mapping[str, tuple[type, Documents]]) -> None:
    """Replace label fields of the photos of a view by new labels; all fields of a photo are replaced at once.

    Args:
        samples: a dataset or view with S photos.
        labels: sample field -> (its class, such as ``fo.Keypoints``; S lists of documents of :func:`documents` or
            :func:`label_documents`; None for a field without a value).

    Raises:
        ValueError: if a field or an attribute exists already and holds something else; nothing is written then.
    """
    declared = {}
    for name, (kind, nested) in labels.items():
        declared[name] = (fo.EmbeddedDocumentField, kind)
        declared |= {f"{name}.{list_name(kind)}.{key}": found for key, found in _attributes_of(kind, nested)}
    declare(samples, declared)
    stored = {name: [_stored(kind, people) for people in nested] for name, (kind, nested) in labels.items()}
    if is_generated(samples):  # as in write_columns
        for name, (kind, _) in labels.items():
            samples.set_values(name, [None if value is None else kind.from_dict(value) for value in stored[name]])
        return
    sample_ids = object_ids(samples)
    write_operations(samples, _operations(sample_ids, "", [None] * len(sample_ids), {}, stored))
    for row, sample in _loaded(samples, sample_ids):
        people = {name: (kind, nested[row]) for name, (kind, nested) in labels.items()}
        set_loaded(sample, **{name: None if new is None else late_labels(kind, new)
                              for name, (kind, new) in people.items()})  # fmt: skip
    note_work()


def _loaded(samples, sample_ids: Sequence) -> Iterator[tuple[int, fo.Sample]]:
    """Yield (row, sample) of those of a view's photos whose sample somebody holds in this process."""
    loaded = loaded_samples(samples)
    for row, sample_id in enumerate(sample_ids) if loaded else ():
        if (sample := loaded.get(str(sample_id))) is not None:
            yield row, sample


def _people_of(sample: fo.Sample, path: str) -> Sequence[fo.Label]:
    """Return the labels at a path such as ``"pred.keypoints"``."""
    field, _, name = path.partition(".")
    labels = sample[field]
    return () if labels is None else labels[name]


@collector_paused()
def documents(kind: type, attributes: Iterable[Mapping]) -> list[dict]:
    """Return new labels as the database keeps them.

    Args:
        kind: class of one label, such as ``fo.Keypoint``.
        attributes: of each label, plain values by name.
    """
    empty = kind().to_dict()
    return [{**empty, ID: ObjectId(), TAGS: [], "attributes": {}, **values} for values in attributes]


@collector_paused()
def label_documents(labels: fo.Label) -> list[dict]:
    """Return the labels of one photo's list, such as ``fo.Keypoints``, as the database keeps them."""
    return [label.to_dict() for label in labels[list_name(type(labels))]]


def _stored(kind: type, people: list[dict] | None) -> dict | None:
    return None if people is None else {CLASS: kind.__name__, list_name(kind): people}


def _attributes_of(kind: type, nested: Documents) -> Iterator[tuple[str, Kind | None]]:
    """Yield (attribute, its field) of what labels have beside the attributes of their class."""
    columns = defaultdict(list)
    for document in _flat(nested):
        for name, value in document.items():
            columns[name].append(value)
    own = own_attributes(kind)
    return ((name, _field_of(values)) for name, values in columns.items() if name not in own)


def _operations(sample_ids, path: str, label_ids: Nested, persons, photos) -> Iterator[UpdateOne]:
    """Yield one update a photo; person ``p`` of a photo is addressed as ``$[p<p>]``, by its id."""
    now = datetime.now(timezone.utc)
    for row, sample_id in enumerate(sample_ids):
        changes = {name: values[row] for name, values in photos.items()}
        people = label_ids[row] if persons and label_ids[row] else ()
        for name, nested in persons.items():
            for person in range(len(people)):
                changes[f"{path}.$[p{person}].{name}"] = nested[row][person]
        if changes:
            changes["last_modified_at"] = now
            filters = [{f"p{person}.{ID}": ObjectId(label_id)} for person, label_id in enumerate(people)]
            yield UpdateOne({ID: sample_id}, {"$set": changes}, array_filters=filters or None)


def _field_of(values: Iterable) -> Kind | None:
    """Return the (field, field of its items or class of its documents) of plain values; None where nothing tells."""
    telling = [value for value in values if value is not None and value != []]
    kinds = set(map(type, telling))
    if kinds == {int, float}:  # JSON writes 80.0 as 80
        return fo.FloatField, None
    if len(kinds) != 1:
        return None
    if isinstance(telling[0], list):
        items = _field_of(chain.from_iterable(telling))
        return fo.ListField, fo.FloatField if items is None else items[0]
    if isinstance(telling[0], Mapping):
        return fo.EmbeddedDocumentField, getattr(fo, telling[0][CLASS])
    return _SCALAR_FIELDS[kinds.pop()], None


def _flat(nested: Nested) -> Iterator:
    return chain.from_iterable(values for values in nested if values)


def plain(values: Sequence | np.ndarray) -> list:
    """Return Python values, single numbers with None for NaN: a database sorts and filters NaN oddly.

    In lists NaN stays, as in FiftyOne's own points: it cannot read a list of numbers with None in it.
    """
    if not isinstance(values, np.ndarray):
        return list(values)
    if values.ndim > 1 or values.dtype.kind != "f" or np.isfinite(values).all():
        return values.tolist()
    return np.where(np.isfinite(values), values, None).tolist()
