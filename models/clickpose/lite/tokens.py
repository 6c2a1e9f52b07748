"""Collect lite's final keypoint tokens of labelled people, with and without simulated clicks, to fit a calibration on.

Clicks change what the decoder knows, and so how far its scores can be trusted: the fit sees every person before any
click and after one, two, … of them. A clicked joint needs no score and is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from clickpose.calibration.ccnet_fit import LEFT_OUT, FeatureTable
from clickpose.data.persons import PersonBatch, PersonDataset
from clickpose.data.records import PersonRecord, labels_digest
from clickpose.feedback import click_worst
from clickpose.frames import CropFrame
from clickpose.lite.mirrored_views import FlipTestLite, OwnPerson
from clickpose.networks.lite import LiteNetwork
from clickpose.networks.lite_decoder import PoseQueries
from clickpose.skeleton import Skeleton
from clickpose.steps import Steps, exhaust
from clickpose.terms import grow_boxes_tensor, oks_terms
from clickpose.token_calibration import TokenTables


def collect_lite(
    network: LiteNetwork | FlipTestLite,
    records: Sequence[PersonRecord],
    skeleton: Skeleton,
    clicks: int = 3,
    cache: Path | None = None,
    fingerprint: str = "",
    batch_size: int = 32,
) -> TokenTables:
    """Run the network over labelled people, each in its ground-truth box, and click their worst joints.

    Args:
        network: frozen, in evaluation mode.
        records: persons with a labelled keypoint.
        skeleton: theirs.
        clicks: how many, one joint at a time.
        cache: folder that keeps the result; a result of the same weights, photos and labels is read from there.
        fingerprint: of the weights.
        batch_size: persons at once.

    Raises:
        ValueError: without a person.
    """
    if not records:
        raise ValueError("Expected labelled persons to fit on, got none")
    source = {"weights": fingerprint, "persons": labels_digest(records)}
    cached = _read_cache(cache, source, clicks)
    if cached is not None:
        return cached
    run = iterate_lite(network, records, skeleton, clicks, batch_size)
    with tqdm(total=len(records), desc="lite's final tokens", unit="person", disable=None) as bar:
        data = exhaust(run, lambda done, _: bar.update(done - bar.n))
    _write_cache(cache, source, data)
    return data


def iterate_lite(
    network: LiteNetwork | FlipTestLite,
    records: Sequence[PersonRecord],
    skeleton: Skeleton,
    clicks: int = 3,
    batch_size: int = 32,
) -> Steps[TokenTables]:
    """Do :func:`collect_lite`'s work step by step: yields (persons done, persons in all), returns the data."""
    dataset = PersonDataset(list(records), skeleton, network.config.input_side)
    loader = DataLoader(dataset, batch_size)
    parts: list[list[FeatureTable]] = [[] for _ in range(clicks + 1)]
    keypoints, start = [], 0
    images = {path: number for number, path in enumerate(dict.fromkeys(r.image_path for r in records))}
    for batch in loader:
        chosen = records[start : start + len(batch.image)]
        start += len(chosen)
        groups = torch.tensor([images[record.image_path] for record in chosen])
        positions = _run_batch(network, batch, _Truth.of(chosen, batch.labels.area_norm), skeleton, groups, parts)
        keypoints += [_frame(record).from_norm(person) for record, person in zip(chosen, positions, strict=True)]
        yield start, len(records)
    return TokenTables(tuple(FeatureTable.concatenate(tables) for tables in parts), np.stack(keypoints))


@dataclass(frozen=True, eq=False)
class _Truth:
    keypoints: Tensor  # (B, K, 2) in 0..1 of the crop, also outside it
    visibility: Tensor  # (B, K)
    area: Tensor  # (B,) crop units

    @classmethod
    def of(cls, records: Sequence[PersonRecord], area_norm: Tensor) -> _Truth:
        """Take the labels from the records: a training sample leaves out what its crop does not show."""
        keypoints = np.stack([_frame(record).to_norm(record.keypoints) for record in records])
        visibility = np.stack([record.visibility for record in records])
        return cls(torch.from_numpy(keypoints).float(), torch.from_numpy(visibility), area_norm)


def _frame(record: PersonRecord) -> CropFrame:
    return CropFrame.around_box(record.box_xyxy, 1)


@torch.inference_mode()
def _run_batch(
    network: LiteNetwork | FlipTestLite,
    batch: PersonBatch,
    truth: _Truth,
    skeleton: Skeleton,
    groups: Tensor,
    parts: list[list[FeatureTable]],
) -> np.ndarray:
    """Append a table for each number of clicks to ``parts``; returns the (B, K, 2) first predictions in 0..1."""
    sigmas = torch.tensor(skeleton.sigmas, dtype=torch.float32)
    image = batch.image.contiguous(memory_format=torch.channels_last)
    person: OwnPerson = network.encode(image, batch.prompt_norm).person
    queries = network.initial_queries(person)
    first: Tensor | None = None
    for tables in parts:
        output = network.decode(person, queries)
        keypoints, fixed = output.keypoints_norm[-1, :, 0], queries.fixed[:, 0]
        first = keypoints if first is None else first
        terms = oks_terms(keypoints, truth.keypoints, truth.area, sigmas)
        table = FeatureTable(
            features=output.tokens[:, 0].half(), oks=torch.where(truth.visibility > 0, terms, 0.0),
            visibility=torch.where(fixed, LEFT_OUT, truth.visibility), scores=output.oks_logits[:, 0].sigmoid(),
            groups=groups, visibility_scores=output.visibility_logits[:, 0].sigmoid(),
        )  # fmt: skip
        tables.append(table)
        one = torch.ones(len(keypoints), dtype=torch.int64)
        clicked = click_worst(keypoints, truth.keypoints, truth.visibility > 0, fixed, truth.area, sigmas, one)
        box = grow_boxes_tensor(output.boxes_norm[-1, :, 0], clicked.keypoints_norm, clicked.fixed)
        queries = PoseQueries(clicked.keypoints_norm[:, None], clicked.fixed[:, None], box[:, None])
    assert first is not None, "there is a table at least, of no click"
    return first.numpy()


def _read_cache(cache: Path | None, source: dict[str, str], clicks: int) -> TokenTables | None:
    if cache is None:
        return None
    tables = [FeatureTable.load(cache / f"clicks{number}.safetensors", source) for number in range(clicks + 1)]
    positions = cache / "keypoints.npy"
    found = tuple(table for table in tables if table is not None)
    if len(found) < len(tables) or not positions.is_file():
        return None
    return TokenTables(found, np.load(positions))


def _write_cache(cache: Path | None, source: dict[str, str], data: TokenTables) -> None:
    if cache is None:
        return
    cache.mkdir(parents=True, exist_ok=True)
    np.save(cache / "keypoints.npy", data.keypoints)
    for number, table in enumerate(data.tables):
        table.save(cache / f"clicks{number}.safetensors", source)
