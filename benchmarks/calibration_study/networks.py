"""The four pose networks of the study, trained or loaded, and what they predict for annotated persons.

``SBL`` (heatmaps) and ``RLE`` (regression) are trained here on frozen features of the lite network's trunk; ``MoveNet``
is the published network, heads and all; ``lite`` is the shipped network. Everybody is cut out by the annotated box.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader, default_collate
from tqdm import tqdm

from calibration_study.head_training import HeadSamples, HeatmapTask, RleTask
from calibration_study.heatmap_head import HeatmapHead
from calibration_study.rle_head import ResidualFlow, RleHead
from clickpose.calibration.aggregation import USUAL_THRESHOLD
from clickpose.calibration.ccnet_fit import FeatureTable
from clickpose.calibration.expected_oks import RENDERING_SIGMA
from clickpose.calibration.heatmap_sigma import sigma_from_heatmap
from clickpose.data.coco import read_coco_persons
from clickpose.data.feature_cache import FeatureCache, build_feature_cache
from clickpose.data.persons import Augmentation, PersonBatch, PersonDataset
from clickpose.data.records import PersonRecord
from clickpose.frames import CropFrame
from clickpose.lite.predictor import DEFAULT_FILE, load_network, network_mark
from clickpose.lite.weights import load_lite
from clickpose.metrics.oks import keypoint_oks, oks
from clickpose.networks.movenet import HEAD_STRIDE, MoveNetFeatures, MoveNetThunder, decode_heads, scale_pixels
from clickpose.networks.movenet_onnx import read_movenet_onnx
from clickpose.networks.pred_nets import HookedPredNet, LitePredNet, capture, heatmap_pred_net, rle_pred_net
from clickpose.skeleton import COCO
from clickpose.training.engine import TrainConfig, Trainer
from clickpose.training.plan import describe_plan, keep_plan
from clickpose.weights_io import fingerprint

NAMES = ("SBL", "RLE", "MoveNet", "lite")
INPUT_SIDE = 256
# l~ of the heatmap networks, cells; MoveNet's was measured on its heatmaps
RENDERING_SIGMAS = {"SBL": RENDERING_SIGMA, "MoveNet": 1.4}
_AUGMENTATION = Augmentation(margin=(1.15, 1.4), rotation_probability=0.4, truncation_probability=0.3)
_VIEWS = 2  # of each training person, where no cache is given


@dataclass(frozen=True)
class Settings:
    """What to train and measure, and with what effort.

    Attributes:
        shared: folder with ``data/`` and ``weights/``.
        out: working folder; what is finished there is not done again.
        lite: lite weights, whose trunk the heads stand on; None for the shipped ones.
        features: a feature cache of the same trunk that ``clickpose train`` left (``RUN/features``); None to make one.
        heatmap_steps, rle_steps: optimiser steps of the two heads, 32 views each.
        persons: of each split, at most; None for all.
        ccnet_epochs: passes over the training persons.
        resamples: bootstrap draws.
        wrists: that are hidden for Fig. 3, at most.
        networks: of :data:`NAMES`, which to measure.
        flip_test: whether lite sees everybody mirrored as well, as it does when it is used.
    """

    shared: Path
    out: Path
    lite: Path | None = None
    features: Path | None = None
    heatmap_steps: int = 2500
    rle_steps: int = 5000
    persons: int | None = None
    ccnet_epochs: int = 8
    resamples: int = 200
    wrists: int = 96
    networks: tuple[str, ...] = NAMES
    flip_test: bool = True

    def records(self, split: str) -> list[PersonRecord]:
        """Return the annotated persons of a split."""
        return read_coco_persons(self.shared / "data" / split)[: self.persons]


class Prediction(NamedTuple):
    """Of B persons: ``features`` (B, F) or (B, K, F), ``keypoints_input`` (B, K, 2) and ``deviations_input`` (B, K) in
    input pixels (infinite where the network tells none), ``scores`` and ``visible`` (B, K): the network's confidences,
    and the weights by which its usual instance score averages them."""

    features: Tensor
    keypoints_input: Tensor
    scores: Tensor
    visible: Tensor
    deviations_input: Tensor


@dataclass(frozen=True)
class StudyNetwork:
    """A pose network.

    Attributes:
        name: for tables.
        trunk: which of the trunks it reads; empty for one that reads the photos itself.
        source: what identifies its weights.
        predict: the trunk's features, or (B, 3, S, S) uint8 crops; (B, 4) prompt boxes; whether deviations are wanted
            -> prediction.
    """

    name: str
    trunk: str
    source: str
    predict: Callable[[MoveNetFeatures | Tensor, Tensor, bool], Prediction]


@dataclass(frozen=True)
class Networks:
    """``trunks`` by name, and the networks that read them."""

    trunks: dict[str, MoveNetThunder]
    members: tuple[StudyNetwork, ...]

    @torch.inference_mode()
    def predict(self, image: Tensor, prompt_norm: Tensor, deviations: bool = False) -> dict[str, Prediction]:
        """Predict from crops (B, 3, S, S) uint8 and prompt boxes (B, 4) in 0..1 of the crop; each trunk runs once."""
        scaled = scale_pixels(image.contiguous(memory_format=torch.channels_last))
        wanted = {net.trunk for net in self.members}
        seen = {"": image} | {name: trunk(scaled) for name, trunk in self.trunks.items() if name in wanted}
        return {net.name: net.predict(seen[net.trunk], prompt_norm, deviations) for net in self.members}


class Variant(NamedTuple):
    """Changed photos: ``name``, ``change`` from a batch of persons to (B, 3, S, S) uint8 crops, how many persons."""

    name: str
    change: Callable[[PersonBatch], Tensor]
    persons: int


@dataclass(frozen=True, eq=False)
class NetworkRun:
    """What a network predicts for N persons.

    Attributes:
        table: features, OKS terms, visibility, the network's confidences.
        keypoints: (N, K, 2) px.
        visible: (N, K) weights of the network's usual instance score.
        deviations: (N, K) px; infinite where the network tells none.
        instance_oks: (N,).
    """

    table: FeatureTable
    keypoints: np.ndarray
    visible: np.ndarray
    deviations: np.ndarray
    instance_oks: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """(N, K) the network's confidences."""
        return self.table.scores.numpy().astype(np.float64)


