"""Single items of a Label Studio result: their ids, their percent coordinates, who made them.

A result is a list of items. A person is a rectangle item ``cp-<person>`` and one keypoint item
``cp-<person>-<joint name>`` a joint, whose ``parentID`` is the rectangle; a per-region Choices item with the same id as
its keypoint says how visible that is. Label Studio gives regions drawn by hand ids of its own.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from clickpose.checks import described

_PREFIX = "cp-"
_PERSON_ID = re.compile(re.escape(_PREFIX) + r"([^-]+)")
_KEYPOINT_ID = re.compile(re.escape(_PREFIX) + r"([^-]+)-(.+)")
SCORE_KEY = "predicted_oks"  # in a region's meta, as in static/bridge/label_studio.js
POINT_WIDTH_PCT = 0.6  # the size of a drawn point, in percent of the image's width; Label Studio wants one
_SMALLEST_POINT_PCT = 0.25
_POINT_SHARE = 0.01  # of the person's longer side: in a crowd, larger points hide the faces
_FAR_PCT = 1000.0  # a coordinate further out than ten images is no drawing


class CodecError(ValueError):
    """A Label Studio result, task or COCO file cannot be read or written; the message says where and why."""


def person_token(person_id: str) -> str:
    """Return the ``<person>`` of a person's id: of ``cp-3f2a`` it is ``3f2a``, of any other id a hash of it."""
    own = _PERSON_ID.fullmatch(person_id)
    return own[1] if own else _short_hash(person_id)


def _short_hash(text: str) -> str:
    # JSON may hold lone surrogates; they must not stop an id from being made
    return hashlib.sha1(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]


def new_person_id(*seeds: object) -> str:
    """Return a person id that depends on the seeds only, so that the same prediction gets the same id again."""
    return _PREFIX + _short_hash("|".join(map(str, seeds)))


def keypoint_region_id(person_id: str, joint_name: str) -> str:
    """Return the region id of a joint of the person whose rectangle is ``person_id``."""
    return f"{_PREFIX}{person_token(person_id)}-{joint_name}"


def split_keypoint_id(region_id: str) -> tuple[str, str] | None:
    """Return (person token, joint name) of an id made by :func:`keypoint_region_id`, or None for any other id."""
    match = _KEYPOINT_ID.fullmatch(region_id)
    return (match[1], match[2]) if match else None


def is_human_made(item: Mapping) -> bool:
    """Tell whether a human placed or moved the region; Label Studio takes a missing origin as manual, and so do we."""
    return item.get("origin", "manual") != "prediction"


def labels_of(item: Mapping, kind: str) -> list[str]:
    """Return the labels of an item, ``kind`` being ``keypointlabels``, ``rectanglelabels`` or ``choices``."""
    value = item.get("value")
    labels = value.get(kind) if isinstance(value, Mapping) else None
    return [label for label in labels if isinstance(label, str)] if isinstance(labels, list) else []


def image_hw_of(items: Sequence[Mapping]) -> tuple[int, int] | None:
    """Return the (height, width) in pixels that the first item with an image size gives, or None."""
    for item in items:
        height: Any = item.get("original_height")
        width: Any = item.get("original_width")
        if all(isinstance(n, int | float) and not isinstance(n, bool) and 1 <= n <= 1e6 for n in (height, width)):
            return int(height), int(width)
    return None


def read_point(item: Mapping, image_hw: tuple[int, int]) -> np.ndarray:
    """Return the (2,) pixel position of a keypoint item.

    Raises:
        CodecError: if its value holds no x and y in percent.
    """
    x_pct, y_pct = (_percent(item, key) for key in ("x", "y"))
    height, width = image_hw
    return np.array([x_pct / 100 * width, y_pct / 100 * height])


