"""Read MPII Human Pose (Andriluka et al., CVPR 2014) in its common JSON form: one person an entry, 16 joints, PCKh.

The form gives a centre and a scale instead of a box, and no head box. Both are replaced by what follows from the
joints; see :func:`read_mpii`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from clickpose.boxes import BODY_SHARE_OF_BOX, box_area, enclosing_box
from clickpose.checks import as_array
from clickpose.data.json_file import read_json
from clickpose.data.records import ImageRecord, PersonRecord, PoseDataset
from clickpose.image_io import read_sides
from clickpose.skeleton_io import SKELETONS

HEAD_SIZE_SHARE = 0.75
"""PCKh's head size over the distance from head top to upper neck. The head size is 0.6 of the diagonal of the annotated
head box, and the two joints were put 0.8 of it apart (on every annotated person that distance over 0.8 is, squared, the
whole number that a diagonal between pixel corners has)."""
BOX_MARGIN = 0.1


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
        raise ValueError(f"Expected a list of MPII persons in {path}, got a {type(entries).__name__}")
    skeleton, skipped = SKELETONS["mpii"], Counter()
    found: dict[str, ImageRecord] = {}
    persons = []
    for place, entry in enumerate(entries):
        try:
            name = str(entry["image"])
            if name not in found:
                found[name] = ImageRecord(len(found), images / name, read_sides(images / name))
            record = _person(place, entry, found[name], len(skeleton), path)
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"Expected an MPII person at place {place} of {path}, got one where {error} fails"
            ) from None
        if record is None:
            skipped["persons without a labelled joint"] += 1
        else:
            persons.append(record)
    return PoseDataset(
        name=path.stem, skeleton=skeleton, images=list(found.values()), persons=persons, ignored=[], skipped=skipped
    )


def _person(place: int, entry: dict, image: ImageRecord, count: int, path: Path) -> PersonRecord | None:
    where = f"of the person at place {place} of {path}"
    joints = as_array(f"joints {where}", entry["joints"], (count, 2)) - 1  # counted from 1 in the file
    labelled = as_array(f"joints_vis {where}", entry["joints_vis"], (count,)) > 0
    if not labelled.any():
        return None
    if not np.isfinite(joints[labelled]).all():
        raise ValueError(f"Expected finite joints {where}, got NaN or infinity")
    box = enclosing_box(joints[labelled])
    margin = np.maximum(BOX_MARGIN * (box[2:] - box[:2]), 1.0)
    box = np.concatenate([box[:2] - margin, box[2:] + margin])
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


def _head_size(joints: np.ndarray, labelled: np.ndarray) -> float | None:
    """Return px; None where head top or upper neck is not labelled."""
    skeleton = SKELETONS["mpii"]
    top, neck = skeleton.index("head_top"), skeleton.index("upper_neck")
    if not (labelled[top] and labelled[neck]):
        return None
    return HEAD_SIZE_SHARE * float(np.linalg.norm(joints[top] - joints[neck]))
