"""What OKS a prediction may expect when the true joint is uncertain: the closed forms of "On the Calibration of Human
Pose Estimation" (ICML 2024), in the paper's notation.

The true position p is random around mu; p^ is the prediction; OKS of a joint is ``exp(-|p^ - p|^2 / (2 l^2))`` with
l^2 = (2 sigma_k)^2 · area (Eq. 6). OKS of given positions is :mod:`clickpose.metrics.oks`. ``s`` is a standard
deviation along each axis and ``l`` the length scale of OKS, both in the same unit (px); everything broadcasts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from clickpose.checks import as_array, check_positive, check_unit_range

RENDERING_SIGMA = 2.0  # l~ of the usual heatmap targets, heatmap cells


def length_scale(area: ArrayLike, sigmas: ArrayLike) -> np.ndarray:
    """Return l = 2 sigma_k sqrt(area), the distance at which a joint's OKS is exp(-1/2).

    Args:
        area: (...) px², above 0.
        sigmas: (K,) OKS sigmas, COCO convention.

    Returns:
        (..., K) px.

    Raises:
        ValueError: for an area or sigma that is not above 0.
    """
    area = check_positive("area", np.asarray(area, dtype=np.float64))
    sigmas = check_positive("sigmas", as_array("sigmas", sigmas, ("K",)))
    return 2 * sigmas * np.sqrt(area)[..., None]


def expected_oks(s: ArrayLike, l: ArrayLike, distance: ArrayLike = 0.0) -> np.ndarray:  # noqa: E741 (the paper's letter)
    """Return E[OKS] for p ~ N(mu, s^2 I) (Eq. 11); at p^ = mu it is l^2 / (s^2 + l^2) (Eq. 12).

    Args:
        s: (...) standard deviation, px, 0 or more; infinite gives 0.
        l: (...) length scale of OKS, px, above 0.
        distance: (...) ``|p^ - mu|``, px, 0 or more.

    Returns:
        (...) in 0..1.

    Raises:
        ValueError: for a negative or NaN ``s`` or ``distance``, or an ``l`` that is not above 0.

    Example:
        >>> expected_oks(3.0, 4.0).item()  # 16 / (9 + 16)
        0.64
    """
    s, l = _deviation("s", s), check_positive("l", np.asarray(l, dtype=np.float64))  # noqa: E741
    ratio = np.square(s / l)
    squared = np.square(_deviation("distance", distance) / l)
    return np.exp(-squared / (2 * (1 + ratio))) / (1 + ratio)


def sigma_of_expected_oks(score: ArrayLike, l: ArrayLike) -> np.ndarray:  # noqa: E741
    """Return the s whose expected OKS is ``score``: l sqrt(1/c - 1), Eq. 12 solved for s; infinite for 0.

    Args:
        score: (...) c, predicted OKS, 0..1.
        l: (...) length scale of OKS, px, above 0.

    Raises:
        ValueError: for scores that are not within 0..1, or an ``l`` that is not above 0.
    """
    score = check_unit_range("score", np.asarray(score, dtype=np.float64))
    l = check_positive("l", np.asarray(l, dtype=np.float64))  # noqa: E741
    with np.errstate(divide="ignore", over="ignore"):
        return l * np.sqrt((1 - score) / score)  # 1 / c - 1 would lose what is left of a score near 1


def with_common_tolerance(scores: ArrayLike, sigmas: ArrayLike, tolerance: float = 0.05) -> np.ndarray:
    """Turn predicted OKS, which forgives a hip more than an eye, into a score with one tolerance for all joints.

    Predicted OKS compares joints by how well they do for their kind. Who weights or sorts joints by how far they may
    be off in pixels (body fitting, PCK) wants Eq. 12 with the same l for each: s from the score and the joint's own l
    (:func:`sigma_of_expected_oks`), then tolerance^2 / (s^2 + tolerance^2), in units of sqrt(area), which cancels.
    It is proportional to the inverse variance of a joint that is off by s and, besides, by the tolerance.

    Args:
        scores: (..., K) predicted OKS, 0..1.
        sigmas: (K,) OKS sigmas of the joints, COCO convention.
        tolerance: share of sqrt(area), above 0.

    Returns:
        (..., K) in 0..1.

    Raises:
        ValueError: for scores that are not within 0..1 or not of K joints, or sigmas or a tolerance not above 0.

    Example:
        >>> with_common_tolerance([0.5, 0.5], [0.025, 0.1], 0.05).round(3).tolist()  # an eye, a hip
        [0.5, 0.059]
    """
    scores = check_unit_range("scores", np.asarray(scores, dtype=np.float64))
    scales = length_scale(1.0, sigmas)
    if scores.shape[-1:] != scales.shape:
        raise ValueError(f"Expected scores of shape (..., {len(scales)}), got {scores.shape}")
    return expected_oks(sigma_of_expected_oks(scores, scales), tolerance)


def expected_oks_full(covariance: ArrayLike, l: ArrayLike, offset: ArrayLike = (0.0, 0.0)) -> np.ndarray:  # noqa: E741
    """Return E[OKS] for p ~ N(mu, C) with any covariance C: l^2 / sqrt(det M) · exp(-d' M^-1 d / 2), M = C + l^2 I.

    Args:
        covariance: (..., 2, 2) px², symmetric, positive semi-definite.
        l: (...) length scale of OKS, px, above 0.
        offset: (..., 2) d = p^ - mu, px.

    Returns:
        (...) in 0..1.

    Raises:
        ValueError: for a covariance that is not one, or an ``l`` that is not above 0.
    """
    covariance = np.asarray(covariance, dtype=np.float64)
    if covariance.shape[-2:] != (2, 2):
        raise ValueError(f"Expected covariance of shape (..., 2, 2), got {covariance.shape}")
    offset = np.asarray(offset, dtype=np.float64)
    if offset.shape[-1:] != (2,):
        raise ValueError(f"Expected offset of shape (..., 2), got {offset.shape}")
    a, b, c = covariance[..., 0, 0], covariance[..., 0, 1], covariance[..., 1, 1]
    tolerance = 1e-9 * (a + c)
    # relative to the squared trace: the determinant of a singular one, such as that of two samples, rounds below 0
    determinant_from = -1e-12 * np.square(a + c)
    symmetric, product = np.abs(covariance[..., 1, 0] - b) <= tolerance, a * c - b * b
    valid = (a >= 0) & (c >= 0) & symmetric & (product >= determinant_from)
    if not (np.isfinite(covariance).all() and valid.all()):
        raise ValueError("Expected covariance to be finite, symmetric and positive semi-definite, got one that is not")
    variance = np.square(check_positive("l", np.asarray(l, dtype=np.float64)))
    determinant = np.maximum(product, 0.0) + variance * (a + c + variance)  # of M
    a, c = a + variance, c + variance
    dx, dy = offset[..., 0], offset[..., 1]
    mahalanobis = (c * dx * dx - 2 * b * dx * dy + a * dy * dy) / determinant
    return variance / np.sqrt(determinant) * np.exp(-mahalanobis / 2)


def expected_oks_laplace(b: ArrayLike, l: ArrayLike) -> np.ndarray:  # noqa: E741
    """Return E[OKS] at p^ = mu when each axis of p is Laplace distributed with scale b, as RLE's base density may be.

    One axis gives sqrt(pi/2) · r · erfcx(r / sqrt 2), r = l / b; the two axes multiply.

    Args:
        b: (...) scale, px, 0 or more; infinite gives 0.
        l: (...) length scale of OKS, px, above 0.

    Raises:
        ValueError: for a negative or NaN ``b``, or an ``l`` that is not above 0.
    """
    from scipy.special import erfcx

    b, l = _deviation("b", b), check_positive("l", np.asarray(l, dtype=np.float64))  # noqa: E741
    b, l = np.broadcast_arrays(b, l)  # noqa: E741
    with np.errstate(divide="ignore"):
        ratio = np.minimum(l / b, 1e8)  # beyond, and for b = 0, the value is 1 to machine precision
    return np.square(np.sqrt(np.pi / 2) * ratio * erfcx(ratio / np.sqrt(2)))


def heatmap_score(s: ArrayLike, rendering_sigma: float = RENDERING_SIGMA) -> np.ndarray:
    """Return the peak that a heatmap network trained by MSE shows: l~^2 / (s^2 + l~^2) (Eq. 17).

    It has the form of Eq. 12 with the rendering sigma l~ for l: the instance's size and the joint are not in it.

    Args:
        s: (...) standard deviation of the joint in heatmap cells, 0 or more.
        rendering_sigma: l~ of the target Gaussians, heatmap cells.
    """
    return expected_oks(s, rendering_sigma)


def sigma_of_heatmap_score(score: ArrayLike, rendering_sigma: float = RENDERING_SIGMA) -> np.ndarray:
    """Return the s that :func:`heatmap_score` maps to ``score``: l~ sqrt(1/o - 1); infinite for 0.

    Raises:
        ValueError: for scores that are not within 0..1.
    """
    return sigma_of_expected_oks(score, rendering_sigma)


def rle_score(s: ArrayLike) -> np.ndarray:
    """Return the confidence of regression with residual log-likelihood: 1 - s (Eq. 19), 0 for an s of 1 or more.

    It falls linearly where expected OKS does not, and knows neither the instance's size nor the joint.

    Args:
        s: (...) predicted standard deviation in the network's unit, a share of the input's side.
    """
    return np.maximum(1 - _deviation("s", s), 0.0)


def regression_sigma_off_center(s: ArrayLike, distance: ArrayLike) -> np.ndarray:
    """Return s* of a regression network whose mean is off by D: s*^2 = s^2 + D^2 / 2 (Eq. 62-63), the likeliest scale.

    Args:
        s: (...) true standard deviation along each axis.
        distance: (...) D = ``|p^ - mu|``, in the unit of ``s``.
    """
    s, distance = _deviation("s", s), _deviation("distance", distance)
    return np.sqrt(np.square(s) + np.square(distance) / 2)


def heatmap_off_center(
    s: ArrayLike, distance: ArrayLike, rendering_sigma: float = RENDERING_SIGMA
) -> tuple[np.ndarray, np.ndarray]:
    """Return width and peak of the Gaussian heatmap, held at a centre off by D, that is nearest to the data by MSE.

    With s~^2 = s^2 + l~^2, the spread of the mean target, the width is s*^2 = sqrt(s~^4 + D^4/4) + D^2/2 (Eq. 109) and
    the peak o* = 2 l~^2 / (s~^2 + s*^2) · exp(-D^2 / (2 (s~^2 + s*^2))) (Eq. 110; the exponential, between 0.6 and 1,
    follows from the same least squares and belongs to it: without it the peak is not the minimum).

    Args:
        s: (...) true standard deviation along each axis, heatmap cells.
        distance: (...) D = ``|p^ - mu|``, heatmap cells.
        rendering_sigma: l~ of the target Gaussians, heatmap cells.

    Returns:
        s* (...) in heatmap cells and o* (...) in 0..1.
    """
    rendered = np.square(check_positive("rendering_sigma", np.asarray(rendering_sigma, dtype=np.float64)))
    spread = np.square(_deviation("s", s)) + rendered
    squared = np.square(_deviation("distance", distance))
    width = np.hypot(spread, squared / 2) + squared / 2
    total = spread + width
    return np.sqrt(width), 2 * rendered / total * np.exp(-squared / (2 * total))


def laplace_scale(s: ArrayLike) -> np.ndarray:
    """Return b* = sqrt(2/pi) s, the likeliest Laplace scale of normally distributed errors (Eq. 120-121)."""
    return np.sqrt(2 / np.pi) * _deviation("s", s)


def sigma_of_laplace_scale(b: ArrayLike) -> np.ndarray:
    """Return s = sqrt(pi/2) b, the inverse of :func:`laplace_scale`."""
    return np.sqrt(np.pi / 2) * _deviation("b", b)


def _deviation(name: str, value: ArrayLike) -> np.ndarray:
    """Check that ``value`` is 0 or more; infinity, "not known", is allowed."""
    array = np.asarray(value, dtype=np.float64)
    if not (array >= 0).all():  # NaN compares false
        raise ValueError(f"Expected {name} of 0 or more, got {array[~(array >= 0)].ravel()[0]}")
    return array