def build_networks(settings: Settings) -> Networks:
    """Load the wanted networks; a head that is not there yet is trained first (or goes on being trained)."""
    lite_path = settings.lite or DEFAULT_FILE
    trunk = load_lite(lite_path)[0].eval().to(memory_format=torch.channels_last).trunk
    trunks, members = {"lite": trunk}, []
    if "SBL" in settings.networks:
        torch.manual_seed(0)
        head = HeatmapHead()
        source = _trained(HeatmapTask(head), trunk, settings, "heatmap", settings.heatmap_steps, bf16=True)
        members.append(StudyNetwork("SBL", "lite", source, _heatmap_network(head.eval())))
    if "RLE" in settings.networks:
        torch.manual_seed(0)
        head, flow = RleHead(), ResidualFlow()
        source = _trained(RleTask(head, flow), trunk, settings, "rle", settings.rle_steps, bf16=False)
        members.append(StudyNetwork("RLE", "lite", source, _rle_network(head.eval(), flow.eval().deviation())))
    if "MoveNet" in settings.networks:
        thunder, onnx = MoveNetThunder(), settings.shared / "weights" / "movenet-thunder-heads.onnx"
        thunder.load_state_dict(read_movenet_onnx(onnx))
        members.append(StudyNetwork("MoveNet", "thunder", fingerprint(onnx), _movenet_network(thunder.eval())))
        trunks["thunder"] = thunder.to(memory_format=torch.channels_last)
    if "lite" in settings.networks:
        net, mark = (make(lite_path, settings.flip_test) for make in (load_network, network_mark))
        members.append(StudyNetwork("lite", "", mark, _lite_network(LitePredNet(net))))
    return Networks(trunks, tuple(members))


