"""Bootstrap intervals: how much would a figure move with other photos or other people? Seeded.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993; percentile intervals. What belongs together (the joints
of a person, the persons of a photo) is drawn together, else intervals come out too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clickpose.metrics.average_precision import (
    FIGURES,
    MAX_DETECTIONS,
    KeypointPredictions,
    KeypointTruth,
    make_engine,
)

RESAMPLES = 1000
AP_RESAMPLES = 200  # each is an evaluation of the whole data set


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


def bootstrap(
    statistic: Callable[[np.ndarray], Mapping[str, float]],
    groups,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return intervals of the figures of samples that come in groups.

    Args:
        statistic: figures by name of the samples at the given indices (drawn ones may repeat). Two models compared on
            the same samples are one statistic: the interval of their difference is then a paired one.
        groups: (M,) what each sample belongs to; groups are drawn, with all their samples. ``np.arange(M)`` draws
            single samples.
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
    for _ in range(resamples if members else 0):
        drawn = rng.integers(0, len(members), len(members))
        draws.append(statistic(np.concatenate([members[i] for i in drawn])))
    return {name: _interval(value, [draw[name] for draw in draws], level) for name, value in whole.items()}


def bootstrap_average_precision(
    truth: KeypointTruth,
    predictions: KeypointPredictions,
    sigmas,
    image_ids: Sequence[Hashable] | None = None,
    baseline: KeypointPredictions | None = None,
    resamples: int = AP_RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
    max_detections: int = MAX_DETECTIONS,
) -> dict[str, Interval]:
    """Return intervals of COCO's ten figures; images are drawn, with all their people.

    Args:
        truth, predictions, sigmas, image_ids, max_detections: as
            :func:`~clickpose.metrics.average_precision.evaluate_keypoints`.
        baseline: predictions to compare with: the figures are then the differences to theirs, on the same draws.
        resamples, level, seed: as :func:`bootstrap`.

    Raises:
        ValueError: as :func:`~clickpose.metrics.average_precision.evaluate_keypoints` and :func:`bootstrap`.
    """
    _check(resamples, level)
    if image_ids is None:
        known = [persons.image_ids for persons in (truth, predictions, baseline) if persons is not None]
        image_ids = sorted({image for ids in known for image in ids.tolist()})
    engines = [
        make_engine(truth, persons, sigmas, image_ids, max_detections, keep_images=True)
        for persons in (predictions, baseline)
        if persons is not None
    ]
    if None in engines:
        return {name: Interval(float("nan"), float("nan"), float("nan"), level) for name in FIGURES}

    def figures(drawn: np.ndarray) -> dict[str, float]:
        values = [engine.figures_of(drawn) for engine in engines]
        result = values[0] if baseline is None else values[0] - values[1]
        return dict(zip(FIGURES, result.tolist(), strict=True))

    return bootstrap(figures, np.arange(len(set(image_ids))), resamples, level, seed)


def _check(resamples: int, level: float) -> None:
    if resamples < 1:
        raise ValueError(f"Expected at least one resample, got {resamples}")
    if not 0 < level < 1:
        raise ValueError(f"Expected level between 0 and 1, got {level}")


def _members(groups) -> list[np.ndarray]:
    """Return the sample indices of each group."""
    _, number = np.unique(np.asarray(groups), return_inverse=True)
    order = np.argsort(number, kind="stable")
    return np.split(order, np.cumsum(np.bincount(number))[:-1]) if len(order) else []


def _interval(value: float, draws: list[float], level: float) -> Interval:
    defined = np.asarray([draw for draw in draws if np.isfinite(draw)])
    if not len(defined):
        return Interval(float(value), float("nan"), float("nan"), level)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high), level)
