"""The backbone: ResNet-50 with frozen batch normalisation; its maps at strides 8, 16 and 32 go to the encoder.

Module names are torchvision's, so that published weights load by name. The architecture is He et al. (2016) with the
stride in the 3x3 convolution of a bottleneck; torchvision itself is not needed to run.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BOTTLENECK_EXPANSION = 4
_MEAN_RGB = (0.485, 0.456, 0.406)
_STD_RGB = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class BackboneConfig:
    """Size of the backbone.

    Attributes:
        blocks: bottleneck blocks in each of the four stages.
        width: channels of the stem; stage s works on ``width * 2**s`` and gives four times as many.
    """

    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    width: int = 64

    @property
    def channels(self) -> tuple[int, int, int]:
        """Channels of the maps at strides 8, 16 and 32."""
        base = BOTTLENECK_EXPANSION * self.width
        return 2 * base, 4 * base, 8 * base


class FrozenBatchNorm(nn.Module):
    """Batch normalisation with fixed statistics and a fixed affine map, all of them buffers."""

    eps = 1e-5

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int):
        super().__init__()
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def affine(self) -> tuple[Tensor, Tensor]:
        """Return the (C,) scale and (C,) shift that it amounts to."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        return scale, self.bias - self.running_mean * scale

    def forward(self, x: Tensor) -> Tensor:
        """Scale and shift (B, C, H, W)."""
        scale, shift = self.affine()
        return x * scale[:, None, None] + shift[:, None, None]


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride), 1x1 convolutions around a shortcut."""

    def __init__(self, in_channels: int, width: int, stride: int):
        super().__init__()
        out_channels = BOTTLENECK_EXPANSION * width
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = FrozenBatchNorm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = FrozenBatchNorm(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = FrozenBatchNorm(out_channels)
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), FrozenBatchNorm(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, 4 · width, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNetBackbone(nn.Module):
    """Stem and four stages; see the module docstring."""

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(self, config: BackboneConfig | None = None):
        super().__init__()
        config = config or BackboneConfig()
        width = config.width
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1 = FrozenBatchNorm(width)
        channels = width
        for stage, count in enumerate(config.blocks):
            stage_width, blocks = width * 2**stage, []
            for block in range(count):
                blocks.append(Bottleneck(channels, stage_width, stride=2 if stage and not block else 1))
                channels = BOTTLENECK_EXPANSION * stage_width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the maps at strides 8, 16 and 32 of normalised (B, 3, H, W) images."""
        x = F.relu(self.bn1(self.conv1(images)))
        x = F.max_pool2d(x, 3, 2, padding=1)
        map8 = self.layer2(self.layer1(x))
        map16 = self.layer3(map8)
        return map8, map16, self.layer4(map16)


def normalise_pixels(images: Tensor) -> Tensor:
    """Bring (B, 3, H, W) uint8 RGB to the scale that published backbones were trained on."""
    pixels = images.float() / 255
    mean, std = (pixels.new_tensor(values)[:, None, None] for values in (_MEAN_RGB, _STD_RGB))
    return (pixels - mean) / std


def unnormalise_pixels(images: Tensor) -> Tensor:
    """Undo :func:`normalise_pixels`: 0..255 as floats."""
    mean, std = (images.new_tensor(values)[:, None, None] for values in (_MEAN_RGB, _STD_RGB))
    return (images * std + mean) * 255


def fold_batch_norm(backbone: nn.Module) -> None:
    """Multiply every frozen normalisation into the convolution before it, in place; the result is the same function.

    The normalisations become identities, so the folded backbone no longer loads unfolded weights. Another backbone
    than a ResNet has none.
    """
    for block in [backbone, *(module for module in backbone.modules() if isinstance(module, Bottleneck))]:
        for number in (1, 2, 3):
            if hasattr(block, f"bn{number}"):
                folded = _folded(getattr(block, f"conv{number}"), getattr(block, f"bn{number}"))
                setattr(block, f"conv{number}", folded)
                setattr(block, f"bn{number}", nn.Identity())
        downsample = getattr(block, "downsample", None)
        if downsample is not None:
            block.downsample = nn.Sequential(OrderedDict([("0", _folded(*downsample))]))


def _folded(conv: nn.Conv2d, norm: FrozenBatchNorm) -> nn.Conv2d:
    scale, shift = norm.affine()
    shape: dict[str, Any] = {name: getattr(conv, name) for name in ("kernel_size", "stride", "padding")}
    folded = nn.Conv2d(conv.in_channels, conv.out_channels, **shape, device=conv.weight.device)
    assert folded.bias is not None, "a convolution has one unless told otherwise"
    with torch.no_grad():
        folded.weight.copy_(conv.weight * scale[:, None, None, None])
        folded.bias.copy_(shift)
    return folded
