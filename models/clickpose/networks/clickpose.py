"""Click-Pose end to end (ICCV 2023, Fig. 3): backbone, encoder, humans, keypoints, and clicks back in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from clickpose.frames import LONG_SIDE, SHORT_SIDE
from clickpose.networks.backbone import BackboneConfig, ResNetBackbone
from clickpose.networks.decoder_layer import DecoderCommon
from clickpose.networks.deformable_attention import Memory
from clickpose.networks.encoder import Encoder
from clickpose.networks.human_decoder import HumanDecoder, HumanQueries, prompt_mask
from clickpose.networks.keypoint_decoder import PERSON_CODE, KeypointDecoder, PersonReading
from clickpose.networks.linear import pack
from clickpose.networks.movenet_backbone import MoveNetBackbone, MoveNetBackboneConfig
from clickpose.networks.proposals import ProposalStage

PERSON_CLASS = 1
_GROUP_NORM_GROUPS = 32


@dataclass(frozen=True)
class ClickPoseConfig:
    """Size of the network; the defaults are the paper's.

    Attributes:
        num_keypoints: K.
        dim: channels C of a query.
        heads: attention heads.
        levels: feature maps: three of the backbone, the others by stride-2 convolutions.
        points: sampled points a head and level.
        ffn_dim: hidden channels of the feed-forward networks.
        encoder_layers, human_layers, keypoint_layers: depth of each part.
        queries: human queries that the proposals start.
        persons: persons that the first pass keeps.
        classes: class logits of a query; index 1 is a person.
        human_codes: rows of the human codebook.
        backbone: the backbone, ResNet or MoveNet, and its size.
        short_side, long_side: bounds of the photos that the network is trained for, pixels.
    """

    num_keypoints: int = 17
    dim: int = 256
    heads: int = 8
    levels: int = 4
    points: int = 4
    ffn_dim: int = 2048
    encoder_layers: int = 6
    human_layers: int = 2
    keypoint_layers: int = 4
    queries: int = 900
    persons: int = 50
    classes: int = 2
    human_codes: int = 101
    backbone: BackboneConfig | MoveNetBackboneConfig = field(default_factory=BackboneConfig)
    short_side: int = SHORT_SIDE
    long_side: int = LONG_SIDE


class ClickPose(nn.Module):
    """The network; see the module docstring.

    Args:
        config: sizes.
    """

    def __init__(self, config: ClickPoseConfig | None = None):
        super().__init__()
        self.config = config = config or ClickPoseConfig()
        layer_sizes = (config.dim, config.heads, config.levels, config.points, config.ffn_dim)
        backbone = config.backbone
        self.backbone = MoveNetBackbone() if isinstance(backbone, MoveNetBackboneConfig) else ResNetBackbone(backbone)
        self.input_projection = _input_projection(config)
        self.encoder = Encoder(*layer_sizes, config.encoder_layers)
        self.proposals = ProposalStage(config.dim, config.classes)
        self.common = DecoderCommon(config.dim)
        self.human_decoder = HumanDecoder(*layer_sizes, config.human_layers, config.classes)
        self.keypoint_decoder = KeypointDecoder(
            *layer_sizes, config.keypoint_layers, config.classes, config.num_keypoints, config.persons,
            config.human_codes,
        )  # fmt: skip

    def encode(self, images: Tensor, padding_mask: Tensor | None = None) -> Memory:
        """Encode normalised images; this is nearly all of the work.

        Args:
            images: (B, 3, H, W).
            padding_mask: (B, H, W) bool, True where there is no image; None where all is image.
        """
        maps = self.backbone(images)
        if padding_mask is None:
            return self.encode_maps(maps)
        return self.encode_maps(maps, tuple(_shrink_mask(padding_mask, x.shape[2:]) for x in maps))

    def encode_maps(
        self,
        maps: tuple[Tensor, ...],
        padding_masks: tuple[Tensor, ...] | None = None,
        normalise_padding: bool = False,
    ) -> Memory:
        """Encode the backbone's maps.

        Args:
            maps: at strides 8, 16 and 32, each (B, C_l, H_l, W_l).
            padding_masks: (B, H_l, W_l) bool for each, True where there is no image; None where all is image.
            normalise_padding: count the padding as image when the projections are normalised, as the published code
                does (parity mode), although then a photo's features depend on the others of its batch.
        """
        projected: list[Tensor] = []
        masks = None if padding_masks is None else list(padding_masks)
        pairs: Iterable[Any] = self.input_projection
        for level, (conv, norm) in enumerate(pairs):
            source = maps[level] if level < len(maps) else (maps[-1] if level == len(maps) else projected[-1])
            features = conv(source)
            if masks is not None and level >= len(masks):
                masks.append(_shrink_mask(masks[0], features.shape[2:]))
            projected.append(norm(features, None if masks is None or normalise_padding else masks[level]))
        return self.encoder(projected, masks)

    def find_humans(self, memory: Memory) -> HumanQueries:
        """Return the ``persons`` best human queries of each image, best first."""
        proposals = self.proposals(memory, self.config.queries)
        humans = self.human_decoder(proposals.content.detach(), proposals.boxes_norm.detach(), memory, self.common)
        return humans.best(self.config.persons)

    def prompt_humans(self, memory: Memory, boxes_norm: Tensor) -> HumanQueries:
        """Turn drawn (B, P, 4) boxes, cx, cy, w, h in 0..1 of the image, into human queries, in order.

        A drawn box enters as a denoising box does in training: its content is the person's row of the codebook, and it
        sees the image's own human queries, which do not see it.
        """
        proposals = self.proposals(memory, self.config.queries)
        own, prompts = proposals.content.shape[1], boxes_norm.shape[1]
        code = self.keypoint_decoder.human_codebook.weight[PERSON_CODE].expand(len(boxes_norm), prompts, -1)
        humans = self.human_decoder(
            torch.cat([proposals.content.detach(), code], 1),
            torch.cat([proposals.boxes_norm.detach(), boxes_norm], 1),
            memory,
            self.common,
            mask=prompt_mask(own, prompts, boxes_norm.device),
        )
        return HumanQueries(*(part[:, own:] for part in humans))

    def decode_humans(self, memory: Memory, humans: HumanQueries, same_rank: bool = False) -> PersonReading:
        """Return the poses of human queries; ``same_rank`` for drawn boxes, see :meth:`KeypointDecoder.expand`."""
        return self.keypoint_decoder(self.keypoint_decoder.expand(humans, same_rank), memory, self.common)

    def predict(self, memory: Memory) -> PersonReading:
        """First pass: the poses of everybody, best human query first."""
        return self.decode_humans(memory, self.find_humans(memory))

    def refine(
        self,
        memory: Memory,
        keypoints_norm: Tensor,
        boxes_norm: Tensor,
        fixed: Tensor | None = None,
        readings: list[PersonReading] | None = None,
    ) -> PersonReading:
        """Feedback: run the human-to-keypoint decoder on corrected poses.

        Args:
            memory: encoded images.
            keypoints_norm: (B, N, K, 2) in 0..1 of the image.
            boxes_norm: (B, N, 4) cx, cy, w, h.
            fixed: (B, N, K) bool, keypoints that stay exactly where they are; None to let all drift (parity mode).
            readings: gets what every layer reports.
        """
        queries = self.keypoint_decoder.feedback(keypoints_norm, boxes_norm)
        return self.keypoint_decoder(queries, memory, self.common, fixed, readings)


class PaddedGroupNorm(nn.GroupNorm):
    """Group normalisation by the mean and the variance of what is image, so that padding changes nothing."""

    def forward(self, x: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Normalise (B, C, H, W); ``padding_mask`` (B, H, W) is True where there is no image, None: all is image."""
        if padding_mask is None:
            return super().forward(x)
        groups = x.float().unflatten(1, (self.num_groups, -1))  # (B, G, C / G, H, W)
        inside = (~padding_mask)[:, None, None].to(groups.dtype)
        count = inside.sum((3, 4), keepdim=True) * groups.shape[2]
        mean = (groups * inside).sum((2, 3, 4), keepdim=True) / count
        variance = ((groups - mean).square() * inside).sum((2, 3, 4), keepdim=True) / count
        normed = ((groups - mean) * (variance + self.eps).rsqrt()).flatten(1, 2)
        return normed * self.weight[:, None, None] + self.bias[:, None, None]


