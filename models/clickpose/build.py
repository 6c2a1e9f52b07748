"""Pose predictors by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clickpose.device import check_device
from clickpose.predictor import PosePredictor
from clickpose.weights_io import WeightsError

if TYPE_CHECKING:
    from clickpose.first_pose.network import FirstPoseNetwork


def load(
    name: str = "lite",
    checkpoint: str | Path | None = None,
    device: str = "cpu",
    threads: int | None = None,
    first: str | FirstPoseNetwork | Callable | None = None,
    **options: Any,
) -> PosePredictor:
    """Load a pose predictor.

    Args:
        name: ``"lite"``, the box-prompted network that ships with the package, or ``"r50"``, the paper's end-to-end
            network, of which no weights are shipped.
        checkpoint: weights to load instead of the shipped ones; for r50 an official ``.pth`` or our ``.safetensors``.
        device: a torch device, such as ``"cpu"`` or ``"cuda"``.
        threads: threads for one image; None for the libraries' own choice.
        first: another network whose poses lite starts from and corrects, such as ``"movenet:thunder.onnx"``; see
            :mod:`clickpose.first_pose.loading`. None or empty for lite's own.
        options: of that network alone, such as lite's ``flip_test`` and r50's ``skeleton`` and ``min_score``.

    Raises:
        ValueError: for another name, or a device that PyTorch cannot use; WeightsError (a ValueError) if the weights
            cannot be read.
    """
    check_named(name, checkpoint, first)
    check_device(device)
    predictor = _LOADERS[name](checkpoint, device, threads, **options)
    if not first:
        return predictor
    from clickpose.first_pose.joining import keep_first, merge_poses
    from clickpose.first_pose.loading import is_merged, load_first
    from clickpose.first_pose.predictor import FirstPosePredictor

    return FirstPosePredictor(
        predictor, load_first(first, device, threads), merge_poses if is_merged(first) else keep_first
    )


def check_named(
    name: str, checkpoint: str | Path | None, first: str | FirstPoseNetwork | Callable | None = None
) -> None:
    """Check what can be said of a network and its weights without reading them, before a service starts.

    Args:
        name: of the network.
        checkpoint: its weights; None for the shipped ones.
        first: the network of the first poses, as for :func:`load`.

    Raises:
        ValueError: for another name; WeightsError (a ValueError) if there are no such weights; FirstPoseError (another
            one) for first poses that cannot be had.
    """
    if first:
        from clickpose.first_pose.loading import FirstSpec

        _check_corrects(name, first)
        if isinstance(first, str):
            FirstSpec.parse(first).check()
    if name not in _LOADERS:
        raise ValueError(f"Expected name to be one of {', '.join(map(repr, _LOADERS))}, got {name!r}")
    if checkpoint is not None and not Path(checkpoint).exists():
        raise WeightsError(f"Expected weights of the network {name} at {checkpoint}, got nothing there")
    if checkpoint is None and name == "r50":
        raise WeightsError("Expected a checkpoint for the network r50, got none: its weights are not shipped")


def chosen_options(name: str, flip_test: bool = True, first: str = "") -> dict[str, Any]:
    """Return the options of :func:`load` that differ from what every network has.

    Args:
        name: of the network.
        flip_test: False to leave out lite's flip test.
        first: the network of the first poses; empty for none.

    Raises:
        ValueError: if another network than lite is to do without a flip test, which it makes none, or to correct
            others' first poses.
    """
    if not flip_test and name != "lite":
        raise ValueError(f"Expected the network lite where the flip test is left out, got {name!r}, which makes none")
    _check_corrects(name, first)
    return ({} if flip_test else {"flip_test": False}) | ({"first": first} if first else {})


def _check_corrects(name: str, first: object) -> None:
    if first and name != "lite":
        raise ValueError(f"Expected the network lite, which corrects first poses of others, got {name!r}")


def _load_lite(checkpoint: str | Path | None, device: str, threads: int | None, **options: Any) -> PosePredictor:
    from clickpose.lite.predictor import LitePredictor  # imports torch: only when it is wanted

    return LitePredictor.load(checkpoint, device=device, threads=threads, **options)


def _load_r50(checkpoint: str | Path | None, device: str, threads: int | None, **options: Any) -> PosePredictor:
    from clickpose.r50.predictor import R50Predictor  # imports torch: only when it is wanted

    return R50Predictor.load(checkpoint, device=device, threads=threads, **options)


_LOADERS = {"lite": _load_lite, "r50": _load_r50}