def read_box(item: Mapping, image_hw: tuple[int, int]) -> np.ndarray:
    """Return the (4,) xyxy pixel box of a rectangle item; of a rotated one, the upright box around it.

    Label Studio turns a rectangle clockwise, by ``rotation`` degrees, about its top left corner, in pixels.

    Raises:
        CodecError: if its value holds no x, y, width and height in percent.
    """
    x_pct, y_pct, width_pct, height_pct = (_percent(item, key) for key in ("x", "y", "width", "height"))
    rotation = _percent(item, "rotation") if item["value"].get("rotation") is not None else 0.0
    height, width = image_hw
    corner = np.array([x_pct / 100 * width, y_pct / 100 * height])
    across, down = width_pct / 100 * width, height_pct / 100 * height
    cos, sin = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    if rotation % 360 == 0:
        cos, sin = 1.0, 0.0
    right, below = across * np.array([cos, sin]), down * np.array([-sin, cos])
    corners = corner + np.stack([np.zeros(2), right, below, right + below])
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)])


def is_percentage(number: object) -> TypeGuard[float]:
    """Tell whether a number from JSON can be a coordinate; one like 10**400 cannot even be subtracted from a float."""
    return isinstance(number, int | float) and not isinstance(number, bool) and abs(number) <= _FAR_PCT


def _percent(item: Mapping, key: str) -> float:
    value = item.get("value")
    number: Any = value.get(key) if isinstance(value, Mapping) else None
    if not is_percentage(number):
        raise CodecError(
            f"Expected value.{key} of region {str(item.get('id'))[:80]!r} to be a percentage, got {described(number)}"
        )
    return float(number)


def point_width(box_xyxy: np.ndarray, image_hw: tuple[int, int]) -> float:
    """Return how large to draw the points of a person with a (4,) pixel box, in percent of the image's width."""
    share = _POINT_SHARE * float((box_xyxy[2:] - box_xyxy[:2]).max()) / image_hw[1]
    return round(min(POINT_WIDTH_PCT, max(_SMALLEST_POINT_PCT, 100 * share)), 2)


def point_value(point: np.ndarray, image_hw: tuple[int, int], label: str, width_pct: float = POINT_WIDTH_PCT) -> dict:
    """Return the ``value`` of a keypoint item for a (2,) pixel position, drawn ``width_pct`` percent large."""
    height, width = image_hw
    x_pct, y_pct = 100 * float(point[0]) / width, 100 * float(point[1]) / height
    return {"x": x_pct, "y": y_pct, "width": width_pct, "keypointlabels": [label]}


def box_value(box_xyxy: np.ndarray, image_hw: tuple[int, int], label: str) -> dict:
    """Return the ``value`` of a rectangle item for a (4,) pixel box."""
    height, width = image_hw
    left, top, right, bottom = (float(edge) for edge in box_xyxy)
    return {
        "x": 100 * left / width,
        "y": 100 * top / height,
        "width": 100 * (right - left) / width,
        "height": 100 * (bottom - top) / height,
        "rotation": 0,
        "rectanglelabels": [label],
    }


def region_item(
    region_id: str, from_name: str, to_name: str, kind: str, value: dict, image_hw: tuple[int, int], **extra: object
) -> dict:
    """Return a new item; ``kind`` is its type, ``extra`` further keys such as ``parentID``, ``origin``, ``score``."""
    height, width = image_hw
    return {
        "id": region_id,
        "from_name": from_name,
        "to_name": to_name,
        "type": kind,
        "original_width": int(width),
        "original_height": int(height),
        "image_rotation": 0,
        **extra,
        "value": value,
    }


def predicted_oks(item: Mapping) -> float | None:
    """Return the predicted OKS of a region, that of the last refinement, which the bridge keeps in ``meta``, if any.

    None for a region without; 0 for one that is no number.
    """
    meta = item.get("meta")
    known = {**item, **meta} if isinstance(meta, Mapping) else item
    score = known.get(SCORE_KEY, item.get("score"))
    if score is None:
        return None
    return as_score(score) if isinstance(score, int | float) else 0.0


def as_score(number: float) -> float:
    """Return a score that Label Studio accepts: 0..1, four digits; 0 for NaN."""
    clipped = min(max(number, 0.0), 1.0)  # before anything else: a whole number may be too large for a float
    return 0.0 if math.isnan(clipped) else round(float(clipped), 4)


def photo_score(instance_scores: Iterable[float]) -> float:
    """Return the score of a photo: the lowest of its people, by which the doubtful come first; 1 where there is nobody.

    A photo without people is the last to look at, not the first; and without a score it would come first in the stream.
    """
    return as_score(min(instance_scores, default=1.0))
