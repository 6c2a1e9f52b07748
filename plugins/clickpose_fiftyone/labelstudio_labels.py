"""The labels of the photos that were sent: as they are now, and written when they come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

import fiftyone as fo

from clickpose_fiftyone.column_writes import label_documents, write_labels
from clickpose_fiftyone.conversion import instance_of
from clickpose_fiftyone.derived import refresh_derived
from clickpose_fiftyone.field_names import PRED_OKS, boxes_field_of, person_path
from clickpose_fiftyone.linked_boxes import follow_poses

Labels = dict[str, dict[str, fo.Keypoint]]  # sample id -> label id -> label


def current_labels(dataset, field: str, sample_ids: Sequence[str]) -> tuple[Labels, dict[str, datetime]]:
    """Return the people of those of some photos that are there, and when each photo was changed last."""
    view = dataset.select(list(sample_ids))
    ids, labels, times = view.values(["id", field, "last_modified_at"])
    people = {
        sample_id: {label.id: label for label in (found.keypoints if found is not None else [])}
        for sample_id, found in zip(ids, labels, strict=True)
    }
    return people, {sample_id: aware(time) for sample_id, time in zip(ids, times, strict=True) if time is not None}


def aware(time: datetime) -> datetime:
    """Return a time of the database, which is UTC, as one that says so."""
    return time if time.tzinfo is not None else time.replace(tzinfo=timezone.utc)


def store_labels(
    dataset, field: str, before: Labels, labels: Labels, boxes: Mapping[str, Sequence[fo.Detection]] | None = None
) -> None:
    """Write all people of some photos at once, with what depends on them.

    Args:
        dataset: where to.
        field: Keypoints field.
        before, labels: the people of the photos before and now.
        boxes: sample id -> linked boxes of people who are there again.
    """
    view = dataset.select(list(labels), ordered=True)
    following = _following_boxes(view, field, before, labels, boxes or {})  # first: somebody new gets a link with it
    people = [label_documents(fo.Keypoints(keypoints=list(found.values()))) for found in labels.values()]
    write_labels(view, {field: (fo.Keypoints, people), **following})
    if dataset.get_field(person_path(field, PRED_OKS)) is not None:
        refresh_derived(view, field)


def linked_boxes(dataset, field: str, labels: Labels) -> dict[str, list[fo.Detection]]:
    """Return sample id -> the boxes that are linked to some people; nothing where the field has none."""
    if dataset.get_field(boxes_field_of(field)) is None or not labels:
        return {}
    view = dataset.select(list(labels), ordered=True)
    found = {}
    for sample_id, boxes in zip(labels, view.values(boxes_field_of(field)), strict=True):
        links = {link.id for label in labels[sample_id].values() if (link := instance_of(label)) is not None}
        known = [] if boxes is None else boxes.detections
        found[sample_id] = [box for box in known if (link := instance_of(box)) is not None and link.id in links]
    return found


def _following_boxes(view, field: str, before: Labels, labels: Labels, back: Mapping) -> dict:
    """Return the linked boxes for :func:`write_labels`: moved, of somebody new, gone; nothing where there are none."""
    boxes_field = boxes_field_of(field)
    if view.get_field(boxes_field) is None:
        return {}
    written = []
    for sample_id, boxes in zip(labels, view.values(boxes_field), strict=True):
        old, new = before[sample_id], labels[sample_id]
        gone = {link.id for key, label in old.items() if key not in new and (link := instance_of(label)) is not None}
        known = [] if boxes is None else boxes.detections
        links = {link.id for box in known if (link := instance_of(box)) is not None}
        again = [box for box in back.get(sample_id, ()) if instance_of(box).id not in links]
        links |= {instance_of(box).id for box in again}
        again += [
            fo.Detection(label=label.label, instance=link)
            for key, label in new.items()
            if key not in old and (link := instance_of(label)) is not None and link.id not in links
        ]
        detections = follow_poses([*known, *again], list(new.values()), gone)
        written.append(label_documents(fo.Detections(detections=detections)))
    return {boxes_field: (fo.Detections, written)}
