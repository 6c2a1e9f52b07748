"""COCO's rules in their one home: categories, joint order, flags, ids, sizes, absent joints, confidences."""

from collections import Counter

import numpy as np
import pytest

from clickpose.data.coco_records import (
    JointOrder,
    as_flag,
    as_id,
    as_size,
    categories_of_results,
    coco_images,
    coco_positions,
    count_ignored,
    flat_triples,
    joint_confidences,
    note_orders,
    person_categories,
    person_category,
    person_confidences,
    read_annotations,
    read_predictions,
    read_results,
    result_areas,
)
from clickpose.skeleton import Skeleton

TRIO = Skeleton("trio", ("nose", "left_hip", "right_hip"), ((0, 1), (0, 2)), ((1, 2),), (0.03, 0.1, 0.1))
NAN = float("nan")


def category(id_=1, names=TRIO.names, name="person"):
    return {"id": id_, "name": name} | ({} if names is None else {"keypoints": list(names)})


def person(**changes):
    keypoints = [1.0, 2.0, 2, 3.0, 4.0, 1, 5.0, 6.0, 2]
    return {
        "id": 7,
        "image_id": 1,
        "category_id": 1,
        "bbox": [0, 0, 9, 9],
        "area": 40.0,
        "keypoints": keypoints,
    } | changes


def document(*annotations, categories=None, images=(1, 2)):
    entries = [{"id": id_, "file_name": f"{id_}.jpg", "width": 64, "height": 48} for id_ in images]
    categories = [category()] if categories is None else categories
    return {"images": entries, "annotations": list(annotations), "categories": categories}


def result(third=(0.9, 0.8, 0.7), **changes):
    numbers = [
        value for (x, y), v in zip([(1.0, 2.0), (3.0, 4.0), (5.0, 6.0)], third, strict=True) for value in (x, y, v)
    ]
    return {"image_id": 1, "category_id": 1, "keypoints": numbers, "score": 0.5} | changes


def test_the_category_that_is_written_is_read_again():
    written = person_category(TRIO)
    assert written["skeleton"] == [[1, 2], [1, 3]] and written["id"] == 1 and written["name"] == "person"
    assert person_categories(document(categories=[written]), TRIO).orders == {1: JointOrder((0, 1, 2), 3)}


def test_categories_without_joints_are_not_people():
    notes = Counter()
    content = document(person(), person(id=8, category_id=2), categories=[category(), category(2, None, "car")])
    assert [p.annotation_id for p in read_annotations(content, TRIO, notes=notes)] == [7]
    assert notes == {"annotations of other categories": 1}


def test_joints_are_matched_by_name():
    names = ("Nose", "right hip", "LHip")
    (found,) = read_annotations(document(person(), categories=[category(names=names)]), TRIO)
    np.testing.assert_array_equal(found.keypoints, [[1, 2], [5, 6], [3, 4]])
    np.testing.assert_array_equal(found.visibility, [2, 2, 1])
    np.testing.assert_array_equal(found.order.to_file(found.keypoints), [[1, 2], [3, 4], [5, 6]])


def test_other_joints_are_left_out_beside_people_and_refused_alone():
    dog = category(5, ("snout", "tail"), "dog")
    notes = Counter()
    content = document(person(), person(id=8, category_id=5, keypoints=[1, 2, 2] * 2), categories=[dog, category()])
    assert [p.annotation_id for p in read_annotations(content, TRIO, notes=notes)] == [7]
    assert notes["annotations of other categories"] == 1
    with pytest.raises(ValueError, match=r"Expected the joints nose, left_hip, right_hip in gt.json, got snout, tail"):
        person_categories(document(categories=[dog]), TRIO, "gt.json")


def test_some_joints_serve_where_a_part_is_asked_for():
    order = person_categories(document(categories=[category(names=("tail", "right_hip", "nose"))]), TRIO, partial=True)
    assert order.orders[1] == JointOrder((None, 2, 0), 3) and order.orders[1].unmatched == 1
    np.testing.assert_array_equal(order.orders[1].to_skeleton(np.array([7.0, 8.0, 9.0])), [9, NAN, 8])
    np.testing.assert_array_equal(order.orders[1].to_file(np.array([1.0, 2.0, 3.0])), [0, 3, 1])
    with pytest.raises(ValueError, match="Expected the joints nose"):
        person_categories(document(categories=[category(names=("tail",))]), TRIO, partial=True)


