"""Sigma from heatmaps: rendered truth comes back, whatever stands in the way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clickpose.calibration.heatmap_sigma import (
    covariance_from_spread,
    fit_gaussians,
    sigma_from_heatmap,
    sigma_from_rle,
    sigma_from_spread,
)


def render(mean, sigma, peak=1.0, height=64, width=48):
    y, x = np.mgrid[:height, :width]
    return peak * np.exp(-(np.square(x - mean[0]) + np.square(y - mean[1])) / (2 * sigma**2))


@settings(max_examples=60, deadline=None)
@given(
    x=st.floats(-1, 48), y=st.floats(-1, 64), sigma=st.floats(0.8, 12), peak=st.floats(1e-3, 1e3),
)  # fmt: skip
def test_clean_maps_come_back_exactly_also_when_cut_by_the_border(x, y, sigma, peak):
    fit = fit_gaussians(render((x, y), sigma, peak)[None])
    assert fit.sigmas[0] == pytest.approx(sigma, rel=1e-5)
    np.testing.assert_allclose(fit.means[0], (x, y), atol=1e-4 * sigma)
    assert fit.peaks[0] == pytest.approx(peak, rel=1e-4)


@pytest.mark.parametrize("sigma", [0.4, 0.6, 2.0, 20.0])
def test_narrow_and_wide_peaks(sigma):
    assert fit_gaussians(render((20.3, 30.8), sigma)[None]).sigmas[0] == pytest.approx(sigma, rel=1e-4)


@pytest.mark.parametrize("level", [0.9, 0.7, 0.5])
def test_clipped_tops_are_seen_through(level):
    fit = fit_gaussians(np.minimum(render((20.3, 30.8), 3.0), level)[None])
    assert fit.sigmas[0] == pytest.approx(3.0, rel=1e-4)
    assert fit.peaks[0] == pytest.approx(1.0, rel=1e-4)  # the height that was cut off


def test_a_plateau_with_walls_has_the_width_of_its_area():
    """No flanks to fit: a Gaussian whose half-maximum area is the plateau's."""
    disk = (render((20, 20), 6.0) > 0.5).astype(float)
    expected = np.sqrt(disk.sum() / (2 * np.pi * np.log(2)))
    fit = fit_gaussians(disk[None])
    assert fit.sigmas[0] == pytest.approx(expected) and fit.sigmas[0] == pytest.approx(6.0, rel=0.05)
    np.testing.assert_allclose(fit.means[0], (20, 20))


@pytest.mark.parametrize(("distance", "tolerance"), [(8, 0.05), (10, 0.01), (20, 1e-4)])
@pytest.mark.parametrize("height", [0.5, 0.9])
def test_a_second_peak_is_left_out(distance, tolerance, height):
    two = render((14.3, 30.8), 2.0) + height * render((14.3 + distance, 30.8), 2.0)
    fit = fit_gaussians(two[None])
    assert fit.sigmas[0] == pytest.approx(2.0, rel=tolerance)
    np.testing.assert_allclose(fit.means[0], (14.3, 30.8), atol=2 * tolerance)


def test_merged_peaks_are_wider_than_either():
    assert fit_gaussians((render((20, 30), 2.0) + render((24, 30), 2.0))[None]).sigmas[0] > 2.3


def test_noise_averages_out():
    rng = np.random.default_rng(0)
    maps = render((20.3, 30.8), 2.5, 0.6) + rng.normal(0, 0.03, (100, 64, 48))
    fit = fit_gaussians(maps)
    assert fit.sigmas.mean() == pytest.approx(2.5, rel=0.025)
    assert fit.sigmas.std() < 0.08
    assert np.abs(fit.means - (20.3, 30.8)).max() < 0.4


def test_heavy_noise_is_held_down_by_reweighting():
    rng = np.random.default_rng(0)
    fit = fit_gaussians(render((20.3, 30.8), 5.0) + rng.normal(0, 0.1, (100, 64, 48)))
    assert fit.sigmas.mean() == pytest.approx(5.0, rel=0.07)
    assert fit.sigmas.std() < 0.1  # one fit alone: 0.12
    assert np.linalg.norm(fit.means - fit.means.mean(axis=0), axis=1).max() < 0.25  # 0.39


def test_a_batch_is_its_maps_one_by_one():
    rng = np.random.default_rng(1)
    maps = np.stack([render(rng.uniform(0, 48, 2), rng.uniform(1, 8)) for _ in range(70)])
    maps[5], maps[6] = 0.0, 1.0
    together = fit_gaussians(maps)
    for i in (0, 5, 6, 7, 69):
        alone = fit_gaussians(maps[i : i + 1])
        for a, b in zip(alone, together, strict=True):
            np.testing.assert_allclose(a[0], b[i], rtol=1e-6)


