"""Truncated persons for training: a photo border or an object hides a part of the body.

Photos are full of people who are cut by the frame or sit behind a table, whole people in training sets are not; the
fewer joints are in sight, the worse a pose network does. HRNet trains on half bodies for the same reason (Wang et al.,
2019). Here the rest of the body is hidden, too, as it is in such photos.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from PIL import Image

from clickpose.data.records import PersonRecord

_FEWEST_JOINTS = 2
# Heads are seldom what a photo cuts: chance of keeping the top, bottom, left or right part.
_KEPT_SIDES, _SIDE_CHANCES = ("top", "bottom", "left", "right"), (0.5, 0.16, 0.17, 0.17)


class Truncation(NamedTuple):
    """``record`` with the labels that remain; ``hidden_xyxy`` (4,) the part of the photo to hide, original pixels."""

    record: PersonRecord
    hidden_xyxy: np.ndarray


def truncate_person(
    record: PersonRecord, kept_share: tuple[float, float], rng: np.random.Generator
) -> Truncation | None:
    """Cut a person's box by a horizontal or vertical line.

    Args:
        record: the person.
        kept_share: range of the share of the box that stays.
        rng: random numbers.

    Returns:
        the truncated person, or None if fewer than two labelled joints would remain.
    """
    side = _KEPT_SIDES[rng.choice(len(_KEPT_SIDES), p=_SIDE_CHANCES)]
    share = rng.uniform(*kept_share)
    box = record.box_xyxy.copy()
    height, width = record.image_hw
    hidden = np.array([0.0, 0.0, width, height])
    axis = 0 if side in ("left", "right") else 1
    extent = box[2 + axis] - box[axis]
    if side in ("top", "left"):
        line = box[axis] + share * extent
        box[2 + axis] = hidden[axis] = line
    else:
        line = box[2 + axis] - share * extent
        box[axis] = hidden[2 + axis] = line
    inside = (record.keypoints[:, axis] - line) * (1 if side in ("bottom", "right") else -1) > 0
    visibility = np.where(inside, record.visibility, 0)
    if (visibility > 0).sum() < _FEWEST_JOINTS:
        return None
    cut = dataclasses.replace(record, visibility=visibility, box_xyxy=box, area=record.area * share)
    return Truncation(cut, hidden)


def hide(photo: Image.Image, truncation: Truncation, cover: Image.Image | None) -> Image.Image:
    """Return the photo with the hidden part black, as beyond a photo's border, or covered by another photo.

    Args:
        photo: RGB, stored at any size.
        truncation: where.
        cover: what is put there, stretched; None for black.
    """
    height, width = truncation.record.image_hw
    scale = np.array([photo.width / width, photo.height / height] * 2)
    left, top, right, bottom = (truncation.hidden_xyxy * scale).round().astype(int).tolist()
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, photo.width), min(bottom, photo.height)
    if right <= left or bottom <= top:
        return photo
    photo = photo.copy()
    photo.paste(cover.resize((right - left, bottom - top)) if cover else (0, 0, 0), (left, top, right, bottom))
    return photo