def predict_persons(
    networks: Networks, settings: Settings, split: str, deviations: bool = False, variant: Variant | None = None
) -> dict[str, NetworkRun]:
    """Return what each network predicts for the persons of a split; kept in the working folder.

    Args:
        networks: of which only those without a kept answer run.
        settings: working folder and persons.
        split: folder of ``data/``.
        deviations: whether these are wanted, which takes time.
        variant: changed photos, of some of the persons; None for the photos as they are.
    """
    records = settings.records(split)[: variant and variant.persons]
    label = f"{split}_{variant.name}" if variant else split
    paths = {net: settings.out / "predictions" / f"{label}_{net.name}.safetensors" for net in networks.members}
    sources = {
        net: {"weights": net.source, "split": label, "persons": str(len(records)), "deviations": str(deviations)}
        for net in networks.members
    }
    found = {net: _load_run(path, sources[net]) for net, path in paths.items()}
    missing = tuple(net for net, run in found.items() if run is None)
    if missing:
        found |= _predict(Networks(networks.trunks, missing), records, label, deviations, variant)
    for net in missing:
        _save_run(paths[net], found[net], sources[net])
    return {net.name: run for net, run in found.items()}


def _predict(networks: Networks, records: list[PersonRecord], label: str, deviations: bool, variant: Variant | None):
    """Return the runs of the networks by network."""
    parts: dict[StudyNetwork, list[Prediction]] = {net: [] for net in networks.members}
    loader = DataLoader(PersonDataset(records, COCO, INPUT_SIDE), 32)
    for batch in tqdm(loader, desc=f"predicting {label}", unit="batch", mininterval=5):
        image = variant.change(batch) if variant else batch.image
        predictions = networks.predict(image, batch.prompt_norm, deviations)
        for net in networks.members:
            parts[net].append(predictions[net.name])
    return {
        net: _as_run(Prediction(*(torch.cat(column) for column in zip(*rows, strict=True))), records)
        for net, rows in parts.items()
    }


def labelled_oks(keypoints: np.ndarray, records: Sequence[PersonRecord]) -> np.ndarray:
    """Return the (N, K) OKS terms of (N, K, 2) px; 0 where the joint is not labelled."""
    truth = np.stack([record.keypoints for record in records])
    area = np.array([record.area for record in records])
    labelled = np.stack([record.labelled for record in records])
    return np.where(labelled, keypoint_oks(keypoints, truth, area, COCO.sigma_array), 0.0)


def from_input(points_input: np.ndarray, records: Sequence[PersonRecord]) -> np.ndarray:
    """Map (N, K, 2) pixels of the crops to original pixels."""
    pairs = zip(points_input, records, strict=True)
    return np.stack([CropFrame.around_box(r.box_xyxy, INPUT_SIDE).from_norm(p / INPUT_SIDE) for p, r in pairs])


def _as_run(prediction: Prediction, records: Sequence[PersonRecord]) -> NetworkRun:
    keypoints = from_input(prediction.keypoints_input.double().numpy(), records)
    scale = np.array([CropFrame.around_box(r.box_xyxy, INPUT_SIDE).scale for r in records])
    visibility = np.stack([r.visibility for r in records])
    area = np.array([r.area for r in records])
    images = {r.image_id: number for number, r in enumerate(records)}
    table = FeatureTable(
        features=prediction.features.half(),
        oks=torch.from_numpy(labelled_oks(keypoints, records)).float(),
        visibility=torch.from_numpy(visibility).long(),
        scores=prediction.scores.float().clamp(0, 1),
        groups=torch.tensor([images[r.image_id] for r in records]),
    )
    whole = oks(keypoints, np.stack([r.keypoints for r in records]), area, COCO.sigma_array, visibility)
    deviations = prediction.deviations_input.double().numpy() / scale[:, None]
    return NetworkRun(table, keypoints, prediction.visible.double().numpy(), deviations, whole)


