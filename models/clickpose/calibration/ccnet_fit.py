"""Fit a CCNet head on features that are computed once: "On the Calibration of Human Pose Estimation", Sec. 5.

Loss: squared error of the predicted OKS, over labelled joints, plus 0.02 times the binary cross-entropy of the
predicted visibility. Adam, a few epochs; with the features in memory that takes seconds on a CPU.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from clickpose.calibration.pred_net import PredNet, PredNetOutput
from clickpose.calibration.results_file import MATCH_FROM
from clickpose.metrics.average_precision import match_predictions
from clickpose.metrics.keypoint_sets import KeypointPredictions, KeypointTruth
from clickpose.metrics.oks import keypoint_oks

VISIBILITY_WEIGHT = 0.02
LEFT_OUT = -1  # visibility of a joint that is not learned from: a clicked one, or one of nobody


@dataclass(frozen=True)
class CCNetConfig:
    """How to fit.

    Attributes:
        epochs: passes over the persons.
        batch_size: persons a step.
        learning_rate: Adam's; it falls to zero along half a cosine.
        weight_decay: Adam's, for few persons and many features.
        visibility_weight: of the visibility loss.
        seed: of the order of persons.
    """

    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-5
    visibility_weight: float = VISIBILITY_WEIGHT
    seed: int = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class FeatureTable:
    """What CCNet is fitted on, in memory: N persons, K joints.

    Attributes:
        features: (N, F) or (N, K, F), finite; half precision is fine.
        oks: (N, K) OKS term of the frozen network's keypoints, 0..1; not read where ``visibility`` is 0.
        visibility: (N, K) COCO visibility; above 0 is labelled, below 0 leaves the joint out (a clicked one).
        scores: (N, K) the network's own confidences, to compare with.
        groups: (N,) int, persons that stay together in cross-validation, such as those of one image.
        visibility_scores: (N, K) the network's own predicted visibilities; None (kept as ones) where it has none.
    """

    features: Tensor
    oks: Tensor
    visibility: Tensor
    scores: Tensor
    groups: Tensor
    visibility_scores: Tensor = field(default=None)  # type: ignore[assignment]  # None becomes ones

    def __post_init__(self) -> None:
        seen = torch.ones_like(self.oks) if self.visibility_scores is None else self.visibility_scores
        object.__setattr__(self, "visibility_scores", seen)
        persons, joints = self.oks.shape if self.oks.ndim == 2 else (-1, -1)
        shape = tuple(self.features.shape)
        if shape[:1] != (persons,) or not (len(shape) == 2 or (len(shape) == 3 and shape[1] == joints)):
            raise ValueError(f"Expected features of shape (N, F) or (N, K, F) and oks (N, K), got {shape} and "
                             f"{tuple(self.oks.shape)}")  # fmt: skip
        for name in ("visibility", "scores", "visibility_scores"):
            found = tuple(getattr(self, name).shape)
            if found != (persons, joints):
                raise ValueError(f"Expected {name} of shape {(persons, joints)}, got {found}")
        if self.groups.shape != (persons,):
            raise ValueError(f"Expected groups of shape ({persons},), got {tuple(self.groups.shape)}")
        for name in ("features", "scores", "visibility_scores"):
            if not getattr(self, name).isfinite().all():
                raise ValueError(f"Expected finite {name}, got NaN or infinity")
        labelled = self.oks[self.visibility > 0]
        if not ((labelled >= 0) & (labelled <= 1)).all():
            raise ValueError("Expected finite oks of labelled keypoints within 0..1, got a value that is not")

    def __len__(self) -> int:
        return len(self.oks)

    def select(self, rows: np.ndarray) -> FeatureTable:
        """Return the persons at ``rows`` (an index or bool array)."""
        index = torch.as_tensor(np.arange(len(self))[rows])
        return FeatureTable(**{name: getattr(self, name)[index] for name in self.__dataclass_fields__})

    @classmethod
    def concatenate(cls, tables: Sequence[FeatureTable]) -> FeatureTable:
        """Put tables one below the other."""
        return cls(**{name: torch.cat([getattr(t, name) for t in tables]) for name in cls.__dataclass_fields__})

    def save(self, path: str | Path, source: dict[str, str]) -> None:
        """Write the table; ``source`` (text to text) says what it was computed from."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: getattr(self, name).contiguous() for name in self.__dataclass_fields__}
        partial = path.with_name(path.name + ".partial")
        save_file(tensors, partial, {"source": json.dumps(source, sort_keys=True)})
        partial.replace(path)

    @classmethod
    def load(cls, path: str | Path, source: dict[str, str]) -> FeatureTable | None:
        """Read a table of the same ``source``; None if there is none: it has to be computed (again)."""
        if not Path(path).is_file():
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                known = (file.metadata() or {}).get("source")
            return cls(**load_file(path)) if known == json.dumps(source, sort_keys=True) else None
        except (SafetensorError, TypeError):
            return None


