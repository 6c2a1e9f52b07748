"""Results files: where confidences stand, who they belong to, and that nothing but confidences changes."""

import json
from collections import Counter

import numpy as np
import pytest

from clickpose.calibration.results_file import (
    ResultsFile,
    instance_scores,
    match_to_truth,
    result_scores,
    with_scores,
)
from clickpose.metrics.oks import oks
from clickpose.skeleton import COCO, Skeleton

RNG = np.random.default_rng(0)
BODY = RNG.uniform(0, 100, (17, 2))


def person(id_, at, image=1, visibility=2, **more):
    keypoints = np.concatenate([BODY + at, np.full((17, 1), visibility)], axis=1)
    if not visibility:
        keypoints[:] = 0
    return {
        "id": id_, "image_id": image, "category_id": 1, "keypoints": keypoints.ravel().tolist(), "area": 5000.0,
        "bbox": [at, at, 100.0, 100.0], "iscrowd": 0,
    } | more  # fmt: skip


def result(at, score, image=1, thirds=None, jitter=0.0, **more):
    points = BODY + at + np.random.default_rng(1).normal(0, 1, (17, 2)) * jitter
    keypoints = np.concatenate([points, np.reshape(score if thirds is None else thirds, (-1, 1)) * np.ones((17, 1))], 1)
    return {"image_id": image, "category_id": 1, "keypoints": keypoints.ravel().tolist(), "score": score} | more


def dataset(*people, images=(1, 2)):
    return {"images": [{"id": i} for i in images], "annotations": list(people), "categories": [{"id": 1}]}


def test_confidences_are_found_where_they_stand():
    own = np.linspace(0.1, 0.9, 17)
    assert result_scores([result(0, 0.5, keypoint_scores=own.tolist())], COCO).scores[0] == pytest.approx(own)
    assert result_scores([result(0, 0.5, thirds=own)], COCO).scores[0] == pytest.approx(own)
    whole = np.linspace(0, 1, 17)  # 0 and 1 may be confidences, too
    assert result_scores([result(0, 0.5, thirds=whole)], COCO).scores[0] == pytest.approx(whole)
    visibilities = np.arange(17) % 3
    assert result_scores([result(0, 0.5, thirds=visibilities)], COCO).scores.tolist() == [[0.5] * 17]


def test_sizes_are_the_area_else_the_box_else_the_extent():
    extent = np.ptp(BODY, axis=0).prod()
    given = [result(0, 0.5, area=7.0, bbox=[0, 0, 2, 3]), result(0, 0.5, bbox=[0, 0, 2, 3]), result(0, 0.5)]
    assert result_scores(given, COCO).area.tolist() == pytest.approx([7.0, 6.0, extent])


def test_results_take_the_best_free_person_in_the_order_of_their_scores():
    truth = dataset(person(11, 0), person(12, 400), person(13, 0, image=2))
    given = [
        result(0, 0.5, jitter=1.0),  # better placed, but comes second: 11 is taken
        result(0, 0.9, jitter=3.0),
        result(400, 0.2, jitter=2.0),
        result(900, 0.8),  # nobody there
    ]
    found = match_to_truth(truth, given, COCO)
    assert found.matched.tolist() == [False, True, True, False]
    assert not found.ignored.any()
    assert found.visibility.tolist() == [[0] * 17, [2] * 17, [2] * 17, [0] * 17]
    points = result_scores(given, COCO).keypoints
    expected = oks(points, np.stack([BODY, BODY, BODY + 400, BODY]), np.full(4, 5000.0), COCO.sigma_array)
    assert found.instance_oks.tolist() == pytest.approx([0.0, expected[1], expected[2], 0.0])
    np.testing.assert_allclose(found.oks.mean(1), found.instance_oks)


def test_each_person_has_a_size_of_its_own():
    truth = dataset(person(11, 0), person(12, 400, area=800.0))
    found = match_to_truth(truth, [result(0, 0.9, jitter=2.0), result(400, 0.8, jitter=2.0)], COCO)
    np.testing.assert_allclose(np.log(found.oks[1]), np.log(found.oks[0]) * 5000 / 800)


