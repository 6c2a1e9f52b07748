"""Go on from lite weights with a user's own people: hundreds, not tens of thousands, and often of another kind.

A network that goes on from its weights learns the new people and forgets the old ones. What it learns and what it
forgets lie along the line between the weights before and after, and not at the same place: half way, most of the gain
is there and most of the loss is not (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022). So the
weights file holds the mean of both, after a short training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader

from clickpose.data.formats import read_dataset
from clickpose.data.persons import PersonDataset
from clickpose.data.records import PersonRecord
from clickpose.lite.channel_statistics import match_channels, source_statistics
from clickpose.lite.train import LitePlan, TrainingFolder
from clickpose.lite.weights import describe_skeleton, load_lite, read_config, read_skeleton
from clickpose.training.engine import TrainConfig
from clickpose.weights_io import save_weights

TRUNK_STEPS = 60
DECODER_STEPS = 100
KEEP = 0.5
VIEWS_IN_ALL = 2000
MOST_VIEWS = 16
MOST_CROPS, CROPS_AT_ONCE = 240, 48  # that channel statistics are taken on


def label_free_start(start: Path, records: Sequence[PersonRecord], out: Path) -> Path:
    """Write weights whose trunk sees new photos as it saw those that it was trained on; no label is read.

    Args:
        start: lite weights.
        records: people in the new photos; only their boxes count.
        out: weights file to write; one that is there is kept.

    Returns:
        ``out``; ``start`` where its channel statistics are not known, which only the shipped weights' are.
    """
    source = source_statistics(start)
    if source is None:
        return start
    if not out.exists():
        network, skeleton = load_lite(start)
        drawn = np.random.default_rng(0).permutation(len(records))[:MOST_CROPS]
        dataset = PersonDataset([records[i] for i in drawn], skeleton, network.config.input_side)
        match_channels(network.trunk, (batch.image for batch in DataLoader(dataset, CROPS_AT_ONCE)), source)
        described = describe_skeleton(skeleton, network.config.decoder.added)
        notes = {"kind": "lite", "start": start.name, "training": "none: channels matched without labels"}
        save_weights(out, network.state_dict(), notes | described)
    return out


def plan_further_training(
    folders: Sequence[TrainingFolder],
    start: Path,
    out: Path,
    *,
    trunk_steps: int | None = None,
    decoder_steps: int | None = None,
    keep: float | None = None,
    seed: int = 0,
    trust_labels: bool = False,
) -> LitePlan:
    """Plan a short training that goes on from lite weights, with their joints.

    Few people are shown in several views each, so that they are not learned by heart.

    Args:
        folders: data; their weights are relative to each other.
        start: lite weights (``.safetensors``) to go on from.
        out: working folder.
        trunk_steps, decoder_steps: steps of 32 persons; None for ``TRUNK_STEPS`` and ``DECODER_STEPS``.
        keep: share of the weights before in those that come out, 0 for the new ones alone; None for ``KEEP``.
        seed: of everything random.
        trust_labels: as in :class:`LitePlan`.
    """
    skeleton = read_skeleton(start)
    people = sum(
        len(read_dataset(folder.path, folder.format_name, folder.photos, skeleton).persons) for folder in folders
    )
    views = min(MOST_VIEWS, max(1, VIEWS_IN_ALL // max(1, people)))
    return LitePlan(
        [replace(folder, weight=folder.weight * views) for folder in folders], start, out,
        trunk=TrainConfig(steps=trunk_steps or TRUNK_STEPS, warmup_steps=30, ema_decay=0.98, seed=seed),
        decoder=TrainConfig(
            steps=decoder_steps or DECODER_STEPS, warmup_steps=50, clip_norm=2.0, learning_rate=4e-4, ema_decay=0.98,
            seed=seed,
        ),
        network=read_config(start), skeleton=skeleton, trust_labels=trust_labels, keep=KEEP if keep is None else keep,
    )  # fmt: skip
