"""CCNet on the final keypoint tokens of a Click-Pose network's decoder, as a candidate of the one fit.

A network's own module collects the tokens (:mod:`clickpose.lite.tokens`, :mod:`clickpose.r50.tokens`), before and after
clicks; :func:`token_sample` lays them out for :func:`~clickpose.calibration.fit.fit_calibration`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from clickpose.calibration.aggregation import visibility_weighted
from clickpose.calibration.calibrator_file import CCNET_KIND
from clickpose.calibration.ccnet_fit import CCNetConfig, FeatureTable, apply_ccnet, fit_ccnet
from clickpose.calibration.sample import FitSample
from clickpose.networks.ccnet import CCNet

FEWEST_FOR_HEAD = 50  # a head has a weight for every feature of every joint: more to fit than a curve


@dataclass(frozen=True, eq=False)
class TokenTables:
    """What the fit needs, computed once.

    Attributes:
        tables: of the same N persons after 0, 1, … clicks.
        keypoints: (N, K, 2) px, the prediction before any click.
    """

    tables: tuple[FeatureTable, ...]
    keypoints: np.ndarray


def token_sample(data: TokenTables) -> FitSample:
    """Return the people of all tables, one table below the other, as a fit takes them."""
    rows = FeatureTable.concatenate(data.tables)
    oks, visibility, scores = (
        getattr(rows, name).numpy().astype(np.float64) for name in ("oks", "visibility", "scores")
    )
    weights = rows.visibility_scores.numpy().astype(np.float64)
    return FitSample(
        oks=oks,
        scores=scores,
        visibility=visibility,
        instance_oks=visibility_weighted(oks, visibility > 0),
        instance_scores=visibility_weighted(scores, weights),
        image_ids=rows.groups.numpy(),
        weights=weights,
        clicks=np.repeat(np.arange(len(data.tables)), len(data.tables[0])),
        features=rows.features,
    )


class TokenHead:
    """A CCNet head as a candidate: it reads scores and visibilities from the tokens.

    Args:
        config: how to fit.
    """

    kind = CCNET_KIND
    fewest_persons = FEWEST_FOR_HEAD

    def __init__(self, config: CCNetConfig | None = None):
        self.config = config

    def fit(self, sample: FitSample) -> CCNet:
        """Fit a fresh head."""
        features = _features(sample)
        table = FeatureTable(
            features=features,
            oks=torch.from_numpy(sample.oks).float(),
            visibility=torch.from_numpy(sample.visibility),
            scores=torch.from_numpy(sample.scores).float(),
            groups=torch.zeros(len(sample)),  # the folds are not the head's business
        )
        head = CCNet(sample.oks.shape[1], features.shape[-1])
        fit_ccnet(head, table, self.config)
        return head

    def read(self, fitted: CCNet, sample: FitSample) -> tuple[np.ndarray, np.ndarray]:
        """Read the tokens."""
        return apply_ccnet(fitted, _features(sample))


def _features(sample: FitSample) -> torch.Tensor:
    if sample.features is None:
        raise ValueError("Expected the features of a network for a CCNet head, got a sample without")
    return sample.features
