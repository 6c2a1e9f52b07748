"""Training and evaluation samples: the crop of one person with its labels in crop coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torch.utils.data import Dataset

from clickpose.boxes import enclosing_box
from clickpose.data.crops import apply_affine, frame_matrix, warp_crop
from clickpose.data.photo_files import read_photo
from clickpose.data.records import PersonRecord
from clickpose.data.truncation import hide, truncate_person
from clickpose.frames import CropFrame
from clickpose.image_io import get_max_pixels
from clickpose.skeleton import Skeleton


class PersonLabels(NamedTuple):
    """Labels of B persons; ``_norm`` values are 0..1 of the crop.

    ``keypoints_norm`` (B, K, 2); ``visibility`` (B, K) 0/1/2; ``area_norm`` (B,); ``box_norm`` (B, 4) xyxy;
    ``box_known`` and ``visibility_known`` (B,) bool: whether box and visibility may be learned from this sample.
    """

    keypoints_norm: Tensor
    visibility: Tensor
    area_norm: Tensor
    box_norm: Tensor
    box_known: Tensor
    visibility_known: Tensor


class PersonBatch(NamedTuple):
    """Crops of B persons: ``image`` (B, 3, S, S) uint8, and ``prompt_norm`` (B, 4), the prompt box xyxy in 0..1."""

    image: Tensor
    prompt_norm: Tensor
    labels: PersonLabels


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes of a training crop.

    Attributes:
        rotation_degrees, rotation_probability: turn.
        flip_probability: mirror.
        box_shift, box_scale: jitter of the prompt box, as a share of its sides / as a log range.
        margin: range of the crop's side in units of the longer box side.
        color, blur_probability, grey_probability, erase_probability: appearance.
        truncation_probability, kept_share: hide a part of the person, and how much of the box stays.
        cover_probability: chance that another photo hides it, not the photo's border.
        smallest_truncated: smaller remains (longer side of the box in stored pixels) show too little: left whole.
    """

    rotation_degrees: float = 35.0
    rotation_probability: float = 0.6
    flip_probability: float = 0.5
    box_shift: float = 0.08
    box_scale: float = 0.2
    margin: tuple[float, float] = (1.05, 1.5)
    color: float = 0.3
    blur_probability: float = 0.15
    grey_probability: float = 0.08
    erase_probability: float = 0.15
    truncation_probability: float = 0.0
    kept_share: tuple[float, float] = (0.25, 0.8)
    cover_probability: float = 0.35
    smallest_truncated: float = 40.0


class PersonDataset(Dataset):
    """Persons as training samples, one of :class:`PersonBatch`'s rows each.

    Args:
        records: the persons.
        skeleton: their joints.
        input_side: side of the crop in pixels.
        augmentation: random changes, or None for the plain crop of the ground-truth box.
        seed: of the random changes.
    """

    def __init__(
        self,
        records: list[PersonRecord],
        skeleton: Skeleton,
        input_side: int = 256,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ):
        self.records = records
        self.skeleton = skeleton
        self.input_side = input_side
        self.augmentation = augmentation
        self.seed = seed
        self.max_pixels = get_max_pixels()  # kept for processes that load the samples

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int | tuple[int, int]) -> PersonBatch:
        """Return sample ``index``, or ``(index, step)`` for the random changes of that training step."""
        index, step = index if isinstance(index, tuple) else (index, 0)
        rng = np.random.default_rng([self.seed, step, index])
        record, photo = self._record_and_photo(index, rng)
        view = _random_view(record, self.augmentation, rng) if self.augmentation else _plain_view(record)
        crop = warp_crop(photo, view.matrix, self.input_side, record.image_hw)
        if self.augmentation:
            crop = _random_appearance(crop, self.augmentation, rng)
        keypoints = apply_affine(view.matrix, record.keypoints)
        visibility = record.visibility
        if view.flip:
            keypoints, visibility = keypoints[self.skeleton.flip_indices], visibility[self.skeleton.flip_indices]
        # A label outside the crop cannot be learned from it.
        inside = ((keypoints > 0.0) & (keypoints < 1.0)).all(axis=1)
        visibility = np.where(inside, visibility, 0)
        keypoints = np.where((visibility > 0)[:, None], keypoints, 0.5)
        labels = PersonLabels(
            torch.from_numpy(keypoints.astype(np.float32)),
            torch.from_numpy(visibility.astype(np.int64)),
            torch.tensor(record.area * abs(np.linalg.det(view.matrix[:, :2])), dtype=torch.float32),
            torch.from_numpy(_map_box(view.matrix, record.box_xyxy).astype(np.float32)),
            torch.tensor(record.box_known and not view.rotated),
            torch.tensor(record.visibility_known),
        )
        image = torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1)))
        prompt = torch.from_numpy(_map_box(view.matrix, view.prompt_xyxy).astype(np.float32))
        return PersonBatch(image, prompt, labels)

    def _record_and_photo(self, index: int, rng: np.random.Generator) -> tuple[PersonRecord, Image.Image]:
        """Return a person and the photo, by chance truncated."""
        record, change = self.records[index], self.augmentation
        photo = read_photo(record.image_path, record.image_hw, record.stored_hw, self.max_pixels)
        if change is None or rng.random() >= change.truncation_probability:
            return record, photo
        truncation = truncate_person(record, change.kept_share, rng)
        if truncation is None or _stored_side(truncation.record, photo) < change.smallest_truncated:
            return record, photo
        other = self.records[rng.integers(len(self.records))]
        covered = rng.random() < change.cover_probability
        cover = read_photo(other.image_path, max_pixels=self.max_pixels) if covered else None
        return truncation.record, hide(photo, truncation, cover)


