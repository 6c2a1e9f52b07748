"""Files that a command is to write, checked before the work that would be lost."""

from __future__ import annotations

import os
from pathlib import Path


def check_output(name: str, path: Path | None) -> None:
    """Refuse a file that could not be written; folders that are missing can be made.

    Args:
        name: of the argument, for messages.
        path: the file; None for none.

    Raises:
        ValueError: for a folder, a path below a file, or a place that is not the user's to write to.
    """
    if path is None:
        return
    if path.is_dir():
        raise ValueError(f"Expected a file for `{name}`, got the folder {path}")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise ValueError(f"Expected a folder to write `{name}` to, got {path}: {folder} is a file")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise ValueError(f"Expected a place to write `{name}` to, got {path}, where nothing may be written")
