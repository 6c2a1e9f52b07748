"""The boxes of a ``<field>_boxes`` field that are linked to poses by an ``fo.Instance``: they follow their pose."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import fiftyone as fo

from clickpose_fiftyone.conversion import instance_of
from clickpose_fiftyone.field_names import BOUNDING_BOX, PRED_OKS


def follow_poses(
    boxes: Iterable[fo.Detection], poses: Iterable[fo.Keypoint], deleted: Collection[str] = ()
) -> list[fo.Detection]:
    """Return the boxes of a photo after its poses have changed; boxes without a link stay as they are.

    Args:
        boxes: the boxes before; those that follow are changed.
        poses: the photo's poses now; one without a link, such as somebody new, gets one and a box.
        deleted: ids of the links of poses that are not there any more; their boxes go too.
    """
    new = [pose for pose in poses if instance_of(pose) is None and _box_of(pose) is not None]
    linked = {link.id: pose for pose in poses if (link := instance_of(pose)) is not None}
    kept = [box for box in boxes if (link := instance_of(box)) is None or link.id not in deleted]
    for box in kept:
        link = instance_of(box)
        if link is not None and link.id in linked:
            _place(box, linked[link.id])
    return kept + [_new_box(pose) for pose in new]


def _new_box(pose: fo.Keypoint) -> fo.Detection:
    pose.instance = fo.Instance()
    box = fo.Detection(label=pose.label, instance=pose.instance)
    _place(box, pose)
    return box


def _place(box: fo.Detection, pose: fo.Keypoint) -> None:
    if _box_of(pose) is not None:
        box.bounding_box = list(_box_of(pose))
    score = pose.get_attribute_value(PRED_OKS, None)
    if score is not None:
        box.confidence = score


def _box_of(pose: fo.Keypoint) -> list[float] | None:
    return pose.get_attribute_value(BOUNDING_BOX, None)
