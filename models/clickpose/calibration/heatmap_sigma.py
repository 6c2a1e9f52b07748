"""How uncertain a prediction is, as a standard deviation in pixels: from a heatmap, from RLE's scale, from a spread.

The Gaussian fit is Guo's (2011): the logarithm of a Gaussian is a quadratic, fitted by least squares with the squared
values of the previous fit as weights, which undoes what the logarithm does to noise and, because those weights fall off
around the peak, leaves a second peak out. Cells beyond the border are simply not there, and clipped tops are left out:
the flanks alone tell the width.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from clickpose.calibration.expected_oks import RENDERING_SIGMA
from clickpose.checks import as_array, check_finite, check_not_negative, check_positive

_ROUNDS = 6
_FLOOR = 0.1  # cells below this share of the peak tell little and drown in noise
_NEAR = 2.3  # cells: so near to the peak all count, since narrow peaks have few others, in a corner above all
_CLIPPED_FROM = 5  # that many equal highest cells are a clipped top; sampling a smooth peak ties at most four
_CHUNK = 64  # maps fitted at once: bounds the memory


class GaussianFit(NamedTuple):
    """Gaussians of M heatmaps.

    Attributes:
        means: (M, 2) x, y in cells; the centre of the first cell is 0, 0.
        sigmas: (M,) standard deviation, cells; infinite for a map without a peak.
        peaks: (M,) height of the fitted Gaussian, 0 or more.
    """

    means: np.ndarray
    sigmas: np.ndarray
    peaks: np.ndarray


def fit_gaussians(heatmaps: ArrayLike) -> GaussianFit:
    """Fit one isotropic Gaussian to the highest peak of each heatmap.

    Args:
        heatmaps: (M, H, W) values, of a height that does not matter; noise may be below 0.

    Returns:
        the fits. A map that is constant or nowhere above 0 has no peak: infinite sigma, its middle as the mean, its
        highest value as the height.

    Raises:
        ValueError: for another shape, empty maps, or values that are not finite.
    """
    heatmaps = as_array("heatmaps", heatmaps, ("M", "H", "W"))
    if 0 in heatmaps.shape[1:]:
        raise ValueError(f"Expected heatmaps with at least one cell, got {heatmaps.shape}")
    check_finite("heatmaps", heatmaps)
    parts = [_fit_chunk(heatmaps[i : i + _CHUNK]) for i in range(0, len(heatmaps), _CHUNK)]
    if not parts:
        return GaussianFit(np.zeros((0, 2)), np.zeros(0), np.zeros(0))
    return GaussianFit(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def sigma_from_heatmap(
    heatmaps: ArrayLike, rendering_sigma: float = RENDERING_SIGMA, cell: ArrayLike = 1.0
) -> np.ndarray:
    """Return the s of the joint behind each heatmap that was trained on Gaussians of ``rendering_sigma``.

    The heatmap is the mean target, a Gaussian of variance s^2 + l~^2 (Sec. 3 of "On the Calibration of Human Pose
    Estimation"): the fit's variance less the rendering's; 0 for a fit narrower than the rendering.

    Args:
        heatmaps: (M, H, W).
        rendering_sigma: l~, cells; 0 for maps that are densities themselves.
        cell: () or (M,) px of the original image for one cell.

    Returns:
        (M,) px; infinite without a peak.
    """
    if not rendering_sigma >= 0:
        raise ValueError(f"Expected rendering_sigma of 0 or more, got {rendering_sigma}")
    cell = check_positive("cell", np.asarray(cell, dtype=np.float64))
    fit = fit_gaussians(heatmaps)
    return np.sqrt(np.maximum(np.square(fit.sigmas) - rendering_sigma**2, 0.0)) * cell


def sigma_from_rle(scales: ArrayLike, extent_wh: ArrayLike) -> np.ndarray:
    """Return the s of residual log-likelihood regression, pooled over the two axes.

    Args:
        scales: (..., 2) predicted standard deviations along x and y, as shares of the input's width and height.
        extent_wh: (..., 2) width and height of the network's input in original pixels.

    Returns:
        (...) px: the root of the mean variance.

    Raises:
        ValueError: for negative scales or extents that are not above 0.
    """
    scales, extent = np.asarray(scales, dtype=np.float64), np.asarray(extent_wh, dtype=np.float64)
    for name, array in (("scales", scales), ("extent_wh", extent)):
        if array.shape[-1:] != (2,):
            raise ValueError(f"Expected {name} of shape (..., 2), got {array.shape}")
    check_not_negative("scales", scales)
    return np.sqrt(np.square(scales * check_positive("extent_wh", extent)).mean(axis=-1))


def covariance_from_spread(predictions: ArrayLike) -> np.ndarray:
    """Return the covariance of several predictions of the same joints (test-time augmentation, an ensemble, dropout).

    Args:
        predictions: (S, ..., 2) px, S of at least 2.

    Returns:
        (..., 2, 2) px², unbiased.

    Raises:
        ValueError: for fewer than two predictions, another shape, or values that are not finite.
    """
    predictions = np.asarray(predictions, dtype=np.float64)
    if predictions.ndim < 2 or predictions.shape[-1] != 2 or len(predictions) < 2:
        raise ValueError(f"Expected predictions of shape (S, ..., 2) with S of at least 2, got {predictions.shape}")
    centered = check_finite("predictions", predictions) - predictions.mean(axis=0)
    return np.einsum("s...i,s...j->...ij", centered, centered) / (len(predictions) - 1)


def sigma_from_spread(predictions: ArrayLike) -> np.ndarray:
    """Return the s of :func:`covariance_from_spread`, pooled over the two axes: the root of the mean variance.

    Args:
        predictions: (S, ..., 2) px, S of at least 2.

    Returns:
        (...) px.
    """
    return np.sqrt(np.trace(covariance_from_spread(predictions), axis1=-2, axis2=-1) / 2)


def _fit_chunk(heatmaps: np.ndarray) -> GaussianFit:
    """Fit (B, H, W) maps: a first guess from the half-maximum area, then reweighted quadratics."""
    count, height, width = heatmaps.shape
    cells = _cells(np.arange(width), np.arange(height))
    values = heatmaps.reshape(count, -1)
    highest = values.max(axis=1)
    fit, usable = _first_guess(values, highest, cells)
    flat = (highest <= 0) | (values.min(axis=1) == highest)
    reach = int(np.ceil(3 * fit.sigmas[~flat].max(initial=1.0))) + 2
    window = _window(fit.means, reach, heatmaps, usable.reshape(heatmaps.shape))
    for _ in range(_ROUNDS):
        refined, believable = _solve(*window, fit)
        fit = GaussianFit(
            np.where(believable[:, None], refined.means, fit.means),
            np.where(believable, refined.sigmas, fit.sigmas),
            np.where(believable, refined.peaks, fit.peaks),
        )
    middle = (np.array([width, height]) - 1) / 2
    return GaussianFit(
        np.where(flat[:, None], middle, fit.means),
        np.where(flat, np.inf, fit.sigmas),
        np.where(flat, np.maximum(highest, 0.0), fit.peaks),
    )


def _cells(xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Return the (len(ys) · len(xs), 2) positions x, y of a grid, row by row."""
    return np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2).astype(np.float64)


