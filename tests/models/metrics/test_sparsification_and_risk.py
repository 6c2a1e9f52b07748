"""Sparsification, AUSE and risk-coverage: curves by hand, ties in expectation, negative controls."""

import itertools

import numpy as np
import pytest

from clickpose.metrics.risk_coverage import risk_coverage
from clickpose.metrics.sparsification import ause, sparsification

SCORES = np.array([0.9, 0.2, 0.6, 0.4])
ERRORS = np.array([0.1, 0.3, 0.5, 0.7])


def test_curves_by_hand():
    curve = sparsification(SCORES, ERRORS)
    np.testing.assert_allclose(curve.removed, [0, 0.25, 0.5, 0.75])
    # removed in the order .2 (error .3), .4 (.7), .6 (.5); oracle: .7, .5, .3
    np.testing.assert_allclose(curve.errors, [1.6 / 4, 1.3 / 3, 0.6 / 2, 0.1])
    np.testing.assert_allclose(curve.oracle, [1.6 / 4, 0.9 / 3, 0.4 / 2, 0.1])
    assert curve.ause == pytest.approx((0.4 / 3 + 0.1) / 4)


def test_scores_that_rank_as_the_errors_have_no_ause_and_the_worst_order_the_largest():
    assert ause(1 - ERRORS, ERRORS) == pytest.approx(0)
    orders = [ause(np.array(order), ERRORS) for order in itertools.permutations(range(4))]
    assert max(orders) == pytest.approx(ause(ERRORS, ERRORS))
    assert min(orders) == pytest.approx(0)


def test_equal_scores_count_in_expectation_over_their_orders():
    tied = np.array([0.5, 0.5, 0.5, 0.9])
    broken = [[*order, 9] for order in itertools.permutations(range(3))]
    expected = np.mean([sparsification(order, ERRORS).errors for order in broken], axis=0)
    np.testing.assert_allclose(sparsification(tied, ERRORS).errors, expected)
    constant = sparsification(np.ones(4), ERRORS)
    np.testing.assert_allclose(constant.errors, ERRORS.mean())


def test_only_the_order_of_scores_counts_and_not_that_of_samples():
    base, order = ause(SCORES, ERRORS), [3, 1, 0, 2]
    assert ause(np.exp(9 * SCORES) - 100, ERRORS) == pytest.approx(base)
    assert ause(SCORES[order], ERRORS[order]) == pytest.approx(base)
    twice = ause(np.tile(SCORES, 500), np.tile(ERRORS, 500))
    fine = ause(np.tile(SCORES, 1000), np.tile(ERRORS, 1000))
    assert twice == pytest.approx(fine, rel=1e-2)  # it converges with the number of samples
    assert ause(-SCORES, ERRORS) > base + 0.05


def test_risk_coverage_is_the_curve_from_the_other_side():
    curve = risk_coverage(SCORES, ERRORS)
    np.testing.assert_allclose(curve.coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(curve.risk, [0.1, 0.3, 1.3 / 3, 0.4])
    assert curve.area == pytest.approx((0.1 + 0.3 + 1.3 / 3 + 0.4) / 4)
    assert curve.excess_area == pytest.approx(ause(SCORES, ERRORS))
    assert curve.coverage_at(0.4) == 1 and curve.coverage_at(0.35) == 0.5 and curve.coverage_at(0.05) == 0


def test_no_samples_have_no_area_and_one_has_no_ause():
    assert np.isnan(ause([], [])) and np.isnan(risk_coverage([], []).area)
    assert np.isnan(risk_coverage([], []).excess_area)
    assert ause([0.3], [0.7]) == 0 and risk_coverage([0.3], [0.7]).area == pytest.approx(0.7)


@pytest.mark.parametrize("function", [sparsification, risk_coverage])
def test_wrong_values_are_refused(function):
    with pytest.raises(ValueError, match="Expected finite scores, got inf"):
        function([np.inf], [0.5])
    with pytest.raises(ValueError, match=r"Expected finite errors within 0\.\.1, got 1\.5"):
        function([0.5], [1.5])
    with pytest.raises(ValueError, match=r"Expected finite errors within 0\.\.1, got nan"):
        function([0.5], [np.nan])
