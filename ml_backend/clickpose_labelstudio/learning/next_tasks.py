"""Which task to label next: where a minute of an annotator saves most clicks on what is left, by what is predicted.

Labelling a person teaches the network about persons like it. How alike two predicted persons are is read from their
poses within their boxes, their sizes, and on which joints the network is in doubt; how many clicks a person takes from
the doubt (the predicted OKS that is missing), and how long a task takes from the lead times in the journal. A task is
worth the clicks that it saves on persons who are like its own and like nobody's who is labelled or chosen before it
(facility location: Krause and Golovin, "Submodular Function Maximization", 2014), for each minute that it takes.

The share of clicks that a like person saves is assumed (:data:`SAVED_SHARE`): it scales the figures and moves no place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from clickpose_labelstudio.codec import decode_result
from clickpose_labelstudio.labeling_config import LabelingConfig
from clickpose_labelstudio.learning.journal import Entry
from clickpose_labelstudio.region_items import CodecError

SAVED_SHARE = 0.2
MOST_TARGETS = 2000  # persons that savings are counted on; of more, some are drawn
USUAL_S = (4.0, 3.0, 4.0)  # a task, a person, a click: until the journal tells
FEWEST_TIMED = 20
LONGEST_LIST = 1000


@dataclass(frozen=True, eq=False)
class Candidate:
    """A task that nobody has labelled.

    Attributes:
        task: its number.
        doubts: (P,) expected clicks of each predicted person.
        descriptors: (P, D).
    """

    task: int
    doubts: np.ndarray
    descriptors: np.ndarray


@dataclass(frozen=True)
class Ranked:
    """A task in its place: clicks that it is expected to save, minutes that it takes, and persons on it."""

    task: int
    saved_clicks: float
    minutes: float
    persons: int

    @property
    def saved_a_minute(self) -> float:
        """What tasks are ranked by, where they are chosen one after the other."""
        return self.saved_clicks / self.minutes


@dataclass(frozen=True)
class Pace:
    """Seconds for a task, a person on it and a click."""

    task_s: float = USUAL_S[0]
    person_s: float = USUAL_S[1]
    click_s: float = USUAL_S[2]

    def minutes(self, persons: int, clicks: float) -> float:
        """Return how long a task takes."""
        return (self.task_s + self.person_s * persons + self.click_s * clicks) / 60


def pace_of(entries: Sequence[Entry]) -> Pace:
    """Return the pace of a project's annotators; the usual one for few annotations."""
    work = [entry.work for entry in entries if entry.work.persons and entry.work.lead_time_s is not None]
    if len(work) < FEWEST_TIMED:
        return Pace()
    seconds = np.array([each.lead_time_s for each in work], dtype=np.float64)
    few = seconds <= np.quantile(seconds, 0.95)  # who went for coffee
    counts = np.array([[1.0, each.persons, each.clicks] for each in work])
    found, _ = nnls(counts[few], seconds[few])
    return Pace(*(float(max(value, 0.2)) for value in found))


def candidate_of(task: Mapping, config: LabelingConfig, version: str | None = None) -> Candidate | None:
    """Read the prediction of a task; None for one that is labelled, or where nobody was predicted.

    Args:
        task: as Label Studio lists it.
        config: the labelling configuration.
        version: whose prediction to read where there are several; else the newest.
    """
    if any(not each.get("was_cancelled") for each in task.get("annotations") or ()):
        return None
    found = persons_of(_prediction(task, version), config)
    return None if found is None else Candidate(int(task["id"]), *found)


def labelled_persons(entry_body: Mapping, config: LabelingConfig) -> np.ndarray:
    """Return the descriptors (P, D) of the prediction that an annotation began with; (0, D) where it had none."""
    found = persons_of(entry_body.get("prediction"), config)
    return np.zeros((0, _length(config))) if found is None else found[1]


