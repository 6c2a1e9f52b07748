"""Table 3: should a part of the body be ranked by the whole person's score or by its own?

Annotated COCO-WholeBody people get simulated predictions whose error is known: each part of each person has its own
difficulty, joints are displaced by a normal error of that spread s, and the network's confidence is what a heatmap
network shows for s (Eq. 17, blind to the size of part and person); the calibrated one is the expected OKS (Eq. 12).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clickpose.calibration.aggregation import by_part, visibility_weighted
from clickpose.calibration.expected_oks import expected_oks, heatmap_score, length_scale
from clickpose.data.wholebody import read_wholebody
from clickpose.metrics.average_precision import average_precision_by_part
from clickpose.metrics.bootstrap import bootstrap
from clickpose.metrics.keypoint_sets import KeypointPredictions, KeypointTruth
from clickpose.metrics.oks import keypoint_oks
from clickpose.skeleton import Skeleton

ROWS = ("original, whole", "original, part", "calibrated, whole", "calibrated, part", "OKS of the part")
_CELLS = 64  # of a heatmap, along the person's extent
_COPIES = 60  # simulated photos of each annotated person
_DRAWS = 10  # simulations for the intervals


def table3(path: Path, copies: int = _COPIES, draws: int = _DRAWS) -> dict[str, dict[str, list[float]]]:
    """Return AP by part and row as [mean, low, high] over simulations.

    Args:
        path: a COCO-WholeBody file; its photos are not read.
        copies: simulated predictions of each annotated person, each a photo of its own.
        draws: simulations.
    """
    dataset = read_wholebody(path, path.parent)
    persons = [person for person in dataset.persons if person.labelled.any()]
    skeleton = dataset.skeleton
    runs = [simulate(persons, skeleton, copies, np.random.default_rng(seed)) for seed in range(draws)]
    parts = [*skeleton.parts, "whole"]

    def means(drawn: np.ndarray) -> dict[tuple[str, str], float]:
        return {(row, part): float(np.mean([runs[i][row][part] for i in drawn])) for row in ROWS for part in parts}

    intervals = bootstrap(means, np.arange(draws), 500)
    return {
        row: {part: [getattr(intervals[row, part], name) for name in ("value", "low", "high")] for part in parts}
        for row in ROWS
    }


def simulate(persons: list, skeleton: Skeleton, copies: int, rng: np.random.Generator) -> dict[str, dict[str, float]]:
    """Return AP by row and part of one simulation."""
    many = [person for person in persons for _ in range(copies)]
    truth = _truth(many)
    parts = {**skeleton.parts, "whole": tuple(range(len(skeleton)))}
    spread = _spread(truth.areas, skeleton, rng)
    labelled = (truth.visibility > 0).astype(float)
    displaced = truth.keypoints + spread[..., None] * rng.normal(size=truth.keypoints.shape)
    # what nobody labelled is predicted within the box, so that COCO's rules ignore it
    middles = truth.boxes_xywh[:, :2] + truth.boxes_xywh[:, 2:] / 2
    keypoints = np.where(labelled[..., None] > 0, displaced, middles[:, None])
    terms = keypoint_oks(keypoints, truth.keypoints, truth.areas, skeleton.sigma_array) * labelled
    scores = {
        "original": heatmap_score(spread / (np.sqrt(truth.areas)[:, None] / _CELLS)),
        "calibrated": expected_oks(spread, length_scale(truth.areas, skeleton.sigma_array)),
        "OKS": terms,
    }
    whole = {name: visibility_weighted(values, labelled) for name, values in scores.items()}
    own = {name: by_part(values, labelled, skeleton) for name, values in scores.items()}
    figures = {}
    for row, kind, part_scores in zip(
        ROWS, ("original", "original", "calibrated", "calibrated", "OKS"), (False, True, False, True, True), strict=True
    ):
        found = KeypointPredictions(
            keypoints=keypoints, scores=whole[kind], image_ids=truth.image_ids, areas=truth.areas
        )
        by = average_precision_by_part(
            truth, found, skeleton.sigma_array, skeleton.parts, own[kind] if part_scores else None
        )
        figures[row] = {part: by[part]["AP"] for part in parts}
    return figures


def _spread(areas: np.ndarray, skeleton: Skeleton, rng: np.random.Generator) -> np.ndarray:
    """Return (N, K) px: each part of each person has its own difficulty, and so, less, has each joint.

    In units of the joint's OKS length scale, so that feet, face and hands are all neither trivial nor hopeless.
    """
    persons, joints = len(areas), len(skeleton)
    difficulty = np.ones((persons, joints))
    for columns in skeleton.parts.values():
        difficulty[:, list(columns)] = rng.lognormal(-0.6, 0.9, (persons, 1))
    difficulty = difficulty * rng.lognormal(0, 0.3, (persons, joints))
    return difficulty * length_scale(areas, skeleton.sigma_array)


def _truth(persons: list) -> KeypointTruth:
    """Return the persons, each in a photo of its own."""
    boxes = np.stack([person.box_xyxy for person in persons])
    return KeypointTruth(
        keypoints=np.stack([person.keypoints for person in persons]),
        visibility=np.stack([person.visibility for person in persons]),
        areas=np.array([person.area for person in persons]),
        boxes_xywh=np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1),
        image_ids=np.arange(len(persons)),
    )
