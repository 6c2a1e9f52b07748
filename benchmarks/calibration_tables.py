"""The calibration paper's tables at our scale: do the closed form and CCNet repair four networks' confidences?

    python benchmarks/calibration_tables.py --shared ../shared [--out runs/calibration] [--quick]
    python benchmarks/calibration_tables.py --lite runs/lite2/lite.safetensors --features runs/lite2/features

Trains a heatmap network (SBL) and a regression network (RLE) on frozen features, takes MoveNet's own heads and the
shipped lite network beside them, fits CCNet on ``coco_train``, and evaluates on ``coco_dev`` with annotated boxes.
Prints, and writes into the working folder: ``tables.md``, ``figures.json``, ``reliability.png``, ``occlusion.png``,
``aggregation.png``. What is finished in the working folder is not done again. Brackets are 95 % bootstrap intervals
over photos (Table 3: over simulations; Table 6: over bodies). Allow an hour or more on one core, most of it for
running the networks over ``coco_train``; ``--persons 3000`` takes about half of it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from calibration_study import body_fitting, occlusion, plots, tables, wholebody
from calibration_study.networks import NetworkRun, Settings, build_networks, predict_persons
from calibration_study.tables import Confidences, Evaluation

from clickpose.data.coco import read_coco_dataset
from clickpose.metrics.bootstrap import Comparison, Interval

SPLITS = ("coco_train", "coco_dev")
WHOLEBODY = Path("fixtures/datasets/coco/test_coco_wholebody.json")
TABLE_4 = ("AUSE-PCK0.5", "AUSE-PCK0.1")
TABLE_5 = (
    "Pearson, persons", "Pearson, joints", "AUSE, persons", "AUSE, joints", "ECE, persons", "ECE, joints",
    "Brier, joints",
)  # fmt: skip
_TIMES_100 = ("AP", "AR", "AUSE", "ECE")
_FEWEST_JOINTS = 12  # labelled, of a real person whose errors are given to a body


class Report:
    """Collects tables as Markdown and as JSON.

    Args:
        out: working folder.
    """

    def __init__(self, out: Path):
        self.out = out
        self.lines: list[str] = []
        self.figures: dict = {}

    def add(self, key: str, title: str, rows: list[list[str]], figures) -> None:
        """Print a table, whose first row is the header, and keep it with its figures; writes the files anew."""
        lines = [f"### {title}", "", *(f"| {' | '.join(row)} |" for row in rows), ""]
        lines.insert(3, "|" + "---|" * len(rows[0]))
        print("\n".join(lines), flush=True)
        self.lines += lines
        self.figures[key] = figures
        (self.out / "tables.md").write_text("\n".join(self.lines), encoding="utf-8")
        (self.out / "figures.json").write_text(json.dumps(self.figures, indent=1), encoding="utf-8")


def interval_text(interval: Interval, scale: float = 1.0) -> str:
    """Write value and interval with one digit."""
    low, value, high = (scale * x for x in (interval.low, interval.value, interval.high))
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def change_text(name: str, figure: Comparison) -> str:
    """Write before -> after and the change with its interval."""
    scale = 100.0 if name.startswith(_TIMES_100) else 1.0
    digits = 2 if scale > 1 else 3
    ends = (f"{scale * x:+.{digits}f}" for x in (figure.change.value, figure.change.low, figure.change.high))
    value, low, high = ends
    return (
        f"{scale * figure.before.value:.{digits}f} → {scale * figure.after.value:.{digits}f} ({value} [{low}, {high}])"
    )


def change_rows(first: str, table: Mapping[str, Mapping[str, Comparison]], names) -> list[list[str]]:
    """Return header and rows: a line each network, a column each figure."""
    rows = [[first, *(f"{name} (%)" if name.startswith(_TIMES_100) else name for name in names)]]
    return rows + [[key, *(change_text(name, figures[name]) for name in names)] for key, figures in table.items()]


def evaluations(settings: Settings, runs: Mapping[str, Mapping[str, NetworkRun]]) -> dict[str, Evaluation]:
    """Join predictions and annotations by network."""
    folder = settings.shared / "data" / "coco_dev"
    dataset = read_coco_dataset(folder / "annotations.json", folder / "images")
    records = dataset.persons[: settings.persons]
    kept = {record.image_id for record in records}
    dataset = replace(dataset, persons=records, ignored=[p for p in dataset.ignored if p.image_id in kept])
    truth, training_records = dataset.truth(), settings.records("coco_train")
    return {
        name: Evaluation(truth, records, run, runs["coco_train"][name], training_records)
        for name, run in runs["coco_dev"].items()
    }


def ranking_tables(report: Report, found: dict[str, Evaluation], heads, settings: Settings) -> dict[str, Confidences]:
    """Tables 1, 2, 4 and 5; returns CCNet's confidences by network."""
    draws = settings.resamples
    first = {name: tables.table1(evaluation, draws) for name, evaluation in found.items()}
    columns = ("original", "constant", "mean area", "predicted area", "ground-truth area", "OKS as score")
    rows = [["AP (%), change against original", *columns]]
    for name, cells in first.items():
        rows.append([name, *(_table1_cell(column, cells.get(column)) for column in columns)])
    report.add("table1", "Table 1: what persons are ranked by", rows, tables.as_json(first))

    calibrated = {name: tables.apply_head(heads[name], evaluation) for name, evaluation in found.items()}
    second = {name: tables.table2(evaluation, calibrated[name], draws) for name, evaluation in found.items()}
    report.add("table2", "Table 2: + CCNet", change_rows("", second, ("AP", "AR", "AP_medium", "AP_large")),
               tables.as_json(second))  # fmt: skip
    changes = {n: tables.calibration_change(evaluation, calibrated[n], draws) for n, evaluation in found.items()}
    report.add("table4", "Table 4: AUSE-PCK of joints, original → CCNet", change_rows("", changes, TABLE_4),
               tables.as_json({n: {k: v[k] for k in TABLE_4} for n, v in changes.items()}))  # fmt: skip
    report.add("table5", "Table 5: original → CCNet", change_rows("", changes, TABLE_5), tables.as_json(changes))
    return calibrated


