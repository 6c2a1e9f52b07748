"""The human-to-keypoint decoder of the lite network: one box query and K keypoint queries, refined layer by layer.

Follows Click-Pose (ICCV 2023), Sec. 3: position queries are the current pose (predicted, corrupted, or corrected by a
human), content queries come from a label codebook B, and the same decoder serves prediction, reconstruction and the
human-feedback loop. Two things are the lite network's own: each query reads small deformable patches of the feature
maps instead of attending to single points, and a learned flag marks the joints that a human has fixed. Those are held
in every layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_OCTAVES = 8.0  # of a position's sine embedding: the finest wave is as long as two pixels of a crop of 256


@dataclass(frozen=True)
class DecoderConfig:
    """Size of the decoder.

    Attributes:
        num_keypoints: K.
        flip_pairs: (left, right) joint pairs; a joint also reads its mirror joint's heatmap.
        dim: channels of a query.
        heads: attention heads.
        layers: decoder layers.
        ffn_dim: hidden channels of the feed-forward network.
        level_channels: channels of the sampled maps at strides 4, 8, 16, 32 (without heatmaps).
        level_points: side of the square patch that a query samples on each map.
        peaks: heatmap peaks a joint is offered of its own and of its mirror joint's map.
        added: joints that an adapted network has beyond those it was trained with. The others do not hear them until a
            human has placed them: a guess that was made from the others tells them nothing, and so the network's old
            answers stay what they were.
    """

    num_keypoints: int = 17
    flip_pairs: tuple[tuple[int, int], ...] = ()
    dim: int = 128
    heads: int = 8
    layers: int = 4
    ffn_dim: int = 384
    level_channels: tuple[int, ...] = (40, 64, 96, 96)
    level_points: tuple[int, ...] = (4, 3, 3, 2)
    peaks: int = 4
    added: tuple[int, ...] = ()

    @property
    def candidates(self) -> int:
        """Candidate positions of a joint: own peaks, mirror peaks, the regressed point."""
        return 2 * self.peaks + 1


class EncodedPerson(NamedTuple):
    """What the encoder leaves for the decoder; B crops, coordinates 0..1 of the crop.

    Attributes:
        maps: float32 feature maps at strides 4, 8, 16, 32, each (B, C_l, H_l, W_l); the last K channels of the first
            are the heatmap logits.
        candidates_norm: (B, K, M, 2) heatmap peaks (own, then mirror joint), then the regressed point.
        candidate_scores: (B, K, M) heatmap value at each candidate, 0..1.
        initial_norm: (B, K, 2) the trunk's own pose.
        prompt_norm: (B, 4) prompt box, xyxy.
    """

    maps: tuple[Tensor, ...]
    candidates_norm: Tensor
    candidate_scores: Tensor
    initial_norm: Tensor
    prompt_norm: Tensor


class PoseQueries(NamedTuple):
    """State that the decoder starts from: V variants of each of B persons.

    Attributes:
        keypoints_norm: (B, V, K, 2).
        fixed: (B, V, K) bool, joints that a human placed.
        box_norm: (B, V, 4) xyxy.
    """

    keypoints_norm: Tensor
    fixed: Tensor
    box_norm: Tensor


class DecoderOutput(NamedTuple):
    """Positions after every layer (L first), scores after the last.

    Attributes:
        keypoints_norm: (L, B, V, K, 2).
        boxes_norm: (L, B, V, 4) xyxy.
        oks_logits: (B, V, K) predicted OKS before the sigmoid.
        visibility_logits: (B, V, K).
        tokens: (B, V, K, dim) final keypoint queries, normalised: what the score heads read, and what CCNet is fitted
            on.
    """

    keypoints_norm: Tensor
    boxes_norm: Tensor
    oks_logits: Tensor
    visibility_logits: Tensor
    tokens: Tensor


def sine_embedding(values: Tensor, dim: int) -> Tensor:
    """Embed (..., n) numbers in 0..1 as (..., n · dim) sines and cosines of 1 to 256 half turns, in equal ratios."""
    steps = torch.arange(dim // 2, device=values.device, dtype=values.dtype)
    angles = values[..., None] * math.pi * 2.0 ** (steps * (_OCTAVES / max(dim // 2 - 1, 1)))
    return torch.cat([angles.sin(), angles.cos()], -1).flatten(-2)


def _mlp(in_dim: int, hidden: int, out_dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(in_dim, hidden), nn.ReLU(), nn.Linear(hidden, out_dim))


def _box_corners_to_center(box_xyxy: Tensor) -> Tensor:
    low, high = box_xyxy[..., :2], box_xyxy[..., 2:]
    return torch.cat([(low + high) / 2, (high - low).clamp(min=1e-3)], -1)


class DeformablePatch(nn.Module):
    """Sample a small patch of each feature map around every query's reference and project it.

    The patch is a square grid; its spacing and the displacement of each of its points are predicted from the query
    (deformable sampling), and each sample is gated. Samples keep their place in the projection, which tells the decoder
    where in the patch something is: a weighted sum would lose that.
    """

    mirror: Tensor

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.config = config
        self.points = [side * side for side in config.level_points]
        total = sum(self.points)
        self.offset = nn.Linear(config.dim, total * 2)
        self.gate = nn.Linear(config.dim, total)
        self.spacing = nn.Linear(config.dim, len(self.points))
        # The finest map also gives the K heatmaps, and again the query's own and its mirror joint's.
        heat_channels = config.num_keypoints + 2
        widths = [c + (heat_channels if level == 0 else 0) for level, c in enumerate(config.level_channels)]
        self.project = nn.ModuleList(
            nn.Linear(points * width, config.dim, bias=level == 0)
            for level, (points, width) in enumerate(zip(self.points, widths, strict=True))
        )
        for layer in (self.offset, self.gate, self.spacing):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.constant_(self.gate.bias, 2.0)
        for level, side in enumerate(config.level_points):
            steps = torch.arange(side, dtype=torch.float32) - (side - 1) / 2
            grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).reshape(-1, 2)
            self.register_buffer(f"grid{level}", grid, persistent=False)
        mirror = list(range(config.num_keypoints))
        for left, right in config.flip_pairs:
            mirror[left], mirror[right] = right, left
        self.register_buffer("mirror", torch.tensor(mirror), persistent=False)

    def forward(self, query: Tensor, reference: Tensor, person: EncodedPerson) -> Tensor:
        """Read the maps.

        Args:
            query: (B, V, 1 + K, dim).
            reference: (B, V, 1 + K, 2) in 0..1.
            person: encoder output.

        Returns:
            (B, V, 1 + K, dim).
        """
        _, variants, tokens, _ = query.shape
        offsets = self.offset(query).float().unflatten(-1, (-1, 2)).split(self.points, dim=-2)
        gates = self.gate(query).sigmoid().split(self.points, dim=-1)
        spacing = self.spacing(query).float().clamp(-3, 3).exp()
        result: Any = 0
        for level, feature_map in enumerate(person.maps):
            height, width = feature_map.shape[-2:]
            cell = reference.new_tensor([1.0 / width, 1.0 / height])
            grid = getattr(self, f"grid{level}") * spacing[..., level, None, None]
            points = reference[..., None, :] + (grid + offsets[level]) * cell  # (B, V, T, P, 2)
            sampled = F.grid_sample(
                feature_map, points.flatten(1, 2) * 2 - 1, mode="bilinear", padding_mode="border", align_corners=False
            )  # (B, C, V · T, P)
            sampled = sampled.unflatten(2, (variants, tokens)).permute(0, 2, 3, 1, 4)  # (B, V, T, C, P)
            if level == 0:
                sampled = torch.cat([sampled, self._own_and_mirror(sampled)], -2)
            result = result + self.project[level]((sampled * gates[level][..., None, :]).flatten(-2))
        return result

    def _own_and_mirror(self, sampled: Tensor) -> Tensor:
        """Pick each keypoint query's own and mirror heatmap from (B, V, 1 + K, C, P); the box query gets zeros."""
        joints = self.config.num_keypoints
        heat = sampled[:, :, 1:, -joints:]  # (B, V, K, K, P)
        order = torch.arange(joints, device=heat.device)
        both = torch.stack([heat[:, :, order, order], heat[:, :, order, self.mirror]], 3)  # (B, V, K, 2, P)
        return F.pad(both, (0, 0, 0, 0, 1, 0))


