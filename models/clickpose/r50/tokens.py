"""What a calibration of the end-to-end network is fitted on: its tokens of labelled people, before and after clicks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from clickpose.calibration.ccnet_fit import LEFT_OUT, FeatureTable
from clickpose.data.photo_files import read_pixels
from clickpose.data.records import PersonRecord
from clickpose.feedback import click_worst
from clickpose.networks.clickpose import center_to_corners, corners_to_center
from clickpose.networks.keypoint_decoder import PersonReading
from clickpose.networks.pred_nets import ClickPosePredNet
from clickpose.r50.predictor import R50Predictor
from clickpose.terms import grow_boxes_tensor, oks_terms


def collect_tokens(
    predictor: R50Predictor, records: Sequence[PersonRecord], clicks: int = 3, progress: Callable | None = None
) -> tuple[tuple[FeatureTable, ...], np.ndarray, list[PersonRecord]]:
    """Run the network over labelled people, prompted with their boxes, and click their worst joints.

    Args:
        predictor: frozen network.
        records: persons with a labelled keypoint.
        clicks: how many, one joint at a time.
        progress: wraps the list of photos, to show how far it is.

    Returns:
        Tables of the same N persons after 0, 1, … clicks; (N, K, 2) px predicted before any; the persons in that order,
        photo by photo.

    Raises:
        ValueError: without a person.
    """
    if not records:
        raise ValueError("Expected labelled persons to fit on, got none")
    ordered = sorted(records, key=lambda record: str(record.image_path))
    photos = [list(group) for _, group in groupby(ordered, key=lambda record: record.image_path)]
    parts: list[list[FeatureTable]] = [[] for _ in range(clicks + 1)]
    keypoints = []
    for number, persons in enumerate((progress or (lambda items: items))(photos)):
        keypoints.append(_collect_photo(predictor, persons, number, parts))
    return tuple(FeatureTable.concatenate(tables) for tables in parts), np.concatenate(keypoints), ordered


@torch.inference_mode()
def _collect_photo(predictor: R50Predictor, persons: list[PersonRecord], number: int, parts: list) -> np.ndarray:
    """Append a table for each number of clicks to ``parts``; returns the (P, K, 2) px first predictions."""
    height, width = persons[0].image_hw
    pixels = read_pixels(persons[0])
    network, extent = predictor.network, torch.tensor([width, height], dtype=torch.float32, device=predictor.device)
    memory = network.encode(predictor.network_input(pixels))
    truth, visibility, boxes, area = _labels(persons, predictor.device)
    sigmas = torch.tensor(predictor.skeleton.sigmas, dtype=torch.float32, device=predictor.device)
    reading = network.decode_humans(memory, network.prompt_humans(memory, boxes / extent.repeat(2)[None]), True)
    first: Tensor | None = None
    fixed = torch.zeros_like(visibility, dtype=torch.bool)
    for tables in parts:
        keypoints = reading.keypoints_norm[0] * extent
        first = keypoints if first is None else first
        tables.append(_table(reading, oks_terms(keypoints, truth, area, sigmas), visibility, fixed, number))
        one = torch.ones(len(persons), dtype=torch.int64, device=predictor.device)
        clicked = click_worst(keypoints, truth, visibility > 0, fixed, area, sigmas, one)
        placed, fixed = (clicked.keypoints_norm / extent)[None], clicked.fixed
        grown = corners_to_center(grow_boxes_tensor(center_to_corners(reading.boxes_norm), placed))
        reading = network.refine(memory, placed, grown, fixed[None])
    assert first is not None, "there is a table at least, of no click"
    return first.cpu().numpy().astype(np.float64)


def _labels(persons: list[PersonRecord], device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return keypoints (P, K, 2) px, visibility (P, K), boxes (1, P, 4) cx, cy, w, h in px, and areas (P,) px²."""
    truth, boxes, area = (
        torch.tensor(np.stack([getattr(person, name) for person in persons]), dtype=torch.float32, device=device)
        for name in ("keypoints", "box_xyxy", "area")
    )
    visibility = torch.tensor(np.stack([person.visibility for person in persons]), device=device)
    low, high = boxes[:, :2], boxes[:, 2:]
    return truth, visibility, torch.cat([(low + high) / 2, high - low], dim=1)[None], area


def _table(reading: PersonReading, terms: Tensor, visibility: Tensor, fixed: Tensor, number: int) -> FeatureTable:
    output = ClickPosePredNet.read(reading, (1, 1))
    table = FeatureTable(
        features=output.features.half(),
        oks=torch.where(visibility > 0, terms, 0.0),
        visibility=torch.where(fixed, LEFT_OUT, visibility),
        scores=output.scores,
        groups=torch.full((len(terms),), number),
    )
    return FeatureTable(**{name: getattr(table, name).cpu() for name in table.__dataclass_fields__})
