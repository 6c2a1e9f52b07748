"""The image that a task's reference names, from wherever it is."""

import base64
import io
import os
import time

import numpy as np
import pytest
from PIL import Image

from clickpose_labelstudio.images import TaskImages
from clickpose_labelstudio.ports import ImageError
from clickpose_labelstudio.references import through_label_studio
from clickpose_labelstudio.settings import ServiceSettings

RED, BLUE = (255, 0, 0), (0, 0, 255)


def red_and_blue() -> Image.Image:
    """Return a 4 x 2 image: left half red, right half blue."""
    image = Image.new("RGB", (4, 2), RED)
    image.paste(BLUE, (2, 0, 4, 2))
    return image


def file_bytes(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def data_uri(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


class Recorder:
    """A fetcher that answers every address with the same file and records what it was asked."""

    def __init__(self, data: bytes):
        self.data = data
        self.urls = []

    def fetch(self, url):
        self.urls.append(url)
        return self.data


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a b.png").write_bytes(file_bytes(red_and_blue()))
    (tmp_path / "secret.png").write_bytes(file_bytes(red_and_blue()))
    return folder


@pytest.fixture
def images(tmp_path):
    def make(data: bytes = b"", **values) -> tuple[TaskImages, Recorder]:
        recorder = Recorder(data or file_bytes(red_and_blue()))
        settings = ServiceSettings(cache_dir=tmp_path, label_studio_url="http://ls:8080", **values)
        return TaskImages(settings, recorder), recorder

    return make


def assert_red_and_blue(pixels: np.ndarray, tolerance: int = 0):
    assert pixels.shape == (2, 4, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels[:, :2].astype(int) - RED).max() <= tolerance
    assert np.abs(pixels[:, 2:].astype(int) - BLUE).max() <= tolerance


@pytest.mark.parametrize(
    ("reference", "asked"),
    [
        ("/data/upload/3/a b.png", "http://ls:8080/data/upload/3/a b.png"),
        ("/data/local-files/?d=x/y.png", "http://ls:8080/data/local-files/?d=x/y.png"),
        ("/tasks/7/resolve/?fileuri=czM6Ly9i", "http://ls:8080/tasks/7/resolve/?fileuri=czM6Ly9i"),
        ("http://LS:8080/data/upload/3/a.png", "http://ls:8080/data/upload/3/a.png"),
        ("https://images.example.org/a.png?x=1", "https://images.example.org/a.png?x=1"),
        ("//evil.example.org/a.png", None),
        ("ftp://ls/a.png", None),
        ("file:///etc/passwd", None),
        ("s3://bucket/a.png", None),
        ("a.png", None),
        ("http://[", None),
        ("", None),
        (None, None),
        ({"url": "x"}, None),
        ("/data/" + "x" * 9000, None),
    ],
)
def test_each_reference_goes_its_way(images, reference, asked):
    source, recorder = images()
    if asked is None:
        with pytest.raises(ImageError):
            source.load(reference)
        assert recorder.urls == []
    else:
        assert_red_and_blue(source.load(reference).pixels)
        assert recorder.urls == [asked]


def test_an_address_below_a_path_is_resolved(tmp_path):
    recorder = Recorder(file_bytes(red_and_blue()))
    source = TaskImages(ServiceSettings(cache_dir=tmp_path, label_studio_url="https://org.example/ls"), recorder)
    source.load("/data/upload/1/a.png")
    source.load("/ls/data/upload/1/a.png")
    assert recorder.urls == ["https://org.example/ls/data/upload/1/a.png"] * 2


def test_the_content_hash_is_of_the_file(images):
    source, recorder = images()
    first = source.load("/data/upload/1/a.png").content_hash
    assert first == source.load("/data/upload/1/b.png").content_hash
    recorder.data = file_bytes(Image.new("RGB", (4, 2)))
    assert first != source.load("/data/upload/1/a.png").content_hash


def test_cloud_images_go_through_the_tasks_resolver():
    reference = through_label_studio("s3://bucket/ä b.jpg", 12)
    path, _, encoded = reference.partition("?fileuri=")
    assert path == "/tasks/12/resolve/"
    assert base64.urlsafe_b64decode(encoded).decode() == "s3://bucket/ä b.jpg"
    for unchanged in ("/data/upload/1/a.png", "https://a.example.org/s3://b"):
        assert through_label_studio(unchanged, 12) == unchanged
    for unsaved in (None, "7", -1, True):
        assert through_label_studio("gs://bucket/a.jpg", unsaved) == "gs://bucket/a.jpg"


def test_local_files_are_read_from_an_allowed_root(images, root):
    source, recorder = images(local_roots=(root,))
    assert_red_and_blue(source.load("/data/local-files/?d=sub/a%20b.png").pixels)
    assert_red_and_blue(source.load("http://ls:8080/data/local-files/?d=/sub/a+b.png").pixels)
    assert recorder.urls == []
    source.load("/data/local-files/?d=sub/other.png")
    assert recorder.urls == ["http://ls:8080/data/local-files/?d=sub/other.png"]


@pytest.mark.parametrize(
    "path", ["../secret.png", "sub/../../secret.png", "..%2fsecret.png", "..%5Csecret.png", "%00", "sub", "escape.png"]
)
def test_no_path_leaves_the_root(images, root, path):
    (root / "escape.png").symlink_to(root.parent / "secret.png")
    source, recorder = images(local_roots=(root,))
    with pytest.raises(ImageError):
        source.load(f"/data/local-files/?d={path}")
    assert recorder.urls == []


def test_an_absolute_path_stays_in_the_root(images, root):
    source, recorder = images(local_roots=(root,))
    source.load(f"/data/local-files/?d={root.parent}/secret.png")
    assert len(recorder.urls) == 1  # no such file below the root; Label Studio decides


def test_a_link_inside_the_root_is_followed(images, root):
    (root / "link.png").symlink_to(root / "sub" / "a b.png")
    source, _ = images(local_roots=(root,))
    assert_red_and_blue(source.load("/data/local-files/?d=link.png").pixels)


def test_a_pipe_does_not_hang(images, root):
    os.mkfifo(root / "pipe.png")
    source, _ = images(local_roots=(root,))
    start = time.monotonic()
    with pytest.raises(ImageError, match="ordinary local file"):
        source.load("/data/local-files/?d=pipe.png")
    assert time.monotonic() - start < 30


def test_data_uris(images):
    source, _ = images(max_image_bytes=1000)
    png = file_bytes(red_and_blue())
    assert_red_and_blue(source.load(data_uri(png)).pixels)
    percent = "".join(f"%{byte:02x}" for byte in png)
    assert_red_and_blue(source.load(f"DATA:image/png,{percent}").pixels)
    for bad, message in [
        ("data:image/png;base64", "comma"),
        ("data:image/png;base64,@@@", "base64"),
        ("data:image/png;base64,aGVsbG8=", "Expected an image"),
        ("data:image/png;base64," + "A" * 5000, "at most 1000 bytes"),
        ("data:image/png;base64," + "A" * 2000, "at most 1000 bytes"),
    ]:
        with pytest.raises(ImageError, match=message):
            source.load(bad)


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


KINDS = {
    "png": file_bytes(red_and_blue()),
    "palette": file_bytes(red_and_blue().convert("P", palette=Image.Palette.ADAPTIVE)),
    "opaque alpha": file_bytes(red_and_blue().convert("RGBA")),
    "bmp": file_bytes(red_and_blue(), "BMP"),
    "webp": file_bytes(red_and_blue(), "WEBP", lossless=True),
    "cmyk": file_bytes(red_and_blue().convert("CMYK"), "TIFF"),
    "gif": file_bytes(red_and_blue(), "GIF", save_all=True, append_images=[Image.new("RGB", (4, 2))], duration=9),
    "turned": file_bytes(red_and_blue().transpose(Image.Transpose.ROTATE_90), exif=exif(6)),
    "mirrored": file_bytes(red_and_blue().transpose(Image.Transpose.FLIP_LEFT_RIGHT), exif=exif(2)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image_comes_out_as_rgb(images, kind):
    source, _ = images(KINDS[kind])
    assert_red_and_blue(source.load("/data/upload/1/a").pixels)


def test_a_cmyk_jpeg_keeps_its_colours(images):
    large = red_and_blue().resize((64, 32), Image.Resampling.NEAREST)
    source, _ = images(file_bytes(large.convert("CMYK"), "JPEG", quality=95))
    pixels = source.load("/data/upload/1/a").pixels
    assert np.abs(pixels[4:28, 4:28].astype(int) - RED).max() < 12
    assert np.abs(pixels[4:28, 36:60].astype(int) - BLUE).max() < 12


@pytest.mark.parametrize("turn", [0, 1], ids=["grey", "bilevel"])
def test_grey_is_three_equal_channels(images, turn):
    image = Image.new("L", (3, 2), 255).convert(["L", "1"][turn])
    source, _ = images(file_bytes(image))
    assert (source.load("/data/upload/1/a").pixels == np.full((2, 3, 3), 255)).all()


def test_alpha_lies_over_white(images):
    source, _ = images(file_bytes(Image.new("RGBA", (1, 1), (0, 0, 0, 64))))
    assert source.load("/data/upload/1/a").pixels.tolist() == [[[191, 191, 191]]]


def test_16_bit_grey_is_scaled(images):
    levels = np.array([[0, 257 * 100, 65535]], np.uint16)
    source, _ = images(file_bytes(Image.fromarray(levels)))
    assert source.load("/data/upload/1/a").pixels[0, :, 0].tolist() == [0, 100, 255]


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "WEBP", "JPEG"])
def test_damaged_images_are_refused_with_a_sentence(images, kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = file_bytes(Image.fromarray(noise), kind)
    for keep in (8, len(data) // 2):
        source, _ = images(data[:keep])
        with pytest.raises(ImageError, match=r"^Expected"):
            source.load("/data/upload/1/a")


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(images):
    bomb = file_bytes(Image.new("L", (4000, 4000)))
    assert len(bomb) < 40_000
    source, _ = images(bomb, max_image_pixels=1_000_000)
    with pytest.raises(ImageError, match="at most 1,000,000 pixels, got 4000 x 4000"):
        source.load("/data/upload/1/a")


@pytest.mark.parametrize(
    "data", [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\0" * 99]
)
def test_other_files_are_refused(images, data):
    source, _ = images(data)
    with pytest.raises(ImageError, match=r"^Expected an image"):
        source.load("/data/upload/1/a")


def test_a_large_local_file_is_refused(images, root):
    source, _ = images(local_roots=(root,), max_image_bytes=20)
    with pytest.raises(ImageError, match="at most 20 bytes"):
        source.load("/data/local-files/?d=sub/a%20b.png")
