"""The labels of the photos that were sent: as they are now, and written when they come back."""

from __future__ import annotations

import fiftyone as fo

from clickpose_fiftyone.column_writes import label_documents, write_labels
from clickpose_fiftyone.conversion import instance_of
from clickpose_fiftyone.derived import refresh_derived
from clickpose_fiftyone.field_names import PRED_OKS, boxes_field_of, person_path
from clickpose_fiftyone.linked_boxes import follow_poses

Labels = dict[str, dict[str, fo.Keypoint]]  # sample id -> label id -> label


def current_labels(dataset, field: str, sample_ids: list[str]) -> Labels:
    view = dataset.select(sample_ids)
    ids, labels = view.values(["id", field])
    return {
        sample_id: {label.id: label for label in (found.keypoints if found is not None else [])}
        for sample_id, found in zip(ids, labels, strict=True)
    }


def store_labels(dataset, field: str, before: Labels, labels: Labels) -> None:
    """Write all photos' labels at once, with what depends on them."""
    view = dataset.select(list(labels), ordered=True)
    boxes = _following_boxes(view, field, before, labels)  # first: somebody new gets the link from the box
    people = [label_documents(fo.Keypoints(keypoints=list(found.values()))) for found in labels.values()]
    write_labels(view, {field: (fo.Keypoints, people), **boxes})
    if dataset.get_field(person_path(field, PRED_OKS)) is not None:
        refresh_derived(view, field)


def _following_boxes(view, field: str, before: Labels, labels: Labels) -> dict:
    """Return the linked boxes for :func:`write_labels`: moved, of somebody new, gone; nothing where there are none."""
    boxes_field = boxes_field_of(field)
    if view.get_field(boxes_field) is None:
        return {}
    written = []
    for boxes, old, new in zip(view.values(boxes_field), before.values(), labels.values(), strict=True):
        gone = {link.id for key, label in old.items() if key not in new and (link := instance_of(label)) is not None}
        detections = follow_poses([] if boxes is None else boxes.detections, list(new.values()), gone)
        written.append(label_documents(fo.Detections(detections=detections)))
    return {boxes_field: (fo.Detections, written)}
