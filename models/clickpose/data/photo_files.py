"""The photos of a data set as its labels see them, or refused: a photo of other sides would be measured wrongly.

A photo may be stored at another scale than it was labelled at. One of another shape is taken only if the file says that
it is stored so (``file_width`` and ``file_height`` of a COCO image entry), and is then stretched back; else its labels
belong to another photo, or its width and height were exchanged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import log
from pathlib import Path

import numpy as np
from PIL import Image

from clickpose.data.records import ImageRecord, PersonRecord
from clickpose.image_io import ImageError, decode_photo, naming_the_file, read_sides

STRETCHED = "photos stored squeezed, stretched back"
_SHAPE_TOLERANCE = 0.03  # of log(width / height), beside one pixel of rounding, which is much for tiny photos


def read_photo(
    path: Path,
    image_hw: tuple[int, int] | None = None,
    stored_hw: tuple[int, int] | None = None,
    max_pixels: int | None = None,
) -> Image.Image:
    """Read a photo of a data set as 8-bit RGB, upright as its EXIF block says.

    Args:
        path: the file.
        image_hw: (height, width) that its labels refer to. Where the stored photo has that shape and the upright one
            has not, the labels were made on the stored one, and it stays as it is.
        stored_hw: (height, width) that the data set says the file has, where that is another shape.
        max_pixels: as :func:`~clickpose.image_io.decode_image`.

    Raises:
        ImageError: if there is no such file, it is no whole photo or too large a one, or it has another shape than its
            labels; names the file.
    """
    path = Path(path)

    def turn(stored: tuple[int, int], upright: tuple[int, int]) -> bool:
        return image_hw is None or _as_labelled((upright, stored), image_hw, stored_hw) == 0

    with naming_the_file(path):
        data = path.read_bytes()
        photo = decode_photo(data, max_pixels, turn)
        if image_hw is not None:
            _as_labelled([(photo.height, photo.width)], image_hw, stored_hw)
    return photo


def read_pixels(record: ImageRecord | PersonRecord, max_pixels: int | None = None) -> np.ndarray:
    """Read a record's photo as (H, W, 3) uint8 RGB in the frame of its annotations.

    Raises:
        ImageError: as :func:`read_photo`.
    """
    height, width = record.image_hw
    photo = read_photo(_path_of(record), record.image_hw, record.stored_hw, max_pixels)
    if photo.size != (width, height):  # stored at another size
        photo = photo.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(photo)


def check_photos(records: Iterable[ImageRecord | PersonRecord], max_pixels: int | None = None) -> Counter[str]:
    """Look at the headers of photos before any work is done: each is there, a photo, not too large, and has the shape
    that its labels refer to.

    Args:
        records: whose photos; each file is looked at once.
        max_pixels: as :func:`~clickpose.image_io.decode_image`.

    Returns:
        How many photos are stretched back, under :data:`STRETCHED`.

    Raises:
        ImageError: for the first photo that cannot be used; says how many there are.
    """
    notes: Counter[str] = Counter()
    errors = []
    for path, record in {_path_of(record): record for record in records}.items():
        try:
            notes[STRETCHED] += _is_stretched(path, record, max_pixels)
        except ImageError as error:
            errors.append(error)
    if errors:
        more = f" ({len(errors) - 1} more photos cannot be used)" if len(errors) > 1 else ""
        raise type(errors[0])(f"{errors[0]}{more}")
    return +notes


def _is_stretched(path: Path, record: ImageRecord | PersonRecord, max_pixels: int | None) -> bool:
    """Tell from its header whether a photo will be stretched back."""
    sides = [read_sides(path, max_pixels)]
    if not same_shape(sides[0], record.image_hw):
        sides.insert(0, read_sides(path, max_pixels, upright=True))
    with naming_the_file(path):
        place = _as_labelled(sides, record.image_hw, record.stored_hw)
    return not same_shape(sides[place], record.image_hw)


def _as_labelled(sides: Iterable[tuple[int, int]], image_hw: tuple[int, int], stored_hw: tuple[int, int] | None) -> int:
    """Return which (height, width) is the labels', up to scale; the first, where none is, that the file declares."""
    sides = list(sides)
    for fits in (lambda hw: same_shape(hw, image_hw), lambda hw: stored_hw is not None and hw == tuple(stored_hw)):
        for place, hw in enumerate(sides):
            if fits(hw):
                return place
    (height, width), (wanted_height, wanted_width) = sides[-1], image_hw
    raise ImageError(
        f"Expected a photo of {wanted_width:g} x {wanted_height:g} pixels, as its labels say, or of this shape at "
        f"another scale, got {width} x {height}"
    )


def same_shape(hw: tuple[float, float], other_hw: tuple[float, float]) -> bool:
    """Tell whether two (height, width) are one shape at two scales, up to a pixel of rounding on either side."""
    (height, width), (other_height, other_width) = hw, other_hw
    if abs(log(width / height) - log(other_width / other_height)) > _SHAPE_TOLERANCE:
        return False
    tall = (other_height - 1) / (height + 1), (other_height + 1) / max(height - 1, 0.5)
    wide = (other_width - 1) / (width + 1), (other_width + 1) / max(width - 1, 0.5)
    return max(tall[0], wide[0]) <= min(tall[1], wide[1])


def _path_of(record: ImageRecord | PersonRecord) -> Path:
    return record.image_path if isinstance(record, PersonRecord) else record.path
