"""Simulate an annotator over a labelled data set and record how each person's OKS rises with the clicks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from clickpose.data.coco import PersonRecord
from clickpose.data.persons import PersonBatch, PersonDataset, collate
from clickpose.feedback import oks_terms
from clickpose.frames import CropFrame
from clickpose.metrics.clicks import CLICK_CAP, ClickCurve, manual_correction_curve
from clickpose.networks.lite import LiteNetwork
from clickpose.networks.lite_decoder import DecoderOutput, EncodedPerson, PoseQueries
from clickpose.skeleton import Skeleton

STRATEGIES = ("worst", "lowest_score", "random")


@dataclass(frozen=True)
class ClickProtocol:
    """How the simulated annotator clicks.

    Attributes:
        strategy: which free labelled joint: the ``"worst"`` by its OKS term, that of ``"lowest_score"`` (predicted
            OKS), or a ``"random"`` one.
        clicks: how many.
        noise_sigmas: standard deviation of a click along each axis in units of 2 sigma · sqrt(area), the joint's OKS
            scale; 0.25 is half the joint's OKS sigma.
        seed: of random choices and noise.
    """

    strategy: str = "worst"
    clicks: int = CLICK_CAP
    noise_sigmas: float = 0.0
    seed: int = 0

    def __post_init__(self):
        if self.strategy not in STRATEGIES:
            raise ValueError(f"Expected strategy to be one of {', '.join(STRATEGIES)}, got {self.strategy!r}")


@dataclass(frozen=True, eq=False)
class ClickEvaluation:
    """Results over N persons.

    Attributes:
        refined: after each click the network moved the rest.
        manual: after each click nothing but the clicked joint moved, from the network's own first prediction.
        trunk_manual: the same from the trunk's own pose.
        first_terms: (N, K) OKS terms of the network's first prediction; ``first_scores`` and ``first_visibility``
            (N, K) what it predicted of them.
        labelled: (N, K) bool.
    """

    refined: ClickCurve
    manual: ClickCurve
    trunk_manual: ClickCurve
    first_terms: np.ndarray
    first_scores: np.ndarray
    first_visibility: np.ndarray
    labelled: np.ndarray

    def score_correlation(self) -> float:
        """Return Pearson's r of predicted instance score (sum v s / sum v) and true OKS, over persons.

        NaN where it is not defined: fewer than two persons, or all alike.
        """
        score = (self.first_scores * self.first_visibility).sum(1) / self.first_visibility.sum(1)
        oks = self.refined.oks[:, 0]
        if len(oks) < 2 or not (score.std() and oks.std()):
            return float("nan")
        return float(np.corrcoef(score, oks)[0, 1])


@torch.inference_mode()
def evaluate_clicks(
    network: LiteNetwork,
    records: Sequence[PersonRecord],
    skeleton: Skeleton,
    protocol: ClickProtocol | None = None,
    batch_size: int = 32,
) -> ClickEvaluation:
    """Run the click protocol from ground-truth boxes.

    Args:
        network: in evaluation mode.
        records: persons with at least one labelled keypoint.
        skeleton: theirs.
        protocol: the annotator.
        batch_size: persons at once.
    """
    protocol = protocol or ClickProtocol()
    dataset = PersonDataset(list(records), skeleton, network.config.input_side)
    loader = DataLoader(dataset, batch_size, collate_fn=collate, num_workers=1)
    generator = torch.Generator().manual_seed(protocol.seed)
    parts, start = [], 0
    for batch in tqdm(loader, desc=f"clicks ({protocol.strategy})", unit="batch", leave=False):
        truth = _truth(records[start : start + len(batch.image)], batch)
        start += len(batch.image)
        person = network.encode(batch.image.contiguous(memory_format=torch.channels_last), batch.prompt_norm).person
        parts.append(_simulate(network, person, truth, skeleton, protocol, generator))
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    labelled = joined["labelled"]
    return ClickEvaluation(
        ClickCurve(joined["curve"]),
        manual_correction_curve(joined["terms"], labelled, protocol.clicks),
        manual_correction_curve(joined["trunk_terms"], labelled, protocol.clicks),
        joined["terms"], joined["scores"], joined["visibility"], labelled,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Truth:
    keypoints: Tensor  # (B, K, 2) in 0..1 of the crop, also outside it
    labelled: Tensor  # (B, K) bool
    area: Tensor  # (B,) crop units


def _truth(records: Sequence[PersonRecord], batch: PersonBatch) -> _Truth:
    """Take the labels from the records: a training sample leaves out what its crop does not show."""
    frames = [CropFrame.around_box(record.box_xyxy, 1) for record in records]
    keypoints = np.stack([f.to_norm(r.keypoints) for f, r in zip(frames, records, strict=True)])
    labelled = np.stack([record.labelled for record in records])
    return _Truth(torch.from_numpy(keypoints).float(), torch.from_numpy(labelled), batch.area_norm)


def _simulate(
    network: LiteNetwork, person: EncodedPerson, truth: _Truth, skeleton: Skeleton, protocol: ClickProtocol, generator
) -> dict[str, np.ndarray]:
    sigmas = torch.tensor(skeleton.sigmas, dtype=torch.float32)
    queries = network.initial_queries(person)
    output = network.decode(person, queries)
    first_terms = oks_terms(output.keypoints_norm[-1, :, 0], truth.keypoints, truth.area, sigmas)
    result = {
        "labelled": truth.labelled, "terms": first_terms,
        "trunk_terms": oks_terms(person.initial_norm, truth.keypoints, truth.area, sigmas),
        "scores": output.oks_logits[:, 0].sigmoid(), "visibility": output.visibility_logits[:, 0].sigmoid(),
    }  # fmt: skip
    curve = [_mean_over(first_terms, truth.labelled)]
    tolerance = 2 * sigmas[:, None] * truth.area.sqrt()[:, None, None]
    for _ in range(protocol.clicks):
        queries = _click(queries, output, truth, sigmas, protocol, tolerance, generator)
        output = network.decode(person, queries)
        terms = oks_terms(output.keypoints_norm[-1, :, 0], truth.keypoints, truth.area, sigmas)
        curve.append(_mean_over(terms, truth.labelled))
    return {name: value.numpy() for name, value in result.items()} | {"curve": torch.stack(curve, 1).numpy()}


def _click(queries, output: DecoderOutput, truth, sigmas, protocol, tolerance, generator) -> PoseQueries:
    """Place one more joint of each person; persons whose labelled joints are all placed stay as they are."""
    keypoints, fixed = output.keypoints_norm[-1, :, 0], queries.fixed[:, 0]
    free = truth.labelled & ~fixed
    if protocol.strategy == "worst":
        quality = oks_terms(keypoints, truth.keypoints, truth.area, sigmas)
    elif protocol.strategy == "lowest_score":
        quality = output.oks_logits[:, 0]
    else:
        quality = torch.rand(free.shape, generator=generator)
    chosen = quality.masked_fill(~free, float("inf")).argmin(-1)
    clicked = torch.nn.functional.one_hot(chosen, free.shape[1]).bool() & free
    noise = torch.randn(keypoints.shape, generator=generator) * tolerance * protocol.noise_sigmas
    placed = torch.where(clicked[..., None], truth.keypoints + noise, keypoints)
    box = output.boxes_norm[-1, :, 0]
    at_click = placed.masked_fill(~(fixed | clicked)[..., None], float("nan"))
    low = torch.minimum(box[:, :2], at_click.nan_to_num(float("inf")).amin(1))
    high = torch.maximum(box[:, 2:], at_click.nan_to_num(float("-inf")).amax(1))
    return PoseQueries(placed[:, None], (fixed | clicked)[:, None], torch.cat([low, high], -1)[:, None])


def _mean_over(terms: Tensor, labelled: Tensor) -> Tensor:
    return (terms * labelled).sum(-1) / labelled.sum(-1).clamp(min=1)
