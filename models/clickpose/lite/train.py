"""Train the lite network from COCO-format folders: trunk, feature cache, decoder, weights file.

Four steps, each resumed where it stopped: (1) persons whose left and right look exchanged are left out, unless the
labels are to be trusted; (2) the trunk is fine-tuned on its own heads; (3) its features of augmented views go to disk;
(4) neck and decoder are trained on them. Running the trunk once a view instead of once a step is what makes this
possible on two CPU cores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate
from tqdm import tqdm

from clickpose.data.feature_cache import FeatureCache, build_feature_cache
from clickpose.data.flip_audit import exchanged_labels
from clickpose.data.formats import read_dataset
from clickpose.data.persons import Augmentation, PersonDataset
from clickpose.data.photo_files import check_photos
from clickpose.data.records import PersonRecord
from clickpose.frames import CropFrame
from clickpose.lite.task import CachedLiteTask, LiteTaskConfig, TrunkTask
from clickpose.lite.weights import describe_skeleton
from clickpose.networks.channels_last import channels_last
from clickpose.networks.lite import LiteConfig, LiteNetwork
from clickpose.networks.movenet import MoveNetThunder, decode_heads, scale_pixels
from clickpose.networks.movenet_onnx import read_movenet_onnx
from clickpose.skeleton import COCO, Skeleton
from clickpose.training.engine import TrainConfig, Trainer
from clickpose.training.plan import describe_plan, keep_plan
from clickpose.training.processes import rank_and_world, wait_for_all
from clickpose.weights_io import load_weights, save_weights

MAY_DIFFER = (
    "out",  # where the run is
    "decoder.steps",  # a run may be made longer; not the trunk's, on whose end everything after it is built
    "trunk.workers", "decoder.workers",  # how quickly samples come
    "trunk.checkpoint_steps", "decoder.checkpoint_steps",  # how much a crash costs
)  # fmt: skip
"""What a plan that goes on with another one's working folder may change."""

_CACHE_PARTS = 8
_AUGMENTATION = Augmentation(margin=(1.15, 1.4), rotation_probability=0.4, truncation_probability=0.3)


@dataclass(frozen=True)
class TrainingFolder:
    """A data set, usually a COCO-format folder, and how much of the training it gets.

    Attributes:
        path: holds ``annotations.json`` and ``images/``; or an annotation file.
        weight: how often an epoch shows each person.
        images: how many photos to use, drawn by the seed of the decoder's training; None for all.
        format_name: one of :data:`~clickpose.data.formats.FORMATS`.
        photos: folder of the photos; None to look beside the annotations.
    """

    path: Path
    weight: float = 1.0
    images: int | None = None
    format_name: str = "coco"
    photos: Path | None = None

    @property
    def views(self) -> int:
        """Cached views of each person: as many as an epoch shows of them, at least one."""
        return max(1, round(self.weight))


@dataclass(frozen=True)
class LitePlan:
    """What to train on and how.

    Attributes:
        folders: data.
        start: published MoveNet Thunder (``.onnx``), or lite weights (``.safetensors``) to go on from.
        out: working folder; kept, so that a stopped run goes on.
        trunk: step 2.
        trunk_blend: share of the fine-tuned weights in the trunk, the rest is as it was (Wortsman et al., "Robust
            fine-tuning", 2022): better on both development sets than either end.
        decoder: step 4.
        task: the variants of step 4.
        network: sizes.
        skeleton: joints of the data, in its order, and of the network.
        trust_labels: leave out step 1. It mends data sets that a network knows better than their annotators; where a
            network needs further training it sees exchanged sides that are none, and the hardest people would go.
        keep: share of the weights of ``start`` in the weights file, 0 for the trained ones alone.
        augmentation: random changes of the crops.
    """

    folders: Sequence[TrainingFolder]
    start: Path
    out: Path
    trunk: TrainConfig = field(
        default_factory=lambda: TrainConfig(steps=1100, warmup_steps=100, ema_decay=0.995, trunk_learning_rate=1e-4)
    )
    trunk_blend: float = 0.65
    decoder: TrainConfig = field(
        default_factory=lambda: TrainConfig(steps=5700, clip_norm=2.0, learning_rate=1e-3, ema_decay=0.995)
    )
    task: LiteTaskConfig = field(default_factory=LiteTaskConfig)
    network: LiteConfig = field(default_factory=LiteConfig)
    skeleton: Skeleton = COCO
    trust_labels: bool = False
    keep: float = 0.0
    augmentation: Augmentation = _AUGMENTATION

    def __post_init__(self) -> None:
        if not 0 <= self.keep < 1:
            raise ValueError(f"Expected to keep a share of the weights from 0 to below 1, got {self.keep}")


