"""The paper's tables about ranking and calibration: 1, 2, 4, 5, Fig. 4 (aggregation) and the supplement's losses.

Numbers are :class:`~clickpose.metrics.bootstrap.Interval` throughout; photos are drawn, with all their people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from calibration_study.networks import INPUT_SIDE, NetworkRun
from clickpose.calibration.aggregation import USUAL_THRESHOLD, mean_above_threshold, visibility_weighted
from clickpose.calibration.ccnet_fit import CCNetConfig, FeatureTable, apply_ccnet, ccnet_loss, fit_ccnet
from clickpose.calibration.closed_form import SizeHead, closed_form_scores, mean_area
from clickpose.calibration.expected_oks import sigma_of_heatmap_score, with_common_tolerance
from clickpose.data.records import PersonRecord
from clickpose.frames import CropFrame
from clickpose.metrics.bootstrap import Comparison, Interval, compare_average_precision
from clickpose.metrics.calibration_figures import CalibrationSample, compare
from clickpose.metrics.keypoint_sets import KeypointPredictions, KeypointTruth
from clickpose.metrics.pck import correct_keypoints
from clickpose.networks.ccnet import CCNet, CCNetOutput
from clickpose.networks.movenet import HEAD_STRIDE
from clickpose.skeleton import COCO

HEAD_OF_AREA = 0.25  # COCO has no head boxes: a quarter of sqrt(area) is about MPII's head size of a standing person
TABLE_4 = ("AUSE-PCK0.5", "AUSE-PCK0.1")
LOSSES = ("MSE", "cross-entropy", "aleatoric")


class Confidences(NamedTuple):
    """``keypoints`` and ``visible`` (N, K), ``persons`` (N,): scores of joints, their weights, and of persons."""

    keypoints: np.ndarray
    visible: np.ndarray
    persons: np.ndarray


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The persons of the evaluated split, and what one network predicts for them and for the training persons.

    Attributes:
        truth: every annotated person of the split.
        records: those that are predicted, in order.
        run: of ``records``.
        training: of the training persons.
        training_records: those.
        rendering_sigma: l~ of a heatmap network, cells; None for another.
    """

    truth: KeypointTruth
    records: list[PersonRecord]
    run: NetworkRun
    training: NetworkRun
    training_records: list[PersonRecord]
    rendering_sigma: float | None = None

    @property
    def visibility(self) -> np.ndarray:
        """(N, K) annotated."""
        return self.run.table.visibility.numpy()

    def original(self) -> Confidences:
        """The network's own scores, joints weighted as is usual for it."""
        return self.weighted(self.run.scores, self.run.visible)

    def weighted(self, scores: np.ndarray, visible: np.ndarray) -> Confidences:
        """Scores of joints and their weights, with the person's score (Eq. 7)."""
        return Confidences(scores, visible, visibility_weighted(scores, visible))

    def compare_precision(self, before: np.ndarray, after: np.ndarray, resamples: int) -> dict[str, Comparison]:
        """COCO's ten figures of two sets of person scores on the same poses."""
        old, new = (self._predictions(scores) for scores in (before, after))
        images = sorted(set(self.truth.image_ids.tolist()))
        return compare_average_precision(self.truth, old, new, COCO.sigma_array, images, resamples=resamples)

    def _predictions(self, scores: np.ndarray) -> KeypointPredictions:
        areas = np.array([record.area for record in self.records])
        return KeypointPredictions(
            keypoints=self.run.keypoints, scores=scores, image_ids=[r.image_id for r in self.records], areas=areas
        )

    def sample(self, confidences: Confidences) -> CalibrationSample:
        """Confidences beside what they should say; PCK by about a head's size."""
        truth = np.stack([record.keypoints for record in self.records])
        heads = HEAD_OF_AREA * np.sqrt([record.area for record in self.records])
        correct = {
            f"PCK{share:g}": np.nan_to_num(correct_keypoints(self.run.keypoints, truth, self.visibility, heads, share))
            for share in (0.5, 0.1)
        }
        table = self.run.table
        return CalibrationSample(
            oks=table.oks.double().numpy().clip(0, 1),
            scores=confidences.keypoints,
            visibility=self.visibility,
            instance_oks=self.run.instance_oks,
            instance_scores=confidences.persons,
            correct=correct,
            image_ids=table.groups.numpy(),
        )


def fit_head(training: FeatureTable, epochs: int) -> CCNet:
    """Fit CCNet on the training persons' features."""
    head = CCNet(training.oks.shape[1], training.features.shape[-1])
    fit_ccnet(head, training, CCNetConfig(epochs=epochs))
    return head


def apply_head(head: CCNet, evaluation: Evaluation) -> Confidences:
    """Return a fitted head's confidences."""
    return evaluation.weighted(*apply_ccnet(head, evaluation.run.table.features))


