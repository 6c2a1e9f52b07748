"""``clickpose convert``: label files of one annotation tool as another reads them."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from clickpose.data.json_file import read_json
from clickpose.outputs import check_outputs
from clickpose.user_errors import user_errors


class Tool(str, Enum):
    """Whose form to write."""

    coco = "coco"
    cvat = "cvat"
    datumaro = "datumaro"
    sleap = "sleap"
    yolo = "yolo"


def convert(
    labels: Annotated[
        Path,
        typer.Argument(
            help="COCO or Datumaro (.json), CVAT for images (.xml, .zip), SLEAP (.slp), DeepLabCut (.csv, .h5).",
            show_default=False,
        ),
    ],
    to: Annotated[Tool, typer.Option(help="Form to write.")],
    out: Annotated[Path, typer.Option(help="File to write; for yolo a folder.")],
    like: Annotated[
        Path | None,
        typer.Option(help="The COCO file that once went into the tool: ids, areas and other fields come from it."),
    ] = None,
) -> None:
    """Write a label file as another tool reads it. Joints keep their names, order and visibility.

    With --like, what comes back from a tool is the file that went in, to the last digit, but for what was changed.

    Examples:

        clickpose convert coco.json --to cvat --out annotations.xml

        clickpose convert export.zip --to coco --out corrected.json --like coco.json
    """
    with user_errors():
        from collections import Counter
        from collections.abc import Mapping

        from clickpose.data.notes import told
        from clickpose.data.tool_files import read_label_file, write_label_file

        check_outputs({} if to is Tool.yolo else {"--out": out}, inputs=[labels])
        before = read_json(like, "COCO keypoints") if like is not None else None
        if before is not None and not isinstance(before, Mapping):
            raise ValueError(f"Expected a COCO dataset with images and annotations in {like}, got a list")
        notes: Counter[str] = Counter()
        document = read_label_file(labels, like=before, notes=notes)
        written = write_label_file(out, document, to.value, notes=notes)
    typer.echo(f"{len(document['annotations'])} people in {len(document['images'])} photos: "
               f"wrote {', '.join(map(str, written))}")  # fmt: skip
    if notes:
        typer.echo(told(notes), err=True)
