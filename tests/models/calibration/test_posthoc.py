"""Post-hoc calibrators: they find known curves, generalise, survive a file, and refuse bad input."""

import json

import numpy as np
import pytest

from clickpose.calibration.posthoc import (
    CALIBRATORS,
    ClosedFormCalibrator,
    IdentityCalibrator,
    IsotonicCalibrator,
    PlattCalibrator,
    TemperatureCalibrator,
    logit,
    make_calibrator,
)
from clickpose.skeleton import COCO

SIGMAS = np.array([0.025, 0.062, 0.107])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def noisy(mean, rng, concentration=8.0):
    """OKS terms with the given mean: beta distributed."""
    mean = np.clip(mean, 1e-3, 1 - 1e-3)
    return rng.beta(mean * concentration, (1 - mean) * concentration)


@pytest.fixture
def data():
    """3000 persons, 3 joints, whose expected OKS is a known function of score, joint and area."""
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.02, 0.98, (3000, 3))
    area = np.exp(rng.uniform(np.log(1e3), np.log(1e5), 3000))
    visibility = rng.choice([0, 1, 2], (3000, 3), p=[0.3, 0.2, 0.5])
    return rng, scores, area, visibility


def every_calibrator():
    return [
        make_calibrator(kind, COCO) if kind != "closed_form" else ClosedFormCalibrator(SIGMAS) for kind in CALIBRATORS
    ]


def test_platt_finds_slope_and_intercept(data):
    rng, scores, _, visibility = data
    oks = noisy(sigmoid(0.6 * logit(scores) - 1.2), rng)
    oks[visibility == 0] = np.nan  # not read
    ((a, b),) = PlattCalibrator().fit(scores, oks, visibility).curves_
    assert (a, b) == pytest.approx((0.6, -1.2), abs=0.03)


def test_temperature_finds_the_temperature(data):
    rng, scores, _, visibility = data
    oks = noisy(sigmoid(logit(scores) / 2.5), rng)
    ((inverse,),) = TemperatureCalibrator().fit(scores, oks, visibility).curves_
    assert 1 / inverse == pytest.approx(2.5, rel=0.03)


def test_isotonic_follows_any_rising_curve(data):
    rng, scores, _, visibility = data
    oks = noisy(scores**3, rng)
    calibrator = IsotonicCalibrator().fit(scores, oks, visibility)
    grid = np.repeat(np.linspace(0.1, 0.9, 9)[:, None], 3, axis=1)
    predicted = calibrator.predict(grid)
    np.testing.assert_allclose(predicted, grid**3, atol=0.06)
    assert (np.diff(calibrator.predict(np.repeat(np.linspace(0, 1, 101)[:, None], 3, 1)), axis=0) >= 0).all()


@pytest.mark.parametrize(
    ("kind", "variance"),
    [
        ("heatmap", lambda o: 4.0 * (1 / o - 1)),  # Eq. 17 with a rendering sigma of 2 image pixels
        ("rle", lambda o: (30 * (1 - o)) ** 2),  # Eq. 19, scale in units of 30 pixels
    ],
)
def test_closed_form_is_eq_12_where_the_score_tells_sigma(data, kind, variance):
    rng, scores, area, visibility = data
    length = (2 * SIGMAS) ** 2 * area[:, None]
    expected = length / (variance(scores) + length)
    oks = noisy(expected, rng, concentration=50)
    calibrator = ClosedFormCalibrator(SIGMAS, kind).fit(scores, oks, visibility, area)
    assert calibrator.curves_[0][:2] == pytest.approx([1, 1], abs=0.03)
    np.testing.assert_allclose(calibrator.predict(scores, area), expected, atol=0.02)


