"""Cut the network input around a person: one affine map from original pixels to the crop, one resampling."""

from __future__ import annotations

import numpy as np
from PIL import Image

from clickpose.frames import CropFrame


def frame_matrix(frame: CropFrame, rotation: float = 0.0, flip: bool = False) -> np.ndarray:
    """Return the (2, 3) affine map from original pixels to 0..1 of the crop.

    Args:
        frame: the square to cut.
        rotation: turn of the content about the centre, radians, clockwise as seen.
        flip: mirror left and right after the turn.
    """
    cos, sin = np.cos(rotation) / frame.side, np.sin(rotation) / frame.side
    linear = np.array([[cos, -sin], [sin, cos]])
    offset = 0.5 - linear @ [frame.center_x, frame.center_y]
    matrix = np.concatenate([linear, offset[:, None]], axis=1)
    if flip:
        matrix[0] = -matrix[0]
        matrix[0, 2] += 1.0
    return matrix


def apply_affine(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map (..., 2) points by a (2, 3) affine matrix."""
    return np.asarray(points) @ matrix[:, :2].T + matrix[:, 2]


def warp_crop(image: Image.Image, matrix: np.ndarray, side: int, image_hw: tuple[int, int] | None = None) -> np.ndarray:
    """Resample a photo into the crop.

    Shrinking by two or more is done by box averaging first, so that large photos do not alias.

    Args:
        image: RGB photo.
        matrix: (2, 3) map from original pixels to 0..1 of the crop.
        side: side of the crop in pixels.
        image_hw: frame of ``matrix`` when the photo is stored at another size (then it is stretched back).

    Returns:
        (side, side, 3) uint8 RGB; black outside the photo.
    """
    height, width = image_hw or (image.height, image.width)
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2]))) * side  # crop pixels per original pixel
    stored_x, stored_y = width / image.width, height / image.height  # original pixels per stored pixel
    factor = max(1, int(0.75 / max(scale * min(stored_x, stored_y), 1e-6)))
    factor = min(factor, max(1, min(image.size) // 2))
    if factor > 1:
        image = image.reduce(factor)
    # reduce() rounds its size up and its last pixels average what is left: the factor is exact, the sizes' ratio is not
    to_original = np.diag([stored_x * factor, stored_y * factor, 1.0])
    to_crop = np.vstack([matrix * side, [0, 0, 1]]) @ to_original
    inverse = np.linalg.inv(to_crop)[:2]
    crop = image.transform((side, side), Image.Transform.AFFINE, inverse.ravel().tolist(), Image.Resampling.BILINEAR)
    return np.asarray(crop)
