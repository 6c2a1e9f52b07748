"""An image that knows the name of its file, for whoever looks something up by it."""

from __future__ import annotations

from typing import Any

import numpy as np


class NamedImage(np.ndarray):
    """An image with ``file_name``, the photo's path or address, which views and copies of it keep.

    It is an array like any other: what takes an (H, W, 3) image takes it.
    """

    file_name: str

    def __array_finalize__(self, origin: Any) -> None:
        self.file_name = getattr(origin, "file_name", "")


def named_image(image: np.ndarray, file_name: str) -> NamedImage:
    """Return a view of an image that knows its name.

    Example:
        >>> name_of(named_image(np.zeros((2, 3, 3), np.uint8), "people/a.jpg").copy())
        'people/a.jpg'
    """
    named = np.asarray(image).view(NamedImage)
    named.file_name = str(file_name)
    return named


def name_of(image: np.ndarray) -> str:
    """Return the name of an image's file; empty where it is not known."""
    return getattr(image, "file_name", "")
