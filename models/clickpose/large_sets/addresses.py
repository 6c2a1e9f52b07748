"""Photos by address: files of this machine, and whatever fsspec opens (``s3://``, ``gs://``, ``https://``, …).

Credentials are fsspec's own affair: it finds them where its file systems look for them (environment, profiles,
metadata services). An address that holds a password is refused, and what is said of an address ends before its query,
which is where signed ones have their signature.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from clickpose.extras import require_extra
from clickpose.image_io import PHOTO_SUFFIXES, ImageError, decode_image, naming_the_file
from clickpose.named_image import NamedImage, named_image

DEFAULT_MAX_BYTES = 100_000_000
_SCHEME = re.compile(r"[a-z][a-z0-9+.\-]+://", re.IGNORECASE)  # a drive of Windows has one letter
_SECRETS = re.compile(r"(?<=://)[^/\s@]*@|(?<=\w)\?[^\s'\")]+")  # name and password; the query


def is_address(text: str) -> bool:
    """Tell an address for fsspec from a path of this machine."""
    return _SCHEME.match(text) is not None


def shown(text: str) -> str:
    """Return an address, or a sentence about one, without what may be secret in it.

    Example:
        >>> shown("no https://me:secret@host/a.jpg?X-Amz-Signature=12ab")
        'no https://host/a.jpg'
    """
    return _SECRETS.sub("", text) if "://" in text else text


def check_address(address: str) -> None:
    """Refuse an address that cannot be opened or should not be kept, before any work.

    Raises:
        ValueError: if it holds a password, or fsspec or what it needs for this scheme is not installed.
    """
    if urlsplit(address).password is not None:
        raise ValueError(f"Expected credentials where fsspec finds them, not in an address: {shown(address)}")
    _file_system(address)


def list_photos(address: str) -> list[str]:
    """Return the addresses of the photos in a folder or bucket, those of its folders included, or of the one photo.

    Raises:
        ValueError: if there are none, or it cannot be listed.
    """
    check_address(address)
    system, path = _file_system(address)
    try:
        found = [path] if system.isfile(path) else system.find(path)
    except Exception as error:  # of any file system
        raise ValueError(f"Cannot list {shown(address)}: {shown(str(error))}") from None
    photos = sorted(name for name in found if name.lower().endswith(PHOTO_SUFFIXES))
    if not photos:
        raise ValueError(f"Expected photos ({', '.join(PHOTO_SUFFIXES)}) in {shown(address)}, got none")
    return [system.unstrip_protocol(name) for name in photos]


def read_photo(address: str, max_bytes: int = DEFAULT_MAX_BYTES) -> NamedImage:
    """Read a photo from wherever it is.

    Args:
        address: a path, or an address for fsspec.
        max_bytes: no more is read of a file.

    Returns:
        (H, W, 3) uint8 RGB, which knows its address.

    Raises:
        ImageError: if it cannot be had, is larger, or is no photo; the message names it.
    """
    with naming_the_file(shown(address)):
        data = _read_bytes(address, max_bytes + 1)
        if len(data) > max_bytes:
            raise ImageError(f"Expected a file of at most {max_bytes:,} bytes, got more")
        return named_image(decode_image(data), address)


def _read_bytes(address: str, count: int) -> bytes:
    if not is_address(address):
        with Path(address).open("rb") as file:
            return file.read(count)
    try:
        system, path = _file_system(address)
        with system.open(path, "rb") as file:
            return file.read(count)
    except Exception as error:  # of any file system
        raise ImageError(shown(str(error)) or type(error).__name__) from None


def _file_system(address: str) -> tuple[Any, str]:
    require_extra("buckets", "fsspec")
    import fsspec

    try:
        return fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:  # a scheme whose package is missing, or that nobody knows
        raise ValueError(f"Cannot open {shown(address)}: {shown(str(error))}") from None
