"""Read JSON files; errors name the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Content = TypeVar("Content")


def read_json(path: Path, what: str) -> object:
    """Return the content of a JSON file.

    Args:
        path: the file.
        what: what it should hold, for the message.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not JSON.
    """
    if not path.is_file():
        raise FileNotFoundError(f"Expected {what} at {path}, found no such file")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"Expected {what} in {path}, got no JSON: {error}") from None


def read_json_as(path: str | Path, parse: Callable[[object], Content]) -> Content:
    """Return what ``parse`` makes of a JSON file.

    Raises:
        ValueError: if there is no such file, it is not JSON, or ``parse`` refuses it; the message names the file.
    """
    try:
        return parse(json.loads(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror or error}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"Cannot read {path}: Expected JSON, got something else: {error}") from None
    except ValueError as error:
        raise ValueError(f"Cannot read {path}: {error}") from None
