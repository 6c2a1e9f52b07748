"""One of the processes that share a training step: ``torchrun --nproc-per-node 2 -m helpers.r50_training FOLDER``.

Imported, it gives the one that works alone the same task and batches.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from clickpose.data.photos import PhotoDataset, PhotoScales, collate_photos
from clickpose.data.records import ImageRecord, PersonRecord, PoseDataset
from clickpose.networks.backbone import BackboneConfig, normalise_pixels
from clickpose.networks.clickpose import ClickPose, ClickPoseConfig
from clickpose.r50.checkpoint import save_network
from clickpose.r50.noise import NoiseConfig
from clickpose.r50.task import R50Task, R50TaskConfig, fit_normalisation, prepare_for_training
from clickpose.skeleton import COCO
from clickpose.training.engine import TrainConfig, Trainer
from clickpose.training.processes import join_processes, rank_and_world

TINY = ClickPoseConfig(
    dim=32, heads=4, ffn_dim=24, encoder_layers=1, human_layers=2, keypoint_layers=2, queries=12, persons=5,
    human_codes=4, backbone=BackboneConfig((1, 1, 1, 1), width=4), short_side=64, long_side=96,
)  # fmt: skip
TASK = R50TaskConfig(noise=NoiseConfig(groups=3, queries=6, pose_variants=2, click_rounds=(1, 2)), refined_persons=4)


def people_dataset(folder: Path, count: int = 4) -> PoseDataset:
    """Write ``count`` photos of noise, all of one size, with one to three made-up people each; one has a crowd."""
    images, persons, crowds = [], [], []
    for number in range(count):
        rng = np.random.default_rng(number)
        path = folder / f"{number}.png"
        pixels = rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)
        if not path.exists():  # the other process may be reading it
            Image.fromarray(pixels).save(path)
        images.append(ImageRecord(number, path, (64, 96)))
        for _ in range(1 + number % 3):
            center, half = rng.uniform([25, 20], [70, 44]), rng.uniform(10, 18, 2)
            points, visibility = center + rng.uniform(-1, 1, (17, 2)) * half, rng.integers(0, 3, 17)
            visibility[0] = 2
            box, area = np.concatenate([center - half, center + half]), 2 * half.prod()
            identity = len(persons)
            persons.append(
                PersonRecord(
                    annotation_id=identity,
                    image_path=path,
                    image_hw=(64, 96),
                    keypoints=points,
                    visibility=visibility,
                    box_xyxy=box,
                    area=area,
                    visibility_known=True,
                    image_id=number,
                )
            )
    crowds.append(
        PersonRecord(
            annotation_id=99,
            image_path=images[0].path,
            image_hw=(64, 96),
            keypoints=np.zeros((17, 2)),
            visibility=np.zeros(17, int),
            box_xyxy=np.array([0.0, 0, 30, 30]),
            area=500.0,
            visibility_known=True,
            image_id=0,
            crowd=True,
        )
    )
    return PoseDataset(name="noise", skeleton=COCO, images=images, persons=persons, ignored=crowds)


def make_task(dataset: PhotoDataset, config: R50TaskConfig = TASK, seed: int = 0, moving: bool = True) -> R50Task:
    """Return a task with a fresh network; ``moving``: its heads are random, so that every part gets a gradient."""
    torch.manual_seed(seed)
    network = ClickPose(TINY)
    prepare_for_training(network)
    fit_normalisation(network.backbone, normalise_pixels(collate_photos([dataset[0], dataset[1]]).image))
    if moving:
        for name, parameter in network.named_parameters():
            if name.endswith("layers.2.weight") or "sampling_offsets.weight" in name or "attention_weights" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    return R50Task(network, COCO, config)


def save_start(path: Path) -> Path:
    """Write the weights of a fresh network, to start from without looking at photos."""
    save_network(path, ClickPose(TINY), COCO)
    return path


def make_trainer(folder: Path, out: Path, **changes) -> Trainer:
    """Return a trainer on the photos in ``folder``, without a bound on the gradients unless one is given."""
    dataset = PhotoDataset(people_dataset(folder), PhotoScales.plain(64, 96))
    settings = {"steps": 6, "batch_size": 4, "learning_rate": 1e-3, "trunk_learning_rate": 1e-3, "warmup_steps": 2,
                "workers": 0, "checkpoint_steps": 3, "bf16": False, "clip_norm": 1e9} | changes  # fmt: skip
    return Trainer(make_task(dataset), dataset, [1.0] * len(dataset), collate_photos, TrainConfig(**settings), out)


def step_of(trainer: Trainer, photos: list[int]) -> None:
    """Take one step on some photos; their random numbers are those of step 0."""
    trainer.train_step(collate_photos([trainer.dataset[(i, 0)] for i in photos]))


if __name__ == "__main__":
    place = Path(sys.argv[1])
    torch.set_num_threads(1)
    assert join_processes("cpu") == "cpu"
    rank, world = rank_and_world()
    trainer = make_trainer(place, place / f"rank{rank}")
    step_of(trainer, list(range(rank, 4, world)))
    gradients = {name: parameter.grad for name, parameter in trainer.model.named_parameters()}
    torch.save(gradients, place / f"gradients{rank}.pt")