class PersonLabels(NamedTuple):
    """Of the B persons of a :class:`~clickpose.calibration.pred_net.PredNetOutput`; as in :class:`FeatureTable`.

    Attributes:
        oks: (B, K) OKS terms.
        visibility: (B, K).
        groups: (B,) int.
    """

    oks: Tensor
    visibility: Tensor
    groups: Tensor


def collect_features(net: PredNet, batches: Iterable, total: int | None = None) -> FeatureTable:
    """Run the frozen network once over labelled persons.

    Args:
        net: the network.
        batches: tuples of (inputs of ``net.predict``, a function that turns its answer, a
            :class:`~clickpose.calibration.pred_net.PredNetOutput`, into :class:`PersonLabels`). For a network that
            finds people by itself, :func:`label_detections` is such a function.
        total: number of batches, for the progress bar.

    Raises:
        ValueError: without a batch.
    """
    batches_of: dict[str, list[Tensor]] = {name: [] for name in FeatureTable.__dataclass_fields__}
    for inputs, labels_of in tqdm(batches, desc="features", unit="batch", total=total, leave=False, disable=None):
        output = net.predict(*inputs)
        oks, visibility, groups = labels_of(output)
        seen = torch.ones_like(output.scores) if output.visibility_scores is None else output.visibility_scores
        batch = {
            "features": _halved(output.features), "oks": oks.float(), "visibility": visibility,
            "scores": output.scores.float(), "groups": groups, "visibility_scores": seen.float(),
        }  # fmt: skip
        for name, values in batch.items():
            batches_of[name].append(values.cpu())
    if not batches_of["features"]:
        raise ValueError("Expected at least one batch of labelled persons, got none")
    return FeatureTable(**{name: torch.cat(parts) for name, parts in batches_of.items()})


def _halved(features: Tensor) -> Tensor:
    """Return features in half precision, or as they are where that is too small for them."""
    halved = features.half()
    return halved if torch.equal(halved.isfinite(), features.isfinite()) else features


def label_detections(
    output: PredNetOutput, truth: KeypointTruth, sigmas: ArrayLike, group: int, min_oks: float = MATCH_FROM
) -> PersonLabels:
    """Label the people whom a network found in one image; who is nobody's is left out of the fit.

    Args:
        output: of that image alone, its keypoints in pixels of the image.
        truth: the image's annotated persons.
        sigmas: (K,) OKS sigmas of the joints, COCO convention.
        group: number of the image.
        min_oks: what counts as found.

    Raises:
        ValueError: as :func:`~clickpose.metrics.average_precision.match_predictions`.
    """
    keypoints = output.keypoints_input.double().cpu().numpy()
    confidences = output.scores.double().mean(dim=1).cpu().numpy()
    alone = replace(truth, image_ids=np.full(len(truth), group), category_ids=np.ones(len(truth), int))
    found = KeypointPredictions(keypoints=keypoints, scores=confidences, image_ids=np.full(len(keypoints), group))
    owner = match_predictions(alone, found, sigmas, min_oks)
    matched = owner >= 0
    matched[matched] = ~truth.ignored[owner[matched]]
    own = owner[matched]
    oks, visibility = np.zeros(keypoints.shape[:2]), np.full(keypoints.shape[:2], LEFT_OUT)
    oks[matched] = keypoint_oks(keypoints[matched], truth.keypoints[own], truth.areas[own], sigmas)
    visibility[matched] = truth.visibility[own]
    oks[visibility <= 0] = 0.0  # where nothing is labelled a position may be anything
    return PersonLabels(torch.from_numpy(oks), torch.from_numpy(visibility), torch.full((len(keypoints),), group))


