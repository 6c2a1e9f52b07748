"""Training samples of the end-to-end network: whole photos with all their people, at several scales, padded to batches.

The random changes are DETR's, which Click-Pose uses (Sec. 4.1): mirror; then, evenly, a resize to one of several short
sides, or a random cut from the photo followed by it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from clickpose.boxes import box_area, clip_boxes
from clickpose.data.photo_files import read_photo
from clickpose.data.records import ImageRecord, PersonRecord, PoseDataset
from clickpose.frames import LONG_SIDE, SHORT_SIDE, input_hw
from clickpose.image_io import get_max_pixels
from clickpose.skeleton import Skeleton

_CUT_TRIES = 10
_GROUPS_AN_OCTAVE = 3  # of width : height, so that 3:4, 1:1, 4:3 and 3:2 fall into four groups
_LEAST_SIDE = 1.0  # px; a box that a cut leaves thinner than that is gone


class PhotoBatch(NamedTuple):
    """B photos, padded at the right and at the bottom; ``_norm`` is 0..1 of each photo without its padding.

    Attributes:
        image: (B, 3, H, W) uint8.
        padding_mask: (B, H, W) bool, True where there is no photo.
        boxes_norm: (B, N, 4) cx, cy, w, h.
        keypoints_norm: (B, N, K, 2).
        labelled: (B, N, K) bool.
        area_norm: (B, N) share of the photo's area.
        aspect: (B, 2) width and height in units of the square root of the photo's area.
        present: (B, N) bool, False where a photo has fewer people.
        ignored_norm: (B, R, 4) cx, cy, w, h of crowds and of people without a labelled joint; without size where there
            are fewer.
        seed: (B,) int64 for the random numbers that the losses draw for the photo.
    """

    image: Tensor
    padding_mask: Tensor
    boxes_norm: Tensor
    keypoints_norm: Tensor
    labelled: Tensor
    area_norm: Tensor
    aspect: Tensor
    present: Tensor
    ignored_norm: Tensor
    seed: Tensor


@dataclass(frozen=True)
class PhotoScales:
    """At which sizes photos are shown; the defaults are the paper's.

    Attributes:
        short_sides: one of them is drawn, px.
        long_side: bound, px.
        flip_probability: mirror.
        cut_probability: chance of a cut before the resize.
        cut_short_sides: the photo is thought resized to one of them,
        cut_sides: and then cut to a width and a height in this range, px.
    """

    short_sides: tuple[int, ...] = tuple(range(480, SHORT_SIDE + 1, 32))
    long_side: int = LONG_SIDE
    flip_probability: float = 0.5
    cut_probability: float = 0.5
    cut_short_sides: tuple[int, ...] = (400, 500, 600)
    cut_sides: tuple[int, int] = (384, 600)

    @classmethod
    def plain(cls, short_side: int, long_side: int) -> PhotoScales:
        """Show every photo whole, unmirrored and at one size."""
        return cls((short_side,), long_side, flip_probability=0.0, cut_probability=0.0)

    @classmethod
    def around(cls, short_side: int) -> PhotoScales:
        """Scale the paper's sizes to another largest short side."""
        ratio, paper = short_side / SHORT_SIDE, cls()

        def scaled(sides: Sequence[int]) -> tuple[int, ...]:
            return tuple(max(1, round(side * ratio)) for side in sides)

        low, high = scaled(paper.cut_sides)
        return cls(
            scaled(paper.short_sides), round(paper.long_side * ratio),
            cut_short_sides=scaled(paper.cut_short_sides), cut_sides=(low, high),
        )  # fmt: skip


