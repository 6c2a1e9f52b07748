"""Train the end-to-end network from annotated photos: presets, a fresh or loaded network, a weights file.

A stopped run goes on from its working folder, with the losses that an uninterrupted one would have had.
"""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

from clickpose.data.photo_files import check_photos
from clickpose.data.photos import PhotoDataset, PhotoScales, collate_photos
from clickpose.data.records import PoseDataset
from clickpose.lite.predictor import DEFAULT_FILE as LITE_FILE
from clickpose.networks.backbone import ResNetBackbone, normalise_pixels
from clickpose.networks.clickpose import ClickPose, ClickPoseConfig
from clickpose.networks.movenet_backbone import MoveNetBackbone, MoveNetBackboneConfig
from clickpose.networks.movenet_onnx import read_movenet_onnx
from clickpose.r50.checkpoint import load_network, save_network
from clickpose.r50.noise import NoiseConfig
from clickpose.r50.task import R50Task, R50TaskConfig, fit_normalisation, prepare_for_training
from clickpose.skeleton import COCO, Skeleton
from clickpose.training.engine import TrainConfig, Trainer
from clickpose.training.plan import describe_plan, keep_plan
from clickpose.training.processes import rank_and_world
from clickpose.weights_io import WeightsError, check_present, load_weights

MAY_DIFFER = (
    "out",  # where the run is
    "steps", "preset.epochs", "preset.train.steps",  # a run may be made longer
    "preset.train.workers",  # how quickly samples come
    "preset.train.checkpoint_steps",  # how much a crash costs
)  # fmt: skip
"""What a plan that goes on with another one's working folder may change."""

_NORMALISATION_PHOTOS = 16


@dataclass(frozen=True)
class R50Preset:
    """A size of network with the training that fits it.

    Attributes:
        network: sizes; the number of keypoints comes from the data.
        train: how to train, except for how long.
        epochs: how often each photo is shown.
        scales: sizes and random changes of the photos.
        task: losses.
    """

    network: ClickPoseConfig
    train: TrainConfig
    epochs: int
    scales: PhotoScales
    task: R50TaskConfig = field(default_factory=R50TaskConfig)


PRESETS = {
    # Sec. 4.1 and the published configuration: the rate drops to a tenth after 38 of 40 epochs.
    "paper": R50Preset(
        ClickPoseConfig(),
        TrainConfig(
            batch_size=16, learning_rate=1e-4, trunk_learning_rate=1e-5, weight_decay=1e-4, clip_norm=0.1,
            warmup_steps=0, decay_share=2 / 40, drop=0.1, ema_decay=0.9997, workers=4, checkpoint_steps=500,
        ),
        epochs=40,
        scales=PhotoScales(),
    ),
    # The same modules, small enough for a machine without a GPU, on the features of a backbone that knows people.
    "small": R50Preset(
        ClickPoseConfig(
            dim=96, heads=6, levels=3, ffn_dim=256, encoder_layers=2, human_layers=2, keypoint_layers=2, queries=60,
            persons=15, human_codes=4, backbone=MoveNetBackboneConfig(), short_side=256, long_side=426,
        ),
        TrainConfig(
            batch_size=4, learning_rate=4e-4, trunk_learning_rate=0.0, weight_decay=1e-4, clip_norm=1.0,
            warmup_steps=200, decay_share=0.3, ema_decay=0.999, workers=1, checkpoint_steps=100,
        ),
        epochs=8,
        scales=PhotoScales.around(256),
        task=R50TaskConfig(noise=NoiseConfig(groups=3, queries=20, pose_variants=1), refined_persons=8),
    ),
}  # fmt: skip


