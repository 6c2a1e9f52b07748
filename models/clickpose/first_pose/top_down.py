"""What top-down networks share: a crop of their shape around a box, and joints read from heatmaps or SimCC.

Positions are counted from the middle of the first pixel, as OpenCV and the published networks count them. They were
trained on COCO's labels as if these were counted so, and what they answer is to be read as such labels are.

Sources: mmpose (Apache-2.0) for crops and the quarter step; SimCC (Li et al., ECCV 2022); DARK (Zhang et al., CVPR
2020), Eq. 6 to 9; UDP (Huang et al., CVPR 2020) for the unit of its maps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

_DARK_SIGMA = 2.0  # cells; of the targets that heatmap networks are trained with
_FLOOR = 1e-10


@dataclass(frozen=True)
class BoxCrop:
    """A rectangle of the photo around a box, in the network's shape.

    Attributes:
        center_xy: its centre, px of the photo.
        extent_xy: its width and height, px of the photo.
        input_hw: the network's input, px.
        ends: whether the middles of the outermost pixels lie on the rectangle's sides (UDP), rather than its corners.
    """

    center_xy: tuple[float, float]
    extent_xy: tuple[float, float]
    input_hw: tuple[int, int]
    ends: bool = False

    @classmethod
    def around(cls, box_xyxy: np.ndarray, input_hw: tuple[int, int], padding: float, ends: bool = False) -> BoxCrop:
        """Return the smallest rectangle of the network's shape that holds a (4,) box ``padding`` times as large."""
        left, top, right, bottom = (float(side) for side in box_xyxy)
        width, height = max(right - left, 1e-6), max(bottom - top, 1e-6)
        ratio = input_hw[1] / input_hw[0]
        width, height = max(width, height * ratio), max(height, width / ratio)
        return cls(((left + right) / 2, (top + bottom) / 2), (width * padding, height * padding), input_hw, ends)

    @property
    def step(self) -> np.ndarray:
        """(2,) px of the photo in one px of the input, x and y."""
        sides = np.array(self.input_hw[::-1], float)
        return np.array(self.extent_xy) / (sides - 1 if self.ends else sides)

    @property
    def first(self) -> np.ndarray:
        """(2,) where the middle of the input's first pixel lies in the photo."""
        return np.array(self.center_xy) - np.array(self.extent_xy) / 2

    def cut(self, photo: Image.Image) -> np.ndarray:
        """Return the (h, w, 3) uint8 RGB crop, sampled at one place a pixel as in training; black beside the photo."""
        (sx, sy), (x, y) = self.step, self.first
        # from middles of pixels to the plane, in which Pillow thinks
        inverse = (sx, 0, x + 0.5 - 0.5 * sx, 0, sy, y + 0.5 - 0.5 * sy)
        size = (self.input_hw[1], self.input_hw[0])
        return np.asarray(photo.transform(size, Image.Transform.AFFINE, inverse, Image.Resampling.BILINEAR))

    def to_photo(self, points_input: np.ndarray) -> np.ndarray:
        """Map (..., 2) positions of the input, counted in pixels, to the photo's."""
        return np.asarray(points_input, float) * self.step + self.first


def read_simcc(simcc_x: np.ndarray, simcc_y: np.ndarray, split: float) -> tuple[np.ndarray, np.ndarray]:
    """Read joints from distributions over x and y.

    Args:
        simcc_x: (N, K, split · w).
        simcc_y: (N, K, split · h).
        split: bins in a pixel of the input.

    Returns:
        (N, K, 2) positions in the input, and the (N, K) smaller one of both maxima.
    """
    places = np.stack([simcc_x.argmax(-1), simcc_y.argmax(-1)], axis=-1) / split
    return places, np.minimum(simcc_x.max(-1), simcc_y.max(-1)).astype(float)


def read_heatmaps(
    heatmaps: np.ndarray, input_hw: tuple[int, int], refine: str = "quarter", ends: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Read joints from heatmaps.

    Args:
        heatmaps: (N, K, h, w).
        input_hw: the network's input, px.
        refine: within a cell: a ``"quarter"`` step towards the higher neighbour, ``"dark"`` (a Taylor step on the
            smoothed logarithm), or ``"none"``.
        ends: whether the outermost cells' middles lie on the outermost pixels' (UDP).

    Returns:
        (N, K, 2) positions in the input, and (N, K) maxima.
    """
    persons, joints, height, width = heatmaps.shape
    flat = heatmaps.reshape(persons, joints, -1)
    place = flat.argmax(-1)
    cells = np.stack([place % width, place // width], axis=-1)
    scores = np.take_along_axis(flat, place[..., None], -1)[..., 0].astype(float)
    steps = {"none": _no_step, "quarter": _quarter_step, "dark": _dark_step}[refine]
    offsets = [[steps(heatmaps[n, k], *cells[n, k]) for k in range(joints)] for n in range(persons)]
    points = cells + np.reshape(offsets, (persons, joints, 2))
    sides, maps = np.array(input_hw[::-1], float), np.array([width, height], float)
    return points * ((sides - 1) / (maps - 1) if ends else sides / maps), scores


def _no_step(heatmap: np.ndarray, x: int, y: int) -> np.ndarray:
    return np.zeros(2)


def _quarter_step(heatmap: np.ndarray, x: int, y: int) -> np.ndarray:
    height, width = heatmap.shape
    if not (0 < x < width - 1 and 0 < y < height - 1):
        return np.zeros(2)
    return 0.25 * np.sign([heatmap[y, x + 1] - heatmap[y, x - 1], heatmap[y + 1, x] - heatmap[y - 1, x]])


def _dark_step(heatmap: np.ndarray, x: int, y: int) -> np.ndarray:
    height, width = heatmap.shape
    if not (1 < x < width - 2 and 1 < y < height - 2):
        return np.zeros(2)
    smooth = gaussian_filter(heatmap.astype(float), _DARK_SIGMA, mode="constant", truncate=2.5)
    log = np.log(np.maximum(smooth, _FLOOR))
    gradient = 0.5 * np.array([log[y, x + 1] - log[y, x - 1], log[y + 1, x] - log[y - 1, x]])
    dxx = 0.25 * (log[y, x + 2] - 2 * log[y, x] + log[y, x - 2])
    dyy = 0.25 * (log[y + 2, x] - 2 * log[y, x] + log[y - 2, x])
    dxy = 0.25 * (log[y + 1, x + 1] - log[y - 1, x + 1] - log[y + 1, x - 1] + log[y - 1, x - 1])
    hessian = np.array([[dxx, dxy], [dxy, dyy]])
    if abs(np.linalg.det(hessian)) < _FLOOR:
        return np.zeros(2)
    return np.clip(-np.linalg.solve(hessian, gradient), -1, 1)
