"""COCO's figures: perfect, missed, false and ignored people with values known by hand."""

import copy

import numpy as np
import pytest

from clickpose.metrics.average_precision import FIGURES, average_precision
from clickpose.skeleton import COCO, Skeleton

MEDIUM, LARGE = 50.0**2, 150.0**2  # COCO: medium from 32^2, large from 96^2 px


def person(id_, image_id, area, visibility=2, crowd=0):
    rng = np.random.default_rng(id_)
    keypoints = np.column_stack([rng.uniform(0, 200, (17, 2)), np.full(17, visibility)])
    return {
        "id": id_, "image_id": image_id, "category_id": 1, "area": area, "iscrowd": crowd, "bbox": [0, 0, 200, 200],
        "num_keypoints": int(17 * (visibility > 0)), "keypoints": keypoints.ravel().tolist(),
    }  # fmt: skip


def dataset(*people, images=2):
    return {
        "images": [{"id": i + 1, "width": 300, "height": 300} for i in range(images)],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": list(people),
    }


def result(truth, score, oks=1.0):
    """A prediction whose every joint has this OKS with the truth."""
    distances = np.sqrt(-2 * np.log(oks) * truth["area"]) * 2 * COCO.sigma_array
    keypoints = np.array(truth["keypoints"]).reshape(17, 3) + np.column_stack([distances, np.zeros((17, 2))])
    return {"image_id": truth["image_id"], "category_id": 1, "score": score, "keypoints": keypoints.ravel().tolist()}


@pytest.fixture
def truth():
    return dataset(person(1, 1, MEDIUM), person(2, 1, LARGE), person(3, 2, LARGE))


def test_perfect_predictions_have_every_figure_at_one(truth):
    figures = average_precision(truth, [result(a, 0.9) for a in truth["annotations"]])
    assert tuple(figures) == FIGURES
    assert all(value == pytest.approx(1.0) for value in figures.values())


def test_an_oks_of_0_82_passes_seven_of_ten_thresholds(truth):
    figures = average_precision(truth, [result(a, 0.9, oks=0.82) for a in truth["annotations"]])
    assert figures["AP"] == pytest.approx(0.7) and figures["AR"] == pytest.approx(0.7)
    assert figures["AP75"] == pytest.approx(1.0) and figures["AR50"] == pytest.approx(1.0)


def test_a_missed_and_a_false_person_cost_what_the_curve_says(truth):
    first, second, _ = truth["annotations"]
    elsewhere = result(second, 0.95)
    elsewhere["keypoints"] = (np.array(elsewhere["keypoints"]) + 5000).tolist()
    figures = average_precision(truth, [elsewhere, result(first, 0.9), result(second, 0.8)])
    # precision 1/2 and 2/3 at recalls 1/3 and 2/3, made monotone: 2/3 up to recall .66, which is 67 of 101 points
    assert figures["AP"] == pytest.approx(67 / 101 * 2 / 3)
    assert figures["AR"] == pytest.approx(2 / 3)
    assert figures["AR_medium"] == pytest.approx(1.0) and figures["AR_large"] == pytest.approx(0.5)


def test_crowds_and_people_without_labels_are_ignored(truth):
    crowd, unlabelled = person(4, 2, LARGE, crowd=1), person(5, 2, LARGE, visibility=0)
    extended = dataset(*truth["annotations"], crowd, unlabelled)
    results = [result(a, 0.5) for a in truth["annotations"]] + [result(crowd, 0.9)]
    assert average_precision(extended, results)["AP"] == pytest.approx(1.0)
    crowd["iscrowd"] = 0
    assert average_precision(extended, results[:3])["AR"] == pytest.approx(3 / 4)


def test_absent_sizes_are_nan_and_no_prediction_is_zero(truth):
    large_only = dataset(person(1, 1, LARGE))
    figures = average_precision(large_only, [])
    assert figures["AP"] == 0 and figures["AR_large"] == 0
    assert np.isnan(figures["AP_medium"]) and np.isnan(figures["AR_medium"])
    assert np.isnan(list(average_precision(dataset(), []).values())).all()


def test_some_images_can_be_chosen(truth):
    results = [result(truth["annotations"][2], 0.9)]
    assert average_precision(truth, results)["AR"] == pytest.approx(1 / 3)
    assert average_precision(truth, results, image_ids=[2])["AR"] == pytest.approx(1.0)


def test_the_skeletons_sigmas_count(truth):
    strict = Skeleton("strict", COCO.names, COCO.edges, COCO.flip_pairs, tuple(s / 2 for s in COCO.sigmas))
    results = [result(a, 0.9, oks=0.82) for a in truth["annotations"]]  # OKS^4 = 0.45 with half the sigmas
    assert average_precision(truth, results, skeleton=strict)["AP"] == 0


def test_the_inputs_are_left_alone_and_nothing_is_printed(truth, capsys):
    results = [result(a, 0.9) for a in truth["annotations"]]
    before = copy.deepcopy((truth, results))
    average_precision(truth, results)
    assert (truth, results) == before and capsys.readouterr().out == ""


def test_wrong_results_are_refused(truth):
    good = result(truth["annotations"][0], 0.9)
    with pytest.raises(ValueError, match="Expected results for images of the dataset, got image_id 9"):
        average_precision(truth, [{**good, "image_id": 9}])
    with pytest.raises(ValueError, match="Expected 51 numbers in keypoints, got 3"):
        average_precision(truth, [{**good, "keypoints": [1, 2, 3]}])