def preset_named(name: str) -> R50Preset:
    """Return a preset.

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in PRESETS:
        raise ValueError(f"Expected a preset of {', '.join(PRESETS)}, got {name!r}")
    return PRESETS[name]


class WeightedData(NamedTuple):
    """A data set, and how often an epoch shows its photos."""

    dataset: PoseDataset
    weight: float = 1.0


@dataclass(frozen=True)
class R50Plan:
    """What to train on and how.

    Attributes:
        data: data sets of one skeleton, each with its weight.
        preset: sizes and training.
        out: working folder; kept, so that a stopped run goes on.
        start: Click-Pose weights to go on from, or None for a fresh network.
        backbone: published weights of the backbone, for a fresh network: a ResNet's by torchvision's names (``.pth``)
            or MoveNet's (``.onnx``, or lite weights); None to train a ResNet from nothing, or for the MoveNet in the
            shipped lite weights.
        steps: optimiser steps; None for the preset's epochs.
    """

    data: Sequence[WeightedData]
    preset: R50Preset
    out: Path
    start: Path | None = None
    backbone: Path | None = None
    steps: int | None = None

    @property
    def skeleton(self) -> Skeleton:
        """The joints that all data sets have."""
        return self.data[0][0].skeleton


def train_r50(plan: R50Plan, device: str = "cpu") -> Path:
    """Run or resume the training.

    Args:
        plan: data and settings.
        device: torch device.

    Returns:
        the weights file, ``plan.out / "r50.safetensors"``.

    Raises:
        ValueError: for data sets of several skeletons or without a photo, missing photos, or a working folder that
            belongs to another plan; WeightsError for weights that do not fit.
    """
    trainer = make_trainer(plan, device)
    trainer.run()
    weights = plan.out / "r50.safetensors"
    if rank_and_world()[0] == 0:
        config: Any = trainer.model.config
        averaged = ClickPose(config)
        averaged.load_state_dict(trainer.average)
        save_network(weights, averaged, plan.skeleton)
    return weights


def make_trainer(plan: R50Plan, device: str = "cpu") -> Trainer:
    """Prepare what :func:`train_r50` runs; see there."""
    photos = _photos(plan)
    weights = [weight for dataset, (_, weight) in zip(photos, plan.data, strict=True) for _ in range(len(dataset))]
    dataset = photos[0].joined(photos[1:])
    keep_plan(plan.out, describe_plan(plan, MAY_DIFFER))
    torch.manual_seed(plan.preset.train.seed)
    network = start_network(plan, dataset)
    train = plan.preset.train
    steps = plan.steps or max(1, round(plan.preset.epochs * sum(weights) / train.batch_size))
    train = dataclasses.replace(train, steps=steps)
    task = R50Task(network, plan.skeleton, plan.preset.task)
    return Trainer(task, dataset, weights, collate_photos, train, plan.out, device, dataset.shape_groups())


def start_network(plan: R50Plan, photos: PhotoDataset) -> ClickPose:
    """Build or load the network.

    Args:
        plan: settings.
        photos: what a backbone without published weights is fitted to.

    Raises:
        WeightsError: if a file does not fit the network or the skeleton.
    """
    sizes = plan.preset.network
    if plan.start is not None:
        network = load_network(plan.start, plan.skeleton)
        network.config = dataclasses.replace(network.config, short_side=sizes.short_side, long_side=sizes.long_side)
        return network
    network = ClickPose(dataclasses.replace(sizes, num_keypoints=len(plan.skeleton)))
    prepare_for_training(network)
    if isinstance(network.backbone, MoveNetBackbone):
        load_movenet(network.backbone, plan.backbone or LITE_FILE)
    elif plan.backbone is not None:
        load_backbone(network.backbone, plan.backbone)
    else:
        few = collate_photos([photos[i] for i in range(min(len(photos), _NORMALISATION_PHOTOS))])
        pixels = normalise_pixels(few.image).masked_fill(few.padding_mask[:, None], 0.0)
        fit_normalisation(network.backbone, pixels)
    return network


def load_movenet(backbone: MoveNetBackbone, path: Path) -> None:
    """Load the published MoveNet (``.onnx``), or the trunk of lite weights for COCO's joints (``.safetensors``).

    Raises:
        WeightsError: if the file is missing, damaged, of another network or for other joints.
    """
    check_present(path, "weights of MoveNet")
    if path.suffix == ".onnx":
        state = read_movenet_onnx(path)
    else:
        lite = load_weights(path, kind="lite")
        state = {name.removeprefix("trunk."): value for name, value in lite.items() if name.startswith("trunk.")}
    try:
        backbone.trunk.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise WeightsError(f"Expected MoveNet for the {len(COCO)} joints of COCO in {path}: {reason}") from None


def load_backbone(backbone: ResNetBackbone, path: Path) -> None:
    """Load weights by torchvision's names; its classifier and its counts of batches are left out.

    Raises:
        WeightsError: if the file is missing, no dictionary of tensors, or of another backbone.
    """
    check_present(path, "weights of a ResNet backbone")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = {name: value for name, value in state.items() if not name.startswith("fc.")}
        backbone.load_state_dict({n: v for n, v in state.items() if not n.endswith("num_batches_tracked")})
    except (pickle.UnpicklingError, RuntimeError, EOFError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(f"Expected weights of this ResNet backbone in {path}, got others: {reason}") from None


def _photos(plan: R50Plan) -> list[PhotoDataset]:
    """Make the samples, and say what is trained on and what is left out."""
    names = {data.skeleton.name for data, _ in plan.data}
    if len(names) != 1:
        raise ValueError(f"Expected data sets of one skeleton, got {', '.join(sorted(names)) or 'no data set'}")
    photos = []
    for data, _ in plan.data:
        dataset = PhotoDataset(data, plan.preset.scales, plan.preset.train.seed)
        if not len(dataset):
            raise ValueError(f"Expected photos with people in {data.name}, got none ({data.report()})")
        check_photos(image for image, *_ in dataset.photos)
        if rank_and_world()[0] == 0:
            without = len(data.images) - len(dataset)
            print(f"{data.report()}; {without} images without a person are left out", flush=True)
        photos.append(dataset)
    return photos
