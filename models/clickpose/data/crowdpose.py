"""Read CrowdPose (Li et al., CVPR 2019): 14 joints, no areas, images by how crowded they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from clickpose.data.coco import CocoFields, area_of_box, read_coco_dataset, read_json
from clickpose.data.records import PoseDataset
from clickpose.skeleton_io import SKELETONS

CROWD_LEVELS = {"easy": (0.0, 0.1), "medium": (0.1, 0.8), "hard": (0.8, 1.0)}
"""Bounds of the crowd index of the paper's three groups; the lower bound of the first is included, then the upper."""


def read_crowdpose(path: str | Path, images: str | Path) -> PoseDataset:
    """Read ``crowdpose_test.json`` or the like; ``groups`` are the paper's easy, medium and hard images.

    Its evaluation code takes 0.53 of the box as the area.

    Raises:
        FileNotFoundError, ValueError: as :func:`~clickpose.data.coco.read_coco_dataset`.
    """
    dataset = read_coco_dataset(path, images, SKELETONS["crowdpose"], CocoFields(area=area_of_box))
    index = {image["id"]: image.get("crowdIndex") for image in read_json(Path(path), "CrowdPose")["images"]}
    return replace(dataset, groups={level: _images_of(level, index) for level in CROWD_LEVELS})


def _images_of(level: str, index: dict) -> list:
    low, high = CROWD_LEVELS[level]
    return [
        image_id
        for image_id, value in index.items()
        if value is not None and (low < value <= high or (value == 0 and low == 0))
    ]
