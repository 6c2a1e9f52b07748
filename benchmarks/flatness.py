"""Whether a process grows: its memory, files, descriptors and threads over time, with an interval for the slope."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DRAWN = 400
BLOCKS = 8


@dataclass(frozen=True)
class Print:
    """What a process takes at a moment: resident MB, descriptors, threads, files of its folders and their MB."""

    resident_mb: float
    descriptors: int
    threads: int
    files: int
    files_mb: float

    def __str__(self) -> str:
        return (
            f"{self.resident_mb:.0f} MB, {self.descriptors} descriptors, {self.threads} threads, {self.files} files of "
            f"{self.files_mb:.1f} MB"
        )


class Footprint:
    """Looks at a process of this machine, with those that it has started, and at the folders that it writes to."""

    def __init__(self, pid: int, folders: Sequence[Path]):
        self._pid, self._folders = pid, folders

    def take(self) -> Print:
        """Look now."""
        status, descriptors = [], 0
        for pid in family(self._pid):
            with contextlib.suppress(OSError):  # one that ends meanwhile takes nothing
                status.append(Path(f"/proc/{pid}/status").read_text())
                descriptors += len(list(Path(f"/proc/{pid}/fd").iterdir()))
        resident = [re.search(r"VmRSS:\s+(\d+) kB", text) for text in status]  # one that has ended has none
        sizes = []
        for folder in self._folders:
            for path in folder.rglob("*"):
                with contextlib.suppress(OSError):
                    sizes.append(path.stat().st_size)
        return Print(
            resident_mb=sum(int(found[1]) for found in resident if found) / 1024,
            descriptors=descriptors,
            threads=sum(int(re.search(r"Threads:\s+(\d+)", text)[1]) for text in status),
            files=len(sizes),
            files_mb=sum(sizes) / 1e6,
        )


def family(pid: int) -> list[int]:
    """Return a process and those that it has started, and they."""
    found = [pid]
    for thread in Path(f"/proc/{pid}/task").glob("[0-9]*"):  # any of which may have started one
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found += [each for child in (thread / "children").read_text().split() for each in family(int(child))]
    return found


def slope_of(values: Sequence[float], unit: str, step: float = 1.0) -> str:
    """Return the slope of evenly spaced values, a thousand units, and its 95 % interval: blocks of residuals drawn."""
    slope, low, high = slope_with_interval(values, step)
    told = f"{1000 * slope:+.2f} [{1000 * low:+.2f}, {1000 * high:+.2f}] a thousand {unit}"
    return f"{told}, {values[0]:.0f} to {values[-1]:.0f}"


def slope_with_interval(values: Sequence[float], step: float = 1.0) -> tuple[float, float, float]:
    """Return (slope, low, high) a unit, the interval by drawing blocks of residuals, for they hang together."""
    y = np.asarray(values, float)
    x = step * np.arange(len(y))
    if len(y) < 2 * BLOCKS:
        return float("nan"), float("nan"), float("nan")
    slope, start = np.polyfit(x, y, 1)
    blocks = np.array_split(y - (start + slope * x), BLOCKS)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWN):
        noise = np.concatenate([blocks[i] for i in rng.integers(0, BLOCKS, BLOCKS + 1)])[: len(y)]
        drawn.append(np.polyfit(x[: len(noise)], start + slope * x[: len(noise)] + noise, 1)[0])
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(slope), float(low), float(high)
