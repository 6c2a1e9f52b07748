"""The review queue: the persons with the lowest predicted OKS first, and what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from fiftyone import ViewField as F

from clickpose_fiftyone.checks import people, plural, require_keypoints, require_samples
from clickpose_fiftyone.claims import held_by_others
from clickpose_fiftyone.columns import (
    POSE_ATTRIBUTES,
    PersonColumns,
    index_lowest_oks,
    lowest_oks,
    lowest_oks_field,
)
from clickpose_fiftyone.field_names import (
    ACCEPTED,
    KEYPOINT_OKS,
    MIN_PRED_OKS,
    PRED,
    PRED_OKS,
    REFINED,
    REJECTED,
    SENT,
    SETTLED_AT,
    SETTLED_BY,
    TAGS,
    joints_field_of,
)
from clickpose_fiftyone.fiftyone_internals import dataset_of, raw_columns
from clickpose_fiftyone.label_errors import LabelError, stored_label_errors
from clickpose_fiftyone.people_views import of_photos, patches_with_their_joints, photos_of
from clickpose_fiftyone.person_updates import change_tags, find_people, require_found
from clickpose_fiftyone.queue_filters import WAITING, QueueFilter, stored_filter
from clickpose_fiftyone.queue_order import Listed, listed_people, page_of
from clickpose_fiftyone.settling import SETTLED, settle

DONE = (ACCEPTED, SENT)  # tags of people whom somebody settled; a refined one waits to be accepted


@dataclass(frozen=True, kw_only=True)
class QueueItem:
    """A person to look at.

    Attributes:
        sample_id, label_id: where it is.
        filepath: the photo.
        pred_oks: predicted OKS of the person; NaN of a labelled one.
        box_rel: (left, top, right, bottom) in 0..1 of the photo.
        low_joints: names of its joints with the lowest predicted OKS, worst first.
        refined: whether somebody refined it already.
        settled_by, settled_at: who settled it, and when; None while it waits.
        wrong: what looks wrong about it, of a labelled person.
    """

    sample_id: str
    label_id: str
    filepath: str
    pred_oks: float
    box_rel: tuple[float, float, float, float]
    low_joints: tuple[str, ...]
    refined: bool
    settled_by: str | None = None
    settled_at: datetime | None = None
    wrong: str = ""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """The people of a view that a reviewer looks at.

    Attributes:
        items: the first of them, in the order in which they come.
        done: settled people of the view, with those that were accepted unseen, among those that the filter is of.
        total: all people of the view that the filter is of.
        found: how many people the filter shows, in others' hands or not.
        by: reviewer -> how many of the settled ones are theirs.
        held: reviewer -> how many others have in hand, who are left out.
    """

    items: tuple[QueueItem, ...]
    done: int
    total: int
    found: int = 0
    by: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)


@of_photos
def worst_samples(samples, pred_field: str = PRED, count: int | None = None):
    """Return a view of the photos by their lowest predicted OKS, worst first; photos without people are left out.

    Args:
        samples: a dataset or view of images.
        pred_field: Keypoints field with predictions.
        count: how many photos; None for all.

    Raises:
        ValueError: if there are no predicted OKS.
    """
    require_keypoints(samples, pred_field)
    if lowest_oks_field(samples) != pred_field:
        columns = PersonColumns(dataset_of(samples), pred_field)
        scores = columns.scalars(PRED_OKS)
        if not np.isfinite(scores).any():
            raise ValueError(f'Expected field "{pred_field}" to have pred_oks, got none; predict first')
        columns.write_all({}, lowest_oks(columns, scores))
        index_lowest_oks(columns)
    view = samples.exists(MIN_PRED_OKS).sort_by(MIN_PRED_OKS)
    return view if count is None else view.limit(count)


@of_photos
def worst_persons(samples, pred_field: str = PRED, count: int = 50):
    """Return a patches view of the persons with the lowest predicted OKS, worst first.

    The worst ``count`` persons are in the ``count`` photos with the lowest minimum, so only those are cut into patches.

    Raises:
        ValueError: if there are no predicted OKS, or the count is below 1.
    """
    if count < 1 or count != int(count):
        raise ValueError(f"Expected a whole count of at least 1, got {count}")
    # with the coloured joints: the app would put a field that was away below the others, and draw it under them
    joints = [name for name in (joints_field_of(pred_field),) if samples.get_field(name) is not None]
    patches = worst_samples(samples, pred_field, count).to_patches(pred_field, other_fields=joints or None)
    people = patches.exists(f"{pred_field}.{PRED_OKS}").match(~F(f"{pred_field}.{TAGS}").contains(REJECTED))
    return patches_with_their_joints(people.sort_by(f"{pred_field}.{PRED_OKS}").limit(count), pred_field)


@of_photos
def review_queue(
    samples, pred_field: str = PRED, count: int = 50, shown: QueueFilter | None = None, by: str | None = None
) -> Queue:
    """Return the people to look at, worst first, read by columns.

    Args:
        samples: a dataset or view of images.
        pred_field: Keypoints field; of labelled people where the filter is of their errors.
        count: how many people at most; photo by photo, the last photo is whole where it fits.
        shown: which people; by default those who wait.
        by: the reviewer, whom nobody is shown that others have in hand; None to show everybody.

    Raises:
        ValueError: if the field cannot serve or there is no photo.
    """
    require_samples(samples)
    listed = listed_people(samples, pred_field, shown or QueueFilter())
    held = _held(samples, pred_field, listed.shown, by)
    ids = listed.columns.label_ids
    free = [person for person in listed.order if ids[person] not in held]
    return Queue(
        items=tuple(_queue_items(listed, page_of(listed, free, count))),
        done=listed.done,
        total=listed.total,
        found=len(listed.order),
        by=dict(listed.by.most_common()),
        held=dict(Counter(held[ids[person]] for person in listed.order if ids[person] in held)),
    )


@of_photos
def people_shown(samples, pred_field: str, shown: QueueFilter, by: str | None = None) -> dict[str, str]:
    """Return label id -> sample id of all people that a filter shows, in its order, without those in others' hands.

    Raises:
        ValueError: as :func:`review_queue`.
    """
    listed = listed_people(samples, pred_field, shown)
    held = _held(samples, pred_field, shown, by)
    columns = listed.columns
    return {
        columns.label_ids[person]: columns.sample_ids[columns.rows[person]]
        for person in listed.order
        if columns.label_ids[person] not in held
    }


@of_photos
def next_person(samples, pred_field: str, after: str | None = None, by: str | None = None) -> tuple[str, str] | None:
    """Return (sample id, label id) of the person to look at after another one; after the last comes the worst one.

    Args:
        samples: a dataset or view of images.
        pred_field: Keypoints field.
        after: label id of the person that is looked at now.
        by: the reviewer, whose filter counts, and whom nobody is given that others have in hand.

    Returns:
        None where nobody else waits.

    Raises:
        ValueError: as :func:`review_queue`.
    """
    shown = stored_filter(samples, by)
    if shown.state != WAITING or shown.of_labels:
        shown = QueueFilter(order=shown.order)
    listed, held = listed_people(samples, pred_field, shown), _held(samples, pred_field, shown, by)
    columns = listed.columns
    ids = columns.label_ids
    here = ids.index(after) if after in ids else None
    order = [person for person in listed.order if ids[person] not in held or person == here]
    start = order.index(here) + 1 if here in order else 0  # one that has just been settled is not in it
    person = next((person for person in (*order[start:], *order[:start]) if person != here), None)
    return None if person is None else (columns.sample_ids[columns.rows[person]], ids[person])


def _held(samples, pred_field: str, shown: QueueFilter, by: str | None) -> dict[str, str]:
    """Return label id -> reviewer of those whom a reviewer is not shown; nobody's is hidden from nobody."""
    return {} if by is None or shown.state != WAITING else held_by_others(samples, pred_field, by)


