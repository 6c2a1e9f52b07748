"""MoveNet Thunder as torch modules: the pretrained trunk of the lite network.

MobileNetV2 (width 1.75) with a feature pyramid and four heads (centre, keypoint heatmap, regression, offset), batch
normalisation folded into the convolutions, as published. Input is (B, 3, H, W) RGB with x · 2/255 - 1, H and W
multiples of 32. Heads come out at stride 4. The weights are read by :mod:`clickpose.networks.movenet_onnx`.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# (output channels, stride, expansion) of the 17 inverted residual blocks, width 1.75.
_BLOCKS = (
    (32, 1, 1), (40, 2, 6), (40, 1, 6), (56, 2, 6), (56, 1, 6), (56, 1, 6), (112, 2, 6), (112, 1, 6), (112, 1, 6),
    (112, 1, 6), (168, 1, 6), (168, 1, 6), (168, 1, 6), (280, 2, 6), (280, 1, 6), (280, 1, 6), (560, 1, 6),
)  # fmt: skip
_STEM_CHANNELS = 56
_TOP_CHANNELS = 1280
HEAD_STRIDE = 4


class MoveNetFeatures(NamedTuple):
    """Feature maps of one forward pass, named by what reads them.

    Shapes for an input of side S: ``fine`` (B, 40, S/4, S/4), ``middle`` (B, 56, S/8, S/8), ``coarse``
    (B, 168, S/16, S/16), ``top`` (B, 560, S/32, S/32), ``pyramid4`` (B, 24, S/4, S/4), ``pyramid8`` (B, 32, S/8, S/8),
    ``pyramid16`` (B, 64, S/16, S/16); heads at S/4: ``center_logits`` 1, ``heatmap_logits`` K, ``regression`` 2K and
    ``offset`` 2K channels (pairs y, x, in units of one stride-4 cell).
    """

    fine: Tensor
    middle: Tensor
    coarse: Tensor
    top: Tensor
    pyramid4: Tensor
    pyramid8: Tensor
    pyramid16: Tensor
    center_logits: Tensor
    heatmap_logits: Tensor
    regression: Tensor
    offset: Tensor


def _conv_same(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Apply a stride-2 3x3 convolution with TensorFlow's "same" padding (right and bottom)."""
    if conv.stride[0] != 2:
        return conv(x)
    if torch.onnx.is_in_onnx_export():
        return _ConvSame.apply(x, conv.weight, conv.bias, conv.groups)
    return conv(F.pad(x, (0, 1, 0, 1)))


class _ConvSame(torch.autograd.Function):
    """The same as one node of an ONNX graph: an extra one that pads costs a fifth of the trunk's time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int) -> Tensor:
        return F.conv2d(F.pad(x, (0, 1, 0, 1)), weight, bias, stride=2, groups=groups)

    @staticmethod
    def symbolic(g: Any, x: Any, weight: Any, bias: Any, groups: int) -> Any:
        sides = {"kernel_shape_i": [3, 3], "strides_i": [2, 2], "pads_i": [0, 0, 1, 1]}
        return g.op("Conv", x, weight, bias, group_i=groups, **sides)


class InvertedResidual(nn.Module):
    """MobileNetV2 block: 1x1 expansion, 3x3 depthwise, 1x1 linear projection, residual where shapes allow."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int):
        super().__init__()
        hidden = _STEM_CHANNELS if expansion == 1 else in_channels * expansion
        self.expand = nn.Conv2d(in_channels, hidden, 1) if expansion != 1 else None
        padding = 1 if stride == 1 else 0
        self.depthwise = nn.Conv2d(hidden, hidden, 3, stride, padding, groups=hidden)
        self.project = nn.Conv2d(hidden, out_channels, 1)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = F.relu6(_conv_same(self.depthwise, y))
        y = self.project(y)
        return x + y if self.residual else y