def start_network(start: Path, config: LiteConfig) -> LiteNetwork:
    """Build the network with the weights that ``start`` holds.

    Raises:
        ValueError: if the file is neither the published ONNX network nor lite weights.
    """
    network = LiteNetwork(config)
    if start.suffix == ".onnx":
        network.trunk.load_state_dict(read_movenet_onnx(start))
    else:
        network.load_state_dict(load_weights(start, kind="lite"))
    return network


def train_lite(plan: LitePlan, device: str = "cpu") -> Path:
    """Run or resume the four steps.

    Args:
        plan: data and settings.
        device: torch device.

    Returns:
        the weights file, ``plan.out / "lite.safetensors"``.

    Raises:
        ValueError: for a working folder that belongs to another plan, or data that cannot be read.
    """
    keep_plan(plan.out, describe_plan(plan, MAY_DIFFER))
    torch.manual_seed(plan.decoder.seed)
    network = start_network(plan.start, plan.network)
    before = {name: value.clone() for name, value in network.state_dict().items()} if plan.keep else None
    persons = [
        _read_persons(plan, folder, network.trunk, plan.out / f"exchanged_labels_{i}_{folder.path.name}.json")
        for i, folder in enumerate(plan.folders)
    ]
    train_trunk(plan, persons, network.trunk, device)
    trainer = train_decoder(plan, persons, network, device)
    weights = plan.out / "lite.safetensors"
    if trainer.rank == 0:
        names = ", ".join(folder.path.name for folder in plan.folders)
        notes = {"data": names, "start": plan.start.name}
        described = describe_skeleton(plan.skeleton, plan.network.decoder.added)
        export_weights(trainer.checkpoint_path, weights, notes | described, before, plan.keep)
    return weights


def train_trunk(plan: LitePlan, persons: list[list[PersonRecord]], trunk: MoveNetThunder, device: str) -> None:
    """Fine-tune the trunk on its own heads, and leave the blend of old and new weights in it (step 2)."""
    start = {name: value.clone() for name, value in trunk.state_dict().items()}
    weights = [folder.weight for folder, group in zip(plan.folders, persons, strict=True) for _ in group]
    dataset = PersonDataset(_flat(persons), plan.skeleton, plan.network.input_side, plan.augmentation, plan.trunk.seed)
    task = TrunkTask(trunk, plan.task.frozen_blocks, plan.task.weights)
    trainer = Trainer(task, dataset, weights, default_collate, plan.trunk, plan.out / "trunk", device)
    print(f"step 2 of 4: the trunk on its own heads, {len(dataset)} persons", flush=True)
    trainer.run()
    blended = {name: old.lerp(trainer.average[name].to(old), plan.trunk_blend) for name, old in start.items()}
    trunk.load_state_dict(blended)


def train_decoder(plan: LitePlan, persons: list[list[PersonRecord]], network: LiteNetwork, device: str) -> Trainer:
    """Cache the trunk's features and train neck and decoder on them (steps 3 and 4)."""
    views, weights, first = [], [], 0
    for folder, group in zip(plan.folders, persons, strict=True):
        views += [(first + i, view) for i in range(len(group)) for view in range(folder.views)]
        weights += [folder.weight / folder.views] * (len(group) * folder.views)
        first += len(group)
    dataset = PersonDataset(
        _flat(persons), plan.skeleton, plan.network.input_side, plan.augmentation, plan.decoder.seed
    )
    print(f"step 3 of 4: trunk features of {len(views)} views", flush=True)
    cache = _cache_features(network.trunk, dataset, views, plan.out / "features")
    print("step 4 of 4: neck and decoder", flush=True)
    task = CachedLiteTask(network, plan.skeleton, plan.task)
    trainer = Trainer(task, cache, weights, default_collate, plan.decoder, plan.out / "decoder", device)
    trainer.run()
    return trainer