def _queue_items(listed: Listed, chosen: list[int]) -> list[QueueItem]:
    """Return some people as they are shown; all else of them is read of their photos only."""
    everybody = listed.columns
    wanted = {everybody.label_ids[person]: person for person in chosen}
    photos = everybody.samples.select(sorted({everybody.sample_ids[everybody.rows[person]] for person in chosen}))
    needed = (PRED_OKS, TAGS, SETTLED_BY, SETTLED_AT, *POSE_ATTRIBUTES)
    columns = PersonColumns(photos, everybody.field, attributes=needed, rejected=True)
    (paths,) = raw_columns(photos, {"path": "$filepath"}).values()
    joint_scores = np.where(columns.placed, columns.joints(KEYPOINT_OKS), np.nan)
    names, scores, tags = columns.skeleton.names, columns.scalars(PRED_OKS), columns.values(TAGS)
    boxes = columns.boxes_xyxy / np.tile(columns.image_wh[columns.rows], 2)
    place = {label_id: person for person, label_id in enumerate(columns.label_ids)}
    return [
        QueueItem(
            sample_id=str(columns.sample_ids[columns.rows[i]]),
            label_id=columns.label_ids[i],
            filepath=paths[columns.rows[i]],
            pred_oks=float(scores[i]),
            box_rel=tuple(boxes[i].tolist()),
            low_joints=tuple(names[j] for j in np.argsort(np.nan_to_num(joint_scores[i], nan=2.0), kind="stable")[:3]),
            refined=REFINED in (tags[i] or ()),
            settled_by=columns.values(SETTLED_BY)[i],
            settled_at=columns.values(SETTLED_AT)[i],
            wrong=listed.wrong.get(person, ""),
        )
        for i, person in ((place[label_id], person) for label_id, person in wanted.items() if label_id in place)
    ]


