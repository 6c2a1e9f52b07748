"""What CCNet needs of a pose network: penultimate features, keypoints and scores of a batch, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


class PredNetOutput(NamedTuple):
    """Of B persons with K joints.

    Attributes:
        features: (B, F), or (B, K, F) where each joint has its own, such as a decoder's final keypoint tokens.
        keypoints_input: (B, K, 2) x, y in pixels of the network's input.
        scores: (B, K) the network's own confidences.
        visibility_scores: (B, K) its own predicted visibilities; None where it has none.
    """

    features: Tensor
    keypoints_input: Tensor
    scores: Tensor
    visibility_scores: Tensor | None = None


@runtime_checkable
class PredNet(Protocol):
    """A pose network as CCNet sees it; :mod:`clickpose.networks.pred_nets` adapts heatmap networks, regression, lite,
    and any torch module by the name of a layer."""

    def predict(self, *inputs: Tensor) -> PredNetOutput:
        """Run the frozen network, without gradients, on what it takes."""