def test_each_joint_may_have_its_curve_and_rare_ones_get_the_pooled(data):
    rng, scores, _, visibility = data
    slopes = np.array([0.5, 1.0, 2.0])
    oks = noisy(sigmoid(slopes * logit(scores)), rng)
    visibility[:, 2] = 0
    visibility[:40, 2] = 2
    calibrator = PlattCalibrator(per_joint=True).fit(scores, oks, visibility)
    pooled = PlattCalibrator().fit(scores, oks, visibility)
    found = [curve[0] for curve in calibrator.curves_]
    assert found[:2] == pytest.approx([0.5, 1.0], abs=0.05)
    assert found[2] == pooled.curves_[0][0]
    predicted = calibrator.predict([[0.2, 0.2, 0.2]])[0]
    assert predicted[:2] == pytest.approx(sigmoid(slopes[:2] * logit(np.array(0.2))), abs=0.02)
    assert predicted[2] == pooled.predict([[0.2, 0.2, 0.2]])[0, 2]
    enough = PlattCalibrator(per_joint=True, min_samples=40).fit(scores, oks, visibility)
    assert enough.curves_[2][0] == pytest.approx(2.0, abs=0.4)  # 40 labels are not fewer than 40


def test_hidden_joints_do_not_count(data):
    rng, scores, _, visibility = data
    oks = noisy(scores, rng)
    misled = np.where(visibility > 0, oks, 1 - oks)
    for make in (PlattCalibrator, IsotonicCalibrator):
        np.testing.assert_array_equal(
            make().fit(scores, oks, visibility).predict(scores), make().fit(scores, misled, visibility).predict(scores)
        )


def test_the_identity_leaves_confidences_as_they_are():
    scores = np.array([[0.0, 0.25, 1.0]])
    fitted = IdentityCalibrator().fit(scores, 1 - scores, np.ones((1, 3)))
    restored = IdentityCalibrator.from_state(json.loads(json.dumps(fitted.to_state())))
    for each in (fitted, restored):
        np.testing.assert_array_equal(each.predict(scores), scores)
    with pytest.raises(ValueError, match="whole curves of a identity"):
        IdentityCalibrator.from_state(fitted.to_state() | {"curves": [[1.0]]})


@pytest.mark.parametrize("calibrator", every_calibrator(), ids=lambda c: c.kind)
@pytest.mark.parametrize("per_joint", [False, True])
def test_state_survives_json(data, calibrator, per_joint):
    rng, scores, area, visibility = data
    calibrator.per_joint = per_joint
    calibrator.fit(scores, noisy(scores, rng), visibility, area)
    restored = type(calibrator).from_state(json.loads(json.dumps(calibrator.to_state())))
    np.testing.assert_array_equal(restored.predict(scores, area), calibrator.predict(scores, area))
    assert restored.per_joint is per_joint


@pytest.mark.parametrize("calibrator", every_calibrator(), ids=lambda c: c.kind)
def test_little_data_gives_defined_values(calibrator):
    """One label, equal scores, only zeros or ones: a finite answer in 0..1."""
    area = [1e4, 2e4]
    for oks, visibility in (
        ([[0.3, 0, 0], [0, 0, 0]], [[2, 0, 0], [0, 0, 0]]),
        (np.ones((2, 3)), np.ones((2, 3))),
        (np.zeros((2, 3)), np.ones((2, 3))),
    ):
        for scores in (np.full((2, 3), 0.5), np.zeros((2, 3)), np.ones((2, 3))):
            predicted = calibrator.fit(scores, oks, visibility, area).predict([[0.0, 0.5, 1.0]], [1e4])
            assert ((predicted >= 0) & (predicted <= 1)).all()


@pytest.mark.parametrize("calibrator", every_calibrator(), ids=lambda c: c.kind)
def test_nobody_to_predict_gives_nobody(calibrator):
    calibrator.fit(np.full((2, 3), 0.5), np.ones((2, 3)), np.ones((2, 3)), [1e4, 2e4])
    assert calibrator.predict(np.zeros((0, 3)), np.zeros(0)).shape == (0, 3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.01, 1.01])
