"""Closed forms against Monte-Carlo sampling: every mean must lie within 4.5 standard errors of its formula."""

import numpy as np
import pytest
from scipy.optimize import minimize

from clickpose.calibration.expected_oks import (
    expected_oks,
    expected_oks_full,
    expected_oks_laplace,
    heatmap_off_center,
    heatmap_score,
    laplace_scale,
    length_scale,
    regression_sigma_off_center,
    rle_score,
    sigma_of_expected_oks,
    sigma_of_heatmap_score,
    sigma_of_laplace_scale,
    with_common_tolerance,
)
from clickpose.calibration.heatmap_sigma import covariance_from_spread
from clickpose.metrics.oks import keypoint_oks
from clickpose.skeleton import COCO

SAMPLES = 40_000


def assert_mean(samples, expected):
    """The mean of independent samples is ``expected`` up to its standard error."""
    error = samples.std(ddof=1) / np.sqrt(len(samples))
    assert abs(samples.mean() - expected) < 4.5 * error, (samples.mean(), expected, error)


def test_the_length_scale_is_where_oks_falls_to_exp_minus_a_half():
    (length,) = length_scale([900.0], COCO.sigma_array)
    displaced = np.stack([length, np.zeros(17)], axis=1)
    terms = keypoint_oks(displaced, np.zeros((17, 2)), 900.0, COCO.sigma_array)
    np.testing.assert_allclose(terms, np.exp(-0.5))
    assert length[0] == pytest.approx(2 * 0.026 * 30)


@pytest.mark.parametrize("joint", [0, 5, 11])
@pytest.mark.parametrize("area", [400.0, 9000.0])
@pytest.mark.parametrize("offset", [(0.0, 0.0), (3.0, -2.0)])
def test_isotropic_expectation(joint, area, offset):
    """Sampled through the package's own OKS, which is pycocotools'."""
    rng = np.random.default_rng(joint)
    truth = np.array([50.0, 80.0]) + rng.normal(0, 4.0, (SAMPLES, 1, 2))
    predicted = np.array([[50.0, 80.0]]) + offset
    terms = keypoint_oks(predicted, truth, np.full(SAMPLES, area), COCO.sigma_array[[joint]])[:, 0]
    length = length_scale(area, COCO.sigma_array)[joint]
    assert_mean(terms, expected_oks(4.0, length, np.hypot(*offset)))


@pytest.mark.parametrize("offset", [(0.0, 0.0), (2.0, 5.0), (-2.0, 5.0)])
@pytest.mark.parametrize("covariance", [[[9.0, 6.0], [6.0, 16.0]], [[1.0, 0.0], [0.0, 40.0]], [[4.0, 6.0], [6.0, 9.0]]])
def test_full_covariance_expectation(covariance, offset):
    rng = np.random.default_rng(3)
    # the last covariance is singular: sampled by its root, not by a Cholesky factor
    values, vectors = np.linalg.eigh(covariance)
    truth = rng.normal(size=(SAMPLES, 2)) @ (vectors * np.sqrt(np.maximum(values, 0))).T
    length = 5.0
    terms = np.exp(-np.square(truth - offset).sum(1) / (2 * length**2))
    assert_mean(terms, expected_oks_full(covariance, length, offset))


def test_full_covariance_agrees_with_isotropic_and_broadcasts():
    s, length = np.array([0.0, 1.0, 7.0]), np.array([2.0, 3.0, 4.0])
    offset = np.array([1.5, -2.0])
    full = expected_oks_full(np.square(s)[:, None, None] * np.eye(2), length, offset)
    np.testing.assert_allclose(full, expected_oks(s, length, 2.5))


def test_covariances_of_two_samples_are_singular_and_count_whatever_their_rounding():
    samples = np.random.default_rng(4).normal(100, 5, (2, 300, 2))
    covariance = covariance_from_spread(samples)
    spread = np.square(samples[0] - samples[1]).sum(1) / 2  # the one variance that is not 0
    np.testing.assert_allclose(expected_oks_full(covariance, 5.0), 1 / np.sqrt(1 + spread / 25.0), rtol=1e-9)


