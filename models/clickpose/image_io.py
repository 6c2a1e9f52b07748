"""Photos in: whatever a camera, a browser or a scanner wrote becomes one (H, W, 3) uint8 RGB array, or a sentence.

Here is decided which files are photos, how many pixels one may have and how it lies; everything that reads one comes
here.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

DEFAULT_MAX_PIXELS = 80_000_000
PHOTO_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2", ".j2k",
    ".ppm", ".pgm", ".pbm", ".pnm",
)  # fmt: skip
"""Endings of the files that are taken for photos in a folder, in small letters."""

# What browsers show, and scanners' formats. Pillow knows more, but some of them (EPS) start other programs.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")
_ORIENTATION = 0x0112  # EXIF
_QUARTER_TURNS = (5, 6, 7, 8)


def count_endings(names: Iterable[str | Path], none: str = "no ending") -> str:
    """Say how many files of each ending there are, the most first, such as ``2 .heic, 1 .txt``; empty for no file.

    Args:
        names: of the files.
        none: what a file without an ending is called.
    """
    endings = Counter(Path(name).suffix.lower() or none for name in names)
    return ", ".join(f"{count} {ending}" for ending, count in endings.most_common())


TurnsUpright = Callable[[tuple[int, int], tuple[int, int]], bool]


@dataclass
class _Limit:
    """The pixels that a photo may have in this process, and what the user can say to allow more."""

    max_pixels: int = DEFAULT_MAX_PIXELS
    option: str | None = None


_LIMIT = _Limit()


class ImageError(ValueError):
    """The bytes are not an image that can be worked with; the message says why in a sentence."""


class TooManyPixelsError(ImageError):
    """The image is larger than was allowed."""


def set_max_pixels(max_pixels: int, option: str | None = None) -> None:
    """Choose how many pixels a photo may have; a setting of the whole process.

    Args:
        max_pixels: width x height above which a photo is refused before it is decompressed.
        option: what a user can say to allow more, such as ``"--max-pixels"``; the refusal names it.

    Raises:
        ValueError: for less than 1.
    """
    if max_pixels < 1:
        raise ValueError(f"Expected max_pixels of at least 1, got {max_pixels}")
    _LIMIT.max_pixels, _LIMIT.option = max_pixels, option


def get_max_pixels() -> int:
    """Return what :func:`set_max_pixels` chose, else :data:`DEFAULT_MAX_PIXELS`."""
    return _LIMIT.max_pixels


def decode_image(data: bytes, max_pixels: int | None = None) -> np.ndarray:
    """Decode an image file as a browser would show it.

    The EXIF orientation is applied, transparency lies over white, of an animation the first frame is taken, and deeper
    samples are brought to 8 bits.

    Args:
        data: the bytes of the file.
        max_pixels: width x height above which the image is refused before it is decompressed; None for
            :func:`get_max_pixels`.

    Returns:
        (H, W, 3) uint8 RGB, a fresh array.

    Raises:
        ImageError: if the bytes are no image of a known format, are damaged, or hold too many pixels.
    """
    return np.array(decode_photo(data, max_pixels))


def decode_photo(data: bytes, max_pixels: int | None = None, turn: TurnsUpright | None = None) -> Image.Image:
    """Decode as :func:`decode_image` does, into Pillow's form.

    Args:
        data, max_pixels: as there.
        turn: tells from the (height, width) of the stored and of the upright photo whether it is to be turned upright
            where its EXIF block says a quarter turn; None for always.

    Raises:
        ImageError: as there, and what ``turn`` raises.
    """
    with _open(data, max_pixels) as image:
        with _decoding(image):
            image.load()
            stored_hw, upright_hw = (image.height, image.width), _upright_hw(image)
        turned = turn is None or stored_hw == upright_hw or turn(stored_hw, upright_hw)
        with _decoding(image):
            if turned:
                _turn_upright(image)
            return to_rgb(image)


def read_image(path: str | Path, max_pixels: int | None = None) -> np.ndarray:
    """Read an image file; see :func:`decode_image`.

    Raises:
        ImageError: if there is no such file or :func:`decode_image` refuses it; the message names the file.
    """
    with naming_the_file(path):
        return decode_image(Path(path).read_bytes(), max_pixels)


def read_sides(path: str | Path, max_pixels: int | None = None, upright: bool = False) -> tuple[int, int]:
    """Return the (height, width) of a photo as it is stored, from the file's header.

    Args:
        path: the file.
        max_pixels: as :func:`decode_image`.
        upright: return that of the upright photo, as the EXIF block says; some formats are decoded for it.

    Raises:
        ImageError: if there is no such file, it is no image, or has too many pixels; the message names the file.
    """
    with naming_the_file(path), Path(path).open("rb") as file, _open(file, max_pixels) as image:
        return _upright_hw(image) if upright else (image.height, image.width)


def count_pixels(data: bytes, max_pixels: int | None = None) -> int:
    """Return the pixels of an image file, from its header.

    Raises:
        ImageError: as :func:`decode_image`, as far as the header tells.
    """
    with _open(data, max_pixels) as image:
        return image.width * image.height


@contextlib.contextmanager
def naming_the_file(path: str | Path) -> Iterator[None]:
    """Put the file's name in front of what cannot be read."""
    try:
        yield
    except OSError as error:
        raise ImageError(f"Cannot read {path}: {error.strerror or error}") from None
    except ImageError as error:
        raise type(error)(f"Cannot read {path}: {error}") from None


