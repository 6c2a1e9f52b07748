"""COCO's figures: parity with pycocotools, and people found, missed, false and ignored with values known by hand."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from clickpose.metrics.average_precision import (
    FIGURES,
    average_precision,
    average_precision_by_part,
    best_oks,
    evaluate_keypoints,
    make_engine,
    match_predictions,
    oracle_gain,
    with_oracle_scores,
)
from clickpose.metrics.coco_engine import similarity_matrices
from clickpose.metrics.keypoint_sets import (
    KeypointPredictions,
    KeypointTruth,
    predictions_from_coco,
    truth_from_coco,
)
from clickpose.metrics.oks import oks, oks_matrix
from clickpose.skeleton import COCO, Skeleton
from clickpose.skeleton_io import load_skeleton
from helpers import reference

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


def test_annotations_of_a_category_that_is_not_listed_are_left_out(truth):
    other = {**person(4, 1, LARGE), "category_id": 2}
    with_other = {**truth, "annotations": [*truth["annotations"], other]}
    assert len(truth_from_coco(with_other)) == 3
    found = [result(a, 0.9) for a in truth["annotations"]]
    assert average_precision(with_other, found)["AR"] == pytest.approx(1.0)


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
    with pytest.raises(ValueError, match="Expected image 9 of the result at place 0, got no such image"):
        average_precision(truth, [{**good, "image_id": 9}])
    with pytest.raises(ValueError, match=r"Expected 51 numbers of keypoints \(coco\) in the result at place 0, got 3"):
        average_precision(truth, [{**good, "keypoints": [1, 2, 3]}])


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ([], "Expected a COCO keypoint dataset, got a list"),
        ({"images": []}, "with a list of annotations, got one without"),
        ({"images": [], "annotations": [3]}, "Expected objects as annotations, got 3 at place 0"),
        ({"annotations": []}, "with a list of images, got one without"),
        ({"annotations": [], "images": [{}]}, "Expected an id that is .* in the image at place 0, got none"),
        ({"annotations": [], "images": [], "categories": [{}]}, "Expected an id .* in the category at place 0"),
    ],
)
def test_what_is_no_dataset_is_refused(broken, message):
    with pytest.raises(ValueError, match=message):
        average_precision(broken, [])


def nan_for_absent(stats):
    return np.where(np.asarray(stats) < 0, np.nan, stats)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("joints", [17, 5])
def test_all_ten_figures_equal_pycocotools_in_the_corners(seed, joints):
    skeleton = Skeleton("some", COCO.names[:joints], (), (), COCO.sigmas[:joints])
    dataset, results = reference.corner_dataset(seed, skeleton.sigmas)
    expected = reference.pycocotools_evaluation(dataset, results, skeleton.sigmas)
    assert 0 < expected.stats[0] < 1, "the data must exercise the figures"
    figures = average_precision(dataset, results, skeleton=skeleton)
    np.testing.assert_allclose(list(figures.values()), nan_for_absent(expected.stats), rtol=0, atol=1e-12)
    evaluation = evaluate_keypoints(
        truth_from_coco(dataset, skeleton), predictions_from_coco(dataset, results, skeleton), skeleton.sigma_array
    )
    np.testing.assert_allclose(evaluation.precision, expected.eval["precision"][:, :, 0, 0, 0], rtol=0, atol=1e-12)


def test_several_categories_and_chosen_images_equal_pycocotools():
    dataset, results = reference.corner_dataset(7, COCO.sigmas, categories=3)
    dataset["categories"].append({"id": 9, "name": "never seen"})
    chosen = list(range(1, 41, 3))
    expected = nan_for_absent(reference.pycocotools_evaluation(dataset, results, COCO.sigmas, chosen).stats)
    actual = average_precision(dataset, results, chosen)
    np.testing.assert_allclose(list(actual.values()), expected, rtol=0, atol=1e-12)


def test_boxes_in_the_results_decide_their_size_as_in_pycocotools():
    dataset, results = reference.corner_dataset(3, COCO.sigmas)
    with_boxes = [{**result, "bbox": [0.0, 0.0, 10.0, 10.0]} for result in results]
    expected = reference.pycocotools_evaluation(dataset, with_boxes, COCO.sigmas).stats
    assert (expected != reference.pycocotools_evaluation(dataset, results, COCO.sigmas).stats).any()
    np.testing.assert_allclose(list(average_precision(dataset, with_boxes).values()), expected, rtol=0, atol=1e-12)


def test_an_oks_on_a_threshold_passes_it_as_in_pycocotools():
    """Half of the labelled joints exact and the others far off: OKS is .5 to the last bit."""
    person_ = person(1, 1, MEDIUM)
    triples = np.reshape(person_["keypoints"], (17, 3))
    triples[16, 2] = 0
    person_["keypoints"] = triples.ravel().tolist()
    found = triples.copy()
    found[8:, :2] += 9_000
    results = [{"image_id": 1, "category_id": 1, "score": 1.0, "keypoints": found.ravel().tolist()}]
    expected = reference.pycocotools_evaluation(dataset(person_), results, COCO.sigmas).stats
    assert expected[1] == pytest.approx(1.0) and expected[2] == 0
    actual = list(average_precision(dataset(person_), results).values())
    np.testing.assert_allclose(actual, nan_for_absent(expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_predictions_find_the_persons_that_pycocotools_gives_them(seed):
    dataset, results = reference.corner_dataset(seed, COCO.sigma_array, categories=2)
    evaluation = reference.pycocotools_evaluation(dataset, results, COCO.sigma_array)
    everybody = [image for image in evaluation.evalImgs if image and image["aRng"] == [0, 1e10]]
    truth, predictions = truth_from_coco(dataset), predictions_from_coco(dataset, results)
    for place, min_oks in ((0, 0.5), (5, 0.75)):
        expected = np.full(len(predictions), -1)
        for image in everybody:
            expected[np.array(image["dtIds"], int) - 1] = image["dtMatches"][place].astype(int) - 1
        found = match_predictions(truth, predictions, COCO.sigma_array, min_oks)
        np.testing.assert_array_equal(found, expected)
        assert (found >= 0).sum() > 20 and truth.crowd[found[found >= 0]].any()


def test_who_chooses_first_may_decide_how_many_are_found():
    """Why COCO's AR can move by a hair when nothing but scores changes."""
    boxes = [[0.0, 0.0, 9.0, 9.0]] * 2
    truth = KeypointTruth(
        keypoints=[[[0.0, 0.0]], [[60.0, 0.0]]],
        visibility=np.ones((2, 1)),
        areas=[1e4, 1e4],
        boxes_xywh=boxes,
        image_ids=[1, 1],
    )
    between, beyond = [[25.0, 0.0]], [[-20.0, 0.0]]  # both nearer to the first person
    found = {}
    for name, scores in {"choosy first": [0.8, 0.9], "choosy last": [0.9, 0.8]}.items():
        predictions = KeypointPredictions(keypoints=[between, beyond], scores=scores, image_ids=[1, 1])
        found[name] = match_predictions(truth, predictions, [0.2], 0.6).tolist()
    assert found == {"choosy first": [1, 0], "choosy last": [0, -1]}


