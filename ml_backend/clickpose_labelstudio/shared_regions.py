"""Encoded regions in a folder that several machines see: what one has encoded, none of the others encodes again.

``<folder>/regions-3/<network>/<image>/<place>.region``: which network and what content are parts of the path, so that a
version never meets another's regions. A name tells where in the image the region lies, so that a listing is enough to
choose one. Files appear at once and whole, with a checksum. The folder is bounded: whoever has written some of it
removes what was used longest ago. All of it is a cache: what is missing, cut short or cannot be written counts as
absent.

Each machine keeps its own cache beside, which is a database and must not lie on a network's disk
(:mod:`clickpose_labelstudio.region_store`); this one is files alone.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import os
import struct
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np

from clickpose.frames import CropFrame, ImageFrame
from clickpose.predictor import EncodedRegion
from clickpose_labelstudio.ports import RegionStore
from clickpose_labelstudio.region_store import (
    LAYOUT_VERSION,
    MAX_REGIONS_PER_IMAGE,
    RareWarnings,
    checked,
    digest_of,
    with_checksum,
)

SUFFIX = ".region"
MAX_REGION_BYTES = 256 * 1024 * 1024
_SWEEP_SHARE = 0.05  # of the bound, which a process may write before it looks at the size of all
_FULL_SHARE = 0.9  # of the bound, to which is swept
_PARTIAL_S = 600.0  # a file that nobody has finished for so long is left over
_IMAGE, _CROP = "2d", "8d"  # what is packed into a name: height, width; the square's four numbers, the box's

logger = logging.getLogger(__name__)


class SharedFolder:
    """Regions as files.

    Args:
        folder: seen by all machines.
        max_bytes: of all files together; each machine should be told the same.
    """

    def __init__(self, folder: Path, max_bytes: int):
        self._folder, self._max_bytes = folder / LAYOUT_VERSION, max_bytes
        self._unswept = max_bytes  # the first one looks
        self._warnings = RareWarnings()

    def outlines(self, content_hash: str, fingerprint: str) -> list[EncodedRegion]:
        """Return the regions of an image without their features, in no order."""
        try:
            names = os.listdir(self._image(content_hash, fingerprint))
        except FileNotFoundError:
            return []
        except OSError as error:
            self._warnings.say("The shared regions could not be listed", error)
            return []
        found = (_read_name(name) for name in sorted(names)[: 2 * MAX_REGIONS_PER_IMAGE])
        return [outline for outline in found if outline is not None]

    def load(self, content_hash: str, fingerprint: str, outline: EncodedRegion) -> EncodedRegion | None:
        """Return a region with its features; None for one that is damaged or gone."""
        path = self._image(content_hash, fingerprint) / _name(outline)
        try:
            with path.open("rb") as file:
                region = EncodedRegion.from_bytes(checked(file.read(MAX_REGION_BYTES)))
            if _name(region) != path.name:
                raise ValueError("Expected the region that its name tells, got another one")
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warnings.say("A shared region could not be read", error)
            return None
        except (ValueError, OverflowError) as error:
            logger.warning("A damaged shared region is dropped: %s", error)
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # used just now
        return region

    def add(self, content_hash: str, fingerprint: str, regions: Sequence[EncodedRegion]) -> None:
        """Keep regions, those that nobody has kept yet; makes room where it is time."""
        image = self._image(content_hash, fingerprint)
        try:
            for region in regions:
                self._unswept += _put(image, _name(region), region)
            _forget_oldest(image)
            if self._unswept >= _SWEEP_SHARE * self._max_bytes:
                self._unswept = 0
                self.sweep()
        except OSError as error:
            self._warnings.say("Regions were not shared", error)

    def sweep(self) -> None:
        """Remove what was used longest ago, until there is room; others may add, read and sweep meanwhile."""
        found, total = [], 0
        for path in _files(self._folder, depth=2):
            with contextlib.suppress(OSError):  # somebody else has removed it
                about = path.stat()
                if path.suffix == SUFFIX:
                    found.append((about.st_mtime, about.st_size, path))
                    total += about.st_size
                elif time.time() - about.st_mtime > _PARTIAL_S:
                    path.unlink()
        if total <= self._max_bytes:
            return
        for _, size, path in sorted(found, key=lambda each: each[0]):
            if total <= _FULL_SHARE * self._max_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size
            with contextlib.suppress(OSError):  # others are in there
                path.parent.rmdir()

    def _image(self, content_hash: str, fingerprint: str) -> Path:
        return self._folder / digest_of(fingerprint) / digest_of(content_hash)


class SharingRegionStore:
    """A machine's own store, and what others have encoded. Safe to share between threads and processes.

    Args:
        own: of this machine; references and sizes are kept there alone.
        shared: of all.
    """

    def __init__(self, own: RegionStore, shared: SharedFolder):
        self._own, self._shared = own, shared
        self.content_hash, self.remember, self.image_hw = own.content_hash, own.remember, own.image_hw

    def outlines(self, content_hash: str, fingerprint: str) -> list[EncodedRegion]:
        """Return the regions of an image without their features, those of others first, the own latest last."""
        own = self._own.outlines(content_hash, fingerprint)
        known = {_name(region) for region in own}
        shared = self._shared.outlines(content_hash, fingerprint)
        return [region for region in shared if _name(region) not in known] + own

    def load(self, content_hash: str, fingerprint: str, outline: EncodedRegion) -> EncodedRegion | None:
        """Return a region with its features, fetched once; None where both have lost it."""
        region = self._own.load(content_hash, fingerprint, outline)
        if region is None:
            region = self._shared.load(content_hash, fingerprint, outline)
            if region is not None:
                self._own.add(content_hash, fingerprint, [region])
        return region

    def add(self, content_hash: str, fingerprint: str, regions: Sequence[EncodedRegion]) -> None:
        """Keep regions in both."""
        self._own.add(content_hash, fingerprint, regions)
        self._shared.add(content_hash, fingerprint, regions)


def _put(image: Path, name: str, region: EncodedRegion) -> int:
    """Write a region, at once; return the bytes that were written, none where it is there."""
    path = image / name
    if path.exists():
        return 0
    data = with_checksum(region.to_bytes())
    for last in (False, True):
        fresh = image / f"{uuid.uuid4().hex}.partial"
        try:
            image.mkdir(parents=True, exist_ok=True, mode=0o770)
            fresh.write_bytes(data)
            os.replace(fresh, path)
            return len(data)
        except (FileNotFoundError, FileExistsError):  # swept, empty as it was, by another process just now
            if last:
                raise
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
    return 0


def _files(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the files that lie so many folders deep, while others remove some."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if depth:
            yield from _files(folder / name, depth - 1)
        else:
            yield folder / name


def _forget_oldest(image: Path) -> None:
    """Keep the latest regions of an image."""
    names: list[str] = []
    with contextlib.suppress(FileNotFoundError):  # another process has swept all of it
        names = [name for name in os.listdir(image) if name.endswith(SUFFIX)]
    if len(names) <= MAX_REGIONS_PER_IMAGE:
        return
    aged = []
    for name in names:
        with contextlib.suppress(OSError):
            aged.append(((image / name).stat().st_mtime_ns, name))
    for _, name in sorted(aged)[:-MAX_REGIONS_PER_IMAGE]:
        (image / name).unlink(missing_ok=True)


def _name(region: EncodedRegion) -> str:
    """Name a region by where it lies, to the last digit."""
    numbers = [*astuple(region.frame), *([] if region.prompt_box_xyxy is None else region.prompt_box_xyxy)]
    packed = struct.pack(f"<{len(numbers)}d", *map(float, numbers))
    return base64.urlsafe_b64encode(packed).decode().rstrip("=") + SUFFIX


def _read_name(name: str) -> EncodedRegion | None:
    """Read :func:`_name`; None for any other file."""
    stem = name.removesuffix(SUFFIX)
    if stem == name:
        return None
    try:
        packed = base64.b64decode(stem + "=" * (-len(stem) % 4), altchars=b"-_", validate=True)
        numbers = struct.unpack(f"<{_IMAGE if len(packed) == struct.calcsize('<' + _IMAGE) else _CROP}", packed)
        if not np.isfinite(numbers).all():
            return None
        if len(numbers) == 2:
            frame = ImageFrame(int(numbers[0]), int(numbers[1]))
            return EncodedRegion(frame=frame, prompt_box_xyxy=None, features={})
        crop = CropFrame(numbers[0], numbers[1], numbers[2], int(numbers[3]))
        return EncodedRegion(frame=crop, prompt_box_xyxy=np.array(numbers[4:]), features={})
    except (ValueError, struct.error):
        return None
