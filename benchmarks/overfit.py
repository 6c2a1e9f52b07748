"""Does the end-to-end training learn? A reduced network overfits eight photos; AP before and after clicks is printed.

The photos are the first ones of ``coco_train`` of 3 by 4 with one to three people, all labelled, shown whole and
unmirrored; the losses are the paper's in full. All photos have one shape: among a handful, a network learns the padding
of a batch by heart as well, and evaluation has none. Evaluated as `clickpose evaluate --boxes detected` does.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

import torch

from clickpose.clicks.click_protocol import ClickProtocol
from clickpose.clicks.interactive import evaluate_predictor
from clickpose.data.formats import read_dataset
from clickpose.data.photos import PhotoScales
from clickpose.data.records import PoseDataset
from clickpose.networks.backbone import BackboneConfig
from clickpose.networks.clickpose import ClickPoseConfig
from clickpose.r50.noise import NoiseConfig
from clickpose.r50.predictor import R50Predictor
from clickpose.r50.task import R50TaskConfig
from clickpose.r50.train import R50Plan, R50Preset, WeightedData, train_r50
from clickpose.training.engine import TrainConfig

SHORT_SIDE, LONG_SIDE = 96, 144
MOST_PEOPLE = 3


def reduced_preset(photos: int) -> R50Preset:
    """Return the paper's modules and losses in a size that two busy cores train in minutes."""
    network = ClickPoseConfig(
        dim=64, heads=4, ffn_dim=128, encoder_layers=2, human_layers=1, keypoint_layers=2, queries=30, persons=6,
        human_codes=4, backbone=BackboneConfig((1, 1, 1, 1), width=16), short_side=SHORT_SIDE, long_side=LONG_SIDE,
    )  # fmt: skip
    train = TrainConfig(
        batch_size=photos, learning_rate=1e-3, trunk_learning_rate=1e-3, weight_decay=0.0, clip_norm=5.0,
        warmup_steps=50, decay_share=0.4, ema_decay=0.98, workers=0, checkpoint_steps=100, bf16=False,
    )  # fmt: skip
    task = R50TaskConfig(noise=NoiseConfig(groups=4, queries=8, pose_variants=1, click_rounds=(2,)), refined_persons=3)
    return R50Preset(network, train, 1, PhotoScales.plain(SHORT_SIDE, LONG_SIDE), task)


def easy_photos(data: PoseDataset, count: int) -> PoseDataset:
    """Return the first ``count`` photos as the module docstring says."""
    ignored = {person.image_id for person in data.ignored}
    people = data.persons_by_image()
    chosen = [
        image
        for image in data.images
        if image.image_hw[0] * 4 == image.image_hw[1] * 3
        and 1 <= len(people[image.image_id]) <= MOST_PEOPLE
        and image.image_id not in ignored
    ][:count]
    ids = {image.image_id for image in chosen}
    return dataclasses.replace(
        data, images=chosen, persons=[person for person in data.persons if person.image_id in ids], ignored=[]
    )


def main() -> None:
    """Train, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared")
    parser.add_argument("--out", type=Path, default=Path("runs/overfit"), help="a stopped run goes on from it")
    parser.add_argument("--photos", type=int, default=8)
    parser.add_argument("--steps", type=int, default=450)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = easy_photos(read_dataset(options.shared / "data" / "coco_train"), options.photos)
    start = time.process_time()
    plan = R50Plan([WeightedData(data)], reduced_preset(len(data.images)), options.out, steps=options.steps)
    weights = train_r50(plan)
    seconds = time.process_time() - start
    predictor = R50Predictor.load(weights, min_score=0.05)
    rows = evaluate_predictor(predictor, data, ClickProtocol(clicks=4), detect=True)
    print(f"{len(data.images)} photos, {len(data.persons)} people, {options.steps} steps, {seconds:.0f} s of CPU")
    for name, row in rows.items():
        figures = ", ".join(f"C{n} {row.average_precision(n):.1f}" for n in range(row.clicks + 1))
        print(f"r50 {name}: {figures}; {row.missed} people missed")


if __name__ == "__main__":
    main()