def table1(evaluation: Evaluation, resamples: int) -> dict[str, dict[str, Comparison]]:
    """AP by what the persons are ranked by, each compared with the network's original scores.

    A row for each way to know how uncertain a position is; one row without the closed form for a network that has none.
    """
    original = evaluation.original().persons
    same = {"original": original, "constant": np.full(len(original), 0.5)}
    rows = {
        way: {f"{name} area": scores for name, scores in closed_forms(evaluation, deviations).items()}
        for way, deviations in position_deviations(evaluation).items()
    }
    last = {"OKS as score": evaluation.run.instance_oks}
    return {
        way: {
            name: evaluation.compare_precision(original, scores, resamples)["AP"]
            for name, scores in {**same, **closed, **last}.items()
        }
        for way, closed in (rows or {"": {}}).items()
    }


def position_deviations(evaluation: Evaluation) -> dict[str, np.ndarray]:
    """Standard deviations (N, K), px, by where they come from.

    A heatmap tells it twice: by the width of its highest peak, as the paper has it, and by the peak's height (Eq. 17),
    which also falls where a second peak competes.
    """
    run = evaluation.run
    if evaluation.rendering_sigma is None:
        return {"predicted scale": run.deviations} if np.isfinite(run.deviations).any() else {}
    cells = sigma_of_heatmap_score(run.scores, evaluation.rendering_sigma)
    scale = np.sqrt(_crop_areas(evaluation.records)) / INPUT_SIDE
    return {"width of the peak": run.deviations, "height of the peak": cells * HEAD_STRIDE * scale[:, None]}


def closed_forms(evaluation: Evaluation, deviations: np.ndarray) -> dict[str, np.ndarray]:
    """Person scores (N,) of Eq. 12 by the source of the area, made of the joints' as is usual for the network.

    The network sees the crop, whose side is the box's longer one: the mean area is the mean share of the crop, one size
    for everybody in the network's own unit, and the predicted one is a share as well, told from the features.
    """
    run, training = evaluation.run, evaluation.training
    truth = np.array([record.area for record in evaluation.records])
    known = np.array([record.area for record in evaluation.training_records])
    crops, known_crops = _crop_areas(evaluation.records), _crop_areas(evaluation.training_records)
    head = SizeHead().fit(_person_features(training), known, known_crops)
    areas = {
        "mean": mean_area(known / known_crops, len(crops)) * crops,
        "predicted": head.predict(_person_features(run), crops),
        "ground-truth": truth,
    }
    # Eq. 5 for heatmaps, else the plain mean
    threshold = 0.0 if evaluation.rendering_sigma is None else USUAL_THRESHOLD
    return {
        name: mean_above_threshold(closed_form_scores(deviations, area, COCO.sigma_array), threshold)
        for name, area in areas.items()
    }


def table2(evaluation: Evaluation, calibrated: Confidences, resamples: int) -> dict[str, Comparison]:
    """AP and AR before and after CCNet."""
    figures = evaluation.compare_precision(evaluation.original().persons, calibrated.persons, resamples)
    return {name: figures[name] for name in ("AP", "AR", "AP_medium", "AP_large")}


def table4(evaluation: Evaluation, calibrated: Confidences, resamples: int) -> dict[str, dict[str, Comparison]]:
    """AUSE-PCK before and after CCNet, and after its scores got one tolerance for all joints, as PCK has."""
    joints = with_common_tolerance(calibrated.keypoints, COCO.sigma_array)
    before = evaluation.sample(evaluation.original())
    return {
        way: {name: figures[name] for name in TABLE_4}
        for way, figures in (
            ("CCNet", compare(before, evaluation.sample(calibrated), resamples)),
            (
                "CCNet, one tolerance",
                compare(before, evaluation.sample(calibrated._replace(keypoints=joints)), resamples),
            ),
        )
    }


def calibration_change(evaluation: Evaluation, calibrated: Confidences, resamples: int) -> dict[str, Comparison]:
    """Table 5: Pearson, AUSE and the rest, before and after CCNet."""
    return compare(evaluation.sample(evaluation.original()), evaluation.sample(calibrated), resamples)


def aggregations(evaluation: Evaluation, calibrated: Confidences, resamples: int) -> dict[str, dict[str, Comparison]]:
    """Fig. 4: CCNet's joint scores made into a person's score in several ways, each against the plain mean."""
    scores = calibrated.keypoints
    plain = calibrated._replace(persons=scores.mean(axis=1))
    ways = {
        "mean above .2 (Eq. 5)": mean_above_threshold(scores),
        "predicted visibility (Eq. 7)": calibrated.persons,
        "annotated visibility": visibility_weighted(scores, evaluation.visibility > 0),
    }
    result = {}
    for name, persons in ways.items():
        figures = compare(evaluation.sample(plain), evaluation.sample(calibrated._replace(persons=persons)), resamples)
        precision = evaluation.compare_precision(plain.persons, persons, resamples)
        result[name] = {"AP": precision["AP"]} | {k: figures[k] for k in ("Pearson, persons", "ECE, persons")}
    return result