@pytest.mark.parametrize(
    ("categories", "people"),
    [
        ([category(1, None, "person"), category(2, None, "car")], [7]),
        ([category(1, None, "human"), category(2, None, "car")], [7]),  # cars carry no keypoints
        ([category(1, None, None), category(2, None, None)], [7]),
        ([], [7, 8]),
    ],
)
def test_where_no_category_names_joints_people_carry_them(categories, people):
    car = {"id": 8, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4], "area": 12.0}
    found = read_annotations(document(person(), car, categories=categories), TRIO)
    assert [p.annotation_id for p in found] == people


def test_a_category_of_another_kind_of_id_is_not_the_same():
    notes = Counter()
    assert read_annotations(document(person(category_id="1"), person(id=8, category_id=3)), TRIO, notes=notes) == []
    kinds = "of these with a category_id that is text, while that of the category is a number"
    assert notes == {"annotations of other categories": 2, kinds: 1}
    content, notes = document(categories=[category("1")]), Counter()
    assert read_results([result()], TRIO, categories=person_categories(content, TRIO), notes=notes) == []
    kinds = "of these with a category_id that is a number, while that of the category is text"
    assert notes == {"results of other categories": 1, kinds: 1}


def test_results_stand_in_the_order_of_the_skeleton_and_that_is_said():
    mirrored = category(names=("nose", "right_hip", "left_hip")) | {"skeleton": [[1, 3]], "colour": "red"}
    notes = Counter()
    content = document(person(), categories=[mirrored])
    note_orders(person_categories(content, TRIO), TRIO, notes)
    assert notes == {
        "categories with the joints of trio in another order, matched by name; those of a results list are taken to "
        "stand in that of trio": 1
    }
    (found,) = read_results([result()], TRIO, categories=person_categories(content, TRIO).of_results)
    np.testing.assert_array_equal(found.keypoints, [[1, 2], [3, 4], [5, 6]])
    (listed,) = categories_of_results([mirrored], TRIO)
    assert listed == mirrored | {"keypoints": list(TRIO.names), "skeleton": [[1, 2], [1, 3]]}
    assert categories_of_results([category(names=TRIO.names), {"id": 2}], TRIO) == [
        category(names=TRIO.names),
        {"id": 2},
    ]


def test_results_of_a_part_of_the_joints_stand_in_the_order_of_their_file_and_what_lacks_is_said():
    part = category(names=("tail", "right_hip", "nose"))
    categories = person_categories(document(categories=[part]), TRIO, partial=True)
    (found,) = read_results([result()], TRIO, categories=categories.of_results)
    np.testing.assert_array_equal(found.keypoints, [[5, 6], [NAN, NAN], [3, 4]])
    assert categories_of_results([part], TRIO) == [part]
    notes = Counter()
    read_annotations(document(person(), categories=[part]), TRIO, categories=categories, notes=notes)
    assert notes == {"joints of category 1 that trio lacks, left out: tail": 1}


def test_a_person_of_id_0_is_one_that_pycocotools_never_finds():
    notes = Counter()
    count_ignored(read_annotations(document(person(id=0), person(id=1)), TRIO), notes)
    assert notes == {"persons whose annotation has the id 0, found like others; pycocotools takes them for missed": 1}
    notes = Counter()
    count_ignored(read_annotations(document(person(id=0, iscrowd=1), person(id="0")), TRIO), notes)
    assert notes == {"crowds": 1}


def test_a_lacking_category_is_the_only_one():
    assert read_annotations(document(person(category_id=None)), TRIO)[0].category_id == 1
    with pytest.raises(ValueError, match="Expected a category_id in annotation 7, got none"):
        read_annotations(document(person(category_id=None), categories=[category(), category(2)]), TRIO)


@pytest.mark.parametrize(
    ("changes", "ignored"),
    [
        ({}, False),
        ({"iscrowd": 1}, True),
        ({"iscrowd": "1"}, True),
        ({"iscrowd": "0"}, False),
        ({"iscrowd": None}, False),
        ({"iscrowd": False}, False),
        ({"iscrowd": 1.0}, True),
        ({"num_keypoints": 0}, True),
        ({"num_keypoints": None}, False),
        ({"keypoints": [1.0, 2.0, 0] * 3}, True),
        ({"keypoints": [1.0, 2.0, 0] * 3, "num_keypoints": 2}, False),  # as pycocotools
        ({"keypoints": None}, True),
        ({"keypoints": []}, True),
        ({"keypoints": None, "num_keypoints": 3}, True),
    ],
)
def test_whom_coco_ignores(changes, ignored):
    assert read_annotations(document(person(**changes)), TRIO)[0].ignored is ignored


