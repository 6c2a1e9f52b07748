"""Read Halpe full body (Li et al., CVPR 2020): COCO's form with 136 joints, whose categories name none of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from clickpose.data.coco import CocoFields, read_coco_dataset
from clickpose.data.coco_fields import as_flag, as_numbers
from clickpose.data.records import PoseDataset
from clickpose.skeleton_io import SKELETONS


def read_halpe(path: str | Path, images: str | Path) -> PoseDataset:
    """Read ``halpe_val_v1.json`` or the like.

    Raises:
        FileNotFoundError, ValueError: as :func:`~clickpose.data.coco.read_coco_dataset`.
    """
    fields = CocoFields(keypoints=_keypoints, check_names=False)
    return read_coco_dataset(path, images, SKELETONS["halpe"], fields)


def _keypoints(annotation: Mapping, where: str) -> list:
    """Return the numbers with COCO's visibility: the third number of face and hands is a score."""
    values = annotation.get("keypoints")
    if not values or as_flag(annotation.get("iscrowd"), "iscrowd", where):
        return values or []
    numbers = as_numbers(values, 3 * len(SKELETONS["halpe"]), "numbers of keypoints (halpe)", where)
    scores = numbers[2::3]
    numbers[2::3] = np.where((scores > 0) & (scores < 1), 2, scores)
    return numbers.tolist()
