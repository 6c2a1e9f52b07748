"""Photos of two files are told by how their paths end."""

import pytest

from clickpose.data.photo_names import match_photos


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("x.jpg", 1),
        ("other/x.jpg", 1),
        ("a/y.jpg", 2),
        ("b\\y.jpg", 3),
        ("photos/b/y.jpg", 3),
        ("z.jpg", None),
        ("X.jpg", None),
        ("", None),
        ("ü %#?.jpg", 4),
    ],
)
def test_the_longest_common_end_tells(name, found):
    known = {1: "train/x.jpg", 2: "a/y.jpg", 3: "c/b/y.jpg", 4: "d/ü %#?.jpg"}
    assert match_photos({"n": name}, known) == {"n": found}


@pytest.mark.parametrize(("name", "count"), [("y.jpg", 2), ("d/y.jpg", 2)])
def test_a_name_that_does_not_tell_is_refused(name, count):
    with pytest.raises(ValueError, match=f"Expected one photo of the name '{name}', got {count} whose folders"):
        match_photos({1: name}, {1: "a/y.jpg", 2: "b/y.jpg"})


def test_two_photos_are_never_one():
    with pytest.raises(ValueError, match=r"different photos for 'a/y.jpg' and 'b/y.jpg', got 'y.jpg' for both"):
        match_photos({1: "a/y.jpg", 2: "b/y.jpg"}, {5: "y.jpg"})
