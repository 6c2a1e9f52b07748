"""Click-Pose: interactive human keypoint annotation with calibrated confidence.

>>> import clickpose                                    # doctest: +SKIP
>>> predictor = clickpose.load("lite")                  # doctest: +SKIP
>>> predictor.set_image(image)                          # doctest: +SKIP
>>> poses = predictor.predict()                         # doctest: +SKIP
>>> pose = predictor.refine(poses[0], {"left_wrist": (120.0, 88.5)})  # doctest: +SKIP
"""

from clickpose.skeleton import COCO, Skeleton
from clickpose.skeleton_io import SKELETONS, load_skeleton
from clickpose.structures import Annotations, Clicks, Pose, Poses

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


def load(name: str = "lite", **options):
    """Load a pose predictor by name; see :func:`clickpose.build.load`."""
    from clickpose.build import load as load_predictor  # torch is imported only when a network is wanted

    return load_predictor(name, **options)
