"""How far two sets of poses of the same photos agree, joint by joint: two networks, two people, or before and after.

Neither side is the truth, so the area of an OKS is the geometric mean of both people's: either order gives the same.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from clickpose.checks import as_array
from clickpose.metrics.oks import keypoint_oks

SAME_PERSON_FROM = 0.1  # OKS from which two poses may be of one person


@dataclass(frozen=True, eq=False, kw_only=True)
class PoseSet:
    """N people of some photos, K joints.

    Attributes:
        keypoints: (N, K, 2) px; NaN where a joint is not there.
        areas: (N,) px², 0 or more.
        image_ids: (N,) of each person's photo.
    """

    keypoints: np.ndarray
    areas: np.ndarray
    image_ids: Sequence[Hashable]


@dataclass(frozen=True, eq=False, kw_only=True)
class Agreement:
    """Who is the same person in two sets, and how far their joints agree.

    Attributes:
        pairs: (M, 2) index in the first and in the second set.
        joints: (M, K) OKS term of each joint; 0 where one side lacks it, NaN where both do.
        persons: (M,) mean over the joints that one side has; NaN without one.
        only_first, only_second: indices of people without a partner.
    """

    pairs: np.ndarray
    joints: np.ndarray
    persons: np.ndarray
    only_first: np.ndarray
    only_second: np.ndarray


def joint_agreement(first: ArrayLike, second: ArrayLike, areas: ArrayLike, sigmas: ArrayLike) -> np.ndarray:
    """Return the OKS term of each joint of M pairs of poses, neither of which is the truth.

    Args:
        first, second: (M, K, 2) px; NaN where a joint is not there.
        areas: (M,) px², 0 or more.
        sigmas: (K,) per-joint sigmas, COCO convention.

    Returns:
        (M, K) in 0..1; 0 where one side lacks the joint, NaN where both do.

    Example:
        >>> one, other = [[[0.0, 0.0], [5.0, 5.0]]], [[[10.0, 0.0], [np.nan, np.nan]]]
        >>> joint_agreement(one, other, [10_000.0], [0.05, 0.1]).round(4).tolist()  # e^-1/2
        [[0.6065, 0.0]]
    """
    first = as_array("first", first, ("M", "K", 2))
    second = as_array("second", second, first.shape)
    there = np.isfinite(first).all(axis=-1) | np.isfinite(second).all(axis=-1)
    terms = keypoint_oks(first, second, as_array("areas", areas, (len(first),)), sigmas)
    return np.where(there, terms, np.nan)


def compare_poses(first: PoseSet, second: PoseSet, sigmas: ArrayLike) -> Agreement:
    """Pair the people of two sets, the most alike of each photo first, and compare their joints.

    Args:
        first, second: of the same photos.
        sigmas: (K,) per-joint sigmas, COCO convention.

    Raises:
        ValueError: if the numbers of joints differ, or an area is negative.
    """
    joints = len(np.atleast_1d(sigmas))
    keypoints = [
        as_array(name, own.keypoints, ("N", joints, 2)) for name, own in (("first", first), ("second", second))
    ]
    members: dict[Hashable, list[int]] = {}
    for index, image_id in enumerate(second.image_ids):
        members.setdefault(image_id, []).append(index)
    people: dict[Hashable, list[int]] = {}
    for index, image_id in enumerate(first.image_ids):
        people.setdefault(image_id, []).append(index)
    pairs: list[tuple[int, int]] = []
    for image_id, own in people.items():
        others = members.get(image_id, [])
        rows, columns = (grid.ravel() for grid in np.meshgrid(own, others, indexing="ij"))
        rows, columns = rows.astype(int), columns.astype(int)
        terms = joint_agreement(keypoints[0][rows], keypoints[1][columns], _areas(first, second, rows, columns), sigmas)
        likeness = _means(terms).reshape(len(own), len(others))
        pairs += [(own[row], others[column]) for row, column in _one_to_one(likeness)]
    found = np.array(sorted(pairs), dtype=int).reshape(-1, 2)
    areas = _areas(first, second, found[:, 0], found[:, 1])
    terms = joint_agreement(keypoints[0][found[:, 0]], keypoints[1][found[:, 1]], areas, sigmas)
    return Agreement(
        pairs=found,
        joints=terms,
        persons=_means(terms),
        only_first=np.setdiff1d(np.arange(len(keypoints[0])), found[:, 0]),
        only_second=np.setdiff1d(np.arange(len(keypoints[1])), found[:, 1]),
    )


def _areas(first: PoseSet, second: PoseSet, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the (M,) areas of pairs: the geometric mean."""
    return np.sqrt(np.asarray(first.areas, np.float64)[rows] * np.asarray(second.areas, np.float64)[columns])


def _means(terms: np.ndarray) -> np.ndarray:
    """Return the (M,) means over the joints that are there; NaN without one."""
    there = np.isfinite(terms)
    total = np.where(there, terms, 0.0).sum(axis=1)
    return np.divide(total, there.sum(axis=1), out=np.full(len(terms), np.nan), where=there.any(axis=1))


def _one_to_one(likeness: np.ndarray) -> list[tuple[int, int]]:
    """Return (row, column) of each pair, the most alike first, each row and column once."""
    left = np.where(np.isfinite(likeness), likeness, -1.0)
    found = []
    while left.size and left.max() >= SAME_PERSON_FROM:
        row, column = (int(place) for place in np.unravel_index(int(left.argmax()), left.shape))
        found.append((row, column))
        left[row], left[:, column] = -1.0, -1.0
    return found
