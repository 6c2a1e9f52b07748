"""What the service needs from outside: images by reference, and a store of encoded image regions.

The service is written against these two protocols; the app gives files, HTTP and a disk cache, a test dictionaries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from clickpose.predictor import EncodedRegion, PosePredictor

PredictorFactory = Callable[[], PosePredictor]
"""Gives the one predictor, loading its weights on the first call; called from several threads."""


class ImageError(ValueError):
    """An image cannot be had or must not be read; the message is a sentence for the annotator."""


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """A decoded image.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, upright (EXIF rotation applied).
        content_hash: hash of the image content; part of every cache key.
    """

    pixels: np.ndarray
    content_hash: str


class ImageSource(Protocol):
    """Loads the images that tasks point at."""

    def load(self, reference: str) -> LoadedImage:
        """Load the image that a task's data names (``/data/upload/…``, ``https://…``, a data URI, …).

        Raises:
            ImageError: if the image cannot be had or must not be read.
        """


class RegionStore(Protocol):
    """Remembers which image stands behind a reference, and the encoded regions of each image. Safe for threads."""

    def content_hash(self, reference: str) -> str | None:
        """Return the content hash that was remembered for a reference, or None."""

    def remember(self, reference: str, content_hash: str, image_hw: tuple[int, int]) -> None:
        """Remember which content stands behind a reference, and its (height, width) in pixels."""

    def image_hw(self, content_hash: str) -> tuple[int, int] | None:
        """Return the remembered (height, width) in pixels of an image, or None."""

    def outlines(self, content_hash: str, fingerprint: str) -> list[EncodedRegion]:
        """Return the regions that the network with these weights has encoded of an image, without their features.

        Features take a megabyte a person; which region an edit needs shows without them.
        """

    def load(self, content_hash: str, fingerprint: str, outline: EncodedRegion) -> EncodedRegion | None:
        """Return the region of an outline with its features, or None where the store has lost it."""

    def add(self, content_hash: str, fingerprint: str, regions: Sequence[EncodedRegion]) -> None:
        """Keep encoded regions of an image; the store may forget them later."""