def test_a_map_without_a_peak_knows_nothing():
    fit = fit_gaussians(np.stack([np.zeros((6, 9)), np.ones((6, 9)), -np.ones((6, 9)), np.full((6, 9), 1e-300)]))
    assert (fit.sigmas == np.inf).all()
    np.testing.assert_array_equal(fit.means, np.tile([4.0, 2.5], (4, 1)))
    assert fit.peaks.tolist() == [0.0, 1.0, 0.0, 1e-300]


def test_one_bright_cell_is_below_a_cell_wide():
    spike = np.zeros((9, 9))
    spike[3, 5] = 0.7
    fit = fit_gaussians(spike[None])
    assert fit.sigmas[0] < 0.6 and fit.means[0].tolist() == [5.0, 3.0] and fit.peaks[0] == pytest.approx(0.7)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), height=st.integers(1, 12), width=st.integers(1, 12))
def test_any_map_gives_a_defined_answer(seed, height, width):
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(4, height, width)) * 10.0 ** rng.integers(-8, 8)
    fit = fit_gaussians(np.concatenate([maps, (maps > 0).astype(float)]))
    assert not np.isnan(np.concatenate([a.ravel() for a in fit])).any()
    assert (fit.sigmas > 0).all() and (fit.peaks >= 0).all()


def test_the_rendering_is_taken_off():
    maps = np.stack([render((20, 30), np.hypot(2.0, s)) for s in (0.5, 3.0)] + [render((20, 30), 1.5)])
    np.testing.assert_allclose(sigma_from_heatmap(maps), [0.5, 3.0, 0.0], rtol=1e-4)
    np.testing.assert_allclose(sigma_from_heatmap(maps, cell=[4.0, 5.0, 6.0]), [2.0, 15.0, 0.0], rtol=1e-4)
    np.testing.assert_allclose(sigma_from_heatmap(maps, rendering_sigma=0)[2], 1.5, rtol=1e-4)


def test_sampled_targets_give_back_the_spread_of_the_joint():
    """What a network trained by MSE would show: the mean of Gaussians rendered at random true positions."""
    truth = np.random.default_rng(2).normal((24, 32), 2.4, (4000, 2))
    x = np.exp(-np.square(np.arange(48) - truth[:, :1]) / 8)
    y = np.exp(-np.square(np.arange(64) - truth[:, 1:]) / 8)
    assert sigma_from_heatmap((y.T @ x / len(truth))[None])[0] == pytest.approx(2.4, rel=0.04)


def test_rle_scales_become_pixels():
    assert sigma_from_rle([[0.1, 0.05]], [[200.0, 400.0]]) == pytest.approx(20.0)
    assert sigma_from_rle([0.3, 0.0], [10.0, 10.0]) == pytest.approx(3 / np.sqrt(2))


def test_spread_of_predictions_gives_their_covariance():
    rng = np.random.default_rng(3)
    covariance = np.array([[9.0, 4.0], [4.0, 5.0]])
    samples = rng.multivariate_normal([10, 20], covariance, (20_000, 3))
    np.testing.assert_allclose(covariance_from_spread(samples), np.tile(covariance, (3, 1, 1)), atol=0.5)
    np.testing.assert_allclose(sigma_from_spread(samples), np.sqrt(7.0), rtol=0.03)
    assert covariance_from_spread([[0.0, 0.0], [2.0, 0.0]]).tolist() == [[2.0, 0.0], [0.0, 0.0]]  # divided by S - 1


def test_nothing_gives_nothing():
    assert [len(values) for values in fit_gaussians(np.zeros((0, 64, 48)))] == [0, 0, 0]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: fit_gaussians(np.full((1, 3, 3), np.nan)), "Expected finite heatmaps"),
        (lambda: fit_gaussians(np.ones((3, 3))), r"Expected heatmaps of shape \(M, H, W\), got \(3, 3\)"),
        (lambda: fit_gaussians(np.ones((2, 0, 3))), "Expected heatmaps with at least one cell"),
        (lambda: sigma_from_heatmap(np.ones((1, 3, 3)), -1.0), "Expected rendering_sigma of 0 or more"),
        (lambda: sigma_from_heatmap(np.ones((1, 3, 3)), cell=0.0), "Expected finite cell above 0"),
        (lambda: sigma_from_rle([0.1], [1.0, 1.0]), r"Expected scales of shape \(..., 2\)"),
        (lambda: sigma_from_rle([0.1, -0.1], [1.0, 1.0]), "Expected finite scales of 0 or more"),
        (lambda: sigma_from_rle([0.1, 0.1], [1.0, 0.0]), "Expected finite extent_wh above 0"),
        (lambda: covariance_from_spread([[1.0, 2.0]]), "S of at least 2"),
        (lambda: sigma_from_spread([[1.0, 2.0], [np.inf, 2.0]]), "Expected finite predictions"),
    ],
)
def test_bad_input_is_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