def _open(data: bytes | io.BufferedReader, max_pixels: int | None) -> Image.Image:
    """Read the header only, and refuse too many pixels."""
    Image.init()
    formats = [name for name in _FORMATS if name in Image.OPEN]  # AVIF depends on the Pillow build
    most = get_max_pixels() if max_pixels is None else max_pixels
    if Image.MAX_IMAGE_PIXELS is not None:  # Pillow's own limit, of the whole process
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, most)
    try:
        image = Image.open(io.BytesIO(data) if isinstance(data, bytes) else data, formats=formats)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        count = re.search(r"\d+ pixels", str(error))
        raise _too_large(most, f"one of {count.group() if count else 'more'}") from None
    except Exception:  # as above: a damaged header may raise anything
        got = f"{len(data)} bytes that are" if isinstance(data, bytes) else "a file that is"
        raise ImageError(f"Expected an image ({', '.join(formats)}), got {got} none of these") from None
    width, height = image.size
    if width * height > most:
        image.close()
        raise _too_large(most, f"{width} x {height}")
    return image


def _too_large(most: int, got: str) -> TooManyPixelsError:
    hint = f" ({_LIMIT.option} allows more)" if _LIMIT.option is not None and most == _LIMIT.max_pixels else ""
    return TooManyPixelsError(f"Expected an image of at most {most:,} pixels, got {got}{hint}")


@contextlib.contextmanager
def _decoding(image: Image.Image) -> Iterator[None]:
    """Turn whatever Pillow's decoders stumble over into a sentence."""
    try:
        yield
    except Exception as error:  # they raise anything: SyntaxError for a broken PNG
        reason = re.sub(r" \([^()]*\bb['\"].*\)", "", str(error), flags=re.DOTALL)  # bytes as Python writes them
        raise ImageError(f"Expected a whole {image.format} image, got one that cannot be decoded: {reason}") from None


def _upright_hw(image: Image.Image) -> tuple[int, int]:
    """Return the (height, width) that a photo has after :func:`_turn_upright`."""
    orientation = None
    with contextlib.suppress(Exception):  # as there
        if image.format == "TIFF":  # which Pillow turns by itself, the sides at once and the rest when it loads
            image.load()
        orientation = image.getexif().get(_ORIENTATION)
    return (image.width, image.height) if orientation in _QUARTER_TURNS else (image.height, image.width)


def _turn_upright(image: Image.Image) -> None:
    """Apply the EXIF orientation, in place: a copy of a large photo takes a quarter of a gigabyte."""
    # a damaged EXIF block does not cost the photo: browsers show such a photo unrotated as well
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB: deep samples scaled to 8 bits, transparency over white."""
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(_to_8_bits(np.asarray(image)))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_8_bits(samples: np.ndarray) -> np.ndarray:
    """Scale (H, W) grey samples to uint8: integers are 0..65535; floats 0..1, or 0..255 where they exceed 1."""
    if np.issubdtype(samples.dtype, np.integer):
        scaled = samples / 257
    else:
        samples = np.nan_to_num(samples)
        scaled = samples * (255 if samples.max() <= 1 else 1)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
