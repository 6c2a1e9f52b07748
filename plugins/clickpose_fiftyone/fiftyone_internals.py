"""Everything private of FiftyOne that we rely on, each in a function that says what it stands for.

No other module of the plugin touches a name of FiftyOne that begins with an underscore; a test reads the code for it.
``tests/plugins/test_fiftyone_internals.py`` is the contract: where a version of FiftyOne changes one of these, it fails
with a sentence that names the function to mend.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from itertools import islice

import fiftyone as fo
import fiftyone.utils.annotations as foua
from fiftyone.core.json import stringify
from fiftyone.core.odm import SampleFieldDocument, bulk_write, get_db_conn
from mongoengine.base import EmbeddedDocumentList as BaseList

from clickpose_fiftyone.collector import collector_paused

ID = "_id"  # of a document as the database keeps it: photos and labels; an ObjectId
_PHOTOS_AT_ONCE = 5_000
CLASS = "_cls"  # of an embedded document: the name of its class


def dataset_of(samples) -> fo.Dataset:
    """Return the dataset that a view's columns are written to; of a view of patches or frames, the generated one."""
    return samples._dataset


def root_dataset_of(samples) -> fo.Dataset:
    """Return the dataset that the user opened, also of a view of patches or frames."""
    return samples._root_dataset


def is_patches(samples) -> bool:
    """Tell whether the elements of a view are people cut out of photos (``to_patches``)."""
    return samples._is_patches


def is_generated(samples) -> bool:
    """Tell whether a view's documents are copies, of patches or frames, whose writes FiftyOne carries on."""
    return samples._is_generated


def serialized_view(samples) -> list:
    """Return the stages of a view as an operator's request holds them."""
    return samples.view()._serialize()


def object_ids(samples) -> list:
    """Return the S photos' ids as the database compares them, in the view's order."""
    return samples.values(ID)


def photos_collection(samples):
    """Return the database's own collection of a dataset's photos, for single reads and updates that must be at once."""
    return samples._dataset._sample_collection


def own_collection(name: str):
    """Return a collection of ours beside FiftyOne's own in its database; documents say whose they are (``dataset``)."""
    return get_db_conn()[f"clickpose.{name}"]


def dataset_id(samples):
    """Return what tells the dataset that the user opened from others, also from one of its name that was deleted."""
    return root_dataset_of(samples)._doc.id


def known_dataset_ids() -> list:
    """Return the ids of all datasets that there are, views of patches and frames among them."""
    return list(get_db_conn()["datasets"].distinct(ID))


@collector_paused()
def raw_columns(samples, expressions: Mapping[str, object]) -> dict[str, list]:
    """Read columns of a view's S photos at once, as the database keeps them.

    ``values`` reads the collection anew for each column and makes a field's objects of every item, which takes most of
    its time: ten times as long for positions.

    Args:
        samples: a dataset or view.
        expressions: name of a column -> aggregation expression of the database.

    Returns:
        name -> S values; None where a photo has none.
    """
    columns: dict[str, list] = {name: [] for name in expressions}
    for batch in raw_batches(samples, expressions):
        for name, values in batch.items():
            columns[name] += values
    return columns


def raw_batches(samples, expressions: Mapping[str, object]) -> Iterator[dict[str, list]]:
    """Yield what :func:`raw_columns` reads for some thousand photos at a time."""
    keys = {name: f"c{number}" for number, name in enumerate(expressions)}
    projection = {keys[name]: expression for name, expression in expressions.items()}
    photos = iter(samples._aggregate(pipeline=[{"$project": {ID: True, **projection}}]))
    while rows := list(islice(photos, _PHOTOS_AT_ONCE)):
        yield {name: [row.get(key) for row in rows] for name, key in keys.items()}


def is_annotatable(samples, field: str) -> bool:
    """Tell whether the app lets people place and move the labels of a field, in the *Annotate* tab of a sample.

    FiftyOne 1.20 to 1.22 do not for keypoints; where a version says that it does, the Refine panel goes on from there.
    """
    try:
        from fiftyone.core.annotation.utils import get_supported_app_annotation_fields
    except ImportError:
        return False
    try:
        return field in get_supported_app_annotation_fields(dataset_of(samples))
    except ValueError:  # of media that it does not know
        return False


