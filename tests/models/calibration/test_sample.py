"""People as a fit takes them: what is checked, what stays with a person when some are chosen."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from clickpose.calibration.sample import FitSample
from clickpose.metrics.calibration_figures import CalibrationSample


@pytest.fixture
def sample():
    return FitSample(
        oks=[[0.5, 0.0], [1.0, 0.25], [0.5, 0.5]],
        scores=[[0.6, 0.2], [0.9, 0.5], [0.1, 0.3]],
        visibility=[[2, 0], [1, 2], [-1, 2]],
        instance_oks=[0.5, 0.625, 0.5],
        instance_scores=[0.3, 0.7, 0.2],
        correct={"PCK": np.array([[1, 0], [1, 0], [1, 1]])},
        image_ids=["a", "b", "b"],
        weights=[[1, 0], [0.5, 1], [1, 1]],
        area=[10.0, 20.0, 30.0],
        clicks=[0, 0, 1],
        features=torch.arange(6.0).reshape(3, 2),
    )


def test_chosen_people_keep_all_that_is_theirs(sample):
    chosen = sample.take(np.array([2, 0]))
    assert isinstance(chosen, FitSample)
    assert chosen.image_ids.tolist() == chosen.folds_by.tolist() == ["b", "a"] and chosen.area.tolist() == [30, 10]
    assert chosen.features.tolist() == [[4, 5], [0, 1]] and chosen.clicks.tolist() == [1, 0]
    assert chosen.correct["PCK"].tolist() == [[1, 1], [1, 0]]
    assert sample.before_clicks.area.tolist() == [10, 20]


def test_other_scores_are_weighted_into_the_persons(sample):
    own = sample.own()
    assert type(own) is CalibrationSample and own.instance_scores.tolist() == [0.3, 0.7, 0.2]
    after = sample.calibrated(np.array([[0.4, 0.9], [0.6, 0.3], [0.5, 0.5]]))
    np.testing.assert_allclose(after.instance_scores, [0.4, 0.4, 0.5])
    np.testing.assert_allclose(sample.calibrated(after.scores, np.ones((3, 2))).instance_scores, [0.65, 0.45, 0.5])
    np.testing.assert_array_equal(after.oks, own.oks)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"weights": np.full((3, 2), 1.5)}, "Expected finite weights within 0..1"),
        ({"area": np.ones(2)}, r"Expected area of shape \(3,\), got \(2,\)"),
        ({"clicks": [0.5, 0, 0]}, "Expected whole numbers in clicks"),
        ({"features": torch.ones(2, 2)}, "Expected features of 3 persons, got 2"),
        ({"image_ids": None}, "Expected image_ids of the persons"),
        ({"folds_by": [1]}, "Expected 3 folds_by, got 1"),
        ({"scores": np.full((3, 2), np.nan)}, "Expected finite scores within 0..1"),
    ],
    ids=str,
)
def test_what_is_no_sample_is_a_sentence(sample, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(sample, **change)
