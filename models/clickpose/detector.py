"""Finds the people of a photo: NanoDet-g (anchor-free, distributions over box sides) through ONNX Runtime.

Source of the network and its decoding: NanoDet (Apache-2.0); "Generalized Focal Loss", section 3, for the
distributions. :mod:`clickpose.detector_export` made the file.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from clickpose.boxes import box_iou, clip_boxes, greedy_suppression
from clickpose.checks import check_image
from clickpose.onnx_session import open_session
from clickpose.weights_io import WEIGHTS_FOLDER, WeightsError, check_present, verify_checksum

if TYPE_CHECKING:
    import onnxruntime

DEFAULT_FILE = WEIGHTS_FOLDER / "nanodet-g-person.onnx"
STRIDES = (8, 16, 32)
_OUTPUTS = [f"{kind}_{stride}" for stride in STRIDES for kind in ("scores", "sides")]
_SMALLEST_SIDE_PX = 1.0  # of a box inside the image, original pixels; networks refuse less
_BINS = 11  # a side is a distribution over 0..10 strides
_MEAN_BGR = np.array([103.53, 116.28, 123.675], np.float32)
_STD_BGR = np.array([57.375, 57.12, 58.395], np.float32)
_NORMALISED_BGR = ((np.arange(256, dtype=np.float32)[:, None] - _MEAN_BGR) / _STD_BGR).T.copy()  # (3, 256)


@dataclass(frozen=True)
class Letterbox:
    """An image scaled to fit a canvas and centred in it.

    Attributes:
        image_hw: size of the original image, pixels.
        scaled_hw: its size on the canvas, pixels.
        canvas_hw: size of the canvas, multiples of the coarsest stride.
    """

    image_hw: tuple[int, int]
    scaled_hw: tuple[int, int]
    canvas_hw: tuple[int, int]

    @classmethod
    def fit(cls, image_hw: tuple[int, int], longer_side: int) -> Letterbox:
        """Scale the longer side to ``longer_side``; the canvas is no larger than the strides ask for."""
        scale = longer_side / max(image_hw)
        height, width = (max(1, round(side * scale)) for side in image_hw)
        coarsest = STRIDES[-1]
        canvas = (math.ceil(height / coarsest) * coarsest, math.ceil(width / coarsest) * coarsest)
        return cls(image_hw, (height, width), canvas)

    @property
    def offset_yx(self) -> tuple[int, int]:
        """Top left corner of the scaled image on the canvas, pixels."""
        return (self.canvas_hw[0] - self.scaled_hw[0]) // 2, (self.canvas_hw[1] - self.scaled_hw[1]) // 2

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Return the (1, 3, H, W) float32 network input, BGR and normalised, of an (h, w, 3) uint8 RGB image."""
        top, left = self.offset_yx
        height, width = self.scaled_hw
        scaled = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
        canvas = np.empty((1, 3, *self.canvas_hw), np.float32)
        for channel, values in enumerate(_NORMALISED_BGR):  # looked up: a third of the time of computing each pixel
            canvas[0, channel] = values[0]  # black
            canvas[0, channel, top : top + height, left : left + width] = values[scaled[..., 2 - channel]]
        return canvas

    def undo(self, boxes_input: np.ndarray) -> np.ndarray:
        """Map (M, 4) xyxy boxes from canvas pixels to original pixels, clipped to the image."""
        top, left = self.offset_yx
        scale_y, scale_x = self.image_hw[0] / self.scaled_hw[0], self.image_hw[1] / self.scaled_hw[1]
        boxes = (boxes_input - [left, top, left, top]) * [scale_x, scale_y, scale_x, scale_y]
        return clip_boxes(boxes, self.image_hw)


