"""Click curves on values worked out by hand."""

import numpy as np
import pytest

from clickpose.metrics.clicks import ClickCurve, manual_correction_curve


def test_the_share_of_persons_is_the_mean_over_ten_thresholds():
    curve = ClickCurve([[0.72, 1.0], [0.50, 0.49]])
    # 0.72 passes .50 .55 .60 .65 .70 (5 of 10); 0.50 passes one
    assert curve.share_of_persons(0) == pytest.approx((0.5 + 0.1) / 2 * 100)
    assert curve.share_of_persons(1) == pytest.approx(50.0)
    assert curve.share_of_persons(8) == curve.share_of_persons(1)


def test_number_of_clicks_counts_to_the_target_and_caps():
    curve = ClickCurve([[0.9, 1.0, 1.0], [0.2, 0.84, 0.85], [0.1, 0.2, 0.3]])
    assert curve.number_of_clicks(0.85, cap=17) == pytest.approx((0 + 2 + 17) / 3)


def test_manual_correction_mends_the_worst_labelled_joint_first():
    terms, labelled = np.array([[0.2, 0.9, 0.0, 0.5]]), np.array([[True, True, False, True]])
    curve = manual_correction_curve(terms, labelled, clicks=4)
    np.testing.assert_allclose(curve.oks[0], [1.6 / 3, 2.4 / 3, 2.9 / 3, 1.0, 1.0])


def test_an_imprecise_annotator_leaves_what_was_placed_imprecise():
    terms, labelled = np.array([[0.2, 0.9, 0.0, 0.5]]), np.array([[True, True, False, True]])
    placed = np.array([[0.7, 0.6, 1.0, 0.8]])
    curve = manual_correction_curve(terms, labelled, clicks=4, clicked_terms=placed)
    np.testing.assert_allclose(curve.oks[0], [1.6 / 3, 2.1 / 3, 2.4 / 3, 2.1 / 3, 2.1 / 3])


def test_of_nobody_the_figures_are_not_defined():
    assert np.isnan(list(ClickCurve(np.zeros((0, 3))).summary().values())).all()
    nobody = manual_correction_curve(np.zeros((0, 4)), np.zeros((0, 4)), clicks=2)
    assert nobody.oks.shape == (0, 3)


@pytest.mark.parametrize(
    ("oks", "message"),
    [
        ([1.0, 2.0, 3.0], r"Expected oks of shape \(N, 1 \+ clicks\), got \(3,\)"),
        (np.zeros((2, 0)), r"before any click at least, got \(2, 0\)"),
        ([[np.nan, 1.0]], r"Expected finite oks within 0\.\.1, got nan"),
    ],
)
def test_what_is_no_curve_is_refused(oks, message):
    with pytest.raises(ValueError, match=message):
        ClickCurve(oks)


def test_terms_count_where_a_joint_is_labelled_and_each_person_has_one():
    terms, labelled = np.array([[0.5, np.nan]]), np.array([[True, False]])
    np.testing.assert_array_equal(manual_correction_curve(terms, labelled, clicks=1).oks, [[0.5, 1.0]])
    with pytest.raises(ValueError, match="Expected a labelled joint of every person, got 1 without one"):
        manual_correction_curve(np.ones((2, 2)), [[True, False], [False, False]])
    with pytest.raises(ValueError, match=r"Expected labelled of shape \(1, 2\), got \(2, 2\)"):
        manual_correction_curve(terms, np.ones((2, 2)))
