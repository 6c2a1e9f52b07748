"""A regression network on a frozen trunk, trained by residual log-likelihood: Li et al., "Human Pose Regression with
Residual Log-likelihood Estimation", ICCV 2021 (RLE below).

The network gives a position mu and a scale sigma for each axis; a normalizing flow, shared by all joints and used in
training only, learns what the standardised error looks like. The study's plain regression network; to predict poses,
use the lite network.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from clickpose.networks.movenet import MoveNetFeatures

MAPS = ("coarse", "top", "pyramid16")  # what the head reads of the trunk, at strides 16, 32 and 16
_GRID_REACH, _GRID_STEPS = 8.0, 321  # where the learned density is integrated, in standardised errors


class RleOutput(NamedTuple):
    """``positions`` (B, K, 2) x, y in 0..1 of the input, and ``scales`` (B, K, 2) > 0, shares of its sides."""

    positions: Tensor
    scales: Tensor


class RleHead(nn.Module):
    """A few convolutions to 8x8 cells, one hidden layer, one linear layer to positions and scales.

    Global average pooling, as RLE has it, would need a trunk trained for it; on a frozen one the cells are kept. The
    input of ``final`` are the penultimate features of CCNet.

    Args:
        num_keypoints: K.
        input_side: side of the network's input, px, a multiple of 32.
        hidden: penultimate features.
    """

    def __init__(self, num_keypoints: int = 17, input_side: int = 256, hidden: int = 256):
        super().__init__()
        cells = (input_side // 32) ** 2
        self.from16 = nn.Sequential(nn.Conv2d(168 + 64, 64, 1), nn.ReLU(), nn.Conv2d(64, 64, 3, stride=2, padding=1))
        self.from32 = nn.Conv2d(560, 64, 1)
        self.mix = nn.Sequential(nn.ReLU(), nn.Conv2d(64, 48, 3, padding=1), nn.ReLU(), nn.Flatten())
        self.hidden = nn.Sequential(nn.Linear(48 * cells, hidden), nn.ReLU())
        self.final = nn.Linear(hidden, num_keypoints * 4)
        nn.init.normal_(self.final.weight, std=1e-3)
        nn.init.zeros_(self.final.bias)
        with torch.no_grad():  # start in the middle, with a scale of a tenth of the input
            self.final.bias.view(num_keypoints, 4)[:, 2:] = math.log(0.1 / 0.9)

    def forward(self, trunk: MoveNetFeatures) -> RleOutput:
        """Return positions and scales; of ``trunk`` only :data:`MAPS` are read."""
        maps16 = torch.cat([trunk.coarse, trunk.pyramid16], dim=1)
        features = self.hidden(self.mix(self.from16(maps16) + self.from32(trunk.top)))
        values = self.final(features).float().unflatten(1, (-1, 4))
        return RleOutput(values[..., :2] + 0.5, values[..., 2:].sigmoid())


class ResidualFlow(nn.Module):
    """RealNVP (Dinh et al., ICLR 2017) in two dimensions: affine couplings that transform x and y in turn.

    Args:
        couplings: how many.
        hidden: channels of their networks.
    """

    def __init__(self, couplings: int = 6, hidden: int = 64):
        super().__init__()
        self.couplings = nn.ModuleList(
            nn.Sequential(nn.Linear(1, hidden), nn.LeakyReLU(), nn.Linear(hidden, hidden), nn.LeakyReLU(),
                          nn.Linear(hidden, 2))
            for _ in range(couplings)
        )  # fmt: skip
        for network in self.couplings:  # the identity, to start with
            nn.init.zeros_(network[-1].weight)
            nn.init.zeros_(network[-1].bias)

    def forward(self, errors: Tensor) -> tuple[Tensor, Tensor]:
        """Map (M, 2) standardised errors to the latent normal; also returns log |det| of the map, (M,)."""
        axes = list(errors.unbind(dim=-1))
        log_det = torch.zeros_like(axes[0])
        for i, network in enumerate(self.couplings):
            log_scale, shift = network(axes[1 - i % 2][:, None]).unbind(dim=-1)
            log_scale = log_scale.tanh()
            axes[i % 2] = axes[i % 2] * log_scale.exp() + shift
            log_det = log_det + log_scale
        return torch.stack(axes, dim=-1), log_det

    def inverse(self, latent: Tensor) -> Tensor:
        """Map (M, 2) latent values back to standardised errors."""
        axes = list(latent.unbind(dim=-1))
        for i, network in reversed(list(enumerate(self.couplings))):
            log_scale, shift = network(axes[1 - i % 2][:, None]).unbind(dim=-1)
            axes[i % 2] = (axes[i % 2] - shift) * (-log_scale.tanh()).exp()
        return torch.stack(axes, dim=-1)

    def log_density(self, errors: Tensor) -> Tensor:
        """Return (M,) log G of (M, 2) standardised errors, by the change of variables."""
        latent, log_det = self(errors)
        return -latent.square().sum(dim=-1) / 2 - math.log(2 * math.pi) + log_det

    @torch.no_grad()
    def deviation(self) -> float:
        """Return the standard deviation along an axis of the learned density of standardised errors, G · Q normalised.

        A predicted scale times this is the standard deviation s that Eq. 12 of "On the Calibration of Human Pose
        Estimation" wants; the scale alone is in the flow's own unit. Integrated on a grid.
        """
        steps = torch.linspace(-_GRID_REACH, _GRID_REACH, _GRID_STEPS)
        grid = torch.cartesian_prod(steps, steps)
        log_density = self.log_density(grid) + laplace_log_density(grid)
        weights = (log_density - log_density.max()).exp().double()
        weights = weights / weights.sum()
        mean = weights @ grid.double()
        return float((weights @ (grid - mean).square()).mean().sqrt())


def laplace_log_density(errors: Tensor) -> Tensor:
    """Return (...) log Q of (..., 2) standardised errors: two independent Laplace densities of variance 1."""
    return -(math.sqrt(2) * errors.abs() + math.log(2) / 2).sum(dim=-1)


def rle_loss(output: RleOutput, keypoints_norm: Tensor, labelled: Tensor, flow: ResidualFlow) -> Tensor:
    """Return the mean residual negative log-likelihood, -log Q - log G + log sigma (RLE, Eq. 9), of labelled joints.

    The constant that would normalise G · Q is left out, as in RLE.

    Args:
        output: of the head.
        keypoints_norm: (B, K, 2) true positions in 0..1 of the input.
        labelled: (B, K) bool.
        flow: trained along.
    """
    scales = output.scales.clamp(min=1e-4)[labelled]  # (M, 2)
    errors = ((keypoints_norm - output.positions)[labelled] / scales).clamp(-50, 50)  # keeps a first wild step finite
    likelihood = laplace_log_density(errors) + flow.log_density(errors) - scales.log().sum(dim=-1)
    return -likelihood.sum() / max(len(errors), 1)
