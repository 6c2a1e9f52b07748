"""Closed-form correction and its three sources of the person's size."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from clickpose.calibration.closed_form import SizeHead, closed_form_scores, mean_area
from clickpose.metrics.oks import keypoint_oks
from clickpose.skeleton import COCO


def test_values_by_hand():
    area = np.array([900.0, 3600.0])
    scores = closed_form_scores([[3.0, 0.0], [3.0, np.inf]], area, [0.05, 0.1])
    np.testing.assert_allclose(scores, [[9 / (9 + 9), 1.0], [36 / (9 + 36), 0.0]])


def test_size_makes_uncertain_joints_of_persons_comparable():
    """The same error in pixels: what ranks persons by OKS is the size, which the heatmap's score does not know."""
    rng = np.random.default_rng(0)
    area = np.exp(rng.uniform(np.log(500), np.log(50_000), 800))
    deviation = np.exp(rng.uniform(np.log(1), np.log(15), (800, 17)))
    truth = rng.uniform(0, 300, (800, 17, 2))
    oks = keypoint_oks(truth + rng.normal(size=truth.shape) * deviation[..., None], truth, area, COCO.sigma_array)
    known = closed_form_scores(deviation, area, COCO.sigma_array)
    alike = closed_form_scores(deviation, mean_area(area), COCO.sigma_array)
    assert np.mean(known - oks) == pytest.approx(0, abs=4 * (known - oks).std() / np.sqrt(oks.size))
    assert np.square(known - oks).mean() < np.square(alike - oks).mean() < np.square(oks.mean() - oks).mean()
    assert spearmanr(known.mean(1), oks.mean(1)).statistic > spearmanr(alike.mean(1), oks.mean(1)).statistic + 0.1


def test_the_mean_area_is_geometric():
    assert mean_area([100.0, 10_000.0], persons=3).tolist() == pytest.approx([1000.0] * 3)


def test_the_size_head_finds_the_area_in_the_features():
    rng = np.random.default_rng(1)
    features = rng.normal(5, 1, (600, 40)) * rng.uniform(0.1, 10, 40)  # not around 0
    features[:, 7] = 3.0  # a dead feature
    box_area = np.exp(rng.uniform(6, 11, 600))
    share = 0.5 * np.exp(0.4 * features[:, 0] / features[:, 0].std() + rng.normal(0, 0.05, 600))
    head = SizeHead().fit(features[:400], (share * box_area)[:400], box_area[:400])
    predicted = head.predict(features[400:], box_area[400:])
    error = np.log(predicted / (share * box_area)[400:])
    assert error.mean() == pytest.approx(0, abs=0.02)
    assert error.std() < 0.07 < 0.3 < np.log(share[400:]).std()
    assert head.coef_.shape == (40,) and head.coef_[7] == pytest.approx(0, abs=1e-12)
    assert head.penalty_ in head.penalties


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: closed_form_scores([[1.0, 1.0]], [0.0], [0.1, 0.1]), "Expected finite area above 0, got 0.0"),
        (lambda: closed_form_scores([[1.0, 1.0]], [-4.0], [0.1, 0.1]), "Expected finite area above 0, got -4.0"),
        (lambda: closed_form_scores([[1.0, np.nan]], [4.0], [0.1, 0.1]), "Expected s of 0 or more, got nan"),
        (lambda: closed_form_scores([[1.0, 1.0]], [4.0], [0.1] * 3), r"Expected sigmas of shape \(2,\), got \(3,\)"),
        (lambda: closed_form_scores([[1.0, 1.0]], [4.0, 5.0], [0.1] * 2), r"Expected area of shape \(1,\), got \(2,\)"),
        (lambda: mean_area([]), "at least one area"),
        (lambda: mean_area([1.0, 0.0]), "Expected finite area above 0"),
        (lambda: SizeHead().fit([[1.0]], [1.0], [1.0]), "at least two persons"),
        (lambda: SizeHead().fit([[1.0], [np.nan]], [1.0, 1.0], [1.0, 1.0]), "Expected finite features"),
        (lambda: SizeHead().fit([[1.0], [2.0]], [1.0, 0.0], [1.0, 1.0]), "Expected finite area above 0"),
        (lambda: SizeHead().fit([[1.0], [2.0]], [1.0, 1.0], [1.0, -1.0]), "Expected finite reference_area above 0"),
    ],
)
def test_bad_input_is_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_a_size_head_refuses_other_features():
    head = SizeHead()
    with pytest.raises(RuntimeError, match="Expected fit"):
        head.predict([[1.0]], [1.0])
    head.fit([[1.0], [2.0], [3.0]], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match=r"Expected features of shape \(N, 1\), got \(1, 2\)"):
        head.predict([[1.0, 2.0]], [1.0])