class SeparableConv(nn.Module):
    """3x3 depthwise (no bias) and 1x1 convolution, then ReLU."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.depthwise = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.pointwise(self.depthwise(x)))


def _head(out_channels: int) -> nn.Sequential:
    return nn.Sequential(SeparableConv(24, 96), nn.Conv2d(96, out_channels, 1))


def scale_pixels(image: Tensor) -> Tensor:
    """Bring (B, 3, H, W) pixels of 0..255 to the -1..1 that the network was trained on."""
    return image.float() * (2 / 255) - 1


class MoveNetThunder(nn.Module):
    """Backbone, feature pyramid and heads; see the module docstring.

    Args:
        num_keypoints: K.
    """

    def __init__(self, num_keypoints: int = 17):
        super().__init__()
        self.stem = nn.Conv2d(3, _STEM_CHANNELS, 3, stride=2)
        blocks, channels = [], _STEM_CHANNELS
        for out_channels, stride, expansion in _BLOCKS:
            blocks.append(InvertedResidual(channels, out_channels, stride, expansion))
            channels = out_channels
        self.blocks = nn.ModuleList(blocks)
        self.top = nn.Conv2d(channels, _TOP_CHANNELS, 1)
        self.lateral = nn.ModuleDict(
            {"32": nn.Conv2d(_TOP_CHANNELS, 64, 1), "16": nn.Conv2d(112, 64, 1), "8": nn.Conv2d(56, 32, 1),
             "4": nn.Conv2d(40, 24, 1)}
        )  # fmt: skip
        self.smooth = nn.ModuleDict(
            {"16": SeparableConv(64, 32), "8": SeparableConv(32, 24), "4": SeparableConv(24, 24)}
        )
        self.center = _head(1)
        self.heatmap = _head(num_keypoints)
        self.regression = _head(2 * num_keypoints)
        self.offset = _head(2 * num_keypoints)

    def forward(self, image: Tensor) -> MoveNetFeatures:
        """Run the network on (B, 3, H, W) images scaled to -1..1."""
        x = F.relu6(_conv_same(self.stem, image))
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        fine, middle, coarse_lateral, coarse, top = (outputs[i] for i in (2, 5, 9, 12, 16))

        pyramid16 = self._upsample(self.lateral["32"](F.relu6(self.top(top)))) + self.lateral["16"](coarse_lateral)
        pyramid8 = self._upsample(self.smooth["16"](pyramid16)) + self.lateral["8"](middle)
        pyramid4 = self.smooth["4"](self._upsample(self.smooth["8"](pyramid8)) + self.lateral["4"](fine))
        return MoveNetFeatures(
            fine, middle, coarse, top, pyramid4, pyramid8, pyramid16,
            self.center(pyramid4), self.heatmap(pyramid4), self.regression(pyramid4), self.offset(pyramid4),
        )  # fmt: skip

    def first_blocks(self, image: Tensor, count: int) -> Tensor:
        """Run the stem and the first ``count`` blocks alone."""
        x = F.relu6(_conv_same(self.stem, image))
        for block in self.blocks[:count]:
            x = block(x)
        return x

    @staticmethod
    def _upsample(x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class MoveNetHeads(Protocol):
    """The four heads of :class:`MoveNetFeatures`, which are all that decoding reads."""

    @property
    def center_logits(self) -> Tensor: ...
    @property
    def heatmap_logits(self) -> Tensor: ...
    @property
    def regression(self) -> Tensor: ...
    @property
    def offset(self) -> Tensor: ...


class MoveNetPose(NamedTuple):
    """Decoded heads: ``keypoints_input`` (B, K, 2) x, y in input pixels, ``heatmap_scores`` (B, K) in 0..1 and
    ``regressed_input`` (B, K, 2), the regression head's coarse estimate."""

    keypoints_input: Tensor
    heatmap_scores: Tensor
    regressed_input: Tensor


def decode_heads(features: MoveNetHeads) -> MoveNetPose:
    """Decode the person nearest to the image centre, as MoveNet does.

    Centre peak (weighted towards the image centre) -> regressed keypoints there -> per joint the heatmap peak weighted
    by 1 / (distance to the regressed point + 1.8) -> offset at that cell.
    """
    heat = features.heatmap_logits.float().sigmoid()
    batch, joints, height, width = heat.shape
    ys = torch.arange(height, device=heat.device, dtype=heat.dtype)[:, None].expand(height, width)
    xs = torch.arange(width, device=heat.device, dtype=heat.dtype)[None, :].expand(height, width)

    to_middle = ((ys - height / 2) ** 2 + (xs - width / 2) ** 2).sqrt()
    center = features.center_logits.float().sigmoid()[:, 0] / (to_middle + 1.8)
    center_cell = center.flatten(1).argmax(1)  # (B,)
    regression = features.regression.float().view(batch, joints, 2, height * width)
    cell = center_cell.view(batch, 1, 1, 1).expand(-1, joints, 2, 1)
    regressed = regression.gather(3, cell)[..., 0]  # (B, K, 2) y, x relative to the centre cell
    regressed = regressed + torch.stack([center_cell // width, center_cell % width], -1)[:, None]

    distance = ((ys - regressed[..., 0, None, None]) ** 2 + (xs - regressed[..., 1, None, None]) ** 2).sqrt()
    peak = (heat / (distance + 1.8)).flatten(2).argmax(2)  # (B, K)
    offset = features.offset.float().view(batch, joints, 2, height * width)
    offset = offset.gather(3, peak.view(batch, joints, 1, 1).expand(-1, -1, 2, 1))[..., 0]
    keypoints = torch.stack([peak // width, peak % width], -1) + offset
    scores = heat.flatten(2).gather(2, peak[..., None])[..., 0]
    return MoveNetPose(keypoints.flip(-1) * HEAD_STRIDE, scores, regressed.flip(-1) * HEAD_STRIDE)
