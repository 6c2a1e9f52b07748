"""The calibration paper's tables at our scale: do the closed form and CCNet repair four networks' confidences?

    python benchmarks/calibration_tables.py --shared ../shared [--out runs/calibration] [--quick]
    python benchmarks/calibration_tables.py --networks lite --lite runs/mine/lite.safetensors   # the others stay
    python benchmarks/calibration_tables.py --networks --write docs/calibration-tables.md       # measures nothing

Trains a heatmap network (SBL) and a regression network (RLE) on frozen features, takes MoveNet's own heads and the
shipped lite network beside them, fits CCNet on ``coco_train``, and evaluates on ``coco_dev`` with annotated boxes.
Writes into the working folder ``figures/NETWORK.json`` (what was measured), and of all that lie there ``tables.md``,
``reliability.png``, ``occlusion.png`` and ``aggregation.png``; ``--write`` puts the tables between their marks in a
page and the pictures beside it. Heads, predictions and figures of the same weights that are there are not made again;
after a change of the study itself delete ``figures/``. Brackets are 95 % bootstrap intervals over photos (Table 3: over
simulations; Table 6: over bodies). The first run takes about half an hour on one core, most of it for running the
networks over ``coco_train``; ``--persons 3000`` takes about half of it.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from calibration_study import body_fitting, occlusion, plots, tables, wholebody
from calibration_study.anny_body import AnnyBody, load_skin
from calibration_study.body_fitting import Body
from calibration_study.networks import NAMES, RENDERING_SIGMAS, Networks, Settings, build_networks, predict_persons
from calibration_study.rendering import all_tables, write_into
from calibration_study.stick_body import StickBody
from calibration_study.tables import Confidences, Evaluation, as_json

from clickpose.calibration.expected_oks import with_common_tolerance
from clickpose.data.coco import read_coco_dataset
from clickpose.metrics.reliability import reliability_diagram
from clickpose.networks.ccnet import CCNet
from clickpose.skeleton import COCO

WHOLEBODY = Path("fixtures/datasets/coco/test_coco_wholebody.json")
_FEWEST_JOINTS = 12  # labelled, of a real person whose errors are given to a body


def main() -> None:
    """Measure what is wanted, and show all that was ever measured."""
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    settings = settings_of(args)
    figures = settings.out / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    if settings.networks:
        measure_wholebody(settings, figures / "wholebody.json")
        measure(settings, choose_body(args.body, settings.out), figures)
    show(settings.out, args.write)


def measure(settings: Settings, body: Body, folder: Path) -> None:
    """Measure each wanted network and write its JSON file; what such a file holds of the same weights stays."""
    networks = build_networks(settings)
    training = predict_persons(networks, settings, "coco_train")
    evaluated = evaluations(settings, training, predict_persons(networks, settings, "coco_dev", deviations=True))
    heads = {name: tables.fit_head(run.table, settings.ccnet_epochs) for name, run in training.items()}
    for name, evaluation in evaluated.items():
        path, source = folder / f"{name}.json", provenance(name, evaluation, networks, settings, body)
        if not _holds(path, source):
            print(f"measuring {name}", flush=True)
            _write_json(path, source | measure_network(evaluation, heads[name], settings, body))
    hide_wrists(networks, settings, training, heads, next(iter(evaluated.values())).records, folder)


def hide_wrists(networks: Networks, settings: Settings, training, heads, records, folder: Path) -> None:
    """Add Fig. 3, which runs the networks once more, to the JSON files of networks that lack it."""
    paths = {net.name: folder / f"{net.name}.json" for net in networks.members}
    lacking = {name: path for name, path in paths.items() if "figure3" not in _read_json(path)}
    if not lacking:
        return
    some = replace(networks, members=tuple(net for net in networks.members if net.name in lacking))
    hidden = predict_persons(some, settings, "coco_train", variant=occlusion.hidden_wrists())
    pairs = {}
    for name in lacking:
        table = occlusion.with_hidden_wrists(training[name].table, hidden[name].table)
        pairs[name] = (heads[name], tables.fit_head(table, settings.ccnet_epochs))
    curves = occlusion.occlusion_curves(some, pairs, records, settings.wrists)
    for name, path in lacking.items():
        _write_json(path, _read_json(path) | {"figure3": curves[name]})


def provenance(name: str, evaluation: Evaluation, networks: Networks, settings: Settings, body: Body) -> dict:
    """Return which weights are measured, on how many persons, and with what effort."""
    (source,) = (net.source for net in networks.members if net.name == name)
    return {
        "weights": source, "fitted on": len(evaluation.training_records), "measured on": len(evaluation.records),
        "epochs": settings.ccnet_epochs, "resamples": settings.resamples, "body": body.name,
    }  # fmt: skip


def _holds(path: Path, source: dict) -> bool:
    """Tell whether a JSON file holds figures of the same source."""
    return path.exists() and source.items() <= _read_json(path).items()


def evaluations(settings: Settings, training, runs) -> dict[str, Evaluation]:
    """Join predictions and annotations by network."""
    folder = settings.shared / "data" / "coco_dev"
    dataset = read_coco_dataset(folder / "annotations.json", folder / "images")
    records = dataset.persons[: settings.persons]
    kept = {record.image_id for record in records}
    dataset = replace(dataset, persons=records, ignored=[p for p in dataset.ignored if p.image_id in kept])
    truth, training_records = dataset.truth(), settings.records("coco_train")
    return {
        name: Evaluation(truth, records, run, training[name], training_records, RENDERING_SIGMAS.get(name))
        for name, run in runs.items()
    }


def measure_network(evaluation: Evaluation, head: CCNet, settings: Settings, body: Body) -> dict:
    """Return every table's figures of a network as what JSON can hold."""
    draws, calibrated = settings.resamples, tables.apply_head(head, evaluation)
    found = {
        "table1": tables.table1(evaluation, draws),
        "table2": tables.table2(evaluation, calibrated, draws),
        "table4": tables.table4(evaluation, calibrated, draws),
        "table5": tables.calibration_change(evaluation, calibrated, draws),
        "figure4": tables.aggregations(evaluation, calibrated, draws),
        "supplement_g": tables.losses(evaluation, settings.ccnet_epochs, draws),
    }
    curves = {"original": evaluation.original(), "CCNet": calibrated}
    return as_json(found) | {
        "table6": {"body": body.name, "error": as_json(fit_bodies(evaluation, calibrated, body))},
        "reliability": {name: _reliability(evaluation, confidences) for name, confidences in curves.items()},
    }


