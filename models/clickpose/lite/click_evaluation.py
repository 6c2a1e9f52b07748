"""Let the simulated annotator click on people cut out of photos, in batches: the fast evaluation of the lite network.

Each person by itself, from its ground-truth box. It is the annotator that works photo by photo with any network
(:mod:`clickpose.clicks.interactive`, with COCO's average precision and detected people), and its clicks are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from clickpose.clicks.click_protocol import (
    BatchChance,
    ClickProtocol,
    LabelledPeople,
    PlacedJoints,
    SimulatedAnnotator,
    View,
)
from clickpose.data.persons import PersonBatch, PersonDataset
from clickpose.data.records import PersonRecord
from clickpose.frames import CropFrame
from clickpose.lite.mirrored_views import FlipTestLite, OwnPerson
from clickpose.metrics.clicks import ClickCurve, manual_correction_curve
from clickpose.metrics.reliability import expected_calibration_error
from clickpose.networks.lite import LiteNetwork
from clickpose.networks.lite_decoder import DecoderOutput, PoseQueries
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

    """
    protocol = protocol or ClickProtocol()
    dataset = PersonDataset(list(records), skeleton, network.config.input_side)
    loader = DataLoader(dataset, batch_size, num_workers=1)
    generator = torch.Generator().manual_seed(protocol.seed)
    parts, start = [], 0
    for batch in tqdm(loader, desc=f"clicks ({protocol.strategy})", unit="batch", leave=False, disable=None):
        people = _people(records[start : start + len(batch.image)], batch)
        start += len(batch.image)
        person = network.encode(batch.image.contiguous(memory_format=torch.channels_last), batch.prompt_norm).person
        annotator = SimulatedAnnotator(protocol, people, skeleton, BatchChance(generator))
        parts.append(_simulate(network, person, annotator))
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


def _people(records: Sequence[PersonRecord], batch: PersonBatch) -> LabelledPeople:
    """Take the labels from the records, 0..1 of the crops: a training sample leaves out what its crop does not show."""
    frames = [CropFrame.around_box(record.box_xyxy, 1) for record in records]
    keypoints = np.stack([f.to_norm(r.keypoints) for f, r in zip(frames, records, strict=True)])
    extent = [
        [side / frame.side for side in record.image_hw[::-1]] for frame, record in zip(frames, records, strict=True)
    ]
    return LabelledPeople(
        keypoints=torch.from_numpy(keypoints).float(),
        labelled=torch.from_numpy(np.stack([record.labelled for record in records])),
        area=batch.labels.area_norm,
        extent=torch.from_numpy(np.stack(extent)).float(),
    )


class _State(NamedTuple):
    """What was decoded, and how right it is: ``terms`` (B, K) OKS terms."""

    queries: PoseQueries
    output: DecoderOutput
    terms: Tensor


def _simulate(
    network: LiteNetwork | FlipTestLite, person: OwnPerson, annotator: SimulatedAnnotator
) -> dict[str, np.ndarray]:
    """Click on a batch of persons, who are decoded all at once."""
    people, sigmas = annotator.people, annotator.sigmas

    def decode(queries: PoseQueries) -> _State:
        output = network.decode(person, queries)
        pose = output.keypoints_norm[-1, :, 0]
        return _State(queries, output, oks_terms(pose, people.keypoints, people.area, sigmas))

    def look(state: _State) -> View:
        output = state.output
        return View(output.keypoints_norm[-1, :, 0], output.oks_logits[:, 0], state.queries.fixed[:, 0])

    def correct(state: _State, placed: PlacedJoints) -> _State:
        keypoints, _, fixed = look(state)
        keypoints, fixed = torch.where(placed.chosen[..., None], placed.positions, keypoints), fixed | placed.chosen
        box = grow_boxes_tensor(state.output.boxes_norm[-1, :, 0], keypoints, fixed)
        after = decode(PoseQueries(keypoints[:, None], fixed[:, None], box[:, None]))
        clicked = placed.chosen.any(-1, keepdim=True)  # the others are decoded with them and stay as they are
        return after._replace(terms=torch.where(clicked, after.terms, state.terms))

    first = decode(network.initial_queries(person))
    terms = torch.stack([first.terms, *(state.terms for state in annotator.rounds(first, look, correct))], 1)
    trunk_terms = oks_terms(person.initial_norm, people.keypoints, people.area, sigmas)
    curve = torch.stack([_mean_over(after, people.labelled) for after in terms.unbind(1)], 1)
    result = {
        "labelled": people.labelled, "terms": first.terms, "trunk_terms": trunk_terms,
        "scores": first.output.oks_logits[:, 0].sigmoid(), "visibility": first.output.visibility_logits[:, 0].sigmoid(),
        "curve": curve, "refined_terms": terms,
    }  # fmt: skip
    return {name: value.numpy() for name, value in result.items()}


def _mean_over(terms: Tensor, labelled: Tensor) -> Tensor:
    return (terms * labelled).sum(-1) / labelled.sum(-1).clamp(min=1)
