"""JSON files of users: encodings, and what a file is that is not JSON."""

import json

import pytest

from clickpose.data.json_file import read_json, read_json_as

CONTENT = {"é": [1, 2.5]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_byte_order_marks_are_read(tmp_path, encoding):
    (tmp_path / "a.json").write_bytes(json.dumps(CONTENT, ensure_ascii=False).encode(encoding))
    assert read_json(tmp_path / "a.json", "x") == CONTENT
    assert read_json_as(tmp_path / "a.json", dict) == CONTENT


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("<annotations/>", "got no JSON but XML or HTML"),
        ("  <?xml version='1.0'?>", "got no JSON but XML or HTML"),
        ('{"a": 1}\n{"a": 2}\n', r"got no JSON: several objects, one a line \(the second at line 2\)"),
        ("", "got no JSON: it is empty"),
        (" \n", "got no JSON: it is empty"),
        ("0 0.5 0.5 2", "got no JSON: it begins with '0 0.5 0.5 2'"),
        ('{"images": [', "got no JSON: Expecting value"),
        ("[" * 100_000, "got JSON that is nested too deeply"),
        ("1" * 5000, "got JSON with a number of thousands of digits"),
    ],
)
def test_what_is_no_json_is_said(tmp_path, text, sentence):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(ValueError, match=rf"Expected COCO keypoints in .*a\.txt, {sentence}"):
        read_json(tmp_path / "a.txt", "COCO keypoints")
    with pytest.raises(ValueError, match=rf"Cannot read .*a\.txt: Expected JSON, {sentence}"):
        read_json_as(tmp_path / "a.txt", dict)


def test_what_is_no_file_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Expected COCO keypoints at .*none\.json, found no such file"):
        read_json(tmp_path / "none.json", "COCO keypoints")
    with pytest.raises(ValueError, match=r"Cannot read .*none\.json: No such file"):
        read_json_as(tmp_path / "none.json", dict)
    with pytest.raises(ValueError, match=r"Expected COCO keypoints in .*, got a folder"):
        read_json(tmp_path, "COCO keypoints")
    with pytest.raises(ValueError, match=r"Cannot read .*: Is a directory"):
        read_json_as(tmp_path, dict)


def test_the_message_of_the_parser_follows_the_name(tmp_path):
    (tmp_path / "a.json").write_text("[]")

    def refuse(content):
        raise ValueError("Expected something else")

    with pytest.raises(ValueError, match=r"Cannot read .*a\.json: Expected something else"):
        read_json_as(tmp_path / "a.json", refuse)