def _table1_cell(column: str, figure: Comparison | None) -> str:
    if figure is None:
        return "–"
    if column == "original":
        return interval_text(figure.after, 100)
    value, low, high = (100 * x for x in (figure.change.value, figure.change.low, figure.change.high))
    return f"{100 * figure.after.value:.1f} ({value:+.1f} [{low:+.1f}, {high:+.1f}])"


def other_tables(report: Report, found: dict[str, Evaluation], calibrated: dict, settings: Settings) -> None:
    """Fig. 4, Fig. g and the supplement's losses."""
    ways = {n: tables.aggregations(evaluation, calibrated[n], settings.resamples) for n, evaluation in found.items()}
    rows = {f"{name}: {way}": figures for name, by_way in ways.items() for way, figures in by_way.items()}
    report.add("figure4", "Fig. 4: from joints to a person, CCNet's scores, change against the plain mean",
               change_rows("", rows, ("AP", "Pearson, persons", "ECE, persons")), tables.as_json(ways))  # fmt: skip
    plots.plot_aggregation(settings.out / "aggregation.png", ways)
    samples = {
        name: {"original": evaluation.sample(evaluation.original()), "CCNet": evaluation.sample(calibrated[name])}
        for name, evaluation in found.items()
    }
    plots.plot_reliability(settings.out / "reliability.png", samples)
    by_loss = {
        n: tables.losses(evaluation, settings.ccnet_epochs, settings.resamples) for n, evaluation in found.items()
    }
    rows = {f"{name}: {loss}": figures for name, table in by_loss.items() for loss, figures in table.items()}
    names = list(next(iter(rows.values())))
    report.add("supplement_g", "Supplement, Table g: CCNet's loss, original → calibrated",
               change_rows("", rows, names), tables.as_json(by_loss))  # fmt: skip


def wholebody_table(report: Report, settings: Settings) -> None:
    """Table 3."""
    path = settings.shared / WHOLEBODY
    if not path.exists():
        print(f"Table 3 left out: {path} is absent", flush=True)
        return
    table = wholebody.table3(path)
    title = "Table 3: COCO-WholeBody, simulated predictions, AP (%) by part"
    report.add("table3", title, wholebody.rows_for_table(table), table)


