"""The random inputs of the end-to-end training: noisy boxes, corrupted poses, how many joints are clicked.

They are drawn photo by photo, each from the photo's own seed, so that neither the other photos of a batch nor the
number of processes that share it change them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from clickpose.networks.clickpose import center_to_corners
from clickpose.networks.keypoint_decoder import PERSON_CODE
from clickpose.pose_errors import PoseErrorConfig, corrupt_poses
from clickpose.r50.matcher import NOBODY, Targets
from clickpose.skeleton import Skeleton


@dataclass(frozen=True)
class NoiseConfig:
    """What is drawn.

    Attributes:
        groups: copies of each true box as human queries, at most; 0 for no denoising.
        queries: such queries of a photo, about; with many people there are fewer groups.
        box_noise: a noisy box's centre moves by up to this share of its half sides, its sides change by up to it.
        code_noise: share of the noisy boxes with a random row of the codebook for the person's.
        pose_variants: corrupted copies of each true pose.
        pose_errors: how they are corrupted.
        known_share: share of them whose right keypoints are held, as clicked ones are.
        click_rounds: rounds of the feedback loop; round n clicks 1..click_rounds[n] more joints. Empty: no loop.
    """

    groups: int = 50
    queries: int = 200
    box_noise: float = 0.4
    code_noise: float = 0.2
    pose_variants: int = 3
    pose_errors: PoseErrorConfig = field(default_factory=PoseErrorConfig)
    known_share: float = 0.5
    click_rounds: tuple[int, ...] = (1, 3)


class Noise(NamedTuple):
    """Random inputs of B photos with room for N people: D noisy boxes, group by group, and V variants of the poses.

    Attributes:
        boxes_norm: (B, D, 4) cx, cy, w, h; the first N are those of the first group.
        codes: (B, D) rows of the human codebook.
        person: (B, D) whose box it is, -1 for filled-up places.
        weight: (B, D) 1 / number of the photo's groups.
        poses_norm: (B, V · N, K, 2), variant by variant.
        held: (B, V · N, K) bool, keypoints that are known to be right.
        clicks: (B, rounds, N) how many joints each person gets clicked.
    """

    boxes_norm: Tensor
    codes: Tensor
    person: Tensor
    weight: Tensor
    poses_norm: Tensor
    held: Tensor
    clicks: Tensor


def draw_noise(seeds: Tensor, targets: Targets, skeleton: Skeleton, human_codes: int, config: NoiseConfig) -> Noise:
    """Draw the noise of a batch, on the CPU, whatever the device of the batch.

    Args:
        seeds: (B,) int64.
        targets: annotated persons.
        skeleton: joints, sigmas, mirror pairs.
        human_codes: rows of the human codebook.
        config: what is drawn.
    """
    photos = zip(seeds.tolist(), *(values.cpu() for values in targets), strict=True)
    boxes, codes, person, weight, *rest = zip(
        *(_of_photo(seed, Targets(*photo), skeleton, human_codes, config) for seed, *photo in photos), strict=True
    )
    padded = [pad_sequence(list(part), batch_first=True) for part in (boxes, codes)]
    padded.append(pad_sequence(list(person), batch_first=True, padding_value=NOBODY))
    padded.append(pad_sequence(list(weight), batch_first=True))
    return Noise(*(values.to(targets.boxes_norm.device) for values in (*padded, *map(torch.stack, rest))))


def noisy_boxes(boxes_norm: Tensor, scale: float, generator: torch.Generator) -> Tensor:
    """Move the centres of (M, 4) boxes cx, cy, w, h by up to ``scale`` half sides, and change the sides by up to it."""
    noise = (torch.rand(boxes_norm.shape, generator=generator) * 2 - 1) * scale
    center = boxes_norm[:, :2] + noise[:, :2] * boxes_norm[:, 2:] / 2
    return torch.cat([center, boxes_norm[:, 2:] * (1 + noise[:, 2:])], 1).clamp(0, 1)


def _of_photo(
    seed: int, photo: Targets, skeleton: Skeleton, human_codes: int, config: NoiseConfig
) -> tuple[Tensor, ...]:
    """Draw one photo's part of :class:`Noise`, for the people that are there; ``photo`` without the batch's axis."""
    generator, places = torch.Generator().manual_seed(seed), len(photo.present)
    count = int(photo.present.sum())
    people = Targets._make([*(values[:count] for values in photo[:4]), photo.aspect, photo.present])
    boxes = _denoising(people, places, human_codes, config, generator)
    poses, held = _poses(people, skeleton, config, generator)
    variants, joints = config.pose_variants, photo.labelled.shape[1]
    all_poses = torch.full((variants, places, joints, 2), 0.5)
    all_held = torch.zeros(variants, places, joints, dtype=torch.bool)
    all_poses[:, :count], all_held[:, :count] = poses, held
    clicks = torch.zeros(len(config.click_rounds), places, dtype=torch.long)
    for number, most in enumerate(config.click_rounds):
        clicks[number, :count] = torch.randint(1, most + 1, (count,), generator=generator)
    return *boxes, all_poses.flatten(0, 1), all_held.flatten(0, 1), clicks


def _denoising(
    people: Targets, places: int, human_codes: int, config: NoiseConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return noisy boxes, codes, persons and weights; the first group fills the places of all people of the batch."""
    count = len(people.boxes_norm)
    groups = min(config.groups, max(1, config.queries // max(count, 1)))
    boxes = noisy_boxes(people.boxes_norm.repeat(groups, 1), config.box_noise, generator)
    other = torch.rand(len(boxes), generator=generator) < config.code_noise
    codes = torch.where(other, torch.randint(human_codes, (len(boxes),), generator=generator), PERSON_CODE)
    person = torch.arange(count).repeat(groups)
    filler = (places - count) * bool(len(boxes))

    def filled(values: Tensor, fill: int) -> Tensor:
        between = values.new_full((filler, *values.shape[1:]), fill)
        return torch.cat([values[:count], between, values[count:]])

    weight = torch.full((len(boxes) + filler,), 1 / max(groups, 1))
    return filled(boxes, 0), filled(codes, 0), filled(person, NOBODY), weight


def _poses(
    people: Targets, skeleton: Skeleton, config: NoiseConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return corrupted poses (V, n, K, 2), and which of their keypoints are held (V, n, K)."""
    shape = (config.pose_variants, *people.labelled.shape)
    keypoints, area, boxes = (
        values.expand(config.pose_variants, *values.shape).flatten(0, 1)
        for values in (
            people.keypoints_norm * people.aspect, people.area_norm,
            center_to_corners(people.boxes_norm) * people.aspect.repeat(2),
        )
    )  # fmt: skip
    wrong, kept = corrupt_poses(
        keypoints, area, boxes, torch.tensor(skeleton.sigmas), skeleton.flip_pairs, generator, config.pose_errors
    )
    known = torch.rand(len(kept), 1, generator=generator) < config.known_share
    return (wrong / people.aspect).view(*shape, 2), (kept & known).view(shape) & people.labelled
