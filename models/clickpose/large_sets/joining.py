"""Make one result of a run, whose parts may lie in several folders, and see that each photo is there exactly once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from clickpose.data.coco_categories import PERSON_CATEGORY, person_category
from clickpose.large_sets.manifests import Listed
from clickpose.large_sets.run_folder import RunFolder, each_row
from clickpose.skeleton import Skeleton

_NAMED = 5  # parts, in a sentence


@dataclass(frozen=True)
class Joined:
    """What was found: photos in the list, people, photos that failed with their errors' first ones, photos not done."""

    photos: int
    people: int
    failed: int
    missing: int
    errors: list[str]


class Join:
    """The rows of a run.

    Args:
        folders: of one run, or of its shares on several machines.
        partial: whether parts may be missing.

    Raises:
        ValueError: if they are of different runs, or parts are missing.
    """

    def __init__(self, folders: Sequence[Path], partial: bool = False):
        self.runs = [RunFolder(folder) for folder in folders]
        first = self.runs[0]
        for other in self.runs[1:]:
            other.check(first.asked, [])
            if (other.list_hash, other.part_size) != (first.list_hash, first.part_size):
                raise ValueError(f"Expected shares of one run, got other photos in {other.folder} than {first.folder}")
        self._where: dict[int, RunFolder] = {}
        for run in self.runs:
            for part in run.done():
                self._where.setdefault(part, run)
        missing = [part for part in range(first.parts) if part not in self._where]
        if missing and not partial:
            named = ", ".join(map(str, missing[:_NAMED])) + (", …" if len(missing) > _NAMED else "")
            raise ValueError(
                f"Expected all {first.parts} parts, {len(missing)} are not done ({named}): run clickpose predict "
                "with this --run again, or join with --partial"
            )

    def rows(self) -> Iterator[tuple[int, Listed, dict]]:
        """Yield the id, the photo and the row of each photo, in the list's order.

        Raises:
            ValueError: if a part does not have each of its photos once.
        """
        for part in sorted(self._where):
            yield from each_row(self._where[part], [part])

    def count(self) -> Joined:
        """Read all rows, and count."""
        photos = people = failed = 0
        errors: list[str] = []
        for _, _, row in self.rows():
            photos += 1
            people += len(row.get("people", ()))
            if "error" in row:
                failed += 1
                errors += [f"{row['photo']}: {row['error']}"] if len(errors) < _NAMED else []
        return Joined(photos, people, failed, self.runs[0].count - photos, errors)

    def write_lines(self, path: Path) -> None:
        """Write the rows as JSON lines."""
        _write(path, lambda file: file.writelines(json.dumps(row) + "\n" for _, _, row in self.rows()))

    def write_coco(self, path: Path, skeleton: Skeleton) -> None:
        """Write a COCO dataset, as ``clickpose predict --json`` does; photos that failed are left out."""

        def write(file: TextIO) -> None:
            described = {"description": f"Poses predicted by {self.runs[0].asked.network}"}
            file.write(f'{{"info": {json.dumps(described)}, "images": ')
            _write_array(file, self._images())
            file.write(', "annotations": ')
            _write_array(file, self._annotations())
            file.write(f', "categories": {json.dumps([person_category(skeleton)])}}}')

        _write(path, write)

    def write_results(self, path: Path) -> None:
        """Write COCO's list of results."""
        names = ("image_id", "category_id", "keypoints", "score")
        entries = ({name: each[name] for name in names} for each in self._annotations())
        _write(path, lambda file: _write_array(file, entries))

    def write_errors(self, path: Path) -> None:
        """Write the rows of the photos that failed, as JSON lines."""
        failed = (row for _, _, row in self.rows() if "error" in row)
        _write(path, lambda file: file.writelines(json.dumps(row) + "\n" for row in failed))

    def _images(self) -> Iterator[dict]:
        for number, photo, row in self.rows():
            if "error" not in row:
                size = {"width": row["width"], "height": row["height"]}
                yield {"id": _image_id(number, photo), "file_name": row["photo"], **size}

    def _annotations(self) -> Iterator[dict]:
        made = 0
        for number, photo, row in self.rows():
            for person in row.get("people", ()):
                made += 1
                yield {"id": made, "image_id": _image_id(number, photo), "category_id": PERSON_CATEGORY, **person}


def _image_id(number: int, photo: Listed) -> int | str:
    return number if photo.image_id is None else photo.image_id


def _write_array(file: TextIO, entries: Iterator[dict]) -> None:
    """Write a JSON array without holding it."""
    file.write("[")
    for number, entry in enumerate(entries):
        file.write((", " if number else "") + json.dumps(entry, allow_nan=False))
    file.write("]")


def _write(path: Path, write: Callable[[TextIO], object]) -> None:
    """Write a file at once or not at all."""
    fresh = path.with_name(f".{path.name}.partial")
    try:
        with fresh.open("w", encoding="utf-8") as file:
            write(file)
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
