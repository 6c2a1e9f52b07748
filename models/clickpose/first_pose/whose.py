"""Whose pose a foreign network saw in a box: in a crowd, a network for one person may pose somebody beside.

Lite looks at each box, too, and was made to tell whose it is. A first pose that lies where lite sees another person,
and not where it sees this one, is that other's: two boxes would show one person, and one be dropped as a double.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clickpose.boxes import BODY_SHARE_OF_BOX, box_area
from clickpose.first_pose.joints import FirstPose
from clickpose.metrics.oks import oks
from clickpose.structures import Poses

SAME_PERSON_OKS = 0.5
"""From which OKS on two poses are of one person, as where doubles are dropped."""


def of_somebody_else(firsts: Sequence[FirstPose | None], own: Poses) -> np.ndarray:
    """Tell which first poses are of another of the people.

    Args:
        firsts: of N people; None where there is none.
        own: lite's poses of the same people, in order.

    Returns:
        (N,) bool.
    """
    count = len(own)
    similar = np.zeros((count, count))
    area = BODY_SHARE_OF_BOX * box_area(own.boxes_xyxy)
    for person, first in enumerate(firsts):
        if first is None or not first.placed.any():
            continue
        placed = np.broadcast_to(first.placed, (count, len(first.placed)))
        theirs = np.broadcast_to(first.keypoints, own.keypoints.shape)
        similar[person] = np.nan_to_num(oks(theirs, own.keypoints, area, own.skeleton.sigma_array, placed))
    best = similar.max(axis=1, initial=0.0)
    itself = similar.diagonal()
    return (best >= SAME_PERSON_OKS) & (itself < SAME_PERSON_OKS) & (itself < best)
