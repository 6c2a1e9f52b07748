"""Do annotators click less as the network learns from them? Rounds of labelled persons of another kind of photos.

    python benchmarks/learning.py --shared ../shared --kind infrared --out runs/learning [--rounds 4] [--test 150]
    python benchmarks/learning.py --kind stylised --choose random next

Photos of COCO that the shipped network was never trained on (``coco_dev``) are made to look otherwise (infrared-like,
or painted over); six in ten are what a team labels, in rounds of 25 persons, the others are what it is measured on.
After each round the network is trained on all that is labelled, from the shipped weights, by the very function that
``clickpose labelstudio learn`` calls. Beside it stand the shipped network, which learns nothing, and the label-free
step alone. Clicks: of an annotator who puts the worst joint in place until a person's OKS is .85 or .90, with 95 %
intervals over photos, and the change against no learning on the same persons. ``--choose next`` labels the photos that
``clickpose labelstudio next`` would put first. ``sport`` are photos as they are, of Leeds Sports Pose Extended, which
the shipped network has been trained on: the table says what learning costs there, not what it brings.

``--ordinary`` measures the same people on the photos as they were.

A round takes some five minutes of one free core. What is done is kept in the working folder; a stopped run goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter, ImageOps
from stylise_photos import STYLES
from torch.utils.data import DataLoader

from clickpose.data.coco import read_coco_persons
from clickpose.data.persons import PersonDataset
from clickpose.data.records import PersonRecord
from clickpose.lite.channel_statistics import match_channels, source_statistics
from clickpose.lite.click_evaluation import evaluate_clicks
from clickpose.lite.mirrored_views import FlipTestLite
from clickpose.lite.predictor import DEFAULT_FILE, LitePredictor, load_network
from clickpose.lite.team_learning import learn_from_team
from clickpose.lite.weights import load_lite
from clickpose.metrics.bootstrap import bootstrap, bootstrap_pair
from clickpose.metrics.clicks import ClickCurve
from clickpose.skeleton import COCO
from clickpose_labelstudio.codec import encode_poses
from clickpose_labelstudio.labeling_config import build_labeling_config, parse_labeling_config
from clickpose_labelstudio.learning.next_tasks import Candidate, Pace, persons_of, rank

TARGETS = (0.85, 0.90)
POOL_SHARE = 0.6
CONFIG = parse_labeling_config(build_labeling_config())


def infrared(photo: Image.Image, seed: int) -> Image.Image:
    """Light and dark exchanged, blurred, of little contrast, with the noise and the lines of a sensor."""
    rng = np.random.default_rng(seed)
    grey = ImageOps.autocontrast(ImageOps.invert(ImageOps.grayscale(photo)), cutoff=1)
    blurred = grey.filter(ImageFilter.GaussianBlur(1.2 * max(photo.size) / 320))
    pixels = 0.15 + 0.7 * (np.asarray(blurred, dtype=np.float32) / 255) ** 1.4
    pixels += rng.normal(0, 0.03, pixels.shape) + rng.normal(0, 0.02, (len(pixels), 1))
    return Image.fromarray((pixels.clip(0, 1) * 255).astype(np.uint8)).convert("RGB")


def write_photos(source: Path, kind: str, out: Path) -> Path:
    """Write the photos of a COCO-form folder in another look; a folder that is there is kept."""
    content = json.loads((source / "annotations.json").read_text())
    if not (out / "annotations.json").exists():
        for index, image in enumerate(content["images"]):
            path = (out / "images" / image["file_name"]).with_suffix(".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(source / "images" / image["file_name"]) as opened:
                photo = opened.convert("RGB")
            (infrared(photo, index) if kind == "infrared" else STYLES[index % len(STYLES)](photo)).save(path)
        named = [
            {**image, "file_name": str(Path(image["file_name"]).with_suffix(".png"))} for image in content["images"]
        ]
        (out / "annotations.json").write_text(json.dumps({**content, "images": named}))
    return out


def photos_of(records: Sequence[PersonRecord]) -> dict[Path, list[PersonRecord]]:
    """Return the persons of each photo, the photos in an order drawn once for all kinds."""
    photos: dict[Path, list[PersonRecord]] = {}
    for record in sorted(records, key=lambda record: str(record.image_path)):
        photos.setdefault(record.image_path, []).append(record)
    paths = list(photos)
    return {paths[i]: photos[paths[i]] for i in np.random.default_rng(0).permutation(len(paths))}


def choose(
    how: str, pool: dict[Path, list[PersonRecord]], labelled: list[Path], count: int, weights: Path
) -> list[Path]:
    """Return the photos to label next, until there are ``count`` persons on them."""
    left = [path for path in pool if path not in labelled]
    order = left if how == "random" else _ranked(left, labelled, weights)
    chosen: list[Path] = []
    while order and sum(len(pool[path]) for path in chosen) < count:
        chosen.append(order.pop(0))
    return chosen


def _ranked(left: Sequence[Path], labelled: Sequence[Path], weights: Path) -> list[Path]:
    """Rank photos as ``clickpose labelstudio next`` does, by what the network predicts of them now."""
    predictor = LitePredictor.load(weights, threads=1, flip_test=False)

    def seen(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
        with Image.open(path) as photo:
            image = np.asarray(photo.convert("RGB"))
        boxes, _ = predictor.detect(image)
        poses = predictor.decode(predictor.encode(image, boxes), boxes)
        return persons_of({"result": encode_poses(poses, CONFIG, image.shape[:2], unlabelled_below=0.2)}, CONFIG)

    found = {path: seen(path) for path in left}
    known = [persons[1] for path in labelled if (persons := seen(path)) is not None]
    candidates = [Candidate(i, *persons) for i, path in enumerate(left) if (persons := found[path]) is not None]
    described = np.concatenate([np.zeros((0, 3 * len(COCO) + 1)), *known])
    first = [left[one.task] for one in rank(candidates, described, Pace())]
    return first + [path for path in left if path not in first]


def write_labels(content: dict, images: Path, photos: Sequence[Path], out: Path) -> Path:
    """Write the labels of some photos as a folder to train on."""
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "images").exists():
        (out / "images").symlink_to(images.resolve())
    names = {str(path.relative_to(images)) for path in photos}
    kept = [image for image in content["images"] if image["file_name"] in names]
    ids = {image["id"] for image in kept}
    people = [each for each in content["annotations"] if each["image_id"] in ids]
    (out / "annotations.json").write_text(json.dumps({**content, "images": kept, "annotations": people}))
    return out


def label_free(records: Sequence[PersonRecord]) -> FlipTestLite:
    """Return the shipped network with its channels matched to these persons' photos, without a label."""
    network, _ = load_lite(DEFAULT_FILE)
    source = source_statistics(DEFAULT_FILE)
    assert source is not None, "they are shipped with the weights"
    match_channels(network.trunk, _crops(records[:240]), source)
    return FlipTestLite(network, COCO).eval()