def test_poor_predictions_count_from_the_given_oks():
    truth, given = dataset(person(11, 0)), [result(0, 0.9, jitter=14.0)]
    (value,) = match_to_truth(truth, given, COCO, min_oks=0.01).instance_oks
    assert 0.1 < value < 0.5
    assert match_to_truth(truth, given, COCO).matched.all()
    assert not match_to_truth(truth, given, COCO, min_oks=0.5).matched.any()


def test_the_skeletons_sigmas_decide_who_is_found():
    strict = Skeleton("strict", COCO.names, COCO.edges, COCO.flip_pairs, tuple(s / 4 for s in COCO.sigmas))
    truth, given = dataset(person(11, 0)), [result(0, 0.9, jitter=6.0)]
    assert match_to_truth(truth, given, COCO, min_oks=0.5).matched.all()
    assert not match_to_truth(truth, given, strict, min_oks=0.5).matched.any()


def test_unlabelled_joints_do_not_count():
    annotation = person(11, 0)
    annotation["keypoints"][3:6] = [0, 0, 0]
    found = match_to_truth(dataset(annotation), [result(0, 0.9)], COCO)
    assert found.oks[0, 1] == 0.0 and found.visibility[0, 1] == 0
    assert found.instance_oks[0] == pytest.approx(1.0)


def test_crowds_and_unlabelled_persons_say_nothing():
    crowd, unlabelled = person(11, 0, visibility=0, iscrowd=1), person(12, 0, image=2, visibility=0)
    found = match_to_truth(dataset(crowd, unlabelled), [result(0, 0.9), result(0, 0.8), result(0, 0.7, image=2)], COCO)
    assert found.ignored.all() and not found.matched.any()


def test_photos_of_people_without_results_are_counted():
    people = [person(11, 0), person(12, 0, image=2), person(13, 9, image=2), person(14, 0, image=3, visibility=0)]
    notes = Counter()
    match_to_truth(dataset(*people, images=(1, 2, 3, 4)), [result(0, 0.9)], COCO, notes=notes)
    assert notes["photos whose people have no results and count as missed in COCO's figures"] == 1  # 2; 3 is ignored


def test_more_than_twenty_in_an_image_do_not_count():
    given = [result(900, 0.9 - 0.01 * i) for i in range(20)] + [result(0, 0.1)]
    assert not match_to_truth(dataset(person(11, 0)), given, COCO).matched.any()


@pytest.mark.parametrize("ids", [(0, 1), ("a", "b"), (3, "3")])
def test_ids_of_annotations_may_be_0_or_text(ids):
    given = [result(0, 0.9, jitter=3.0), result(400, 0.8, jitter=2.0)]
    expected = match_to_truth(dataset(person(11, 0), person(12, 400)), given, COCO)
    assert expected.matched.all()
    found = match_to_truth(dataset(*(person(id_, at) for id_, at in zip(ids, (0, 400), strict=True))), given, COCO)
    np.testing.assert_array_equal(found.oks, expected.oks)
    np.testing.assert_array_equal(found.truth, expected.truth)


def test_a_joint_that_is_not_placed_has_an_oks_of_0_and_the_others_count():
    annotation, given = person(11, 0), result(0, 0.9)
    given["keypoints"][3] = float("nan")
    found = match_to_truth(dataset(annotation), [given], COCO)
    assert found.matched.all()
    assert found.oks[0].tolist() == pytest.approx([1.0, 0.0] + [1.0] * 15)
    assert found.instance_oks[0] == pytest.approx(16 / 17)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"area": None}, "Expected an area of 0 px² or more in annotation 11, got none"),
        ({"area": -3.0}, r"Expected an area of 0 px² or more in annotation 11, got -3\.0"),
        ({"keypoints": [1.0] * 48}, r"Expected 51 numbers of keypoints \(coco\) in annotation 11, got 48"),
        ({"keypoints": [1.0, 2.0, 0.9] * 17}, "Expected visibility of 0, 1 or 2 in annotation 11, got 0.9"),
        ({"bbox": [1.0, 2.0]}, r"Expected 4 numbers of bbox \(left, top, width, height\) in annotation 11, got 2"),
        ({"image_id": None}, "Expected an image_id .* in annotation 11, got none"),
        ({"id": None}, "Expected an id .* in the annotation at place 0, got none"),
    ],
)
def test_broken_annotations_are_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        match_to_truth(dataset(person(11, 0) | change), [result(0, 0.9)], COCO)