def sending_plan(samples, pred_field: str) -> str:
    """Return what sending a view to Label Studio will send: photos whole, so that others of them go along."""
    photos = photos_of(samples, people=False)
    columns = PersonColumns(photos, pred_field, attributes=(TAGS,))
    before = sum(SENT in (tags or ()) for tags in columns.values(TAGS))
    text = f"{people(len(columns))} in {plural(len(columns.counts), 'photo')} will be sent and leave the queue"
    return f"{text}; {before} of them were sent before." if before else f"{text}. That can be taken back."


def open_label_errors(dataset, gt_field: str) -> tuple[LabelError, ...]:
    """Return what looks wrong about labelled people, most suspicious first, without those whom somebody settled."""
    found = stored_label_errors(dataset, gt_field)
    people = find_people(dataset, gt_field, {error.label_id for error in found}, {error.sample_id for error in found})
    settled = {label_id for label_id, person in people.items() if set(SETTLED) & set(person.tags or ())}
    return tuple(error for error in found if error.label_id in people and error.label_id not in settled)


@of_photos
def mark_persons(samples, pred_field: str, label_ids, tag: str, by: str | None = None) -> int:
    """Tag persons by their label ids; returns how many were tagged anew.

    Args:
        samples: a dataset or view.
        pred_field: Keypoints field.
        label_ids: whom.
        tag: one that settles them is noted in the history of the review; people whom somebody settled stay.
        by: who does it; by default who runs this process.

    Raises:
        ValueError: if an id is of no person of the field.
    """
    if tag not in SETTLED:
        return change_tags(samples, pred_field, label_ids, add=tag)
    ids = list(label_ids)
    require_found(pred_field, ids, find_people(samples, pred_field, ids))
    return settle(samples, pred_field, ids, tag, by).count


def unmark_persons(samples, pred_field: str, label_ids, tag: str) -> int:
    """Take a tag from persons; returns how many had it."""
    return change_tags(samples, pred_field, label_ids, remove=tag)
