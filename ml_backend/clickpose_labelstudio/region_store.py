"""Encoded image regions on disk, shared by the worker processes, with the latest of them in memory.

Everything here is a cache: whatever is missing, damaged or locked counts as absent and is computed anew. A disk that is
full or may not be written to is done without: each worker then remembers for itself. diskcache does the bounding and
the locking; its pickles are refused, on the way in and on the way out, because whoever can write to the folder could
otherwise run code in the service.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import shutil
import sqlite3
import threading
import time
import uuid
import zlib
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import diskcache
from diskcache.core import MODE_PICKLE

from clickpose.checks import as_array
from clickpose.frames import CropFrame, ImageFrame
from clickpose.predictor import EncodedRegion
from clickpose_labelstudio.settings import ServiceSettings

LAYOUT_VERSION = "regions-3"
MAX_REGIONS_PER_IMAGE = 64
ADDED_AT_ONCE = 8  # regions in one transaction, which keeps other workers from writing
MAX_SPARE_TEXTS = 10_000
LOCK_TIMEOUT_S = 2.0
LOOK_S = 5.0  # between two looks at whether the cache folder is still there
NO_CACHE_LOOK_S = 60.0  # and whether one that could not be used can be
SAY_AGAIN_S = 60.0
CHECKSUM_BYTES = 4
PLAIN_TYPES = (bytes, str, int)
CACHE_FAILURES = (sqlite3.Error, diskcache.Timeout, OSError, ValueError)

logger = logging.getLogger(__name__)


class PlainDisk(diskcache.Disk):
    """A diskcache store of bytes, text and whole numbers, without pickle."""

    def put(self, key: Any) -> Any:
        """Return the database form of a key, which must be text."""
        if type(key) is not str:
            raise TypeError(f"Expected a cache key of type str, got {type(key).__name__}")
        return super().put(key)

    def get(self, key: Any, raw: Any) -> Any:
        """Return the key behind its database form."""
        if not raw:
            raise ValueError("Expected a plain cache key, got a pickled one")
        return super().get(key, raw)

    def store(self, value: Any, read: Any, key: Any = diskcache.UNKNOWN) -> Any:
        """Write a value of one of the plain types."""
        if type(value) not in PLAIN_TYPES or (type(value) is int and value.bit_length() > 63):
            raise TypeError(f"Expected a cache value of type bytes, str or int, got {type(value).__name__}")
        return super().store(value, read, key)

    def fetch(self, mode: Any, filename: Any, value: Any, read: Any) -> Any:
        """Read a value; a pickled one is refused unread."""
        if mode == MODE_PICKLE:
            raise ValueError("Expected a plain cache value, got a pickled one")
        if filename is not None and not Path(self._directory, filename).resolve().is_relative_to(
            Path(self._directory).resolve()
        ):
            raise ValueError("Expected a cache file inside the cache folder")
        return super().fetch(mode, filename, value, read)


class DiskRegionStore:
    """The regions that a network has encoded of each image, and which image stands behind each reference.

    Keys hold the hash of the image's content and the fingerprint of the weights, so that neither a replaced image nor
    new weights ever meet old features. Two workers that encode the same region at once both write it under the same
    key. Safe to share between threads and processes.

    Args:
        settings: cache folder, its bounds and the lifetime of references.
    """

    def __init__(self, settings: ServiceSettings):
        self._reference_ttl_s = settings.reference_ttl_s
        # the same address is another image in another Label Studio or below another folder
        self._reference_scope = f"{settings.label_studio_url}|{'|'.join(map(str, settings.local_roots))}"
        self._folder, self._max_bytes = settings.cache_dir / LAYOUT_VERSION, settings.cache_max_bytes
        self._reopening = threading.Lock()
        self._warnings = RareWarnings()
        self._opened = _open_cache(self._folder, self._max_bytes)
        self._inode, self._looked_s = _inode(self._folder), time.monotonic()
        self._memory = _MemoryRegions(settings.memory_cache_max_bytes)
        self._spare = _SpareTexts()

    def close(self) -> None:
        """Close this thread's database connection."""
        self._cache.close()

    @property
    def _cache(self) -> diskcache.Cache | _NoCache:
        """The open cache, which every now and then looks whether its folder is still there or a disk has room again."""
        patience = NO_CACHE_LOOK_S if isinstance(self._opened, _NoCache) else LOOK_S
        if time.monotonic() - self._looked_s > patience:
            self._reopen(isinstance(self._opened, _NoCache) or _inode(self._folder) != self._inode)
        return self._opened

    def _reopen(self, wanted: bool, put_aside: bool = False) -> None:
        """Open the cache anew where that is wanted: files written for a database that is gone would stay for ever."""
        if not self._reopening.acquire(blocking=False):
            return  # another thread does it
        try:
            self._looked_s = time.monotonic()
            if put_aside:
                _put_aside(self._folder)
            if wanted or put_aside:
                self._opened = _open_cache(self._folder, self._max_bytes)
                self._inode = _inode(self._folder)
        except OSError as error:
            self._warnings.say("The cache folder cannot be made again", error)
        finally:
            self._reopening.release()

    def _failed(self, what: str, error: Exception) -> None:
        """Say that the cache failed, and open it anew where its database is gone or damaged."""
        self._warnings.say(what, error)
        if type(error) is sqlite3.DatabaseError:
            self._reopen(wanted=True, put_aside=True)
        elif isinstance(error, sqlite3.OperationalError) and "no such table" in str(error):
            self._reopen(wanted=True)

    def content_hash(self, reference: str) -> str | None:
        """Return the content hash remembered for a reference within the lifetime of references, or None."""
        return self._get_text(self._reference_key(reference))

    def remember(self, reference: str, content_hash: str, image_hw: tuple[int, int]) -> None:
        """Remember the content behind a reference, and its (height, width) in pixels."""
        self._set(f"size:{content_hash}", json.dumps([int(length) for length in image_hw]))
        self._set(self._reference_key(reference), content_hash, expire=self._reference_ttl_s)

    def image_hw(self, content_hash: str) -> tuple[int, int] | None:
        """Return the remembered (height, width) in pixels of an image, or None."""
        sizes = self._get_json_list(f"size:{content_hash}")
        if len(sizes) == 2 and all(type(size) is int and size > 0 for size in sizes):
            return sizes[0], sizes[1]
        return None

    def outlines(self, content_hash: str, fingerprint: str) -> list[EncodedRegion]:
        """Return the encoded regions of an image without their features, latest last."""
        entries = self._get_json_list(_index_key(content_hash, fingerprint))
        return [outline for entry in entries if (outline := _read_outline(entry)) is not None]

    def load(self, content_hash: str, fingerprint: str, outline: EncodedRegion) -> EncodedRegion | None:
        """Return a region with its features; None for one that is damaged or evicted."""
        key = _region_key(content_hash, fingerprint, _region_id(outline))
        return self._memory.get(key) or self._read_region(key)

    def add(self, content_hash: str, fingerprint: str, regions: Sequence[EncodedRegion]) -> None:
        """Keep regions of an image; of one image only the latest ``MAX_REGIONS_PER_IMAGE`` stay."""
        for start in range(0, len(regions), ADDED_AT_ONCE):
            self._add_some(content_hash, fingerprint, regions[start : start + ADDED_AT_ONCE])

    def _add_some(self, content_hash: str, fingerprint: str, regions: Sequence[EncodedRegion]) -> None:
        named = {_region_key(content_hash, fingerprint, _region_id(region)): region for region in regions}
        data = {key: region.to_bytes() for key, region in named.items()}
        for key, region in named.items():
            self._memory.set(key, region, len(data[key]))
        index_key = _index_key(content_hash, fingerprint)
        try:
            with self._cache.transact():
                for key, features in data.items():
                    self._cache.set(key, with_checksum(features))
                outlines = self._with(named.values(), content_hash, fingerprint)
                for dropped in outlines[:-MAX_REGIONS_PER_IMAGE]:
                    self._cache.delete(_region_key(content_hash, fingerprint, _region_id(dropped)))
                self._cache.set(index_key, _outline_text(outlines))
            self._spare.drop(index_key)
        except CACHE_FAILURES as error:
            self._failed("Regions were not cached on disk", error)
            self._spare.set(index_key, _outline_text(self._with(named.values(), content_hash, fingerprint)))

    def _with(self, regions: Collection[EncodedRegion], content_hash: str, fingerprint: str) -> list[EncodedRegion]:
        """Return the outlines of an image's regions, these the latest."""
        own = {_region_id(region) for region in regions}
        known = self.outlines(content_hash, fingerprint)
        return [other for other in known if _region_id(other) not in own] + list(regions)

    def _reference_key(self, reference: str) -> str:
        return f"reference:{digest_of(f'{self._reference_scope}|{reference}')}"

    def _read_region(self, key: str) -> EncodedRegion | None:
        stored = self._get(key)
        if not isinstance(stored, bytes):
            return None
        try:
            data = checked(stored)
            region = EncodedRegion.from_bytes(data)
        except (ValueError, OverflowError) as error:
            logger.warning("A damaged cache entry is dropped: %s", error)
            self._delete(key)
            return None
        self._memory.set(key, region, len(data))
        return region

    def _get(self, key: str) -> object:
        try:
            return self._cache.get(key)
        except CACHE_FAILURES as error:
            self._failed("The cache could not be read", error)
            return None

    def _get_text(self, key: str) -> str | None:
        spare = self._spare.get(key)
        value = self._get(key) if spare is None else spare
        return value if isinstance(value, str) else None

    def _get_json_list(self, key: str) -> list:
        text = self._get_text(key)
        try:
            value = json.loads(text) if text else []
        except ValueError:
            value = []
        return value if isinstance(value, list) else []

    def _set(self, key: str, value: str, expire: float | None = None) -> None:
        try:
            self._cache.set(key, value, expire=expire)
            self._spare.drop(key)
        except CACHE_FAILURES as error:
            self._failed("The cache could not be written", error)
            self._spare.set(key, value, expire)

    def _delete(self, key: str) -> None:
        try:
            self._cache.delete(key)
        except CACHE_FAILURES as error:
            self._failed("The cache could not be written", error)


