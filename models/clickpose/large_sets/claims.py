"""Who works on what, by files in a folder that several machines see: a claim holds for as long as it is touched.

Time is that of the folder's own machine, told by a file written there: clocks of machines differ. Nothing is lost where
a claim fails to keep two from the same work (see :mod:`clickpose.large_sets.run_folder`); it is only done twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

EXPIRES_S = 120.0
_TOUCHES = 8  # within that time


class Claims:
    """The claims of one process.

    Args:
        folder: where they are kept.
        expires_s: a claim that was not touched for so long is nobody's.
    """

    def __init__(self, folder: Path, expires_s: float = EXPIRES_S):
        self._folder, self._expires_s = folder, expires_s
        self._host = socket.gethostname()

    @contextlib.contextmanager
    def take(self, part: int) -> Iterator[bool]:
        """Hold a part until the end of the block; gives False where it is somebody else's."""
        path = self._folder / f"{part:06d}"
        descriptor = self._create(path)
        if descriptor is None and self._is_over(path):
            self._remove(path)
            descriptor = self._create(path)
        if descriptor is None:
            yield False
            return
        ended = threading.Event()
        toucher = threading.Thread(target=self._touch, args=(descriptor, ended), name="claim", daemon=True)
        toucher.start()
        try:
            yield True
        finally:
            ended.set()
            toucher.join()
            self._release(path, descriptor)

    def _create(self, path: Path) -> int | None:
        """Make a claim, with all that it says at once; return its open file, or None where there is one."""
        fresh = path.with_name(f"fresh-{uuid.uuid4().hex}")
        descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        try:
            os.write(descriptor, json.dumps({"host": self._host, "process": os.getpid()}).encode())
            if _link(fresh, path):
                return descriptor
            os.close(descriptor)
            return None
        finally:
            fresh.unlink(missing_ok=True)

    def _touch(self, descriptor: int, ended: threading.Event) -> None:
        while not ended.wait(self._expires_s / _TOUCHES):
            with contextlib.suppress(OSError):
                os.utime(descriptor if os.utime in os.supports_fd else f"/proc/self/fd/{descriptor}")

    def _is_over(self, path: Path) -> bool:
        """Tell whether whoever made a claim is gone."""
        try:
            age = self._now() - path.stat().st_mtime
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False  # just gone: another time
        if age > self._expires_s:
            return True
        try:
            holder = json.loads(text)
            return holder["host"] == self._host and not _runs(holder["process"])
        except (ValueError, KeyError, TypeError):
            return False

    def _now(self) -> float:
        """Return the time of the machine that keeps the folder."""
        probe = self._folder / f"now-{uuid.uuid4().hex}"
        probe.touch()
        try:
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)

    def _remove(self, path: Path) -> None:
        """Take a claim away that is over; of several who try one does."""
        aside = path.with_name(f"over-{uuid.uuid4().hex}")
        with contextlib.suppress(FileNotFoundError):
            os.rename(path, aside)
            aside.unlink(missing_ok=True)

    def _release(self, path: Path, descriptor: int) -> None:
        """Give a part back, if nobody has taken it over meanwhile."""
        own = os.fstat(descriptor)
        os.close(descriptor)
        with contextlib.suppress(OSError):
            if path.stat().st_ino == own.st_ino:
                path.unlink()


def _link(fresh: Path, path: Path) -> bool:
    """Give a file a second name, if nobody has it."""
    try:
        os.link(fresh, path)
    except FileExistsError:
        return False
    except OSError:  # file systems without links
        if path.exists():
            return False
        os.rename(fresh, path)
    return True


def _runs(process: object) -> bool:
    """Tell whether a process of this machine is there."""
    if type(process) is not int or process <= 0:
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True
