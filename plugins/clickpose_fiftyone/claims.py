"""Whom each reviewer has in hand: others' queues leave them out until the claim ends, is given back, or runs out.

A claim is one document for each person whose name is the person's: the database lets one reviewer make it, however many
ask at once.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable
from datetime import timedelta

from pymongo import DeleteMany, UpdateOne
from pymongo.errors import BulkWriteError

from clickpose_fiftyone.fiftyone_internals import ID, dataset_id, own_collection
from clickpose_fiftyone.review_log import now

CLAIM_SECONDS = 300  # after which somebody who went away holds nobody any more
_CLAIMS = "claims"
_DUPLICATE = 11000  # somebody else's claim stands


def hold(
    samples, field: str, label_ids: Collection[str], by: str, place: str = "queue", seconds: float = CLAIM_SECONDS
) -> set[str]:
    """Have a reviewer hold exactly these people of a field at one place; whom they held there before is given back.

    Args:
        samples: a dataset or view.
        field: Keypoints field.
        label_ids: whom; those that the reviewer holds already are held longer.
        by: the reviewer.
        place: what of the reviewer's holds them, such as a panel: people may be held at two.
        seconds: after which the claims run out.

    Returns:
        the ids of those that the reviewer has now: others may have been faster.
    """
    claims, dataset, moment = _collection(), dataset_id(samples), now()
    until = moment + timedelta(seconds=seconds)
    names = {label_id: _name(dataset, field, label_id) for label_id in label_ids}
    free = {"$or": [{"by": by}, {"until": {"$lte": moment}}]}
    made = {"dataset": dataset, "field": field, "by": by, "until": until, "place": place}
    asked = [
        UpdateOne({ID: name, **free}, {"$set": {**made, "label_id": label_id}}, upsert=True)
        for label_id, name in names.items()
    ]
    others = {"dataset": dataset, "field": field, "by": by, "place": place, ID: {"$nin": list(names.values())}}
    try:
        claims.bulk_write([DeleteMany(others), *asked], ordered=False)
    except BulkWriteError as error:
        if any(problem["code"] != _DUPLICATE for problem in error.details["writeErrors"]):
            raise
    return {claim["label_id"] for claim in claims.find({"by": by, ID: {"$in": list(names.values())}})}


def give_back(samples, field: str, by: str, label_ids: Iterable[str] | None = None) -> None:
    """Let people go that a reviewer holds; all of the field's where none are named."""
    dataset = dataset_id(samples)
    chosen = {} if label_ids is None else {ID: {"$in": [_name(dataset, field, label_id) for label_id in label_ids]}}
    _collection().delete_many({"dataset": dataset, "field": field, "by": by, **chosen})


def held_by_others(samples, field: str, by: str | None) -> dict[str, str]:
    """Return label id -> the reviewer who has that person in hand, without the claims of one reviewer."""
    wanted = {"dataset": dataset_id(samples), "field": field, "until": {"$gt": now()}}
    return {claim["label_id"]: claim["by"] for claim in _collection().find(wanted) if claim["by"] != by}


def _name(dataset, field: str, label_id: str) -> str:
    return f"{dataset}:{field}:{label_id}"


@functools.cache
def _collection():
    """Return the claims; the database forgets those that ran out by itself."""
    claims = own_collection(_CLAIMS)
    claims.create_index("until", expireAfterSeconds=0)
    claims.create_index([("dataset", 1), ("field", 1)])
    return claims
