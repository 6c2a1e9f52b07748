"""First poses of MediaPipe's pose landmarks (BlazePose, 33 points; Apache-2.0), through LiteRT.

``mediapipe:pose_landmark_heavy.tflite``, the landmark network alone, or ``mediapipe:pose_landmarker_heavy.task``, the
bundle that has it inside. Each person is shown to it twice, as MediaPipe does from frame to frame: first in a square
around the box, then turned upright in the circle that the network itself sees around the body.

Source of the regions and of the step on the heatmaps: MediaPipe's pose_landmark graphs.
"""

from __future__ import annotations

import threading
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from clickpose.data.crops import apply_affine, frame_matrix, warp_crop
from clickpose.first_pose.loading import number_of
from clickpose.first_pose.network import FirstPoseError, FirstPoses, PosesInBoxes
from clickpose.frames import CropFrame
from clickpose.skeleton_io import SKELETONS
from clickpose.weights_io import fingerprint

_INSIDE = "pose_landmarks_detector.tflite"  # in a bundle
_POINTS, _NUMBERS = 39, 5  # 33 landmarks, two of the region, four of hands; x, y, z, visibility, presence
_CENTER, _RIM = 33, 34  # of the circle around the body
_WIDER = 1.25  # than the circle the square is
_WINDOW = 7  # cells of the heatmap
_SURE = 0.5


class _Landmarks(NamedTuple):
    """``points`` (39, 2) in 0..1 of the crop, ``seen`` and ``there`` (39,) probabilities, ``person`` one."""

    points: np.ndarray
    seen: np.ndarray
    there: np.ndarray
    person: float


class MediaPipePoses(PosesInBoxes):
    """BlazePose, shown each person in squares.

    Args:
        path: the landmark network, or a bundle.
        threads: of LiteRT; None for its own choice.
        presence: people whom the network is less sure to see are left to lite.

    Raises:
        FirstPoseError: if the file is neither.
    """

    skeleton = SKELETONS["blazepose"]

    def __init__(self, path: Path, threads: int | None = None, presence: float = 0.5):
        self.name, self.fingerprint, self._presence = path.stem, fingerprint(path), presence
        self._interpreter = _open(path, threads)
        self._lock = threading.Lock()  # an interpreter holds the tensors of one run
        (self._input,) = self._interpreter.get_input_details()
        sizes = {int(np.prod(output["shape"])): output["index"] for output in self._interpreter.get_output_details()}
        self._side = int(self._input["shape"][1])
        self._cells = self._side // 4
        wanted = (_POINTS * _NUMBERS, 1, self._cells**2 * _POINTS)
        if any(size not in sizes for size in wanted):
            raise FirstPoseError(
                f"Expected MediaPipe's pose landmarks in {path}, got outputs of {sorted(sizes)} numbers"
            )
        self._outputs = [sizes[size] for size in wanted]

    def pose(self, image: np.ndarray, boxes_xyxy: np.ndarray) -> FirstPoses:
        """See :meth:`FirstPoseNetwork.pose`."""
        photo, count = Image.fromarray(np.asarray(image)), len(self.skeleton)
        people = [self._pose_one(photo, box) for box in boxes_xyxy]
        return FirstPoses(
            skeleton=self.skeleton,
            keypoints=np.reshape([points for points, _ in people], (-1, count, 2)),
            scores=np.reshape([marks.there[:count] * marks.seen[:count] for _, marks in people], (-1, count)),
            visibility_scores=np.reshape([marks.seen[:count] for _, marks in people], (-1, count)),
            instance_scores=np.array([marks.person for _, marks in people]),
        )

    def _pose_one(self, photo: Image.Image, box_xyxy: np.ndarray) -> tuple[np.ndarray, _Landmarks]:
        """Return (33, 2) px, NaN where it sees nobody, and what the network said last."""
        matrix = frame_matrix(CropFrame.around_box(box_xyxy, self._side, _WIDER))
        marks = self._look(photo, matrix)
        points = _to_photo(matrix, marks.points)
        if marks.person >= self._presence:
            center, rim = points[_CENTER], points[_RIM]
            radius = float(np.hypot(*(rim - center)))
            if radius > 1:
                frame = CropFrame(float(center[0]), float(center[1]), 2 * _WIDER * radius, self._side)
                turned = np.pi / 2 - np.arctan2(center[1] - rim[1], rim[0] - center[0])  # of the body, clockwise
                second = frame_matrix(frame, rotation=-turned)
                again = self._look(photo, second)
                if again.person >= self._presence:
                    matrix, marks = second, again
                    points = _to_photo(matrix, marks.points)
        keypoints = points[: len(self.skeleton)]
        return (keypoints if marks.person >= self._presence else np.full_like(keypoints, np.nan)), marks

    def _look(self, photo: Image.Image, matrix: np.ndarray) -> _Landmarks:
        """Run the network on a crop, given by the (2, 3) map from the photo to 0..1 of it."""
        crop = warp_crop(photo, matrix, self._side).astype(np.float32) / 255
        with self._lock:
            self._interpreter.set_tensor(self._input["index"], crop[None])
            self._interpreter.invoke()
            values, person, heatmaps = (self._interpreter.get_tensor(index).copy() for index in self._outputs)
        rows = values.reshape(_POINTS, _NUMBERS).astype(np.float64)
        points = step_to_heatmaps(rows[:, :2] / self._side, heatmaps.reshape(self._cells, self._cells, _POINTS))
        return _Landmarks(points, _sigmoid(rows[:, 3]), _sigmoid(rows[:, 4]), float(person.ravel()[0]))


def step_to_heatmaps(points: np.ndarray, heatmaps: np.ndarray) -> np.ndarray:
    """Move points to the middle of what their heatmaps show around them, where those are sure.

    Args:
        points: (P, 2) in 0..1.
        heatmaps: (h, w, P) before the sigmoid.
    """
    height, width, _ = heatmaps.shape
    moved, reach = points.copy(), _WINDOW // 2
    for index, (x, y) in enumerate(points):
        column, row = int(x * width), int(y * height)
        if not (0 <= column < width and 0 <= row < height):
            continue
        rows = slice(max(row - reach, 0), min(row + reach + 1, height))
        columns = slice(max(column - reach, 0), min(column + reach + 1, width))
        weights = _sigmoid(heatmaps[rows, columns, index].astype(np.float64))
        if weights.max() >= _SURE:
            xs, ys = np.arange(columns.start, columns.stop), np.arange(rows.start, rows.stop)
            total = weights.sum()
            moved[index] = (weights.sum(0) @ xs / total / width, weights.sum(1) @ ys / total / height)
    return moved


def _to_photo(matrix: np.ndarray, points_norm: np.ndarray) -> np.ndarray:
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    return apply_affine(inverse, points_norm)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(values, -60, 60)))


def _open(path: Path, threads: int | None) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as bundle:
                interpreter = Interpreter(model_content=bundle.read(_INSIDE), num_threads=threads)
        else:
            interpreter = Interpreter(model_path=str(path), num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError, KeyError, zipfile.BadZipFile) as error:
        raise FirstPoseError(f"Expected MediaPipe's pose landmarks in {path}, got none: {error}") from None
    return interpreter


def load(what: str, *, device: str, threads: int | None, presence: str = "0.5") -> MediaPipePoses:
    """Open a file; see the module docstring."""
    return MediaPipePoses(Path(what), threads, number_of("presence", presence))
