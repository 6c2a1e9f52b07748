"""Calibrated scores of the lite network: a small file beside its weights, applied to every decoding.

Scores are read from the decoder's final state, which knows the clicks, so that they follow each click. The file is
``lite.calibration.safetensors`` (a CCNet head on the final keypoint tokens) or ``lite.calibration.json`` (a post-hoc
calibrator of the network's own predicted OKS) beside ``lite.safetensors``; ``clickpose calibrate network`` writes
both kinds. Positions and boxes are never touched.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from clickpose.calibration.calibrator_file import load_calibrator, load_ccnet
from clickpose.calibration.posthoc import PosthocCalibrator
from clickpose.calibration.provenance import CalibratorError, Provenance
from clickpose.networks.ccnet import CCNet
from clickpose.networks.lite_decoder import DecoderOutput
from clickpose.skeleton import Skeleton
from clickpose.weights_io import WeightsError

MODEL = "lite"


class LiteScores(NamedTuple):
    """``keypoints`` and ``visibility``, (B, V, K) float64 in 0..1, of a decoding."""

    keypoints: np.ndarray
    visibility: np.ndarray


ScoreReader = Callable[[DecoderOutput], LiteScores]


def raw_scores(output: DecoderOutput) -> LiteScores:
    """Return what the network itself predicts."""
    return LiteScores(_probability(output.oks_logits), _probability(output.visibility_logits))


class CCNetScores:
    """Scores and visibilities of a CCNet head on the decoder's final keypoint tokens.

    Args:
        head: fitted, of as many joints and features as the decoder's tokens.
        device: torch device.
    """

    def __init__(self, head: CCNet, device: str | torch.device = "cpu"):
        self.head = head.eval().to(device)

    @torch.inference_mode()
    def __call__(self, output: DecoderOutput) -> LiteScores:
        """Read a decoding."""
        return LiteScores(*(_probability(logits) for logits in self.head(output.tokens)))


class PosthocScores:
    """The network's own predicted OKS through a post-hoc calibrator; visibilities as they are.

    Args:
        calibrator: fitted; one that needs no area.

    Raises:
        ValueError: for a calibrator that needs an area: predicted OKS knows the person's size already.
    """

    def __init__(self, calibrator: PosthocCalibrator):
        if calibrator.needs_area:
            raise ValueError(f"Expected a calibrator that needs no area for {MODEL}, got {calibrator.kind}")
        self.calibrator = calibrator

    def __call__(self, output: DecoderOutput) -> LiteScores:
        """Read a decoding."""
        raw = raw_scores(output)
        flat = raw.keypoints.reshape(-1, raw.keypoints.shape[-1])
        return LiteScores(self.calibrator.predict(flat).reshape(raw.keypoints.shape), raw.visibility)


def calibration_files(weights: str | Path) -> tuple[Path, Path]:
    """Return where the calibration of a weights file may lie: (CCNet head, post-hoc calibrator)."""
    stem = Path(weights).with_suffix("")
    return stem.with_name(f"{stem.name}.calibration.safetensors"), stem.with_name(f"{stem.name}.calibration.json")


def find_calibration(weights: str | Path) -> Path | None:
    """Return the calibration file beside a weights file; None without one.

    Raises:
        WeightsError: if there are two.
    """
    found = [path for path in calibration_files(weights) if path.exists()]
    if len(found) > 1:
        raise WeightsError(f"Expected one calibration of {weights}, got {found[0].name} and {found[1].name}")
    return found[0] if found else None


def load_score_reader(
    path: Path, skeleton: Skeleton, fingerprint: str, device: str | torch.device = "cpu"
) -> tuple[ScoreReader, Provenance]:
    """Load a calibration of the lite network.

    Args:
        path: either kind of file.
        skeleton: the network's.
        fingerprint: of the network's weights.
        device: torch device.

    Raises:
        WeightsError: if the file is damaged, or was fitted for another model, other weights or another skeleton.
    """
    try:
        if path.suffix == ".json":
            calibrator, provenance = load_calibrator(path)
            provenance.check_weights(MODEL, skeleton, fingerprint)
            return PosthocScores(calibrator), provenance
        state, provenance = load_ccnet(path)
        provenance.check_weights(MODEL, skeleton, fingerprint)
        return CCNetScores(CCNet.from_state(state), device), provenance
    except (CalibratorError, ValueError) as error:
        raise WeightsError(f"Cannot use the calibration {path}: {error}") from None


def _probability(logits: Tensor) -> np.ndarray:
    return logits.float().sigmoid().cpu().numpy().astype(np.float64)
