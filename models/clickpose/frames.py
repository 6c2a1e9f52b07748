"""Frames: original image pixels <-> what a network sees, the whole image or the square cut around one person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from clickpose.checks import as_array

SHORT_SIDE, LONG_SIDE = 800, 1333  # px of the end-to-end network's input


@dataclass(frozen=True)
class CropFrame:
    """An axis-aligned square of the original image that becomes the network input.

    Attributes:
        center_x, center_y: centre of the square, original pixels.
        side: length of the square's side, original pixels.
        input_side: side of the network input, network pixels.
    """

    center_x: float
    center_y: float
    side: float
    input_side: int

    @classmethod
    def around_box(cls, box_xyxy: ArrayLike, input_side: int, margin: float = 1.25) -> CropFrame:
        """Return the square of ``margin`` times the longer box side, centred on the box.

        Args:
            box_xyxy: (4,) original pixels.
            input_side: side of the network input in pixels.
            margin: how much wider than the box the square is.

        Raises:
            ValueError: if the box is not finite or is empty.
        """
        left, top, right, bottom = as_array("box_xyxy", box_xyxy, (4,)).tolist()
        if not (np.isfinite([left, top, right, bottom]).all() and right > left and bottom > top):
            raise ValueError(
                f"Expected a box (left, top, right, bottom) with an area, got {(left, top, right, bottom)}"
            )
        side = margin * max(right - left, bottom - top)
        return cls((left + right) / 2, (top + bottom) / 2, side, input_side)

    @property
    def scale(self) -> float:
        """Network pixels per original pixel."""
        return self.input_side / self.side

    @property
    def origin(self) -> np.ndarray:
        """(2,) top left corner of the square in original pixels."""
        return np.array([self.center_x - self.side / 2, self.center_y - self.side / 2])

    def to_norm(self, points: np.ndarray) -> np.ndarray:
        """Map (..., 2) original pixels to 0..1 of the square."""
        return (np.asarray(points, dtype=np.float64) - self.origin) / self.side

    def from_norm(self, points_norm: np.ndarray) -> np.ndarray:
        """Map (..., 2) coordinates in 0..1 of the square to original pixels."""
        return np.asarray(points_norm, dtype=np.float64) * self.side + self.origin

    def contains(self, points: np.ndarray, border_norm: float = 0.0) -> bool:
        """Tell whether all finite (..., 2) original-pixel points lie in the square, ``border_norm`` from its edge."""
        norm = self.to_norm(points).reshape(-1, 2)
        norm = norm[np.isfinite(norm).all(axis=1)]
        return bool(((norm >= border_norm) & (norm <= 1 - border_norm)).all())


@dataclass(frozen=True)
class ImageFrame:
    """The whole image as the network input; 0..1 along each side.

    Attributes:
        height, width: of the original image, pixels.
    """

    height: int
    width: int

    def to_norm(self, points: np.ndarray) -> np.ndarray:
        """Map (..., 2) original pixels to 0..1 of the image."""
        return np.asarray(points, dtype=np.float64) / [self.width, self.height]

    def from_norm(self, points_norm: np.ndarray) -> np.ndarray:
        """Map (..., 2) coordinates in 0..1 of the image to original pixels."""
        return np.asarray(points_norm, dtype=np.float64) * [self.width, self.height]


def input_hw(image_hw: tuple[int, int], short_side: int = SHORT_SIDE, long_side: int = LONG_SIDE) -> tuple[int, int]:
    """Return the (height, width) at which the network sees an image: as in training, with the same rounding."""
    short, long = min(image_hw), max(image_hw)
    side = short_side if long / short * short_side <= long_side else round(long_side * short / long)
    side = max(side, 1)
    height, width = image_hw
    return (side, int(side * width / height)) if height <= width else (int(side * height / width), side)