_ARRAYS = ("keypoints", "visible", "deviations", "instance_oks")


def _save_run(path: Path, run: NetworkRun, source: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: torch.from_numpy(np.ascontiguousarray(getattr(run, name))) for name in _ARRAYS}
    tensors |= {f"table.{name}": getattr(run.table, name).contiguous() for name in FeatureTable.__dataclass_fields__}
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, {"source": json.dumps(source)})
    partial.replace(path)


def _load_run(path: Path, source: dict[str, str]) -> NetworkRun | None:
    """Return a kept run; None if there is none of this source."""
    if not path.exists():
        return None
    with safe_open(path, framework="pt") as file:
        if file.metadata().get("source") != json.dumps(source):
            return None
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    table = FeatureTable(**{name: tensors[f"table.{name}"] for name in FeatureTable.__dataclass_fields__})
    return NetworkRun(table, *(tensors[name].numpy() for name in _ARRAYS))


def _feature_cache(settings: Settings, trunk: MoveNetThunder) -> FeatureCache:
    """Return the training views' features: the given ones, or own ones of ``coco_train``."""
    if settings.features is not None:
        parts = sorted(settings.features.glob("part*"), key=lambda path: int(path.name[4:])) or [settings.features]
    else:
        records = settings.records("coco_train")
        dataset = PersonDataset(records, COCO, INPUT_SIDE, _AUGMENTATION)
        parts = [settings.out / "features"]
        views = [(person, view) for person in range(len(records)) for view in range(_VIEWS)]
        build_feature_cache(trunk, dataset, views, parts[0])
    cache = FeatureCache(*parts)
    _check_same_trunk(cache, trunk)
    return cache


@torch.inference_mode()
def _check_same_trunk(cache: FeatureCache, trunk: MoveNetThunder) -> None:
    """Refuse features of another trunk: its own heatmap layer must give the cached heatmaps from the cached map."""
    features = cache[0].features()
    heatmaps = trunk.eval().heatmap(features.pyramid4[None])[0]
    wanted = features.heatmap_logits
    difference = ((heatmaps - wanted).square().mean() / wanted.var()).sqrt().item()
    if difference > 0.05:  # eight bits and bfloat16 make about 0.01
        raise ValueError(
            f"Expected features of the lite weights' trunk, got ones whose heatmaps differ by {difference:.0%}"
        )


def _trained(task, trunk: MoveNetThunder, settings: Settings, name: str, steps: int, bf16: bool) -> str:
    """Load a head that was trained on this trunk, or train it; returns what identifies it.

    Only training needs the trunk's cached features.
    """
    path, source = settings.out / f"{name}.safetensors", {"trunk": _digest(trunk), "steps": str(steps)}
    if path.exists():
        with safe_open(path, framework="pt") as file:
            if file.metadata() == source:
                task.model.load_state_dict(load_file(path))
                return f"{source['trunk']} {_digest(task.model)}"
    _train(task, _feature_cache(settings, trunk), settings, name, steps, bf16)
    save_file({key: value.contiguous() for key, value in task.model.state_dict().items()}, path, source)
    return f"{source['trunk']} {_digest(task.model)}"