def persons_of(prediction: object, config: LabelingConfig) -> tuple[np.ndarray, np.ndarray] | None:
    """Return expected clicks (P,) and descriptors (P, D) of predicted persons; None where nobody can be read."""
    result = prediction.get("result") if isinstance(prediction, Mapping) else None
    if not isinstance(result, list):
        return None
    try:
        decoded = decode_result(result, config)
    except CodecError:
        return None
    doubts, descriptors = [], []
    for person in decoded.persons:
        box = person.extent()
        if box is None or not person.joints or decoded.image_hw is None:
            continue
        side = max(float((box[2:] - box[:2]).max()), 1.0)
        places = np.full((len(config.skeleton), 2), 0.5)
        scores = np.ones(len(config.skeleton))
        for joint, keypoint in person.joints.items():
            places[joint] = (keypoint.point - box[:2]) / side
            scores[joint] = float(keypoint.item.get("score") or 1.0)
        size = np.log(side / max(decoded.image_hw))
        doubts.append(float((1 - scores).sum()))
        descriptors.append(np.concatenate([2 * places.ravel(), 1.5 * scores, [0.5 * size]]))
    return (np.array(doubts), np.stack(descriptors)) if doubts else None


def rank(
    candidates: Sequence[Candidate], labelled: np.ndarray, pace: Pace, count: int = LONGEST_LIST, seed: int = 0
) -> list[Ranked]:
    """Put tasks into the order in which they save most clicks a minute, each given those before it.

    Args:
        candidates: tasks that nobody has labelled.
        labelled: (L, D) descriptors of persons who are labelled already.
        pace: of the annotators.
        count: how many tasks to return at most.
        seed: of the draw, where there are very many persons.
    """
    if not candidates:
        return []
    clicks = np.concatenate([each.doubts for each in candidates])
    everybody = np.concatenate([each.descriptors for each in candidates])
    drawn = np.random.default_rng(seed).permutation(len(everybody))[:MOST_TARGETS]
    targets, weights = everybody[drawn], clicks[drawn] * (len(everybody) / len(drawn)) * SAVED_SHARE
    width = _width(targets)
    covered = _likeness(targets, labelled, width).max(axis=1, initial=0.0)
    minutes = np.array([pace.minutes(len(each.doubts), float(each.doubts.sum())) for each in candidates])
    return _greedy(candidates, targets, weights, covered, width, minutes, count)


def _greedy(
    candidates: Sequence[Candidate],
    targets: np.ndarray,
    weights: np.ndarray,
    covered: np.ndarray,
    width: float,
    minutes: np.ndarray,
    count: int,
) -> list[Ranked]:
    """Choose one task after the other. What a task saves only falls as others are chosen, so bounds from before do."""
    likeness = [_likeness(targets, each.descriptors, width).max(axis=1) for each in candidates]

    def saving(index: int) -> float:
        return float((weights * np.maximum(likeness[index] - covered, 0)).sum())

    bounds = np.array([saving(index) for index in range(len(candidates))]) / minutes
    chosen: list[Ranked] = []
    while len(chosen) < min(count, len(candidates)):
        index = int(bounds.argmax())
        saved = saving(index)
        if saved / minutes[index] >= np.partition(bounds, -2)[-2] - 1e-12 if len(bounds) > 1 else True:
            covered = np.maximum(covered, likeness[index])
            one = candidates[index]
            chosen.append(Ranked(one.task, saved, float(minutes[index]), len(one.doubts)))
            bounds[index] = -1.0
        else:
            bounds[index] = saved / minutes[index]
    return chosen


def _likeness(first: np.ndarray, second: np.ndarray, width: float) -> np.ndarray:
    """Return exp(-distance² / (2 width²)) of (A, D) and (B, D) descriptors, (A, B)."""
    squared = (first**2).sum(1)[:, None] + (second**2).sum(1)[None] - 2 * first @ second.T
    return np.exp(-np.maximum(squared, 0) / (2 * width**2))


def _width(descriptors: np.ndarray) -> float:
    """Return how far apart like persons are: the median distance to the nearest other one, of some."""
    some = descriptors[:300]
    if len(some) < 3:
        return 1.0
    squared = ((some[:, None] - some[None]) ** 2).sum(-1)
    np.fill_diagonal(squared, np.inf)
    return float(max(np.sqrt(np.median(squared.min(axis=1))), 1e-3))


def _prediction(task: Mapping, version: str | None) -> Mapping | None:
    predictions = [each for each in task.get("predictions") or () if isinstance(each, Mapping)]
    own = [each for each in predictions if version and each.get("model_version") == version]
    newest = sorted(own or predictions, key=lambda each: str(each.get("created_at") or ""))
    return newest[-1] if newest else None


def _length(config: LabelingConfig) -> int:
    return 3 * len(config.skeleton) + 1