class PhotoDataset(Dataset):
    """Photos with people, one of :class:`PhotoBatch`'s rows each (a batch of one, not padded).

    Args:
        data: the data set; photos without a person are left out.
        scales: sizes and random changes.
        seed: of the random changes.
    """

    def __init__(self, data: PoseDataset, scales: PhotoScales, seed: int = 0):
        self.skeleton, self.scales, self.seed = data.skeleton, scales, seed
        self.max_pixels = get_max_pixels()  # kept for processes that load the samples
        people = data.persons_by_image()
        ignored: dict = {image.image_id: [] for image in data.images}
        for person in data.ignored:
            ignored[person.image_id].append(person)
        self.photos = [
            (image, [data.persons[i] for i in people[image.image_id]], ignored[image.image_id])
            for image in data.images
            if people[image.image_id]
        ]

    def joined(self, others: Sequence[PhotoDataset]) -> PhotoDataset:
        """Return the samples of this and other data sets of the same skeleton, one after the other."""
        whole = copy(self)
        whole.photos = [photo for dataset in (self, *others) for photo in dataset.photos]
        return whole

    def __len__(self) -> int:
        return len(self.photos)

    def shape_groups(self) -> list[int]:
        """Return the number of each photo's group of like shape; a batch of one group needs little padding."""
        return [
            round(_GROUPS_AN_OCTAVE * math.log2(record.image_hw[1] / record.image_hw[0])) for record, *_ in self.photos
        ]

    def __getitem__(self, index: int | tuple[int, int]) -> PhotoBatch:
        """Return photo ``index``, or ``(index, step)`` for the random changes of that training step.

        The photos of a step share what sets their size, so that a batch needs little padding; where they are cut and
        whether they are mirrored is their own.
        """
        index, step = index if isinstance(index, tuple) else (index, 0)
        short_side, cut = self._shape(np.random.default_rng([self.seed, step]))
        rng = np.random.default_rng([self.seed, step, index])
        record, persons, ignored = self.photos[index]
        window = _window(record, persons, cut, rng)
        flip = bool(rng.random() < self.scales.flip_probability)
        window_hw = (round(window[3] - window[1]), round(window[2] - window[0]))
        height, width = input_hw(window_hw, short_side, self.scales.long_side)
        photo = read_photo(record.path, record.image_hw, record.stored_hw, self.max_pixels)
        pixels = _resample(photo, record, window, (height, width), flip)
        labels = _Labels.of([*persons, *ignored], len(persons), window, flip, self.skeleton)
        seed = torch.from_numpy(rng.integers(0, 2**62, 1))
        shown = torch.from_numpy(pixels)[None], torch.zeros(1, height, width, dtype=torch.bool)
        return PhotoBatch._make([*shown, *labels.tensors(np.sqrt([width / height, height / width])), seed])

    def _shape(self, rng: np.random.Generator) -> tuple[int, np.ndarray | None]:
        """Draw a step's short side in px, and (2,) width and height of its cuts in short sides of a photo, or None."""
        short_side = int(rng.choice(self.scales.short_sides))
        if rng.random() >= self.scales.cut_probability:
            return short_side, None
        return short_side, rng.uniform(*self.scales.cut_sides, 2) / rng.choice(self.scales.cut_short_sides)


def _window(
    record: ImageRecord, persons: list[PersonRecord], cut: np.ndarray | None, rng: np.random.Generator
) -> np.ndarray:
    """Return what is shown of a photo: (4,) xyxy px; a cut has the centre of a person in it, or is none."""
    height, width = record.image_hw
    whole = np.array([0, 0, width, height], dtype=np.float64)
    if cut is None:
        return whole
    size = np.rint(cut * min(height, width)).clip(1, [width, height])
    centers = np.array([(person.box_xyxy[:2] + person.box_xyxy[2:]) / 2 for person in persons])
    for _ in range(_CUT_TRIES):
        corner = np.floor(rng.random(2) * ([width, height] - size + 1))
        window = np.concatenate([corner, corner + size])
        if ((centers > window[:2]) & (centers < window[2:])).all(axis=1).any():
            return window
    return whole


def _resample(
    photo: Image.Image, record: ImageRecord, window: np.ndarray, size_hw: tuple[int, int], flip: bool
) -> np.ndarray:
    """Return (3, H, W) uint8 of a window, in px of the annotations; the file may be stored at another size."""
    stored = np.array([photo.width / record.image_hw[1], photo.height / record.image_hw[0]])
    box = clip_boxes(window * np.tile(stored, 2), (photo.height, photo.width))
    pixels = np.asarray(photo.resize(size_hw[::-1], Image.Resampling.BILINEAR, box=tuple(box.tolist())))
    return np.ascontiguousarray((pixels[:, ::-1] if flip else pixels).transpose(2, 0, 1))


