"""The review queue: the persons with the lowest predicted OKS first, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clickpose_fiftyone.checks import require_keypoints, require_samples
from clickpose_fiftyone.columns import (
    POSE_ATTRIBUTES,
    PersonColumns,
    index_lowest_oks,
    lowest_oks,
    lowest_oks_field,
    people_expression,
)
from clickpose_fiftyone.field_names import (
    ACCEPTED,
    AUTO_ACCEPTED,
    CORRECTED,
    KEYPOINT_OKS,
    MIN_PRED_OKS,
    PRED,
    PRED_OKS,
    REFINED,
    SENT,
    TAGS,
    people_path,
)
from clickpose_fiftyone.fiftyone_internals import dataset_of, raw_columns
from clickpose_fiftyone.people_views import of_photos
from clickpose_fiftyone.person_updates import change_tags

DONE = (ACCEPTED, SENT)  # tags of people whom somebody settled; a refined one waits to be accepted
_OUT_OF_QUEUE = {*DONE, AUTO_ACCEPTED}


@dataclass(frozen=True)
class QueueItem:
    """A person to look at.

    Attributes:
        sample_id, label_id: where it is.
        filepath: the photo.
        pred_oks: predicted OKS of the person.
        box_rel: (left, top, right, bottom) in 0..1 of the photo.
        low_joints: names of its joints with the lowest predicted OKS, worst first.
        refined: whether somebody refined it already.
    """

    sample_id: str
    label_id: str
    filepath: str
    pred_oks: float
    box_rel: tuple[float, float, float, float]
    low_joints: tuple[str, ...]
    refined: bool


@dataclass(frozen=True)
class Queue:
    """The worst persons of a view that nobody has settled yet.

    Attributes:
        items: the persons, worst first.
        done: settled persons of the view, with those that were accepted unseen.
        total: all persons of the view.
    """

    items: tuple[QueueItem, ...]
    done: int
    total: int


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
    patches = worst_samples(samples, pred_field, count).to_patches(pred_field)
    return patches.exists(f"{pred_field}.{PRED_OKS}").sort_by(f"{pred_field}.{PRED_OKS}").limit(count)


@of_photos
def review_queue(samples, pred_field: str = PRED, count: int = 50) -> Queue:
    """Return the persons to look at, worst first, read by columns.

    Raises:
        ValueError: if the field cannot serve or there is no photo.
    """
    require_samples(samples)
    columns, scores, settled = _states(samples, pred_field)
    waiting = _waiting(scores, settled)[:count]
    return Queue(tuple(_queue_items(columns, waiting)), int(settled.sum()), len(columns))


@of_photos
def next_person(samples, pred_field: str, after: str | None = None) -> tuple[str, str] | None:
    """Return (sample id, label id) of the person to look at after another one; after the last comes the worst one.

    None where nobody else waits.

    Raises:
        ValueError: as :func:`review_queue`.
    """
    columns, scores, settled = _states(samples, pred_field)
    ids = columns.label_ids
    here = ids.index(after) if after in ids else None
    order = _waiting(scores, settled)  # one that has just been settled is not in it: then the worst one comes
    start = order.index(here) + 1 if here in order else 0
    person = next((person for person in (*order[start:], *order[:start]) if person != here), None)
    return None if person is None else (columns.sample_ids[columns.rows[person]], ids[person])


def _states(samples, pred_field: str) -> tuple[PersonColumns, np.ndarray, np.ndarray]:
    """Return the persons of a view, their (N,) predicted OKS and who is (N,) settled."""
    columns = PersonColumns(samples, pred_field, attributes=(PRED_OKS, TAGS))
    scores = columns.scalars(PRED_OKS)
    if not np.isfinite(scores).any():
        raise ValueError(f'Expected field "{pred_field}" to have people with pred_oks, got none; predict first')
    settled = np.array([not _OUT_OF_QUEUE.isdisjoint(tags or ()) for tags in columns.values(TAGS)], bool)
    return columns, scores, settled


def _waiting(scores: np.ndarray, settled: np.ndarray) -> list[int]:
    """Return the indices of the persons to look at, worst first."""
    return [i for i in np.argsort(scores, kind="stable").tolist() if not settled[i] and np.isfinite(scores[i])]


def _queue_items(everybody: PersonColumns, chosen: list[int]) -> list[QueueItem]:
    """Return some persons as they are shown; all else of them is read of their photos only."""
    wanted = [everybody.label_ids[person] for person in chosen]
    photos = everybody.samples.select(sorted({everybody.sample_ids[everybody.rows[person]] for person in chosen}))
    columns = PersonColumns(photos, everybody.field, attributes=(PRED_OKS, TAGS, *POSE_ATTRIBUTES))
    (paths,) = raw_columns(photos, {"path": "$filepath"}).values()
    joint_scores = np.where(columns.placed, columns.joints(KEYPOINT_OKS), np.nan)
    names, scores, tags = columns.skeleton.names, columns.scalars(PRED_OKS), columns.values(TAGS)
    boxes = columns.boxes_xyxy / np.tile(columns.image_wh[columns.rows], 2)
    place = {label_id: person for person, label_id in enumerate(columns.label_ids)}
    return [
        QueueItem(
            str(columns.sample_ids[columns.rows[i]]),
            columns.label_ids[i],
            paths[columns.rows[i]],
            float(scores[i]),
            tuple(boxes[i].tolist()),
            tuple(names[j] for j in np.argsort(np.nan_to_num(joint_scores[i], nan=2.0), kind="stable")[:3]),
            REFINED in (tags[i] or ()),
        )
        for i in (place[label_id] for label_id in wanted if label_id in place)
    ]


@of_photos
def count_touched(samples, pred_field: str) -> int:
    """Return how many people of a field somebody accepted or corrected; 0 where there is no such field."""
    if samples.get_field(people_path(pred_field)) is None:
        return 0
    (photos,) = raw_columns(samples, {TAGS: people_expression(pred_field, TAGS)}).values()
    return sum(bool({ACCEPTED, REFINED, CORRECTED} & set(tags or ())) for people in photos for tags in people or ())


def mark_persons(samples, pred_field: str, label_ids, tag: str) -> int:
    """Tag persons by their label ids; returns how many were tagged anew.

    Raises:
        ValueError: if an id is of no person of the field.
    """
    return change_tags(samples, pred_field, label_ids, add=tag)


def unmark_persons(samples, pred_field: str, label_ids, tag: str) -> int:
    """Take a tag from persons; returns how many had it."""
    return change_tags(samples, pred_field, label_ids, remove=tag)
