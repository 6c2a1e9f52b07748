"""Bootstrap intervals: how much would a figure move with other photos or other people? Seeded.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993; percentile intervals. What belongs together (the joints
of a person, the persons of a photo) is drawn together, else intervals come out too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

from clickpose.metrics.average_precision import (
    FIGURES,
    MAX_DETECTIONS,
    KeypointPredictions,
    KeypointTruth,
    make_engine,
    split_by_part,
)
from clickpose.metrics.inputs import group_numbers, sorted_ids
from clickpose.metrics.pck import PckFigures, shares_of

RESAMPLES = 1000
AP_RESAMPLES = 200  # each is an evaluation of the whole data set


Name = TypeVar("Name", bound=Hashable)  # of a figure


@dataclass(frozen=True)
class Interval:
    """A figure and its confidence interval.

    Attributes:
        value: of the data as they are.
        low, high: ends of the interval; NaN where the figure is not defined in any draw.
        level: such as .95.
    """

    value: float
    low: float
    high: float
    level: float = 0.95


@dataclass(frozen=True)
class Comparison:
    """A figure of two models on the same samples.

    Attributes:
        before, after: of each.
        change: after - before, whose interval is a paired one: both are drawn alike.
        better: 1 if a rise is an improvement, -1 if a fall is, 0 if what is compared cannot change it.
    """

    before: Interval
    after: Interval
    change: Interval
    better: int = 1


def bootstrap(
    statistic: Callable[[np.ndarray], Mapping[Name, float]],
    groups: Sequence[Hashable] | np.ndarray,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> dict[Name, Interval]:
    """Return intervals of the figures of samples that come in groups; a terminal shows how far it is.

    Args:
        statistic: figures by name of the samples at the given indices (drawn ones may repeat).
        groups: (M,) what each sample belongs to, ids of any kind; groups are drawn, with all their samples.
            ``np.arange(M)`` draws single samples.
        resamples: how many draws.
        level: of the intervals.
        seed: of the draws.

    Returns:
        Intervals by name. Draws in which a figure is NaN are left out.

    Raises:
        ValueError: if there is not one draw, or the level is not between 0 and 1.

    Example:
        >>> oks = np.array([0.2, 0.4, 0.9, 0.7])
        >>> figure = bootstrap(lambda drawn: {"mean": oks[drawn].mean()}, np.arange(4), resamples=50)["mean"]
        >>> round(figure.value, 2), figure.low < figure.value < figure.high
        (0.55, True)
    """
    _check(resamples, level)
    members = _members(groups)
    rng = np.random.default_rng(seed)
    whole = statistic(np.sort(np.concatenate(members)) if members else np.empty(0, int))
    draws = []
    rounds = range(resamples if members else 0)
    for _ in tqdm(rounds, desc="bootstrap", unit="draw", leave=False, delay=2, disable=None):
        drawn = rng.integers(0, len(members), len(members))
        draws.append(statistic(np.concatenate([members[i] for i in drawn])))
    return {name: _interval(value, [draw[name] for draw in draws], level) for name, value in whole.items()}


def bootstrap_pair(
    before: Callable[[np.ndarray], Mapping[str, float]],
    after: Callable[[np.ndarray], Mapping[str, float]],
    groups: Sequence[Hashable] | np.ndarray,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
    better: Callable[[str], int] = lambda name: 1,
) -> dict[str, Comparison]:
    """Compare two models on the same draws of the same samples.

    Args:
        before, after: figures by name of each, as in :func:`bootstrap`; names that only one of them has are left out.
        groups, resamples, level, seed: as :func:`bootstrap`.
        better: returns :attr:`Comparison.better` of a figure.

    Raises:
        ValueError: as :func:`bootstrap`.
    """

    def both(drawn: np.ndarray) -> dict[tuple[str, str], float]:
        old, new = before(drawn), after(drawn)
        pairs = {name: (old[name], new[name]) for name in old if name in new}
        return {
            (name, part): value
            for name, (was, is_) in pairs.items()
            for part, value in (("before", was), ("after", is_), ("change", is_ - was))
        }

    intervals = bootstrap(both, groups, resamples, level, seed)
    return {
        name: Comparison(intervals[name, "before"], intervals[name, "after"], intervals[name, "change"], better(name))
        for name in dict.fromkeys(name for name, _ in intervals)
    }


def bootstrap_average_precision(
    truth: KeypointTruth,
    predictions: KeypointPredictions,
    sigmas: ArrayLike,
    image_ids: Sequence[Hashable] | None = None,
    resamples: int = AP_RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
    max_detections: int = MAX_DETECTIONS,
) -> dict[str, Interval]:
    """Return intervals of COCO's ten figures; images are drawn, with all their people.

    Args:
        truth, predictions, sigmas, image_ids, max_detections: as
            :func:`~clickpose.metrics.average_precision.evaluate_keypoints`.
        resamples, level, seed: as :func:`bootstrap`.

    Raises:
        ValueError: as :func:`~clickpose.metrics.average_precision.evaluate_keypoints` and :func:`bootstrap`.
    """
    images = _images(image_ids, truth, predictions)
    figures = _drawn_figures(truth, predictions, sigmas, images, max_detections)
    return bootstrap(figures, np.arange(len(images)), resamples, level, seed)


def compare_average_precision(
    truth: KeypointTruth,
    before: KeypointPredictions,
    after: KeypointPredictions,
    sigmas: ArrayLike,
    image_ids: Sequence[Hashable] | None = None,
    resamples: int = AP_RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
    max_detections: int = MAX_DETECTIONS,
) -> dict[str, Comparison]:
    """Return COCO's ten figures of two sets of predictions and the changes, on the same draws of images.

    Args:
        truth: annotated persons.
        before, after: predicted persons; they need not be the same ones.
        sigmas, image_ids, resamples, level, seed, max_detections: as :func:`bootstrap_average_precision`.

    Raises:
        ValueError: as :func:`bootstrap_average_precision`.
    """
    images = _images(image_ids, truth, before, after)
    old, new = (_drawn_figures(truth, found, sigmas, images, max_detections) for found in (before, after))
    return bootstrap_pair(old, new, np.arange(len(images)), resamples, level, seed)


def bootstrap_average_precision_by_part(
    truth: KeypointTruth,
    predictions: KeypointPredictions,
    sigmas: ArrayLike,
    parts: Mapping[str, Sequence[int]],
    part_scores: Mapping[str, np.ndarray] | None = None,
    image_ids: Sequence[Hashable] | None = None,
    resamples: int = AP_RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, dict[str, Interval]]:
    """Return intervals of COCO's ten figures of each part of the body and of ``"whole"``, all on the same draws.

    Args:
        truth, predictions, sigmas, parts, part_scores: as
            :func:`~clickpose.metrics.average_precision.average_precision_by_part`.
        image_ids, resamples, level, seed: as :func:`bootstrap_average_precision`.

    Raises:
        ValueError: as these two.
    """
    images = _images(image_ids, truth, predictions)
    return {
        name: bootstrap_average_precision(*alone, images, resamples, level, seed)
        for name, alone in split_by_part(truth, predictions, sigmas, parts, part_scores).items()
    }


def bootstrap_pck(
    figures: PckFigures,
    groups: Sequence[Hashable] | np.ndarray,
    names: Sequence[str],
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return intervals of PCK or PCKh: of the ``"mean"`` and of each joint by its name.

    Args:
        figures: of :func:`~clickpose.metrics.pck.pck` or :func:`~clickpose.metrics.pck.pckh`.
        groups: (N,) what each person belongs to, such as the photo.
        names: of the K joints.
        resamples, level, seed: as :func:`bootstrap`.

    Raises:
        ValueError: if groups or names are not as many as persons and joints, and as :func:`bootstrap`.
    """
    persons, joints = figures.correct.shape
    if (len(groups), len(names)) != (persons, joints):
        raise ValueError(f"Expected {persons} groups and {joints} names, got {len(groups)} and {len(names)}")

    def shares(drawn: np.ndarray) -> dict[str, float]:
        mean, by_joint = shares_of(figures.correct[drawn], figures.counted)
        return {"mean": mean} | dict(zip(names, by_joint.tolist(), strict=True))

    return bootstrap(shares, groups, resamples, level, seed)


