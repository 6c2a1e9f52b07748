"""Read CrowdPose (Li et al., CVPR 2019): 14 joints, no areas, images by how crowded they are."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from clickpose.data.coco import CocoFields, area_of_box, read_coco_dataset
from clickpose.data.coco_fields import as_number
from clickpose.data.coco_records import coco_images
from clickpose.data.json_file import read_json
from clickpose.data.records import PoseDataset
from clickpose.skeleton_io import SKELETONS

CROWD_LEVELS = {"easy": 0.2, "medium": 0.8, "hard": math.inf}
"""Below which crowd index an image belongs to each group, as the data set's own evaluation code has it. The paper says
0.1 for the first, but published tables are that code's."""


def read_crowdpose(path: str | Path, images: str | Path) -> PoseDataset:
    """Read ``crowdpose_test.json`` or the like; ``groups`` are the easy, medium and hard images of published tables.

    Its evaluation code takes 0.53 of the box as the area.

    Raises:
        FileNotFoundError, ValueError: as :func:`~clickpose.data.coco.read_coco_dataset`, and for a crowd index that is
            no number.
    """
    dataset = read_coco_dataset(path, images, SKELETONS["crowdpose"], CocoFields(area=area_of_box))
    content: Any = read_json(path, "CrowdPose")
    index = {image.image_id: image.entry.get("crowdIndex") for image in coco_images(content, str(path))}
    groups: dict[str, list] = {level: [] for level in CROWD_LEVELS}
    for image_id, value in index.items():
        if value is not None:
            value = as_number(value, "crowdIndex", f"image {image_id} of {path}")
            groups[next(level for level, bound in CROWD_LEVELS.items() if value < bound)].append(image_id)
    return replace(dataset, groups=groups)
