"""As many edits encode people at once as the machine has cores; the others wait in order.

Encoding holds 100 MB of intermediate results, and more at once would finish none of them sooner. What most edits need,
refining from features that are kept, takes little memory and no turn; nor does waiting for a photo. A batch takes none
either: :class:`.Backend` lets one run at a time, beside the edits.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

import numpy as np

from clickpose.predictor import EncodedRegion, PosePredictor
from clickpose.structures import Clicks, Pose, Poses

FEWEST = 2  # one slow edit must not hold up all


def cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def turns() -> threading.Semaphore:
    """Return the turns of a process."""
    return threading.Semaphore(max(FEWEST, cores()))


class TakingTurns(PosePredictor):
    """A network that encodes in turns.

    Args:
        predictor: the network.
        turns: how many may encode at once.
    """

    def __init__(self, predictor: PosePredictor, turns: threading.Semaphore):
        self._predictor, self._turns = predictor, turns
        self.name, self.skeleton, self.fingerprint = predictor.name, predictor.skeleton, predictor.fingerprint

    def detect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """See :meth:`PosePredictor.detect`."""
        return self._predictor.detect(image)

    def encode(self, image: np.ndarray, boxes_xyxy: np.ndarray | None) -> list[EncodedRegion]:
        """See :meth:`PosePredictor.encode`; in turns."""
        with self._turns:
            return self._predictor.encode(image, boxes_xyxy)

    def encode_photos(self, photos: Sequence[tuple[np.ndarray, np.ndarray | None]]) -> list[list[EncodedRegion]]:
        """See :meth:`PosePredictor.encode_photos`; in turns."""
        with self._turns:
            return self._predictor.encode_photos(photos)

    def decode(self, regions: Sequence[EncodedRegion], boxes_xyxy: np.ndarray | None = None) -> Poses:
        """See :meth:`PosePredictor.decode`."""
        return self._predictor.decode(regions, boxes_xyxy)

    def decode_photos(self, photos: Sequence[tuple[Sequence[EncodedRegion], np.ndarray | None]]) -> list[Poses]:
        """See :meth:`PosePredictor.decode_photos`."""
        return self._predictor.decode_photos(photos)

    def covers(self, region: EncodedRegion, pose: Pose) -> bool:
        """See :meth:`PosePredictor.covers`."""
        return self._predictor.covers(region, pose)

    def refine_region(self, region: EncodedRegion, pose: Pose, clicks: Clicks) -> Pose:
        """See :meth:`PosePredictor.refine_region`."""
        return self._predictor.refine_region(region, pose, clicks)

    @property
    def refiner(self) -> PosePredictor:
        """See :attr:`PosePredictor.refiner`; it takes turns, too."""
        return TakingTurns(self._predictor.refiner, self._turns)

    def standalone_decoder(self) -> bytes | None:
        """See :meth:`PosePredictor.standalone_decoder`."""
        return self._predictor.standalone_decoder()

    def standalone_inputs(self, region: EncodedRegion) -> dict[str, np.ndarray]:
        """See :meth:`PosePredictor.standalone_inputs`."""
        return self._predictor.standalone_inputs(region)
