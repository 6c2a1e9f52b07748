"""Go on from lite weights with a user's own people: hundreds, not tens of thousands, and often of another kind.

A network that goes on from its weights learns the new people and forgets the old ones. What it learns and what it
forgets lie along the line between the weights before and after, and not at the same place: half way, most of the gain
is there and most of the loss is not (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022). So the
weights file holds the mean of both, after a short training.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from clickpose.clicks.click_protocol import ClickProtocol
from clickpose.data.formats import read_dataset
from clickpose.data.records import PersonRecord
from clickpose.lite.channel_statistics import ChannelStatistics, match_channels, source_statistics
from clickpose.lite.click_evaluation import evaluate_clicks
from clickpose.lite.known_photos import crops_of, draw_persons
from clickpose.lite.train import LitePlan, TrainingFolder
from clickpose.lite.weights import describe_skeleton, load_lite, read_config, read_skeleton
from clickpose.networks.lite import LiteNetwork
from clickpose.skeleton import Skeleton
from clickpose.training.engine import TrainConfig
from clickpose.weights_io import read_metadata, save_weights

TRUNK_STEPS = 60
DECODER_STEPS = 100
KEEP = 0.5
VIEWS_IN_ALL = 2000
MOST_VIEWS = 16
MATCH_STRENGTH = 0.5  # of painted photos half of the way saves as much as all of it


def choose_start(start: Path, records: Sequence[PersonRecord], out: Path) -> Path:
    """Return the weights to go on from: as they are, or changed so that new photos look to them as the old ones did.

    No label is needed for the changes, and each is folded into the weights. Light and dark are exchanged, as they are
    in negatives and in what some heat cameras give; and the trunk's channels are matched, which brings it to see new
    photos as it saw those that it was trained on. Of painted photos matching saves clicks; of others, such as blurred
    ones, it costs some. So the labelled people decide, by how right their poses are before and after a click or two.

    Args:
        start: lite weights.
        records: labelled people in the new photos.
        out: weights file for the changed ones; one that is there is taken as it is.

    Returns:
        ``out`` or ``start``; ``start`` where its channel statistics are not known, which only the shipped weights' are.
    """
    source = source_statistics(start)
    if source is None or not records:
        return start
    if out.exists():
        return out if read_metadata(out, "lite").get("changed") else start
    chosen = draw_persons(records)
    network, skeleton = load_lite(start)
    best, changed = _Scored.of(network, chosen, skeleton), list[str]()
    for name, change in (("light and dark exchanged", exchange_light), ("channels matched", _matching(source))):
        other = copy.deepcopy(best.network)
        change(other, chosen, skeleton)
        tried = _Scored.of(other, chosen, skeleton)
        if tried.rightness > best.rightness:
            best, changed = tried, [*changed, name]
    notes = {"kind": "lite", "start": start.name, "training": "none", "changed": ", ".join(changed)}
    described = describe_skeleton(skeleton, network.config.decoder.added)
    save_weights(out, best.network.state_dict(), notes | described)
    return out if changed else start


def exchange_light(network: LiteNetwork, *_: object) -> None:
    """Let a network see every photo as its negative: pixels are -1..1 where the first convolution reads them."""
    with torch.no_grad():
        network.trunk.stem.weight.neg_()


def _matching(source: ChannelStatistics) -> Callable[[LiteNetwork, list[PersonRecord], Skeleton], None]:
    def match(network: LiteNetwork, records: list[PersonRecord], skeleton: Skeleton) -> None:
        match_channels(network.trunk, crops_of(records, skeleton, network), source, MATCH_STRENGTH)

    return match


class _Scored(NamedTuple):
    """A network, and the mean OKS of some people before any click and after one and two."""

    network: LiteNetwork
    rightness: float

    @classmethod
    def of(cls, network: LiteNetwork, records: Sequence[PersonRecord], skeleton: Skeleton) -> _Scored:
        evaluated = evaluate_clicks(network.eval(), records, skeleton, ClickProtocol(clicks=2))
        return cls(network, float(evaluated.refined.oks.mean()))


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
