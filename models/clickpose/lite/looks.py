"""How photos look to the first layers of a network, and a rule that tells two kinds of them apart: no label needed.

A network that was trained further on one kind of photos (infrared, drawn) sees those better and the ones that it knew
worse. Which kind a crop is of shows in its texture, contrast and tones, whatever the person in it does. So it is
described by what the first blocks of the trunk give of it, on average and in spread over the place, and a line through
these numbers (linear discriminant analysis) divides the kinds. Of the kind that the shipped network knows, mean and
covariance of these numbers are shipped; they hold no photo and nobody's pose.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from clickpose.lite.known_photos import belongs_to, measure_and_keep
from clickpose.networks.movenet import MoveNetThunder, scale_pixels
from clickpose.weights_io import load_weights, save_weights

KIND = "looks"
SIDE = 128  # px that a crop is looked at with: a quarter of the cost, and the kinds are as far apart
BLOCKS = 3  # of the trunk, behind its stem
SHRINKAGE = 0.1  # of the covariance: the numbers of a hundred crops vary in fewer ways than there are
FEWEST_CROPS = 20
APART = 2.0  # standard deviations of either kind to the line between them; nearer kinds overlap in 2 % and more
_SMALLEST_SPREAD = 1e-4


@dataclass(frozen=True, eq=False)
class Looks:
    """How crops of a kind look.

    Attributes:
        mean: (D,).
        covariance: (D, D).
    """

    mean: Tensor
    covariance: Tensor

    @classmethod
    def of(cls, described: Tensor) -> Looks:
        """Measure (N, D) descriptions."""
        return cls(described.mean(0), torch.cov(described.T))

    def save(self, path: Path, fingerprint: str, data: str) -> None:
        """Write them.

        Args:
            path: ``.safetensors`` file.
            fingerprint: of the weights that described the crops.
            data: what they were measured on, in words.
        """
        state = {"mean": self.mean, "covariance": self.covariance.flatten()}  # vectors are kept in full precision
        save_weights(path, state, {"kind": KIND, "skeleton": "coco", "weights": fingerprint, "data": data})

    @classmethod
    def load(cls, path: Path) -> Looks:
        """Read what :meth:`save` wrote.

        Raises:
            WeightsError: if the file is missing, damaged or of another kind.
        """
        state = load_weights(path, KIND)
        return cls(state["mean"], state["covariance"].view(len(state["mean"]), -1))


@dataclass(frozen=True, eq=False)
class KindRule:
    """A line between two kinds of photos.

    Attributes:
        weights: (D,).
        threshold: of the weighted sum; a crop of more is of the new kind.
    """

    weights: Tensor
    threshold: float

    def is_new(self, described: Tensor) -> Tensor:
        """Return (N,) bool for (N, D) descriptions."""
        return described @ self.weights.to(described.device) > self.threshold


def looks_file(weights: Path) -> Path:
    """Return where the looks of the photos that a weights file knows lie."""
    return weights.with_name(f"{weights.stem}.looks.safetensors")


def known_looks(weights: Path) -> Looks | None:
    """Return the looks that were shipped with weights, or lie beside them; None where there are none of these.

    Raises:
        WeightsError: if the file beside them is damaged.
    """
    path = looks_file(weights)
    return Looks.load(path) if belongs_to(path, KIND, weights) else None


@torch.inference_mode()
def describe_looks(trunk: MoveNetThunder, crops: Tensor) -> Tensor:
    """Return (B, D) descriptions of (B, 3, S, S) uint8 crops; a mirrored crop has that of the crop as it is."""
    small = scale_pixels(F.interpolate(crops.float(), size=(SIDE, SIDE), mode="area"))
    return (_describe(trunk, small) + _describe(trunk, small.flip(-1))) / 2


def _describe(trunk: MoveNetThunder, small: Tensor) -> Tensor:
    output = trunk.first_blocks(small, BLOCKS)
    spread = output.std((2, 3)).clamp(min=_SMALLEST_SPREAD)
    return torch.cat([output.mean((2, 3)), spread.log()], 1)


def describe_all(trunk: MoveNetThunder, crops: Iterable[Tensor]) -> Tensor:
    """Return the (N, D) descriptions of batches of crops."""
    return torch.cat([describe_looks(trunk, batch) for batch in crops])


def tell_apart(known: Looks, described: Tensor) -> KindRule | None:
    """Find the line between the kind that is known and another one.

    Args:
        known: looks of the kind that is known.
        described: (N, D) crops of the other kind.

    Returns:
        the rule; None where the kinds overlap, or of too few crops.
    """
    if len(described) < FEWEST_CROPS:
        return None
    new = Looks.of(described)
    within = (known.covariance + new.covariance) / 2
    within = within + SHRINKAGE * torch.diag(within.diagonal())
    weights = torch.linalg.solve(within, new.mean - known.mean)
    low, high = (known.mean @ weights).item(), (new.mean @ weights).item()
    spreads = [max((weights @ looks.covariance @ weights).item(), 0.0) ** 0.5 for looks in (known, new)]
    apart = (high - low) / max(sum(spreads), 1e-9)
    return KindRule(weights, low + apart * spreads[0]) if apart >= APART else None


def main() -> None:
    """Describe photos that the shipped weights know, and put the looks beside them.

    python -m clickpose.lite.looks --data ../shared/data/coco_train
    """
    measure_and_keep(main.__doc__, 960, lambda trunk, crops: Looks.of(describe_all(trunk, crops)), looks_file)


if __name__ == "__main__":
    main()
