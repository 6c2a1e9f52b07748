"""What measures accept: a score and what came of it for each sample, finite, one axis; ids and groups of any kind."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import numpy as np
from numpy.typing import ArrayLike

from clickpose.checks import as_array, check_finite, check_unit_range


def check_samples(scores: ArrayLike, outcomes: ArrayLike, outcome_name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (M,), any finite numbers, and outcomes (M,) in 0..1.

    Raises:
        ValueError: for another shape, scores that are not finite, or outcomes out of range (NaN: leave out the joints
            that are not labelled).
    """
    scores = check_finite("scores", as_array("scores", scores, ("M",)))
    outcomes = as_array(outcome_name, outcomes, (len(scores),))
    return scores, check_unit_range(outcome_name, outcomes)


def as_ids(name: str, values: Iterable[Hashable], count: int) -> np.ndarray:
    """Return ids of any kind as an object array (count,).

    Raises:
        ValueError: if there are not ``count`` of them.
    """
    values = values.tolist() if isinstance(values, np.ndarray) else list(values)
    if len(values) != count:
        raise ValueError(f"Expected {count} {name}, got {len(values)}")
    ids = np.empty(count, dtype=object)
    ids[:] = values
    return ids


def sorted_ids(ids: Iterable[Hashable]) -> list[Hashable]:
    """Return the distinct ids in order; those of several kinds, which do not compare, kind by kind."""
    distinct = set(ids)
    try:
        return sorted(distinct)  # type: ignore[type-var]  # those of one kind compare, mostly
    except TypeError:
        return sorted(distinct, key=lambda id_: (type(id_).__name__, repr(id_)))


def group_numbers(groups: Iterable[Hashable]) -> np.ndarray:
    """Number the groups of M samples 0, 1, … in the order of :func:`sorted_ids`; returns (M,)."""
    labels = groups.tolist() if isinstance(groups, np.ndarray) else list(groups)
    number = {label: place for place, label in enumerate(sorted_ids(labels))}
    return np.array([number[label] for label in labels], dtype=int)
