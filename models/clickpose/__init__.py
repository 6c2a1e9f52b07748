"""Click-Pose: interactive human keypoint annotation with calibrated confidence.

Example:
    >>> import numpy as np
    >>> predictor = load("lite")
    >>> predictor.set_image(np.full((240, 320, 3), 128, np.uint8))  # a photo, (H, W, 3) RGB; encoded once
    >>> len(predictor.predict())  # finds nobody in a grey one
    0
    >>> poses = predictor.predict(boxes_xyxy=[[60.0, 20.0, 180.0, 220.0]])  # the person in this box, px
    >>> pose = predictor.refine(poses[0], {"left_wrist": (150.0, 130.0)})  # the other joints follow
    >>> pose.keypoints[COCO.names.index("left_wrist")].tolist()  # the click stays where it is
    [150.0, 130.0]
    >>> pose.keypoint_scores.shape, bool(pose.instance_score <= 1)  # predicted OKS of every joint, and of the person
    ((17,), True)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clickpose.skeleton import COCO, Skeleton
from clickpose.skeleton_io import SKELETONS, load_skeleton
from clickpose.structures import Annotations, Clicks, Pose, Poses

if TYPE_CHECKING:
    from clickpose.predictor import PosePredictor

__version__ = "0.2.0"  # the one place; plugins/pose_review/fiftyone.yml repeats it, and a test compares

__all__ = [
    "COCO",
    "SKELETONS",
    "Annotations",
    "Clicks",
    "Pose",
    "Poses",
    "Skeleton",
    "__version__",
    "load",
    "load_skeleton",
]


def load(name: str = "lite", **options: Any) -> PosePredictor:
    """Load a pose predictor by name; see :func:`clickpose.build.load`."""
    from clickpose.build import load as load_predictor  # torch is imported only when a network is wanted

    return load_predictor(name, **options)