def decode_level(
    scores: np.ndarray, sides_logits: np.ndarray, stride: int, canvas_hw: tuple[int, int], score_threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Turn one stride's outputs into boxes.

    Args:
        scores: (n,) person scores 0..1, row by row over the stride's grid.
        sides_logits: (n, 44): left, top, right, bottom x 11 bins.
        stride: canvas pixels per grid cell.
        canvas_hw: size of the canvas, pixels.
        score_threshold: boxes below are left out.

    Returns:
        boxes (M, 4) xyxy in canvas pixels, and their scores (M,).
    """
    columns = canvas_hw[1] // stride
    cells = np.flatnonzero(scores >= score_threshold)
    centers = np.stack([cells % columns, cells // columns], axis=1) * stride + stride / 2
    logits = sides_logits[cells].reshape(-1, 4, _BINS).astype(np.float64)
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    distances = stride * (weights @ np.arange(_BINS)) / weights.sum(axis=-1)  # the expectation of the distribution
    return np.concatenate([centers - distances[:, :2], centers + distances[:, 2:]], axis=1), scores[cells]


class PersonDetector:
    """Person boxes of a photo.

    Args:
        path: the ONNX file; read at the first detection.
        threads: threads of ONNX Runtime; None for one a physical core.
        longer_side: length of the photo's longer side when the network sees it, pixels.
        score_threshold: boxes with a lower score are left out. The default leaves out more people than it invents: to
            draw a box for a missed person is less work than to delete a false one with its joints.
        iou_threshold: of two boxes that overlap more, the better one is kept.
        max_detections: at most so many boxes, the best.
    """

    def __init__(
        self,
        path: str | Path,
        threads: int | None = None,
        longer_side: int = 416,
        score_threshold: float = 0.3,
        iou_threshold: float = 0.55,
        max_detections: int = 50,
    ):
        self.path = Path(path)
        self.threads = threads
        self.longer_side = longer_side
        self.score_threshold = score_threshold
        self.iou_threshold = iou_threshold
        self.max_detections = max_detections
        self._session: onnxruntime.InferenceSession | None = None
        self._lock = threading.Lock()

    @classmethod
    def load(cls, path: str | Path | None = None, **options: Any) -> PersonDetector:
        """Return the shipped detector, or the one of ``path``; ``options`` as for the class. Reads nothing yet."""
        return cls(DEFAULT_FILE if path is None else path, **options)

    def detect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the people.

        Args:
            image: (H, W, 3) uint8 RGB.

        Returns:
            boxes_xyxy (M, 4) px inside the image, no side below 1 px, and their scores (M,) in 0..1, best first.

        Raises:
            ValueError: for another shape or dtype, or an image without pixels.
            WeightsError: if the file is missing, damaged or not the detector.
        """
        image = check_image(image)
        letterbox = Letterbox.fit(image.shape[:2], self.longer_side)
        outputs = self._run(letterbox.apply(image))
        levels = [
            decode_level(scores[0, :, 0], sides[0], stride, letterbox.canvas_hw, self.score_threshold)
            for stride, scores, sides in zip(STRIDES, outputs[0::2], outputs[1::2], strict=True)
        ]
        boxes = letterbox.undo(np.concatenate([boxes for boxes, _ in levels]))
        scores = np.concatenate([scores for _, scores in levels]).astype(np.float64)
        return self._select(boxes, scores)

    def _select(self, boxes_xyxy: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Drop boxes outside the image and slivers at its edge, doubles and all but the best."""
        inside = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2] >= _SMALLEST_SIDE_PX).all(axis=1)
        boxes_xyxy, scores = boxes_xyxy[inside], scores[inside]
        kept = greedy_suppression(box_iou(boxes_xyxy, boxes_xyxy), scores, self.iou_threshold)[: self.max_detections]
        return boxes_xyxy[kept], scores[kept]

    def _run(self, images: np.ndarray) -> list[np.ndarray]:
        with self._lock:  # several threads of a service may come first
            if self._session is None:
                self._session = self._open()
        return self._session.run(_OUTPUTS, {"image": images})

    def _open(self) -> onnxruntime.InferenceSession:
        check_present(self.path, "the person detector")
        if self.path == DEFAULT_FILE:
            verify_checksum(self.path)
        session = open_session(self.path, "the person detector", self.threads)
        outputs = [output.name for output in session.get_outputs()]
        if not set(_OUTPUTS) <= set(outputs):
            raise WeightsError(f"Expected the outputs {', '.join(_OUTPUTS)} in {self.path}, got {', '.join(outputs)}")
        return session