class DecoderLayer(nn.Module):
    """Self-attention among a person's queries, deformable patches, candidates, feed-forward; pre-norm."""

    def __init__(self, config: DecoderConfig):
        super().__init__()
        dim = config.dim
        self.heads = config.heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.attention_out = nn.Linear(dim, dim)
        self.patch = DeformablePatch(config)
        self.candidate = _mlp(config.candidates * 5, dim, dim)
        self.ffn = _mlp(dim, config.ffn_dim, dim)
        self.norm_attention = nn.LayerNorm(dim)
        self.norm_patch = nn.LayerNorm(dim)
        self.norm_ffn = nn.LayerNorm(dim)

    def forward(
        self, query: Tensor, position: Tensor, reference: Tensor, person: EncodedPerson, heard: Tensor | None = None
    ) -> Tensor:
        """Update (B, V, T, dim) queries; ``position`` (B, V, T, dim) embeds ``reference`` (B, V, T, 2).

        ``heard`` (B, V, 1, T, T) bool tells which query (row) attends to which (column); None for all to all.
        """
        query = query + self._attend(self.norm_attention(query), position, heard)
        normed = self.norm_patch(query) + position
        query = query + self.patch(normed, reference, person)
        query = query + F.pad(self.candidate(self._candidate_features(reference, person)), (0, 0, 1, 0))
        return query + self.ffn(self.norm_ffn(query))

    def _attend(self, query: Tensor, position: Tensor, heard: Tensor | None) -> Tensor:
        weight, bias = self.qkv.weight, self.qkv.bias
        dim = query.shape[-1]
        query_key = F.linear(query + position, weight[: 2 * dim], bias[: 2 * dim])
        value = F.linear(query, weight[2 * dim :], bias[2 * dim :])
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(-3, -2) for x in (*query_key.chunk(2, -1), value))
        return self.attention_out(F.scaled_dot_product_attention(q, k, v, heard).transpose(-3, -2).flatten(-2))

    @staticmethod
    def _candidate_features(reference: Tensor, person: EncodedPerson) -> Tensor:
        """Describe each candidate as seen from the joint: offset at two ranges, and its heatmap value."""
        offset = person.candidates_norm[:, None] - reference[:, :, 1:, None]  # (B, V, K, M, 2)
        scores = person.candidate_scores[:, None, :, :, None].expand(*offset.shape[:-1], 1)
        return torch.cat([(offset * 6).tanh(), (offset * 40).tanh(), scores], -1).flatten(-2)


