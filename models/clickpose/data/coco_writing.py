"""People as COCO's records: the one writer of annotations, new ones and such as somebody has changed."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import count

import numpy as np

from clickpose.data.coco_categories import JointOrder
from clickpose.data.coco_fields import number_of


def flat_triples(keypoints: np.ndarray, thirds: np.ndarray) -> list:
    """Return COCO's 3K numbers of (K, 2) positions and (K,) third numbers; ``0, 0, 0`` for joints that are NaN."""
    numbers: list = []
    for (x, y), third in zip(np.asarray(keypoints).tolist(), np.asarray(thirds).tolist(), strict=True):
        numbers += [x, y, third] if math.isfinite(x) and math.isfinite(y) else [0, 0, 0]
    return numbers


def person_record(
    keypoints: np.ndarray,
    visibility: np.ndarray,
    *,
    image_id: Hashable,
    category_id: Hashable,
    area: float | None = None,
    box_xywh: np.ndarray | None = None,
    order: JointOrder | None = None,
    crowd: int = 0,
) -> dict:
    """Return COCO's fields of a person, without an id.

    Args:
        keypoints: (K, 2) px; NaN where a joint is not there.
        visibility: (K,) 0, 1, 2 of the joints that are there.
        image_id, category_id: ids.
        area: px²; None for a person without one.
        box_xywh: (4,) px; None for a person without one.
        order: of the joints in the file; by default that of the skeleton.
        crowd: 1 for a region of many people.

    Example:
        >>> joints, flags = np.array([[3.0, 4.0], [np.nan, np.nan]]), np.array([2, 2])
        >>> record = person_record(joints, flags, image_id=1, category_id=1, area=9.0)
        >>> record["keypoints"], record["num_keypoints"]
        ([3.0, 4.0, 2, 0, 0, 0], 1)
    """
    flags = np.where(np.isfinite(keypoints).all(axis=1), visibility, 0).astype(int)
    if order is not None:
        keypoints, flags = order.to_file(keypoints, np.nan), order.to_file(flags, 0).astype(int)
    record: dict = {
        "image_id": image_id,
        "category_id": category_id,
        "iscrowd": crowd,
        "keypoints": flat_triples(keypoints, flags),
        "num_keypoints": int((flags > 0).sum()),
    }
    if box_xywh is not None:
        record["bbox"] = np.asarray(box_xywh).tolist()
    return record if area is None else record | {"area": float(area)}


def replace_joints(
    numbers: Sequence, order: JointOrder, changed: np.ndarray, keypoints: np.ndarray, thirds: np.ndarray
) -> dict:
    """Return ``keypoints`` and ``num_keypoints`` of a record some of whose joints have changed.

    Args:
        numbers: the record's own; those of the other joints stay to the last digit. Zeros stand for what is lacking.
        order: of the joints in the file.
        changed: (K,) bool.
        keypoints: (K, 2) px; NaN where a joint is not there.
        thirds: (K,) third numbers of the joints that are there.
    """
    size = 3 * len(order.joints)
    triples = [*numbers, *[0] * size][:size]
    for place, joint in enumerate(order.joints):
        if joint is not None and changed[joint]:
            triples[3 * place : 3 * place + 3] = flat_triples(keypoints[[joint]], thirds[[joint]])
    return {"keypoints": triples, "num_keypoints": sum(1 for third in triples[2::3] if number_of(third))}


def fresh_ids(taken: Iterable[Hashable]) -> Iterator[Hashable]:
    """Yield ids above those that are taken: whole numbers, as text where all others are text.

    Example:
        >>> next(fresh_ids([7, 3])), next(fresh_ids(["a", "4"])), next(fresh_ids([]))
        (8, '5', 1)
    """
    given = {id_ for id_ in taken if id_ is not None}
    texts = [id_ for id_ in given if isinstance(id_, str)]
    as_text = bool(given) and len(texts) == len(given)
    numbers = [int(id_) for id_ in texts if id_.isdecimal()] if as_text else [n for n in given if isinstance(n, int)]
    first = max(numbers, default=0) + 1
    return map(str, count(first)) if as_text else count(first)