def app_samples(samples, ids: Sequence[str]) -> list[dict]:
    """Return samples of a view as the app is sent them, ready to travel, without those that are not in it."""
    return [stringify(sample) for sample in samples.select(list(ids))._aggregate()]


def last_change(samples) -> tuple:
    """Return what differs after any change of a dataset's photos or of what is kept with it: a few milliseconds."""
    dataset = samples._dataset
    photos = photos_collection(samples)
    newest = photos.find_one({}, {"last_modified_at": True}, sort=[("last_modified_at", -1)])
    return (
        dataset._doc.id, photos.estimated_document_count(), newest and newest.get("last_modified_at"),
        dataset._doc.last_modified_at,
    )  # fmt: skip


def dataset_version(dataset) -> tuple:
    """Return the dataset's id and what differs after a change of its fields or of what is kept with it."""
    return dataset._doc.id, dataset._doc.last_modified_at


def change_record(dataset, update: Mapping, filters: Sequence[Mapping] = (), where: Mapping | None = None) -> None:
    """Change the record of a dataset in the database at once, which says when; so does this process's copy.

    Args:
        dataset: a dataset.
        update: the database's operators.
        filters: of the places in lists that the update names.
        where: what must be so, else nothing is changed.
    """
    now = datetime.now(timezone.utc)
    dated = {**update, "$set": {**update.get("$set", {}), "last_modified_at": now}}
    query = {ID: dataset._doc.id, **(where or {})}
    done = get_db_conn()["datasets"].update_one(query, dated, array_filters=list(filters) or None)
    if done.modified_count:
        dataset._doc._data["last_modified_at"] = now.replace(tzinfo=None)


def stored_fields(dataset) -> list[dict]:
    """Return the fields of a dataset's photos as the database keeps them now, each with its own ``fields``."""
    found = get_db_conn()["datasets"].find_one({ID: dataset._doc.id}, {"sample_fields": True})
    return list((found or {}).get("sample_fields") or ())


def learn_fields(dataset, stored: Sequence[Mapping]) -> None:
    """Let this process know fields that the database has: the class of its photos, those that are loaded with it."""
    if _unknown(dataset._sample_doc_cls, stored) or _unlisted(dataset._doc.sample_fields, stored):
        documents = [SampleFieldDocument.from_dict(dict(field)) for field in stored]
        _learn(dataset, dataset._sample_doc_cls, "", documents)
        _list_fields(dataset, documents)


def forget_fields(dataset, paths: Collection[str]) -> None:
    """Let this process forget fields that the database does not have any more, and what loaded photos held in them."""
    for path in paths:
        *parents, name = path.split(".")
        owner = _fields_within(dataset.get_field(".".join(parents))) if parents else dataset._sample_doc_cls
        if owner is not None and name in owner._fields:
            owner._undeclare_field(name)
    held = fo.Sample._instances.get(dataset._sample_collection_name)
    for reference in held.valuerefs() if held else ():  # a copy: others load photos meanwhile
        if (sample := reference()) is not None:
            for path in paths:
                sample._doc._data.pop(path, None)
            sample.reload()
    dataset.app_config._delete_paths(paths)


def _list_fields(dataset, documents: list) -> None:
    """Have the dataset's own list of fields be this one; nothing of it is written when somebody saves the dataset."""
    listed = BaseList(documents, dataset._doc, "sample_fields")
    dataset._doc._data["sample_fields"] = dataset._doc._reload("sample_fields", listed)


def _fields_within(field):
    """Return what holds the fields of an embedded document, also of a list of them; None for other fields."""
    while isinstance(field, fo.ListField):
        field = field.field
    return field if isinstance(field, fo.EmbeddedDocumentField) else None


def _unknown(owner, stored: Sequence[Mapping]) -> bool:
    """Tell whether a class of photos, or the field of embedded documents, lacks one of the fields."""
    for field in stored:
        if field["name"] not in owner._fields:
            return True
        inner = _fields_within(owner._fields[field["name"]]) if field.get("fields") else None
        if inner is not None and _unknown(inner, field["fields"]):
            return True
    return False


