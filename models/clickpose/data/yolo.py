"""COCO keypoints -> the label files of YOLO-pose (Ultralytics): a text file an image, and ``data.yaml``.

A line is one person: ``0 cx cy w h x1 y1 v1 … xK yK vK``, positions as shares of the image's width and height,
visibility 0, 1 or 2 as in COCO. YOLO refuses whole files for one number outside 0..1, so boxes are clipped to the
image, and joints outside it are written as not labelled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from clickpose.boxes import clip_boxes, xywh_to_xyxy
from clickpose.data.coco_categories import person_categories
from clickpose.data.coco_extents import box_of_person
from clickpose.data.coco_records import CocoAnnotation, CocoImage, coco_images, read_annotations
from clickpose.data.notes import Notes, note
from clickpose.skeleton import COCO, Skeleton

DIGITS = 8  # of a share: within a ten-thousandth of a pixel on photos of up to 20,000


def to_yolo(coco: Mapping, skeleton: Skeleton = COCO, notes: Notes | None = None) -> dict[str, str]:
    """Convert a COCO keypoint dataset.

    Args:
        coco: ``images``, ``annotations`` and maybe ``categories``; joints are matched by name where those name them. An
            image without people gets an empty file, which trains as background.
        skeleton: the joints.
        notes: what YOLO cannot hold is counted here: crowds, other categories, people outside their photo, joints
            outside it. A person without a box gets one around the labelled joints.

    Returns:
        path below the data set's folder (``labels/a/b.txt`` for ``a/b.jpg``; ``data.yaml``) -> content.

    Raises:
        ValueError: if two images would have one label file, an image leads out of the folder, one with people has no
            width and height, or a person cannot be read.
    """
    notes = {} if notes is None else notes
    coco = {**coco, "annotations": [{"id": place, **entry} for place, entry in enumerate(coco["annotations"])]}
    images = coco_images(coco)
    categories = person_categories(coco, skeleton, partial=True)
    people: dict[object, list[CocoAnnotation]] = {image.image_id: [] for image in images}
    for person in read_annotations(coco, skeleton, categories=categories, notes=notes):
        if person.crowd:
            note(notes, "crowds, which YOLO does not know, left out")
        else:
            people[person.image_id].append(person)
    files: dict[str, str] = {}
    for image in images:
        path = _label_path(image.file_name or str(image.image_id))
        if path in files:
            raise ValueError(f"Expected images whose names differ before the suffix, got several for {path}")
        files[path] = "".join(_line(person, image, notes) for person in people[image.image_id])
    return {**files, "data.yaml": _data_yaml(skeleton)}


def write_yolo(folder: str | Path, coco: Mapping, skeleton: Skeleton = COCO, notes: Notes | None = None) -> int:
    """Write :func:`to_yolo` below a folder, beside whose ``labels`` the photos belong into ``images``.

    Returns:
        the number of label files.
    """
    files = to_yolo(coco, skeleton, notes)
    for name, content in files.items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return len(files) - 1


def _label_path(file_name: str) -> str:
    path = PurePosixPath(file_name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"Expected images below one folder, got {file_name}")
    return (PurePosixPath("labels") / path.with_suffix(".txt")).as_posix()


def _line(person: CocoAnnotation, image: CocoImage, notes: Notes) -> str:
    """Write one person; nothing for one of whom the photo shows nothing."""
    if image.image_hw is None:
        raise ValueError(f"Expected {image.file_name} to have a width and height")
    found = box_of_person(person, {})
    left, top, right, bottom = np.zeros(4) if found is None else clip_boxes(xywh_to_xyxy(found[0]), image.image_hw)
    if found is None or not (right > left and bottom > top):
        note(notes, "persons outside their photo or of no size, left out")
        return ""
    if not found[1]:
        note(notes, "boxes made around the joints of persons without one")
    size = np.array(image.image_hw[::-1], dtype=np.float64)
    box = np.array([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]) / np.tile(size, 2)
    points = person.keypoints / size
    with np.errstate(invalid="ignore"):
        labelled = (person.visibility > 0) & ((points >= 0) & (points <= 1)).all(axis=1)
    if outside := int(((person.visibility > 0) & ~labelled).sum()):
        note(notes, "joints outside their photo, written as not labelled", outside)
    words = ["0", *(f"{number:.{DIGITS}f}" for number in box)]
    for (x, y), visible, is_labelled in zip(points, person.visibility, labelled, strict=True):
        words += [f"{x:.{DIGITS}f}", f"{y:.{DIGITS}f}", f"{visible}"] if is_labelled else ["0", "0", "0"]
    return " ".join(words) + "\n"


def _data_yaml(skeleton: Skeleton) -> str:
    flip_indices = skeleton.flip_indices.tolist()
    return (
        "# Photos belong into images/, beside labels/. Split them into train and val before you trust a figure.\n"
        f"path: .\ntrain: images\nval: images\nkpt_shape: [{len(skeleton)}, 3]\nflip_idx: {flip_indices}\n"
        f"names:\n  0: person\nkpt_names:\n  0: {json.dumps(skeleton.names)}\n"
    )
