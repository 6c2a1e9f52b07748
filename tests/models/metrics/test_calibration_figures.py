"""Every figure of calibrated confidence at once: against the single measures, before and after, bad input."""

import numpy as np
import pytest

from clickpose.metrics.average_precision import KeypointPredictions, KeypointTruth, evaluate_keypoints
from clickpose.metrics.calibration_figures import (
    CalibrationSample,
    calibration_figures,
    compare,
    figures_with_intervals,
)
from clickpose.metrics.correlation import pearson, spearman
from clickpose.metrics.oks import keypoint_oks, oks
from clickpose.metrics.ranked_precision import ranked_precision
from clickpose.metrics.reliability import reliability_diagram
from clickpose.metrics.risk_coverage import risk_coverage
from clickpose.metrics.sparsification import ause
from clickpose.skeleton import COCO


def sample(seed=0, noise=0.1, persons=60, **change):
    """Joints with any OKS, confidences ``noise`` away from it."""
    rng = np.random.default_rng(seed)
    quality = rng.uniform(0, 1, (persons, 5))
    labelled = np.random.default_rng(9).uniform(size=(persons, 5)) < 0.7
    labelled[:, 0] = True
    scores = np.clip(quality + np.random.default_rng(5).normal(0, noise, quality.shape), 0, 1)
    mean = (quality * labelled).sum(axis=1) / labelled.sum(axis=1)
    fields = {
        "oks": np.where(labelled, quality, np.nan), "scores": scores, "visibility": labelled * 2,
        "instance_oks": mean, "instance_scores": scores.mean(axis=1),
    }  # fmt: skip
    return CalibrationSample(**(fields | change))


def test_figures_are_those_of_the_single_measures_over_what_is_labelled():
    data = sample(correct={"PCK.5": sample().oks > 0.5})
    figures = calibration_figures(data)
    labelled = data.labelled
    assert figures["Pearson, joints"] == pearson(data.scores[labelled], data.oks[labelled])
    joints = data.scores[labelled], data.oks[labelled]
    assert figures["Spearman, joints"] == spearman(*joints)
    assert figures["ECE, joints"] == reliability_diagram(*joints).ece
    assert figures["Brier, joints"] == np.square(joints[0] - joints[1]).mean()
    assert figures["AURC, joints"] == risk_coverage(joints[0], 1 - joints[1]).area
    persons = data.instance_scores, data.instance_oks
    assert figures["Pearson, persons"] == pearson(*persons) and figures["Spearman, persons"] == spearman(*persons)
    assert figures["ECE, persons"] == reliability_diagram(*persons).ece
    assert figures["AUSE-PCK.5"] == ause(data.scores[labelled], data.oks[labelled] <= 0.5)
    assert figures["AUSE, persons"] == ause(data.instance_scores, 1 - data.instance_oks)
    assert figures["AP left to gain"] == pytest.approx(figures["AP, OKS as score"] - figures["AP"])
    assert (
        figures["AP"]
        < figures["AP, OKS as score"]
        == ranked_precision(data.instance_oks, data.instance_oks).average_precision
    )


def test_perfect_confidences_leave_nothing_to_gain():
    perfect = sample(noise=0.0)
    perfect = sample(noise=0.0, instance_scores=perfect.instance_oks)
    figures = calibration_figures(perfect)
    for name in ("AP left to gain", "AUSE, persons", "AUSE, joints", "ECE, persons", "ECE, joints", "Brier, joints"):
        assert figures[name] == pytest.approx(0, abs=1e-12)
    for name in ("Pearson, persons", "Spearman, joints"):
        assert figures[name] == pytest.approx(1)


def test_persons_without_a_labelled_joint_do_not_count():
    data = sample()
    visibility, instance_oks = data.visibility.copy(), data.instance_oks.copy()
    visibility[3], instance_oks[3] = 0, np.nan
    without = calibration_figures(sample(visibility=visibility, instance_oks=instance_oks))
    rest = np.delete(np.arange(len(data)), 3)
    assert without == pytest.approx(calibration_figures(data.take(rest)))


