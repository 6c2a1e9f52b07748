"""Pose predictors by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clickpose.device import check_device
from clickpose.predictor import PosePredictor
from clickpose.weights_io import WeightsError


def load(
    name: str = "lite",
    checkpoint: str | Path | None = None,
    device: str = "cpu",
    threads: int | None = None,
    **options: Any,
) -> PosePredictor:
    """Load a pose predictor.

    Args:
        name: ``"lite"``, the box-prompted network that ships with the package, or ``"r50"``, the paper's end-to-end
            network, of which no weights are shipped.
        checkpoint: weights to load instead of the shipped ones; for r50 an official ``.pth`` or our ``.safetensors``.
        device: a torch device, such as ``"cpu"`` or ``"cuda"``.
        threads: threads for one image; None for the libraries' own choice.
        options: of that network alone, such as lite's ``flip_test`` and r50's ``skeleton`` and ``min_score``.

    Raises:
        ValueError: for another name, or a device that PyTorch cannot use; WeightsError (a ValueError) if the weights
            cannot be read.
    """
    check_named(name, checkpoint)
    check_device(device)
    return _LOADERS[name](checkpoint, device, threads, **options)


def check_named(name: str, checkpoint: str | Path | None) -> None:
    """Check what can be said of a network and its weights without reading them, before a service starts.

    Args:
        name: of the network.
        checkpoint: its weights; None for the shipped ones.

    Raises:
        ValueError: for another name; WeightsError (a ValueError) if there are no such weights.
    """
    if name not in _LOADERS:
        raise ValueError(f"Expected name to be one of {', '.join(map(repr, _LOADERS))}, got {name!r}")
    if checkpoint is not None and not Path(checkpoint).exists():
        raise WeightsError(f"Expected weights of the network {name} at {checkpoint}, got nothing there")
    if checkpoint is None and name == "r50":
        raise WeightsError("Expected a checkpoint for the network r50, got none: its weights are not shipped")


def flip_test_options(name: str, flip_test: bool) -> dict[str, bool]:
    """Return the options of :func:`load` that make a network with lite's flip test or without.

    Args:
        name: of the network.
        flip_test: False to leave it out.

    Raises:
        ValueError: if it is to be left out of a network that makes none.
    """
    if flip_test:
        return {}
    if name != "lite":
        raise ValueError(f"Expected the network lite where the flip test is left out, got {name!r}, which makes none")
    return {"flip_test": False}


def _load_lite(checkpoint: str | Path | None, device: str, threads: int | None, **options: Any) -> PosePredictor:
    from clickpose.lite.predictor import LitePredictor  # imports torch: only when it is wanted

    return LitePredictor.load(checkpoint, device=device, threads=threads, **options)


def _load_r50(checkpoint: str | Path | None, device: str, threads: int | None, **options: Any) -> PosePredictor:
    from clickpose.r50.predictor import R50Predictor  # imports torch: only when it is wanted

    return R50Predictor.load(checkpoint, device=device, threads=threads, **options)


_LOADERS = {"lite": _load_lite, "r50": _load_r50}
