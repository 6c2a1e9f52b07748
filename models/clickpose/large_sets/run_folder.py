"""The folder of one run over a large set: what is to be done, who is at what, what is done.

::

    run.json             what was asked of which network; written last, so that a run is there whole or not at all
    photos-<hash>.jsonl  the photos, each once, in order; never changed
    claims/000012        who works on part 12; touched again and again
    done/000012.jsonl    a row for each photo of part 12, in order

A photo is in one part, and a part's file appears at once and whole, when all of it is done: whatever is killed at any
moment, each photo is there once or not yet. Claims only keep processes from doing the same twice; where two have done a
part all the same (a machine was held up for long), the first file stays, and both have the same answers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from clickpose.checks import described
from clickpose.large_sets.manifests import Listed

LAYOUT = 1
_SMALLEST_PART, _LARGEST_PART, _PARTS = 16, 512, 10_000
_PARTIAL_S = 3600.0  # a file that nobody has finished for so long is left over


@dataclass(frozen=True)
class Asked:
    """What a run does with each photo; all its processes must be of one mind.

    Attributes:
        network: name, release and weights.
        threshold: people with a lower predicted OKS are left out.
        max_pixels, max_bytes: larger photos are refused.
        skeleton: name of its joints.
    """

    network: str
    threshold: float
    max_pixels: int
    max_bytes: int
    skeleton: str


class RunFolder:
    """An existing run.

    Args:
        folder: of the run.

    Attributes:
        count: photos.
        parts: parts of the work.
        doubles: photos that were named again, and left out.

    Raises:
        ValueError: if there is none, or it is damaged.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        try:
            facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            if facts["layout"] != LAYOUT:
                raise ValueError(f"its layout is {facts['layout']!r}, this version has {LAYOUT}")
            self.asked, self.sources = Asked(**facts["asked"]), list(facts["sources"])
            self.count, self.part_size, self.list_hash = facts["photos"], facts["part_size"], facts["list"]
            self.doubles = facts["doubles"]
            self._list = folder / f"photos-{self.list_hash}.jsonl"
            self._starts = _part_starts(self._list, self.part_size)
        except FileNotFoundError as error:
            raise ValueError(f"Expected a run of clickpose predict in {folder}, got no {error.filename}") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"Expected a run of clickpose predict in {folder}: {error}") from None
        self.parts = -(-self.count // self.part_size)
        if len(self._starts) != self.parts:
            raise ValueError(f"Expected {self.count} photos in {self._list}, got another number")
        self.claims, self._done, self._partial = (folder / name for name in ("claims", "done", "partial"))
        for path in (self.claims, self._done, self._partial):
            path.mkdir(exist_ok=True)

    @classmethod
    def start(cls, folder: Path, asked: Asked, sources: list[str], photos: Iterable[Listed]) -> RunFolder:
        """Make a run; where another process makes it at the same time, one of the two lists counts for both.

        Args:
            folder: of the run.
            asked: what to do.
            sources: where the photos are from, as it was said.
            photos: all of them; those that are named again are left out.

        Raises:
            ValueError: if there are none, or two photos have one name.
        """
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / f"list-{uuid.uuid4().hex}.partial"
        digest, count, doubles = _write_list(fresh, photos)
        os.replace(fresh, folder / f"photos-{digest}.jsonl")
        size = min(_LARGEST_PART, max(_SMALLEST_PART, count // _PARTS))
        facts = {"layout": LAYOUT, "asked": asdict(asked), "sources": sources, "photos": count, "part_size": size}
        _put(folder / "run.json", folder, json.dumps(facts | {"list": digest, "doubles": doubles}, indent=1))
        return cls(folder)

    @classmethod
    def exists(cls, folder: Path) -> bool:
        """Tell whether a run has been made in a folder."""
        return (folder / "run.json").exists()

    def check(self, asked: Asked, sources: list[str]) -> None:
        """Refuse to go on with something else than was begun.

        Raises:
            ValueError: names what differs.
        """
        for name, begun in asdict(self.asked).items():
            if (now := getattr(asked, name)) != begun:
                raise ValueError(f"Expected {name} {begun!r}, with which the run in {self.folder} began, got {now!r}")
        if sources and sources != self.sources:
            raise ValueError(
                f"Expected the photos of {', '.join(self.sources)}, with which the run in {self.folder} began, "
                f"got {', '.join(sources)}: another run has another folder"
            )

    def photos(self, part: int) -> list[Listed]:
        """Return the photos of a part, in order."""
        with self._list.open("rb") as file:
            file.seek(self._starts[part])
            lines = [file.readline() for _ in range(min(self.part_size, self.count - part * self.part_size))]
        return [Listed(**json.loads(line)) for line in lines]

    def is_done(self, part: int) -> bool:
        """Tell whether a part is done."""
        return self._file(part).exists()

    def done(self) -> set[int]:
        """Return the parts that are done."""
        return {int(entry.name[:-6]) for entry in os.scandir(self._done) if entry.name.endswith(".jsonl")}

    def finish(self, part: int, rows: Iterable[Mapping], again: bool = False) -> None:
        """Keep the rows of a part, all at once; of two that finish it the first one counts.

        Args:
            part: which.
            rows: of its photos, in order.
            again: whether it takes the place of the rows that are there.
        """
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
        _put(self._file(part), self._partial, text, again)

    def rows(self, part: int) -> list[dict]:
        """Return the rows of a part that is done, in order.

        Raises:
            ValueError: if the file is not whole; says so.
        """
        path = self._file(part)
        try:
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            names = [row["photo"] for row in rows]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"Expected the results of part {part} in {path}: {error}. Delete it: it is done anew"
            ) from None
        expected = [photo.name for photo in self.photos(part)]
        if names != expected:
            odd = next((a for a, b in zip(names, expected, strict=False) if a != b), described(names))
            raise ValueError(f"Expected each photo of part {part} once in {path}, got {len(names)} rows, such as {odd}")
        return rows

    def sweep(self) -> None:
        """Remove files that somebody has begun and never finished, and claims to what is done."""
        done = self.done()
        for claim in self.claims.iterdir():
            if claim.name.isdecimal() and int(claim.name) in done:
                claim.unlink(missing_ok=True)
        for path in (*self._partial.iterdir(), *self.claims.glob("[a-z]*"), *self.folder.glob("*.partial")):
            with contextlib.suppress(OSError):  # another process does the same
                if time.time() - path.stat().st_mtime > _PARTIAL_S:
                    path.unlink()

    def _file(self, part: int) -> Path:
        return self._done / f"{part:06d}.jsonl"


def _put(path: Path, beside: Path, text: str, again: bool = False) -> None:
    """Write a file that is there whole or not at all, also after the power has failed; an existing one stays."""
    fresh = beside / f"{path.stem}-{uuid.uuid4().hex}.partial"
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        if again:
            os.replace(fresh, path)
        else:
            os.link(fresh, path)
    except FileExistsError:
        pass
    except OSError:  # file systems without links: the later one counts, which has the same answers
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # where folders cannot be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_list(path: Path, photos: Iterable[Listed]) -> tuple[str, int, int]:
    """Write each photo once; return the hash of the list, how many there are, and how many were named again."""
    digest, seen, names, doubles = hashlib.sha256(), set[str](), set[str](), 0
    with path.open("wb") as file:
        for photo in photos:
            if photo.address in seen:
                doubles += 1
                continue
            if photo.name in names:
                raise ValueError(f"Expected photos with different names, got {photo.name} twice, at other places")
            seen.add(photo.address)
            names.add(photo.name)
            line = json.dumps(photo._asdict()).encode() + b"\n"
            digest.update(line)
            file.write(line)
        file.flush()
        os.fsync(file.fileno())
    if not seen:
        path.unlink()
        raise ValueError("Expected photos, got none")
    return digest.hexdigest()[:16], len(seen), doubles


def _part_starts(path: Path, part_size: int) -> list[int]:
    """Return where in the list each part begins, in bytes."""
    starts, place = [], 0
    with path.open("rb") as file:
        for number, line in enumerate(file):
            if number % part_size == 0:
                starts.append(place)
            place += len(line)
    return starts


def each_row(run: RunFolder, parts: Iterable[int]) -> Iterator[tuple[int, Listed, dict]]:
    """Yield the place in the list from 1, the photo and the row of all photos of some parts."""
    for part in parts:
        for number, (photo, row) in enumerate(zip(run.photos(part), run.rows(part), strict=True)):
            yield part * run.part_size + number + 1, photo, row