def _window(
    means: np.ndarray, reach: int, heatmaps: np.ndarray, usable: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut the (B, n) values, usable flags and (B, n, 2) cells within ``reach`` of each mean; what is outside the map is
    not usable. Nothing that a fit gives weight to lies further away, and most maps are far larger."""
    count, height, width = heatmaps.shape
    steps = _cells(*(np.arange(-min(reach, side), min(reach, side) + 1) for side in (width, height)))
    cells = np.round(means)[:, None] + steps  # (B, n, 2)
    x, y = cells.astype(int).transpose(2, 0, 1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    index = (np.arange(count)[:, None], np.where(inside, y, 0), np.where(inside, x, 0))
    return heatmaps[index], usable[index] & inside, cells


def _first_guess(values: np.ndarray, highest: np.ndarray, cells: np.ndarray) -> tuple[GaussianFit, np.ndarray]:
    """Return a guess at the highest peak of (B, HW) values and the (B, HW) bool cells that tell about it.

    A Gaussian is above half its height over an area of 2 pi ln 2 s^2; the area is counted around the peak only, where
    the map has not risen again, so that a second peak does not widen the guess.
    """
    top = values >= highest[:, None] - 1e-6 * np.abs(highest)[:, None]
    start = cells[values.argmax(axis=1)]
    clipped = top.sum(axis=1) >= _CLIPPED_FROM
    centroid = (top[..., None] * cells).sum(axis=1) / top.sum(axis=1)[:, None]
    means = np.where(clipped[:, None], centroid, start)
    distance = np.linalg.norm(cells - means[:, None], axis=2)
    half = values >= highest[:, None] / 2
    gap = np.where(half, np.inf, distance).min(axis=1)  # the nearest cell below half height
    area = (half & (distance <= 1.5 * gap[:, None] + 1)).sum(axis=1)
    sigmas = np.sqrt(np.maximum(area, 1) / (2 * np.pi * np.log(2)))
    usable = values > _FLOOR * highest[:, None]
    usable |= (values > 1e-6 * highest[:, None]) & (distance <= _NEAR)
    usable &= ~(clipped[:, None] & top)
    return GaussianFit(means, sigmas, np.maximum(highest, 0.0)), usable & (values > 0)


def _solve(
    values: ArrayLike, usable: np.ndarray, cells: np.ndarray, fit: GaussianFit
) -> tuple[GaussianFit, np.ndarray]:
    """Solve one weighted quadratic for each map; returns the Gaussians and where they are believable."""
    # around the previous mean, in units of its sigma: well conditioned for any map
    local = (cells - fit.means[:, None]) / fit.sigmas[:, None, None]  # (B, n, 2)
    squared = np.square(local).sum(axis=2)
    weights = np.where(usable, np.exp(-squared), 0.0)  # the squared height of the previous Gaussian
    design = np.stack([np.ones_like(squared), local[..., 0], local[..., 1], squared], axis=2)
    logarithm = np.log(np.where(usable, values, 1.0))
    weighted = design * weights[..., None]
    matrix = np.einsum("bnp,bnq->bpq", weighted, design)
    scale = np.trace(matrix, axis1=1, axis2=2)
    # a trace of ridge keeps a map with too few cells solvable; such a fit is refused below
    matrix = matrix + (1e-12 * scale + 1e-300)[:, None, None] * np.eye(4)
    c0, c1, c2, c3 = np.linalg.solve(matrix, np.einsum("bnp,bn->bp", weighted, logarithm)[..., None])[..., 0].T
    peaked = (c3 < -0.02) & (usable.sum(axis=1) >= 4)  # at most five times wider than before
    curvature = np.where(peaked, c3, -0.5)
    shift = np.stack([c1, c2], axis=1) / (-2 * curvature)[:, None]
    believable = peaked & (np.abs(shift).max(axis=1) < 3)
    shift = np.where(believable[:, None], shift, 0.0)
    exponent = np.clip(c0 - (np.square(c1) + np.square(c2)) / (4 * curvature), -700, 700)
    sigmas = fit.sigmas / np.sqrt(-2 * curvature)
    return GaussianFit(fit.means + shift * fit.sigmas[:, None], sigmas, np.exp(exponent)), believable
