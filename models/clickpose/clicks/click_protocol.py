"""How a simulated annotator clicks: which joint, where exactly, and whether the pose is refined in between.

The one annotator of the project: :mod:`clickpose.clicks.interactive` lets it work photo by photo with any network,
:mod:`clickpose.lite.click_evaluation` on batches of crops. (Training clicks otherwise: :mod:`clickpose.feedback`.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from clickpose.metrics.clicks import CLICK_CAP
from clickpose.skeleton import Skeleton
from clickpose.terms import oks_terms

STRATEGIES = ("worst", "lowest_score", "random", "farthest")
LOOPS = ("progressive", "once")
State = TypeVar("State")


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

    def __post_init__(self) -> None:
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


class LabelledPeople(NamedTuple):
    """Whom an annotator works on: B labelled persons, K joints, all in one unit (pixels, or shares of a crop).

    Attributes:
        keypoints: (B, K, 2).
        labelled: (B, K) bool.
        area: (B,) in the unit squared.
        extent: (B, 2) width and height of each one's photo.
    """

    keypoints: Tensor
    labelled: Tensor
    area: Tensor
    extent: Tensor


class View(NamedTuple):
    """What an annotator sees of these persons: their present poses, in the same unit.

    Attributes:
        keypoints: (B, K, 2); NaN where a joint is not placed.
        keypoint_scores: (B, K) predicted OKS, or anything that grows with it: only their order counts.
        fixed: (B, K) bool, joints that were clicked before.
    """

    keypoints: Tensor
    keypoint_scores: Tensor
    fixed: Tensor


class PlacedJoints(NamedTuple):
    """What an annotator clicks: ``chosen`` (B, K) bool, and ``positions`` (B, K, 2), which count where chosen."""

    chosen: Tensor
    positions: Tensor


class Chance(Protocol):
    """Random numbers of an annotator."""

    def uniform(self, like: Tensor) -> Tensor:
        """Return numbers of 0..1 of a tensor's shape: an order of the joints."""

    def normal(self, like: Tensor) -> Tensor:
        """Return standard normal numbers of a tensor's shape: how far clicks are off."""

    def rewind(self) -> None:
        """Begin anew."""


class PersonChance:
    """Random numbers of one person (B = 1), whoever else is in the photos: where it is clicked is drawn once.

    Args:
        key: whole numbers that tell the person from others.
        shape: of its joints: (1, K, 2).
    """

    def __init__(self, key: list[int], shape: tuple[int, ...]):
        self._key, self._shape = key, shape
        self.rewind()

    def rewind(self) -> None:
        """See :meth:`Chance.rewind`."""
        self._rng = np.random.default_rng(self._key)
        self._off = self._rng.standard_normal(self._shape)

    def uniform(self, like: Tensor) -> Tensor:
        """See :meth:`Chance.uniform`."""
        return torch.from_numpy(self._rng.random(like.shape)).to(like)

    def normal(self, like: Tensor) -> Tensor:
        """See :meth:`Chance.normal`."""
        return torch.from_numpy(self._off).to(like)


class BatchChance:
    """Random numbers of a whole batch, one batch after the other, drawn for each click.

    Args:
        generator: of all batches.
    """

    def __init__(self, generator: torch.Generator):
        self._generator, self._start = generator, generator.get_state()

    def rewind(self) -> None:
        """See :meth:`Chance.rewind`; to where the batch began."""
        self._generator.set_state(self._start)

    def uniform(self, like: Tensor) -> Tensor:
        """See :meth:`Chance.uniform`."""
        return torch.rand(like.shape, generator=self._generator)

    def normal(self, like: Tensor) -> Tensor:
        """See :meth:`Chance.normal`."""
        return torch.randn(like.shape, generator=self._generator)


class SimulatedAnnotator:
    """An annotator at work on some persons, on each by itself.

    Args:
        protocol: how to click.
        people: the persons, with the joints of ``skeleton``.
        skeleton: joints and sigmas.
        chance: random numbers.
    """

    def __init__(self, protocol: ClickProtocol, people: LabelledPeople, skeleton: Skeleton, chance: Chance):
        self.protocol, self.people = protocol, people
        self.sigmas = torch.tensor(skeleton.sigmas, dtype=people.keypoints.dtype)
        self.clickable = people.labelled & torch.from_numpy(protocol.clickable(skeleton))
        self._chance = chance

    def click(self, poses: View, count: int = 1) -> PlacedJoints:
        """Choose the next ``count`` joints of each person and where they are put; fewer where fewer are left.

        Args:
            poses: on which the annotator looks.
            count: clicks a person.
        """
        free = self.clickable & ~poses.fixed
        quality = self._quality(poses).masked_fill(~free, float("inf"))
        rank = quality.argsort(dim=-1, stable=True).argsort(dim=-1)
        truth, area = self.people.keypoints, self.people.area
        scale = 2 * self.sigmas[:, None] * area.sqrt()[:, None, None]
        noise = self._chance.normal(truth) * scale * self.protocol.noise_sigmas
        return PlacedJoints((rank < count) & free, truth + noise)

    def _quality(self, poses: View) -> Tensor:
        """Return (B, K): the joint of the lowest value is clicked first."""
        truth = self.people.keypoints
        if self.protocol.strategy == "worst":
            terms = oks_terms(poses.keypoints, truth, self.people.area, self.sigmas)
            return terms.nan_to_num(nan=0.0)  # a joint that is not placed is worst
        if self.protocol.strategy == "lowest_score":
            return poses.keypoint_scores
        if self.protocol.strategy == "random":
            return self._chance.uniform(poses.keypoint_scores)
        off = (poses.keypoints - truth).abs() / self.people.extent[:, None]
        return -off.nan_to_num(nan=1e9).sum(-1)  # and farthest

    def rounds(
        self,
        first: State,
        look: Callable[[State], View],
        correct: Callable[[State, PlacedJoints], State],
    ) -> Iterator[State]:
        """Click through the protocol, and yield what comes of it after 1, 2, … clicks.

        Args:
            first: what is there before any click.
            look: returns the poses of a state.
            correct: returns the state after the placed joints were put right in the given one. It is not called where
                nobody has a joint left, and leaves alone a person who has none.
        """
        state, before = first, None
        for n in range(1, self.protocol.clicks + 1):
            if self.protocol.loop == "once":
                self._chance.rewind()  # the same order and places for any number of clicks
                placed = self.click(look(first), n)
                if placed.chosen.any() and (before is None or not torch.equal(placed.chosen, before)):
                    state = correct(first, placed)
                before = placed.chosen
            else:
                placed = self.click(look(state))
                state = correct(state, placed) if placed.chosen.any() else state
            yield state