def _reliability(evaluation: Evaluation, confidences: Confidences) -> dict:
    sample = evaluation.sample(confidences)
    diagram = reliability_diagram(sample.scores[sample.labelled], sample.oks[sample.labelled])
    curve = {name: getattr(diagram, name).tolist() for name in ("scores", "outcomes", "low", "high")}
    return curve | {"ece": diagram.ece}


def fit_bodies(evaluation: Evaluation, calibrated: Confidences, body: Body) -> dict:
    """Table 6: give bodies the errors and confidences that the network has on real persons.

    Weights are relations among joints; OKS forgives joints of one kind more than of another, a body does not: scores
    that mean OKS are also given one tolerance for all joints, that of the fit.
    """
    enough = (evaluation.visibility > 0).sum(axis=1) >= _FEWEST_JOINTS
    records = [record for record, good in zip(evaluation.records, enough, strict=True) if good]
    if not records:
        raise ValueError(f"Expected a person with {_FEWEST_JOINTS} labelled joints for Table 6, got none")
    labelled = np.stack([record.labelled for record in records])
    truth, area = np.stack([r.keypoints for r in records]), np.array([r.area for r in records])
    errors = (evaluation.run.keypoints[enough] - truth) / np.sqrt(area)[:, None, None] * labelled[..., None]
    scores = {
        "no weights": np.ones(labelled.shape),
        "original": evaluation.run.scores[enough],
        "CCNet": calibrated.keypoints[enough],
        "CCNet, one tolerance": _one_tolerance(calibrated.keypoints[enough]),
        "OKS, one tolerance": _one_tolerance(evaluation.run.table.oks.double().numpy()[enough].clip(0, 1)),
    }
    return body_fitting.table6(errors, {name: values * labelled for name, values in scores.items()}, body)


