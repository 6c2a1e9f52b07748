"""How many pixels may lie decoded in memory at once; who asks for more waits until others are let go."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

PIXELS_AT_ONCE = (
    48_000_000  # two photos of 24 megapixels; each pixel takes three bytes, and eight while it is looked at
)
LONGEST_WAIT_S = 30.0  # then a photo is decoded anyway: memory matters less than an answer


class PixelBudget:
    """Counts the pixels of arrays that are alive. Safe to share between threads.

    A photo of more than all waits until it is alone. Who comes first is served first, so that a large one is not passed
    by small ones for ever. A thread that has one array asks for no other.

    Args:
        pixels: that may be alive at once.
        longest_wait_s: after which more are allowed.
    """

    def __init__(self, pixels: int = PIXELS_AT_ONCE, longest_wait_s: float = LONGEST_WAIT_S):
        self._pixels, self._longest_wait_s = pixels, longest_wait_s
        self._queue = threading.Lock()
        self._changed = threading.Condition()
        self._alive = 0

    @property
    def alive(self) -> int:
        """Pixels that are counted now."""
        return self._alive

    @contextmanager
    def decoding(self, pixels: int) -> Iterator[list[np.ndarray]]:
        """Wait for room; what the block puts into the list counts for as long as it is alive."""
        with self._queue, self._changed:
            self._changed.wait_for(
                lambda: not self._alive or self._alive + pixels <= self._pixels, self._longest_wait_s
            )
            self._alive += pixels
        kept: list[np.ndarray] = []
        try:
            yield kept
        finally:
            if kept:
                weakref.finalize(kept.pop(), self._let_go, pixels).atexit = False
            else:
                self._let_go(pixels)

    def _let_go(self, pixels: int) -> None:
        with self._changed:
            self._alive -= pixels
            self._changed.notify_all()
