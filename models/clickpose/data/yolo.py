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
from clickpose.checks import as_array, check_finite
from clickpose.skeleton import COCO, Skeleton

DIGITS = 8  # of a share: within a ten-thousandth of a pixel on photos of up to 20,000


def to_yolo(coco: Mapping, skeleton: Skeleton = COCO) -> dict[str, str]:
    """Convert a COCO keypoint dataset.

    Args:
        coco: ``images`` and ``annotations``, joints in the skeleton's order; crowds are left out. An image without
            people gets an empty file, which trains as background.
        skeleton: the joints.

    Returns:
        path below the data set's folder (``labels/a/b.txt`` for ``a/b.jpg``; ``data.yaml``) -> content.

    Raises:
        ValueError: if two images would have one label file, an image leads out of the folder, one with people has no
            width and height, or a person has no such image, no box or another number of joints.
    """
    people: dict[object, list[Mapping]] = {image["id"]: [] for image in coco["images"]}
    for annotation in coco["annotations"]:
        if annotation["image_id"] not in people:
            raise ValueError(f"Expected annotations of the images, got one of image_id {annotation['image_id']!r}")
        if not annotation.get("iscrowd"):
            people[annotation["image_id"]].append(annotation)
    files: dict[str, str] = {}
    for image in coco["images"]:
        path = _label_path(image["file_name"])
        if path in files:
            raise ValueError(f"Expected images whose names differ before the suffix, got several for {path}")
        files[path] = "".join(_line(person, image, skeleton) for person in people[image["id"]])
    return {**files, "data.yaml": _data_yaml(skeleton)}


def write_yolo(folder: str | Path, coco: Mapping, skeleton: Skeleton = COCO) -> int:
    """Write :func:`to_yolo` below a folder, beside whose ``labels`` the photos belong into ``images``.

    Returns:
        the number of label files.
    """
    files = to_yolo(coco, skeleton)
    for name, content in files.items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return len(files) - 1


def _label_path(file_name: str) -> str:
    path = PurePosixPath(file_name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"Expected images below one folder, got {file_name}")
    return (PurePosixPath("labels") / path.with_suffix(".txt")).as_posix()


def _line(person: Mapping, image: Mapping, skeleton: Skeleton) -> str:
    """Write one person."""
    if not (image.get("width") and image.get("height")):
        raise ValueError(f"Expected {image['file_name']} to have a width and height")
    size = np.array([image["width"], image["height"]], dtype=np.float64)
    where = f"on {image['file_name']}"
    box_xywh = check_finite(f"bbox {where}", as_array(f"bbox {where}", person.get("bbox"), (4,)))
    left, top, right, bottom = clip_boxes(xywh_to_xyxy(box_xywh), size[::-1])
    box = np.array([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]) / np.tile(size, 2)
    numbers = person.get("keypoints") or np.zeros(3 * len(skeleton))
    triples = as_array(f"keypoints {where}", numbers, (3 * len(skeleton),)).reshape(-1, 3)
    points = triples[:, :2] / size
    labelled = (triples[:, 2] > 0) & ((points >= 0) & (points <= 1)).all(axis=1)
    words = ["0", *(f"{number:.{DIGITS}f}" for number in box)]
    for (x, y), visible, is_labelled in zip(points, triples[:, 2], labelled, strict=True):
        words += [f"{x:.{DIGITS}f}", f"{y:.{DIGITS}f}", f"{visible:.0f}"] if is_labelled else ["0", "0", "0"]
    return " ".join(words) + "\n"


def _data_yaml(skeleton: Skeleton) -> str:
    flip_indices = skeleton.flip_indices.tolist()
    return (
        "# Photos belong into images/, beside labels/. Split them into train and val before you trust a figure.\n"
        f"path: .\ntrain: images\nval: images\nkpt_shape: [{len(skeleton)}, 3]\nflip_idx: {flip_indices}\n"
        f"names:\n  0: person\nkpt_names:\n  0: {json.dumps(skeleton.names)}\n"
    )
