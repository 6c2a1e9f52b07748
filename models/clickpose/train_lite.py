"""``clickpose train``: the lite network from COCO-format folders to a weights file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from clickpose.data.coco import PersonRecord, read_coco_persons
from clickpose.data.flip_audit import exchanged_labels
from clickpose.data.persons import Augmentation, PersonDataset, collate
from clickpose.engine import TrainConfig, Trainer
from clickpose.frames import CropFrame
from clickpose.lite_training import LiteTask, LiteTaskConfig
from clickpose.networks.lite import LiteConfig, LiteNetwork
from clickpose.networks.movenet import MoveNetThunder, decode_heads
from clickpose.networks.movenet_onnx import read_movenet_onnx
from clickpose.skeleton import COCO
from clickpose.weights_io import save_weights


def predict_with_trunk(trunk: MoveNetThunder, records: Sequence[PersonRecord], batch_size: int = 32) -> np.ndarray:
    """Return the pretrained trunk's own keypoints (N, K, 2) px, from ground-truth boxes, in float32."""
    loader = DataLoader(PersonDataset(list(records), COCO), batch_size, collate_fn=collate, num_workers=1)
    trunk = trunk.eval().to(memory_format=torch.channels_last)
    poses = []
    with torch.inference_mode():
        for batch in tqdm(loader, desc="predicting with the trunk", unit="batch", leave=False):
            image = batch.image.float().contiguous(memory_format=torch.channels_last) * (2 / 255) - 1
            poses.append(decode_heads(trunk(image)).keypoints_input.float().numpy() / batch.image.shape[-1])
    frames = [CropFrame.around_box(record.box_xyxy, 1) for record in records]
    return np.stack([frame.from_norm(pose) for frame, pose in zip(frames, np.concatenate(poses), strict=True)])


def drop_exchanged_labels(
    records: list[PersonRecord], trunk: MoveNetThunder, cache: Path
) -> tuple[list[PersonRecord], int]:
    """Leave out persons whose left and right look exchanged; remembers the verdicts in ``cache`` (JSON).

    Returns:
        the persons kept, and how many were dropped.
    """
    if cache.exists():
        bad = set(json.loads(cache.read_text()))
    else:
        poses = predict_with_trunk(trunk, records)
        pairs = zip(records, poses, strict=True)
        bad = {record.annotation_id for record, pose in pairs if exchanged_labels(record, pose, COCO)}
        cache.write_text(json.dumps(sorted(bad)))
    kept = [record for record in records if record.annotation_id not in bad]
    return kept, len(records) - len(kept)


def train_lite(
    folders: Sequence[tuple[Path, float]],
    trunk_onnx: Path,
    out: Path,
    config: TrainConfig | None = None,
    task_config: LiteTaskConfig | None = None,
    network_config: LiteConfig | None = None,
    device: str = "cpu",
) -> Trainer:
    """Train, or resume the training in ``out``.

    Args:
        folders: COCO-format folders (``annotations.json``, ``images/``), each with how often an epoch shows it.
        trunk_onnx: the published MoveNet Thunder weights.
        out: folder for checkpoint, log and verdicts.
        config, task_config, network_config: sizes and rates.
        device: torch device.
    """
    config = config or TrainConfig()
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    network = LiteNetwork(network_config)
    network.trunk.load_state_dict(read_movenet_onnx(trunk_onnx))
    records, weights = [], []
    for folder, weight in folders:
        found, dropped = drop_exchanged_labels(
            read_coco_persons(folder), network.trunk, out / f"exchanged_labels_{folder.name}.json"
        )
        print(f"{folder.name}: {len(found)} persons, {dropped} left out (left and right exchanged)", flush=True)
        records += found
        weights += [weight] * len(found)
    dataset = PersonDataset(records, COCO, network.config.input_side, Augmentation(), seed=config.seed)
    task = LiteTask(network, COCO, task_config)
    trainer = Trainer(task, dataset, weights, collate, config, out, device)
    trainer.run()
    return trainer


def export_weights(checkpoint: Path, out: Path, notes: dict[str, str] | None = None) -> None:
    """Write the averaged weights of a training checkpoint as a weights file, with its provenance.

    Args:
        checkpoint: ``checkpoint.pt`` of a run.
        out: ``.safetensors`` file to write.
        notes: more metadata, such as the data used.
    """
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    metadata = {
        "kind": "lite", "skeleton": COCO.name, "steps": str(state["step"]), "training": state["config"],
        **(notes or {}),
    }  # fmt: skip
    save_weights(out, state["average"], metadata)