def _stored_side(record: PersonRecord, photo: Image.Image) -> float:
    """Return the longer side of a person's box in pixels of the stored photo."""
    height, width = record.image_hw
    return float(np.max((record.box_xyxy[2:] - record.box_xyxy[:2]) * [photo.width / width, photo.height / height]))


class _View(NamedTuple):
    matrix: np.ndarray
    prompt_xyxy: np.ndarray
    flip: bool
    rotated: bool


def _plain_view(record: PersonRecord) -> _View:
    return _View(frame_matrix(CropFrame.around_box(record.box_xyxy, 1)), record.box_xyxy, False, False)


def _random_view(record: PersonRecord, change: Augmentation, rng: np.random.Generator) -> _View:
    size = record.box_xyxy[2:] - record.box_xyxy[:2]
    center = (record.box_xyxy[:2] + record.box_xyxy[2:]) / 2 + rng.uniform(-1, 1, 2) * change.box_shift * size
    half = size / 2 * np.exp(rng.uniform(-1, 1, 2) * change.box_scale)
    prompt = np.concatenate([center - half, center + half])
    rotated = rng.random() < change.rotation_probability
    angle = math.radians(rng.uniform(-1, 1) * change.rotation_degrees) if rotated else 0.0
    flip = bool(rng.random() < change.flip_probability)
    frame = CropFrame.around_box(prompt, 1, margin=rng.uniform(*change.margin))
    return _View(frame_matrix(frame, angle, flip), prompt, flip, rotated)


def _map_box(matrix: np.ndarray, box_xyxy: np.ndarray) -> np.ndarray:
    """Map a box by an affine matrix; a turned box becomes the upright box of the same centre and mean extent."""
    left, top, right, bottom = box_xyxy
    corners = apply_affine(matrix, np.array([[left, top], [right, top], [right, bottom], [left, bottom]]))
    outer = enclosing_box(corners)
    center = (outer[:2] + outer[2:]) / 2
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    plain = np.array([right - left, bottom - top]) * scale
    extent = ((outer[2:] - outer[:2]) + plain) / 2
    return np.concatenate([center - extent / 2, center + extent / 2])


def _random_appearance(crop: np.ndarray, change: Augmentation, rng: np.random.Generator) -> np.ndarray:
    image = Image.fromarray(crop)
    if rng.random() < change.blur_probability:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2.0)))
    pixels = np.asarray(image, dtype=np.float32)
    if rng.random() < change.grey_probability:
        pixels = np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2)
    gain = 1 + rng.uniform(-1, 1, 3) * change.color * 0.4
    contrast, brightness = 1 + rng.uniform(-1, 1) * change.color, rng.uniform(-1, 1) * change.color * 80
    pixels = (pixels - 128) * (gain * contrast).astype(np.float32) + (128 + brightness)
    if rng.random() < change.erase_probability:
        side = crop.shape[0]
        height, width = rng.integers(side // 12, side // 4, 2)
        top, left = rng.integers(0, side - height), rng.integers(0, side - width)
        pixels[top : top + height, left : left + width] = rng.uniform(0, 255, 3)
    return np.clip(pixels, 0, 255).astype(np.uint8)