def test_two_people_of_one_id_are_refused():
    with pytest.raises(ValueError, match="Expected annotations with different ids, got 5 more than once"):
        match_to_truth(dataset(person(5, 0), person(5, 400)), [], COCO)


@pytest.mark.parametrize("field", ["category_id", "bbox", "iscrowd"])
def test_fields_that_annotations_may_lack_change_nothing(field):
    annotation = person(11, 0)
    expected = match_to_truth(dataset(annotation), [result(0, 0.9, jitter=1.0)], COCO)
    del annotation[field]
    found = match_to_truth(dataset(annotation), [result(0, 0.9, jitter=1.0)], COCO)
    np.testing.assert_array_equal(found.oks, expected.oks)


def test_nobody_found_gives_empty_arrays():
    found = match_to_truth(dataset(person(11, 0)), [], COCO)
    assert found.oks.shape == (0, 17) and found.instance_oks.shape == (0,)


def test_neither_annotations_nor_results_are_changed():
    truth, given = dataset(person(11, 0)), [result(0, 0.9)]
    before = json.dumps([truth, given])
    match_to_truth(truth, given, COCO)
    with_scores(given, np.full((1, 17), 0.5), np.array([0.5]))
    assert json.dumps([truth, given]) == before


def test_only_confidences_change():
    own = np.linspace(0.1, 0.9, 17)
    thirds, plain = result(0, 0.5, thirds=own, extra="kept"), result(0, 0.5, thirds=np.full(17, 2))
    new = np.linspace(0.2, 0.6, 17)[None]
    (changed,) = with_scores([thirds], new, np.array([0.4]))
    assert changed["keypoints"][2::3] == changed["keypoint_scores"] == new[0].tolist()
    assert (changed["score"], changed["extra"]) == (0.4, "kept")
    assert changed["keypoints"][0::3] == thirds["keypoints"][0::3]
    (changed,) = with_scores([plain], new, np.array([0.4]))
    assert changed["keypoints"] == plain["keypoints"] and changed["keypoint_scores"] == new[0].tolist()


def test_instance_scores_by_visibility_else_by_raw_confidence():
    scores, raw = np.array([[0.8, 0.4, 0.7]]), np.array([[0.6, 0.2, 0.0]])
    assert instance_scores(scores, np.array([[1.0, 1.0, 0.0]]), raw) == pytest.approx(0.6)
    assert instance_scores(scores, None, raw) == pytest.approx(0.7)  # (.6 x .8 + .2 x .4) / .8
    assert instance_scores(scores, None, raw / 10) == pytest.approx(0.7)  # no threshold that all fail
    assert instance_scores(scores, None, raw * 0) == pytest.approx(0.0)


def test_lists_and_datasets_are_read(tmp_path):
    path, given = tmp_path / "r.json", [result(0, 0.9)]
    for content in (given, dataset(*given)):
        path.write_text(json.dumps(content))
        file = ResultsFile.read(path, COCO)
        assert (file.rows, file.content) == (given, content)


def permuted(document, order):
    """Return a dataset whose joints stand in another order, by their names."""
    rows = []
    for row in document["annotations"]:
        new = {**row, "keypoints": np.reshape(row["keypoints"], (-1, 3))[order].ravel().tolist()}
        if "keypoint_scores" in row:
            new["keypoint_scores"] = np.array(row["keypoint_scores"])[order].tolist()
        rows.append(new)
    categories = [{"id": 1, "name": "person", "keypoints": [COCO.names[joint] for joint in order]}, {"id": 2}]
    return {**document, "annotations": rows, "categories": categories}