class RareWarnings:
    """Logs each kind of failure once a minute: a disk that is full fails with every edit."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def say(self, what: str, error: Exception) -> None:
        now = time.monotonic()
        if now - self._said.get(what, -math.inf) >= SAY_AGAIN_S:
            self._said[what] = now
            logger.warning("%s: %s", what, error)


class _SpareTexts:
    """What could not be written to disk: texts by key, the latest ones, each for its lifetime."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, tuple[str, float | None]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> str | None:
        with self._lock:
            value, ends = self._entries.get(key, (None, None))
            return None if ends is not None and time.monotonic() > ends else value

    def set(self, key: str, value: str, expire: float | None = None) -> None:
        with self._lock:
            self._entries[key] = value, None if expire is None else time.monotonic() + expire
            self._entries.move_to_end(key)
            while len(self._entries) > MAX_SPARE_TEXTS:
                self._entries.popitem(last=False)

    def drop(self, key: str) -> None:
        with self._lock:
            self._entries.pop(key, None)


class _NoCache:
    """Stands in for a cache folder that cannot be used: it holds nothing and takes nothing."""

    def get(self, key: str) -> None:
        """Return nothing."""

    def set(self, key: str, value: object, expire: float | None = None) -> None:
        """Fail as a full disk does."""
        raise sqlite3.OperationalError("the cache folder cannot be used")

    def delete(self, key: str) -> None:
        """Do nothing."""

    def transact(self) -> contextlib.AbstractContextManager:
        """Return a block that does nothing."""
        return contextlib.nullcontext()

    def close(self) -> None:
        """Do nothing."""