def _one_tolerance(scores: np.ndarray) -> np.ndarray:
    return with_common_tolerance(scores, COCO.sigma_array, body_fitting.TOLERANCE)


def choose_body(name: str, out: Path) -> Body:
    """Return the body of Table 6."""
    return StickBody() if name == "stick" else AnnyBody(load_skin(out / "anny"))


def measure_wholebody(settings: Settings, path: Path) -> None:
    """Table 3, once: it depends on no network."""
    annotations = settings.shared / WHOLEBODY
    if path.exists() or not annotations.exists():
        return
    _write_json(path, wholebody.table3(annotations))


def show(out: Path, page: Path | None) -> None:
    """Print and draw everything measured so far; with a page, write tables into it and pictures beside it."""
    measured = {path.stem: _read_json(path) for path in (out / "figures").glob("*.json")}
    networks = {name: measured[name] for name in NAMES if name in measured}
    found = all_tables(networks, measured.get("wholebody"))
    text = "\n".join(f"### {table.title}\n\n{table.markdown()}\n" for table in found)
    print(text, flush=True)
    (out / "tables.md").write_text(text, encoding="utf-8")
    pictures = plots.plot_all(out, networks) if networks else []
    if page is not None:
        write_into(page, found)
        folder = page.parent / page.stem
        folder.mkdir(exist_ok=True)
        for picture in pictures:
            shutil.copyfile(picture, folder / picture.name)


def _read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def settings_of(args: argparse.Namespace) -> Settings:
    """Return the study's settings; ``--quick`` takes little of everything."""
    effort = {
        "heatmap_steps": args.heatmap_steps, "rle_steps": args.rle_steps, "persons": args.persons,
        "ccnet_epochs": args.epochs, "resamples": args.resamples, "wrists": args.wrists,
    }  # fmt: skip
    if args.quick:
        effort = {"heatmap_steps": 20, "rle_steps": 40, "persons": 60, "ccnet_epochs": 2, "resamples": 10, "wrists": 16}
    return Settings(args.shared, args.out, args.lite, args.features, **effort, networks=tuple(args.networks),
                    flip_test=args.flip_test)  # fmt: skip


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/, weights/, fixtures/")
    parser.add_argument("--out", type=Path, default=Path("runs/calibration"), help="working folder")
    parser.add_argument("--networks", nargs="*", choices=NAMES, default=NAMES, help="which to measure")
    parser.add_argument("--write", type=Path, metavar="PAGE.md", help="page that gets the tables")
    parser.add_argument("--lite", type=Path, help="lite weights, of whose trunk the features are; default: the shipped")
    parser.add_argument("--no-flip-test", dest="flip_test", action="store_false", help="lite sees nobody mirrored")
    parser.add_argument("--features", type=Path, help="feature cache of that trunk (RUN/features of clickpose train)")
    parser.add_argument("--heatmap-steps", type=int, default=Settings.heatmap_steps)
    parser.add_argument("--rle-steps", type=int, default=Settings.rle_steps)
    parser.add_argument("--persons", type=int, help="of each split, at most")
    parser.add_argument("--epochs", type=int, default=Settings.ccnet_epochs, help="of CCNet")
    parser.add_argument("--resamples", type=int, default=Settings.resamples, help="bootstrap draws")
    parser.add_argument("--wrists", type=int, default=Settings.wrists, help="that are hidden for Fig. 3, at most")
    parser.add_argument("--body", choices=("anny", "stick"), default="anny", help="of Table 6; anny: extra `bodies`")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="60 persons: shows that it works, no more")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
