"""The encoder: multi-scale maps in, memory out, through layers of deformable self-attention (Deformable DETR, 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clickpose.networks.deformable_attention import DeformableAttention, Memory
from clickpose.networks.linear import Linear
from clickpose.networks.position_embedding import embed_map

_TOKEN_CHUNK = 1024  # tokens whose hidden features are held at once when no gradient is wanted


class FeedForward(nn.Module):
    """Two linear layers with a ReLU between; its base class names are ``linear1`` and ``linear2`` in checkpoints."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.linear1 = Linear(dim, hidden)
        self.linear2 = Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, C) to the same shape; the hidden features of long inputs are made in parts."""
        if torch.is_grad_enabled() or torch.onnx.is_in_onnx_export() or x.shape[1] <= _TOKEN_CHUNK:
            return self._map(x)
        return torch.cat([self._map(part) for part in x.split(_TOKEN_CHUNK, 1)], 1)

    def _map(self, x: Tensor) -> Tensor:
        return self.linear2(self.linear1(x, relu=True))


class EncoderLayer(nn.Module):
    """Deformable self-attention and feed-forward, each with a residual and then a norm."""

    def __init__(self, dim: int, heads: int, levels: int, points: int, ffn_dim: int):
        super().__init__()
        self.self_attn = DeformableAttention(dim, heads, levels, points)
        self.norm1 = nn.LayerNorm(dim)
        self.ffn = FeedForward(dim, ffn_dim)
        self.norm2 = nn.LayerNorm(dim)

    def forward(self, memory: Memory, position: Tensor, references: Tensor) -> Memory:
        """Update the tokens of ``memory``; position (B, T, C), references (B, T, 2) in 0..1 of the image."""
        tokens = memory.tokens
        tokens = self.norm1(tokens + self.self_attn(tokens + position, references, memory))
        return memory._replace(tokens=self.norm2(tokens + self.ffn(tokens)))


class Encoder(nn.Module):
    """Flatten the maps to tokens and run the layers."""

    def __init__(self, dim: int, heads: int, levels: int, points: int, ffn_dim: int, layers: int):
        super().__init__()
        self.level_embed = nn.Parameter(torch.randn(levels, dim))
        self.layers = nn.ModuleList(EncoderLayer(dim, heads, levels, points, ffn_dim) for _ in range(layers))

    def forward(self, maps: list[Tensor], padding_masks: list[Tensor] | None = None) -> Memory:
        """Encode.

        Args:
            maps: projected feature maps, each (B, C, H_l, W_l), finest first.
            padding_masks: (B, H_l, W_l) bool for each map, True where there is no image; None where all is image.
        """
        level_hw = tuple((x.shape[2], x.shape[3]) for x in maps)
        masks = padding_masks or [torch.zeros_like(x[:, 0], dtype=torch.bool) for x in maps]
        position = torch.cat(
            [
                (embed_map(mask, x.shape[1]) + self.level_embed[level][:, None, None]).flatten(2)
                for level, (x, mask) in enumerate(zip(maps, masks, strict=True))
            ],
            dim=2,
        ).transpose(1, 2)
        memory = Memory(torch.cat([x.flatten(2) for x in maps], 2).transpose(1, 2).contiguous(), level_hw)
        if padding_masks is not None:
            memory = memory._replace(
                padding_mask=torch.cat([mask.flatten(1) for mask in masks], 1),
                valid_ratios=torch.stack([_valid_ratio(mask) for mask in masks], 1),
            )
        references = cell_centers(memory)
        for layer in self.layers:
            memory = layer(memory, position, references)
        return memory


def cell_centers(memory: Memory) -> Tensor:
    """Return the centre (B, T, 2) of every token's cell, x, y in 0..1 of the image (beyond 1 in the padding)."""
    tokens, centers = memory.tokens, []
    for level, (height, width) in enumerate(memory.level_hw):
        y = (torch.arange(height, dtype=torch.float32, device=tokens.device) + 0.5) / height
        x = (torch.arange(width, dtype=torch.float32, device=tokens.device) + 0.5) / width
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)
        grid = grid.flatten(0, 1)[None].expand(len(tokens), -1, -1)
        centers.append(grid if memory.valid_ratios is None else grid / memory.valid_ratios[:, level, None])
    return torch.cat(centers, 1)


def _valid_ratio(padding_mask: Tensor) -> Tensor:
    """Return the (B, 2) share of the width and of the height of a map that is image."""
    inside = (~padding_mask).float()
    return torch.stack([inside[:, 0].mean(-1), inside[:, :, 0].mean(-1)], -1)