class _Labels(NamedTuple):
    """M people in a window, 0..1 of it.

    ``boxes_norm`` (M, 4) xyxy, ``keypoints_norm`` (M, K, 2), ``labelled`` (M, K), ``area_norm`` (M,), ``ignored`` (M,).
    """

    boxes_norm: np.ndarray
    keypoints_norm: np.ndarray
    labelled: np.ndarray
    area_norm: np.ndarray
    ignored: np.ndarray

    @classmethod
    def of(
        cls, people: list[PersonRecord], persons: int, window: np.ndarray, flip: bool, skeleton: Skeleton
    ) -> _Labels:
        """Bring people, the first ``persons`` of them not ignored, into a window.

        Whoever has no labelled joint left in it becomes ignored, and whose box lies outside is gone.
        """
        size = window[2:] - window[:2]
        boxes = np.stack([person.box_xyxy for person in people])
        shown = np.clip(boxes, np.tile(window[:2], 2), np.tile(window[2:], 2))
        kept = (shown[:, 2:] - shown[:, :2] >= _LEAST_SIDE).all(axis=1)
        area = np.array([person.area for person in people]) * box_area(shown) / box_area(boxes)
        keypoints = (np.stack([person.keypoints for person in people]) - window[:2]) / size
        inside = ((keypoints >= 0) & (keypoints <= 1)).all(axis=2)
        labelled = np.stack([person.labelled for person in people]) & inside
        boxes_norm = (shown - np.tile(window[:2], 2)) / np.tile(size, 2)
        if flip:
            boxes_norm[:, [0, 2]] = 1 - boxes_norm[:, [2, 0]]
            keypoints[..., 0] = 1 - keypoints[..., 0]
            keypoints, labelled = keypoints[:, skeleton.flip_indices], labelled[:, skeleton.flip_indices]
        keypoints = np.where(labelled[..., None], keypoints, 0.5)
        ignored = (np.arange(len(people)) >= persons) | ~labelled.any(axis=1)
        return cls(*(values[kept] for values in (boxes_norm, keypoints, labelled, area / size.prod(), ignored)))

    def tensors(self, aspect: np.ndarray) -> tuple[Tensor, ...]:
        """Return the fields of :class:`PhotoBatch` from ``boxes_norm`` to ``ignored_norm``, each a batch of one."""
        low, high = self.boxes_norm[:, :2], self.boxes_norm[:, 2:]
        boxes = np.concatenate([(low + high) / 2, high - low], axis=1).astype(np.float32)
        person = ~self.ignored
        arrays = (
            boxes[person], self.keypoints_norm[person].astype(np.float32), self.labelled[person],
            self.area_norm[person].astype(np.float32), aspect.astype(np.float32), np.ones(person.sum(), bool),
            boxes[~person],
        )  # fmt: skip
        return tuple(torch.from_numpy(array)[None] for array in arrays)


def collate_photos(samples: list[PhotoBatch]) -> PhotoBatch:
    """Pad photos, people and ignored regions to the largest of the batch; there is always room for one."""
    height, width = (max(sample.image.shape[axis] for sample in samples) for axis in (2, 3))
    people = max(1, *(sample.present.shape[1] for sample in samples))
    regions = max(1, *(sample.ignored_norm.shape[1] for sample in samples))
    sizes = {
        "image": (3, height, width), "padding_mask": (height, width), "present": (people,), "ignored_norm": (regions,),
        "boxes_norm": (people,), "keypoints_norm": (people,), "labelled": (people,), "area_norm": (people,),
    }  # fmt: skip

    def stacked(name: str) -> Tensor:
        fill = name == "padding_mask"
        return torch.cat([_padded(getattr(sample, name), sizes.get(name, ()), fill) for sample in samples])

    return PhotoBatch(*map(stacked, PhotoBatch._fields))


def _padded(value: Tensor, size: tuple[int, ...], fill: bool) -> Tensor:
    """Grow the axes after the first to ``size``."""
    if tuple(value.shape[1 : 1 + len(size)]) == size:
        return value
    grown = value.new_full((1, *size, *value.shape[1 + len(size) :]), fill)
    filled = (slice(None), *(slice(0, length) for length in value.shape[1 : 1 + len(size)]))
    grown[filled] = value
    return grown