def test_bad_scores_and_oks_are_refused(bad):
    good, ones = np.full((2, 3), 0.5), np.ones((2, 3))
    wrong = good.copy()
    wrong[1, 2] = bad
    calibrator = PlattCalibrator()
    with pytest.raises(ValueError, match=r"Expected finite scores within 0..1"):
        calibrator.fit(wrong, good, ones)
    with pytest.raises(ValueError, match=r"Expected finite oks of labelled keypoints within 0..1"):
        calibrator.fit(good, wrong, ones)
    with pytest.raises(ValueError, match=r"Expected finite scores within 0..1"):
        calibrator.fit(good, good, ones).predict(wrong)


@pytest.mark.parametrize("bad", [0.0, -5.0, np.nan, np.inf])
def test_bad_areas_are_refused_where_they_are_read(bad):
    good, ones = np.full((2, 3), 0.5), np.ones((2, 3))
    closed = ClosedFormCalibrator(SIGMAS)
    with pytest.raises(ValueError, match="Expected finite area above 0"):
        closed.fit(good, good, ones, [1e4, bad])
    with pytest.raises(ValueError, match="Expected finite area above 0"):
        closed.fit(good, good, ones, [1e4, 1e4]).predict(good, [1e4, bad])
    PlattCalibrator().fit(good, good, ones, [1e4, bad]).predict(good, [bad, bad])  # not read


def test_wrong_use_is_a_sentence():
    good, ones = np.full((2, 3), 0.5), np.ones((2, 3))
    platt = PlattCalibrator()
    with pytest.raises(RuntimeError, match="Expected fit"):
        platt.predict(good)
    with pytest.raises(RuntimeError, match="Expected a fitted calibrator"):
        platt.to_state()
    with pytest.raises(ValueError, match="at least one labelled keypoint to fit on, got none among 2 persons"):
        platt.fit(good, good, np.zeros((2, 3)))
    with pytest.raises(ValueError, match="at least one labelled keypoint to fit on, got none among 0 persons"):
        platt.fit(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 3)))
    with pytest.raises(ValueError, match="Expected finite visibility"):
        platt.fit(good, good, np.full((2, 3), np.nan))
    with pytest.raises(ValueError, match=r"Expected oks of shape \(2, 3\), got \(2, 4\)"):
        platt.fit(good, np.ones((2, 4)), ones)
    with pytest.raises(ValueError, match=r"Expected scores of shape \(N, 3\), got \(2, 4\)"):
        platt.fit(good, good, ones).predict(np.ones((2, 4)))
    with pytest.raises(ValueError, match="Expected area of shape"):
        ClosedFormCalibrator(SIGMAS).fit(good, good, ones)
    with pytest.raises(ValueError, match="Expected scores of 3 joints, one for each sigma, got 2"):
        ClosedFormCalibrator(SIGMAS).fit(good[:, :2], good[:, :2], ones[:, :2], [1e4, 1e4])
    with pytest.raises(ValueError, match="Expected score_kind to be one of heatmap, rle, got 'simcc'"):
        ClosedFormCalibrator(SIGMAS, "simcc")
    with pytest.raises(ValueError, match="Expected min_samples of at least 1"):
        PlattCalibrator(min_samples=0)
    with pytest.raises(ValueError, match="Expected a calibrator of isotonic, platt"):
        make_calibrator("spline", COCO)


@pytest.mark.parametrize(
    "change",
    [{"curves": [[1.0]]}, {"curves": [[1.0, float("nan")]]}, {"curves": []}, {"num_joints": None}, {"knots": 3}],
    ids=str,
)
def test_a_damaged_state_is_refused(change):
    state = PlattCalibrator().fit([[0.5]], [[0.5]], [[1]]).to_state()
    with pytest.raises(ValueError, match=r"Expected .* of a platt calibrator"):
        PlattCalibrator.from_state(state | change)
