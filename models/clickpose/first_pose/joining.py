"""What becomes of a foreign pose beside lite's own look at the same person: position, score and visibility of a joint.

Positions are the first network's wherever it placed a joint; joints that it lacks are lite's. The score of such a joint
is the first network's raw confidence, cut to 0..1: lite's predicted OKS speaks of where lite sees the joint, not of
where the other network does, and ``clickpose calibrate`` fits a calibrator for each network. Visibilities are the first
network's where it tells them, else lite's, which sees the same photo.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from clickpose.first_pose.joints import FirstPose
from clickpose.structures import Pose

Join = Callable[[FirstPose, Pose], Pose]
"""Makes the pose that is shown of a first pose and lite's own of the same person, both in lite's joints."""


def join_poses(first: FirstPose, own: Pose) -> Pose:
    """Return the pose that people start from; see the module docstring.

    Args:
        first: of the foreign network; one without a joint leaves lite's own pose as it is.
        own: lite's, of the same person.
    """
    placed = first.placed
    if not placed.any():
        return own
    told = placed & np.isfinite(first.visibility_scores)
    scores = np.where(placed, np.clip(first.scores, 0, 1), own.keypoint_scores)
    visibility = np.where(told, first.visibility_scores, own.visibility_scores)
    return replace(
        own,
        keypoints=np.where(placed[:, None], first.keypoints, own.keypoints),
        keypoint_scores=scores,
        visibility_scores=visibility,
        instance_score=float(
            (scores * visibility).sum() / max(visibility.sum(), 1e-9)
        ),  # as lite's own: sum v s / sum v
    )
