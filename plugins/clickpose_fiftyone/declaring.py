"""The fields of a dataset: declared, described and deleted, whoever else does so at the same time.

FiftyOne reads a dataset's list of fields, changes it and writes it back whole. Where two do so at once, threads of one
app or processes of a team, the list that is written last forgets the other's field while its values stand in the
photos: FiftyOne then reads no photo of that dataset at all. Here each field is one change of the database's own, which
takes nothing from anybody, and what the database says afterwards is what counts, not what this process remembers.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timezone

import fiftyone as fo
from fiftyone.core.odm import SampleFieldDocument, create_field

from clickpose_fiftyone.fiftyone_internals import (
    change_record,
    dataset_of,
    forget_fields,
    learn_fields,
    photos_collection,
    stored_fields,
)

_TRIES = 20  # FiftyOne's own writing of the list takes milliseconds
_LOCK = threading.RLock()  # the app answers several requests at once, and they share what is known of a dataset
Kind = tuple[type, type | None]  # a field, and the field of its items or the class of its documents


def declare(samples, declared: Mapping[str, Kind | None]) -> None:
    """Have fields in the schema, so that FiftyOne reads the photos that have them, and the app filters by them.

    Args:
        samples: a dataset or view.
        declared: path, such as ``"pred.keypoints.pred_oks"`` -> its field; None of what nothing tells the type of.

    Raises:
        ValueError: naming the first field that holds something else; nothing is declared then.
    """
    dataset, wanted = dataset_of(samples), {path: kind for path, kind in declared.items() if kind is not None}
    with _LOCK:
        for _ in range(_TRIES):
            stored = stored_fields(dataset)
            learn_fields(dataset, stored)
            _refuse_others(dataset, wanted)
            missing = [path for path in wanted if not _is_stored(stored, path.split("."))]
            if not missing:
                return
            for path in missing:
                _push(dataset, path, *wanted[path])
    raise ValueError(f'Others take "{missing[0]}" from the dataset all the time; try again')


def describe(samples, name: str, text: str) -> None:
    """Have the app show a text beside the name of a field of the photos."""
    dataset = dataset_of(samples)
    with _LOCK:
        change_record(dataset, {"$set": {"sample_fields.$[field].description": text}}, [{"field.name": name}])
        learn_fields(dataset, stored_fields(dataset))
        if (field := dataset.get_field(name)) is not None:
            field.description = text


def delete_fields(samples, paths: Collection[str]) -> None:
    """Delete fields with all that they hold: of the photos, or of people; those that are not there are no fault.

    Args:
        samples: a dataset or view.
        paths: such as ``"eval_tp"`` or ``"pred.keypoints.eval"``.
    """
    dataset = dataset_of(samples)
    with _LOCK:
        stored = stored_fields(dataset)
        known = [path for path in paths if _is_stored(stored, path.split("."))]
        for path in known:
            *parents, name = path.split(".")
            holds = {".".join(parents): {"$type": "array"}} if parents else {}
            unset = {"$unset": {".$[].".join([".".join(parents), name]) if parents else name: ""}}
            now = {"$set": {"last_modified_at": datetime.now(timezone.utc)}}
            photos_collection(dataset).update_many(holds, {**unset, **now})
            place, filters = _place(parents)
            change_record(dataset, {"$pull": {place: {"name": name}}}, filters)
        if known:
            forget_fields(dataset, known)
            learn_fields(dataset, stored_fields(dataset))
            dataset.save()  # of the app's own configuration, which named them


def _refuse_others(dataset, wanted: Mapping[str, Kind]) -> None:
    """Refuse fields that are there and hold something else."""
    for path, (kind, inner) in wanted.items():
        field = dataset.get_field(path)
        if field is not None and not _holds(field, kind, inner):
            raise ValueError(
                f'Expected "{path}" to be free or a {_name(kind, inner)}, got {field}; nothing was written'
            )


def _push(dataset, path: str, kind: type, inner: type | None) -> None:
    """Add a field to its parent's list unless it is there already: one change, which the database makes at once."""
    *parents, name = path.split(".")
    given = {"embedded_doc_type" if kind is fo.EmbeddedDocumentField else "subfield": inner}
    field = SampleFieldDocument.from_field(create_field(name, kind, **given)).to_mongo().to_dict()
    now = datetime.now(timezone.utc)
    _date(field, now)
    absent = {"fields" if parents else "sample_fields": {"$not": {"$elemMatch": {"name": name}}}}
    for parent in reversed(parents[1:]):
        absent = {"fields": {"$elemMatch": {"name": parent, **absent}}}
    if parents:
        absent = {"sample_fields": {"$elemMatch": {"name": parents[0], **absent}}}
    place, filters = _place(parents)
    change_record(dataset, {"$push": {place: field}}, filters, absent)


def _place(parents: list[str]) -> tuple[str, list[dict]]:
    """Return where the fields within a field are in a dataset's record, and the filters that this names."""
    within = "".join(f".$[p{depth}].fields" for depth in range(len(parents)))
    return f"sample_fields{within}", [{f"p{depth}.name": parent} for depth, parent in enumerate(parents)]


def _date(field: dict, now: datetime) -> None:
    field["created_at"] = now
    for inner in field.get("fields") or ():
        _date(inner, now)


def _is_stored(fields: list[dict], path: list[str]) -> bool:
    """Tell whether a list of fields as the database keeps it has a field at a path."""
    found: Iterator[dict] = (field for field in fields if field["name"] == path[0])
    field = next(found, None)
    return field is not None and (len(path) == 1 or _is_stored(field.get("fields") or [], path[1:]))


def _holds(field: fo.Field, kind: type, inner: type | None) -> bool:
    """Tell whether a field can hold the values; floats take ints, and lists without a declared type anything."""
    if kind is fo.EmbeddedDocumentField:
        return getattr(field, "document_type", None) is inner
    if inner is not None:
        known = getattr(field, "field", None)
        return isinstance(field, fo.ListField) and (known is None or _holds(known, inner, None))
    return isinstance(field, kind) or (kind is fo.IntField and isinstance(field, fo.FloatField))


def _name(kind: type, inner: type | None) -> str:
    return kind.__name__ if inner is None else f"{kind.__name__}({inner.__name__})"
