"""What file name a reference stands for: never one for two photos."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clickpose_labelstudio.references import file_name_of, file_names, reference_to


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("/data/local-files/?d=kp/000%20a.png", "kp/000 a.png"),
        ("/data/local-files/?d=set%20one/cam%2Ba/0001.jpg", "set one/cam+a/0001.jpg"),
        ("/data/local-files/?d=set%20one%5Ccam-b%5C0001.jpg", "set one/cam-b/0001.jpg"),
        ("/studio/data/local-files/?d=a%23b%3F%25.jpg", "a#b?%.jpg"),
        ("/data/upload/3/22ef5c30-%C3%A9t%C3%A9.png", "22ef5c30-été.png"),
        ("https://studio.example.org/data/upload/3/22ef5c30-002.png", "22ef5c30-002.png"),
        ("https://example.org/a/b%20c.jpg?X-Amz-Signature=1", "a/b c.jpg"),
        ("https://example.org/view.php?id=17&size=full", "view-id-17-size-full.php"),
        ("https://example.org/?photo=a%2Fb", "photo-photo-a-b"),
        ("https://example.org/a/../%2e%2e/b.jpg", "a/b.jpg"),
        ("https://example.org/a%00b.jpg", "a_b.jpg"),
        ("s3://bucket/folder/a.jpg", "folder/a.jpg"),
        ("s3://bucket/folder/100%25#1?.jpg", "folder/100%25#1?.jpg"),
        ("gs://bucket/a.jpg", "a.jpg"),
        ("azure-blob://container/x/a.jpg", "x/a.jpg"),
        ("C:\\photos\\cam-a\\0001.jpg", "photos/cam-a/0001.jpg"),
        ("cam-a/0001.jpg", "cam-a/0001.jpg"),
        ("data:image/png;base64,AAAA", None),
    ],
)
def test_file_name_of_a_reference(reference, name):
    assert file_name_of(reference) == name


@pytest.mark.parametrize(
    ("references", "names"),
    [
        (
            ["https://p.example.org/cam-a/0001.jpg", "https://p.example.org/cam-b/0001.jpg"],
            ["cam-a/0001.jpg", "cam-b/0001.jpg"],
        ),
        (
            ["https://a.example.org/0001.jpg", "https://b.example.org/0001.jpg", "https://b.example.org/0002.jpg"],
            ["a.example.org/0001.jpg", "b.example.org/0001.jpg", "0002.jpg"],
        ),
        (
            ["/data/upload/1/1b2c3d4e-%C3%A9.jpg", "/data/upload/2/1b2c3d4e-%C3%A9.jpg"],
            ["1/1b2c3d4e-é.jpg", "2/1b2c3d4e-é.jpg"],
        ),
        (["https://e.org/i.jpg?v=1", "https://e.org/i.jpg?v=2"], ["i-v-1.jpg", "i-v-2.jpg"]),
        (["https://e.org/v.php?id=17", "https://e.org/v.php?id=18"], ["v-id-17.php", "v-id-18.php"]),
        (["s3://one/a.jpg", "s3://two/a.jpg"], ["one/a.jpg", "two/a.jpg"]),
    ],
)
def test_photos_that_would_share_a_name_get_longer_ones(references, names):
    assert list(file_names(references).values()) == names


def test_what_no_word_tells_apart_gets_a_number():
    references = [f"https://e.org/v.php?q={query}" for query in ("a-b", "a%2Fb", "a b")]
    names = list(file_names(references).values())
    assert len(set(names)) == 3
    assert all(name.startswith("v-") and name.endswith(".php") for name in names)
    assert file_names(references[::-1]) == dict(zip(references, names, strict=True))


def test_names_that_are_taken_are_not_given_again():
    assert file_names(["s3://bucket/a.jpg"], ["a.jpg"]) == {"s3://bucket/a.jpg": "bucket/a.jpg"}


def test_parts_of_any_length_can_be_files():
    long = ["https://e.org/" + letter * 3000 + end for letter, end in itertools.product("aé", (".jpg", "b.jpg"))]
    names = file_names([*long, "https://e.org/v.php?token=" + "x" * 5000]).values()
    assert len(set(names)) == 5
    assert max(len(part.encode()) for name in names for part in name.split("/")) <= 255


@pytest.mark.slow
@given(
    st.lists(st.text(max_size=30) | st.from_regex(r"(https?|s3)://[a-z.]{0,4}/[a-z%#?=&./\\+0-9]{0,12}"), unique=True)
)
@settings(deadline=None)
def test_any_references_get_different_names_below_one_folder(references):
    names = [name for name in file_names(references).values() if name is not None]
    assert len(set(names)) == len(names)
    for name in names:
        assert not name.startswith("/")
        assert not {"..", "", "."} & set(name.split("/"))


NAMES = ["a/b c.jpg", "é/ü.jpg", "100%.jpg", "a%20b.jpg", "x#1+2?.jpg", "a&b=c.jpg", "ß;.png", "日本/写真.jpg"]


@pytest.mark.parametrize("prefix", ["/data/local-files/?d=", "https://e.org/", "s3://bucket/", "gs://b/"])
@pytest.mark.parametrize("name", NAMES)
def test_the_way_to_a_reference_and_back_is_the_identity(prefix, name):
    assert file_name_of(reference_to(prefix, name)) == name


@pytest.mark.parametrize(
    ("prefix", "name", "reference"),
    [
        ("/data/local-files/?d=photos/", "cam-a\\1.jpg", "/data/local-files/?d=photos/cam-a/1.jpg"),
        ("/data/local-files/?d=", "https://e.org/a.jpg", "https://e.org/a.jpg"),
        ("https://e.org/", "s3://bucket/a.jpg", "s3://bucket/a.jpg"),
        ("", "a b.jpg", "a b.jpg"),
    ],
)
def test_reference_to_a_file_name(prefix, name, reference):
    assert reference_to(prefix, name) == reference
