"""Fit a calibration of the lite network on labelled people, with and without simulated clicks.

Clicks change what the decoder knows, and so how far its scores can be trusted: the fit sees every person before any
click and after one, two, … of them. A clicked joint needs no score and is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from clickpose.calibration.aggregation import visibility_weighted
from clickpose.calibration.ccnet_fit import LEFT_OUT, CCNetConfig, FeatureTable, apply_ccnet, cross_fit_ccnet, fit_ccnet
from clickpose.calibration.posthoc import PosthocCalibrator, cross_validate
from clickpose.data.persons import PersonDataset
from clickpose.data.records import PersonRecord
from clickpose.feedback import click_worst
from clickpose.frames import CropFrame
from clickpose.metrics.calibration_figures import CalibrationSample
from clickpose.networks.ccnet import CCNet
from clickpose.networks.lite import LiteNetwork
from clickpose.networks.lite_decoder import PoseQueries
from clickpose.skeleton import Skeleton
from clickpose.terms import oks_terms


@dataclass(frozen=True, eq=False)
class LiteCalibrationData:
    """What the fit needs, computed once.

    Attributes:
        tables: of the same N persons after 0, 1, … clicks.
        keypoints: (N, K, 2) px, the prediction before any click.
    """

    tables: tuple[FeatureTable, ...]
    keypoints: np.ndarray

    @property
    def rows(self) -> FeatureTable:
        """All tables, one below the other."""
        return FeatureTable.concatenate(self.tables)


@dataclass(frozen=True, eq=False)
class LiteFit:
    """A fitted calibration and what it is worth on people that its folds were not fitted on.

    Attributes:
        fitted: a CCNet head or a post-hoc calibrator, fitted on everybody.
        before, after: the persons without clicks, network's own scores and out-of-fold calibrated ones.
        errors: (rounds, 2) mean squared error of predicted OKS of the joints not clicked, before and after
            calibration, by the number of clicks.
    """

    fitted: CCNet | PosthocCalibrator
    before: CalibrationSample
    after: CalibrationSample
    errors: np.ndarray


def collect_lite(
    network: LiteNetwork,
    records: Sequence[PersonRecord],
    skeleton: Skeleton,
    clicks: int = 3,
    cache: Path | None = None,
    fingerprint: str = "",
    batch_size: int = 32,
) -> LiteCalibrationData:
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
    source = {"weights": fingerprint, "persons": _labels_digest(records)}
    cached = _read_cache(cache, source, clicks)
    if cached is not None:
        return cached
    run = iterate_lite(network, records, skeleton, clicks, batch_size)
    with tqdm(total=len(records), desc="lite's final tokens", unit="person", disable=None) as bar:
        while True:
            try:
                done, _ = next(run)
            except StopIteration as end:
                data = end.value
                break
            bar.update(done - bar.n)
    _write_cache(cache, source, data)
    return data


def iterate_lite(
    network: LiteNetwork, records: Sequence[PersonRecord], skeleton: Skeleton, clicks: int = 3, batch_size: int = 32
) -> Generator[tuple[int, int], None, LiteCalibrationData]:
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
    return LiteCalibrationData(tuple(FeatureTable.concatenate(tables) for tables in parts), np.stack(keypoints))


def fit_lite_ccnet(data: LiteCalibrationData, config: CCNetConfig | None = None, folds: int = 5) -> LiteFit:
    """Fit a CCNet head on the final keypoint tokens.

    Args:
        data: of :func:`collect_lite`.
        config: how.
        folds: of the cross-validation that the figures come from.
    """
    rows = data.rows
    size = (rows.oks.shape[1], rows.features.shape[-1])
    scores, visibility = cross_fit_ccnet(lambda: CCNet(*size), rows, config, folds)
    head = CCNet(*size)
    fit_ccnet(head, rows, config)
    return _report(head, data, scores, visibility)


def fit_lite_posthoc(data: LiteCalibrationData, calibrator: PosthocCalibrator, folds: int = 5) -> LiteFit:
    """Fit a post-hoc calibrator of the network's own predicted OKS; visibilities stay as they are.

    Args:
        data: of :func:`collect_lite`.
        calibrator: unfitted, one that needs no area.
        folds: of the cross-validation that the figures come from.
    """
    rows = data.rows
    labelled = (rows.scores.numpy(), rows.oks.numpy(), rows.visibility.numpy())
    scores = cross_validate(calibrator, *labelled, groups=rows.groups.numpy(), folds=folds)
    return _report(calibrator.fit(*labelled), data, scores, rows.visibility_scores.numpy())


def apply_to_table(fitted: CCNet | PosthocCalibrator, table: FeatureTable) -> tuple[np.ndarray, np.ndarray]:
    """Return calibrated scores and visibilities, both (N, K), of a table that was not fitted on."""
    if isinstance(fitted, CCNet):
        return apply_ccnet(fitted, table.features)
    return fitted.predict(table.scores.numpy()), table.visibility_scores.numpy().astype(np.float64)


def table_sample(table: FeatureTable, scores: np.ndarray, visibility_scores: np.ndarray) -> CalibrationSample:
    """Return persons of a table with (N, K) scores and visibilities, as the measures take them."""
    oks, visibility = table.oks.numpy().astype(np.float64), np.maximum(table.visibility.numpy(), 0)
    return CalibrationSample(
        oks, scores, visibility, visibility_weighted(oks, visibility > 0),
        visibility_weighted(scores, visibility_scores), image_ids=table.groups.numpy(),
    )  # fmt: skip


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
def _run_batch(network, batch, truth: _Truth, skeleton: Skeleton, groups: Tensor, parts: list) -> np.ndarray:
    """Append a table for each number of clicks to ``parts``; returns the (B, K, 2) first predictions in 0..1."""
    sigmas = torch.tensor(skeleton.sigmas, dtype=torch.float32)
    image = batch.image.contiguous(memory_format=torch.channels_last)
    person = network.encode(image, batch.prompt_norm).person
    queries = network.initial_queries(person)
    first = None
    for tables in parts:
        output = network.decode(person, queries)
        keypoints, fixed = output.keypoints_norm[-1, :, 0], queries.fixed[:, 0]
        first = keypoints if first is None else first
        terms = oks_terms(keypoints, truth.keypoints, truth.area, sigmas)
        row = (
            output.tokens[:, 0].half(), torch.where(truth.visibility > 0, terms, 0.0),
            torch.where(fixed, LEFT_OUT, truth.visibility), output.oks_logits[:, 0].sigmoid(),
            groups, output.visibility_logits[:, 0].sigmoid(),
        )  # fmt: skip
        tables.append(FeatureTable(*row))
        one = torch.ones(len(keypoints), dtype=torch.int64)
        clicked = click_worst(keypoints, truth.keypoints, truth.visibility > 0, fixed, truth.area, sigmas, one)
        box = _hold_clicks(output.boxes_norm[-1, :, 0], clicked.keypoints_norm, clicked.fixed)
        queries = PoseQueries(clicked.keypoints_norm[:, None], clicked.fixed[:, None], box[:, None])
    return first.numpy()


def _hold_clicks(box: Tensor, keypoints: Tensor, fixed: Tensor) -> Tensor:
    """Grow (B, 4) boxes to hold the fixed ones of (B, K, 2) keypoints, as the predictor's prompt box does."""
    placed = keypoints.masked_fill(~fixed[..., None], float("nan"))
    low = torch.minimum(box[:, :2], placed.nan_to_num(float("inf")).amin(1))
    high = torch.maximum(box[:, 2:], placed.nan_to_num(float("-inf")).amax(1))
    return torch.cat([low, high], -1)