def body_table(report: Report, found: dict[str, Evaluation], calibrated: dict[str, Confidences]) -> None:
    """Table 6, with the errors and confidences of the two networks trained here and MoveNet's."""
    figures = {}
    for name in ("SBL", "RLE", "MoveNet"):
        evaluation = found[name]
        enough = (evaluation.visibility > 0).sum(axis=1) >= _FEWEST_JOINTS
        records = [record for record, good in zip(evaluation.records, enough, strict=True) if good]
        if not records:
            continue
        labelled = np.stack([record.labelled for record in records])
        truth, area = np.stack([r.keypoints for r in records]), np.array([r.area for r in records])
        errors = (evaluation.run.keypoints[enough] - truth) / np.sqrt(area)[:, None, None] * labelled[..., None]
        weightings = {
            "no weights": labelled.astype(float),
            "original": evaluation.run.scores[enough] * labelled,
            "CCNet": calibrated[name].keypoints[enough] * labelled,
            "OKS": evaluation.run.table.oks.numpy()[enough].astype(float),
        }
        figures[name] = body_fitting.table6(errors, weightings)
    columns = list(next(iter(figures.values()), {}))
    rows = [["PA-MPJPE, mm", *columns]]
    rows += [[name, *(interval_text(cells[c]) for c in columns)] for name, cells in figures.items()]
    values = {n: {c: [i.value, i.low, i.high] for c, i in cells.items()} for n, cells in figures.items()}
    if figures:
        report.add("table6", "Table 6: 3D bodies fitted to keypoints, by weight of the joints", rows, values)


def main() -> None:
    """Run the study."""
    settings = parse_settings()
    settings.out.mkdir(parents=True, exist_ok=True)
    report = Report(settings.out)
    wholebody_table(report, settings)
    networks = build_networks(settings)
    runs = {split: predict_persons(networks, settings, split, split == "coco_dev") for split in SPLITS}
    heads = {n: tables.fit_head(run.table, settings.ccnet_epochs) for n, run in runs["coco_train"].items()}
    found = evaluations(settings, runs)
    calibrated = ranking_tables(report, found, heads, settings)
    other_tables(report, found, calibrated, settings)
    body_table(report, found, calibrated)
    curves = occlusion.occlusion_curves(networks, heads, next(iter(found.values())).records)
    plots.plot_occlusion(settings.out / "occlusion.png", curves)
    rows = [["mean OKS / original / CCNet by patch (px)", *map(str, occlusion.PATCHES), "r original", "r CCNet"]]
    for name, values in curves.items():
        triples = zip(*(values[curve] for curve in ("OKS", "original", "CCNet")), strict=True)
        cells = [" / ".join(f"{mean:.2f}" for mean, _ in triple) for triple in triples]
        rows.append([name, *cells, *(f"{values['pearson'][c]:.2f}" for c in ("original", "CCNet"))])
    report.add("figure3", "Fig. 3: a blurred patch hides a wrist", rows, curves)


def parse_settings() -> Settings:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/, weights/, fixtures/")
    parser.add_argument("--out", type=Path, default=Path("runs/calibration"), help="working folder")
    parser.add_argument("--lite", type=Path, help="lite weights, of whose trunk the features are; default: the shipped")
    parser.add_argument("--features", type=Path, help="feature cache of that trunk (RUN/features of clickpose train)")
    parser.add_argument("--heatmap-steps", type=int, default=Settings.heatmap_steps)
    parser.add_argument("--rle-steps", type=int, default=Settings.rle_steps)
    parser.add_argument("--persons", type=int, help="of each split, at most")
    parser.add_argument("--epochs", type=int, default=Settings.ccnet_epochs, help="of CCNet")
    parser.add_argument("--resamples", type=int, default=Settings.resamples, help="bootstrap draws")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--quick", action="store_true", help="a minute's run on 60 persons: shows that it works, no more"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    effort = {
        "heatmap_steps": args.heatmap_steps, "rle_steps": args.rle_steps, "persons": args.persons,
        "ccnet_epochs": args.epochs, "resamples": args.resamples,
    }  # fmt: skip
    if args.quick:
        effort = {"heatmap_steps": 20, "rle_steps": 40, "persons": 60, "ccnet_epochs": 2, "resamples": 10}
    return Settings(args.shared, args.out, args.lite, args.features, **effort)


if __name__ == "__main__":
    main()