def test_values_by_hand():
    assert expected_oks(3.0, 4.0) == pytest.approx(16 / 25)
    assert expected_oks(0.0, 4.0, 4.0) == pytest.approx(np.exp(-0.5))  # nothing random: OKS itself
    assert expected_oks(np.inf, 4.0) == 0.0
    assert expected_oks_full([[9.0, 0.0], [0.0, 0.0]], 4.0) == pytest.approx(4 / 5)


@pytest.mark.parametrize("s", [0.5, 2.0, 6.0])
def test_heatmap_peak_is_the_mean_target(s):
    """Training by MSE makes the heatmap the mean of its targets; its value at mu is the score."""
    rng = np.random.default_rng(7)
    truth = rng.normal(0, s, (SAMPLES, 2))
    target_at_mu = np.exp(-np.square(truth).sum(1) / (2 * 2.0**2))
    assert_mean(target_at_mu, heatmap_score(s))
    assert sigma_of_heatmap_score(heatmap_score(s)) == pytest.approx(s)
    assert sigma_of_heatmap_score([0.0, 1.0]).tolist() == [np.inf, 0.0]


def test_rle_score_is_linear_in_the_likeliest_scale():
    rng = np.random.default_rng(8)
    truth = rng.normal(0, 0.13, (SAMPLES, 2))
    likeliest = np.sqrt(np.square(truth).sum(1).mean() / 2)
    assert rle_score(likeliest) == pytest.approx(1 - 0.13, abs=4 * 0.13 / np.sqrt(4 * SAMPLES))
    assert rle_score([0.0, 0.25, 1.5]).tolist() == [1.0, 0.75, 0.0]


@pytest.mark.parametrize("distance", [0.0, 2.0, 9.0])
def test_regression_off_center_is_the_likeliest_scale(distance):
    """Gaussian likelihood with the mean held at p^: the variance is half the mean squared distance."""
    rng = np.random.default_rng(9)
    truth = rng.normal(0, 3.0, (SAMPLES, 2))
    half_squared = np.square(truth - [distance, 0.0]).sum(1) / 2
    assert_mean(half_squared, regression_sigma_off_center(3.0, distance) ** 2)


@pytest.mark.parametrize("distance", [0.0, 2.0, 6.0])
def test_heatmap_off_center_is_the_least_squares_gaussian(distance):
    """Fit width and peak, centre held off by D, to the mean of rendered targets of sampled joints."""
    s, cells = 1.5, np.arange(-20.0, 21.0)
    rng = np.random.default_rng(10)
    truth = rng.normal(0, s, (20_000, 2))
    along = np.exp(-np.square(cells - truth[..., None]) / (2 * 2.0**2))  # (M, 2, cells)
    mean_target = np.einsum("my,mx->yx", along[:, 1], along[:, 0]) / len(truth)
    squared = np.square(cells - distance)[None, :] + np.square(cells)[:, None]

    def loss(values):
        width, peak = values
        return np.square(peak * np.exp(-squared / (2 * width**2)) - mean_target).sum()

    fitted = minimize(loss, (2.5, 0.6), method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-12}).x
    width, peak = heatmap_off_center(s, distance)
    assert fitted == pytest.approx([width, peak], rel=0.012)  # 20,000 samples: standard error below 0.004


def test_a_centered_heatmap_is_eq_17():
    width, peak = heatmap_off_center([0.5, 3.0], 0.0)
    np.testing.assert_allclose(peak, heatmap_score([0.5, 3.0]))
    np.testing.assert_allclose(np.square(width), np.square([0.5, 3.0]) + 4)


def test_laplace_scale_of_normal_errors_is_their_mean_magnitude():
    """The likeliest Laplace scale is the mean of |x|."""
    errors = np.abs(np.random.default_rng(11).normal(0, 2.5, SAMPLES))
    assert_mean(errors, laplace_scale(2.5))
    assert sigma_of_laplace_scale(laplace_scale(2.5)) == pytest.approx(2.5)


@pytest.mark.parametrize("b", [0.3, 4.0, 50.0])
def test_laplace_expectation(b):
    truth = np.random.default_rng(12).laplace(0, b, (4 * SAMPLES, 2))
    assert_mean(np.exp(-np.square(truth).sum(1) / (2 * 3.0**2)), expected_oks_laplace(b, 3.0))


