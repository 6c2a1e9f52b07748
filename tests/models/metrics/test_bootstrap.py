"""Bootstrap intervals: coverage, groups, seeds, average precision by image."""

import numpy as np
import pytest

from clickpose.metrics.average_precision import FIGURES, average_precision_by_part, evaluate_keypoints
from clickpose.metrics.bootstrap import (
    bootstrap,
    bootstrap_average_precision,
    bootstrap_average_precision_by_part,
    bootstrap_pair,
    bootstrap_pck,
    compare_average_precision,
)
from clickpose.metrics.keypoint_sets import KeypointPredictions, predictions_from_coco, truth_from_coco
from clickpose.metrics.pck import pck
from clickpose.skeleton import COCO
from helpers import reference


def mean_of(values):
    return lambda drawn: {"mean": values[drawn].mean()}


def test_groups_may_be_named_by_anything():
    values, numbers = np.arange(6.0), [0, 0, 1, 1, 2, 2]
    expected = bootstrap(mean_of(values), numbers, 20)
    for names in (["a", "b", "c"], [("a", 1), ("a", 2), ("b", 0)], [3, "x", ("x", 1)]):
        assert bootstrap(mean_of(values), [names[number] for number in numbers], 20) == expected


def test_the_interval_of_a_mean_is_that_of_its_standard_error():
    values = np.random.default_rng(0).normal(5, 2, 400)
    interval = bootstrap(mean_of(values), np.arange(400))["mean"]
    half = 1.96 * values.std() / np.sqrt(400)
    assert interval.value == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.02)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.02)
    narrow = bootstrap(mean_of(values), np.arange(400), level=0.5)["mean"]
    assert narrow.high - narrow.low == pytest.approx(2 * 0.6745 * half / 1.96, rel=0.1)


def test_about_19_of_20_intervals_hold_the_truth():
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(100):
        interval = bootstrap(mean_of(rng.normal(0, 1, 60)), np.arange(60), resamples=200, seed=seed)["mean"]
        hits += interval.low <= 0 <= interval.high
    assert 88 <= hits <= 99


def test_what_belongs_together_is_drawn_together():
    people = np.repeat(np.random.default_rng(0).normal(size=50), 17)  # all joints of a person alike
    alone = bootstrap(mean_of(people), np.arange(len(people)), resamples=300)["mean"]
    together = bootstrap(mean_of(people), np.repeat(np.arange(50), 17), resamples=300)["mean"]
    assert (together.high - together.low) / (alone.high - alone.low) == pytest.approx(np.sqrt(17), rel=0.25)
    assert alone.value == pytest.approx(together.value)
    sizes = []
    bootstrap(lambda drawn: sizes.append(len(drawn)) or {}, ["b", "a", "b", "b"], resamples=40)
    assert set(sizes) == {2, 4, 6}  # two draws among groups of one and of three


def test_seeded_and_whole_without_repeats():
    values = np.arange(20.0)
    first, again, other = (bootstrap(mean_of(values), np.arange(20), seed=seed)["mean"] for seed in (3, 3, 4))
    assert first == again != other
    seen = []
    bootstrap(lambda drawn: seen.append(drawn) or {}, np.arange(20), resamples=1)
    np.testing.assert_array_equal(seen[0], np.arange(20))


def test_draws_without_a_figure_are_left_out_and_nobody_has_no_interval():
    def never(_):
        return {"figure": float("nan")}

    interval = bootstrap(never, np.arange(3), resamples=5)["figure"]
    assert np.isnan([interval.value, interval.low, interval.high]).all()
    nobody = bootstrap(lambda drawn: {"size": len(drawn)}, [])["size"]
    assert nobody.value == 0 and np.isnan(nobody.low)
    sometimes = bootstrap(lambda d: {"x": float("nan") if 0 in d else 1.0}, np.arange(3), resamples=50)["x"]
    assert np.isnan(sometimes.value) and sometimes.low == 1


@pytest.mark.parametrize(("change", "message"), [({"resamples": 0}, "one resample"), ({"level": 0}, "between 0 and 1")])
def test_wrong_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        bootstrap(lambda drawn: {}, np.arange(3), **change)


def test_average_precision_with_intervals_by_image():
    dataset, results = reference.corner_dataset(2, COCO.sigmas, images=30)
    truth, found = truth_from_coco(dataset), predictions_from_coco(dataset, results)
    intervals = bootstrap_average_precision(truth, found, COCO.sigma_array, resamples=40)
    figures = evaluate_keypoints(truth, found, COCO.sigma_array).figures
    assert tuple(intervals) == FIGURES
    for name, interval in intervals.items():
        assert interval.value == pytest.approx(figures[name], abs=1e-12)
        assert interval.low < interval.value < interval.high


