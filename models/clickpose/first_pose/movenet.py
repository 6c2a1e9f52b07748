"""First poses of MoveNet SinglePose, Lightning or Thunder (Apache-2.0), from a file.

``movenet:thunder.onnx`` takes the published network with its answer of (1, 1, 17, 3) numbers y, x, score in 0..1 of
the input, channels last; or the network up to its heads (heatmap, regression, offset, centre), channels first.
``movenet:movenet-lightning.json`` is the graph that npm's packages have (:mod:`clickpose.first_pose.movenet_tfjs`).
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from clickpose.data.crops import frame_matrix, warp_crop
from clickpose.first_pose.movenet_tfjs import movenet_onnx
from clickpose.first_pose.network import FirstPoseError, FirstPoses, PosesInBoxes
from clickpose.frames import CropFrame
from clickpose.networks.movenet import MoveNetFeatures, decode_heads
from clickpose.onnx_session import open_session
from clickpose.skeleton import COCO
from clickpose.weights_io import fingerprint

_HEADS = {
    "heatmap_logits": "kpt_heatmap",
    "regression": "kpt_regress",
    "offset": "kpt_offset",
    "center_logits": "center_0",
}


class MoveNetPoses(PosesInBoxes):
    """MoveNet, shown each person in a square around the box.

    Args:
        path: the ONNX file.
        threads: of ONNX Runtime; None for its own choice.

    Raises:
        FirstPoseError: if the file is not MoveNet.
    """

    skeleton = COCO

    def __init__(self, path: Path, threads: int | None = None):
        self.name = path.stem
        network = movenet_onnx(path) if path.suffix == ".json" else path
        self.fingerprint = sha256(network).hexdigest()[:12] if isinstance(network, bytes) else fingerprint(path)
        self._session = open_session(network, "MoveNet SinglePose", threads)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self._input = inputs[0]
        self._heads = {part: output.name for part, mark in _HEADS.items() for output in outputs if mark in output.name}
        self._is_whole = len(outputs) == 1 and list(outputs[0].shape[1:]) == [1, 17, 3]
        shape = self._input.shape
        if len(inputs) != 1 or len(shape) != 4 or not (self._is_whole or len(self._heads) == len(_HEADS)):
            found = ", ".join(f"{output.name} {output.shape}" for output in outputs)
            raise FirstPoseError(f"Expected MoveNet SinglePose in {path}, got a network with the outputs {found}")
        self._channels_last = shape[3] == 3
        self._side = int(shape[1 if self._channels_last else 2])

    def pose(self, image: np.ndarray, boxes_xyxy: np.ndarray) -> FirstPoses:
        """See :meth:`FirstPoseNetwork.pose`."""
        photo = Image.fromarray(np.asarray(image))
        found = [self._pose_one(photo, CropFrame.around_box(box, self._side)) for box in boxes_xyxy]
        return FirstPoses(
            skeleton=COCO,
            keypoints=np.reshape([keypoints for keypoints, _ in found], (-1, len(COCO), 2)),
            scores=np.reshape([scores for _, scores in found], (-1, len(COCO))),
        )

    def _pose_one(self, photo: Image.Image, frame: CropFrame) -> tuple[np.ndarray, np.ndarray]:
        """Return keypoints (K, 2) px of the photo and scores (K,)."""
        crop = warp_crop(photo, frame_matrix(frame), self._side)
        if self._is_whole:
            (answer,) = self._session.run(None, {self._input.name: self._as_input(crop)})
            y, x, scores = np.asarray(answer, np.float64).reshape(-1, 3).T
            return frame.from_norm(np.stack([x, y], axis=1)), scores
        values = self._session.run(
            list(self._heads.values()), {self._input.name: self._as_input(crop * np.float32(2 / 255) - 1)}
        )
        heads = dict(zip(self._heads, map(torch.from_numpy, values), strict=True))
        nothing = torch.empty(0)
        pose = decode_heads(MoveNetFeatures(*[nothing] * 7, **heads))
        keypoints = pose.keypoints_input[0].numpy() / self._side
        return frame.from_norm(keypoints), pose.heatmap_scores[0].numpy().astype(np.float64)

    def _as_input(self, crop: np.ndarray) -> np.ndarray:
        """Return an (S, S, 3) crop as the network's input has it."""
        kinds = {"tensor(int32)": np.int32, "tensor(uint8)": np.uint8, "tensor(float)": np.float32}
        ordered = crop if self._channels_last else crop.transpose(2, 0, 1)
        return np.ascontiguousarray(ordered[None], dtype=kinds[self._input.type])


def load(what: str, *, device: str, threads: int | None) -> MoveNetPoses:
    """Open a file; see the module docstring."""
    return MoveNetPoses(Path(what), threads)
