"""Read COCO-WholeBody (Jin et al., ECCV 2020): 133 joints, kept part by part in COCO's annotations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clickpose.data.coco import CocoFields, read_coco_dataset
from clickpose.data.coco_fields import as_numbers
from clickpose.data.records import PoseDataset
from clickpose.skeleton_io import SKELETONS

_BODY = 17
_PARTS = {"foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}


def read_wholebody(path: str | Path, images: str | Path) -> PoseDataset:
    """Read ``coco_wholebody_val_v1.0.json`` or the like.

    A labelled joint of face, hands and feet counts whether or not the annotators marked its part as valid, as in the
    data set's evaluation code.

    Raises:
        FileNotFoundError, ValueError: as :func:`~clickpose.data.coco.read_coco_dataset`.
    """
    fields = CocoFields(keypoints=_all_keypoints, check_names=False)  # the categories list the 17 joints of the body
    return read_coco_dataset(path, images, SKELETONS["wholebody"], fields)


def _all_keypoints(annotation: Mapping, where: str) -> list:
    """Put the parts behind the body; any labelled joint counts as visible, the parts' third number being a score."""
    body = annotation.get("keypoints")
    if not body:
        return []
    values = as_numbers(body, 3 * _BODY, "numbers of keypoints", where).tolist()
    for part, joints in _PARTS.items():
        numbers = annotation.get(part) or [0] * (3 * joints)
        rows = as_numbers(numbers, 3 * joints, f"numbers of {part}", where).reshape(-1, 3)
        for x, y, score in rows.tolist():
            values += [x, y, 2] if score > 0 else [0, 0, 0]
    return values
