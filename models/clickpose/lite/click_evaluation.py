"""Simulate an annotator over people cut out of photos, in batches: the fast evaluation of the lite network.

Each person by itself, from its ground-truth box. :mod:`clickpose.clicks.interactive` does the same for any network,
photo by photo, with COCO's average precision and detected people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from clickpose.clicks.click_protocol import ClickProtocol
from clickpose.data.persons import PersonBatch, PersonDataset
from clickpose.data.records import PersonRecord
from clickpose.frames import CropFrame
from clickpose.lite.mirrored_views import FlipTestLite
from clickpose.metrics.clicks import ClickCurve, manual_correction_curve
from clickpose.metrics.reliability import expected_calibration_error
from clickpose.networks.lite import LiteNetwork
from clickpose.networks.lite_decoder import DecoderOutput, EncodedPerson, PoseQueries
from clickpose.skeleton import Skeleton
from clickpose.terms import grow_boxes_tensor, oks_terms


@dataclass(frozen=True, eq=False, kw_only=True)
class ClickEvaluation:
    """Results over N persons.

    Attributes:
        refined: after each click the network moved the rest.
        manual: after each click nothing but the clicked joint moved, from the network's own first prediction.
        trunk_manual: the same from the trunk's own pose.
        first_terms: (N, K) OKS terms of the network's first prediction; ``first_scores`` and ``first_visibility``
            (N, K) what it predicted of them.
        labelled: (N, K) bool.
        refined_terms: (N, 1 + clicks, K) OKS terms that ``refined`` is the mean of.
    """

    refined: ClickCurve
    manual: ClickCurve
    trunk_manual: ClickCurve
    first_terms: np.ndarray
    first_scores: np.ndarray
    first_visibility: np.ndarray
    labelled: np.ndarray
    refined_terms: np.ndarray

    def curve_over(self, joints: Sequence[int]) -> ClickCurve:
        """Return the refined curve as if only ``joints`` counted, over persons with one of them labelled."""
        chosen = list(joints)
        labelled = self.labelled[:, chosen]
        some = labelled.any(axis=1)
        terms = (self.refined_terms[:, :, chosen] * labelled[:, None]).sum(axis=2)
        return ClickCurve(terms[some] / labelled[some].sum(axis=1, keepdims=True))

    def score_correlation(self) -> float:
        """Return Pearson's r of predicted instance score (sum v s / sum v) and true OKS, over persons.

        NaN where it is not defined: fewer than two persons, or all alike.
        """
        score = (self.first_scores * self.first_visibility).sum(1) / self.first_visibility.sum(1)
        oks = self.refined.oks[:, 0]
        if len(oks) < 2 or not (score.std() and oks.std()):
            return float("nan")
        return float(np.corrcoef(score, oks)[0, 1])

    def calibration_error(self) -> float:
        """Return the expected calibration error of the labelled joints' predicted OKS before any click."""
        return expected_calibration_error(self.first_scores[self.labelled], self.first_terms[self.labelled])


@torch.inference_mode()
def evaluate_clicks(
    network: LiteNetwork | FlipTestLite,
    records: Sequence[PersonRecord],
    skeleton: Skeleton,
    protocol: ClickProtocol | None = None,
    batch_size: int = 32,
) -> ClickEvaluation:
    """Run the click protocol from ground-truth boxes.

    Args:
        network: in evaluation mode, with a flip test or without.
        records: persons with at least one labelled keypoint.
        skeleton: theirs.
        protocol: the annotator.
        batch_size: persons at once.

    Raises:
        ValueError: for the ``"farthest"`` strategy, which needs the photos' sizes.
    """
    protocol = protocol or ClickProtocol()
    if protocol.strategy == "farthest":
        raise ValueError("Expected the strategy worst, lowest_score or random in batches, got 'farthest'")
    dataset = PersonDataset(list(records), skeleton, network.config.input_side)
    loader = DataLoader(dataset, batch_size, num_workers=1)
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
        refined=ClickCurve(joined["curve"]),
        manual=manual_correction_curve(joined["terms"], labelled, protocol.clicks),
        trunk_manual=manual_correction_curve(joined["trunk_terms"], labelled, protocol.clicks),
        first_terms=joined["terms"],
        first_scores=joined["scores"],
        first_visibility=joined["visibility"],
        labelled=labelled,
        refined_terms=joined["refined_terms"],
    )


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
    return _Truth(torch.from_numpy(keypoints).float(), torch.from_numpy(labelled), batch.labels.area_norm)


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
    all_terms = [first_terms]
    clickable = truth.labelled & torch.from_numpy(protocol.clickable(skeleton))
    annotator = _Annotator(truth, clickable, sigmas, protocol, generator)
    first = queries, output
    for n in range(1, protocol.clicks + 1):
        # once: all n joints are chosen on the first pose; progressive: one more on the last
        before, count = (first, n) if protocol.loop == "once" else ((queries, output), 1)
        queries = annotator.click(*before, count)
        output = network.decode(person, queries)
        all_terms.append(oks_terms(output.keypoints_norm[-1, :, 0], truth.keypoints, truth.area, sigmas))
    curve = torch.stack([_mean_over(terms, truth.labelled) for terms in all_terms], 1)
    return {name: value.numpy() for name, value in result.items()} | {
        "curve": curve.numpy(), "refined_terms": torch.stack(all_terms, 1).numpy()
    }  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Annotator:
    """Places joints of all persons of a batch at once; persons without a joint left stay as they are."""

    truth: _Truth
    clickable: Tensor  # (B, K) bool
    sigmas: Tensor
    protocol: ClickProtocol
    generator: torch.Generator

    def click(self, queries: PoseQueries, output: DecoderOutput, count: int) -> PoseQueries:
        """Return what to decode after ``count`` more joints of each person were placed on ``output``."""
        truth = self.truth
        keypoints, fixed = output.keypoints_norm[-1, :, 0], queries.fixed[:, 0]
        free = self.clickable & ~fixed
        quality = self._quality(keypoints, output).masked_fill(~free, float("inf"))
        rank = quality.argsort(dim=-1, stable=True).argsort(dim=-1)
        clicked = (rank < count) & free
        tolerance = 2 * self.sigmas[:, None] * truth.area.sqrt()[:, None, None]
        noise = torch.randn(keypoints.shape, generator=self.generator) * tolerance * self.protocol.noise_sigmas
        placed = torch.where(clicked[..., None], truth.keypoints + noise, keypoints)
        box = grow_boxes_tensor(output.boxes_norm[-1, :, 0], placed, fixed | clicked)
        return PoseQueries(placed[:, None], (fixed | clicked)[:, None], box[:, None])

    def _quality(self, keypoints: Tensor, output: DecoderOutput) -> Tensor:
        """Return (B, K): the joint of the lowest value is clicked first."""
        if self.protocol.strategy == "worst":
            return oks_terms(keypoints, self.truth.keypoints, self.truth.area, self.sigmas)
        if self.protocol.strategy == "lowest_score":
            return output.oks_logits[:, 0]
        return torch.rand(keypoints.shape[:2], generator=self.generator)


def _mean_over(terms: Tensor, labelled: Tensor) -> Tensor:
    return (terms * labelled).sum(-1) / labelled.sum(-1).clamp(min=1)
