"""COCO's people in their one home: who is ignored, joints that are not there, sentences of what is wrong."""

from collections import Counter

import numpy as np
import pytest

from clickpose.data.coco_categories import (
    person_categories,
)
from clickpose.data.coco_extents import count_ignored
from clickpose.data.coco_records import coco_images, read_annotations, read_predictions, read_results
from clickpose.data.coco_writing import flat_triples
from helpers.coco_files import NAN, TRIO, category, document, person, result


def test_a_person_of_id_0_is_one_that_pycocotools_never_finds():
    notes = Counter()
    count_ignored(read_annotations(document(person(id=0), person(id=1)), TRIO), notes)
    assert notes == {"persons whose annotation has the id 0, found like others; pycocotools takes them for missed": 1}
    notes = Counter()
    count_ignored(read_annotations(document(person(id=0, iscrowd=1), person(id="0")), TRIO), notes)
    assert notes == {"crowds": 1}


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


def test_reading_changes_nothing():
    content = document(person(), person(id=8, iscrowd="0"))
    before = repr(content)
    read_annotations(content, TRIO)
    assert repr(content) == before