def _unlisted(documents, stored: Sequence[Mapping]) -> bool:
    """Tell whether a list of fields that this process keeps is another one than the database's."""
    if [(doc.name, doc.description) for doc in documents] != [(f["name"], f.get("description")) for f in stored]:
        return True
    pairs = zip(documents, stored, strict=True)
    return any(_unlisted(document.fields or (), field.get("fields") or ()) for document, field in pairs)


def _learn(dataset, owner, path: str, documents: Sequence) -> None:
    for document in documents:
        if document.name not in owner._fields:
            owner._declare_field(dataset, f"{path}{document.name}", document)
        elif document.fields and (inner := _fields_within(owner._fields[document.name])) is not None:
            _learn(dataset, inner, f"{path}{document.name}.", document.fields)


def view_of_stages(dataset, stages: list):
    """Return the view of a dataset whose stages :func:`serialized_view` gave."""
    return fo.DatasetView._build(dataset, stages)


def stages_of(samples) -> list:
    """Return what a view consists of, comparable: without the numbers that the app gives its stages."""
    return [[stage["_cls"], stage["kwargs"]] for stage in serialized_view(samples)]


def write_operations(samples, operations: Iterable, ordered: bool = False) -> None:
    """Write to a dataset's photos in batches; samples that are loaded are not told, see :func:`loaded_samples`.

    Args:
        samples: a dataset or view.
        operations: pymongo's, one a photo; of some that are made as they are written, not all are held at once.
        ordered: one after another, where several are of a photo.
    """
    operations, photos = iter(operations), photos_collection(samples)
    while batch := list(islice(operations, _PHOTOS_AT_ONCE)):
        bulk_write(batch, photos, ordered=ordered)


def loaded_samples(samples) -> Mapping[str, fo.Sample]:
    """Return the samples of a dataset that somebody holds in this process, by id: a mapping that changes as they go.

    FiftyOne's own bulk writes read each of them anew, and make objects of all that they hold: 50 ms a photo.
    """
    return fo.Sample._instances.get(samples._dataset._sample_collection_name) or {}


def set_loaded(document, **values) -> None:
    """Let a loaded sample or label know values that were written to the database; saving it writes none of them.

    Labels go in as they are: checking them makes an object of each, 0.3 ms, whether anybody looks at it or not.
    """
    backing = getattr(document, "_doc", document)
    changed = list(backing._changed_fields)
    for name, value in values.items():
        if isinstance(value, fo.Label):
            backing._data[name] = value
        else:
            setattr(backing, name, value)
    backing._changed_fields = changed


class _LateLabels(list):
    """The documents of a label's list, made into objects when somebody looks at them: that takes 0.3 ms each."""

    def __init__(self, kind: type, documents: Sequence[Mapping]):
        super().__init__()
        self._make, self._documents = kind._fields[list_name(kind)].field.document_type.from_dict, documents

    def __len__(self) -> int:
        return len(self._documents)

    def __iter__(self):
        return map(self._make, self._documents)


def late_labels(kind: type, documents: Sequence[Mapping]) -> fo.Label:
    """Return labels of a class of several labels as the database keeps them, made into objects when they are read."""
    labels = kind()
    labels._data[list_name(kind)] = _LateLabels(kind, documents)
    return labels


def list_name(kind: type) -> str:
    """Return where a class of several labels keeps them: ``"keypoints"`` of ``fo.Keypoints``."""
    return kind._LABEL_LIST_FIELD


def own_attributes(kind: type) -> set[str]:
    """Return the attributes that each label of a class of several labels has without being declared."""
    return {ID, CLASS, *kind._fields[list_name(kind)].field.document_type._fields}


def take_parameters(config: foua.AnnotationBackendConfig, **parameters) -> None:
    """Set a backend's parameters: those that are given, else those of ``fo.annotation_config``, else none."""
    config._load_parameters(**parameters)


class RestoredResults:
    """Mix-in for the stored results of a run, of an evaluation or an annotation: :meth:`restore` reads them back.

    FiftyOne calls a private class method with what it has stored, the collection, the configuration and the run's name.
    """

    @classmethod
    def restore(cls, stored: dict, samples, config, key: str, **kwargs):
        """Return the results of a run from what was stored of them."""
        raise NotImplementedError

    @classmethod
    def _from_dict(cls, d, samples, config, key, **kwargs):
        return cls.restore(d, samples, config, key, **kwargs)