def prepare_clicks(network: ClickPose) -> None:
    """Lay out the weights that a click reads for one person's queries; see :func:`clickpose.networks.linear.pack`."""
    for part in (network.keypoint_decoder, network.common):
        pack(part, rows=1 + network.config.num_keypoints)


def center_to_corners(boxes_cxcywh: Tensor) -> Tensor:
    """Convert (..., 4) boxes from (centre x, centre y, width, height) to (left, top, right, bottom)."""
    center, half = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:] / 2
    return torch.cat([center - half, center + half], -1)


def corners_to_center(boxes_xyxy: Tensor) -> Tensor:
    """Convert (..., 4) boxes from (left, top, right, bottom) to (centre x, centre y, width, height)."""
    low, high = boxes_xyxy[..., :2], boxes_xyxy[..., 2:]
    return torch.cat([(low + high) / 2, high - low], -1)


def _input_projection(config: ClickPoseConfig) -> nn.ModuleList:
    """Make a projection to C channels for every level: 1x1 on the backbone's maps, then 3x3 with stride 2."""
    channels = config.backbone.channels
    projections = []
    for level in range(config.levels):
        if level < len(channels):
            conv = nn.Conv2d(channels[level], config.dim, 1)
        else:
            conv = nn.Conv2d(channels[-1] if level == len(channels) else config.dim, config.dim, 3, 2, padding=1)
        projections.append(nn.Sequential(conv, PaddedGroupNorm(min(_GROUP_NORM_GROUPS, config.dim), config.dim)))
    return nn.ModuleList(projections)


def _shrink_mask(mask: Tensor, hw: tuple[int, int]) -> Tensor:
    """Resize a (B, H, W) padding mask to the nearest cells of a smaller map."""
    return nn.functional.interpolate(mask[:, None].float(), size=hw)[:, 0].to(torch.bool)