@pytest.mark.parametrize("keypoints", [[1.0], None, 5, "x", {}])
def test_a_crowd_may_have_any_keypoints_or_none(keypoints):
    crowd = document(person(iscrowd=1, keypoints=keypoints))
    for (found,) in (read_annotations(crowd, TRIO), read_predictions(crowd, TRIO)):
        assert found.crowd and not found.placed.any()


def test_joints_that_are_not_there():
    notes = Counter()
    keypoints = [0, 0, 0, None, 4.0, 2, 0, 0, 2]
    (found,) = read_annotations(document(person(keypoints=keypoints)), TRIO, notes=notes)
    np.testing.assert_array_equal(found.keypoints, [[NAN, NAN], [NAN, NAN], [0, 0]])
    np.testing.assert_array_equal(found.visibility, [0, 0, 2])
    assert notes == {"labelled joints whose position is null or NaN, taken as not there": 1}
    (kept,) = read_annotations(document(person(keypoints=[1.0, 2.0, 0] * 3)), TRIO)
    np.testing.assert_array_equal(kept.keypoints, [[1, 2]] * 3)  # not labelled, yet somewhere
    assert flat_triples(found.keypoints, found.thirds) == [0, 0, 0, 0, 0, 0, 0.0, 0.0, 2.0]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"iscrowd": "yes"}, "Expected 0 or 1 as iscrowd in annotation 7 of gt.json, got 'yes'"),
        ({"iscrowd": 2}, "Expected 0 or 1 as iscrowd in annotation 7 of gt.json, got 2"),
        ({"iscrowd": [0]}, "Expected 0 or 1 as iscrowd in annotation 7 of gt.json, got a list"),
        ({"num_keypoints": "many"}, "a whole number as num_keypoints in annotation 7 of gt.json, got 'many'"),
        ({"num_keypoints": -1}, "a whole number as num_keypoints in annotation 7 of gt.json, got -1"),
        ({"id": None}, "Expected an id .* in the annotation at place 0 of gt.json, got none"),
        ({"id": 1.5}, "Expected an id .* in the annotation at place 0 of gt.json, got 1.5"),
        ({"id": [1]}, "Expected an id .* in the annotation at place 0 of gt.json, got a list"),
        ({"image_id": 3}, "Expected image 3 of annotation 7 of gt.json, got no such image$"),
        (
            {"image_id": "1"},
            "Expected image '1' of annotation 7 of gt.json, got no such image; ids of images are numbers",
        ),
        ({"image_id": {}}, "Expected an image_id .* in annotation 7 of gt.json, got an object"),
        ({"category_id": 1.5}, "Expected a category_id .* in annotation 7 of gt.json, got 1.5"),
        ({"area": [1.0]}, "Expected an area of 0 px² or more in annotation 7 of gt.json, got a list"),
        ({"area": NAN}, "Expected an area of 0 px² or more in annotation 7 of gt.json, got nan"),
        ({"bbox": [1, 2, NAN, 4]}, "Expected 4 finite numbers of bbox in annotation 7 of gt.json"),
        ({"bbox": {"x": 1}}, r"Expected 4 numbers of bbox \(.*\) in annotation 7 of gt.json, got an object"),
        ({"keypoints": [1.0] * 8}, r"Expected 9 numbers of keypoints \(trio\) in annotation 7 of gt.json, got 8"),
        ({"keypoints": [[1.0, 2.0, 2]] * 9}, r"9 numbers of keypoints .* of gt.json, got a list among them"),
        ({"keypoints": ["a"] * 9}, r"9 numbers of keypoints .* of gt.json, got 'a' among them"),
        ({"keypoints": {"nose": 1}}, r"9 numbers of keypoints .* of gt.json, got an object"),
        ({"keypoints": [float("inf")] * 9}, "9 finite numbers of keypoints .* of gt.json, got infinity"),
        ({"keypoints": [10**400] * 9}, "9 numbers of keypoints .* of gt.json, got a number of more than 20 digits"),
        ({"keypoints": [1.0, 2.0, 3] * 3}, "visibility of 0, 1 or 2 in annotation 7 of gt.json, got 3"),
        ({"keypoints": [1.0, 2.0, None] * 3}, "a third number with each position of keypoints in annotation 7"),
    ],
)
def test_sentences_name_file_entry_and_field(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_annotations(document(person(**changes)), TRIO, "gt.json")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([], "Expected a COCO keypoint dataset in a.json, got a list"),
        ({"images": []}, "Expected a COCO keypoint dataset with a list of annotations in a.json, got one without"),
        ({"images": {}, "annotations": []}, "Expected a list of images in a.json, got an object"),
        ({"images": [], "annotations": [3]}, "Expected objects as annotations in a.json, got 3 at place 0"),
        (
            document(categories=[{"id": 1, "keypoints": "nose"}]),
            "Expected a list of joint names in category 1 of a.json",
        ),
        (document(categories=[{"name": "person"}]), "an id .* in the category at place 0 of a.json, got none"),
        (document(person(), person()), "Expected annotations of a.json with different ids, got 7 more than once"),
        (document(images=(1, 1)), "Expected images of a.json with different ids, got 1 more than once"),
    ],
)
def test_what_is_no_coco_file_is_said(content, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_annotations(content, TRIO, "a.json")


def test_ids_are_whole_numbers_or_text():
    assert as_id(0, "id", "x") == 0 and as_id("0", "id", "x") == "0" and as_id("", "id", "x") == ""
    for wrong in (None, 1.0, True, [1], {}):
        with pytest.raises(ValueError, match="Expected an id that is a whole number or text in x, got "):
            as_id(wrong, "id", "x")


def test_flags():
    assert [as_flag(value, "f", "x") for value in (0, 1, "0", "1", True, False, None, 0.0)] == [
        False, True, False, True, True, False, False, False,
    ]  # fmt: skip
    for wrong in ("", "true", "2", 2, 0.5, NAN, [], {}):
        with pytest.raises(ValueError, match="Expected 0 or 1 as f in x, got "):
            as_flag(wrong, "f", "x")


def test_sizes_are_whole_numbers_of_pixels():
    assert as_size(640.0, "width", "x") == 640 and isinstance(as_size(640.0, "width", "x"), int)
    for wrong in ("640", None, 0, -3, 640.5, NAN, float("inf"), True, [640]):
        with pytest.raises(ValueError, match="Expected a whole number of pixels above 0 as width in x, got "):
            as_size(wrong, "width", "x")


def test_images_tell_both_sides_or_none():
    images = [{"id": 1, "width": 640.0, "height": 480}, {"id": "b", "file_name": "b.jpg"}]
    first, second = coco_images({"images": images}, "gt.json")
    assert first.image_hw == (480, 640) and first.file_name is None
    assert second.image_hw is None and second.file_name == "b.jpg"
    for broken, sentence in (
        ({"id": 1, "width": 640}, "as height in image 1 of gt.json, got none"),
        ({"id": "a", "width": "640", "height": 480}, "as width in image 'a' of gt.json, got '640'"),
        ({"id": 1, "file_name": 5}, "Expected text as file_name in image 1 of gt.json, got 5"),
    ):
        with pytest.raises(ValueError, match=sentence):
            coco_images({"images": [broken]}, "gt.json")


def confidences(*results, notes=None):
    return joint_confidences(read_results(results, TRIO, "r.json"), TRIO, notes)


def test_confidences_stand_in_their_field_else_the_thirds_else_the_score():
    np.testing.assert_array_equal(confidences(result(keypoint_scores=[0.1, 0.2, 0.3])), [[0.1, 0.2, 0.3]])
    np.testing.assert_array_equal(confidences(result()), [[0.9, 0.8, 0.7]])
    np.testing.assert_array_equal(
        confidences(result((2, 1, 1)), result((1, 1, 1), score=0.08)), [[0.5] * 3, [0.08] * 3]
    )
    # the whole file decides: 1 is a confidence beside others
    np.testing.assert_array_equal(confidences(result((1, 1, 1)), result()), [[1, 1, 1], [0.9, 0.8, 0.7]])
    assert confidences().shape == (0, 3)


def test_a_joint_that_is_not_there_has_no_confidence():
    gap = result((2, 1, 1))
    gap["keypoints"][3:6] = [0, 0, 0]
    np.testing.assert_array_equal(confidences(gap), [[0.5, 0, 0.5]])
    gap = result((0.9, 0.8, 0.7), keypoint_scores=[0.9, None, 0.7])
    gap["keypoints"][3:6] = [None, None, 0.8]
    np.testing.assert_array_equal(confidences(gap), [[0.9, 0, 0.7]])


def test_overshoot_is_clipped_and_counted():
    notes = Counter()
    np.testing.assert_array_equal(confidences(result((1.2, 1.01, 0.5)), notes=notes), [[1, 1, 0.5]])
    assert notes == {"confidences above 1 (overshoot of a heatmap), taken as 1": 2}
    people = read_results([result(score=1.1), result(score=0.4)], TRIO)
    np.testing.assert_array_equal(person_confidences(people), [1, 0.4])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            result((97.0, 80.0, 0.5)),
            "as third numbers of keypoints of the result at place 1 of r.json, got 97; percent",
        ),
        (result((-3.0, 2.5, 0.5)), "as third numbers of keypoints of the result at place 1 of r.json, got -3; logits"),
        (result(keypoint_scores=[0.1, 1.3, 0.2]), "as keypoint_scores of the result at place 1 of r.json, got 1.3"),
        (result(keypoint_scores=[0.1, None, 0.2]), "as keypoint_scores of the result at place 1 of r.json, got nan"),
    ],
)
def test_other_scales_are_refused_with_a_hint(given, sentence):
    good = result() if "keypoint_scores" not in given else result(keypoint_scores=[0.5] * 3)
    with pytest.raises(ValueError, match=f"Expected confidences within 0..1 {sentence}"):
        confidences(good, given)


