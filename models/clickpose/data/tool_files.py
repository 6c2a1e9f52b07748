"""Label files of annotation tools by the name of their format, for commands: read as COCO's form, written from it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clickpose.data.cvat import cvat_labels, read_cvat, to_cvat
from clickpose.data.datumaro import from_datumaro, to_datumaro
from clickpose.data.json_file import read_json, write_json
from clickpose.data.notes import Notes, note
from clickpose.data.skeleton_labels import labels_of_coco, labels_to_coco
from clickpose.data.sleap import read_sleap, write_sleap
from clickpose.data.yolo import write_yolo
from clickpose.skeleton import COCO, Skeleton

TOOLS = ("coco", "cvat", "datumaro", "sleap", "yolo")
READ_SUFFIXES = (".xml", ".zip", ".slp", ".csv", ".h5")  # files that only a tool has
WRITTEN_SUFFIXES = {".xml": "cvat", ".datumaro.json": "datumaro", ".slp": "sleap"}


def written_tool(path: str | Path) -> str | None:
    """Return the tool that a file to write is for, by its name; None for COCO.

    Example:
        >>> written_tool("labels.datumaro.json"), written_tool("labels.json")
        ('datumaro', None)
    """
    name = Path(path).name.lower()
    return next((tool for suffix, tool in WRITTEN_SUFFIXES.items() if name.endswith(suffix)), None)


def is_datumaro(content: object) -> bool:
    """Tell whether the content of a JSON file is Datumaro's: COCO's has images."""
    return isinstance(content, Mapping) and "items" in content and "images" not in content


def read_label_file(path: str | Path, like: Mapping | None = None, notes: Notes | None = None) -> dict:
    """Return a label file as a COCO keypoint dataset, whichever tool has written it.

    CVAT (``.xml``, ``.zip``), SLEAP (``.slp``) and DeepLabCut (``.csv``, ``.h5``) are told by their content or suffix,
    Datumaro and COCO by what their JSON holds.

    Args:
        path: the file.
        like: the COCO dataset that once went into the tool; see
            :func:`~clickpose.data.skeleton_labels.labels_to_coco`.
        notes: what is left out or made is counted here.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read.
    """
    path, notes = Path(path), {} if notes is None else notes
    suffix = path.suffix.lower()
    if suffix == ".xml" or (path.is_file() and zipfile.is_zipfile(path)):
        found = read_cvat(path, notes)
    elif suffix in (".slp", ".csv", ".h5"):
        found = read_sleap(path, notes)
    else:
        content = read_json(path, "labels of COCO or Datumaro")
        if not isinstance(content, Mapping):
            raise ValueError(f"Expected a dataset with images and annotations in {path}, got a list; "
                             "results have no photos of their own")  # fmt: skip
        if not is_datumaro(content):
            return dict(content)
        found = from_datumaro(content, notes)
    return labels_to_coco(*found, like, notes)


def write_label_file(
    path: str | Path, document: Mapping, tool: str, skeleton: Skeleton = COCO, notes: Notes | None = None
) -> list[Path]:
    """Write a COCO keypoint dataset as a tool reads it.

    Args:
        path: file to write; a folder for YOLO. CVAT's labels go beside the file, as ``….labels.json``.
        document: the dataset.
        tool: one of :data:`TOOLS`.
        skeleton: joints of a dataset that names none.
        notes: what the tool cannot hold is counted here.

    Returns:
        the files that were written.

    Raises:
        ValueError: for an unknown tool, or a dataset that cannot be read.
    """
    path, notes = Path(path), {} if notes is None else notes
    if tool not in TOOLS:
        raise ValueError(f"Expected one of {', '.join(TOOLS)}, got {tool!r}")
    if tool == "coco":
        write_json(path, document)
        return [path]
    if tool == "yolo":
        note(notes, "label files written below the folder", write_yolo(path, document, skeleton, notes))
        return [path]
    photos = labels_of_coco(document, skeleton, notes=notes)
    path.parent.mkdir(parents=True, exist_ok=True)
    if tool == "sleap":
        write_sleap(path, photos, notes)
        return [path]
    if tool == "datumaro":
        write_json(path, to_datumaro(photos))
        return [path]
    _write_text(path, to_cvat(photos))
    labels = {person.label.name: person.label for photo in photos for person in photo.persons}
    beside = path.with_suffix(".labels.json")
    content: Any = cvat_labels(labels.values())
    _write_text(beside, json.dumps(content, indent=1))
    return [path, beside]


def _write_text(path: Path, text: str) -> None:
    """Write a file at once, never half."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
