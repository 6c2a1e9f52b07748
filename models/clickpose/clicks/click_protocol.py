"""How a simulated annotator clicks: which joint, where exactly, and whether the pose is refined in between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clickpose.data.records import PersonRecord
from clickpose.metrics.clicks import CLICK_CAP
from clickpose.metrics.oks import keypoint_oks
from clickpose.skeleton import Skeleton

STRATEGIES = ("worst", "lowest_score", "random", "farthest")
LOOPS = ("progressive", "once")


@dataclass(frozen=True)
class ClickProtocol:
    """How the simulated annotator clicks.

    Attributes:
        strategy: which free labelled joint: the ``"worst"`` by its OKS term, that of ``"lowest_score"`` (predicted
            OKS), a ``"random"`` one, or the ``"farthest"`` by dx + dy in shares of the image, as the paper's code has
            it.
        clicks: how many.
        noise_sigmas: standard deviation of a click along each axis in units of 2 sigma · sqrt(area), the joint's OKS
            scale; 0.25 is half the joint's OKS sigma.
        seed: of random choices and noise.
        loop: ``"progressive"``: refine after every click, and choose the next joint on the refined pose; ``"once"``:
            choose all n joints on the first prediction and refine once (Click-Pose, Sec. 4.4).
        joints: names of the joints that may be clicked; None for all.
    """

    strategy: str = "worst"
    clicks: int = CLICK_CAP
    noise_sigmas: float = 0.0
    seed: int = 0
    loop: str = "progressive"
    joints: tuple[str, ...] | None = None

    def __post_init__(self):
        if self.strategy not in STRATEGIES:
            raise ValueError(f"Expected strategy to be one of {', '.join(STRATEGIES)}, got {self.strategy!r}")
        if self.loop not in LOOPS:
            raise ValueError(f"Expected loop to be one of {', '.join(LOOPS)}, got {self.loop!r}")
        if self.clicks < 0:
            raise ValueError(f"Expected clicks of 0 or more, got {self.clicks}")

    def clickable(self, skeleton: Skeleton) -> np.ndarray:
        """Return (K,) bool: the joints that may be clicked.

        Raises:
            ValueError: if ``joints`` names one that the skeleton does not have.
        """
        if self.joints is None:
            return np.ones(len(skeleton), bool)
        return np.isin(np.arange(len(skeleton)), [skeleton.index(name) for name in self.joints])


class SimulatedAnnotator:
    """One annotator at work on one person.

    Args:
        protocol: how to click.
        truth: the person, with the joints of ``skeleton``.
        skeleton: joints and sigmas.
        rng: random numbers of this person.

    Attributes:
        targets: (K, 2) px, where the annotator puts the joints.
    """

    def __init__(self, protocol: ClickProtocol, truth: PersonRecord, skeleton: Skeleton, rng: np.random.Generator):
        self.protocol, self.truth, self.sigmas = protocol, truth, skeleton.sigma_array
        self.clickable = truth.labelled & protocol.clickable(skeleton)
        scale = 2 * self.sigmas[:, None] * np.sqrt(truth.area)
        self.targets = truth.keypoints + rng.standard_normal((len(skeleton), 2)) * scale * protocol.noise_sigmas
        self._rng = rng

    def order(self, keypoints: np.ndarray, keypoint_scores: np.ndarray, placed: np.ndarray) -> np.ndarray:
        """Return the joints left to click, the first one first.

        Args:
            keypoints: (K, 2) px, the present pose.
            keypoint_scores: (K,) its predicted OKS.
            placed: (K,) bool, joints that were clicked before.
        """
        free = self.clickable & ~placed
        order = np.argsort(np.where(free, self._quality(keypoints, keypoint_scores), np.inf), kind="stable")
        return order[: int(free.sum())]

    def _quality(self, keypoints: np.ndarray, keypoint_scores: np.ndarray) -> np.ndarray:
        """Return (K,) finite values: the joint of the lowest is clicked first."""
        truth = self.truth
        if self.protocol.strategy == "worst":
            return keypoint_oks(keypoints, truth.keypoints, truth.area, self.sigmas)
        if self.protocol.strategy == "lowest_score":
            return keypoint_scores
        if self.protocol.strategy == "random":
            return self._rng.random(len(self.sigmas))
        height, width = truth.image_hw
        off = np.abs(keypoints - truth.keypoints) / [width, height]
        return -np.nan_to_num(off, nan=1e9).sum(axis=1)  # a joint that is not placed is farthest
