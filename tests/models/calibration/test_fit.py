"""The one fit: what it chooses from, what it refuses before the work, folds that do not leak, own scores that stay."""

from dataclasses import replace

import numpy as np
import pytest

from clickpose.calibration.fit import (
    FEWEST_FOR_CURVE,
    OWN,
    Curve,
    Labels,
    candidates_for,
    fit_calibration,
    out_of_fold,
)
from clickpose.calibration.posthoc import IsotonicCalibrator, PlattCalibrator, logit
from clickpose.calibration.sample import FitSample
from clickpose.skeleton import COCO, Skeleton

TOY = Skeleton("toy", ("a", "b", "c"), ((0, 1),), (), (0.025, 0.062, 0.107))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def people(count=400, bend=lambda scores: scores**2, seed=0, per_photo=2, **more):
    """People of photos, whose expected OKS is a known function of the confidence."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.05, 0.95, (count, 3))
    mean = np.clip(bend(scores), 1e-3, 1 - 1e-3)
    oks = rng.beta(mean * 8, (1 - mean) * 8)
    visibility = rng.choice([0, 1, 2], scores.shape, p=[0.2, 0.3, 0.5])
    visibility[:, 0] = 2
    given = {
        "oks": oks, "scores": scores, "visibility": visibility, "instance_oks": oks.mean(axis=1),
        "instance_scores": scores.mean(axis=1), "image_ids": np.arange(count) // per_photo,
        "weights": np.ones_like(scores),
    }  # fmt: skip
    return FitSample(**given | more)


def test_auto_takes_what_is_nearest_out_of_fold():
    sample = people(bend=lambda scores: sigmoid(2 * logit(scores) + 1))
    fit = fit_calibration(sample, TOY)
    assert fit.kind == "platt" and list(fit.compared) == [OWN, "isotonic", "platt", "temperature"]
    assert fit.compared["platt"] == min(fit.compared.values())
    assert fit.fitted.curves_[0] == pytest.approx([2, 1], abs=0.2)
    np.testing.assert_allclose(fit.errors, [[fit.compared[OWN], fit.compared["platt"]]])
    assert fit.persons == 400 and not fit.keeps_own
    assert fit.comparison[2] == f"platt: mean squared error {fit.compared['platt']:.4f}"


def test_figures_are_out_of_fold():
    sample = people(60)
    fit = fit_calibration(sample, TOY, "isotonic")
    held_out, weights = out_of_fold(Curve(IsotonicCalibrator()), sample)
    np.testing.assert_array_equal(fit.after.scores, held_out)
    np.testing.assert_array_equal(weights, sample.weights)
    in_sample = fit.fitted.predict(sample.scores)
    assert np.square(in_sample - sample.oks)[sample.labelled].mean() < fit.compared["isotonic"]


def test_own_scores_are_kept_where_nothing_is_nearer():
    """Confidences that are the OKS itself; every curve can only add its own error."""
    sample = people()
    sample = replace(sample, oks=sample.scores)
    fit = fit_calibration(sample, TOY)
    assert fit.kind == OWN and fit.keeps_own and fit.after is fit.before
    np.testing.assert_array_equal(fit.fitted.predict(sample.scores), sample.scores)
    assert fit.compared[OWN] == 0 and "The network's own scores are kept" in fit.notes[-1]
    np.testing.assert_array_equal(fit.before.instance_scores, sample.instance_scores)


def test_a_method_that_is_named_is_fitted_and_said_to_be_worse():
    sample = people()
    sample = replace(sample, oks=sample.scores)
    fit = fit_calibration(sample, TOY, "isotonic")
    assert fit.kind == "isotonic" and fit.compared["isotonic"] > fit.compared[OWN]
    assert any(note.startswith("isotonic is worse than the network's own scores, ") for note in fit.notes)
    better = fit_calibration(people(), TOY, "isotonic")
    assert not any("worse" in note for note in better.notes)


def test_people_of_one_photo_are_not_fitted_on_for_each_other():
    """Scores that name the person tell an isotonic curve everything in sample and nothing out of sample."""
    rng = np.random.default_rng(1)
    scores, oks = rng.permutation(np.linspace(0.1, 0.9, 400))[:, None], rng.uniform(0, 1, (400, 1))
    given = {"visibility": np.ones((400, 1)), "weights": np.ones((400, 1)), "image_ids": np.arange(400) // 4}
    persons = {"instance_oks": oks[:, 0], "instance_scores": scores[:, 0]}
    sample = FitSample(oks=oks, scores=scores, **given, **persons)
    in_sample = IsotonicCalibrator().fit(scores, oks, np.ones_like(oks)).predict(scores)
    held_out, _ = out_of_fold(Curve(IsotonicCalibrator()), sample)
    assert np.square(held_out - oks).mean() > np.square(in_sample - oks).mean()

    # one photo's people together: a photo whose OKS is 1 is predicted by the others, whose OKS is 0
    first = np.array([image == 0 for image in sample.image_ids])[:, None]
    alone = replace(sample, oks=first.astype(float), scores=np.where(first, 0.95, 0.5))
    held_out, _ = out_of_fold(Curve(IsotonicCalibrator()), alone)
    assert held_out[:4].max() < 0.05
    leaking = replace(alone, folds_by=np.arange(400))  # the control: from their own photo they know
    assert out_of_fold(Curve(IsotonicCalibrator()), leaking)[0][:4].min() > 0.95


def test_folds_leave_the_candidate_unfitted():
    candidate = Curve(PlattCalibrator())
    out_of_fold(candidate, people(6))
    with pytest.raises(RuntimeError, match="nothing has been fitted"):
        candidate.calibrator.predict([[0.5]])


def test_the_closed_form_needs_the_size_where_others_cannot_know():
    area = np.exp(np.random.default_rng(3).uniform(np.log(1e3), np.log(1e5), 400))
    length = (2 * TOY.sigma_array) ** 2 * area[:, None]
    sample = people(bend=lambda scores: length / (4 * (1 / scores - 1) + length), area=area)
    fit = fit_calibration(sample, TOY)
    assert fit.kind == "closed_form" and fit.compared["closed_form"] < 0.8 * fit.compared["isotonic"]
    area[7] = 0
    assert "closed_form" not in fit_calibration(replace(sample, area=area), TOY).compared
    with pytest.raises(ValueError, match=r"Expected finite area above 0, got 0\.0"):
        fit_calibration(replace(sample, area=area), TOY, "closed_form")
    with pytest.raises(ValueError, match="Expected area of shape"):
        fit_calibration(people(), TOY, "closed_form")


def test_auto_wants_people_enough_and_a_named_method_says_when_they_are_few():
    few = people(FEWEST_FOR_CURVE - 1)
    with pytest.raises(
        ValueError, match=r"Expected at least 20 labelled people with a prediction of gt to choose .* 19"
    ):
        fit_calibration(few, TOY, source="gt")
    fit = fit_calibration(few, TOY, "platt")
    assert "19 labelled people are few for platt, 20 or more are better: the figures may be far off." in fit.notes
    assert not any("few" in note for note in fit_calibration(people(20), TOY).notes)
    hidden = replace(people(60), visibility=np.where(np.arange(60)[:, None] < 19, 2, 0) * np.ones((1, 3)))
    with pytest.raises(ValueError, match="got 19"):  # only who has a label counts
        fit_calibration(hidden, TOY)


def test_one_photo_is_not_enough():
    with pytest.raises(ValueError, match=r"Expected people on at least two photos of a\.json, .* got one photo"):
        fit_calibration(people(4, per_photo=4), TOY, "platt", source="a.json")
    with pytest.raises(ValueError, match=r"Expected labelled people of a\.json that the predictions found, got none"):
        fit_calibration(replace(people(4), visibility=np.zeros((4, 3))), TOY, "platt", source="a.json")


def test_a_curve_for_each_joint_needs_labels():
    with pytest.raises(ValueError, match=r"at least 50 labels of a joint for .* \(`per_joint`\), got at most 40, of a"):
        fit_calibration(people(40), TOY, "platt", per_joint=True)
    sample = people(80)
    sample = replace(sample, visibility=np.where(np.arange(3) == 1, np.arange(80)[:, None] < 30, 1))
    fit = fit_calibration(sample, TOY, "platt", per_joint=True)
    assert "1 of 3 joints have fewer than 50 labels and share the curve of all joints." in fit.notes
    assert len(fit.fitted.curves_) == 3


def test_what_is_refused_is_known_before_a_network_runs():
    labels = Labels(labelled=np.ones((30, 17), bool), image_ids=np.arange(30))
    assert [each.kind for each in candidates_for(labels, COCO)] == ["isotonic", "platt", "temperature"]
    assert [each.kind for each in candidates_for(labels, COCO, "platt")] == ["platt"]
    with pytest.raises(ValueError, match=r"Expected `method` to be one of auto, isotonic, .*closed_form, got 'ccnet'"):
        candidates_for(labels, COCO, "ccnet")


def test_errors_count_every_number_of_clicks_alike():
    sample = people(40, clicks=np.repeat([0, 1], [10, 30]))
    scores = np.where(sample.clicks[:, None] == 0, 0.5, 0.1) * np.ones((1, 3))
    sample = replace(sample, oks=np.zeros((40, 3)), scores=scores)
    np.testing.assert_allclose(sample.squared_errors(sample.scores), [0.25, 0.01])
    hidden = replace(sample, visibility=np.where(sample.clicks[:, None] == 0, 2, -1) * np.ones((1, 3)))
    np.testing.assert_allclose(hidden.squared_errors(hidden.scores), [0.25, np.nan])
    assert len(sample.before_clicks) == 10 and sample.before_clicks.own().scores.max() == 0.5
