"""Instance scores: Eq. 5 and Eq. 7 by hand, by part, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from clickpose.calibration.aggregation import by_part, mean_above_threshold, visibility_weighted
from clickpose.metrics.oks import keypoint_oks, oks
from clickpose.skeleton import COCO


def test_mean_above_threshold_leaves_out_scores_at_the_threshold():
    assert mean_above_threshold([[0.2, 0.4, 0.8], [1.0, 0.0, 0.0]]).tolist() == pytest.approx([0.6, 1.0])
    assert mean_above_threshold([[0.2, 0.4, 0.8]], threshold=0.0).tolist() == pytest.approx([1.4 / 3])


def test_a_person_without_a_counted_joint_scores_zero():
    assert mean_above_threshold([0.1, 0.2]) == 0.0
    assert visibility_weighted([0.9, 0.8], [0, 0]) == 0.0
    assert mean_above_threshold(np.zeros((0, 3))).shape == (0,)


def test_visibility_weighting_is_the_form_of_oks():
    rng = np.random.default_rng(0)
    truth, area = rng.uniform(0, 100, (5, 17, 2)), rng.uniform(500, 5000, 5)
    predicted = truth + rng.normal(0, 5, truth.shape)
    visibility = rng.integers(0, 3, (5, 17))
    terms = keypoint_oks(predicted, truth, area, COCO.sigma_array)
    aggregated = visibility_weighted(terms, visibility > 0)
    np.testing.assert_allclose(aggregated, oks(predicted, truth, area, COCO.sigma_array, visibility))


def test_weights_are_proportional():
    assert visibility_weighted([1.0, 0.0], [0.9, 0.3]) == pytest.approx(0.75)
    assert visibility_weighted([1.0, 0.0], [0.09, 0.03]) == pytest.approx(0.75)


def test_parts_count_their_own_joints():
    scores, visibility = np.zeros((1, 17)), np.ones((1, 17))
    scores[0, [15, 16]] = 0.9  # ankles
    visibility[0, 11:15] = 0.5
    skeleton = replace(COCO, parts={"legs": (11, 12, 13, 14, 15, 16), "feet": (15, 16), "nose": (0,)})
    parts = by_part(scores, visibility, skeleton)
    assert {name: value.item() for name, value in parts.items()} == pytest.approx(
        {"legs": 1.8 / 4, "feet": 0.9, "nose": 0.0}
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1, 1.1])
def test_scores_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match=r"Expected finite keypoint_scores within 0..1"):
        mean_above_threshold([0.5, bad])
    with pytest.raises(ValueError, match=r"Expected finite keypoint_scores within 0..1"):
        visibility_weighted([0.5, bad], [1, 1])


def test_wrong_weights_and_joints_are_refused():
    with pytest.raises(ValueError, match=r"Expected visibility of shape \(2,\), got \(3,\)"):
        visibility_weighted([0.5, 0.5], [1, 1, 1])
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="Expected finite visibility of 0 or more"):
            visibility_weighted([0.5, 0.5], [1, bad])
    with pytest.raises(ValueError, match=r"Expected keypoint_scores of shape \(..., 17\), got \(2,\)"):
        by_part([0.5, 0.5], [1, 1], COCO)
    with pytest.raises(ValueError, match="Expected a skeleton with parts"):
        by_part(np.ones(17), np.ones(17), replace(COCO, parts={}))
    with pytest.raises(ValueError, match="got a single number"):
        mean_above_threshold(0.5)