def test_differences_of_average_precision_are_paired():
    dataset, results = reference.corner_dataset(2, COCO.sigmas, images=30)
    truth, found = truth_from_coco(dataset), predictions_from_coco(dataset, results)
    same = compare_average_precision(truth, found, found, COCO.sigma_array, resamples=10)["AP"]
    assert (same.change.value, same.change.low, same.change.high) == (0, 0, 0)
    worse = KeypointPredictions(keypoints=found.keypoints + 10, scores=found.scores, image_ids=found.image_ids)
    loss = compare_average_precision(truth, found, worse, COCO.sigma_array, resamples=20)
    assert tuple(loss) == FIGURES
    before, after = (evaluate_keypoints(truth, some, COCO.sigma_array).figures["AP"] for some in (found, worse))
    assert loss["AP"].before.value == pytest.approx(before) and loss["AP"].after.value == pytest.approx(after)
    assert loss["AP"].change.value == pytest.approx(after - before) and loss["AP"].change.high < 0
    assert loss["AP"].before == bootstrap_average_precision(truth, found, COCO.sigma_array, resamples=20)["AP"]


def test_parts_have_intervals_around_their_own_figures():
    dataset, results = reference.corner_dataset(2, COCO.sigmas, images=20)
    truth, found = truth_from_coco(dataset), predictions_from_coco(dataset, results)
    own = {"face": np.linspace(0, 1, len(found.scores))}
    intervals = bootstrap_average_precision_by_part(truth, found, COCO.sigma_array, COCO.parts, own, resamples=15)
    figures = average_precision_by_part(truth, found, COCO.sigma_array, COCO.parts, own)
    assert list(intervals) == list(figures) and figures["face"] != figures["legs"]
    for part, cells in intervals.items():
        assert tuple(cells) == FIGURES
        for name, interval in cells.items():
            assert interval.value == pytest.approx(figures[part][name], nan_ok=True)
        assert cells["AP"].low < cells["AP"].value < cells["AP"].high
    assert intervals["whole"] == bootstrap_average_precision(truth, found, COCO.sigma_array, resamples=15)


def test_shares_of_correct_joints_have_intervals_by_joint_and_people_of_a_photo_are_drawn_together():
    rng = np.random.default_rng(0)
    found = np.where(rng.random((300, 3, 1)) < [[0.9], [0.5], [0.1]], 0.0, 50.0) * np.ones(2)
    visibility = np.ones((300, 3))
    visibility[:, 2] = 0
    figures = pck(found, np.zeros((300, 3, 2)), visibility, np.ones(300), 0.5, not_counted=[1])
    intervals = bootstrap_pck(figures, np.arange(300), ("nose", "pelvis", "hip"))
    assert list(intervals) == ["mean", "nose", "pelvis", "hip"]
    assert intervals["mean"].value == figures.mean == intervals["nose"].value  # the pelvis does not count
    assert np.isnan(intervals["hip"].value)
    error = np.sqrt(0.25 / 300)
    assert intervals["pelvis"].high - intervals["pelvis"].low == pytest.approx(2 * 1.96 * error, rel=0.15)
    alike = pck(np.repeat(found, 4, axis=0), np.zeros((1200, 3, 2)), np.ones((1200, 3)), np.ones(1200), 0.5)
    together = bootstrap_pck(alike, np.repeat(np.arange(300), 4), ("nose", "pelvis", "hip"))
    assert together["pelvis"].high - together["pelvis"].low == pytest.approx(2 * 1.96 * error, rel=0.15)
    with pytest.raises(ValueError, match="Expected 300 groups and 3 names, got 2 and 3"):
        bootstrap_pck(figures, [1, 2], ("nose", "pelvis", "hip"))


def test_a_pair_has_the_figures_that_both_have():
    values = np.arange(10.0)
    pair = bootstrap_pair(
        lambda drawn: {"mean": values[drawn].mean(), "only before": 1.0},
        lambda drawn: {"mean": 3 - values[drawn].mean()},
        np.arange(10), resamples=20, better=lambda name: -1,
    )  # fmt: skip
    assert list(pair) == ["mean"] and pair["mean"].better == -1
    plain = bootstrap_pair(lambda drawn: {"mean": 1.0}, lambda drawn: {"mean": 2.0}, np.arange(4), resamples=2)
    assert plain["mean"].better == 1  # unless it is said otherwise, more is better
    assert pair["mean"].change.value == pytest.approx(3 - 9)
    spread = pair["mean"].before.high - pair["mean"].before.low
    assert pair["mean"].change.high - pair["mean"].change.low == pytest.approx(2 * spread)


def test_average_precision_of_nobody_has_no_interval():
    nobody = truth_from_coco({"images": [], "annotations": [], "categories": []})
    nothing = predictions_from_coco({"images": []}, [])
    assert np.isnan(bootstrap_average_precision(nobody, nothing, COCO.sigma_array)["AP"].value)