def test_nobody_is_found_where_there_is_nobody(truth):
    given = predictions_from_coco(truth, [result(a, 0.9) for a in truth["annotations"]])
    nobody = truth_from_coco(dataset())
    assert match_predictions(nobody, given, COCO.sigma_array, 0.5).tolist() == [-1, -1, -1]
    assert match_predictions(truth_from_coco(truth), predictions_from_coco(truth, []), COCO.sigma_array, 0.5).size == 0
    elsewhere = KeypointPredictions(keypoints=given.keypoints, scores=given.scores, image_ids=[7, 7, 7])
    assert match_predictions(truth_from_coco(truth), elsewhere, COCO.sigma_array, 0.5).tolist() == [-1, -1, -1]


def test_images_drawn_again_equal_a_dataset_with_copies_of_them():
    dataset_, results = reference.corner_dataset(5, COCO.sigmas, images=12)
    engine = make_engine(
        truth_from_coco(dataset_), predictions_from_coco(dataset_, results), COCO.sigma_array, range(1, 13),
        keep_images=True,
    )  # fmt: skip
    drawn = np.array([0, 0, 3, 3, 3, 5, 7, 11])
    copies = {"images": [], "categories": dataset_["categories"], "annotations": []}
    found = []
    for number, image in enumerate(drawn + 1, start=1):
        copies["images"].append({"id": number})
        mine = [a for a in dataset_["annotations"] if a["image_id"] == image]
        copies["annotations"] += [
            {**a, "image_id": number, "id": len(copies["annotations"]) + i} for i, a in enumerate(mine, start=1)
        ]
        found += [{**r, "image_id": number} for r in results if r["image_id"] == image]
    expected = nan_for_absent(reference.pycocotools_evaluation(copies, found, COCO.sigmas).stats)
    np.testing.assert_allclose(engine.figures_of(drawn), expected, rtol=0, atol=1e-12)
    everybody = nan_for_absent(reference.pycocotools_evaluation(dataset_, results, COCO.sigmas).stats)
    np.testing.assert_allclose(engine.figures_of(np.arange(12)), everybody, rtol=0, atol=1e-12)


