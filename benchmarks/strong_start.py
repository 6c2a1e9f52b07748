"""Does correcting a strong network's poses need fewer clicks than by hand, and does a click leave alone what is right?

    python benchmarks/strong_start.py --data ../shared/data/coco_fullres [--persons 100] [--out figures.json]

Simulated strong starts: the truth with jitter (a Gaussian of .15, .35 or .7 tolerances, 2 sigma · sqrt(area), along
each axis) and one gross error, arms or legs exchanged between left and right, or one joint elsewhere in the person's
box. The annotator puts the worst joint right, click by click. From the same starts, person by person in turns: by hand,
by lite's decoder as it corrects its own poses, and as it corrects another network's (``for_strong_starts``).

Real networks err otherwise: their errors are neither Gaussian nor independent of lite's.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

import clickpose
from clickpose.clicks.interactive import correct_by_hand
from clickpose.data.formats import read_dataset
from clickpose.data.photo_files import read_pixels
from clickpose.data.records import ImageRecord, PersonRecord
from clickpose.metrics.clicks import ClickCurve
from clickpose.metrics.oks import keypoint_oks
from clickpose.predictor import EncodedRegion, PosePredictor
from clickpose.skeleton import COCO
from clickpose.structures import Clicks, Pose

JITTERS = (0.15, 0.35, 0.7)
FEWEST_LABELLED = 8
LIMBS = (("elbow", "wrist"), ("knee", "ankle"))
HARM = 0.1  # a joint that loses more OKS was harmed
TARGETS = (0.85, 0.9, 0.95)


def terms_of(keypoints: np.ndarray, person: PersonRecord) -> np.ndarray:
    """Return the (K,) OKS terms."""
    return keypoint_oks(keypoints, person.keypoints, person.area, COCO.sigma_array)


def strong_start(
    person: PersonRecord, own: np.ndarray, jitter: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return a (K, 2) start and the (K,) joints that are grossly wrong; joints without a truth are lite's ``own``."""
    tolerance = 2 * COCO.sigma_array[:, None] * np.sqrt(person.area)
    start = person.keypoints + rng.standard_normal((len(COCO), 2)) * jitter * tolerance
    wrong = np.zeros(len(COCO), bool)
    sides = [[[COCO.index(f"{side}_{part}") for part in limb] for side in ("left", "right")] for limb in LIMBS]
    whole = [(left, right) for left, right in sides if person.labelled[left + right].all()]
    if whole and rng.random() < 0.5:
        left, right = whole[rng.integers(len(whole))]
        start[left + right] = start[right + left]
        wrong[left + right] = True
    else:
        joint = int(rng.choice(np.flatnonzero(person.labelled)))
        labelled = person.keypoints[person.labelled]
        for _ in range(50):
            start[joint] = rng.uniform(labelled.min(axis=0), labelled.max(axis=0))
            if terms_of(start, person)[joint] < 0.3:
                break
        wrong[joint] = True
    return np.where(person.labelled[:, None], start, own), wrong


def click_through(
    start: np.ndarray, person: PersonRecord, refine: Callable[[Pose, Clicks], Pose]
) -> tuple[list[np.ndarray], int]:
    """Return the OKS terms after 0, 1, … clicks on the worst joint, up to the last target, and which came first."""
    pose = Pose.from_keypoints(COCO, start, person.box_xyxy)
    rounds, first = [terms_of(pose.keypoints, person)], -1
    while first < 0 or (rounds[-1][person.labelled].mean() < TARGETS[-1] and not pose.fixed[person.labelled].all()):
        joint = int(np.where(person.labelled & ~pose.fixed, rounds[-1], np.inf).argmin())
        first = joint if first < 0 else first
        mask = np.arange(len(COCO)) == joint
        pose = refine(pose, Clicks(positions=np.where(mask[:, None], person.keypoints, np.nan), mask=mask))
        rounds.append(terms_of(pose.keypoints, person))
    return rounds, first


