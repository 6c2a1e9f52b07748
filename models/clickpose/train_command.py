"""``clickpose train``: options to a plan."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from clickpose.lite_predictor import DEFAULT_FILE
from clickpose.train_lite import LitePlan, TrainingFolder, train_lite


def parse_folder(text: str) -> TrainingFolder:
    """Read ``path`` or ``path:weight``.

    Raises:
        ValueError: if the folder has no ``annotations.json`` or the weight is not above 0.
    """
    path, colon, weight = text.rpartition(":")
    try:
        folder = TrainingFolder(Path(path), float(weight)) if colon else TrainingFolder(Path(text))
    except ValueError:  # the colon belongs to the path
        folder = TrainingFolder(Path(text))
    if not folder.weight > 0:
        raise ValueError(f"Expected a weight above 0, got {text!r}")
    if not (folder.path / "annotations.json").is_file():
        raise ValueError(f"Expected a folder with annotations.json and images/, got {folder.path}")
    return folder


def train_from_options(
    data: Sequence[str],
    start: Path | None,
    out: Path,
    trunk_steps: int,
    decoder_steps: int,
    seed: int,
    device: str,
    threads: int | None,
) -> Path:
    """Build the plan and run it; under ``torchrun`` as one of its processes.

    Returns:
        the weights file.

    Raises:
        ValueError: for folders or weights that cannot be used.
    """
    if not data:
        raise ValueError("Expected at least one --data folder, got none")
    folders = [parse_folder(text) for text in data]
    plan = LitePlan(folders, start or DEFAULT_FILE, out)
    plan = dataclasses.replace(
        plan,
        trunk=dataclasses.replace(plan.trunk, steps=trunk_steps, seed=seed),
        decoder=dataclasses.replace(plan.decoder, steps=decoder_steps, seed=seed),
    )
    torch.set_num_threads(threads or 1)  # one thread a process is fastest on small machines
    if "RANK" in os.environ and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo" if device == "cpu" else "nccl")
    return train_lite(plan, device)
