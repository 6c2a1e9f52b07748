"""Read OCHuman (Zhang et al., CVPR 2019) in its COCO form: 17 joints of heavily occluded people."""

from __future__ import annotations

from pathlib import Path

from clickpose.data.coco import read_coco_dataset
from clickpose.data.records import PoseDataset
from clickpose.skeleton import COCO


def read_ochuman(path: str | Path, images: str | Path) -> PoseDataset:
    """Read ``ochuman_coco_format_val_range_0.00_1.00.json`` or the like.

    Raises:
        FileNotFoundError, ValueError: as :func:`~clickpose.data.coco.read_coco_dataset`.
    """
    return read_coco_dataset(path, images, COCO)
