"""Read MPII Human Pose (Andriluka et al., CVPR 2014) in its common JSON form: one person an entry, 16 joints, PCKh.

The form gives a centre and a scale instead of a box, and no head box. Both are replaced by what follows from the
joints; see :func:`read_mpii`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from clickpose.boxes import BODY_SHARE_OF_BOX, box_area, xywh_to_xyxy
from clickpose.checks import described
from clickpose.data.coco_extents import box_of_joints
from clickpose.data.coco_fields import as_numbers
from clickpose.data.json_file import read_json
from clickpose.data.records import ImageRecord, PersonRecord, PoseDataset
from clickpose.image_io import read_sides
from clickpose.skeleton_io import SKELETONS

HEAD_SIZE_SHARE = 0.75
"""PCKh's head size over the distance from head top to upper neck. The head size is 0.6 of the diagonal of the annotated
head box, and the two joints were put 0.8 of it apart (on every annotated person that distance over 0.8 is, squared, the
whole number that a diagonal between pixel corners has)."""


def read_mpii(path: str | Path, images: str | Path) -> PoseDataset:
    """Read ``mpii_val.json`` or the like.

    Coordinates become 0-based. The box is that of the labelled joints, a tenth larger on each side (it prompts a
    network; MPII has none), the area 0.53 of it, the head size that of PCKh. Ids are the places in the file, counted
    from 0; images are numbered in order of appearance.

    Args:
        path: the file.
        images: folder of the photos; they are opened for their sizes, which the file does not tell.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if an entry is broken, or a photo is missing or none; names the file, the place and what is wrong.
    """
    path, images = Path(path), Path(images)
    entries = read_json(path, "MPII annotations")
    if not isinstance(entries, list):
        raise ValueError(f"Expected a list of MPII persons in {path}, got {described(entries)}")
    skeleton, skipped = SKELETONS["mpii"], Counter[str]()
    found: dict[str, ImageRecord] = {}
    persons = []
    for place, entry in enumerate(entries):
        where = f"the person at place {place} of {path}"
        if not isinstance(entry, Mapping):
            raise ValueError(f"Expected an object as {where}, got {described(entry)}")
        name = entry.get("image")
        if not isinstance(name, str):
            raise ValueError(f"Expected the name of an image in {where}, got {described(name)}")
        if name not in found:
            found[name] = ImageRecord(len(found), images / name, read_sides(images / name))
        record = _person(place, entry, found[name], len(skeleton), where)
        if record is None:
            skipped["persons without a labelled joint"] += 1
        else:
            persons.append(record)
    return PoseDataset(
        name=path.stem, skeleton=skeleton, images=list(found.values()), persons=persons, ignored=[], skipped=skipped
    )


def _person(place: int, entry: Mapping, image: ImageRecord, count: int, where: str) -> PersonRecord | None:
    joints = _pairs(entry.get("joints"), count, where) - 1  # counted from 1 in the file
    labelled = as_numbers(entry.get("joints_vis"), count, "numbers of joints_vis", where) > 0
    if not np.isfinite(joints[labelled]).all():
        raise ValueError(f"Expected finite joints in {where}, got one that is null or NaN")
    box_xywh = box_of_joints(np.where(labelled[:, None], joints, np.nan))
    if box_xywh is None:  # no joint is labelled
        return None
    box = xywh_to_xyxy(box_xywh)
    return PersonRecord(
        annotation_id=place,
        image_path=image.path,
        image_hw=image.image_hw,
        keypoints=np.where(labelled[:, None], joints, 0.0),
        visibility=np.where(labelled, 2, 0),
        box_xyxy=box,
        area=BODY_SHARE_OF_BOX * float(box_area(box)),
        visibility_known=False,
        image_id=image.image_id,
        head_size=_head_size(joints, labelled),
        box_known=False,
    )


def _pairs(values: object, count: int, where: str) -> np.ndarray:
    """Return positions (count, 2)."""
    if not isinstance(values, list) or len(values) != count:
        found = len(values) if isinstance(values, list) else described(values)
        raise ValueError(f"Expected {count} positions of joints in {where}, got {found}")
    return np.stack([as_numbers(value, 2, "numbers of a position of joints", where) for value in values])


def _head_size(joints: np.ndarray, labelled: np.ndarray) -> float | None:
    """Return px; None where head top or upper neck is not labelled."""
    skeleton = SKELETONS["mpii"]
    top, neck = skeleton.index("head_top"), skeleton.index("upper_neck")
    if not (labelled[top] and labelled[neck]):
        return None
    return HEAD_SIZE_SHARE * float(np.linalg.norm(joints[top] - joints[neck]))
