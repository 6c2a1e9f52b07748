"""The end-to-end network's answers as detections, in original pixels."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from clickpose.networks.clickpose import center_to_corners
from clickpose.networks.keypoint_decoder import PersonReading


class Detections(NamedTuple):
    """M detections of one image, best first.

    Attributes:
        scores: (M,) class probability.
        labels: (M,) class number; a person is 1.
        boxes_xyxy: (M, 4) px.
        keypoints: (M, K, 2) px.
    """

    scores: Tensor
    labels: Tensor
    boxes_xyxy: Tensor
    keypoints: Tensor


def official_detections(reading: PersonReading, image: int, image_hw: tuple[int, int], count: int) -> Detections:
    """Return the ``count`` best (query, class) pairs of one image, as the official evaluation does.

    A query may come twice, once for each class; our predictor takes the person's class alone.

    Args:
        reading: of a batch.
        image: which image of the batch.
        image_hw: original (height, width) in pixels.
        count: how many pairs.
    """
    probabilities = reading.class_logits[image].sigmoid()
    scores, pairs = probabilities.flatten().topk(min(count, probabilities.numel()))
    queries, labels = pairs // probabilities.shape[1], pairs % probabilities.shape[1]
    height, width = image_hw
    size = probabilities.new_tensor([width, height])
    boxes = center_to_corners(reading.boxes_norm[image, queries]) * size.repeat(2)
    return Detections(scores, labels, boxes, reading.keypoints_norm[image, queries] * size)
