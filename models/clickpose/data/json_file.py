"""JSON files: those that users give are read in UTF-8 or UTF-16, byte order mark or none; errors name the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from clickpose.text_file import read_text

Content = TypeVar("Content")


def read_json(path: str | Path, what: str) -> object:
    """Return the content of a JSON file.

    Args:
        path: the file, whatever its suffix.
        what: what it should hold, for the message.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is a folder, cannot be read, or is not JSON; says what it is instead.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"Expected {what} at {path}, found no such file")
    if path.is_dir():
        raise ValueError(f"Expected {what} in {path}, got a folder")
    try:
        text = read_text(path)
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror or error}") from None
    return parse_json(text, f"{what} in {path}")


def read_json_as(path: str | Path, parse: Callable[[object], Content]) -> Content:
    """Return what ``parse`` makes of a JSON file.

    Raises:
        ValueError: if there is no such file, it is not JSON, or ``parse`` refuses it; the message names the file.
    """
    try:
        return parse(parse_json(read_text(path), "JSON"))
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise ValueError(f"Cannot read {path}: {error}") from None


def parse_json(text: str, what: str) -> object:
    """Return the content of JSON text.

    Args:
        text: the file's.
        what: what was expected and where, for the message.

    Raises:
        ValueError: if it is not JSON; says what it is instead.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(f"Expected {what}, got JSON that is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"Expected {what}, got no JSON{_instead(text, error)}") from None
    except ValueError:  # Python's limit
        raise ValueError(f"Expected {what}, got JSON with a number of thousands of digits") from None


def write_json(path: str | Path, content: object) -> None:
    """Write a JSON file at once, never half; its folder is made.

    Numbers keep all their digits, and a NaN that a file came with goes out as Python's JSON has it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    partial.replace(path)


def _instead(text: str, error: json.JSONDecodeError) -> str:
    """Say what a file is that is not JSON."""
    if not text.strip():
        return ": it is empty"
    if text.lstrip().startswith("<"):
        return " but XML or HTML"
    if error.msg == "Extra data" and error.lineno > 1 and text.lstrip()[0] in "{[":
        return f": several objects, one a line (the second at line {error.lineno})"
    if error.pos == 0 or (error.msg == "Extra data" and error.lineno == 1):
        return f": it begins with {text.lstrip()[:20]!r}"
    return f": {error}"
