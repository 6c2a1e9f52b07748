"""First poses of pose networks exported as Ultralytics does (YOLO11-pose and its like), from their ONNX file alone.

``yolo:yolo11n-pose.onnx``; nothing of their package (AGPL-3.0) is needed or used, but such weights carry its licence.
The network sees the whole photo in a letterbox and finds the people; exports with the suppression inside are read, too.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from clickpose.boxes import box_iou, greedy_suppression
from clickpose.first_pose.loading import number_of
from clickpose.first_pose.network import FirstPoseError, FirstPoses, PosesOfPhotos
from clickpose.onnx_session import open_session
from clickpose.skeleton import COCO, Skeleton
from clickpose.skeleton_io import load_skeleton
from clickpose.weights_io import fingerprint

_GREY = 114  # beside the photo
_FALLBACK_SIDE = 640
_MOST_PEOPLE = 300


class YoloPoses(PosesOfPhotos):
    """A pose network of the YOLO family.

    Args:
        path: the ONNX file.
        skeleton: its joints; None for COCO's, of a network with as many.
        score: people with a lower one are left out.
        overlap: of two people whose boxes overlap more (IoU), the better one is kept.
        threads: of ONNX Runtime; None for its own choice.
        device: ``"cpu"`` or ``"cuda"``.

    Raises:
        FirstPoseError: if the file is no such network, or has other joints than the skeleton.
    """

    def __init__(
        self,
        path: Path,
        skeleton: Skeleton | None = None,
        score: float = 0.25,
        overlap: float = 0.7,
        threads: int | None = None,
        device: str = "cpu",
    ):
        super().__init__()
        self.name, self.fingerprint = path.stem, fingerprint(path)
        self._score, self._overlap = score, overlap
        self._session = open_session(path, "a YOLO pose network", threads, device)
        told = {name: _value(text) for name, text in self._session.get_modelmeta().custom_metadata_map.items()}
        if told.get("task", "pose") != "pose":
            raise FirstPoseError(f"Expected a pose network in {path}, got one for {told['task']}")
        self._input = self._session.get_inputs()[0]
        self._input_hw = _input_hw(self._input.shape, told.get("imgsz"))
        self._half = self._input.type == "tensor(float16)"
        names = told.get("names")
        self._classes = names if isinstance(names, dict) else {0: "person"}
        self.skeleton = skeleton or COCO
        shape = told.get("kpt_shape")
        self._numbers = int(shape[1]) if isinstance(shape, (list, tuple)) and len(shape) == 2 else 3
        joints = int(shape[0]) if isinstance(shape, (list, tuple)) and len(shape) == 2 else len(self.skeleton)
        if joints != len(self.skeleton):
            raise FirstPoseError(
                f"Expected the {len(self.skeleton)} joints of {self.skeleton.name} in {path}, got {joints}: name them, "
                "skeleton=..."
            )

    def look(self, image: np.ndarray) -> FirstPoses:
        """See :meth:`PosesOfPhotos.look`."""
        pixels, scale_xy, offset_xy = letterbox(np.asarray(image), self._input_hw)
        value = pixels.astype(np.float16 if self._half else np.float32)[None] / 255
        (answer, *_) = self._session.run(None, {self._input.name: np.ascontiguousarray(value.transpose(0, 3, 1, 2))})
        boxes, scores, joints = self._people(np.asarray(answer, np.float64))
        kept = greedy_suppression(box_iou(boxes, boxes), scores, self._overlap)[:_MOST_PEOPLE]
        joints = joints[kept].reshape(-1, len(self.skeleton), self._numbers)
        keypoints = (joints[..., :2] - offset_xy) / scale_xy
        own = joints[..., 2] if self._numbers == 3 else np.tile(scores[kept][:, None], len(self.skeleton))
        return FirstPoses(
            skeleton=self.skeleton,
            keypoints=keypoints,
            scores=own,
            boxes_xyxy=((boxes[kept].reshape(-1, 2, 2) - offset_xy) / scale_xy).reshape(-1, 4),
            instance_scores=scores[kept],
        )

    def _people(self, answer: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the (M, 4) boxes xyxy, (M,) scores and (M, K · numbers) joints of the input above the score."""
        numbers, classes = len(self.skeleton) * self._numbers, len(self._classes)
        person = next((i for i, name in self._classes.items() if str(name).lower() == "person"), None)
        if answer.ndim == 3 and answer.shape[2] == 6 + numbers:  # suppression inside: xyxy, score, class, joints
            rows = answer[0]
            rows = rows[(rows[:, 4] >= self._score) & ((rows[:, 5] == person) | (person is None))]
            return rows[:, :4], rows[:, 4], rows[:, 6:]
        if answer.ndim == 3 and answer.shape[1] == 4 + classes + numbers:  # centre and size, a score a class, joints
            rows = answer[0].T
            of_classes = rows[:, 4 : 4 + classes]
            scores = of_classes.max(axis=1) if person is None else of_classes[:, person]
            rows, scores = rows[scores >= self._score], scores[scores >= self._score]
            half = rows[:, 2:4] / 2
            return np.concatenate([rows[:, :2] - half, rows[:, :2] + half], axis=1), scores, rows[:, 4 + classes :]
        raise FirstPoseError(
            f"Expected {self.name} to answer with {numbers} numbers of joints a person, got the shape {answer.shape}"
        )


def letterbox(image: np.ndarray, input_hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scale an (H, W, 3) image to fit the input, grey beside it.

    Returns:
        the (h, w, 3) uint8 input, and (2,) px of the input in one of the photo and (2,) where the photo begins in it.
    """
    height, width = image.shape[:2]
    ratio = min(input_hw[0] / height, input_hw[1] / width)
    scaled = max(round(width * ratio), 1), max(round(height * ratio), 1)
    left, top = (round((side - used) / 2 - 0.1) for side, used in zip(input_hw[::-1], scaled, strict=True))
    canvas = np.full((*input_hw, 3), _GREY, np.uint8)
    photo = Image.fromarray(image)
    if scaled != (width, height):
        photo = photo.resize(scaled, Image.Resampling.BILINEAR)
    canvas[top : top + scaled[1], left : left + scaled[0]] = np.asarray(photo)
    return canvas, np.array(scaled) / [width, height], np.array([left, top], float)


def _input_hw(shape: list, told: Any) -> tuple[int, int]:
    sides = [side for side in shape[2:] if isinstance(side, int)]
    if len(sides) == 2:
        return sides[0], sides[1]
    if isinstance(told, (list, tuple)) and len(told) == 2:
        return int(told[0]), int(told[1])
    return _FALLBACK_SIDE, _FALLBACK_SIDE


def _value(text: str) -> Any:
    """Read an entry of the file's metadata, which are written as Python writes them."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def load(
    what: str,
    *,
    device: str,
    threads: int | None,
    skeleton: str | None = None,
    score: str = "0.25",
    overlap: str = "0.7",
) -> YoloPoses:
    """Open a file; see the module docstring. ``skeleton`` names its joints or a skeleton file."""
    joints = None if skeleton is None else load_skeleton(skeleton)
    return YoloPoses(Path(what), joints, number_of("score", score), number_of("overlap", overlap), threads, device)