def test_a_datasets_joints_are_read_by_name_and_written_as_they_stood(tmp_path):
    order = np.random.default_rng(3).permutation(17)
    own = np.linspace(0.1, 0.9, 17)
    plain = dataset(
        result(0, 0.5, id=3, keypoint_scores=own.tolist()), result(400, 0.4, id="b", keypoint_scores=own.tolist())
    )
    plain["images"] = [{"id": 1, "file_name": "a.jpg"}]
    document = permuted(plain, order)
    car = {"id": 8, "image_id": 1, "category_id": 2, "bbox": [0, 0, 1, 1]}
    crowd = {"id": 9, "image_id": 1, "category_id": 1, "iscrowd": "1", "segmentation": {}}
    document["annotations"] = [car, document["annotations"][0], crowd, document["annotations"][1]]
    (tmp_path / "r.json").write_text(json.dumps(document))
    file = ResultsFile.read(tmp_path / "r.json", COCO)
    assert file.notes == {"annotations of other categories": 1, "crowds left out": 1}
    np.testing.assert_array_equal(file.scores.keypoints[0], BODY)
    np.testing.assert_array_equal(file.scores.scores, [own, own])
    assert file.rows[0]["keypoints"] == plain["annotations"][0]["keypoints"]
    new = np.linspace(0.2, 0.6, 17)
    file.write(tmp_path / "new" / "out.json", with_scores(file.rows, np.stack([new, new]), np.array([0.3, 0.2])))
    written = json.loads((tmp_path / "new" / "out.json").read_text())
    np.testing.assert_array_equal(np.array(written["annotations"][1]["keypoint_scores"])[np.argsort(order)], new)
    assert written["annotations"][1]["keypoints"][0::3] == document["annotations"][1]["keypoints"][0::3]
    for name in ("keypoints", "keypoint_scores", "score"):
        for place in (1, 3):
            written["annotations"][place][name] = document["annotations"][place][name]
    assert written == document
    assert file.aligned({7: "photos/a.jpg", 8: "b.jpg"})[0]["image_id"] == 7


def test_truth_in_another_order_of_joints_is_the_same_truth():
    truth, given = dataset(person(11, 0), person(12, 400, image=2)), [result(0, 0.9, jitter=3.0)]
    expected = match_to_truth(truth, given, COCO)
    found = match_to_truth(permuted(truth, COCO.flip_indices), given, COCO)
    np.testing.assert_array_equal(found.oks, expected.oks)
    np.testing.assert_array_equal(found.truth, expected.truth)


def test_results_of_other_categories_say_nothing():
    truth = dataset(person(11, 0))
    truth["categories"] = [{"id": 1, "name": "person", "keypoints": list(COCO.names)}, {"id": 2, "name": "car"}]
    found = match_to_truth(truth, [result(0, 0.9) | {"category_id": 2}, result(0, 0.8)], COCO)
    assert found.ignored.tolist() == [True, False] and found.matched.tolist() == [False, True]


def test_joints_that_are_not_there_have_no_confidence_and_no_part_in_the_size():
    gap = result(300, 0.5, thirds=np.linspace(0.1, 0.9, 17))
    gap["keypoints"][9:12] = [0, 0, 0]
    scores = result_scores([gap], COCO)
    assert np.isnan(scores.keypoints[0, 3]).all() and scores.scores[0, 3] == 0
    rest = np.delete(BODY, 3, axis=0)
    assert scores.area[0] == pytest.approx(np.ptp(rest, axis=0).prod())
    (changed,) = with_scores([gap], np.full((1, 17), 0.25), np.array([0.4]))
    assert changed["keypoints"][9:12] == [0, 0, 0] and changed["keypoint_scores"][3] == 0
    assert changed["keypoints"][2] == changed["keypoint_scores"][0] == 0.25
    found = match_to_truth(dataset(person(11, 300)), [gap], COCO)
    assert found.oks[0, 3] == 0 and found.instance_oks[0] == pytest.approx(16 / 17)


