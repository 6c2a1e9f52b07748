"""As many edits in the network at once as the machine has cores; the others wait in order.

More would finish none of them sooner, and each holds the network's intermediate results in memory. Waiting for a photo
takes no turn, and a batch none either: :class:`.Backend` lets one run at a time, beside the edits.
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


class TakingTurns(PosePredictor):
    """A network whose work is done in turns.

    Args:
        predictor: the network.
        turns: how many may work at once.
    """

    def __init__(self, predictor: PosePredictor, turns: threading.Semaphore):
        self._predictor, self._turns = predictor, turns
        self.name, self.skeleton, self.fingerprint = predictor.name, predictor.skeleton, predictor.fingerprint

    def detect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """See :meth:`PosePredictor.detect`."""
        with self._turns:
            return self._predictor.detect(image)

    def encode(self, image: np.ndarray, boxes_xyxy: np.ndarray | None) -> list[EncodedRegion]:
        """See :meth:`PosePredictor.encode`."""
        with self._turns:
            return self._predictor.encode(image, boxes_xyxy)

    def decode(self, regions: Sequence[EncodedRegion], boxes_xyxy: np.ndarray | None = None) -> Poses:
        """See :meth:`PosePredictor.decode`."""
        with self._turns:
            return self._predictor.decode(regions, boxes_xyxy)

    def covers(self, region: EncodedRegion, pose: Pose) -> bool:
        """See :meth:`PosePredictor.covers`; it takes no turn."""
        return self._predictor.covers(region, pose)

    def refine_region(self, region: EncodedRegion, pose: Pose, clicks: Clicks) -> Pose:
        """See :meth:`PosePredictor.refine_region`."""
        with self._turns:
            return self._predictor.refine_region(region, pose, clicks)
