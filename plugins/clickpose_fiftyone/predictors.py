"""Predictors and encoded photos that outlive a call.

FiftyOne executes a plugin's modules anew on every call, so what is costly to make lives here, in an importable package.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np

import clickpose
from clickpose.image_io import read_image
from clickpose.predictor import Encode, EncodedRegion, PosePredictor, best_region, prompt_box, refine_among
from clickpose.structures import Clicks, Pose

KEPT_REGIONS = 64  # encoded persons of the lite network, about 1.3 MB each

PREDICTOR_LOCK = threading.RLock()  # predictors hold the photo that was set: one at a time

_PREDICTORS: dict[tuple[str, str | None, str | None], PosePredictor] = {}
_REGIONS: OrderedDict[tuple[str, str], list[EncodedRegion]] = OrderedDict()


def shared_predictor(name: str = "lite", checkpoint: str | None = None, first: str | None = None) -> PosePredictor:
    """Return the predictor of a name and weights, loaded once in this process.

    Args:
        name, checkpoint, first: as for :func:`clickpose.load`.

    Raises:
        ValueError: for another name, weights that cannot be read, or first poses that cannot be had.
    """
    with PREDICTOR_LOCK:
        if (name, checkpoint, first) not in _PREDICTORS:
            _PREDICTORS[name, checkpoint, first] = clickpose.load(
                name, checkpoint=checkpoint, **({"first": first} if first else {})
            )
        return _PREDICTORS[name, checkpoint, first]


def refine_cached(predictor: PosePredictor, path: str, pose: Pose, clicks: dict[str, tuple[float, float]]) -> Pose:
    """Refine one person of a photo; the photo is encoded on a person's first click only.

    Args:
        predictor: the network.
        path: the photo.
        pose: its person, px.
        clicks: joint name -> (x, y) px.

    Raises:
        ValueError: if the network has other joints, the photo cannot be read, or a joint or position is wrong.
    """
    _require_same_joints(predictor, pose)
    clicked = Clicks.from_mapping(predictor.skeleton, clicks)
    with PREDICTOR_LOCK:
        return refine_among(predictor, _regions(predictor, path), pose, clicked, _encoding(predictor, path))


def predict_cached(predictor: PosePredictor, path: str, box_xyxy: np.ndarray) -> Pose:
    """Return the person in a (4,) box of a photo, px; what was encoded serves to refine it.

    Raises:
        ValueError: if the photo cannot be read.
    """
    with PREDICTOR_LOCK:
        regions = _encoding(predictor, path)(box_xyxy[None])
        return predictor.decode(regions, box_xyxy[None])[0]


def encode_ahead(predictor: PosePredictor, path: str, pose: Pose) -> EncodedRegion:
    """Encode a person unless it is, so that its first click is answered as fast as any other; return its region.

    Raises:
        ValueError: as :func:`refine_cached`.
    """
    _require_same_joints(predictor, pose)
    with PREDICTOR_LOCK:
        known = best_region(predictor, _regions(predictor, path), pose)
        return known or _encoding(predictor, path)(prompt_box(pose)[None])[0]


def _regions(predictor: PosePredictor, path: str) -> list[EncodedRegion]:
    """Return what is kept of a photo, which counts as used just now."""
    key = (predictor.fingerprint, path)
    regions = _REGIONS.setdefault(key, [])
    _REGIONS.move_to_end(key)
    return regions


def _encoding(predictor: PosePredictor, path: str) -> Encode:
    """Return what encodes (N, 4) boxes of a photo and keeps the regions."""

    def encode(boxes_xyxy):
        encoded = predictor.encode(read_image(path), boxes_xyxy)
        _regions(predictor, path).extend(encoded)
        _forget_oldest()
        return encoded

    return encode


def _require_same_joints(predictor: PosePredictor, pose: Pose) -> None:
    own, wanted = predictor.skeleton, pose.skeleton
    if own.names != wanted.names:
        raise ValueError(
            f"Expected a network with the {len(wanted)} joints of the pose ({wanted.name}), got {predictor.name} with "
            f"{len(own)} ({own.name}); adapt one to them with clickpose adapt, and predict with it"
        )


def _forget_oldest() -> None:
    while sum(len(regions) for regions in _REGIONS.values()) > KEPT_REGIONS and len(_REGIONS) > 1:
        _REGIONS.popitem(last=False)
