"""What do pose-error modelling and the feedback loop bring? The shape of Click-Pose's Tables 9 to 11, on lite.

    python benchmarks/ablation.py --features runs/lite/features/part* --weights runs/lite/lite.safetensors
        [--out runs/ablation] [--steps 800] [--persons 300]

Small decoders are trained on cached trunk features, alike but for what is ablated: without and with pose-error
modelling, and with the loop besides. Each is measured with clicks on the worst joint (Table 9), the last one also with
the other click strategies (Table 10) and with all clicks given at once (Table 11). S_n: share of persons, percent, with
OKS over .5:.05:.95 after n clicks, ground-truth boxes; NoC: clicks a person until its OKS, at most 17. A stopped
training goes on from the working folder.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.data import default_collate

import clickpose
from clickpose.clicks.click_protocol import ClickProtocol
from clickpose.data.coco import read_coco_persons
from clickpose.data.feature_cache import FeatureCache
from clickpose.data.records import PersonRecord
from clickpose.lite.click_evaluation import evaluate_clicks
from clickpose.lite.task import CachedLiteTask, LiteTaskConfig
from clickpose.lite.weights import load_lite
from clickpose.networks.lite import LiteConfig, LiteNetwork
from clickpose.networks.lite_decoder import DecoderConfig
from clickpose.training.engine import TrainConfig, Trainer
from clickpose.training.plan import describe_plan, keep_plan

VARIANTS = {
    "neither": LiteTaskConfig(pose_error_modelling=False, click_rounds=()),
    "pose errors": LiteTaskConfig(click_rounds=()),
    "pose errors + loop": LiteTaskConfig(),
}
FULL = "pose errors + loop"
CLICKS = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class VariantPlan:
    """What a variant's working folder is for; ``features`` are the sources of the cache's parts."""

    task: LiteTaskConfig
    train: TrainConfig
    decoder: DecoderConfig
    weights: Path
    features: tuple[str | None, ...]


def train_variant(name: str, weights: Path, cache: FeatureCache, out: Path, steps: int, device: str) -> LiteNetwork:
    """Train, or go on training, neck and decoder of one variant; the trunk is that of ``weights``."""
    torch.manual_seed(0)
    decoder = DecoderConfig(flip_pairs=clickpose.COCO.flip_pairs, dim=96, layers=3, ffn_dim=288)
    network = LiteNetwork(LiteConfig(decoder=decoder))
    network.trunk.load_state_dict(load_lite(weights)[0].trunk.state_dict())
    # Without pose errors and loop no joint is ever fixed in training: what marks fixed joints must not be noise then.
    torch.nn.init.zeros_(network.decoder.fixed_flag)
    config = TrainConfig(steps=steps, learning_rate=1e-3, clip_norm=2.0, ema_decay=0.995, checkpoint_steps=50)
    task = CachedLiteTask(network, clickpose.COCO, VARIANTS[name])
    folder = out / name.replace(" + ", "_").replace(" ", "_")
    keep_plan(folder, describe_plan(VariantPlan(task.config, config, decoder, weights, cache.source), ("train.steps",)))
    trainer = Trainer(task, cache, [1.0] * len(cache), default_collate, config, folder, device)
    print(f"training {name!r}: {len(cache)} views, step {trainer.step} of {steps}", flush=True)
    trainer.run()
    network.load_state_dict(trainer.average)
    return network.to("cpu").eval()


def measure(network: LiteNetwork, records: Sequence[PersonRecord], protocol: ClickProtocol) -> dict[str, float]:
    """Return S_n and NoC."""
    return evaluate_clicks(network, records, clickpose.COCO, protocol).refined.summary(CLICKS)


def print_rows(title: str, rows: dict[str, dict[str, float]]) -> None:
    """Print a table in Markdown."""
    columns = list(next(iter(rows.values())))
    print(f"\n### {title}\n\n| |" + "|".join(columns) + "|\n|---|" + "---|" * len(columns))
    for name, row in rows.items():
        cells = (f"{value:.2f}" if "N" in column else f"{value:.1f}" for column, value in row.items())
        print(f"| {name} |" + "|".join(cells) + "|", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, nargs="+", required=True, help="parts of a feature cache")
    parser.add_argument("--weights", type=Path, required=True, help="lite weights whose trunk made the features")
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/")
    parser.add_argument("--set", default="coco_fullres", help="data set to measure on")
    parser.add_argument("--persons", type=int, help="only the first so many persons")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"), help="working folder")
    parser.add_argument("--steps", type=int, default=800, help="training steps of each variant")
    parser.add_argument("--clicks", type=int, default=17)
    parser.add_argument("--device", default="cpu", help="of the training")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    records = read_coco_persons(args.shared / "data" / args.set)[: args.persons]
    cache = FeatureCache(*sorted(args.features))
    figures: dict[str, dict[str, dict[str, float]]] = {"training": {}, "strategies": {}, "loops": {}}
    networks = {n: train_variant(n, args.weights, cache, args.out, args.steps, args.device) for n in VARIANTS}
    plain = ClickProtocol(clicks=args.clicks)
    figures["training"] = {name: measure(network, records, plain) for name, network in networks.items()}
    print_rows(f"trained with (worst joint, progressive; {len(records)} persons)", figures["training"])
    others = {name: ClickProtocol(name, clicks=args.clicks) for name in ("random", "lowest_score")}
    strategies = {name: measure(networks[FULL], records, protocol) for name, protocol in others.items()}
    figures["strategies"] = strategies | {"worst": figures["training"][FULL]}
    print_rows("clicked joint", figures["strategies"])
    once = measure(networks[FULL], records, ClickProtocol(clicks=args.clicks, loop="once"))
    figures["loops"] = {"once": once, "progressive": figures["training"][FULL]}
    print_rows("loop", figures["loops"])
    (args.out / "figures.json").write_text(json.dumps({"steps": args.steps, **figures}, indent=1))


if __name__ == "__main__":
    main()
