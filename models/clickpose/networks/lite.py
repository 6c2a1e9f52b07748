"""The lite network: MoveNet trunk, a feature neck, and the human-to-keypoint decoder, prompted with a person's box."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clickpose.networks.lite_decoder import DecoderConfig, DecoderOutput, EncodedPerson, PoseDecoder, PoseQueries
from clickpose.networks.movenet import (
    HEAD_STRIDE,
    MoveNetFeatures,
    MoveNetPose,
    MoveNetThunder,
    SeparableConv,
    decode_heads,
    scale_pixels,
)
from clickpose.skeleton import COCO


@dataclass(frozen=True)
class LiteConfig:
    """Configuration of the lite network.

    Attributes:
        input_side: side of the square crop in network pixels, a multiple of 32.
        decoder: size of the decoder.
    """

    input_side: int = 256
    decoder: DecoderConfig = field(default_factory=lambda: DecoderConfig(flip_pairs=COCO.flip_pairs))


class EncoderOutput(NamedTuple):
    """``person`` for the decoder, ``trunk`` with the heads that training supervises."""

    person: EncodedPerson
    trunk: MoveNetFeatures


class FeatureNeck(nn.Module):
    """A second feature pyramid, wider than MoveNet's own at the fine strides, trained for the decoder."""

    def __init__(self, channels: tuple[int, ...]):
        super().__init__()
        c4, c8, c16, c32 = channels
        self.lateral4 = nn.Conv2d(40 + 24, c4, 1)
        self.lateral8 = nn.Conv2d(56 + 32, c8, 1)
        self.lateral16 = nn.Conv2d(168 + 64, c16, 1)
        self.lateral32 = nn.Conv2d(560, c32, 1)
        self.down32 = nn.Conv2d(c32, c16, 1)
        self.down16 = nn.Conv2d(c16, c8, 1)
        self.down8 = nn.Conv2d(c8, c4, 1)
        self.smooth = nn.ModuleList(SeparableConv(c, c) for c in (c4, c8, c16))

    def forward(self, features: MoveNetFeatures) -> tuple[Tensor, ...]:
        """Return maps at strides 4, 8, 16, 32."""
        top = F.relu(self.lateral32(features.top))
        map16 = self.lateral16(torch.cat([features.coarse, features.pyramid16], 1)) + _upsample(self.down32(top))
        map16 = self.smooth[2](map16)
        map8 = self.lateral8(torch.cat([features.middle, features.pyramid8], 1)) + _upsample(self.down16(map16))
        map8 = self.smooth[1](map8)
        map4 = self.lateral4(torch.cat([features.fine, features.pyramid4], 1)) + _upsample(self.down8(map8))
        return self.smooth[0](map4), map8, map16, top


def _upsample(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def heatmap_peaks(heatmap_logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Find the ``count`` highest local maxima (3x3) of each map.

    Args:
        heatmap_logits: (B, K, H, W).
        count: peaks a map.

    Returns:
        positions (B, K, count, 2) x, y in 0..1 (cell centres) and values (B, K, count) in 0..1, highest first.
    """
    height, width = heatmap_logits.shape[-2:]
    heat = heatmap_logits.float().sigmoid()
    values, cells = (heat * (heat == _maxima_around(heat))).flatten(2).topk(count, dim=2)
    positions = torch.stack([(cells % width + 0.5) / width, (cells // width + 0.5) / height], -1)
    return positions, values


def _maxima_around(x: Tensor) -> Tensor:
    """Return each value's maximum with its eight neighbours, (B, K, H, W): max pooling, which takes ten times as long
    on a CPU."""
    beside = F.pad(x, (1, 1, 0, 0), value=float("-inf"))
    rows = torch.maximum(torch.maximum(beside[..., :-2], beside[..., 2:]), x)
    above = F.pad(rows, (0, 0, 1, 1), value=float("-inf"))
    return torch.maximum(torch.maximum(above[..., :-2, :], above[..., 2:, :]), rows)


class LiteNetwork(nn.Module):
    """Box-prompted Click-Pose; see the module docstring.

    Args:
        config: sizes.
    """

    def __init__(self, config: LiteConfig | None = None):
        super().__init__()
        self.config = config or LiteConfig()
        decoder = self.config.decoder
        self.trunk = MoveNetThunder(decoder.num_keypoints)
        self.neck = FeatureNeck(decoder.level_channels)
        self.decoder = PoseDecoder(decoder)

    def encode(self, image: Tensor, prompt_norm: Tensor) -> EncoderOutput:
        """Run trunk and neck.

        Args:
            image: (B, 3, S, S) uint8 or float, RGB in 0..255.
            prompt_norm: (B, 4) prompt box in 0..1 of the crop, xyxy.
        """
        trunk = self.trunk(scale_pixels(image))
        return EncoderOutput(self.describe(trunk, decode_heads(trunk), prompt_norm), trunk)

    def describe(self, trunk: MoveNetFeatures, pose: MoveNetPose, prompt_norm: Tensor) -> EncodedPerson:
        """Turn the trunk's features into the decoder's input.

        Args:
            trunk: of which the neck's maps and ``heatmap_logits`` are read.
            pose: the decoded heads.
            prompt_norm: (B, 4) prompt box in 0..1 of the crop, xyxy.
        """
        return self.assemble(self.neck(trunk), trunk.heatmap_logits, pose, prompt_norm)

    def assemble(
        self, neck_maps: tuple[Tensor, ...], heatmap_logits: Tensor, pose: MoveNetPose, prompt_norm: Tensor
    ) -> EncodedPerson:
        """Put together what trunk and neck, wherever they ran, leave for the decoder.

        Args:
            neck_maps: of :class:`FeatureNeck`.
            heatmap_logits: (B, K, H, W) of the trunk.
            pose, prompt_norm: as for :meth:`describe`.
        """
        fine, *others = neck_maps
        maps = tuple(x.float().contiguous() for x in (torch.cat([fine, heatmap_logits], 1), *others))
        side = HEAD_STRIDE * heatmap_logits.shape[-1]
        peaks, peak_scores = heatmap_peaks(heatmap_logits, self.config.decoder.peaks)
        mirror = self.decoder.mirror
        regressed = pose.regressed_input / side
        candidates = torch.cat([peaks, peaks[:, mirror], regressed[:, :, None]], 2)
        scores = torch.cat([peak_scores, peak_scores[:, mirror], pose.heatmap_scores[..., None]], 2)
        return EncodedPerson(
            maps, candidates.detach(), scores.detach(),
            (pose.keypoints_input / side).detach(), prompt_norm,
        )  # fmt: skip

    def decode(self, person: EncodedPerson, queries: PoseQueries) -> DecoderOutput:
        """Refine V variants of each encoded person. A joint that is nowhere (NaN) starts where the trunk saw it."""
        known = queries.keypoints_norm.isfinite()
        start = torch.where(known, queries.keypoints_norm, person.initial_norm[:, None])
        return self.decoder(person, queries._replace(keypoints_norm=start))

    @staticmethod
    def initial_queries(person: EncodedPerson) -> PoseQueries:
        """Start from the trunk's own pose and the prompt box, nothing fixed (V = 1)."""
        keypoints = person.initial_norm[:, None]
        return PoseQueries(
            keypoints, torch.zeros_like(keypoints[..., 0], dtype=torch.bool), person.prompt_norm[:, None]
        )
