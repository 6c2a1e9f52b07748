"""Read Human-Art (Ju et al., CVPR 2023): COCO's form with 17 and 21 joints side by side."""

from __future__ import annotations

from pathlib import Path

from clickpose.data.coco import CocoFields, read_coco_dataset
from clickpose.data.records import PoseDataset
from clickpose.skeleton import COCO
from clickpose.skeleton_io import SKELETONS

_PREFIX = "HumanArt/images/"


def read_humanart(path: str | Path, images: str | Path, joints: int = 17) -> PoseDataset:
    """Read ``training_humanart.json`` or the like.

    Args:
        path: the file.
        images: the folder that holds ``HumanArt/images``, or that folder's content.
        joints: 17 (COCO's) or 21 (with the tips of fingers and toes).

    Raises:
        FileNotFoundError, ValueError: as :func:`~clickpose.data.coco.read_coco_dataset`, and for other ``joints``.
    """
    if joints not in (17, 21):
        raise ValueError(f"Expected 17 or 21 joints for Human-Art, got {joints}")
    nested = (Path(images) / _PREFIX).is_dir()
    key = "keypoints" if joints == 17 else "keypoints_21"
    fields = CocoFields(
        keypoints=lambda annotation, _: annotation.get(key) or [],
        image_path=lambda name: name if nested else name.removeprefix(_PREFIX),
        check_names=joints == 21,  # the categories list 21 joints for both
    )
    return read_coco_dataset(path, images, COCO if joints == 17 else SKELETONS["humanart21"], fields)
