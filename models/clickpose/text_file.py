"""Text files of users, in the encodings of their tools: UTF-8 with or without a byte order mark, and UTF-16."""

from __future__ import annotations

import codecs
from pathlib import Path

# UTF-32's little-endian mark begins with UTF-16's: it stands first
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


def read_text(path: str | Path) -> str:
    """Return a file's text, without a byte order mark.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is text of another encoding, or none; names the file.
    """
    data = Path(path).read_bytes()
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None) or _unmarked(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"Expected text in UTF-8 or UTF-16 in {path}, got bytes of another encoding (the first at byte "
            f"{error.start}); save it as UTF-8"
        ) from None


def _unmarked(data: bytes) -> str:
    """Return the encoding of text that begins with two plain characters, as JSON, YAML and XML do."""
    if len(data) >= 2 and not data[0] and data[1]:
        return "utf-16-be"
    if len(data) >= 2 and data[0] and not data[1]:
        return "utf-16-le"
    return "utf-8"