def _crops(records: Sequence[PersonRecord]):
    return (batch.image for batch in DataLoader(PersonDataset(list(records), COCO, 256), 48))


class Ledger:
    """What was measured, in a file, so that a stopped run goes on; of each measurement the clicks of every person."""

    def __init__(self, path: Path, test: Sequence[PersonRecord]):
        self._path, self._test = path, test
        self._known = {}
        if path.exists():
            self._known = {entry["name"]: entry for entry in map(json.loads, path.read_text().splitlines())}

    def measure(self, name: str, make) -> np.ndarray:
        """Return (N, 1 + clicks) OKS of the test persons by a network, which is made and run unless it was before."""
        key = f"{name}, {len(self._test)} persons"
        if key not in self._known:
            oks = evaluate_clicks(make(), self._test, COCO).refined.oks
            entry = {"name": key, "oks": np.round(oks, 5).tolist()}
            with self._path.open("a") as file:
                file.write(json.dumps(entry) + "\n")
            self._known[key] = entry
        return np.array(self._known[key]["oks"])


def print_row(name: str, oks: np.ndarray, before: np.ndarray, groups: Sequence[str]) -> None:
    """Print clicks a person and the change against no learning, with intervals, as a row in Markdown."""

    def of(curve: np.ndarray):
        return lambda drawn: {f"{t:.2f}": ClickCurve(curve[drawn]).number_of_clicks(t) for t in TARGETS}

    own, pair = bootstrap(of(oks), groups), bootstrap_pair(of(before), of(oks), groups)
    cells = []
    for target, found in own.items():
        base, change = pair[target].before.value, pair[target].change
        cells.append(f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})")
        cells.append(f"{change.value / base:+.1%} ({change.low / base:+.1%} to {change.high / base:+.1%})")
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


class Ordinary:
    """The test people on their photos as they were: what learning costs there.

    Args:
        test: them.
        path: of the ledger.
    """

    def __init__(self, test: Sequence[PersonRecord], path: Path):
        self._ledger, self._groups = Ledger(path, test), [str(record.image_path) for record in test]

    def print_row(self, name: str, key: str, weights: Path) -> None:
        """Print clicks and the change against the shipped network."""
        before = self._ledger.measure("no learning", lambda: load_network(DEFAULT_FILE))
        print_row(name, self._ledger.measure(key, lambda: load_network(weights)), before, self._groups)