def figures_of(rows: list[tuple[list[np.ndarray], int, np.ndarray, PersonRecord]]) -> dict[str, float]:
    """Return clicks to each target, and what the first one did to the joints that it was not on."""
    oks = [[terms[person.labelled].mean() for terms in rounds] for rounds, _, _, person in rows]
    longest = max(map(len, oks))
    curve = ClickCurve(np.array([row + row[-1:] * (longest - len(row)) for row in oks]))
    figures = {f"NoC{round(100 * target)}": curve.number_of_clicks(target) for target in TARGETS}
    before, after, gross = [], [], []
    for rounds, first, wrong, person in rows:
        others = person.labelled & (np.arange(len(COCO)) != first)
        before.append(rounds[0][others])
        after.append(rounds[1][others])
        gross.append(wrong[others])
    old, new, is_wrong = (np.concatenate(parts) for parts in (before, after, gross))
    figures |= {"right before": old[~is_wrong].mean(), "right after": new[~is_wrong].mean()}
    figures["right harmed, %"] = 100 * (old - new > HARM)[~is_wrong].mean()
    figures |= {"wrong before": old[is_wrong].mean(), "wrong after": new[is_wrong].mean()}
    return {name: round(float(value), 3) for name, value in figures.items()}


def encode_people(
    predictor: PosePredictor, photos: tuple[ImageRecord, ...] | list[ImageRecord], people: list[PersonRecord]
) -> list[EncodedRegion]:
    """Return the region of each person's box."""
    by_id = {photo.image_id: photo for photo in photos}
    return [predictor.encode(read_pixels(by_id[person.image_id]), person.box_xyxy[None])[0] for person in people]


def measure(predictor: PosePredictor, regions: list[EncodedRegion], people: list[PersonRecord], jitter: float) -> dict:
    """Return the figures of each way to correct, from the same starts."""
    ways = {"as its own poses": predictor, "as another network's": predictor.for_strong_starts()}
    rows: dict[str, list] = {"by hand": [], **{name: [] for name in ways}}
    rng = np.random.default_rng(round(100 * jitter))
    own = predictor.decode(regions).keypoints
    for person, region, seen in zip(people, regions, own, strict=True):
        start, wrong = strong_start(person, seen, jitter, rng)
        rows["by hand"].append((*click_through(start, person, correct_by_hand), wrong, person))
        for name, way in ways.items():
            found = click_through(start, person, lambda pose, clicks, w=way, r=region: w.refine_region(r, pose, clicks))
            rows[name].append((*found, wrong, person))
    return {name: figures_of(found) for name, found in rows.items()}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="COCO-form data set that the network has not seen")
    parser.add_argument("--persons", type=int, default=100, help=f"with {FEWEST_LABELLED} labelled joints or more")
    parser.add_argument("--jitter", type=float, nargs="+", default=JITTERS)
    parser.add_argument("--checkpoint", type=Path, help="lite weights (the shipped ones)")
    parser.add_argument("--out", type=Path, help="write the figures here too, as JSON")
    options = parser.parse_args()
    dataset = read_dataset(options.data)
    able = [person for person in dataset.persons if person.labelled.sum() >= FEWEST_LABELLED]
    people = [able[i] for i in np.random.default_rng(7).permutation(len(able))[: options.persons]]
    predictor = clickpose.load("lite", checkpoint=options.checkpoint, threads=1)
    regions = encode_people(predictor, dataset.images, people)
    figures = {}
    for jitter in options.jitter:
        figures[f"jitter {jitter:g}"] = found = measure(predictor, regions, people, jitter)
        names = list(next(iter(found.values())))
        print(f"\n| {len(people)} persons, jitter {jitter:g} | " + " | ".join(names) + " |")
        print("|---" * (len(names) + 1) + "|")
        for name, row in found.items():
            print(f"| {name} | " + " | ".join(f"{row[column]:.3g}" for column in names) + " |", flush=True)
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