def test_laplace_expectation_at_the_ends():
    np.testing.assert_allclose(expected_oks_laplace([0.0, 1e-9, np.inf], 3.0), [1.0, 1.0, 0.0], atol=1e-12)


def test_sigma_of_expected_oks_solves_eq_12():
    s, length = np.array([0.0, 0.5, 3.0, np.inf]), np.array([1.0, 2.0, 0.1, 4.0])
    np.testing.assert_allclose(sigma_of_expected_oks(expected_oks(s, length), length), s)
    nearly_sure = 1 - 2.0**-50  # s^2 is (1 - c) / c, to all digits that c has
    assert sigma_of_expected_oks(nearly_sure, 1.0) ** 2 == pytest.approx(2.0**-50, rel=1e-12)
    assert sigma_of_expected_oks(5e-324, 1.0) == np.inf


def test_a_common_tolerance_scores_joints_by_pixels_not_by_kind():
    """A nose and a hip of the same expected OKS: the hip may be off by sigma_hip / sigma_nose times as much."""
    assert with_common_tolerance([0.5, 0.5], [0.025, 0.1]).tolist() == pytest.approx(
        [0.5, 0.05**2 / (0.2**2 + 0.05**2)]
    )
    area, tolerance, deviations = 900.0, 0.05, np.full((2, 17), 3.0)  # px, all joints alike
    scores = expected_oks(deviations, length_scale(np.array([area, 4 * area]), COCO.sigma_array))
    same = with_common_tolerance(scores, COCO.sigma_array, tolerance)
    squared = (tolerance * np.sqrt([area, 4 * area])) ** 2
    np.testing.assert_allclose(same, np.tile((squared / (squared + 9.0))[:, None], 17))
    assert with_common_tolerance([[0.0, 1.0]], [0.05, 0.05]).tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("bad", [-1.0, np.nan])
def test_impossible_deviations_are_refused(bad):
    for call in (
        lambda: expected_oks([1.0, bad], 1.0),
        lambda: expected_oks(1.0, 1.0, bad),
        lambda: expected_oks_laplace(bad, 1.0),
        lambda: heatmap_score(bad),
        lambda: rle_score(bad),
        lambda: regression_sigma_off_center(1.0, bad),
        lambda: heatmap_off_center(bad, 1.0),
        lambda: laplace_scale(bad),
        lambda: sigma_of_laplace_scale(bad),
    ):
        with pytest.raises(ValueError, match=r"Expected \w+ of 0 or more"):
            call()


def test_impossible_sizes_and_covariances_are_refused():
    with pytest.raises(ValueError, match=r"Expected finite l above 0, got 0.0"):
        expected_oks(1.0, [2.0, 0.0])
    for area in (0.0, -3.0, np.nan):
        with pytest.raises(ValueError, match="Expected finite area above 0"):
            length_scale(area, COCO.sigma_array)
    with pytest.raises(ValueError, match=r"Expected covariance of shape \(..., 2, 2\), got \(2,\)"):
        expected_oks_full([1.0, 1.0], 1.0)
    with pytest.raises(ValueError, match=r"Expected offset of shape \(..., 2\), got \(3,\)"):
        expected_oks_full(np.eye(2), 1.0, [0.0, 0.0, 0.0])
    for wrong in ([[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.5], [0.0, 1.0]], [[-1.0, 0.0], [0.0, 1.0]], [[np.nan] * 2] * 2):
        with pytest.raises(ValueError, match="positive semi-definite"):
            expected_oks_full(wrong, 1.0)
    with pytest.raises(ValueError, match=r"Expected finite score within 0..1"):
        sigma_of_heatmap_score(1.2)
    with pytest.raises(ValueError, match=r"Expected scores of shape \(..., 2\), got \(3,\)"):
        with_common_tolerance([0.1, 0.2, 0.3], [0.05, 0.1])
    with pytest.raises(ValueError, match=r"Expected finite l above 0, got 0\.0"):
        with_common_tolerance([0.1], [0.05], 0.0)
    with pytest.raises(ValueError, match="Expected finite rendering_sigma above 0"):
        heatmap_off_center(1.0, 1.0, 0.0)
