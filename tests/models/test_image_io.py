"""Photos in: every kind of file comes out upright, as 8-bit RGB, or is refused with a sentence."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from clickpose.image_io import ImageError, TooManyPixelsError, decode_image, read_image, read_sides

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encode(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def quarters() -> Image.Image:
    """A 32 x 16 picture: left half red, right half green, lower right corner blue."""
    array = np.zeros((16, 32, 3), np.uint8)
    array[:, :16], array[:, 16:], array[8:, 16:] = RED, GREEN, BLUE
    return Image.fromarray(array)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {}), ("BMP", {}), ("TIFF", {}), ("GIF", {}), ("WEBP", {"lossless": True}), ("PPM", {}),
        ("JPEG", {"quality": 100, "subsampling": 0}),
    ],
)  # fmt: skip
def test_common_formats_give_the_same_pixels(format, options):
    pixels = decode_image(encode(quarters(), format, **options))
    assert pixels.dtype == np.uint8 and pixels.flags.writeable
    np.testing.assert_allclose(pixels, np.asarray(quarters()), atol=6 if format == "JPEG" else 0)


@pytest.mark.parametrize(
    ("orientation", "undo"),
    [
        (1, lambda a: a), (2, lambda a: a[:, ::-1]), (3, lambda a: a[::-1, ::-1]), (4, lambda a: a[::-1]),
        (5, lambda a: a.transpose(1, 0, 2)), (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: np.rot90(a, 2).transpose(1, 0, 2)), (8, lambda a: np.rot90(a)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_exif_orientation_is_applied_once(orientation, undo, format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100, "subsampling": 0} if format == "JPEG" else {}
    pixels = decode_image(encode(quarters(), format, exif=exif, **options))
    np.testing.assert_allclose(pixels, undo(np.asarray(quarters())), atol=6 if format == "JPEG" else 0)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's own remark about the block
def test_damaged_exif_does_not_cost_the_photo():
    data = encode(quarters(), "JPEG", quality=100, subsampling=0, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decode_image(data).shape == (16, 32, 3)


def test_transparency_lies_over_white():
    layer = np.zeros((4, 4, 4), np.uint8)
    layer[..., :3] = RED
    layer[0, :, 3], layer[1, :, 3] = 255, 128
    pixels = decode_image(encode(Image.fromarray(layer), "PNG"))
    assert (pixels[0] == RED).all() and (pixels[2:] == WHITE).all()
    np.testing.assert_allclose(pixels[1], [[255, 127, 127]] * 4, atol=1)


def test_palette_and_grey_transparency():
    palette = Image.new("P", (2, 1))
    palette.putpalette([*RED, *BLUE])
    palette.putpixel((1, 0), 1)
    np.testing.assert_array_equal(decode_image(encode(palette, "PNG")), [[RED, BLUE]])
    np.testing.assert_array_equal(decode_image(encode(palette, "PNG", transparency=1)), [[RED, WHITE]])
    np.testing.assert_array_equal(decode_image(encode(Image.new("L", (1, 1), 7), "PNG", transparency=7)), [[WHITE]])
    np.testing.assert_array_equal(decode_image(encode(Image.new("LA", (1, 1), (7, 255)), "PNG")), [[[7, 7, 7]]])


def test_grey_bilevel_and_cmyk():
    np.testing.assert_array_equal(decode_image(encode(Image.new("L", (2, 3), 90), "PNG")), np.full((3, 2, 3), 90))
    np.testing.assert_array_equal(decode_image(encode(Image.new("1", (2, 3), 1), "PNG")), np.full((3, 2, 3), 255))
    cmyk = decode_image(encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100))
    np.testing.assert_allclose(cmyk, np.broadcast_to(RED, (8, 8, 3)), atol=3)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_keeps_its_brightness(format):
    samples = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    pixels = decode_image(encode(Image.fromarray(samples), format))
    np.testing.assert_array_equal(pixels[0, :, 0], [0, 1, 128, 255])


def test_float_tiff_is_unit_range_or_eight_bit_range():
    unit = Image.fromarray(np.array([[0, 0.5, 1, np.nan]], np.float32))
    np.testing.assert_array_equal(decode_image(encode(unit, "TIFF"))[0, :, 1], [0, 128, 255, 0])
    bytes_range = Image.fromarray(np.array([[-3, 100, 255, 999]], np.float32))
    np.testing.assert_array_equal(decode_image(encode(bytes_range, "TIFF"))[0, :, 2], [0, 100, 255, 255])


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_animation_gives_its_first_frame(format):
    frames = [Image.new("RGB", (4, 4), color) for color in (RED, BLUE)]
    options = {"lossless": True} if format == "WEBP" else {}
    data = encode(frames[0], format, save_all=True, append_images=frames[1:], **options)
    np.testing.assert_array_equal(decode_image(data), np.broadcast_to(RED, (4, 4, 3)))


def test_too_many_pixels_are_refused_before_decompression():
    with pytest.raises(ImageError, match=r"at most 511 pixels, got 32 x 16"):
        decode_image(encode(quarters(), "PNG"), max_pixels=511)
    assert decode_image(encode(quarters(), "PNG"), max_pixels=512).shape == (16, 32, 3)
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    for limit in (None, 3_599_999_999):  # Pillow's own limit lies between them
        with pytest.raises(TooManyPixelsError, match=r"pixels, got (one of 3600000000 pixels|60000 x 60000)"):
            decode_image(bomb, limit)


def test_a_limit_above_pillows_own_is_kept(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert decode_image(encode(quarters(), "PNG"), max_pixels=512).shape == (16, 32, 3)
    with pytest.raises(TooManyPixelsError, match="at most 511 pixels, got 32 x 16"):
        decode_image(encode(quarters(), "PNG"), max_pixels=511)


@pytest.mark.parametrize("data", [b"", b"<html>not found</html>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\x89PNG\r\n\x1a\n"])
def test_bytes_that_are_no_image_are_refused(data):
    with pytest.raises(ImageError, match=f"Expected an image .*, got {len(data)} bytes"):
        decode_image(data)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "GIF"])
def test_truncated_files_are_refused(format):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    data = encode(noise, format)
    with pytest.raises(ImageError, match="Expected"):
        decode_image(data[: len(data) // 2])


def test_damaged_bytes_never_raise_anything_else():
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8))
    for format in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"):
        whole = np.frombuffer(encode(noise, format), np.uint8)
        for _ in range(40):
            damaged = whole.copy()
            damaged[rng.integers(0, len(whole), 8)] = rng.integers(0, 256, 8)
            try:
                assert decode_image(damaged.tobytes(), max_pixels=10_000).shape[2] == 3
            except ImageError as error:
                assert str(error).startswith("Expected")


def test_read_image_names_the_file(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(encode(quarters(), "PNG"))
    np.testing.assert_array_equal(read_image(path), np.asarray(quarters()))
    with pytest.raises(ImageError, match=r"Cannot read .*missing\.jpg: No such file"):
        read_image(tmp_path / "missing.jpg")
    with pytest.raises(ImageError, match=r"Cannot read .*: Is a directory"):
        read_image(tmp_path)
    path.write_bytes(b"text")
    with pytest.raises(ImageError, match=r"Cannot read .*photo\.png: Expected an image"):
        read_image(path)


def test_a_broken_chunk_is_a_sentence():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))
    data = bytearray(encode(noise, "PNG"))
    place = data.find(b"IDAT", 2000)
    data[place - 4 : place] = b"\0\0\0\x05"  # Pillow raises a SyntaxError
    with pytest.raises(ImageError, match=r"Expected a whole PNG image, got .* cannot be decoded: broken PNG file$"):
        decode_image(bytes(data))


@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 7, 8])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_sides_are_read_as_stored_and_upright(tmp_path, orientation, format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo"
    path.write_bytes(encode(quarters(), format, exif=exif))
    if format != "TIFF":  # which Pillow turns by itself
        assert read_sides(path) == (16, 32)
    assert read_sides(path, upright=True) == read_image(path).shape[:2]
    with pytest.raises(ImageError, match=r"Cannot read .*nowhere: No such file"):
        read_sides(tmp_path / "nowhere")
    path.write_bytes(b"no photo")
    with pytest.raises(ImageError, match=r"Cannot read .*photo: Expected an image .* got a file that is none of these"):
        read_sides(path)