def test_the_change_has_a_paired_interval_and_recall_does_not_change():
    result = compare(sample(noise=0.4), sample(noise=0.05), resamples=40)
    assert result["Pearson, joints"].change.low > 0
    assert result["AUSE, joints"].change.high < 0 > result["Brier, joints"].change.high
    assert result["AR"].change == result["AP, OKS as score"].change
    assert (result["AR"].change.low, result["AR"].change.high) == (0, 0)
    directions = {"AR": 0, "AP, OKS as score": 0, "AP": 1, "Spearman, persons": 1, "AP left to gain": -1,
                  "ECE, joints": -1, "AURC, persons": -1}  # fmt: skip
    assert {name: result[name].better for name in directions} == directions
    row = result["AP"]
    assert row.change.value == pytest.approx(row.after.value - row.before.value)
    assert row.change.high - row.change.low < row.before.high - row.before.low


def test_photos_are_drawn_where_they_are_known():
    many = np.repeat(np.arange(6), 10)
    alone = figures_with_intervals(sample(), resamples=60)["AR"]
    by_photo = figures_with_intervals(sample(image_ids=many), resamples=60)["AR"]
    assert alone.value == by_photo.value and alone != by_photo
    alone = compare(sample(), sample(noise=0.4), resamples=60)["AR"].before
    by_photo = compare(sample(image_ids=many), sample(noise=0.4, image_ids=many), resamples=60)["AR"].before
    assert alone.value == by_photo.value and alone != by_photo


def test_photos_may_have_ids_of_any_kind():
    numbers = np.arange(60) // 3
    named = [("album", n) if n % 2 else f"{n}.jpg" for n in numbers.tolist()]
    data, same = sample(image_ids=numbers), sample(image_ids=named)
    assert same.take([0, 5]).image_ids.tolist() == ["0.jpg", ("album", 1)]
    by_number, by_name = (figures_with_intervals(s, 20)["Pearson, persons"] for s in (data, same))
    assert by_name.value == by_number.value and by_name.high - by_name.low > 0
    reliability_diagram(data.scores[:, 0], data.oks[:, 0], groups=named)


def test_nobody_has_no_figures():
    nobody = CalibrationSample(
        oks=np.zeros((0, 5)), scores=np.zeros((0, 5)), visibility=np.zeros((0, 5)), instance_oks=[], instance_scores=[]
    )
    assert np.isnan(list(calibration_figures(nobody).values())).all()


def test_ranked_precision_is_cocos_with_one_person_a_photo():
    rng = np.random.default_rng(2)
    keypoints = rng.uniform(0, 100, (50, 17, 2))
    found = keypoints + rng.normal(0, 1, (50, 17, 2)) * rng.uniform(0, 12, (50, 1, 1))
    truth = KeypointTruth(
        keypoints=keypoints,
        visibility=np.ones((50, 17)),
        areas=np.full(50, 9_000.0),
        boxes_xywh=np.ones((50, 4)),
        image_ids=range(50),
    )
    scores = np.round(rng.uniform(0, 1, 50), 1)
    expected = evaluate_keypoints(
        truth, KeypointPredictions(keypoints=found, scores=scores, image_ids=range(50)), COCO.sigma_array
    )
    ranked = ranked_precision(scores, oks(found, keypoints, 9_000.0, COCO.sigma_array))
    assert 0.2 < ranked.average_precision < 0.9
    assert ranked.average_precision == pytest.approx(expected.figures["AP"], abs=1e-12)
    assert ranked.average_recall == pytest.approx(expected.figures["AR"], abs=1e-12)
    np.testing.assert_allclose(ranked.precision, expected.precision, atol=1e-12)
    assert keypoint_oks(found, keypoints, 9_000.0, COCO.sigma_array).shape == (50, 17)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": np.full((60, 5), 1.1)}, r"Expected finite scores within 0\.\.1, got 1\.1"),
        ({"instance_scores": np.full(60, np.nan)}, r"Expected finite instance_scores within 0\.\.1, got nan"),
        ({"oks": np.full((60, 5), np.nan)}, "Expected finite oks of labelled joints"),
        ({"instance_oks": np.full(60, 2.0)}, "Expected finite instance_oks of labelled persons"),
        ({"visibility": np.ones((60, 4))}, r"Expected visibility of shape \(60, 5\), got \(60, 4\)"),
        ({"correct": {"PCK.5": np.ones(3)}}, r"Expected PCK.5 of shape \(60, 5\), got \(3,\)"),
        ({"image_ids": [1]}, "Expected 60 image_ids, got 1"),
    ],
)
def test_wrong_input_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        sample(**change)


def test_other_persons_are_not_compared():
    with pytest.raises(ValueError, match="Expected the same persons before and after"):
        compare(sample(), sample(persons=59))
