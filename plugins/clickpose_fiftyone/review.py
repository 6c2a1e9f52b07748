"""The review queue: the persons with the lowest predicted OKS first, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clickpose_fiftyone.checks import require_keypoints, require_samples
from clickpose_fiftyone.columns import PersonColumns, index_lowest_oks, lowest_oks, lowest_oks_field
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
    person_path,
)
from clickpose_fiftyone.fiftyone_internals import dataset_of, root_dataset_of

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


def review_queue(samples, pred_field: str = PRED, count: int = 50) -> Queue:
    """Return the persons to look at, worst first, read by columns.

    Raises:
        ValueError: if the field cannot serve or there is no photo.
    """
    require_samples(samples)
    columns = PersonColumns(samples, pred_field)
    scores = columns.scalars(PRED_OKS)
    if not np.isfinite(scores).any():
        raise ValueError(f'Expected field "{pred_field}" to have people with pred_oks, got none; predict first')
    tags = [set(known or ()) for known in columns.values(TAGS)]
    settled = np.array([bool(known & _OUT_OF_QUEUE) for known in tags], bool)
    order = np.argsort(scores, kind="stable")
    waiting = [i for i in order.tolist() if not settled[i] and np.isfinite(scores[i])][:count]
    items = _queue_items(columns, scores, tags, waiting)
    return Queue(tuple(items), int(settled.sum()), len(columns))


def _queue_items(columns: PersonColumns, scores, tags, chosen: list[int]) -> list[QueueItem]:
    joint_scores = np.where(columns.placed, columns.joints(KEYPOINT_OKS), np.nan)
    names, paths = columns.skeleton.names, columns.samples.values("filepath")
    boxes = columns.boxes_xyxy / np.tile(columns.image_wh[columns.rows], 2)
    return [
        QueueItem(
            str(columns.sample_ids[columns.rows[i]]),
            columns.label_ids[i],
            paths[columns.rows[i]],
            float(scores[i]),
            tuple(boxes[i].tolist()),
            tuple(names[j] for j in np.argsort(np.nan_to_num(joint_scores[i], nan=2.0), kind="stable")[:3]),
            REFINED in tags[i],
        )
        for i in chosen
    ]


def count_touched(samples, pred_field: str) -> int:
    """Return how many people of a field somebody accepted or corrected; 0 where there is no such field."""
    if samples.get_field(people_path(pred_field)) is None:
        return 0
    photos = samples.values(person_path(pred_field, TAGS))
    return sum(bool({ACCEPTED, REFINED, CORRECTED} & set(tags or ())) for people in photos for tags in people or ())


def mark_persons(samples, pred_field: str, label_ids, tag: str) -> int:
    """Tag persons by their label ids; returns how many were tagged anew.

    Raises:
        ValueError: if an id is of no person of the field.
    """
    dataset = root_dataset_of(samples)
    wanted = list(dict.fromkeys(label_ids))
    view = dataset.select_labels(ids=wanted, fields=pred_field)
    found = [label_id for ids in view.values(person_path(pred_field, "id")) for label_id in ids or ()]
    if missing := set(wanted) - set(found):
        raise ValueError(f'Expected ids of persons of field "{pred_field}", got {len(missing)} others')
    before = view.count_label_tags(pred_field).get(tag, 0)
    view.tag_labels(tag, label_fields=pred_field)
    return len(found) - before


def unmark_persons(samples, pred_field: str, label_ids, tag: str) -> None:
    """Take a tag from persons."""
    root_dataset_of(samples).select_labels(ids=list(label_ids), fields=pred_field).untag_labels(
        tag, label_fields=pred_field
    )
