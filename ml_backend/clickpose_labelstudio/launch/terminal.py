"""What the launcher prints: sentences, and below them one line that is kept up to date."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

PLAIN_EVERY_S = 30.0  # where no line can be kept up to date, it is printed anew so often
CLEAR_LINE = "\r\x1b[2K"


class Terminal:
    """Prints from several threads.

    Args:
        stream: where to; None for standard output. A line is kept up to date where it is a terminal.
        clock: seconds.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic):
        self._stream = sys.stdout if stream is None else stream
        self._clock = clock
        self._live = self._stream.isatty()
        self._lock = threading.RLock()  # Ctrl-C may come, and be spoken of, in the midst of a sentence
        self._shown = ""
        self._printed_at = float("-inf")

    def say(self, text: str) -> None:
        """Print a sentence; what is kept up to date stays below it."""
        with self._lock:
            if self._shown and self._live:
                self._stream.write(CLEAR_LINE)
            self._stream.write(f"{text}\n")
            if self._shown and self._live:
                self._stream.write(self._shown)
            self._stream.flush()

    def keep(self, text: str) -> None:
        """Show the line that is kept up to date, in place of what it was; nothing for an empty text."""
        with self._lock:
            if self._live:
                self._shown = text[: shutil.get_terminal_size().columns - 1]
                self._stream.write(f"{CLEAR_LINE}{self._shown}")
            elif text and self._clock() - self._printed_at >= PLAIN_EVERY_S:
                self._printed_at = self._clock()
                self._stream.write(f"{text}\n")
            self._stream.flush()