def _digest(module: torch.nn.Module) -> str:
    """Return twelve digits that identify a module's weights."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _train(task, cache: FeatureCache, settings: Settings, name: str, steps: int, bf16: bool) -> None:
    """Train a head, or go on; leaves the averaged weights in it."""
    config = TrainConfig(
        steps=steps, learning_rate=1e-3, warmup_steps=min(100, steps // 5), ema_decay=0.995, workers=0, bf16=bf16,
        checkpoint_steps=250,
    )  # fmt: skip
    samples = HeadSamples(cache, task.maps)
    may_differ = ("steps", "warmup_steps", "workers", "checkpoint_steps")
    keep_plan(settings.out / name, describe_plan(config, may_differ) | {"features": list(cache.source)})
    trainer = Trainer(task, samples, [1.0] * len(samples), default_collate, config, settings.out / name)
    print(f"{name}: {len(samples)} views, {steps} steps", flush=True)
    trainer.run()
    task.model.load_state_dict(trainer.average)


def _heatmap_network(head: HeatmapHead) -> Callable:
    net = heatmap_pred_net(head, "final", (INPUT_SIDE, INPUT_SIDE))

    def predict(trunk: MoveNetFeatures, prompt_norm: Tensor, deviations: bool) -> Prediction:
        with capture(head.final, "output") as seen:
            output = net.predict(trunk)
        return _of_heatmaps(output, seen[-1], RENDERING_SIGMAS["SBL"], deviations)

    return predict


def _movenet_network(trunk: MoveNetThunder) -> Callable:
    """MoveNet's own heads; the penultimate features are what its heatmap layer reads."""
    heads = _Heads(trunk)
    size = (INPUT_SIDE, INPUT_SIDE)
    net = HookedPredNet(heads, "heatmap.1", lambda trunk: decode_heads(trunk)[:2], "input", "keypoints", size)

    def predict(features: MoveNetFeatures, prompt_norm: Tensor, deviations: bool) -> Prediction:
        output = net.predict(features)
        return _of_heatmaps(output, features.heatmap_logits.sigmoid(), RENDERING_SIGMAS["MoveNet"], deviations)

    return predict


class _Heads(torch.nn.Module):
    """Lets MoveNet's heatmap layer run once more on the trunk's map, so that its input can be read."""

    def __init__(self, trunk: MoveNetThunder):
        super().__init__()
        self.heatmap = trunk.heatmap

    def forward(self, features: MoveNetFeatures) -> MoveNetFeatures:
        return features._replace(heatmap_logits=self.heatmap(features.pyramid4))


def _of_heatmaps(output, heatmaps: Tensor, rendering_sigma: float, deviations: bool) -> Prediction:
    """Complete the prediction of a heatmap network; joints above the usual threshold count in its score (Eq. 5)."""
    found = torch.full(output.scores.shape, torch.inf)
    if deviations:
        flat = heatmaps.float().flatten(0, 1).numpy()
        fitted = sigma_from_heatmap(flat, rendering_sigma, float(HEAD_STRIDE)).reshape(output.scores.shape)
        found = torch.from_numpy(fitted).float()
    visible = (output.scores > USUAL_THRESHOLD).float()
    return Prediction(output.features, output.keypoints_input, output.scores, visible, found)


def _rle_network(head: RleHead, deviation: float) -> Callable:
    net = rle_pred_net(head, "final", (INPUT_SIDE, INPUT_SIDE))

    def predict(trunk: MoveNetFeatures, prompt_norm: Tensor, deviations: bool) -> Prediction:
        with capture(head.final, "output") as seen:
            output = net.predict(trunk)
        scales = seen[-1].float().unflatten(1, (-1, 4))[..., 2:].sigmoid()
        found = scales.square().mean(dim=-1).sqrt() * deviation * INPUT_SIDE
        everywhere = torch.ones_like(output.scores)
        return Prediction(output.features, output.keypoints_input, output.scores, everywhere, found)

    return predict


def _lite_network(net: LitePredNet) -> Callable:
    """The shipped network's own scores, before any calibration file."""

    def predict(image: Tensor, prompt_norm: Tensor, deviations: bool) -> Prediction:
        output = net.predict(image, prompt_norm)
        nowhere = torch.full_like(output.scores, torch.inf)
        return Prediction(output.features, output.keypoints_input, output.scores, output.visibility_scores, nowhere)

    return predict
