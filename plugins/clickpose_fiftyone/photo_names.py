"""Photos of a dataset <-> the file names that a file gives them; never two photos under one name."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath


def find_photo(folder: Path, file_name: str) -> Path | None:
    """Return the photo that a file name of a COCO file stands for; None where there is none.

    Names may have folders, parted by ``/`` or, in files that were made on Windows, by ``\\``, and any characters; of
    the spellings of an accented letter the one that the disk has is found.

    Args:
        folder: of the photos.
        file_name: as the file has it.
    """
    spellings = [file_name, file_name.replace("\\", "/")]
    spellings += [unicodedata.normalize(form, spellings[-1]) for form in ("NFC", "NFD")]
    for name in dict.fromkeys(spellings):
        try:
            path = folder / name
            if path.is_file():
                return path.resolve()
        except (OSError, ValueError):  # a name that no file can have: too long, or with a NUL in it
            continue
    return None


def photo_names(paths: Sequence[str], known: Sequence[str | None] | None = None) -> list[str]:
    """Return a different file name for each photo: relative to the folder that all of them lie in, parted by ``/``.

    Args:
        paths: S photos.
        known: the names that some of them have already; None for the others. Where a known name is the end of its
            photo's path, the names of the others are relative to the folder before it, if they lie in it.

    Raises:
        ValueError: if two photos would have one name; names both.
    """
    known = [None] * len(paths) if known is None else known
    posix = [PurePosixPath(Path(path).as_posix()) for path in paths]
    new = [path for path, name in zip(posix, known, strict=True) if name is None]
    folder = _folder_of(new, [(path, name) for path, name in zip(posix, known, strict=True) if name is not None])
    names = [
        path.relative_to(folder).as_posix() if name is None else name for path, name in zip(posix, known, strict=True)
    ]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        same = [path for path, name in zip(paths, names, strict=True) if name == twice[0]]
        raise ValueError(f"Expected photos with different file names, got {twice[0]!r} for {' and '.join(same[:2])}")
    return names


def _folder_of(new: Sequence[PurePosixPath], known: Sequence[tuple[PurePosixPath, str]]) -> PurePosixPath:
    """Return what the names of the new photos are relative to."""
    if not new:
        return PurePosixPath()
    for path, name in known:
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if path.parts[-len(parts) :] == parts:
            folder = PurePosixPath(*path.parts[: -len(parts)])
            if all(folder in other.parents for other in new):
                return folder
    return PurePosixPath(os.path.commonpath([str(path.parent) for path in new]))
