"""Reliability, ECE and Brier: values by hand, bins with ties, bands that cover."""

import numpy as np
import pytest

from clickpose.metrics.reliability import (
    brier_score,
    expected_calibration_error,
    reliability_diagram,
    wilson_interval,
)


@pytest.fixture
def calibrated():
    """Scores whose outcomes (0 or 1) have just that probability."""
    rng = np.random.default_rng(0)
    scores = rng.uniform(0, 1, 20_000)
    return scores, (rng.uniform(0, 1, 20_000) < scores).astype(float)


def test_bins_of_equal_count_and_of_equal_width_by_hand():
    scores, oks = [0.1, 0.2, 0.3, 0.8], [0.0, 0.4, 0.5, 0.5]
    adaptive = reliability_diagram(scores, oks, bins=2)
    np.testing.assert_array_equal(adaptive.counts, [2, 2])
    np.testing.assert_allclose(adaptive.scores, [0.15, 0.55])
    np.testing.assert_allclose(adaptive.outcomes, [0.2, 0.5])
    assert adaptive.ece == pytest.approx((2 * 0.05 + 2 * 0.05) / 4)
    even = reliability_diagram(scores, oks, bins=2, adaptive=False)
    np.testing.assert_array_equal(even.counts, [3, 1])
    assert even.ece == pytest.approx((3 * 0.1 + 0.3) / 4)
    assert expected_calibration_error(scores, oks, 2, adaptive=False) == pytest.approx(even.ece)
    on_the_edge = reliability_diagram([0.1, 0.5, 0.8], [0.0, 0.0, 0.0], bins=2, adaptive=False)
    np.testing.assert_array_equal(on_the_edge.counts, [1, 2])
    assert brier_score(scores, oks) == pytest.approx((0.01 + 0.04 + 0.04 + 0.09) / 4)


def test_equal_scores_are_never_parted_so_that_the_order_of_samples_does_not_matter():
    scores, oks = np.array([0.5] * 9 + [0.9]), np.linspace(0, 0.9, 10)
    diagram = reliability_diagram(scores, oks, bins=5)
    np.testing.assert_array_equal(diagram.counts, [9, 1])
    order = np.random.default_rng(0).permutation(10)
    assert expected_calibration_error(scores[order], oks[order], 5) == pytest.approx(diagram.ece)


def test_calibrated_scores_have_no_error_and_distorted_ones_their_distance(calibrated):
    scores, outcomes = calibrated
    assert expected_calibration_error(scores, outcomes) < 0.02
    assert expected_calibration_error(scores**2, outcomes) == pytest.approx(1 / 2 - 1 / 3, abs=0.01)
    assert brier_score(scores, outcomes) == pytest.approx(1 / 6, abs=0.005)  # E[s (1 - s)]
    assert brier_score(scores**2, outcomes) > brier_score(scores, outcomes) + 0.02
    assert expected_calibration_error(1 - scores, outcomes) > 0.4


def test_wilson_interval_by_hand():
    low, high = wilson_interval([0, 5, 10], [10, 10, 10], level=0.95)
    # Brown, Cai and DasGupta (2001): 0 of 10 -> [0, .2775], 5 of 10 -> [.2366, .7634]
    np.testing.assert_allclose(low, [0, 0.2366, 0.7225], atol=1e-4)
    np.testing.assert_allclose(high, [0.2775, 0.7634, 1], atol=1e-4)


def test_bands_hold_the_truth_about_as_often_as_they_say(calibrated):
    for outcomes in (calibrated[1], np.clip(calibrated[0] + np.tile([-0.1, 0.1], 10_000), 0, 1)):
        diagram = reliability_diagram(calibrated[0][:8000], outcomes[:8000], bins=80, level=0.8)
        true = [s if 0.1 < s < 0.9 else np.nan for s in diagram.scores]
        inside = (diagram.low <= true) & (true <= diagram.high)
        assert 0.65 < inside[np.isfinite(true)].mean() < 0.95
        assert (diagram.low <= diagram.outcomes).all() and (diagram.outcomes <= diagram.high).all()


def test_bands_of_oks_are_seeded():
    rng = np.random.default_rng(1)
    scores, oks = rng.uniform(0, 1, (2, 100))
    first, again, other = (reliability_diagram(scores, oks, 4, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.low, again.low)
    assert (first.low != other.low).any()


@pytest.mark.parametrize(("level", "errors"), [(0.95, 1.96), (0.8, 1.2816)])
def test_bands_of_oks_end_where_the_normal_distribution_says_on_both_sides(level, errors):
    """The mean of 500 values of deviation d in a bin is d / sqrt(500) off, about normally."""
    oks = np.random.default_rng(2).uniform(0.2, 0.8, 500)
    one = reliability_diagram(np.full(500, 0.5), oks, bins=1, level=level)
    wide = errors * oks.std() / np.sqrt(500)
    np.testing.assert_allclose([one.outcomes[0] - one.low[0], one.high[0] - one.outcomes[0]], wide, rtol=0.2)
    grouped = reliability_diagram(np.full(500, 0.5), oks, bins=1, level=level, groups=np.arange(500))
    np.testing.assert_allclose([oks.mean() - grouped.low[0], grouped.high[0] - oks.mean()], wide, rtol=0.2)


def test_bands_of_samples_that_belong_together_are_wider():
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(400), 16)
    scores, outcomes = np.repeat(rng.uniform(0, 1, 400), 16), np.repeat(rng.integers(0, 2, 400), 16).astype(float)
    alone = reliability_diagram(scores, outcomes, bins=4)
    each = reliability_diagram(scores, outcomes, bins=4, groups=np.arange(len(scores)))
    together = reliability_diagram(scores, outcomes, bins=4, groups=person)
    np.testing.assert_allclose(each.high - each.low, alone.high - alone.low, rtol=0.15)  # Wilson's, by bootstrap
    np.testing.assert_allclose((together.high - together.low) / (alone.high - alone.low), 4, rtol=0.2)
    assert together.ece == alone.ece
    assert len(reliability_diagram([], [], groups=[]).low) == 0
    with pytest.raises(ValueError, match=r"Expected groups of shape \(2,\), got \(1,\)"):
        reliability_diagram([0.1, 0.2], [0.1, 0.2], groups=[1])


def test_fewer_samples_than_bins_have_a_bin_each_and_none_have_no_error():
    few = reliability_diagram([0.2, 0.9], [0.5, 0.5], bins=15)
    np.testing.assert_array_equal(few.counts, [1, 1])
    assert few.ece == pytest.approx((0.3 + 0.4) / 2)
    for adaptive in (True, False):
        nothing = reliability_diagram([], [], adaptive=adaptive)
        assert len(nothing.counts) == 0 == len(nothing.low) and np.isnan(nothing.ece)
    assert np.isnan(brier_score([], []))
    assert expected_calibration_error([1.0, 0.0], [1.0, 0.0], adaptive=False) == 0  # 1 has a place in the last bin


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": [0.5, 1.2]}, r"Expected finite scores within 0\.\.1, got 1\.2"),
        ({"scores": [0.5, np.nan]}, "Expected finite scores, got nan"),
        ({"outcomes": [0.5, -0.1]}, r"Expected finite outcomes within 0\.\.1, got -0\.1"),
        ({"bins": 0}, "Expected at least one bin, got 0"),
        ({"level": 1.0}, r"Expected level between 0 and 1, got 1\.0"),
    ],
)
def test_wrong_input_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        reliability_diagram(**({"scores": [0.1, 0.2], "outcomes": [0.1, 0.2]} | change))