def test_persons_scores_that_overshoot_are_taken_as_one():
    notes = Counter()
    scores = result_scores([result(0, 1.1, thirds=np.full(17, 2)), result(0, 0.5, thirds=np.ones(17))], COCO, notes)
    assert scores.instance_scores.tolist() == [1.0, 0.5] and (scores.scores[0] == 1).all()
    assert notes == {"confidences above 1 (overshoot of a heatmap), taken as 1": 18}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            {"results": []},
            "Expected a list of keypoint results, or a dataset with annotations, in .*, got an object wi",
        ),
        (3, "Expected a list of keypoint results, or a dataset with annotations, in .*r.json, got 3"),
        ([3], r"Expected an object as the result at place 0 of .*r\.json, got 3"),
        ([{"image_id": 1, "score": 1}], r"Expected keypoints in the result at place 0 of .*r\.json, got none"),
        (
            {"images": [], "annotations": [{"image_id": 1}]},
            r"Expected image 1 of the annotation at place 0 of .*r\.json",
        ),
    ],
)
def test_what_is_no_results_file_is_said(tmp_path, content, sentence):
    (tmp_path / "r.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=sentence):
        ResultsFile.read(tmp_path / "r.json", COCO)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"keypoints": [1.0] * 48}, r"Expected 51 numbers of keypoints \(coco\) in the result at place 0, got 48"),
        ({"keypoints": None}, "Expected keypoints in the result at place 0, got none"),
        ({"keypoint_scores": [0.5] * 16}, "Expected 17 numbers of keypoint_scores in the result at place 0, got 16"),
        ({"keypoint_scores": [0.5] * 16 + [1.21]}, "within 0..1 as keypoint_scores of the result at place 0, got 1.21"),
        ({"keypoint_scores": [0.5] * 16 + [None]}, "within 0..1 as keypoint_scores of the result at place 0, got nan"),
        ({"visibility_scores": [2.0] * 17}, "Expected visibility_scores within 0..1 in the result at place 0"),
        ({"score": None}, "Expected a finite number as score in the result at place 0, got none"),
        ({"score": float("inf"), "keypoint_scores": [0.5] * 17}, "a finite number as score in the result at place 0"),
        ({"score": "high"}, "Expected a finite number as score in the result at place 0, got 'high'"),
        ({"bbox": [1.0, 2.0]}, r"Expected 4 numbers of bbox \(.*\) in the result at place 0, got 2"),
        ({"area": "large"}, "Expected an area of 0 px² or more in the result at place 0, got 'large'"),
        ({"score": 3.0}, "Expected confidences within 0..1 as score of the result at place 0, got 3; percent"),
        ({"score": -3.0}, "Expected confidences within 0..1 as score of the result at place 0, got -3; logits"),
        (
            {"score": -3.0, "keypoint_scores": [0.5] * 17},
            "within 0..1 as score of the result at place 0, got -3; logits",
        ),
    ],
)
def test_broken_results_are_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        result_scores([result(0, 0.9, thirds=np.full(17, 2)) | change], COCO)


def test_wrong_use_is_a_sentence(tmp_path):
    truth = dataset(person(11, 0))
    with pytest.raises(ValueError, match="Expected a finite number as score in the result at place 0, got none"):
        result_scores([{"image_id": 1, "keypoints": [0] * 51}], COCO)
    with pytest.raises(ValueError, match="in all results or in none, got them in 1 of 2"):
        result_scores([result(0, 0.9), result(0, 0.9, keypoint_scores=[0.5] * 17)], COCO)
    with pytest.raises(ValueError, match="Expected image 7 of the result at place 0, got no such image"):
        match_to_truth(truth, [result(0, 0.9, image=7)], COCO)
    for bad in (0.0, 1.5):
        with pytest.raises(ValueError, match="Expected min_oks above 0 and at most 1"):
            match_to_truth(truth, [], COCO, bad)
    with pytest.raises(FileNotFoundError, match=r"Expected keypoint results at .*absent\.json, found no such file"):
        ResultsFile.read(tmp_path / "absent.json", COCO)
