"""First poses of RF-DETR's keypoint network (Apache-2.0), through its package.

``rfdetr:checkpoint.pth`` is a checkpoint of ``RFDETRKeypointPreview``, published or trained by oneself. It sees the
whole photo and finds the people. The package reads it as a pickle: take no file from somebody you do not trust.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clickpose.first_pose.loading import number_of
from clickpose.first_pose.network import FirstPoseError, FirstPoses, PosesOfPhotos
from clickpose.skeleton import Skeleton
from clickpose.skeleton_io import load_skeleton
from clickpose.weights_io import fingerprint


class RfdetrPoses(PosesOfPhotos):
    """RF-DETR with keypoints.

    Args:
        model: as its package makes it.
        skeleton: its joints.
        name: of the network.
        mark: fingerprint of its weights.
        score: people with a lower one are left out.
    """

    def __init__(self, model: Any, skeleton: Skeleton, name: str, mark: str, score: float = 0.5):
        super().__init__()
        self.name, self.fingerprint, self.skeleton = name, mark, skeleton
        self._model, self._score = model, score
        classes = getattr(model, "class_names", None) or ()
        named = classes.values() if isinstance(classes, Mapping) else classes
        self._knows_people = "person" in [str(name).lower() for name in named]

    def look(self, image: np.ndarray) -> FirstPoses:
        """See :meth:`PosesOfPhotos.look`.

        Raises:
            FirstPoseError: if the network has other joints than the skeleton.
        """
        found = self._model.predict(np.array(image), threshold=self._score, include_source_image=False)
        keypoints = np.asarray(found.xy, float)
        if not len(keypoints):
            return FirstPoses.nobody(self.skeleton)
        if keypoints.shape[1] != len(self.skeleton):
            raise FirstPoseError(
                f"Expected the {len(self.skeleton)} joints of {self.skeleton.name} of {self.name}, got "
                f"{keypoints.shape[1]}: name them, skeleton=..."
            )
        poses = FirstPoses(
            skeleton=self.skeleton,
            keypoints=keypoints,
            scores=np.asarray(found.keypoint_confidence, float),
            boxes_xyxy=np.asarray(found.data["xyxy"], float),
            instance_scores=np.asarray(found.detection_confidence, float),
        )
        if not self._knows_people:  # trained on one kind of being: everybody
            return poses
        return poses.take(np.flatnonzero([str(name).lower() == "person" for name in found.data["class_name"]]))


def load(what: str, *, device: str, threads: int | None, skeleton: str = "coco", score: str = "0.5") -> RfdetrPoses:
    """Open a checkpoint; see the module docstring. ``skeleton`` names its joints or a skeleton file."""
    path, joints = Path(what), load_skeleton(skeleton)
    try:
        from rfdetr import RFDETRKeypointPreview

        model = RFDETRKeypointPreview(pretrain_weights=str(path), device=device)
    except Exception as error:  # its package's errors share no other base class
        raise FirstPoseError(f"Cannot use {path} as RF-DETR with keypoints: {str(error).splitlines()[0]}") from None
    return RfdetrPoses(model, joints, path.stem, fingerprint(path), number_of("score", score))
