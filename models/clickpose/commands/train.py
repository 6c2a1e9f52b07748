"""``clickpose train``: options to a plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from clickpose.data.formats import read_dataset
from clickpose.device import check_device
from clickpose.lite.further import plan_further_training
from clickpose.lite.predictor import DEFAULT_FILE
from clickpose.lite.train import LitePlan, TrainingFolder, train_lite
from clickpose.r50.train import R50Plan, WeightedData, preset_named, train_r50
from clickpose.skeleton_io import load_skeleton
from clickpose.training.processes import join_processes


def parse_weighted(text: str) -> tuple[Path, float]:
    """Read ``path`` or ``path:weight``.

    Raises:
        ValueError: if the weight is not above 0.
    """
    path, colon, number = text.rpartition(":")
    try:
        weight = float(number) if colon else 1.0
    except ValueError:  # the colon belongs to the path
        path, colon, weight = text, "", 1.0
    if not weight > 0:
        raise ValueError(f"Expected a weight above 0, got {text!r}")
    return Path(path if colon else text), weight


def parse_folder(text: str) -> TrainingFolder:
    """Read ``path`` or ``path:weight`` of a folder of COCO form.

    Raises:
        ValueError: if the folder has no ``annotations.json`` or the weight is not above 0.
    """
    folder = TrainingFolder(*parse_weighted(text))
    if not (folder.path / "annotations.json").is_file():
        raise ValueError(f"Expected a folder with annotations.json and images/, got {folder.path}")
    return folder


@dataclass(frozen=True)
class LiteOptions:
    """Options that only lite has.

    Attributes:
        trunk_steps, decoder_steps: None for those of the plan.
        trust_labels: as in :class:`LitePlan`.
        keep: share of the weights to go on from in those that come out; None for the plan's.
    """

    trunk_steps: int | None = None
    decoder_steps: int | None = None
    trust_labels: bool = False
    keep: float | None = None


@dataclass(frozen=True)
class R50Options:
    """Options that only r50 has.

    Attributes:
        preset: name of one of the presets.
        steps, batch_size: instead of the preset's; None for those.
        format_name: format of the data sets.
        photos: folder of their photos; None to look beside the annotations.
        skeleton: name or file of the skeleton of COCO-format data; None for COCO's.
        backbone: published weights of the backbone, for a fresh network.
    """

    preset: str = "paper"
    steps: int | None = None
    batch_size: int | None = None
    format_name: str = "coco"
    photos: Path | None = None
    skeleton: str | None = None
    backbone: Path | None = None


def train_from_options(
    data: Sequence[str],
    start: Path | None,
    out: Path,
    options: LiteOptions | R50Options,
    seed: int,
    device: str,
    threads: int,
) -> Path:
    """Build the plan and run it; under ``torchrun`` as one of its processes.

    Returns:
        the weights file.

    Raises:
        ValueError: for folders, weights, settings or a device that cannot be used.
    """
    if not data:
        raise ValueError("Expected at least one --data folder, got none")
    check_device(device)
    torch.set_num_threads(threads)
    device = join_processes(device)
    if isinstance(options, R50Options):
        return train_r50(_r50_plan(data, start, out, options, seed), device)
    return train_lite(_lite_plan(data, start, out, options, seed), device)


def _lite_plan(data: Sequence[str], start: Path | None, out: Path, options: LiteOptions, seed: int) -> LitePlan:
    """Plan a short training that goes on from lite weights, or the whole one that begins with MoveNet's."""
    start, folders = start or DEFAULT_FILE, [parse_folder(text) for text in data]
    if start.suffix == ".safetensors":
        return plan_further_training(folders, start, out, seed=seed, **vars(options))
    if options.keep:
        raise ValueError(f"Expected --keep with lite weights to go on from, got {start}")
    plan = LitePlan(folders, start, out, trust_labels=options.trust_labels)
    return dataclasses.replace(
        plan,
        trunk=dataclasses.replace(plan.trunk, steps=options.trunk_steps or plan.trunk.steps, seed=seed),
        decoder=dataclasses.replace(plan.decoder, steps=options.decoder_steps or plan.decoder.steps, seed=seed),
    )


def _r50_plan(data: Sequence[str], start: Path | None, out: Path, options: R50Options, seed: int) -> R50Plan:
    preset = preset_named(options.preset)
    batch_size = options.batch_size or preset.train.batch_size
    train = dataclasses.replace(preset.train, seed=seed, batch_size=batch_size)
    return R50Plan(
        [_read_source(text, options) for text in data], dataclasses.replace(preset, train=train), out, start,
        options.backbone, options.steps,
    )  # fmt: skip


def _read_source(text: str, options: R50Options) -> WeightedData:
    """Read the data set of ``path`` or ``path:weight``: a folder, or an annotation file."""
    path, weight = parse_weighted(text)
    skeleton = None if options.skeleton is None else load_skeleton(options.skeleton)
    return WeightedData(read_dataset(path, options.format_name, options.photos, skeleton), weight)