def _cache_features(trunk: MoveNetThunder, dataset: PersonDataset, views: list, folder: Path) -> FeatureCache:
    """Build the cache, each process its share, in a fixed number of parts so that any number of processes fits."""
    rank, world = rank_and_world()
    parts = [folder / f"part{i}" for i in range(min(_CACHE_PARTS, len(views)))]
    bounds = np.linspace(0, len(views), len(parts) + 1).astype(int)
    for i, part in enumerate(parts):
        if i % world == rank:
            build_feature_cache(trunk, dataset, views[bounds[i] : bounds[i + 1]], part)
    wait_for_all()
    return FeatureCache(*parts)


def export_weights(
    checkpoint: Path,
    out: Path,
    notes: Mapping[str, str] | None = None,
    before: Mapping[str, Tensor] | None = None,
    keep: float = 0.0,
) -> None:
    """Write the averaged weights of a training checkpoint as a weights file, with its provenance.

    Args:
        checkpoint: ``checkpoint.pt`` of a run.
        out: ``.safetensors`` file to write.
        notes: more metadata, such as the data used.
        before: weights before the training.
        keep: share of ``before`` in what is written.
    """
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    weights = state["average"]
    metadata = {"kind": "lite", "skeleton": COCO.name, "steps": str(state["step"]), "training": state["config"]}
    if before is not None:
        moving = [name for name, value in weights.items() if value.is_floating_point()]
        weights = weights | {name: weights[name].lerp(before[name], keep) for name in moving}
        metadata["kept"] = str(keep)
    save_weights(out, weights, metadata | dict(notes or {}))


def predict_with_trunk(trunk: MoveNetThunder, records: Sequence[PersonRecord], batch_size: int = 32) -> np.ndarray:
    """Return the trunk's own keypoints (N, K, 2) px, from ground-truth boxes, in float32."""
    loader = DataLoader(PersonDataset(list(records), COCO), batch_size, num_workers=1)
    trunk = channels_last(trunk.eval())
    poses = []
    with torch.inference_mode():
        for batch in tqdm(loader, desc="predicting with the trunk", unit="batch", leave=False, disable=None):
            image = batch.image.contiguous(memory_format=torch.channels_last)
            poses.append(decode_heads(trunk(scale_pixels(image))).keypoints_input.numpy() / batch.image.shape[-1])
    frames = [CropFrame.around_box(record.box_xyxy, 1) for record in records]
    return np.stack([frame.from_norm(pose) for frame, pose in zip(frames, np.concatenate(poses), strict=True)])


def _read_persons(plan: LitePlan, folder: TrainingFolder, trunk: MoveNetThunder, verdicts: Path) -> list[PersonRecord]:
    """Read a folder, without persons whose left and right look exchanged (step 1); verdicts are kept as JSON."""
    data = read_dataset(folder.path, folder.format_name, folder.photos, plan.skeleton)
    records = _draw_images(data.persons, folder.images, plan.decoder.seed)
    check_photos(records)
    if plan.trust_labels:
        print(f"step 1 of 4: {folder.path.name}, {len(records)} persons")
        return records
    if not verdicts.exists() and rank_and_world()[0] == 0:
        poses = predict_with_trunk(trunk, records)
        pairs = zip(records, poses, strict=True)
        bad = [record.annotation_id for record, pose in pairs if exchanged_labels(record, pose, plan.skeleton)]
        verdicts.write_text(json.dumps(bad))
    wait_for_all()
    exchanged = set(json.loads(verdicts.read_text()))
    kept = [record for record in records if record.annotation_id not in exchanged]
    left_out = len(records) - len(kept)
    print(f"step 1 of 4: {folder.path.name}, {len(kept)} persons, {left_out} left out (left and right exchanged)")
    return kept


def _draw_images(records: list[PersonRecord], count: int | None, seed: int) -> list[PersonRecord]:
    """Keep the persons of ``count`` photos drawn by ``seed``; a larger count keeps those of a smaller one.

    Raises:
        ValueError: if there are not so many photos with people.
    """
    if count is None:
        return records
    paths = list(dict.fromkeys(record.image_path for record in records))
    if not 0 < count <= len(paths):
        raise ValueError(f"Expected 1 to {len(paths)} images, the photos with people, got {count}")
    drawn = {paths[i] for i in np.random.default_rng(seed).permutation(len(paths))[:count]}
    return [record for record in records if record.image_path in drawn]


def _flat(groups: list[list[PersonRecord]]) -> list[PersonRecord]:
    return [record for group in groups for record in group]
