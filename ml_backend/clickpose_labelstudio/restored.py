"""People of an imported COCO file on their way out: what a human changed is changed, the rest is as it was."""

from __future__ import annotations

import numpy as np

from clickpose.boxes import clip_boxes, xywh_to_xyxy, xyxy_to_xywh
from clickpose.data.coco_categories import JointOrder
from clickpose.data.coco_extents import box_of_person
from clickpose.data.coco_records import CocoAnnotation
from clickpose.data.coco_writing import replace_joints
from clickpose_labelstudio.carried import without_provenance
from clickpose_labelstudio.grouping import Person
from clickpose_labelstudio.region_items import as_score, predicted_oks

UNMOVED = 1e-6  # of the photo's longer side: what moved by less was not moved, it went through percent and back


def restored(
    record: CocoAnnotation,
    person: Person,
    keypoints: np.ndarray,
    visibility: np.ndarray,
    order: JointOrder,
    image_hw: tuple[int, int],
) -> dict:
    """Return a person's annotation as it was in the file that was imported, but for what has been changed since.

    - ``keypoints``: joints in their places keep their three numbers, to the last digit; others get new ones.
      ``num_keypoints`` is counted anew if a joint has changed.
    - ``bbox`` is the rectangle's if that was moved or resized. ``area`` is then multiplied as the box's is, since a
      person's share of the box stays about the same; without an area or a box in the file, it is the box's.
    - ``score`` and ``keypoint_scores`` are those of the regions if a refinement has changed them.
    - All else, such as ``id``, ``category_id``, ``iscrowd`` and ``segmentation``, is as it was.

    Args:
        record: the annotation as it was.
        person: the regions of the person now.
        keypoints: (K, 2) px now.
        visibility: (K,) now.
        order: of the joints in the exported file: that of the record, maybe with more at the end.
        image_hw: (height, width) of the photo, px.
    """
    entry = without_provenance(record.entry)
    _restore_joints(entry, record, keypoints, visibility, order, image_hw)
    _restore_box(entry, record, person, image_hw)
    _restore_scores(entry, record, person, order)
    return entry


def joints_changed(
    record: CocoAnnotation, keypoints: np.ndarray, visibility: np.ndarray, image_hw: tuple[int, int]
) -> np.ndarray:
    """Return (K,) bool: the joint was moved, placed, removed, or is visible otherwise than in the file."""
    height, width = image_hw
    before = record.visibility
    kept = _same(keypoints, record.keypoints, image_hw)
    kept |= _same(keypoints, np.clip(record.keypoints, 0, [width, height]), image_hw)  # predictions are cut there
    return (visibility != before) | ((before > 0) & ~kept.all(axis=1))


def box_changed(record: CocoAnnotation, person: Person, image_hw: tuple[int, int]) -> bool:
    """Tell whether a person's rectangle was moved, resized or removed since it was imported."""
    found = box_of_person(record, {})
    if person.box_item is None or found is None:
        return True
    before = xywh_to_xyxy(found[0])
    cut = clip_boxes(before, image_hw)
    return not any(bool(_same(person.box_xyxy, box, image_hw).all()) for box in (before, cut))


def _same(one: np.ndarray, other: np.ndarray, image_hw: tuple[int, int]) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.abs(one - other) <= UNMOVED * max(image_hw)


def _restore_joints(
    entry: dict,
    record: CocoAnnotation,
    keypoints: np.ndarray,
    visibility: np.ndarray,
    order: JointOrder,
    image_hw: tuple[int, int],
) -> None:
    changed = joints_changed(record, keypoints, visibility, image_hw)
    if not changed.any():
        return
    points = np.where(visibility[:, None] > 0, keypoints, np.nan)
    entry |= replace_joints(entry.get("keypoints") or [], order, changed, points, visibility.astype(int))


def _restore_box(entry: dict, record: CocoAnnotation, person: Person, image_hw: tuple[int, int]) -> None:
    if not box_changed(record, person, image_hw):
        return
    left, top, width, height = xyxy_to_xywh(np.asarray(person.extent())).tolist()
    before = 0.0 if record.box_xywh is None else float(record.box_xywh[2:].prod())
    area = width * height
    entry["area"] = record.area * area / before if record.area and before > 0 else area
    entry["bbox"] = [left, top, width, height]


def _restore_scores(entry: dict, record: CocoAnnotation, person: Person, order: JointOrder) -> None:
    """Take the scores of regions that differ from what an import of the file's has written."""
    person_score = _number(entry.get("score"))
    box = person.box_item
    now_score = None if box is None else predicted_oks(box)
    if now_score not in (None, person_score):
        entry["score"] = now_score
    now = [predicted_oks(person.joints[j].item) if j in person.joints else None for j in order.joints]
    own = entry.get("keypoint_scores")
    if own is None:
        if any(score not in (None, 0.0, person_score) for score in now):
            entry["keypoint_scores"] = [score or 0.0 for score in now]
        return
    own = [*own, *[0.0] * len(now)][: len(now)]
    known = [score is None or not score or score == _number(before) for score, before in zip(now, own, strict=True)]
    entry["keypoint_scores"] = [b if same else s for same, s, b in zip(known, now, own, strict=True)]


def _number(value: object) -> float | None:
    """Return a score of a file as an import has written it into a region."""
    return as_score(value) if isinstance(value, int | float) else None
