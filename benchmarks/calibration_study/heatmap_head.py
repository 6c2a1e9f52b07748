"""A heatmap network on a frozen trunk, after SimpleBaseline (Xiao, Wu and Wei, ECCV 2018): deconvolutions and a linear
layer, trained by the squared error to Gaussians of 2 cells (l~ of "On the Calibration of Human Pose Estimation").

The study's plain heatmap network; to predict poses, use the lite network.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clickpose.calibration.expected_oks import RENDERING_SIGMA
from clickpose.networks.movenet import MoveNetFeatures

MAPS = ("coarse", "pyramid16")  # what the head reads of the trunk, both at stride 16
_MAP_CHANNELS = 168 + 64


class HeatmapHead(nn.Module):
    """Two deconvolutions from stride 16 to stride 4, and one 1x1 convolution to a heatmap a joint.

    The input of ``final`` are the penultimate features of CCNet.

    Args:
        num_keypoints: K.
        widths: channels before, between and after the deconvolutions.
    """

    def __init__(self, num_keypoints: int = 17, widths: tuple[int, int, int] = (96, 64, 40)):
        super().__init__()
        first, middle, last = widths
        self.reduce = nn.Sequential(nn.Conv2d(_MAP_CHANNELS, first, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU())
        self.deconv = nn.Sequential(_deconv(first, middle), _deconv(middle, last))
        self.final = nn.Conv2d(last, num_keypoints, 1)
        nn.init.normal_(self.final.weight, std=1e-3)
        nn.init.zeros_(self.final.bias)

    def forward(self, trunk: MoveNetFeatures) -> Tensor:
        """Return heatmaps (B, K, S/4, S/4) of about 0..1; of ``trunk`` only :data:`MAPS` are read."""
        maps = torch.cat([getattr(trunk, name) for name in MAPS], dim=1)
        return self.final(self.deconv(self.reduce(maps)))


def _deconv(in_channels: int, out_channels: int) -> nn.Sequential:
    """Double height and width, as SimpleBaseline does."""
    return nn.Sequential(
        nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


def render_gaussians(keypoints_norm: Tensor, height: int, width: int, sigma: float = RENDERING_SIGMA) -> Tensor:
    """Render the training targets.

    Args:
        keypoints_norm: (B, K, 2) x, y in 0..1 of the input.
        height, width: of the heatmaps, cells.
        sigma: l~, cells.

    Returns:
        (B, K, height, width) Gaussians of peak 1; the middle of the first cell is at half a cell.
    """
    xs = (torch.arange(width, device=keypoints_norm.device) + 0.5 - keypoints_norm[..., :1] * width) / sigma
    ys = (torch.arange(height, device=keypoints_norm.device) + 0.5 - keypoints_norm[..., 1:] * height) / sigma
    return torch.exp(-ys.square() / 2)[..., :, None] * torch.exp(-xs.square() / 2)[..., None, :]


def heatmap_loss(heatmaps: Tensor, keypoints_norm: Tensor, labelled: Tensor) -> Tensor:
    """Return the mean squared error over the cells of the labelled joints' maps.

    Args:
        heatmaps: (B, K, H, W) predicted.
        keypoints_norm: (B, K, 2) true positions in 0..1 of the input.
        labelled: (B, K) bool.
    """
    target = render_gaussians(keypoints_norm, *heatmaps.shape[-2:])
    error = F.mse_loss(heatmaps.float(), target, reduction="none").mean(dim=(2, 3))
    return (error * labelled).sum() / labelled.sum().clamp(min=1)
