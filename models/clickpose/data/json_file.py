"""Read a JSON file whose errors name the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Content = TypeVar("Content")


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
