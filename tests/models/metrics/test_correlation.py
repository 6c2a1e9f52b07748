"""Correlation of confidence and OKS: values by hand, invariances, what is not defined."""

import numpy as np
import pytest
from scipy import stats

from clickpose.metrics.correlation import pearson, spearman


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    oks = rng.uniform(0, 1, 200)
    return np.round(np.clip(oks + rng.normal(0, 0.3, 200), 0, 1), 1), oks  # rounded: ties


def test_values_by_hand():
    # deviations (-1, 0, 1) and (-.1, -.1, .2): covariance .3, norms sqrt(2) and sqrt(.06)
    assert pearson([1, 2, 3], [0.2, 0.2, 0.5]) == pytest.approx(0.3 / np.sqrt(2 * 0.06))
    # ranks (1, 2, 3) and (1.5, 1.5, 3): covariance 1.5, norms sqrt(2) and sqrt(1.5)
    assert spearman([1, 2, 3], [0.2, 0.2, 0.5]) == pytest.approx(1.5 / np.sqrt(2 * 1.5))
    assert spearman([0.9, 0.5, 0.1], [0.0, 0.1, 1.0]) == pytest.approx(-1)


def test_equal_to_scipy_with_ties(samples):
    assert pearson(*samples) == pytest.approx(stats.pearsonr(*samples).statistic, abs=1e-12)
    assert spearman(*samples) == pytest.approx(stats.spearmanr(*samples).statistic, abs=1e-12)


def test_pearson_survives_linear_and_spearman_any_rising_map_of_the_scores(samples):
    scores, oks = samples
    assert pearson(5 * scores - 2, oks) == pytest.approx(pearson(scores, oks))
    assert spearman(np.exp(7 * scores), oks) == pytest.approx(spearman(scores, oks))
    assert pearson(np.exp(7 * scores), oks) < pearson(scores, oks) - 0.05
    assert pearson(-scores, oks) == pytest.approx(-pearson(scores, oks))
    shuffled = np.random.default_rng(1).permutation(scores)
    assert abs(spearman(shuffled, oks)) < 0.2 < 0.5 < spearman(scores, oks)


@pytest.mark.parametrize("correlation", [pearson, spearman])
def test_not_defined_is_nan_and_wrong_values_are_refused(correlation):
    assert np.isnan(correlation([], []))
    assert np.isnan(correlation([0.5], [0.5]))
    assert np.isnan(correlation([0.5, 0.5], [0.1, 0.2]))
    assert np.isnan(correlation([0.1, 0.2], [1.0, 1.0]))
    assert correlation([1e-300, 2e-300], [0.1, 0.2]) == pytest.approx(1)
    with pytest.raises(ValueError, match="Expected finite scores, got nan"):
        correlation([np.nan, 1.0], [0.5, 0.5])
    with pytest.raises(ValueError, match=r"Expected finite oks within 0\.\.1, got nan"):
        correlation([1.0, 1.0], [np.nan, 0.5])
    with pytest.raises(ValueError, match=r"Expected oks of shape \(2,\), got \(3,\)"):
        correlation([1.0, 1.0], [0.5, 0.5, 0.5])
    with pytest.raises(ValueError, match=r"Expected scores of shape \(M,\), got \(1, 2\)"):
        correlation([[1.0, 1.0]], [[0.5, 0.5]])