def _images(image_ids: Sequence[Hashable] | None, *persons: KeypointTruth | KeypointPredictions) -> list[Hashable]:
    """Return the images to draw from: the given ones, or all that have a person."""
    ids = [image for some in persons for image in some.image_ids.tolist()] if image_ids is None else image_ids
    return sorted_ids(ids)


def _drawn_figures(
    truth: KeypointTruth,
    predictions: KeypointPredictions,
    sigmas: ArrayLike,
    images: Sequence,
    max_detections: int,
) -> Callable[[np.ndarray], dict[str, float]]:
    """Return the function from drawn images to the ten figures."""
    engine = make_engine(truth, predictions, sigmas, images, max_detections, keep_images=True)

    def figures(drawn: np.ndarray) -> dict[str, float]:
        if engine is None or not len(drawn):
            return dict.fromkeys(FIGURES, float("nan"))
        return dict(zip(FIGURES, engine.figures_of(drawn).tolist(), strict=True))

    return figures


def _check(resamples: int, level: float) -> None:
    if resamples < 1:
        raise ValueError(f"Expected at least one resample, got {resamples}")
    if not 0 < level < 1:
        raise ValueError(f"Expected level between 0 and 1, got {level}")


def _members(groups: Iterable[Hashable]) -> list[np.ndarray]:
    """Return the sample indices of each group."""
    number = group_numbers(groups)
    order = np.argsort(number, kind="stable")
    return np.split(order, np.cumsum(np.bincount(number))[:-1]) if len(order) else []


def _interval(value: float, draws: list[float], level: float) -> Interval:
    defined = np.asarray([draw for draw in draws if np.isfinite(draw)])
    if not len(defined):
        return Interval(float(value), float("nan"), float("nan"), level)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high), level)
