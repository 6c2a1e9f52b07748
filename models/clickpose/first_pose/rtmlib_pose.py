"""First poses through rtmlib (Apache-2.0): RTMPose, RTMO, RTMW, DWPose and ViTPose in ONNX.

``rtmlib:Body,mode=balanced`` (or ``BodyWithFeet``, ``Wholebody``) are its ready-made pairs of a detector and a pose
network, which rtmlib fetches at the first use; ``rtmlib:RTMPose,model=net.onnx,size=192x256`` (or ``ViTPose``,
``RTMO``) are networks from a file: the people of the first two are found by Click-Pose's detector, RTMO finds them
itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clickpose.first_pose.loading import number_of
from clickpose.first_pose.network import FirstPoseError, FirstPoseNetwork, FirstPoses, PosesInBoxes, PosesOfPhotos
from clickpose.skeleton import Skeleton
from clickpose.skeleton_io import load_skeleton
from clickpose.weights_io import sha256

_PAIRS = {"Body": "coco", "BodyWithFeet": "halpe26", "Wholebody": "wholebody"}
_FROM_FILES = ("RTMPose", "ViTPose", "RTMO")


class RtmlibInBoxes(PosesInBoxes):
    """A top-down network of rtmlib.

    Args:
        pose_model: as rtmlib makes it.
        skeleton: its joints.
        name: of the network.
        detector: finds the people, as rtmlib makes it; None to leave that to Click-Pose's.
    """

    def __init__(self, pose_model: Any, skeleton: Skeleton, name: str, detector: Any = None):
        self.name, self.skeleton = name, skeleton
        self.fingerprint = _hash_of(pose_model, detector)
        self._pose_model, self._detector = pose_model, detector

    def find(self, image: np.ndarray) -> FirstPoses | None:
        """See :meth:`FirstPoseNetwork.find`."""
        if self._detector is None:
            return None
        found = self._detector(_bgr(image))
        boxes = np.reshape(found[0] if isinstance(found, tuple) else found, (-1, 4)).astype(float)
        poses = self.pose(image, boxes)
        return FirstPoses(skeleton=self.skeleton, keypoints=poses.keypoints, scores=poses.scores, boxes_xyxy=boxes)

    def pose(self, image: np.ndarray, boxes_xyxy: np.ndarray) -> FirstPoses:
        """See :meth:`FirstPoseNetwork.pose`."""
        if not len(boxes_xyxy):  # rtmlib would take the whole photo for a person
            return FirstPoses.nobody(self.skeleton)
        keypoints, scores = self._pose_model(_bgr(image), bboxes=[list(map(float, box)) for box in boxes_xyxy])
        return _poses(self, keypoints, scores)


class RtmlibOfPhotos(PosesOfPhotos):
    """RTMO, which finds and poses everybody at once.

    Args:
        pose_model: as rtmlib makes it.
        skeleton: its joints.
        name: of the network.
    """

    def __init__(self, pose_model: Any, skeleton: Skeleton, name: str):
        super().__init__()
        self.name, self.skeleton, self.fingerprint = name, skeleton, _hash_of(pose_model)
        self._pose_model = pose_model

    def look(self, image: np.ndarray) -> FirstPoses:
        """See :meth:`PosesOfPhotos.look`."""
        keypoints, scores = (np.asarray(value) for value in self._pose_model(_bgr(image)))
        someone = scores.any(axis=1)  # where it finds nobody, it answers with a person of zeros
        return _poses(self, keypoints[someone], scores[someone])


def _poses(network: FirstPoseNetwork, keypoints: Any, scores: Any) -> FirstPoses:
    keypoints, count = np.asarray(keypoints, float), len(network.skeleton)
    if keypoints.ndim != 3 or keypoints.shape[1] != count:
        raise FirstPoseError(
            f"Expected the {count} joints of {network.skeleton.name} of {network.name}, got an answer of the shape "
            f"{keypoints.shape}: name them, skeleton=..."
        )
    return FirstPoses(skeleton=network.skeleton, keypoints=keypoints, scores=np.asarray(scores, float))


def _bgr(image: np.ndarray) -> np.ndarray:
    """Return an image as OpenCV has it, which rtmlib's users hand over."""
    return np.ascontiguousarray(np.asarray(image)[..., ::-1])


def _hash_of(*models: Any) -> str:
    files = [model.onnx_model for model in models if model is not None]
    return hashlib.sha256(" ".join(sha256(file) for file in files).encode()).hexdigest()[:12]


def load(
    what: str,
    *,
    device: str,
    threads: int | None,
    mode: str = "balanced",
    model: str | None = None,
    size: str | None = None,
    skeleton: str | None = None,
    score: str | None = None,
) -> FirstPoseNetwork:
    """Make a pair or a network of a file; see the module docstring.

    Args:
        what: the class of rtmlib.
        device: ``"cpu"``, ``"cuda"``.
        threads: rtmlib leaves them to ONNX Runtime.
        mode: of a pair: lightweight, balanced or performance.
        model: the ONNX file of a network.
        size: of its input, width x height.
        skeleton: its joints, a name or a file; of a network COCO's without.
        score: RTMO: people with a lower one are left out.

    Raises:
        FirstPoseError: for another class, or what it cannot be made of.
    """
    if what not in (*_PAIRS, *_FROM_FILES):
        raise FirstPoseError(f"Expected one of {', '.join((*_PAIRS, *_FROM_FILES))} of rtmlib, got {what!r}")
    joints = load_skeleton(skeleton or _PAIRS.get(what, "coco"))
    if what in _PAIRS:
        solution = _make(what, {"mode": mode, "device": device})
        return RtmlibInBoxes(solution.pose_model, joints, f"rtmlib-{what}-{mode}", solution.det_model)
    if model is None or not Path(model).is_file():
        raise FirstPoseError(f"Expected the ONNX file of {what}, {what},model=net.onnx, got {model or 'none'}")
    options: dict[str, Any] = {"onnx_model": model, "device": device}
    if size is not None:
        options["model_input_size"] = _sides(size)
    if score is not None:
        options["score_thr"] = number_of("score", score)
    network = _make(what, options)
    name = Path(model).stem
    return RtmlibOfPhotos(network, joints, name) if what == "RTMO" else RtmlibInBoxes(network, joints, name)


def _make(what: str, options: Mapping[str, Any]) -> Any:
    """Make an object of rtmlib, which talks on standard output while it does."""
    import rtmlib

    made = getattr(rtmlib, what)
    if unknown := set(options) - set(inspect.signature(made).parameters):
        raise FirstPoseError(f"Expected options that {what} of rtmlib has, got {', '.join(sorted(unknown))}")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return made(**options, backend="onnxruntime", to_openpose=False)
    except Exception as error:  # a download, or ONNX Runtime's errors, which share no other base class
        raise FirstPoseError(f"{what} of rtmlib cannot be had: {error}") from None


def _sides(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() for side in sides):
        raise FirstPoseError(f"Expected size as width x height, such as 192x256, got {text!r}")
    return int(sides[0]), int(sides[1])
