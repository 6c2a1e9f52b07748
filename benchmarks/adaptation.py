"""What does lite learn of new joints from few photos? The shape of Click-Pose's Table 12, 17 -> 19 joints.

    python benchmarks/adaptation.py --shared ../shared --out runs/adaptation [--images 0 100 1000] [--persons 300]

Leeds Sports Pose Extended labels a neck and a head top beyond the joints of COCO. The network is adapted on 0, 100 and
1000 of its photos and measured on others: S_n (share of persons, percent, with OKS over .5:.05:.95 after n clicks on
the worst joint, ground-truth boxes) over all labelled joints, the known and the new ones, with clicks on the known
joints only and on all. A stopped run goes on from its working folder.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from clickpose.clicks.click_protocol import ClickProtocol
from clickpose.commands.adapt import AdaptPlan, adapt
from clickpose.data.coco import read_coco_persons
from clickpose.data.flip_audit import exchanged_labels
from clickpose.data.records import PersonRecord
from clickpose.lite.click_evaluation import evaluate_clicks
from clickpose.lite.predictor import DEFAULT_FILE
from clickpose.lite.train import predict_with_trunk
from clickpose.lite.weights import load_lite
from clickpose.skeleton import Skeleton
from clickpose.skeleton_io import load_skeleton

NEW_JOINTS = ("neck", "head_top")
COLUMNS = (0, 1, 2, 3, 4)
SKELETON_FILE = Path(__file__).with_name("lspet19.yaml")


def write_split(lspet: Path, out: Path, skeleton: Skeleton, held_out: int) -> tuple[Path, Path]:
    """Write LSPET with 19 joints as two COCO-format folders: the last ``held_out`` photos for measuring, the rest.

    Returns:
        training folder, test folder.
    """
    content = json.loads((lspet / "annotations.json").read_text())
    for annotation in content["annotations"]:
        for name in NEW_JOINTS:
            x, y, labelled = annotation[name]
            annotation["keypoints"] += [x, y, 2] if labelled else [0, 0, 0]
    content["categories"] = [{"id": 1, "name": "person", "keypoints": list(skeleton.names)}]
    photos = sorted(image["id"] for image in content["images"])
    folders = []
    for name, ids in (("train", set(photos[:-held_out])), ("test", set(photos[-held_out:]))):
        folder = out / f"lspet19_{name}"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "images").exists():
            (folder / "images").symlink_to((lspet / "images").resolve())
        part = {
            "images": [image for image in content["images"] if image["id"] in ids],
            "annotations": [a for a in content["annotations"] if a["image_id"] in ids],
        }
        (folder / "annotations.json").write_text(json.dumps(content | part))
        folders.append(folder)
    return folders[0], folders[1]


def test_persons(folder: Path, weights: Path, skeleton: Skeleton) -> list[PersonRecord]:
    """Return the persons to measure on, without those whose left and right look exchanged."""
    records = read_coco_persons(folder, skeleton)
    network, _ = load_lite(weights)
    poses = predict_with_trunk(network.trunk, records)
    return [r for r, pose in zip(records, poses, strict=True) if not exchanged_labels(r, pose, skeleton)]


def measure(weights: Path, records: Sequence[PersonRecord], clicks: int) -> dict[str, dict[str, float]]:
    """Return S_n by what is clicked and what is measured."""
    network, skeleton = load_lite(weights)
    new = [skeleton.index(name) for name in NEW_JOINTS]
    known = [joint for joint in range(len(skeleton)) if joint not in new]
    measured = {"all": known + new, "known": known, "new": new}
    rows = {}
    for clicked, joints in (("known", tuple(skeleton.names[joint] for joint in known)), ("all", None)):
        result = evaluate_clicks(network.eval(), records, skeleton, ClickProtocol(clicks=clicks, joints=joints))
        for name, chosen in measured.items():
            curve = result.curve_over(chosen)
            figures = {f"S{n}": curve.share_of_persons(n) for n in COLUMNS if n <= clicks}
            rows[f"clicks on {clicked}, {name} joints"] = figures
    return rows


def print_rows(title: str, rows: dict[str, dict[str, float]]) -> None:
    """Print a table in Markdown."""
    columns = list(next(iter(rows.values())))
    print(f"\n### {title}\n\n| |" + "|".join(columns) + "|\n|---|" + "---|" * len(columns))
    for name, row in rows.items():
        print(f"| {name} |" + "|".join(f"{value:.1f}" for value in row.values()) + "|", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/lspet")
    parser.add_argument("--out", type=Path, default=Path("runs/adaptation"), help="working folder")
    parser.add_argument("--images", type=int, nargs="+", default=[0, 100, 1000])
    parser.add_argument("--persons", type=int, default=300, help="held-out photos to measure on")
    parser.add_argument("--clicks", type=int, default=4)
    parser.add_argument("--checkpoint", type=Path, default=DEFAULT_FILE, help="lite weights to adapt")
    parser.add_argument("--trunk-steps", type=int, default=150)
    parser.add_argument("--decoder-steps", type=int, default=500)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(1)
    skeleton = load_skeleton(SKELETON_FILE)
    train, test = write_split(args.shared / "data" / "lspet", args.out, skeleton, args.persons)
    records, figures = None, {}
    for images in args.images:
        plan = AdaptPlan(
            skeleton, train, args.out / f"images{images}", images, start=args.checkpoint, trunk_steps=args.trunk_steps,
            decoder_steps=args.decoder_steps,
        )  # fmt: skip
        weights = adapt(plan, args.device)
        if records is None:  # the same persons for all, chosen by the first network
            records = test_persons(test, plan.out / "untrained.safetensors", skeleton)
            labelled = np.stack([record.labelled for record in records]).sum(axis=0)
            print(f"{len(records)} persons, {labelled[-2]} with a neck, {labelled[-1]} with a head top")
        figures[str(images)] = measure(weights, records, args.clicks)
        print_rows(f"adapted on {images} photos", figures[str(images)])
    (args.out / "figures.json").write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
