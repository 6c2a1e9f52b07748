"""Read AI Challenger (Wu et al., ICME 2019) in its COCO form: 14 joints, no areas."""

from __future__ import annotations

from pathlib import Path

from clickpose.data.coco import CocoFields, area_of_box, read_coco_dataset
from clickpose.data.records import PoseDataset
from clickpose.skeleton_io import SKELETONS


def read_aic(path: str | Path, images: str | Path) -> PoseDataset:
    """Read ``aic_val.json`` or the like; the area is 0.53 of the box.

    Raises:
        FileNotFoundError, ValueError: as :func:`~clickpose.data.coco.read_coco_dataset`.
    """
    return read_coco_dataset(path, images, SKELETONS["aic"], CocoFields(area=area_of_box))