def test_keypoint_scores_stand_in_all_results_or_in_none():
    with pytest.raises(
        ValueError, match=r"in all results or in none, got them in 1 of 2; the result at place 1 of r.json"
    ):
        confidences(result(keypoint_scores=[0.5] * 3), result())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"score": None}, "Expected a finite number as score in the result at place 0 of r.json, got none"),
        ({"score": NAN}, "Expected a finite number as score in the result at place 0 of r.json, got nan"),
        ({"score": [0.5]}, "Expected a finite number as score in the result at place 0 of r.json, got a list"),
        ({"keypoints": None}, "Expected keypoints in the result at place 0 of r.json, got none"),
        ({"image_id": None}, "Expected an image_id .* in the result at place 0 of r.json, got none"),
        ({"keypoint_scores": [0.5]}, "Expected 3 numbers of keypoint_scores in the result at place 0 of r.json, got 1"),
        ({"fixed": [1]}, "Expected 3 flags of fixed in the result at place 0 of r.json"),
    ],
)
def test_sentences_of_results(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_results([result(**changes)], TRIO, "r.json")


def test_what_is_no_results_list_is_said():
    with pytest.raises(ValueError, match=r"Expected a list of keypoint results of r.json, got an object"):
        read_results({}, TRIO, "r.json")
    with pytest.raises(ValueError, match=r"Expected an object as the result at place 0 of r.json, got 3"):
        read_results([3], TRIO, "r.json")


def test_results_of_a_dataset_have_its_joint_order_and_categories():
    categories = person_categories(
        document(categories=[category(names=TRIO.names[::-1]), category(2, None, "car")]), TRIO
    )
    notes = Counter()
    given = [result(keypoint_scores=[0.1, 0.2, 0.3], fixed=[True, False, False]), result(category_id=2)]
    (found,) = read_results(given, TRIO, categories=categories, notes=notes)
    np.testing.assert_array_equal(found.keypoints[0], [5, 6])
    np.testing.assert_array_equal(found.keypoint_scores, [0.3, 0.2, 0.1])
    np.testing.assert_array_equal(found.fixed, [False, False, True])
    assert notes == {"results of other categories": 1} and found.place == 0


def test_areas_of_results_are_cocos():
    gap = result()
    gap["keypoints"][:3] = [0, 0, 0]
    people = read_results([gap, result(bbox=[0, 0, 2, 3])], TRIO)
    assert result_areas(people).tolist() == [30.0, 16.0]  # 0, 0 belongs to the extent; the first has no box
    np.testing.assert_array_equal(coco_positions(people)[0, 0], [0, 0])
    assert np.isnan(people[0].keypoints[0]).all()
    assert result_areas(people[::-1]).tolist() == [6.0, 30.0]


def test_reading_changes_nothing():
    content = document(person(), person(id=8, iscrowd="0"))
    before = repr(content)
    read_annotations(content, TRIO)
    assert repr(content) == before
