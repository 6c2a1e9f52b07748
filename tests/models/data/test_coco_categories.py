"""Which annotations of a COCO file are people's, and in which order their joints stand."""

from collections import Counter

import numpy as np
import pytest

from clickpose.data.coco_categories import (
    JointOrder,
    categories_of_results,
    note_orders,
    person_categories,
    person_category,
)
from clickpose.data.coco_records import read_annotations, read_results
from helpers.coco_files import NAN, TRIO, category, document, person, result


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


def test_a_lacking_category_is_the_only_one():
    assert read_annotations(document(person(category_id=None)), TRIO)[0].category_id == 1
    with pytest.raises(ValueError, match="Expected a category_id in annotation 7, got none"):
        read_annotations(document(person(category_id=None), categories=[category(), category(2)]), TRIO)
