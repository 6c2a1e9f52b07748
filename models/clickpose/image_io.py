"""Photos in: whatever a camera, a browser or a scanner wrote becomes one (H, W, 3) uint8 RGB array, or a sentence."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

DEFAULT_MAX_PIXELS = 80_000_000
# What browsers show, and scanners' formats. Pillow knows more, but some of them (EPS) start other programs.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")


class ImageError(ValueError):
    """The bytes are not an image that can be worked with; the message says why in a sentence."""


def decode_image(data: bytes, max_pixels: int = DEFAULT_MAX_PIXELS) -> np.ndarray:
    """Decode an image file as a browser would show it.

    The EXIF orientation is applied, transparency lies over white, of an animation the first frame is taken, and deeper
    samples are brought to 8 bits.

    Args:
        data: the bytes of the file.
        max_pixels: width x height above which the image is refused before it is decompressed.

    Returns:
        (H, W, 3) uint8 RGB, a fresh array.

    Raises:
        ImageError: if the bytes are no image of a known format, are damaged, or hold too many pixels.
    """
    with _open(data) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise ImageError(f"Expected an image of at most {max_pixels:,} pixels, got {width} x {height}")
        try:
            image.load()
            _turn_upright(image)
            return np.array(to_rgb(image))
        except Exception as error:  # Pillow's decoders let through whatever their parsers stumble over
            raise ImageError(
                f"Expected a whole {image.format} image, got one that cannot be decoded: {error}"
            ) from None


def read_image(path: str | Path, max_pixels: int = DEFAULT_MAX_PIXELS) -> np.ndarray:
    """Read an image file; see :func:`decode_image`.

    Raises:
        ImageError: if there is no such file or :func:`decode_image` refuses it; the message names the file.
    """
    try:
        return decode_image(Path(path).read_bytes(), max_pixels)
    except OSError as error:
        raise ImageError(f"Cannot read {path}: {error.strerror or error}") from None
    except ImageError as error:
        raise ImageError(f"Cannot read {path}: {error}") from None


def _open(data: bytes) -> Image.Image:
    """Read the header only."""
    Image.init()
    formats = [name for name in _FORMATS if name in Image.OPEN]  # AVIF depends on the Pillow build
    try:
        return Image.open(io.BytesIO(data), formats=formats)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"Expected an image of ordinary size, got one that Pillow refuses: {error}") from None
    except Exception:  # as above: a damaged header may raise anything
        known = ", ".join(formats)
        raise ImageError(f"Expected an image ({known}), got {len(data)} bytes that are none of these") from None


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
