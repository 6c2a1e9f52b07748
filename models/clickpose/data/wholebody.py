"""Read COCO-WholeBody (Jin et al., ECCV 2020): 133 joints, kept part by part in COCO's annotations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clickpose.data.coco import CocoFields, read_coco_dataset
from clickpose.data.records import PoseDataset
from clickpose.skeleton_io import SKELETONS

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


def _all_keypoints(annotation: Mapping) -> list:
    """Put the parts behind the body; any labelled joint counts as visible, the parts' third number being a score."""
    values = list(annotation.get("keypoints") or [])
    if not values:
        return []
    for part, joints in _PARTS.items():
        numbers = annotation.get(part) or [0] * (3 * joints)
        if len(numbers) != 3 * joints:
            raise ValueError(f"Expected {3 * joints} numbers of {part}, got {len(numbers)}")
        for x, y, score in zip(numbers[0::3], numbers[1::3], numbers[2::3], strict=True):
            values += [x, y, 2] if score > 0 else [0, 0, 0]
    return values