def arrays(truth, results):
    return truth_from_coco(truth), predictions_from_coco(truth, results)


def test_ids_may_be_of_any_kind_and_order_of_persons_does_not_matter(truth):
    results = [result(a, 0.9 - 0.1 * i, oks=0.8) for i, a in enumerate(truth["annotations"])]
    gt, found = arrays(truth, results)
    named = {1: "a.jpg", 2: "b.jpg"}
    order = [2, 0, 1]
    shuffled = KeypointTruth(
        keypoints=gt.keypoints[order],
        visibility=gt.visibility[order],
        areas=gt.areas[order],
        boxes_xywh=gt.boxes_xywh[order],
        image_ids=[named[i] for i in gt.image_ids[order]],
    )
    renamed = KeypointPredictions(
        keypoints=found.keypoints, scores=found.scores, image_ids=[named[i] for i in found.image_ids]
    )
    expected = evaluate_keypoints(gt, found, COCO.sigma_array).figures
    assert evaluate_keypoints(shuffled, renamed, COCO.sigma_array).figures == pytest.approx(expected)
    several = {1: 7, 2: ("video", 3)}  # kinds that do not compare
    gt, found = (replace(some, image_ids=[several[i] for i in some.image_ids]) for some in (gt, found))
    assert evaluate_keypoints(gt, found, COCO.sigma_array).figures == pytest.approx(expected)


def test_only_the_order_of_scores_counts_and_swapped_axes_do_not_pass(truth):
    results = [result(a, 0.9 - 0.1 * i, oks=0.8) for i, a in enumerate(truth["annotations"])]
    gt, found = arrays(truth, results)
    logits = KeypointPredictions(keypoints=found.keypoints, scores=100 * found.scores - 70, image_ids=found.image_ids)
    base = evaluate_keypoints(gt, found, COCO.sigma_array).figures
    assert evaluate_keypoints(gt, logits, COCO.sigma_array).figures == base
    swapped = KeypointPredictions(keypoints=found.keypoints[..., ::-1], scores=found.scores, image_ids=found.image_ids)
    assert evaluate_keypoints(gt, swapped, COCO.sigma_array).figures["AP"] == 0 < base["AP"]


def test_joints_that_are_not_placed_have_no_similarity(truth):
    results = [result(a, 0.9) for a in truth["annotations"]]
    gt, found = arrays(truth, results)
    keypoints = found.keypoints.copy()
    keypoints[:, :8] = np.nan
    part = evaluate_keypoints(
        gt, KeypointPredictions(keypoints=keypoints, scores=found.scores, image_ids=found.image_ids), COCO.sigma_array
    )
    assert part.figures["AR50"] == 1 and part.figures["AR"] == pytest.approx(0.1)  # OKS 9/17 = .529


def test_at_most_so_many_predictions_of_an_image_count(truth):
    elsewhere = [{**result(truth["annotations"][0], 0.9), "keypoints": [5000.0] * 51} for _ in range(20)]
    good = [result(a, 0.5) for a in truth["annotations"] if a["image_id"] == 1]
    assert average_precision(truth, elsewhere + good)["AR"] == 0
    assert average_precision(truth, elsewhere + good, max_detections=22)["AR"] == pytest.approx(2 / 3)


