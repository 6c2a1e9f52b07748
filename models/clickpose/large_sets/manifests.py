"""Lists of photos in files: text, JSON lines, CSV, and the images of a COCO dataset."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from clickpose.checks import described
from clickpose.data.json_file import read_json
from clickpose.large_sets.addresses import is_address

COLUMNS = ("photo", "image", "file_name", "filepath", "path", "url", "uri")
"""Names under which a photo is looked for in a row, if none is given, best first."""


class Listed(NamedTuple):
    """A photo of a list.

    Attributes:
        name: as the results name it, which is as the list does.
        address: where it is read.
        image_id: its id in a COCO dataset; None elsewhere.
    """

    name: str
    address: str
    image_id: int | str | None = None


def is_manifest(path: Path) -> bool:
    """Tell a list of photos by its ending."""
    return path.suffix.lower() in _READERS


def read_manifest(path: Path, root: str | Path | None = None, column: str | None = None) -> Iterator[Listed]:
    """Yield the photos of a list, in order.

    Args:
        path: ``.txt`` (one a line), ``.jsonl`` and ``.ndjson`` (objects, or names), ``.csv`` and ``.tsv`` with names of
            columns in the first row, ``.json`` (a COCO dataset).
        root: folder or address that names which are no addresses start from; by default the list's folder.
        column: of the photo; by default the first of :data:`COLUMNS` that a row has.

    Raises:
        ValueError: if the list cannot be read as what it ends in, or a row has no photo; names the line.
    """
    base = str(path.parent if root is None else root)
    for name, image_id in _READERS[path.suffix.lower()](path, column):
        yield Listed(name, _join(base, name), image_id)


def _join(base: str, name: str) -> str:
    if is_address(name) or Path(name).is_absolute():
        return name
    return f"{base.rstrip('/')}/{name}" if is_address(base) else str(Path(base) / name)


Rows = Iterator[tuple[str, int | str | None]]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"Cannot read {path}: {error}") from None


def _text(path: Path, column: str | None) -> Rows:
    return ((line.strip(), None) for _, line in _lines(path))


def _json_lines(path: Path, column: str | None) -> Rows:
    for number, line in _lines(path):
        where = f"line {number} of {path}"
        try:
            row = json.loads(line)
        except ValueError:
            raise ValueError(f"Expected JSON in {where}, got {line:.60}") from None
        yield (row if isinstance(row, str) else _photo_of(row, column, where)), None


def _table(path: Path, column: str | None) -> Rows:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    rows = csv.DictReader((line for _, line in _lines(path)), delimiter=delimiter)
    for number, row in enumerate(rows, 2):
        yield _photo_of(row, column, f"row {number} of {path}"), None


def _coco(path: Path, column: str | None) -> Rows:
    document = read_json(path, "a COCO dataset")
    images = document.get("images") if isinstance(document, Mapping) else None
    if not isinstance(images, list):
        raise ValueError(f"Expected a COCO dataset with images in {path}, got {described(document)}")
    for place, image in enumerate(images):
        yield _photo_of(image, column or "file_name", f"image {place} of {path}"), image.get("id")


def _photo_of(row: object, column: str | None, where: str) -> str:
    if isinstance(row, Mapping):
        for name in COLUMNS if column is None else (column,):
            if isinstance(row.get(name), str) and row[name].strip():
                return row[name].strip()
    wanted = " or ".join(COLUMNS) if column is None else column
    raise ValueError(f"Expected {wanted} with the name of a photo in {where}, got {row!s:.80}")


_READERS: dict[str, Callable[[Path, str | None], Rows]] = {
    ".txt": _text, ".jsonl": _json_lines, ".ndjson": _json_lines, ".csv": _table, ".tsv": _table, ".json": _coco,
}  # fmt: skip