def _report(fitted, data: LiteCalibrationData, scores: np.ndarray, visibility: np.ndarray) -> LiteFit:
    """Measure out-of-fold (rows, K) scores and visibilities, rows as in ``data.rows``."""
    first, count = data.tables[0], len(data.tables[0])
    errors = []
    for clicks, table in enumerate(data.tables):
        free, oks = table.visibility.numpy() > 0, table.oks.numpy()
        after = scores[clicks * count : (clicks + 1) * count]
        errors.append([np.square(values - oks)[free].mean() for values in (table.scores.numpy(), after) if free.any()])
    raw = (first.scores.numpy().astype(np.float64), first.visibility_scores.numpy().astype(np.float64))
    return LiteFit(
        fitted,
        table_sample(first, *raw),
        table_sample(first, scores[:count], visibility[:count].astype(np.float64)),
        np.array([row or [np.nan, np.nan] for row in errors]),
    )


def _labels_digest(records: Sequence[PersonRecord]) -> str:
    """Return what changes with the photos' paths, the persons, or a corrected label."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(f"{record.image_path.resolve()}\0{record.annotation_id}\0{record.area!r}\0".encode())
        for labels in (record.keypoints, record.visibility, record.box_xyxy):
            digest.update(np.ascontiguousarray(labels, dtype=np.float64).tobytes())
    return digest.hexdigest()


def _read_cache(cache: Path | None, source: dict[str, str], clicks: int) -> LiteCalibrationData | None:
    if cache is None:
        return None
    tables = [FeatureTable.load(cache / f"clicks{number}.safetensors", source) for number in range(clicks + 1)]
    positions = cache / "keypoints.npy"
    if None in tables or not positions.is_file():
        return None
    return LiteCalibrationData(tuple(tables), np.load(positions))


def _write_cache(cache: Path | None, source: dict[str, str], data: LiteCalibrationData) -> None:
    if cache is None:
        return
    cache.mkdir(parents=True, exist_ok=True)
    np.save(cache / "keypoints.npy", data.keypoints)
    for number, table in enumerate(data.tables):
        table.save(cache / f"clicks{number}.safetensors", source)
