"""Whose joint is whose: two skeletons matched by the names of their joints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clickpose.first_pose.network import FirstPoseError, FirstPoses
from clickpose.skeleton import Skeleton


@dataclass(frozen=True, eq=False)
class FirstPose:
    """One person of :class:`~clickpose.first_pose.network.FirstPoses` in the joints of the network that corrects it.

    Attributes:
        keypoints: (K, 2) px; NaN for a joint that the first network does not have or did not place.
        scores: (K,) raw, on the first network's scale; 0 where there is no joint.
        visibility_scores: (K,) 0..1; NaN where it told none.
        instance_score: of the person, on the first network's scale.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    visibility_scores: np.ndarray
    instance_score: float

    @property
    def placed(self) -> np.ndarray:
        """(K,) bool: the joints that the first network placed."""
        return np.isfinite(self.keypoints).all(axis=-1)


def joint_places(theirs: Skeleton, ours: Skeleton) -> np.ndarray:
    """Find each of our joints among a foreign skeleton's, by name in any usual spelling or alias of either.

    Returns:
        (K,) index of each of our joints in theirs, -1 for one that they lack.

    Raises:
        FirstPoseError: if they share none.

    Example:
        >>> from clickpose.skeleton_io import SKELETONS
        >>> joint_places(SKELETONS["crowdpose"], SKELETONS["coco"])[[0, 5, 9]].tolist()
        [-1, 0, 4]
    """
    called = {ours.match(name): place for place, name in reversed(list(enumerate(theirs.names)))}
    places = [theirs.match(name) for name in ours.names]
    found = [called.get(joint, -1) if place is None else place for joint, place in enumerate(places)]
    if max(found) < 0:
        raise FirstPoseError(
            f"Expected first poses with joints among {', '.join(ours.names)}, got {', '.join(theirs.names)}"
        )
    return np.array(found)


def in_joints(poses: FirstPoses, places: np.ndarray) -> list[FirstPose]:
    """Return each person in our joints.

    Args:
        poses: N persons of a foreign network.
        places: (K,) of :func:`joint_places`.
    """
    there = places >= 0
    seen = poses.visibility_scores
    persons = []
    for row in range(len(poses)):
        keypoints = np.where(there[:, None], poses.keypoints[row][places], np.nan)
        placed = np.isfinite(keypoints).all(axis=-1)
        visibility = np.full(len(places), np.nan) if seen is None else np.where(placed, seen[row][places], np.nan)
        scores = np.where(placed, poses.scores[row][places], 0.0)
        persons.append(FirstPose(keypoints, scores, visibility, float(poses.instance_scores[row])))
    return persons
