"""``clickpose adapt``: a lite network for another skeleton, fine-tuned on a few labelled photos."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from clickpose.engine import TrainConfig
from clickpose.lite.adaptation import adapt_network
from clickpose.lite.predictor import DEFAULT_FILE
from clickpose.lite.train import LitePlan, TrainingFolder, train_lite
from clickpose.lite.weights import describe_skeleton, load_lite
from clickpose.skeleton import Skeleton
from clickpose.skeleton_io import load_skeleton
from clickpose.weights_io import save_weights

_VIEWS_IN_ALL = 2000  # augmented views to cache: few photos are shown in many ways
_MOST_VIEWS = 16


@dataclasses.dataclass(frozen=True)
class AdaptPlan:
    """What to adapt to.

    Attributes:
        skeleton: the joints wanted.
        data: COCO-format folder with these joints; None for the untrained adaptation.
        images: how many of its photos to train on; None for all, 0 for none.
        start: lite weights to adapt.
        out: working folder; kept, so that a stopped run goes on.
        trunk_steps, decoder_steps: steps of 32 persons.
        seed: of everything random, also which photos are drawn.
    """

    skeleton: Skeleton
    data: Path | None
    out: Path
    images: int | None = None
    start: Path = DEFAULT_FILE
    trunk_steps: int = 150
    decoder_steps: int = 500
    seed: int = 0


def adapt(plan: AdaptPlan, device: str = "cpu") -> Path:
    """Write the adapted weights.

    Returns:
        the weights file: ``out/untrained.safetensors`` without photos, ``out/lite.safetensors`` with.

    Raises:
        ValueError: if skeleton, data or weights do not fit.
    """
    network, old = load_lite(plan.start)
    adapted, origin = adapt_network(network, old, plan.skeleton)
    added = adapted.config.decoder.added
    names = ", ".join(plan.skeleton.names[joint] for joint in origin.added) or "none"
    print(f"{len(plan.skeleton) - len(origin.added)} known joints; new: {names}", flush=True)
    plan.out.mkdir(parents=True, exist_ok=True)
    untrained = plan.out / "untrained.safetensors"
    notes = {"start": plan.start.name, "training": "none: adapted to another skeleton"}
    save_weights(untrained, adapted.state_dict(), {"kind": "lite"} | describe_skeleton(plan.skeleton, added) | notes)
    if plan.images == 0 or plan.data is None:
        return untrained
    return train_lite(_training_plan(plan, untrained, adapted.config), device)


def _training_plan(plan: AdaptPlan, start: Path, config) -> LitePlan:
    """Choose how often to show the photos, and keep all of what the trunk's new channels learn (no blend)."""
    views = max(1, min(_MOST_VIEWS, _VIEWS_IN_ALL // plan.images)) if plan.images else 1
    trunk = TrainConfig(
        steps=plan.trunk_steps, warmup_steps=30, ema_decay=0.98, trunk_learning_rate=2e-4, seed=plan.seed
    )
    decoder = TrainConfig(
        steps=plan.decoder_steps, warmup_steps=50, clip_norm=2.0, learning_rate=4e-4, ema_decay=0.98, seed=plan.seed
    )
    folder = TrainingFolder(plan.data, float(views), plan.images)
    return LitePlan(
        [folder], start, plan.out, trunk=trunk, trunk_blend=1.0, decoder=decoder, network=config, skeleton=plan.skeleton
    )


def adapt_from_options(
    skeleton: str, data: Path | None, images: int | None, start: Path | None, out: Path, trunk_steps: int,
    decoder_steps: int, seed: int, device: str, threads: int | None,
) -> Path:  # fmt: skip
    """Read the options of the command and run it.

    Raises:
        ValueError, FileNotFoundError: for a skeleton, folder or weights that cannot be used.
    """
    if data is None and images != 0:
        raise ValueError("Expected --data with labelled photos, or --images 0 for the untrained network, got neither")
    torch.set_num_threads(threads or 1)  # one thread a process is fastest on small machines
    plan = AdaptPlan(
        load_skeleton(skeleton), data, out, images, start or DEFAULT_FILE, trunk_steps, decoder_steps, seed
    )
    return adapt(plan, device)
