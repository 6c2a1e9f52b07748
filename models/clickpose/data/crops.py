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
    factor = _reduction(matrix, side, image.size, image_hw)
    return _resample(image, matrix, side, image_hw, factor)


def warp_pixels(pixels: np.ndarray, matrix: np.ndarray, side: int) -> np.ndarray:
    """Resample as :func:`warp_crop` does, into the same crop, of a photo of which only the part in the crop is touched.

    Args:
        pixels: (H, W, 3) uint8 RGB; may be large.
        matrix, side: as there.
    """
    height, width = pixels.shape[:2]
    factor = _reduction(matrix, side, (width, height), None)
    corners = apply_affine(_inverse(matrix), np.array([[0, 0], [1, 0], [0, 1], [1, 1]], float))
    border = 2 * factor  # what the resampling looks at beyond the crop
    # whole groups of reduced pixels, counted from the photo's corner
    low = np.floor((corners.min(axis=0) - border) / factor).astype(int) * factor
    high = np.ceil((corners.max(axis=0) + border) / factor).astype(int) * factor
    left, top = np.clip(low, 0, [width, height]).tolist()
    right, bottom = np.clip(high, 0, [width, height]).tolist()
    if right - left < 1 or bottom - top < 1:
        return np.zeros((side, side, 3), np.uint8)
    part = Image.fromarray(pixels[top:bottom, left:right])
    moved = np.column_stack([matrix[:, :2], apply_affine(matrix, np.array([left, top], float))])
    return _resample(part, moved, side, None, factor)


def _inverse(matrix: np.ndarray) -> np.ndarray:
    return np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]


def _reduction(matrix: np.ndarray, side: int, image_wh: tuple[int, int], image_hw: tuple[int, int] | None) -> int:
    """Return by how much a photo is box-averaged before it is resampled."""
    height, width = image_hw or image_wh[::-1]
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2]))) * side  # crop pixels per original pixel
    stored = min(width / image_wh[0], height / image_wh[1])  # original pixels per stored pixel
    factor = max(1, int(0.75 / max(scale * stored, 1e-6)))
    return min(factor, max(1, min(image_wh) // 2))


def _resample(
    image: Image.Image, matrix: np.ndarray, side: int, image_hw: tuple[int, int] | None, factor: int
) -> np.ndarray:
    height, width = image_hw or (image.height, image.width)
    stored_x, stored_y = width / image.width, height / image.height  # original pixels per stored pixel
    if factor > 1:
        image = image.reduce(factor)
    # reduce() rounds its size up and its last pixels average what is left: the factor is exact, the sizes' ratio is not
    to_original = np.diag([stored_x * factor, stored_y * factor, 1.0])
    to_crop = np.vstack([matrix * side, [0, 0, 1]]) @ to_original
    inverse = np.linalg.inv(to_crop)[:2]
    crop = image.transform((side, side), Image.Transform.AFFINE, inverse.ravel().tolist(), Image.Resampling.BILINEAR)
    return np.asarray(crop)
