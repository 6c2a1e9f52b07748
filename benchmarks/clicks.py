"""How many clicks does the lite network save? Prints S_n, NoC and score figures beside "model + manual correction".

    python benchmarks/clicks.py --shared ../shared [--sets coco_fullres coco_dev] [--out clicks.json] [--quick]

Protocol: every person with a labelled keypoint, ground-truth box; a click puts the worst labelled joint in place; S_n
is the share of persons (percent) with OKS over .5:.05:.95 after n clicks; NoC is capped at 17. The baseline is MoveNet
Thunder as published, each click correcting one joint and moving nothing else.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

import clickpose
from clickpose.data.coco import read_coco_persons
from clickpose.data.records import PersonRecord
from clickpose.lite.click_evaluation import ClickEvaluation, ClickProtocol, evaluate_clicks
from clickpose.lite.train import predict_with_trunk
from clickpose.metrics.clicks import NOC_TARGETS, ClickCurve, manual_correction_curve
from clickpose.metrics.oks import keypoint_oks
from clickpose.networks.movenet import MoveNetThunder
from clickpose.networks.movenet_onnx import read_movenet_onnx

THUNDER = "movenet-thunder-heads.onnx"
CLICKS = (0, 1, 2, 3, 4, 6, 8)
NOISE_SIGMAS = 0.25  # of a click along each axis, in units of 2 sigma · sqrt(area): half the joint's OKS sigma


def thunder_terms_of(records: list[PersonRecord], onnx: Path) -> np.ndarray:
    """Return the baseline's OKS terms (N, K)."""
    trunk = MoveNetThunder()
    trunk.load_state_dict(read_movenet_onnx(onnx))
    poses = predict_with_trunk(trunk, records)
    sigmas = clickpose.COCO.sigma_array
    return np.stack([keypoint_oks(p, r.keypoints, r.area, sigmas) for p, r in zip(poses, records, strict=True)])


def rows_of(evaluation: ClickEvaluation, baseline: ClickCurve, chosen: np.ndarray) -> dict[str, dict[str, float]]:
    """Return the table's rows over the ``chosen`` (N,) bool persons."""
    curves = {
        "MoveNet Thunder + manual": baseline,
        "our trunk + manual": evaluation.trunk_manual,
        "our first pose + manual": evaluation.manual,
        "refined": evaluation.refined,
    }
    return {name: ClickCurve(curve.oks[chosen]).summary(CLICKS) for name, curve in curves.items()}


def print_rows(title: str, rows: dict[str, dict[str, float]]) -> None:
    """Print a table in Markdown."""
    columns = list(next(iter(rows.values())))
    print(f"\n### {title}\n")
    print("| |" + "|".join(columns) + "|\n|---|" + "---|" * len(columns))
    for name, figures in rows.items():
        print(
            f"| {name} |"
            + "|".join(f"{value:.2f}" if "N" in k else f"{value:.1f}" for k, value in figures.items())
            + "|"
        )


def evaluate_set(name: str, args: argparse.Namespace, network: torch.nn.Module) -> dict:
    """Evaluate one data set; print and return its tables."""
    records = read_coco_persons(args.shared / "data" / name)
    thunder = thunder_terms_of(records, args.shared / "weights" / THUNDER)
    worst = evaluate_clicks(network, records, clickpose.COCO)
    baseline = manual_correction_curve(thunder, worst.labelled)
    everyone = np.ones(len(records), bool)
    result = {"all": rows_of(worst, baseline, everyone)}
    print_rows(f"{name}, all {len(records)} persons", result["all"])
    many = worst.labelled.sum(axis=1) >= 10
    result["ten_keypoints"] = rows_of(worst, baseline, many)
    print_rows(f"{name}, {many.sum()} persons with >= 10 labelled keypoints", result["ten_keypoints"])
    saved = {
        f"NoC{round(t * 100)}": 1 - worst.refined.number_of_clicks(t) / baseline.number_of_clicks(t)
        for t in NOC_TARGETS
    }
    result["fewer_clicks"] = saved
    print("\nFewer clicks than MoveNet Thunder + manual: " + ", ".join(f"{k} {v:.1%}" for k, v in saved.items()))
    result["pearson"] = worst.score_correlation()
    result["ece"] = worst.calibration_error()
    print(f"Pearson of predicted instance score and OKS before any click: {result['pearson']:.3f}")
    print(f"Expected calibration error of the joints' predicted OKS before any click: {result['ece']:.4f}")
    if not args.quick:
        result["other_annotators"] = other_annotators(records, network, worst, thunder)
        print_rows(f"{name}, other annotators", result["other_annotators"])
    return result


def other_annotators(
    records, network, worst: ClickEvaluation, thunder_terms: np.ndarray
) -> dict[str, dict[str, float]]:
    """Other click strategies, and clicks with noise of half the joint's OKS sigma (0.25 of 2 sigma · sqrt(area))."""
    rows = {"worst": worst.refined.summary(CLICKS)}
    for strategy in ("lowest_score", "random"):
        rows[strategy] = evaluate_clicks(network, records, clickpose.COCO, ClickProtocol(strategy)).refined.summary(
            CLICKS
        )
    noisy = ClickProtocol(noise_sigmas=NOISE_SIGMAS)
    # A click that is off by (x, y) standard deviations has the OKS term exp(-noise² (x² + y²) / 2).
    off = np.random.default_rng(0).standard_normal((*worst.labelled.shape, 2))
    clicked = np.exp(-(NOISE_SIGMAS**2) * (off**2).sum(-1) / 2)
    for name, terms in (("MoveNet Thunder", thunder_terms), ("our first pose", worst.first_terms)):
        curve = manual_correction_curve(terms, worst.labelled, clicked_terms=clicked)
        rows[f"{name} + manual, noisy clicks"] = curve.summary(CLICKS)
    rows["worst, noisy clicks"] = evaluate_clicks(network, records, clickpose.COCO, noisy).refined.summary(CLICKS)
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/ and weights/")
    parser.add_argument("--sets", nargs="+", default=["coco_fullres", "coco_dev"])
    parser.add_argument("--checkpoint", type=Path, help="other lite weights than the shipped ones")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--quick", action="store_true", help="worst-joint clicks only")
    parser.add_argument("--no-flip-test", action="store_true", help="see nobody mirrored: half the time")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    wanted = [args.shared / "weights" / THUNDER, *(args.shared / "data" / name for name in args.sets)]
    if absent := [str(path) for path in wanted if not path.exists()]:
        parser.error(f"Expected {', '.join(absent)}, got nothing there; CONTRIBUTING.md says what belongs there")
    predictor = clickpose.load(
        "lite", checkpoint=args.checkpoint, threads=args.threads, flip_test=not args.no_flip_test
    )
    print(f"lite weights {predictor.fingerprint}")
    figures = {name: evaluate_set(name, args, predictor.network) for name in args.sets}
    if args.out:
        args.out.write_text(json.dumps({"weights": predictor.fingerprint, "sets": figures}, indent=1))


if __name__ == "__main__":
    main()