def test_the_oracle_ranks_by_oks_and_leaves_recall_alone(truth):
    first, second, third = truth["annotations"]
    false = {**result(first, 0.99), "keypoints": [5000.0] * 51}
    gt, found = arrays(truth, [result(first, 0.1), result(second, 0.2), result(third, 0.3), false])
    np.testing.assert_allclose(best_oks(gt, found, COCO.sigma_array), [1, 1, 1, 0], atol=1e-9)
    # the false one first: precision 3/4 at every recall; last: 1
    gain = oracle_gain(gt, found, COCO.sigma_array)
    assert gain == pytest.approx({"AP": 0.75, "oracle_AP": 1.0, "gain": 0.25})
    perfect = with_oracle_scores(gt, found, COCO.sigma_array)
    as_is, best = (evaluate_keypoints(gt, some, COCO.sigma_array).figures for some in (found, perfect))
    assert as_is["AR"] == best["AR"] and best["AP"] == pytest.approx(1.0)


def test_best_oks_stays_within_image_and_category_and_leaves_crowds_out(truth):
    crowd = {**truth["annotations"][0], "id": 9, "iscrowd": 1}
    gt, found = arrays(dataset(crowd), [result(crowd, 0.5)])
    assert best_oks(gt, found, COCO.sigma_array) == [0]
    other_image = KeypointPredictions(keypoints=found.keypoints, scores=found.scores, image_ids=[2])
    gt, _ = arrays(dataset(truth["annotations"][0]), [])
    assert best_oks(gt, other_image, COCO.sigma_array) == [0]
    assert best_oks(gt, found, COCO.sigma_array) == [1]


def test_matrices_by_image_are_those_of_single_images():
    dataset_, results = reference.corner_dataset(4, COCO.sigmas, images=15)
    gt, found = arrays(dataset_, results)
    matrices = similarity_matrices(gt, found, COCO.sigma_array)
    assert len(matrices) > 5
    for (image, _), matrix in matrices.items():
        rows = np.flatnonzero(found.image_ids == image)
        rows, columns = rows[np.argsort(-found.scores[rows], kind="stable")], gt.image_ids == image
        alone = oks_matrix(
            found.keypoints[rows], gt.keypoints[columns], gt.visibility[columns], gt.areas[columns],
            gt.boxes_xywh[columns], COCO.sigma_array,
        )  # fmt: skip
        np.testing.assert_array_equal(matrix, alone)
        best = best_oks(gt, found, COCO.sigma_array)[rows]
        counted = alone[:, ~gt.ignored[columns]]
        np.testing.assert_array_equal(best, counted.max(axis=1, initial=0))


def test_parts_are_evaluated_by_themselves_with_their_own_scores(truth):
    results = [result(a, 0.9 - 0.1 * i) for i, a in enumerate(truth["annotations"])]
    gt, found = arrays(truth, results)
    visibility, keypoints = gt.visibility.copy(), found.keypoints.copy()
    visibility[0, :5] = 0  # nobody looks for this face
    keypoints[1, :5] += 5_000  # a face that is not found …
    gt = KeypointTruth(
        keypoints=gt.keypoints, visibility=visibility, areas=gt.areas, boxes_xywh=gt.boxes_xywh, image_ids=gt.image_ids
    )
    found = KeypointPredictions(keypoints=keypoints, scores=found.scores, image_ids=found.image_ids)
    figures = average_precision_by_part(gt, found, COCO.sigma_array, COCO.parts)
    assert list(figures) == ["face", "arms", "legs", "whole"]
    assert figures["legs"]["AP"] == pytest.approx(1.0)
    assert figures["face"]["AR"] == pytest.approx(1 / 2)  # of two that are looked for
    # found one after the false one: precision 1/2 up to recall .5; the person without a face is ignored
    assert figures["face"]["AP"] == pytest.approx(51 / 101 / 2)
    last = average_precision_by_part(gt, found, COCO.sigma_array, COCO.parts, {"face": np.array([0.9, 0.1, 0.8])})
    assert last["face"]["AP"] == pytest.approx(51 / 101)
    assert last["whole"] == figures["whole"]
    oks_of_whole = oks(found.keypoints[1], gt.keypoints[1], gt.areas[1], COCO.sigma_array)
    assert figures["whole"]["AR"] == pytest.approx((2 + np.mean(oks_of_whole >= np.linspace(0.5, 0.95, 10))) / 3)


