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

from clickpose.clicks.click_protocol import ClickProtocol
from clickpose.data.formats import read_dataset
from clickpose.data.persons import PersonDataset
from clickpose.data.records import PersonRecord
from clickpose.lite.channel_statistics import ChannelStatistics, match_channels, source_statistics
from clickpose.lite.click_evaluation import evaluate_clicks
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
MATCH_STRENGTH = 0.5  # of painted photos half of the way saves as much as all of it


def choose_start(start: Path, records: Sequence[PersonRecord], out: Path) -> Path:
    """Return the weights to go on from: as they are, or with channels matched to new photos, which needs no label.

    Matching brings the trunk to see new photos as it saw those that it was trained on. On painted photos that saves
    clicks; on others, such as blurred ones, it costs some. So the labelled people decide, by how right their poses are
    before and after a click or two.

    Args:
        start: lite weights.
        records: labelled people in the new photos.
        out: weights file for matched channels; one that is there is taken as it is.

    Returns:
        ``out`` or ``start``; ``start`` where its channel statistics are not known, which only the shipped weights' are.
    """
    source = source_statistics(start)
    if source is None or not records:
        return start
    drawn = np.random.default_rng(0).permutation(len(records))[:MOST_CROPS]
    chosen = [records[i] for i in drawn]
    if not out.exists():
        _match(start, chosen, source, out)
    return out if _rightness(out, chosen) > _rightness(start, chosen) else start


def _match(start: Path, records: list[PersonRecord], source: ChannelStatistics, out: Path) -> None:
    network, skeleton = load_lite(start)
    dataset = PersonDataset(records, skeleton, network.config.input_side)
    match_channels(network.trunk, (batch.image for batch in DataLoader(dataset, CROPS_AT_ONCE)), source, MATCH_STRENGTH)
    notes = {"kind": "lite", "start": start.name, "training": "none: channels matched without labels"}
    described = describe_skeleton(skeleton, network.config.decoder.added)
    save_weights(out, network.state_dict(), notes | described)


def _rightness(weights: Path, records: Sequence[PersonRecord]) -> float:
    """Return the mean OKS of people before any click and after one and two."""
    network, skeleton = load_lite(weights)
    return float(evaluate_clicks(network.eval(), records, skeleton, ClickProtocol(clicks=2)).refined.oks.mean())


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