class HeadOutput(Protocol):
    """What a head says of B persons: logits (B, K)."""

    @property
    def score_logits(self) -> Tensor: ...

    @property
    def visibility_logits(self) -> Tensor: ...


class FittedHead(Protocol):
    """What :func:`fit_ccnet` needs of a head, a torch module such as :class:`~clickpose.networks.ccnet.CCNet`."""

    def initialize(self, features: Tensor, oks: Tensor, visibility: Tensor) -> None: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def eval(self) -> object: ...

    def __call__(self, features: Tensor) -> HeadOutput: ...


def ccnet_loss(
    output: HeadOutput, oks: Tensor, visibility: Tensor, visibility_weight: float = VISIBILITY_WEIGHT
) -> Tensor:
    """Return the loss of a batch.

    Args:
        output: ``score_logits`` and ``visibility_logits``, (B, K).
        oks: (B, K); not read where ``visibility`` is 0.
        visibility: (B, K); above 0 is labelled, below 0 is left out.
        visibility_weight: of the binary cross-entropy.
    """
    labelled = (visibility > 0).float()
    error = (output.score_logits.sigmoid() - torch.where(labelled > 0, oks, 0.0)).square()
    score = (error * labelled).sum() / labelled.sum().clamp(min=1)
    known = (visibility >= 0).float()
    visible = F.binary_cross_entropy_with_logits(output.visibility_logits, labelled, reduction="none")
    return score + visibility_weight * (visible * known).sum() / known.sum().clamp(min=1)


def fit_ccnet(
    head: FittedHead,
    table: FeatureTable,
    config: CCNetConfig | None = None,
    loss_function: Callable[..., Tensor] = ccnet_loss,
) -> list[float]:
    """Fit a fresh head in place.

    Args:
        head: a :class:`~clickpose.networks.ccnet.CCNet` with as many joints and features as ``table``.
        table: labelled persons.
        config: how.
        loss_function: another loss of the arguments of :func:`ccnet_loss`, to compare with.

    Returns:
        mean loss of each epoch.

    Raises:
        ValueError: without a labelled joint.
    """
    config = config or CCNetConfig()
    if not (table.visibility > 0).any():
        raise ValueError(f"Expected at least one labelled keypoint to fit on, got none among {len(table)} persons")
    head.initialize(table.features, table.oks, table.visibility)
    optimizer = torch.optim.Adam(head.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    history = []
    for epoch in tqdm(range(config.epochs), desc="CCNet", unit="epoch", leave=False, disable=None):
        generator = torch.Generator().manual_seed(config.seed * 100_003 + epoch)
        losses = []
        batches = torch.randperm(len(table), generator=generator).split(config.batch_size)
        for step, rows in enumerate(batches):
            progress = (epoch + step / len(batches)) / config.epochs
            optimizer.param_groups[0]["lr"] = config.learning_rate * (1 + math.cos(math.pi * progress)) / 2
            output = head(table.features[rows])
            loss = loss_function(output, table.oks[rows], table.visibility[rows], config.visibility_weight)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        history.append(float(np.mean(losses)))
    head.eval()
    return history


@torch.inference_mode()
def apply_ccnet(head: nn.Module, features: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return predicted OKS and visibility of each joint, both (N, K) in 0..1, of (N, F) or (N, K, F) features.

    They are what the head gives first; what it gives beyond, such as a spread, is left out.
    """
    score_logits, visibility_logits, *_ = head(features)
    scores, visibility = (
        logits.sigmoid().cpu().numpy().astype(np.float64) for logits in (score_logits, visibility_logits)
    )
    return scores, visibility
