"""MoveNet Thunder as the backbone of the end-to-end network, in place of a ResNet.

A detection transformer needs a backbone that has seen many photos. MoveNet's weights are free to use and know people
and their joints, which lets the network learn from a few thousand photos on a CPU; published ResNets know ImageNet.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clickpose.networks.backbone import unnormalise_pixels
from clickpose.networks.movenet import MoveNetThunder, scale_pixels

_SIDE_MULTIPLE = 32  # the pyramid doubles its maps, so that sides must halve evenly
_REGRESSION_UNIT = 16.0  # cells; brings the regressed distances to the size of the other features


@dataclass(frozen=True)
class MoveNetBackboneConfig:
    """The published network; it has one size."""

    @property
    def channels(self) -> tuple[int, int, int]:
        """Channels of the maps at strides 8, 16 and 32."""
        return 56 + 32 + 4 * (24 + 17 + 1) + 2 * 17, 168 + 64, 560


class MoveNetBackbone(nn.Module):
    """Trunk, pyramid and heads of MoveNet for COCO's joints, read as features."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = MoveNetThunder()
        self.trunk.offset.requires_grad_(False)  # the one head that is not read

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the maps at strides 8, 16 and 32 of normalised (B, 3, H, W) images.

        The finest holds the maps of stride 4, four cells in one, with heatmaps and centres, and where the regression
        says that the joints of a person around a cell are.
        """
        height, width = images.shape[2:]
        padded = F.pad(images, (0, -width % _SIDE_MULTIPLE, 0, -height % _SIDE_MULTIPLE))
        found = self.trunk(scale_pixels(unnormalise_pixels(padded)))
        fine = torch.cat([found.pyramid4, found.heatmap_logits, found.center_logits], 1)
        regression = F.avg_pool2d(found.regression, 2) / _REGRESSION_UNIT
        map8 = torch.cat([found.middle, found.pyramid8, F.pixel_unshuffle(fine, 2), regression], 1)
        map16 = torch.cat([found.coarse, found.pyramid16], 1)
        maps = zip((8, 16, 32), (map8, map16, found.top), strict=True)
        return tuple(x[:, :, : -(-height // stride), : -(-width // stride)] for stride, x in maps)
