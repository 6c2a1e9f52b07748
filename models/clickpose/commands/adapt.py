"""``clickpose adapt``: a network for another skeleton, fine-tuned on a few labelled photos."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch

from clickpose.data.formats import read_dataset
from clickpose.device import check_device
from clickpose.joint_origin import JointOrigin
from clickpose.lite.adaptation import adapt_network as adapt_lite
from clickpose.lite.predictor import DEFAULT_FILE
from clickpose.lite.train import LitePlan, TrainingFolder, train_lite
from clickpose.lite.weights import describe_skeleton, load_lite
from clickpose.networks.lite import LiteConfig
from clickpose.r50.adaptation import adapt_network as adapt_r50_network
from clickpose.r50.checkpoint import load_network, read_skeleton, save_network
from clickpose.r50.train import R50Plan, WeightedData, preset_named, train_r50
from clickpose.skeleton import Skeleton
from clickpose.skeleton_io import load_skeleton
from clickpose.training.engine import TrainConfig
from clickpose.training.plan import read_plan
from clickpose.weights_io import WeightsError, save_weights

_VIEWS_IN_ALL = 2000  # augmented views to cache: few photos are shown in many ways
_MOST_VIEWS = 16


@dataclasses.dataclass(frozen=True)
class Adaptation:
    """What to adapt a network to.

    Attributes:
        skeleton: the joints wanted.
        data: folder or annotation file with these joints; None for the untrained adaptation.
        out: working folder; kept, so that a stopped run goes on.
        images: how many of its photos to train on; None for all, 0 for none.
        format_name: of the data; see :data:`~clickpose.data.formats.FORMATS`.
        photos: folder of the photos; None to look beside the annotations.
        seed: of everything random, also which photos are drawn.
    """

    skeleton: Skeleton
    data: Path | None
    out: Path
    images: int | None = None
    format_name: str = "coco"
    photos: Path | None = None
    seed: int = 0

    @property
    def trains(self) -> bool:
        """Whether there are photos to train on."""
        return self.images != 0 and self.data is not None

    def write_untrained(self, origin: JointOrigin, save: Callable[[Path], None]) -> Path:
        """Say which joints are new, and write the weights to begin with into the working folder.

        Args:
            origin: where the joints come from.
            save: writes the weights to a file.

        Returns:
            the file.

        Raises:
            ValueError: if a training has begun there from other weights, which stay.
        """
        names = ", ".join(self.skeleton.names[joint] for joint in origin.added) or "none"
        print(f"{len(self.skeleton) - len(origin.added)} known joints; new: {names}", flush=True)
        self.out.mkdir(parents=True, exist_ok=True)
        begun, path = read_plan(self.out), self.out / "untrained.safetensors"
        new = path.with_name("untrained.new.safetensors")
        save(new)
        if begun is not None and path.exists() and new.read_bytes() != path.read_bytes():
            new.unlink()
            raise ValueError(
                f"Expected {self.out} to go on from the weights in {path.name}, got others (another --init or "
                "skeleton); name another working folder"
            )
        new.replace(path)
        return path


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptPlan(Adaptation):
    """What to adapt lite to.

    Attributes:
        start: lite weights to adapt.
        trunk_steps, decoder_steps: steps of 32 persons.
    """

    start: Path = DEFAULT_FILE
    trunk_steps: int = 150
    decoder_steps: int = 500


def adapt(plan: AdaptPlan, device: str = "cpu") -> Path:
    """Write the adapted weights.

    Returns:
        the weights file: ``out/untrained.safetensors`` without photos, ``out/lite.safetensors`` with.

    Raises:
        ValueError: if skeleton, data or weights do not fit.
    """
    network, old = load_lite(plan.start)
    adapted, origin = adapt_lite(network, old, plan.skeleton)
    described = describe_skeleton(plan.skeleton, adapted.config.decoder.added)
    notes = {"start": plan.start.name, "training": "none: adapted to another skeleton"}
    metadata = {"kind": "lite"} | described | notes
    untrained = plan.write_untrained(origin, lambda path: save_weights(path, adapted.state_dict(), metadata))
    if plan.data is None or not plan.trains:
        return untrained
    return train_lite(_training_plan(plan, plan.data, untrained, adapted.config), device)


def _training_plan(plan: AdaptPlan, data: Path, start: Path, config: LiteConfig) -> LitePlan:
    """Choose how often to show the photos, and keep all of what the trunk's new channels learn (no blend)."""
    views = max(1, min(_MOST_VIEWS, _VIEWS_IN_ALL // plan.images)) if plan.images else 1
    trunk = TrainConfig(
        steps=plan.trunk_steps, warmup_steps=30, ema_decay=0.98, trunk_learning_rate=2e-4, seed=plan.seed
    )
    decoder = TrainConfig(
        steps=plan.decoder_steps, warmup_steps=50, clip_norm=2.0, learning_rate=4e-4, ema_decay=0.98, seed=plan.seed
    )
    folder = TrainingFolder(data, float(views), plan.images, plan.format_name, plan.photos)
    return LitePlan(
        [folder], start, plan.out, trunk=trunk, trunk_blend=1.0, decoder=decoder, network=config, skeleton=plan.skeleton
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class R50AdaptPlan(Adaptation):
    """What to adapt the end-to-end network to.

    Attributes:
        start: weights to adapt: an official checkpoint, or what training wrote.
        known: the joints of ``start``; None for those that it says, or COCO's.
        preset: name of the training preset; sizes of photos and losses come from it, the network from ``start``.
        steps: optimiser steps.
    """

    start: Path
    known: Skeleton | None = None
    preset: str = "paper"
    steps: int = 500


def adapt_r50(plan: R50AdaptPlan, device: str = "cpu") -> Path:
    """Write the adapted weights of the end-to-end network.

    Returns:
        the weights file: ``out/untrained.safetensors`` without photos, ``out/r50.safetensors`` with.

    Raises:
        ValueError: if skeleton, data, preset or weights do not fit.
    """
    preset = preset_named(plan.preset)
    known = plan.known or read_skeleton(plan.start)
    adapted, origin = adapt_r50_network(load_network(plan.start, known), known, plan.skeleton)
    untrained = plan.write_untrained(origin, lambda path: save_network(path, adapted, plan.skeleton))
    if plan.data is None or not plan.trains:
        return untrained
    data = read_dataset(plan.data, plan.format_name, plan.photos, plan.skeleton)
    if plan.images is not None:
        data = data.drawn_images(plan.images, plan.seed)
    preset = dataclasses.replace(preset, train=dataclasses.replace(preset.train, seed=plan.seed))
    return train_r50(R50Plan([WeightedData(data)], preset, plan.out, untrained, steps=plan.steps), device)


@dataclasses.dataclass(frozen=True)
class LiteOptions:
    """Options that only lite has: steps of the trunk and of the decoder."""

    trunk_steps: int = 150
    decoder_steps: int = 500


@dataclasses.dataclass(frozen=True)
class R50Options:
    """Options that only r50 has: name or file of the joints of official weights, training preset and steps."""

    known: str | None = None
    preset: str = "paper"
    steps: int = 500


def adapt_from_options(
    wanted: Adaptation, start: Path | None, options: LiteOptions | R50Options, device: str, threads: int
) -> Path:
    """Read the options of the command and run it; ``start`` None adapts the shipped weights of lite.

    Raises:
        ValueError, FileNotFoundError: for a skeleton, folder, weights or a device that cannot be used.
    """
    if wanted.data is None and wanted.images != 0:
        raise ValueError("Expected --data with labelled photos, or --images 0 for the untrained network, got neither")
    check_device(device)
    torch.set_num_threads(threads)
    if isinstance(options, LiteOptions):
        return adapt(AdaptPlan(**vars(wanted), start=start or DEFAULT_FILE, **vars(options)), device)
    if start is None:
        raise WeightsError("Expected --init with a checkpoint for the network r50, got none: none is shipped")
    known = load_skeleton(options.known) if options.known else None
    plan = R50AdaptPlan(**vars(wanted), start=start, known=known, preset=options.preset, steps=options.steps)
    return adapt_r50(plan, device)
