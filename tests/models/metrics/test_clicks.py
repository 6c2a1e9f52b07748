"""Click curves on values worked out by hand."""

import numpy as np
import pytest

from clickpose.metrics.clicks import ClickCurve, manual_correction_curve


def test_average_precision_is_the_mean_share_over_ten_thresholds():
    curve = ClickCurve([[0.72, 1.0], [0.50, 0.49]])
    # 0.72 passes .50 .55 .60 .65 .70 (5 of 10); 0.50 passes one
    assert curve.average_precision(0) == pytest.approx((0.5 + 0.1) / 2 * 100)
    assert curve.average_precision(1) == pytest.approx(50.0)
    assert curve.average_precision(8) == curve.average_precision(1)


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


def test_a_curve_has_two_axes():
    with pytest.raises(ValueError, match=r"Expected oks of shape \(N, clicks\), got \(3,\)"):
        ClickCurve([1.0, 2.0, 3.0])
