"""What becomes of a foreign pose beside lite's own look at the same person: position, score and visibility of a joint.

:func:`keep_first` leaves the joints where the first network placed them; their score is the OKS that is to be expected
there, from how far away lite sees the joint and how sure it is. Two networks see more than one: with
:func:`merge_poses` a joint lies between where both see it, as :func:`~clickpose.lite.strong_start.weigh_starts` says,
and its score is the predicted OKS of lite. The first network's raw scores stay with the region
(:func:`~clickpose.first_pose.predictor.first_of`). Joints that the first network lacks are lite's. Visibilities are the
first network's where it tells them, else lite's, which sees the same photo.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from clickpose.first_pose.joints import FirstPose
from clickpose.structures import Pose

if TYPE_CHECKING:
    from torch import Tensor

Join = Callable[[FirstPose, Pose], Pose]
"""Makes the pose that is shown of a first pose and lite's own of the same person, both in lite's joints."""


def merge_poses(first: FirstPose, own: Pose) -> Pose:
    """Return the pose between both; see the module docstring.

    Args:
        first: of the foreign network; one without a joint leaves lite's own pose as it is.
        own: lite's, of the same person.
    """
    from clickpose.lite.strong_start import weigh_starts  # imports torch: only when it is wanted

    seen = _beside(first, own)
    return _joined(first, own, weigh_starts(*seen).numpy(), own.keypoint_scores)


def keep_first(first: FirstPose, own: Pose) -> Pose:
    """Return the first pose where it has joints, with the OKS to be expected of them. Arguments as for
    :func:`merge_poses`."""
    from clickpose.lite.strong_start import start_oks  # as above

    seen = _beside(first, own)
    keypoints = np.where(first.placed[:, None], first.keypoints, own.keypoints)
    scores = np.where(first.placed, start_oks(*seen).numpy(), own.keypoint_scores)
    return _joined(first, own, keypoints, scores)


def _beside(first: FirstPose, own: Pose) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return a person's two poses as the functions of :mod:`clickpose.lite.strong_start` take them."""
    import torch

    start, seen, box = (torch.from_numpy(np.asarray(a, float)) for a in (first.keypoints, own.keypoints, own.box_xyxy))
    logits = torch.from_numpy(own.keypoint_scores.astype(float)).logit(eps=1e-6)
    return start, seen, logits, box, torch.tensor(own.skeleton.sigmas, dtype=torch.float64)


def _joined(first: FirstPose, own: Pose, keypoints: np.ndarray, scores: np.ndarray) -> Pose:
    if not first.placed.any():
        return own
    told = first.placed & np.isfinite(first.visibility_scores)
    visibility = np.where(told, first.visibility_scores, own.visibility_scores)
    instance = float((scores * visibility).sum() / max(visibility.sum(), 1e-9))  # as lite's own: sum v s / sum v
    return replace(
        own, keypoints=keypoints, keypoint_scores=scores, visibility_scores=visibility, instance_score=instance
    )