def test_wholebody_by_part_equals_pycocotools_on_each_part_alone():
    wholebody = load_skeleton("wholebody")
    annotations, results = reference.corner_dataset(1, wholebody.sigmas, images=12)
    rng = np.random.default_rng(0)
    for row in annotations["annotations"]:  # some people without a hand, some without feet
        triples = np.reshape(row["keypoints"], (-1, 3))
        for joints in wholebody.parts.values():
            triples[list(joints), 2] *= rng.random() < 0.7
        row["keypoints"] = triples.ravel().tolist()
        row["num_keypoints"] = int((triples[:, 2] > 0).sum())
    gt, found = truth_from_coco(annotations, wholebody), predictions_from_coco(annotations, results, wholebody)
    actual = average_precision_by_part(gt, found, wholebody.sigma_array, wholebody.parts)
    assert {"body", "feet", "face", "whole"} <= set(actual)
    for part, joints in {**wholebody.parts, "whole": range(133)}.items():
        alone, alone_results = copy.deepcopy((annotations, results))
        for row in alone["annotations"] + alone_results:
            triples = np.reshape(row["keypoints"], (-1, 3))[list(joints)]
            row["keypoints"] = triples.ravel().tolist()
            if "num_keypoints" in row:
                row["num_keypoints"] = int((triples[:, 2] > 0).sum())
        for row, area in zip(alone_results, found.areas.tolist(), strict=True):
            row["bbox"] = [0.0, 0.0, area, 1.0]  # the whole person's size decides, for every part
        expected = reference.pycocotools_evaluation(alone, alone_results, wholebody.sigma_array[list(joints)]).stats
        np.testing.assert_allclose(list(actual[part].values()), nan_for_absent(expected), rtol=0, atol=1e-12)


def test_wrong_arrays_are_refused(truth):
    gt, found = arrays(truth, [result(truth["annotations"][0], 0.9)])
    sigmas = COCO.sigma_array
    with pytest.raises(ValueError, match="Expected finite scores, got nan"):
        KeypointPredictions(keypoints=found.keypoints, scores=[np.nan], image_ids=[1])
    with pytest.raises(ValueError, match="got infinity"):
        KeypointPredictions(keypoints=np.full((1, 17, 2), np.inf), scores=[1.0], image_ids=[1])
    with pytest.raises(ValueError, match=r"Expected finite areas of 0 or more, got -1\.0"):
        KeypointTruth(
            keypoints=gt.keypoints[:1],
            visibility=gt.visibility[:1],
            areas=[-1.0],
            boxes_xywh=gt.boxes_xywh[:1],
            image_ids=[1],
        )
    with pytest.raises(ValueError, match="Expected finite keypoints where visibility is above 0"):
        KeypointTruth(
            keypoints=gt.keypoints[:1] * np.nan,
            visibility=gt.visibility[:1],
            areas=[1.0],
            boxes_xywh=gt.boxes_xywh[:1],
            image_ids=[1],
        )
    with pytest.raises(ValueError, match="Expected finite areas, got nan"):
        KeypointPredictions(keypoints=found.keypoints, scores=[0.5], image_ids=[1], areas=[np.nan])
    with pytest.raises(ValueError, match="Expected 1 image_ids, got 2"):
        KeypointPredictions(keypoints=found.keypoints, scores=[0.5], image_ids=[1, 2])
    with pytest.raises(ValueError, match="Expected 5 keypoints in truth, got 17"):
        evaluate_keypoints(gt, found, sigmas[:5])
    with pytest.raises(ValueError, match=r"Expected finite sigmas above 0, got 0\.0"):
        evaluate_keypoints(gt, found, sigmas * 0)
    with pytest.raises(ValueError, match="Expected max_detections of at least 1, got 0"):
        evaluate_keypoints(gt, found, sigmas, max_detections=0)
    with pytest.raises(ValueError, match="Expected scores of the parts face, arms, legs, whole, got nose"):
        average_precision_by_part(gt, found, sigmas, COCO.parts, {"nose": [1.0]})
    with pytest.raises(ValueError, match=r"Expected joints of part 'tail' in 0..16, got \[17\]"):
        average_precision_by_part(gt, found, sigmas, {"tail": [17]})
    with pytest.raises(ValueError, match="Expected an area of 0 px² or more in annotation 1, got none"):
        truth_from_coco({**truth, "annotations": [{k: v for k, v in truth["annotations"][0].items() if k != "area"}]})
