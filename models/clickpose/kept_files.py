"""Files that this machine can make again at any time, kept in the user's cache folder so that it need not.

Whatever is missing, cut short or cannot be written counts as not kept. Several processes may keep and read at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

MOST_KEPT = 8  # files of one kind; those used longest ago go
_DIGEST_BYTES = 32


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of the user's cache: ``CLICKPOSE_CACHE_DIR``, else ``clickpose`` in ``XDG_CACHE_HOME``."""
    chosen = environ.get("CLICKPOSE_CACHE_DIR", "").strip()
    return Path(chosen) if chosen else Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clickpose"


class KeptFiles:
    """Files of one kind in a folder, each with the SHA-256 of its content in front.

    Args:
        folder: made when something is kept.
        suffix: of their names.
        most: how many are kept.
    """

    def __init__(self, folder: Path, suffix: str, most: int = MOST_KEPT):
        self.folder, self.suffix, self.most = folder, suffix, most

    def read(self, name: str) -> bytes | None:
        """Return what was kept under a name; None where nothing is, or it is damaged."""
        path = self._path(name)
        try:
            stored = path.read_bytes()
        except OSError:
            return None
        digest, content = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
        if hashlib.sha256(content).digest() != digest:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # used just now
        return content

    def keep(self, name: str, content: bytes) -> bool:
        """Keep bytes under a name, at once or not at all; returns whether that could be done."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=self.folder, suffix=".partial")
        except OSError:
            return False
        try:
            with open(handle, "wb") as file:
                file.write(hashlib.sha256(content).digest() + content)
            os.replace(partial, self._path(name))
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(partial)
            return False
        self._forget_oldest()
        return True

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{self.suffix}"

    def _forget_oldest(self) -> None:
        with contextlib.suppress(OSError):  # another process may do the same
            paths = sorted(self.folder.glob(f"*{self.suffix}"), key=lambda path: path.stat().st_mtime)
            for path in paths[: -self.most]:
                path.unlink()
