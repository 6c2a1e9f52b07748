"""What is kept with a dataset for each of its fields, such as the network that predicted it: in its info, by key.

One field's value is one change of the database's own: what another process keeps of another field meanwhile stays.
"""

from __future__ import annotations

from clickpose_fiftyone.fiftyone_internals import change_record, dataset_of


def keep(samples, key: str, field: str, value) -> None:
    """Keep a value of a field.

    Args:
        samples: a dataset or view.
        key: what it is, see :mod:`clickpose_fiftyone.field_names`.
        field: whose.
        value: plain, or None.
    """
    dataset = dataset_of(samples)
    change_record(dataset, {"$set": {f"info.{key}": {}}}, where={f"info.{key}": None})
    change_record(dataset, {"$set": {f"info.{key}.{field}": value}})
    known = {**(dataset.info.get(key) or {}), field: value}
    dict.__setitem__(dataset.info, key, known)  # not as a change of ours that the next save would write whole


def kept_of(samples, key: str, field: str):
    """Return what is kept of a field; None where nothing is."""
    return (dataset_of(samples).info.get(key) or {}).get(field)
