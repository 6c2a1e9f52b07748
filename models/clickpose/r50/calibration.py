"""Calibrated scores of the end-to-end network: a CCNet head beside its checkpoint, read with it.

The network has no confidence of a keypoint. ``clickpose calibrate network --model r50`` fits a head on the decoder's
final keypoint tokens, which know the clicks, and writes ``NAME.calibration.safetensors`` beside ``NAME.pth`` (or
``NAME.safetensors``). Positions and boxes are never touched.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from clickpose.calibration.calibrator_file import load_ccnet
from clickpose.calibration.provenance import CalibratorError
from clickpose.networks.ccnet import CCNet
from clickpose.networks.pred_nets import token_calibrator
from clickpose.skeleton import Skeleton
from clickpose.weights_io import WeightsError

MODEL = "r50"


def calibration_file(checkpoint: str | Path) -> Path:
    """Return where the calibration of a checkpoint lies, if there is one."""
    path = Path(checkpoint)
    return path.with_name(f"{path.stem}.calibration.safetensors")


def load_calibrator(
    path: Path, skeleton: Skeleton, fingerprint: str
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Load a calibration as :class:`~clickpose.r50.predictor.R50Predictor` takes it.

    Args:
        path: of :func:`calibration_file`.
        skeleton: the network's.
        fingerprint: of the checkpoint.

    Raises:
        WeightsError: if the file is damaged, or was fitted for another model, other weights or another skeleton.
    """
    try:
        state, provenance = load_ccnet(path)
        provenance.check_weights(MODEL, skeleton, fingerprint)
        return token_calibrator(CCNet.from_state(state))
    except (CalibratorError, ValueError) as error:
        raise WeightsError(f"Cannot use the calibration {path}: {error}") from None
