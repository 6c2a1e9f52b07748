"""Whether a browser will show a photo: told by the header, and by the end of files that may be cut off."""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

SHOWN = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "AVIF")  # Pillow's names; MPO is a camera's JPEG with a preview
ONLY_ELSEWHERE = {
    ".tif": "TIFF", ".tiff": "TIFF", ".heic": "HEIC", ".heif": "HEIC", ".jp2": "JPEG 2000", ".j2k": "JPEG 2000",
    ".ppm": "PPM", ".pgm": "PPM", ".pbm": "PPM", ".pnm": "PPM",
}  # fmt: skip
"""Endings of photos that browsers do not show, and what they are called."""

_BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"hevc": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC", b"avif": "AVIF"}
CUT_OFF = "the file is cut off or damaged"
_TAIL_BYTES = 65_536
_SMALLER = 8  # to decode a JPEG at an eighth takes a fraction of the time


def why_not_shown(path: Path) -> str | None:
    """Say why a browser will not show a photo, such as ``the file is empty``; None where it will.

    A file takes a fraction of a millisecond, one without a proper end as long as decoding it.
    """
    if path.suffix.lower() in ONLY_ELSEWHERE:
        return _only_elsewhere(ONLY_ELSEWHERE[path.suffix.lower()])
    try:
        str(path).encode()
        size = path.stat().st_size
        return _why_not(path, size) if size else "the file is empty"
    except UnicodeEncodeError:
        return "the name is not written in UTF-8"
    except OSError as error:
        return f"the file cannot be read ({error.strerror or error})"


def _only_elsewhere(kind: str) -> str:
    return f"browsers do not show {kind}"


def _why_not(path: Path, size: int) -> str | None:
    with open(path, "rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # many pixels, odd EXIF blocks
        head = file.read(16)
        try:
            image = Image.open(path)
        except UnidentifiedImageError:
            brand = _BRANDS.get(head[8:12]) if head[4:8] == b"ftyp" else None
            if brand == "AVIF":
                return None  # this Pillow does not know it, browsers do
            return "the file holds no picture" if brand is None else _only_elsewhere(brand)
        except Exception:  # a damaged header may raise anything
            return CUT_OFF
        with image:
            if image.format not in SHOWN:
                return _only_elsewhere(image.format or "this format")
            file.seek(max(size - _TAIL_BYTES, 0))
            if _ends_properly(image.format, head, file.read(), size):
                return None
            return None if _decodes(path) else CUT_OFF


def _ends_properly(kind: str, head: bytes, tail: bytes, size: int) -> bool:
    """Tell whether the end of a file is there; formats that tell no end are taken to."""
    if kind in ("JPEG", "MPO"):
        return b"\xff\xd9" in tail  # picture data holds no such pair
    if kind == "PNG":
        return b"IEND" in tail
    if kind == "WEBP":
        return size >= int.from_bytes(head[4:8], "little") + 8
    return True


def _decodes(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.draft(image.mode, (image.width // _SMALLER, image.height // _SMALLER))
            image.load()
    except Exception:  # decoders raise anything
        return False
    return True