class _MemoryRegions:
    """The regions used last, bounded by their bytes."""

    def __init__(self, max_bytes: int):
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[str, tuple[EncodedRegion, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> EncodedRegion | None:
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key][0]

    def set(self, key: str, region: EncodedRegion, size: int) -> None:
        with self._lock:
            if key in self._entries:
                self._bytes -= self._entries.pop(key)[1]
            self._entries[key] = (region, size)
            self._bytes += size
            while self._bytes > self._max_bytes:
                _, (_, dropped_size) = self._entries.popitem(last=False)
                self._bytes -= dropped_size


def _open_cache(directory: Path, max_bytes: int) -> diskcache.Cache | _NoCache:
    """Open the cache of a folder that only this user may enter; a damaged database is put aside and started anew.

    Raises:
        OSError: if there cannot be such a folder.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        return _open_database(directory, max_bytes)
    except sqlite3.OperationalError as error:  # a full disk, a read-only one, a lock; the database may be sound
        logger.warning("The cache in %s cannot be used, memory alone serves: %s", directory, error)
        return _NoCache()
    except sqlite3.DatabaseError as error:
        logger.warning("The cache in %s is damaged and is started anew: %s", directory, error)
        _put_aside(directory)
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _open_database(directory, max_bytes)


def _put_aside(directory: Path) -> None:
    """Remove a folder; workers that still write into it write into nothing."""
    with contextlib.suppress(FileNotFoundError):  # another worker has
        aside = directory.with_name(f"{directory.name}-damaged-{uuid.uuid4().hex}")
        directory.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def _inode(directory: Path) -> int | None:
    """Return what tells a folder's database from another one under its name."""
    try:
        return (directory / diskcache.core.DBNAME).stat().st_ino
    except OSError:
        return None


def _open_database(directory: Path, max_bytes: int) -> diskcache.Cache:
    return diskcache.Cache(
        str(directory), disk=PlainDisk, size_limit=max_bytes, eviction_policy="least-recently-used",
        timeout=LOCK_TIMEOUT_S,
    )  # fmt: skip


def with_checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(CHECKSUM_BYTES, "big") + data


def checked(stored: bytes) -> bytes:
    """Return what :func:`with_checksum` was given; disks and half-written files do change bytes."""
    data = stored[CHECKSUM_BYTES:]
    if zlib.crc32(data).to_bytes(CHECKSUM_BYTES, "big") != stored[:CHECKSUM_BYTES]:
        raise ValueError(f"Expected a region with its checksum, got {len(stored)} other bytes")
    return data


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _index_key(content_hash: str, fingerprint: str) -> str:
    return f"regions:{content_hash}:{fingerprint}"


def _region_key(content_hash: str, fingerprint: str, region_id: object) -> str:
    return f"region:{content_hash}:{fingerprint}:{region_id}"


def _outline_text(regions: Sequence[EncodedRegion]) -> str:
    """Write where the latest regions of an image lie."""
    prompts = [None if r.prompt_box_xyxy is None else r.prompt_box_xyxy.tolist() for r in regions]
    outlines = [[astuple(region.frame), prompt] for region, prompt in zip(regions, prompts, strict=True)]
    return json.dumps(outlines[-MAX_REGIONS_PER_IMAGE:])


def _read_outline(entry: Any) -> EncodedRegion | None:
    """Read an entry of :func:`_outline_text`; None for anything else, which counts as absent."""
    try:
        frame, prompt = entry
        if prompt is None:
            height, width = (int(length) for length in frame)
            return EncodedRegion(frame=ImageFrame(height, width), prompt_box_xyxy=None, features={})
        center_x, center_y, side, input_side = map(float, frame)
        box = as_array("prompt", prompt, (4,))
        return EncodedRegion(
            frame=CropFrame(center_x, center_y, side, int(input_side)), prompt_box_xyxy=box, features={}
        )
    except (TypeError, ValueError, OverflowError):
        return None


def _region_id(region: EncodedRegion) -> str:
    """Name a region by its geometry, so that encoding it twice keeps it once."""
    prompt = None if region.prompt_box_xyxy is None else region.prompt_box_xyxy.tolist()
    return digest_of(repr((astuple(region.frame), prompt)))
