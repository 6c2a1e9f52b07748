"""Small pictures for panels: a person cut out of the photo with its skeleton, as a data URI."""

from __future__ import annotations

import base64
import io
from collections import OrderedDict
from dataclasses import replace

import numpy as np
from PIL import Image

from clickpose.draw import DrawStyle, draw_poses
from clickpose.image_io import read_image
from clickpose.structures import Poses

_JPEG_QUALITY = 82
_KEPT_PICTURES = 64  # about 15 kB each: a panel shows most of its pictures again after every event
_KEPT_BYTES = 64 << 20  # of photos: a dozen of usual size; the last one is kept whatever its size
_PICTURE_SIDE = 2000  # pixels
_PHOTOS: OrderedDict[str, np.ndarray] = OrderedDict()
_PICTURES: OrderedDict[tuple, str] = OrderedDict()


def cached_photo(path: str) -> np.ndarray:
    """Read a photo; the last ones are kept, since several people of one are cut out. Do not write into it."""
    if path not in _PHOTOS:
        image = read_image(path)
        image.setflags(write=False)
        _PHOTOS[path] = image
        while len(_PHOTOS) > 1 and sum(photo.nbytes for photo in list(_PHOTOS.values())) > _KEPT_BYTES:
            _PHOTOS.popitem(last=False)
    _PHOTOS.move_to_end(path)
    return _PHOTOS[path]


def bounded_picture(path: str) -> str:
    """Return a photo as a data URI of at most :data:`_PICTURE_SIDE` pixels a side, for what browsers cannot show.

    Raises:
        ValueError: if the photo cannot be read.
    """
    picture = Image.fromarray(read_image(path))
    picture.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE), Image.Resampling.LANCZOS)
    return data_uri(np.asarray(picture))


def data_uri(image: np.ndarray) -> str:
    """Encode (H, W, 3) uint8 RGB as a JPEG data URI."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def person_window(box_xyxy: np.ndarray, image_hw: tuple[int, int], margin: float, aspect: float) -> tuple[int, ...]:
    """Return (left, top, right, bottom) px around a box, with a margin (share of its size) and width / height."""
    center = (box_xyxy[:2] + box_xyxy[2:]) / 2
    width, height = np.maximum(box_xyxy[2:] - box_xyxy[:2], 8) * (1 + 2 * margin)
    width, height = max(width, height * aspect), max(height, width / aspect)
    limit_h, limit_w = image_hw
    left, top = (int(np.floor(c - extent / 2)) for c, extent in zip(center, (width, height), strict=True))
    return max(left, 0), max(top, 0), min(int(left + width) + 1, limit_w), min(int(top + height) + 1, limit_h)


def person_thumbnail(path: str, poses: Poses, person: int = 0, height: int = 220, aspect: float = 0.8) -> str:
    """Return the picture of one person as a data URI.

    Args:
        path: the photo.
        poses: people of it, px; only ``person`` is drawn.
        person: which one is cut out.
        height: of the picture, pixels.
        aspect: its width / height.

    Raises:
        ValueError: if the photo cannot be read.
    """
    key = (path, person_key(poses, person), height, aspect)
    if key not in _PICTURES:
        _PICTURES[key] = _person_thumbnail(path, poses, person, height, aspect)
        while len(_PICTURES) > _KEPT_PICTURES:
            _PICTURES.popitem(last=False)
    _PICTURES.move_to_end(key)
    return _PICTURES[key]


def person_key(poses: Poses, person: int) -> bytes:
    """Return what is drawn of a person, to be compared: a picture is drawn anew only where that differs."""
    arrays = (poses.keypoints, poses.boxes_xyxy, poses.keypoint_scores, poses.visibility_scores)
    return b"".join(np.ascontiguousarray(array[person]).tobytes() for array in arrays)


def _person_thumbnail(path: str, poses: Poses, person: int, height: int, aspect: float) -> str:
    image = cached_photo(path)
    window = person_window(poses.boxes_xyxy[person], image.shape[:2], 0.15, aspect)
    left, top, right, bottom = window
    crop = image[top:bottom, left:right]
    scale = height / max(bottom - top, 1)
    size = max(int((right - left) * scale), 1), height
    small = np.array(Image.fromarray(crop).resize(size, Image.Resampling.BILINEAR))
    moved = _moved(poses.select([person]), (left, top), scale)
    drawn = draw_poses(small, moved, DrawStyle(legend=False, boxes=False, scores=False))
    canvas = np.full((height, int(height * aspect), 3), 24, np.uint8)
    width = min(drawn.shape[1], canvas.shape[1])
    start = (canvas.shape[1] - width) // 2
    canvas[:, start : start + width] = drawn[:, :width]
    return data_uri(canvas)


def _moved(poses: Poses, origin, scale: float) -> Poses:
    """Return poses in pixels of a cut-out that was scaled."""
    boxes = (poses.boxes_xyxy - np.tile(origin, 2)) * scale
    return replace(poses, keypoints=(poses.keypoints - origin) * scale, boxes_xyxy=boxes)
