"""Which files a browser shows, told without decoding them."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PIL import Image

from clickpose_labelstudio.launch import photo_check
from clickpose_labelstudio.launch.photo_check import CUT_OFF, why_not_shown


@pytest.fixture
def photo(tmp_path):
    """Write a picture of noise, which does not compress, under a name and in a format."""
    pixels = np.random.default_rng(0).integers(0, 255, (600, 800, 3), dtype=np.uint8)

    def write(name, kind, **options):
        Image.fromarray(pixels).save(tmp_path / name, kind, **options)
        return tmp_path / name

    return write


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "MPO"])
def test_what_browsers_show_passes_unless_it_is_cut_off(photo, kind):
    path = photo("a.jpg", kind)  # the ending does not matter to browsers
    assert why_not_shown(path) is None
    if kind in ("JPEG", "PNG", "WEBP"):
        path.write_bytes(path.read_bytes()[:-2000])
        assert why_not_shown(path) == CUT_OFF


@pytest.mark.parametrize(("kind", "called"), [("TIFF", "TIFF"), ("JPEG2000", "JPEG2000"), ("PPM", "PPM")])
def test_other_formats_under_a_browsers_ending(photo, kind, called):
    assert why_not_shown(photo("a.jpg", kind)) == f"browsers do not show {called}"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"no picture", "the file holds no picture"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "browsers do not show HEIC"),
        (b"\xff\xd8\xff\xe0", "the file holds no picture"),
    ],
)
def test_files_that_hold_none(tmp_path, content, reason):
    (tmp_path / "a.jpg").write_bytes(content)
    assert why_not_shown(tmp_path / "a.jpg") == reason


def test_what_a_camera_appends_is_no_damage(photo):
    path = photo("a.jpg", "JPEG")
    with open(path, "ab") as file:
        file.write(bytes(200_000))
    assert why_not_shown(path) is None


def test_a_file_that_cannot_be_read_says_so(tmp_path):
    (tmp_path / "a.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert why_not_shown(tmp_path / "a.jpg") == "the file cannot be read (No such file or directory)"


def test_whole_photos_are_not_decoded(photo, monkeypatch):
    path = photo("a.jpg", "JPEG")
    monkeypatch.setattr(photo_check, "_decodes", lambda path: pytest.fail("decoded"))
    started = time.perf_counter()
    for _ in range(200):
        assert why_not_shown(path) is None
    assert time.perf_counter() - started < 2.0  # 10 ms each on a busy machine; 0.2 ms on a quiet one
