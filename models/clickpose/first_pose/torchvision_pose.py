"""First poses of torchvision's keypoint R-CNN (BSD-3-Clause), from a file of its weights.

``torchvision:keypointrcnn_resnet50_fpn_coco.pth`` is what torchvision publishes, or what a training of
``keypointrcnn_resnet50_fpn`` has saved. It sees the whole photo and finds the people.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

from clickpose.first_pose.loading import number_of
from clickpose.first_pose.network import FirstPoseError, FirstPoses, PosesOfPhotos
from clickpose.skeleton import Skeleton
from clickpose.skeleton_io import load_skeleton
from clickpose.weights_io import fingerprint

_PERSON = 1  # the class; 0 is the background


class KeypointRcnn(PosesOfPhotos):
    """Keypoint R-CNN with a ResNet-50.

    Args:
        path: its state dict.
        skeleton: its joints.
        score: people with a lower one are left out.
        device: torch device.

    Raises:
        FirstPoseError: if the file is no such state dict, or torchvision does not fit PyTorch.
    """

    def __init__(self, path: Path, skeleton: Skeleton, score: float = 0.5, device: str = "cpu"):
        import torch

        super().__init__()
        try:
            from torchvision.models.detection import keypointrcnn_resnet50_fpn

            network = keypointrcnn_resnet50_fpn(
                weights=None, weights_backbone=None, num_keypoints=len(skeleton), box_score_thresh=score
            )
            state = torch.load(path, map_location="cpu", weights_only=True)
            network.load_state_dict(state.get("model", state))
        except (RuntimeError, AttributeError, EOFError, pickle.UnpicklingError) as error:
            reason = str(error).splitlines()[0]
            raise FirstPoseError(f"Cannot use {path} as torchvision's keypoint R-CNN: {reason}") from None
        self.name, self.fingerprint, self.skeleton = path.stem, fingerprint(path), skeleton
        self._network, self._device = network.eval().to(device), device

    def look(self, image: np.ndarray) -> FirstPoses:
        """See :meth:`PosesOfPhotos.look`. Its logits become confidences of 0..1 by the logistic function."""
        import torch

        pixels = torch.from_numpy(np.array(image).transpose(2, 0, 1)).to(self._device).float() / 255
        with torch.inference_mode():
            (found,) = self._network([pixels])
        people = {name: value[found["labels"] == _PERSON].cpu().double().numpy() for name, value in found.items()}
        return FirstPoses(
            skeleton=self.skeleton,
            keypoints=people["keypoints"][..., :2],
            scores=1 / (1 + np.exp(-np.clip(people["keypoints_scores"], -60, 60))),
            boxes_xyxy=people["boxes"],
            instance_scores=people["scores"],
        )


def load(what: str, *, device: str, threads: int | None, skeleton: str = "coco", score: str = "0.5") -> KeypointRcnn:
    """Open a file; see the module docstring. ``skeleton`` names its joints or a skeleton file."""
    return KeypointRcnn(Path(what), load_skeleton(skeleton), number_of("score", score), device)
