"""Is a network better than another one on labelled people? Clicks and average precision, with paired intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clickpose.boxes import xyxy_to_xywh
from clickpose.calibration.aggregation import visibility_weighted
from clickpose.data.records import PersonRecord
from clickpose.lite.click_evaluation import ClickEvaluation, evaluate_clicks
from clickpose.lite.mirrored_views import FlipTestLite
from clickpose.lite.tokens import collect_lite
from clickpose.metrics.bootstrap import Comparison, bootstrap_pair, compare_average_precision
from clickpose.metrics.clicks import NOC_TARGETS, ClickCurve
from clickpose.metrics.keypoint_sets import KeypointPredictions, KeypointTruth
from clickpose.networks.lite import LiteNetwork
from clickpose.skeleton import Skeleton

AP = "AP"


@dataclass(frozen=True, eq=False)
class NetworkFigures:
    """What a network does on labelled people, each in the ground-truth box.

    Attributes:
        clicks: the simulated annotator's.
        predictions: of the same people before any click.
    """

    clicks: ClickEvaluation
    predictions: KeypointPredictions


def measure_network(
    network: LiteNetwork | FlipTestLite, records: Sequence[PersonRecord], skeleton: Skeleton
) -> NetworkFigures:
    """Let a network predict people and be corrected.

    Args:
        network: in evaluation mode.
        records: persons with a labelled joint.
        skeleton: theirs.

    Raises:
        ValueError: without a person.
    """
    tokens = collect_lite(network, records, skeleton, clicks=0)
    (table,) = tokens.tables
    scores = table.scores.numpy().astype(np.float64)
    weights = table.visibility_scores.numpy().astype(np.float64)
    predictions = KeypointPredictions(
        keypoints=tokens.keypoints,
        scores=visibility_weighted(scores, weights),
        image_ids=_image_ids(records),
    )
    return NetworkFigures(evaluate_clicks(network, records, skeleton), predictions)


def compare_networks(
    before: NetworkFigures, after: NetworkFigures, records: Sequence[PersonRecord], skeleton: Skeleton, seed: int = 0
) -> dict[str, Comparison]:
    """Compare two networks on the same people; photos are drawn, with all their people.

    Args:
        before, after: of :func:`measure_network`, of the same ``records``.
        records: the persons.
        skeleton: theirs.
        seed: of the draws.

    Returns:
        ``"NoC85"``, ``"NoC90"`` and ``"NoC95"``, clicks a person, and ``"AP"``, COCO's, from ground-truth boxes.
    """

    def clicks_of(figures: NetworkFigures, drawn: np.ndarray) -> dict[str, float]:
        curve = ClickCurve(figures.clicks.refined.oks[drawn])
        return {f"NoC{round(target * 100)}": curve.number_of_clicks(target) for target in NOC_TARGETS}

    groups = _image_ids(records)
    found = bootstrap_pair(
        lambda drawn: clicks_of(before, drawn), lambda drawn: clicks_of(after, drawn), groups, seed=seed,
        better=lambda name: -1,
    )  # fmt: skip
    precision = compare_average_precision(
        _truth(records), before.predictions, after.predictions, skeleton.sigma_array, seed=seed
    )
    return {**found, AP: precision[AP]}


def _image_ids(records: Sequence[PersonRecord]) -> np.ndarray:
    return np.array([str(record.image_path) for record in records], dtype=object)


def _truth(records: Sequence[PersonRecord]) -> KeypointTruth:
    return KeypointTruth(
        keypoints=np.stack([record.keypoints for record in records]),
        visibility=np.stack([record.visibility for record in records]),
        areas=np.array([record.area for record in records], dtype=np.float64),
        boxes_xywh=xyxy_to_xywh(np.stack([record.box_xyxy for record in records])),
        image_ids=_image_ids(records),
    )
