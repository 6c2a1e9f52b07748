"""Which people of a view a filter of the queue is of, and in which order they come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.field_names import (
    JOINT_ERRORS,
    KEYPOINT_OKS,
    PRED_OKS,
    SETTLED_AT,
    SETTLED_BY,
    TAGS,
    VISIBILITY,
)
from clickpose_fiftyone.followed import FOLLOWED, people_known
from clickpose_fiftyone.label_errors import stored_label_errors
from clickpose_fiftyone.queue_filters import BY_PHOTO, WAITING, QueueFilter
from clickpose_fiftyone.review_log import utc
from clickpose_fiftyone.settling import SETTLED


@dataclass(frozen=True, eq=False, kw_only=True)
class Listed:
    """The people of a view that a filter is of.

    Attributes:
        columns: everybody of the field, with whom somebody rejected.
        shown: the filter.
        done, total: of those that the filter is of, how many are settled, and how many there are.
        by: reviewer -> how many of the settled ones are theirs.
        order: indices of those that it shows, in order.
        wrong: index -> what looks wrong, of labelled people.
    """

    columns: PersonColumns
    shown: QueueFilter
    done: int
    total: int
    by: Counter[str]
    order: list[int]
    wrong: Mapping[int, str]


def listed_people(samples, pred_field: str, shown: QueueFilter) -> Listed:
    """Read who is settled and rank the others, by no more columns than the filter asks for."""
    needed = [PRED_OKS, TAGS, SETTLED_BY]
    needed += [SETTLED_AT] if shown.state != WAITING else []
    needed += [KEYPOINT_OKS, VISIBILITY] if shown.joint else []
    needed += [JOINT_ERRORS] if shown.error and not shown.of_labels else []
    known = people_known(samples, pred_field) if set(needed) <= set(FOLLOWED) else None
    columns = PersonColumns(samples, pred_field, attributes=needed, rejected=True, known=known)
    tags = [frozenset(names or ()) for names in columns.values(TAGS)]
    settled = np.array([not names.isdisjoint(SETTLED) for names in tags], bool)
    rank, wrong = _ranks(columns, shown)
    of_filter = np.isfinite(rank)
    if shown.state == WAITING:
        chosen, key = of_filter & ~settled, rank
    else:
        times = [0.0 if at is None else -utc(at).timestamp() for at in columns.values(SETTLED_AT)]
        chosen, key = of_filter & np.array([shown.state in names for names in tags], bool), np.array(times)
    order = [i for i in np.argsort(key, kind="stable").tolist() if chosen[i]]
    if shown.order == BY_PHOTO:
        first = {row: place for place, row in reversed(list(enumerate(columns.rows[order].tolist())))}
        order.sort(key=lambda person: first[int(columns.rows[person])])
    done = of_filter & settled
    names = columns.values(SETTLED_BY)
    return Listed(
        columns=columns,
        shown=shown,
        done=int(done.sum()),
        total=int(of_filter.sum()),
        by=Counter(names[person] for person in np.flatnonzero(done).tolist() if names[person]),
        order=order,
        wrong=wrong,
    )


def _ranks(columns: PersonColumns, shown: QueueFilter) -> tuple[np.ndarray, dict[int, str]]:
    """Return the (N,) ranks of a filter, lowest first, NaN for those that it is not of; what looks wrong about labels.

    Raises:
        ValueError: if nobody has what it asks for.
    """
    if shown.of_labels:
        return _label_ranks(columns, shown)
    scores = columns.scalars(PRED_OKS)
    if not np.isfinite(scores).any():
        raise ValueError(f'Expected field "{columns.field}" to have people with pred_oks, got none; predict first')
    joint = None if shown.joint is None else columns.skeleton.index(shown.joint)
    if joint is not None:
        own, seen = columns.joints(KEYPOINT_OKS)[:, joint], columns.joints(VISIBILITY)[:, joint]
        scores = np.where((own == 0) & (seen == 0), np.nan, own)  # a joint that is not there is not doubtful
    if shown.error is not None:
        rows = columns.values(JOINT_ERRORS)
        if not any(rows):
            raise ValueError("The errors are not known yet: run the operator “Pose: diagnose errors” first.")
        has = [bool(row) and (shown.kind in row if joint is None else row[joint] == shown.kind) for row in rows]
        scores = np.where(has, scores, np.nan)
    return scores, {}


def _label_ranks(columns: PersonColumns, shown: QueueFilter) -> tuple[np.ndarray, dict[int, str]]:
    """Return the ranks of labelled people by suspicion, and what looks wrong about them."""
    place = {label_id: person for person, label_id in enumerate(columns.label_ids)}
    rank, wrong = np.full(len(columns), np.nan), {}
    for error in stored_label_errors(columns.samples, columns.field):  # most suspicious first
        person = place.get(error.label_id)
        fits = error.kind == shown.kind and shown.joint in (None, error.joint)
        if fits and person is not None and not np.isfinite(rank[person]):
            rank[person], wrong[person] = -error.suspicion, str(error).replace("_", " ")
    return rank, wrong


def page_of(listed: Listed, free: list[int], count: int) -> list[int]:
    """Return the first people; photo by photo, without a photo that does not fit unless it is the first."""
    page = free[:count]
    if listed.shown.order != BY_PHOTO or len(free) <= count:
        return page
    rows = listed.columns.rows
    if rows[free[count]] != rows[page[-1]]:
        return page
    whole = [person for person in page if rows[person] != rows[page[-1]]]
    return whole or [person for person in free if rows[person] == rows[page[0]]]
