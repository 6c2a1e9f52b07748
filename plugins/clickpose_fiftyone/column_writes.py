"""Columns into the database: one operation a photo, however many attributes are written.

FiftyOne's ``set_values`` makes one operation a person and attribute, and with ``dynamic=True`` looks at the type of
every value; here a column is declared once, and all columns of a photo travel together. People are found by their ids,
so somebody who adds or deletes people meanwhile does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from itertools import chain

import fiftyone as fo
import numpy as np
from bson import ObjectId
from pymongo import UpdateOne

_SCALAR_FIELDS = {bool: fo.BooleanField, int: fo.IntField, float: fo.FloatField, str: fo.StringField}
Nested = list[list | None]


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
    _declare(samples, declared)
    if samples._is_generated:  # patches and frames: FiftyOne carries each column on to the dataset they come from
        for name, nested in persons.items():
            samples.set_values(f"{path}.{name}", nested)
        for name, values in photos.items():
            samples.set_values(name, values)
        return
    sample_ids = samples.values("_id")
    operations = list(_operations(sample_ids, path, label_ids, persons, photos))
    if operations:
        samples._dataset._bulk_write(operations, ids=sample_ids)


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
            filters = [{f"p{person}._id": ObjectId(label_id)} for person, label_id in enumerate(people)]
            yield UpdateOne({"_id": sample_id}, {"$set": changes}, array_filters=filters or None)


def _declare(samples, declared: Mapping[str, tuple[type, type | None] | None]) -> None:
    """Add what is new to the schema, so that the app can filter by it.

    Raises:
        ValueError: naming the first field that holds something else.
    """
    new = {}
    for path, wanted in declared.items():
        if wanted is None:  # only None or empty lists: nothing tells the type
            continue
        kind, inner = wanted
        field = samples.get_field(path)
        if field is None:
            new[path] = {"ftype": kind} if inner is None else {"ftype": kind, "subfield": inner}
        elif not _holds(field, kind, inner):
            raise ValueError(
                f'Expected "{path}" to be free or a {_name(kind, inner)}, got {field}; nothing was written'
            )
    for path, kwargs in new.items():
        samples._dataset.add_sample_field(path, **kwargs)


def _holds(field: fo.Field, kind: type, inner: type | None) -> bool:
    """Tell whether a field can hold the values; floats take ints, and lists without a declared type anything."""
    if inner is not None:
        known = getattr(field, "field", None)
        return isinstance(field, fo.ListField) and (known is None or _holds(known, inner, None))
    return isinstance(field, kind) or (kind is fo.IntField and isinstance(field, fo.FloatField))


def _name(kind: type, inner: type | None) -> str:
    return kind.__name__ if inner is None else f"{kind.__name__}({inner.__name__})"


def _field_of(values: Iterable) -> tuple[type, type | None] | None:
    """Return the (field, field of its items) of plain values by the first one that tells; None where none does."""
    telling = (value for value in values if value is not None and value != [])
    first = next(telling, None)
    if not isinstance(first, list):
        return None if first is None else (_SCALAR_FIELDS[type(first)], None)
    items = _field_of(chain.from_iterable(chain([first], telling)))
    return (fo.ListField, fo.FloatField if items is None else items[0])


def _flat(nested: Nested) -> Iterator:
    return chain.from_iterable(values for values in nested if values)


def plain(values: Sequence | np.ndarray) -> list:
    """Return Python values with None for NaN: a database sorts and filters NaN oddly, and JSON has none."""
    if not isinstance(values, np.ndarray):
        return list(values)
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return values.tolist()
    return np.where(np.isfinite(values), values, None).tolist()