@dataclass
class Team:
    """What a simulated team has: photos to label, in a kind of their own, and what learning is measured on.

    Attributes:
        folder: COCO-form folder of all photos.
        pool: photos to label -> their persons.
        before: OKS of the test persons by the network that learns nothing.
        groups: the photos of the test persons.
        ledger: what was measured.
        out: working folder of this kind.
        options: of :func:`learn_from_team`.
        ordinary: the people of ordinary photos; None to leave them out.
    """

    folder: Path
    pool: dict[Path, list[PersonRecord]]
    before: np.ndarray
    groups: Sequence[str]
    ledger: Ledger
    out: Path
    options: dict
    ordinary: Ordinary | None = None

    def label_and_learn(self, how: str, rounds: int, persons: int) -> None:
        """Label ``persons`` more in each round, train, and print a row."""
        labelled: list[Path] = []
        weights = DEFAULT_FILE
        for number in range(1, rounds + 1):
            place = self.out / f"{how}-{number}"
            labelled = self._labelled(place, how, labelled, persons, weights)
            weights = self._trained(place, labelled)
            total = sum(len(self.pool[path]) for path in labelled)
            name = f"{how}, {total} persons labelled {self.options}"
            oks = self.ledger.measure(name, lambda weights=weights: load_network(weights))
            print_row(f"{how}, {total} persons labelled", oks, self.before, self.groups)
            if self.ordinary is not None:
                self.ordinary.print_row(f"ordinary photos, {how}, {total} persons labelled", name, weights)

    def _labelled(self, place: Path, how: str, labelled: list[Path], persons: int, weights: Path) -> list[Path]:
        """Return the photos that are labelled after a round; those of a stopped run stay."""
        kept = place / "labelled.json"
        if not kept.exists():
            place.mkdir(parents=True, exist_ok=True)
            chosen = [*labelled, *choose(how, self.pool, labelled, persons, weights)]
            kept.write_text(json.dumps([str(path) for path in chosen]))
        return [Path(text) for text in json.loads(kept.read_text())]

    def _trained(self, place: Path, labelled: Sequence[Path]) -> Path:
        """Train on what is labelled, unless that was done before."""
        weights = place / "run" / "lite.safetensors"
        if not weights.exists():
            content = json.loads((self.folder / "annotations.json").read_text())
            data = write_labels(content, self.folder / "images", labelled, place / "data")
            learn_from_team(data, DEFAULT_FILE, place / "run", **self.options)
        return weights


def main() -> None:
    """Run the benchmark."""
    args = parse_arguments()
    torch.set_num_threads(1)
    out = args.out / args.kind
    out.mkdir(parents=True, exist_ok=True)
    source = args.shared / "data" / ("lspet" if args.kind == "sport" else "coco_dev")
    folder = source if args.kind == "sport" else write_photos(source, args.kind, out / "photos")
    photos = photos_of(read_coco_persons(folder))
    paths = list(photos)
    cut = int(POOL_SHARE * len(paths))
    pool = {path: photos[path] for path in paths[:cut]}
    test = [record for path in paths[cut:] for record in photos[path]][: args.test]
    groups, ledger = [str(record.image_path) for record in test], Ledger(out / "measured.jsonl", test)
    print(f"\n### {args.kind}: clicks a person, {len(test)} persons\n")
    print("| |" + "|".join(f"to OKS {t:.2f} | against no learning" for t in TARGETS) + "|\n|---|" + "---|" * 4)
    before = ledger.measure("no learning", lambda: load_network(DEFAULT_FILE))
    print_row("no learning", before, before, groups)
    everybody = [record for path in pool for record in pool[path]]
    matched = ledger.measure("label-free", lambda: label_free(everybody))
    print_row("label-free alone", matched, before, groups)
    options = {"trunk_steps": args.trunk_steps, "decoder_steps": args.decoder_steps, "keep": args.keep}
    ordinary = None
    if args.ordinary and args.kind != "sport":
        names = {Path(group).stem for group in groups}
        plain = [record for record in read_coco_persons(source) if record.image_path.stem in names][: args.test]
        ordinary = Ordinary(plain, out / "ordinary.jsonl")
    team = Team(folder, pool, before, groups, ledger, out, options, ordinary)
    for how in args.choose:
        team.label_and_learn(how, args.rounds, args.persons)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/")
    parser.add_argument("--out", type=Path, default=Path("runs/learning"), help="working folder")
    parser.add_argument("--kind", choices=("infrared", "stylised", "sport"), default="infrared")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--persons", type=int, default=25, help="labelled in a round")
    parser.add_argument("--test", type=int, default=150, help="persons to measure on")
    parser.add_argument("--choose", nargs="+", choices=("random", "next"), default=["random"])
    parser.add_argument("--ordinary", action="store_true", help="measure on the photos as they were as well")
    parser.add_argument("--trunk-steps", type=int)
    parser.add_argument("--decoder-steps", type=int)
    parser.add_argument("--keep", type=float)
    return parser.parse_args()


if __name__ == "__main__":
    main()
