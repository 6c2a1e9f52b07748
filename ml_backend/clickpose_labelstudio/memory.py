"""What glibc keeps of the memory that was freed, bounded.

Every request passes large blocks through: a photo of 24 megapixels takes 72 MB, people on their way through the network
100 MB. glibc gives each thread an arena of its own (up to eight a core) and keeps in it what was freed, so that a
service of eight threads held 2 GB after a day's work of which it needed 0.5. Few arenas, and giving back what they
have free, bound that. Elsewhere than on glibc this does nothing.
"""

from __future__ import annotations

import ctypes
import os
import platform
import threading
from functools import cache

ARENAS = 2
EVERY_S = 5.0  # giving back takes some milliseconds, in which threads that allocate may wait
_M_ARENA_MAX = -8  # of mallopt(3)


def bound_arenas() -> None:
    """Let all threads of this process share a few arenas, unless its environment says otherwise; for entry points."""
    libc = _glibc()
    if libc is not None and "MALLOC_ARENA_MAX" not in os.environ and "glibc.malloc.arena_max" not in _tunables():
        libc.mallopt(_M_ARENA_MAX, ARENAS)


class MemoryReturn:
    """Gives free memory back to the system a while after work was done.

    Args:
        every_s: at most once in so many seconds.
    """

    def __init__(self, every_s: float = EVERY_S):
        self._every_s = every_s
        self._lock = threading.Lock()
        self._planned = False

    def after_work(self) -> None:
        """Take note that something large may have been freed."""
        with self._lock:
            if self._planned:
                return
            self._planned = True
        timer = threading.Timer(self._every_s, self._now)
        timer.daemon = True
        timer.start()

    def _now(self) -> None:
        with self._lock:
            self._planned = False
        give_back()


def give_back() -> None:
    """Give the free memory of all arenas back to the system now."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


@cache  # the name of the library is looked up in Python's own file
def _glibc() -> ctypes.CDLL | None:
    if platform.libc_ver()[0] != "glibc":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "malloc_trim") and hasattr(libc, "mallopt") else None


def _tunables() -> str:
    return os.environ.get("GLIBC_TUNABLES", "")
