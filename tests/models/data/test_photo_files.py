"""Photos as their labels see them, and the refusal of photos that are not those of the labels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clickpose import image_io
from clickpose.data.photo_files import STRETCHED, check_photos, read_photo, read_pixels, same_shape
from clickpose.data.records import ImageRecord
from clickpose.image_io import ImageError, TooManyPixelsError, read_image

QUARTER_TURN = 6  # EXIF: to be turned clockwise by a quarter


def write_photo(path: Path, orientation: int | None = None) -> Path:
    """A photo, stored 60 wide and 40 high, red in its left half."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30, 0] = 255
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    return path


@pytest.mark.parametrize(
    ("orientation", "image_hw", "red"),
    [
        (None, (40, 60), "left"),
        (QUARTER_TURN, None, "top"),
        (QUARTER_TURN, (60, 40), "top"),
        (QUARTER_TURN, (40, 60), "left"),  # labelled on the photo as it is stored
        (QUARTER_TURN, (120, 80), "top"),  # and at another scale
        (QUARTER_TURN, (20, 30), "left"),
        (3, (40, 60), "right"),  # a half turn
    ],
)
def test_photos_lie_as_their_labels_see_them(tmp_path, orientation, image_hw, red):
    path = write_photo(tmp_path / "photo.png", orientation)
    photo = np.asarray(read_photo(path, image_hw))
    assert photo.shape[:2] == ((60, 40) if red == "top" else (40, 60))
    half = {"left": np.s_[:, :20], "right": np.s_[:, -20:], "top": np.s_[:20]}[red]
    assert (photo[half] == [255, 0, 0]).all()
    assert (photo == [255, 0, 0]).all(-1).mean() == 0.5
    assert image_hw is None or not check_photos([ImageRecord(1, path, image_hw)])


def test_photos_of_any_mode_are_what_the_service_would_see(tmp_path):
    deep = Image.fromarray(np.full((4, 6), 257 * 90, np.uint16))  # 16 bits a sample
    clear = Image.new("RGBA", (6, 4), (200, 0, 0, 0))
    for name, image, value in (("deep", deep, 90), ("clear", clear, 255)):
        image.save(tmp_path / f"{name}.png")
        photo = np.asarray(read_photo(tmp_path / f"{name}.png"))
        assert (photo == value).all()
        np.testing.assert_array_equal(photo, read_image(tmp_path / f"{name}.png"))
    Image.new("RGB", (6, 4), (1, 2, 3)).save(tmp_path / "plain.png")
    assert (np.asarray(read_photo(tmp_path / "plain.png", (4, 6))) == [1, 2, 3]).all()


def test_photos_are_read_in_the_frame_of_their_annotations(tmp_path):
    path = write_photo(tmp_path / "a.png")
    pixels = read_pixels(ImageRecord(1, path, (80, 120)))
    assert pixels.shape == (80, 120, 3) and (pixels[:, :58] == [255, 0, 0]).all() and (pixels[:, 62:] == 0).all()


@pytest.mark.parametrize("orientation", [None, 3])
@pytest.mark.parametrize("image_hw", [(60, 40), (40, 58), (44, 60), (40, 40), (1, 1), (60, 60), (900, 1)])
def test_a_photo_of_other_sides_than_its_labels_is_refused_before_the_work_and_in_it(tmp_path, orientation, image_hw):
    record = ImageRecord(1, write_photo(tmp_path / "photo.png", orientation), image_hw)
    sentence = (
        rf"Cannot read .*photo.png: Expected a photo of {image_hw[1]} x {image_hw[0]} pixels, as its labels say, or of "
        r"this shape at another scale, got 60 x 40$"
    )
    for look in (read_pixels, lambda record: check_photos([record])):
        with pytest.raises(ImageError, match=sentence):
            look(record)


def test_a_photo_that_its_file_says_is_squeezed_is_stretched_back(tmp_path):
    path = write_photo(tmp_path / "photo.png")
    squeezed = ImageRecord(1, path, (60, 40), stored_hw=(40, 60))
    assert read_pixels(squeezed).shape == (60, 40, 3)
    assert check_photos([squeezed, squeezed]) == {STRETCHED: 1}
    with pytest.raises(ImageError, match="got 60 x 40"):
        read_pixels(ImageRecord(1, path, (60, 40), stored_hw=(256, 256)))
    assert not check_photos([ImageRecord(1, path, (80, 120), stored_hw=(256, 256))])  # as the labels see it after all


@pytest.mark.parametrize(
    ("hw", "other", "same"),
    [
        ((480, 640), (480, 640), True),
        ((480, 640), (1920, 2560), True),
        ((2991, 3967), (482, 640), True),  # rounded down
        ((2991, 3967), (483, 640), True),
        ((480, 640), (640, 480), False),
        ((480, 640), (472, 640), False),  # cut
        ((256, 256), (427, 640), False),
        ((1, 1), (420, 358), False),
        ((15, 20), (480, 640), True),
    ],
)
def test_shapes_are_the_same_up_to_rounding(hw, other, same):
    assert same_shape(hw, other) is same and same_shape(other, hw) is same


def test_all_photos_are_looked_at_before_the_work(tmp_path):
    good = ImageRecord(1, write_photo(tmp_path / "good.png"), (40, 60))
    missing = ImageRecord(2, tmp_path / "missing.png", (40, 60))
    (tmp_path / "page.jpg").write_text("<!doctype html>")
    page = ImageRecord(3, tmp_path / "page.jpg", (40, 60))
    assert not check_photos([good])
    with pytest.raises(ImageError, match=r"missing.png: No such file or directory \(1 more photos cannot be used\)"):
        check_photos([good, missing, page])
    with pytest.raises(TooManyPixelsError, match="at most 2,399 pixels, got 60 x 40"):
        check_photos([good], max_pixels=2399)
    with pytest.raises(TooManyPixelsError, match="at most 2,399 pixels, got 60 x 40"):
        read_pixels(good, max_pixels=2399)


def test_one_limit_of_pixels_holds_for_all_readers(tmp_path):
    path = write_photo(tmp_path / "photo.png")
    image_io.set_max_pixels(2399)
    try:
        for read in (read_image, read_photo, image_io.read_sides, lambda p: check_photos([ImageRecord(1, p, (4, 6))])):
            with pytest.raises(TooManyPixelsError, match="at most 2,399 pixels, got 60 x 40"):
                read(path)
    finally:
        image_io.set_max_pixels(image_io.DEFAULT_MAX_PIXELS)
    assert read_photo(path).size == (60, 40)
    with pytest.raises(ValueError, match="Expected max_pixels of at least 1, got 0"):
        image_io.set_max_pixels(0)
