"""What is read of a field's persons: numbers become arrays as they come, some thousand photos at a time.

As Python's lists the positions of 250,000 people take a gigabyte, and so does every other column of joints in part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np

from clickpose_fiftyone.collector import collector_paused
from clickpose_fiftyone.field_names import (
    AREA,
    BOUNDING_BOX,
    CONFIDENCE,
    FIXED,
    ISCROWD,
    KEYPOINT_OKS,
    NUM_KEYPOINTS,
    POINTS,
    PRED_OKS,
    RAW_VISIBILITY,
    RESULT_AREA,
    SCORE_RAW,
    VISIBILITY,
)
from clickpose_fiftyone.fiftyone_internals import raw_batches

_OF_JOINTS = (VISIBILITY, KEYPOINT_OKS, FIXED, CONFIDENCE, RAW_VISIBILITY)
_SINGLE = (PRED_OKS, SCORE_RAW, RESULT_AREA, AREA, ISCROWD, NUM_KEYPOINTS)
Shape = tuple[int, ...]


def shape_of(attribute: str, joints: int) -> Shape | None:
    """Return the shape of one person's numbers; None for an attribute that may hold anything."""
    if attribute == POINTS:
        return joints, 2
    if attribute == BOUNDING_BOX:
        return (4,)
    if attribute in _OF_JOINTS:
        return (joints,)
    return () if attribute in _SINGLE else None


@collector_paused()
def read_values(
    samples, expressions: Mapping[str, object], shapes: Mapping[str, Shape]
) -> tuple[dict[str, list], dict[str, np.ndarray]]:
    """Read columns of a view's S photos, whose N persons have a value each.

    Args:
        samples: a dataset or view.
        expressions: name of a column -> aggregation expression of the database.
        shapes: name -> shape of one person's numbers, of columns that become arrays.

    Returns:
        The other columns, S values each; and the arrays, ``(N, *shape)``. A column that holds something else than such
        numbers is among the former.
    """
    lists: dict[str, list] = {name: [] for name in expressions if name not in shapes}
    parts: dict[str, list] = {name: [] for name in shapes}
    broken: set[str] = set()
    for batch in raw_batches(samples, expressions):
        for name, nested in batch.items():
            if name in lists:
                lists[name] += nested
            elif name not in broken:
                try:
                    parts[name].append(numbers(flatten(nested), shapes[name]))
                except (ValueError, TypeError):
                    broken.add(name)
    for name in broken:
        (lists[name],) = read_values(samples, {name: expressions[name]}, {})[0].values()
    arrays = {name: _joined(found, shapes[name]) for name, found in parts.items() if name not in broken}
    return lists, arrays


def numbers(values: Sequence, shape: Shape) -> np.ndarray:
    """Return ``(N, *shape)`` numbers of N persons; NaN for who has none, but for points, which everybody has.

    Raises:
        ValueError, TypeError: for other values.
    """
    if len(shape) == 1:
        missing = np.full(shape, np.nan).tolist()
        values = [missing if value is None or value == [] else value for value in values]
    return np.array(values, dtype=np.float64).reshape(len(values), *shape)


def flatten(nested: Iterable[list | None]) -> list:
    """Return the values of all photos as one list."""
    return list(chain.from_iterable(values or () for values in nested))


def _joined(parts: list[np.ndarray], shape: Shape) -> np.ndarray:
    """Return batches as one array; each goes as soon as it is in there."""
    joined = np.empty((sum(map(len, parts)), *shape))
    end = len(joined)
    while parts:
        part = parts.pop()
        joined[end - len(part) : end] = part
        end -= len(part)
    return joined
