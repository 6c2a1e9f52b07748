"""A perceptron with ReLU between its layers, the head that boxes, keypoints and references share."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from clickpose.networks.linear import Linear


class MLP(nn.Module):
    """Linear layers with ReLU between them.

    Args:
        in_dim: input channels.
        out_dim: output channels.
        layers: number of linear layers.
        hidden: channels between them; ``in_dim`` by default.
    """

    def __init__(self, in_dim: int, out_dim: int, layers: int, hidden: int | None = None):
        super().__init__()
        hidden = hidden or in_dim
        widths = [in_dim, *[hidden] * (layers - 1), out_dim]
        self.layers = nn.ModuleList(Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in_dim) to (..., out_dim)."""
        for layer in self.layers[:-1]:
            x = layer(x, relu=True)
        return self.layers[-1](x)