def losses(evaluation: Evaluation, epochs: int, resamples: int) -> dict[str, dict[str, Comparison]]:
    """The supplement's Table g: CCNet fitted by other losses, each against the network's own scores."""
    result = {}
    for loss in LOSSES:
        table = evaluation.training.table
        head = AleatoricCCNet(table) if loss == "aleatoric" else CCNet(table.oks.shape[1], table.features.shape[-1])
        fit_ccnet(head, table, CCNetConfig(epochs=epochs), loss_function=_LOSS_FUNCTIONS[loss])
        confidences = evaluation.weighted(*apply_ccnet(head, evaluation.run.table.features))
        figures = calibration_change(evaluation, confidences, resamples)
        precision = table2(evaluation, confidences, resamples)
        names = ("Pearson, persons", "AUSE, persons", "AUSE, joints", "ECE, joints", "Brier, joints")
        result[loss] = {"AP": precision["AP"]} | {name: figures[name] for name in names}
    return result


class AleatoricOutput(NamedTuple):
    """CCNet's output with the (..., K) log variance of the score."""

    score_logits: Tensor
    visibility_logits: Tensor
    log_variance: Tensor


class AleatoricCCNet(nn.Module):
    """CCNet that also predicts how uncertain its score is (Kendall and Gal, NeurIPS 2017).

    Args:
        table: whose joints and features it is made for.
    """

    def __init__(self, table: FeatureTable):
        super().__init__()
        sizes = (table.oks.shape[1], table.features.shape[-1])
        self.score, self.spread = CCNet(*sizes), CCNet(*sizes)

    def initialize(self, features: Tensor, oks: Tensor, visibility: Tensor) -> None:
        """Start as CCNet does, with a standard deviation of a third."""
        self.score.initialize(features, oks, visibility)
        self.spread.initialize(features, oks, visibility)
        with torch.no_grad():
            self.spread.bias.fill_(-2.0)

    def forward(self, features: Tensor) -> AleatoricOutput:
        """Predict from (N, F) or (N, K, F) features."""
        return AleatoricOutput(*self.score(features), self.spread(features).score_logits.clamp(-8, 2))


def cross_entropy_loss(output: CCNetOutput, oks: Tensor, visibility: Tensor, visibility_weight: float) -> Tensor:
    """OKS as a soft label of the score's sigmoid; the visibility term of :func:`ccnet_loss`."""
    labelled = (visibility > 0).float()
    target = torch.where(labelled > 0, oks, 0.0)
    score = F.binary_cross_entropy_with_logits(output.score_logits, target, reduction="none")
    return _with_visibility(score, output, oks, visibility, visibility_weight)


def aleatoric_loss(output: AleatoricOutput, oks: Tensor, visibility: Tensor, visibility_weight: float) -> Tensor:
    """Normal likelihood of OKS around the score with the predicted variance; visibility as in :func:`ccnet_loss`."""
    target = torch.where(visibility > 0, oks, 0.0)
    squared = (output.score_logits.sigmoid() - target).square()
    likelihood = (squared * (-output.log_variance).exp() + output.log_variance) / 2
    return _with_visibility(likelihood, output, oks, visibility, visibility_weight)


def _with_visibility(score: Tensor, output, oks: Tensor, visibility: Tensor, weight: float) -> Tensor:
    """Put another score term (B, K) in the place of CCNet's squared error."""
    labelled = (visibility > 0).float()
    own = (score * labelled).sum() / labelled.sum().clamp(min=1)
    both = ccnet_loss(output, oks, visibility, weight)
    return own + both - ccnet_loss(output, oks, visibility, 0.0)


_LOSS_FUNCTIONS = {"MSE": ccnet_loss, "cross-entropy": cross_entropy_loss, "aleatoric": aleatoric_loss}


def as_json(figures: Mapping | Comparison | Interval) -> dict | list[float]:
    """Return nested comparisons and intervals as what JSON can hold: value, low, high (of before, after and change)."""
    if isinstance(figures, Interval):
        return [figures.value, figures.low, figures.high]
    if isinstance(figures, Comparison):
        parts = {"before": figures.before, "after": figures.after, "change": figures.change}
        return {name: as_json(part) for name, part in parts.items()}
    return {name: as_json(value) for name, value in figures.items()}


def _person_features(run: NetworkRun) -> np.ndarray:
    """Return (N, F) features of a person: the mean over joints where each has its own."""
    features = run.table.features.double().numpy()
    return features.mean(axis=1) if features.ndim == 3 else features


def _crop_areas(records: list[PersonRecord]) -> np.ndarray:
    return np.array([CropFrame.around_box(record.box_xyxy, INPUT_SIDE).side ** 2 for record in records])
