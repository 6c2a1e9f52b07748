"""What a command is to write, looked at before its work: a file that cannot be written costs no hour of computing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path


def check_outputs(
    files: Mapping[str, Path | None] | None = None,
    folders: Mapping[str, Path | None] | None = None,
    inputs: Iterable[Path] = (),
) -> None:
    """Refuse outputs that could not be written, or would replace one another or an input; makes their folders.

    Args:
        files: files to write by option, such as ``"--json"``; None for options not given.
        folders: folders to write into, likewise.
        inputs: files that must stay as they are.

    Raises:
        ValueError: for the first output that cannot be; names the option.
    """
    kept = {path.resolve() for path in inputs}
    taken: dict[Path, str] = {}
    for option, path in (files or {}).items():
        if path is None:
            continue
        if path.is_dir():
            raise ValueError(f"Expected {option} to be a file to write, got the folder {path}")
        if path.resolve() in kept:
            raise ValueError(f"Expected {option} to leave the input alone, got {path}, which would replace it")
        if other := taken.get(path.resolve()):
            raise ValueError(f"Expected different files for {other} and {option}, got {path} for both")
        taken[path.resolve()] = option
        _make_folder(option, path.parent)
        if path.exists() and not os.access(path, os.W_OK):
            raise ValueError(f"Expected {option} to be a file that can be written, got {path}")
    for option, path in (folders or {}).items():
        if path is not None:
            _make_folder(option, path)


def _make_folder(option: str, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ValueError(f"Expected {option} in a folder, got {folder}, where a file stands in the way") from None
    except OSError as error:
        raise ValueError(
            f"Expected {option} where a folder can be made, got {folder}: {error.strerror or error}"
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"Expected {option} in a folder that can be written to, got {folder}")
