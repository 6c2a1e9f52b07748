"""Read Halpe full body (Li et al., CVPR 2020): COCO's form with 136 joints, whose categories name none of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clickpose.data.coco import CocoFields, read_coco_dataset
from clickpose.data.records import PoseDataset
from clickpose.skeleton_io import SKELETONS


def read_halpe(path: str | Path, images: str | Path) -> PoseDataset:
    """Read ``halpe_val_v1.json`` or the like.

    Raises:
        FileNotFoundError, ValueError: as :func:`~clickpose.data.coco.read_coco_dataset`.
    """
    fields = CocoFields(keypoints=_keypoints, check_names=False)
    return read_coco_dataset(path, images, SKELETONS["halpe"], fields)


def _keypoints(annotation: Mapping) -> list:
    """Return the numbers with COCO's visibility: the third number of face and hands is a score."""
    values = list(annotation.get("keypoints") or [])
    values[2::3] = [2 if 0 < score < 1 else score for score in values[2::3]]
    return values