class PoseDecoder(nn.Module):
    """Decoder over all queries of a person; see the module docstring."""

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.config = config
        dim, tokens = config.dim, config.num_keypoints + 1
        self.codebook = nn.Parameter(torch.randn(tokens, dim) * 0.5)  # B of the paper, row 0 for the box
        self.fixed_flag = nn.Parameter(torch.randn(dim) * 0.5)
        self._sine_dim = 16
        self.position = _mlp(4 * self._sine_dim + 2, dim, dim)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.layers))
        self.keypoint_heads = nn.ModuleList(_mlp(dim, dim, 2) for _ in range(config.layers))
        self.box_heads = nn.ModuleList(_mlp(dim, dim, 4) for _ in range(config.layers))
        self.norm = nn.LayerNorm(dim)
        self.oks_head = _mlp(dim, dim, 1)
        self.visibility_head = _mlp(dim, dim, 1)
        for head in (*self.keypoint_heads, *self.box_heads):
            nn.init.zeros_(head[-1].weight)
            nn.init.zeros_(head[-1].bias)

    @property
    def mirror(self) -> Tensor:
        """(K,) each joint's mirror joint, itself for one in the middle."""
        first: Any = self.layers[0]
        return first.patch.mirror

    def forward(self, person: EncodedPerson, queries: PoseQueries) -> DecoderOutput:
        """Refine every variant of every person.

        Keypoints move by head output / 10 of the crop, a tenth being the usual size of an error; the box likewise.
        """
        keypoints, box = queries.keypoints_norm, _box_corners_to_center(queries.box_norm)
        free = ~queries.fixed[..., None]
        flags = F.pad(queries.fixed, (1, 0))[..., None].to(self.fixed_flag.dtype) * self.fixed_flag
        content = self.codebook + flags
        heard = self._heard(queries.fixed)
        keypoint_layers, box_layers = [], []
        for layer, keypoint_head, box_head in zip(self.layers, self.keypoint_heads, self.box_heads, strict=True):
            reference = torch.cat([box[..., None, :2], keypoints], -2)
            content = layer(content, self._embed_position(reference, box), reference, person, heard)
            keypoints = keypoints + free * keypoint_head(content[..., 1:, :]).float() * 0.1
            change = box_head(content[..., 0, :]).float() * 0.1
            box = torch.cat([box[..., :2] + change[..., :2], box[..., 2:] * change[..., 2:].clamp(-2, 2).exp()], -1)
            keypoint_layers.append(keypoints)
            box_layers.append(torch.cat([box[..., :2] - box[..., 2:] / 2, box[..., :2] + box[..., 2:] / 2], -1))
            keypoints, box = keypoints.detach(), box.detach()
        tokens = self.norm(content)[..., 1:, :]
        return DecoderOutput(
            keypoints_norm=torch.stack(keypoint_layers),
            boxes_norm=torch.stack(box_layers),
            oks_logits=self.oks_head(tokens).float()[..., 0],
            visibility_logits=self.visibility_head(tokens).float()[..., 0],
            tokens=tokens,
        )

    def _heard(self, fixed: Tensor) -> Tensor | None:
        """Return the attention mask (B, V, 1, T, T) of (B, V, K) fixed joints; None where no joint was added."""
        if not self.config.added:
            return None
        added = torch.zeros(1 + self.config.num_keypoints, dtype=torch.bool, device=fixed.device)
        added[[1 + joint for joint in self.config.added]] = True
        speaks = ~added | F.pad(fixed, (1, 0), value=True)  # (B, V, T)
        return (speaks[..., None, :] | added[:, None])[..., None, :, :]

    def _embed_position(self, reference: Tensor, box: Tensor) -> Tensor:
        """Embed where a query is in the crop and in the person's box, and the box's size."""
        in_box = (reference - box[..., None, :2]) / box[..., None, 2:] + 0.5
        sines = sine_embedding(torch.cat([reference, in_box], -1), self._sine_dim)
        size = box[..., None, 2:].expand(*reference.shape[:-1], 2)
        return self.position(torch.cat([sines, size], -1))
