"""The fields of COCO's form: lists, ids, flags and sizes, read or refused."""

import pytest

from clickpose.data.coco_fields import as_flag, as_id, as_size
from clickpose.data.coco_records import read_annotations
from helpers.coco_files import NAN, TRIO, document, person


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
