"""Multi-scale deformable attention (Deformable DETR, 2021, Eq. 3), in exact forms that suit a CPU and a GPU.

Every query reads ``levels x points`` places of each head's share of the value map, bilinearly, and adds them up with
attention weights. That is a weighted sum of rows, so on a CPU one ``embedding_bag`` does it without the intermediate
samples that ``grid_sample`` writes. The value projection is linear: where few rows are read, as for one person's
queries, the raw memory is summed first and projected afterwards, and the projection of the whole map is never made.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clickpose.networks.linear import Linear

_QUERY_CHUNK = 2048  # queries whose row numbers are held at once
_CORNERS = 4  # of a bilinear sample
_ROWS_PER_PROJECTION = 32  # raw rows that are read, on a CPU core, in the time of projecting one (measured: over 40)


class Memory(NamedTuple):
    """Encoded image: T tokens, level by level, row by row.

    Attributes:
        tokens: (B, T, C).
        level_hw: (height, width) of each of the L levels; T is the sum of their products. While a click is exported
            it is an (L, 2) tensor, so that one graph serves every size.
        padding_mask: (B, T) bool, True where there is no image, or None where all of it is image.
        valid_ratios: (B, L, 2) share of the width and height that is image, or None where all of it is.
    """

    tokens: Tensor
    level_hw: tuple[tuple[int, int], ...] | Tensor
    padding_mask: Tensor | None = None
    valid_ratios: Tensor | None = None

    def scale(self, references: Tensor) -> Tensor:
        """Bring (B, Q, 2 or 4) references from 0..1 of the image to 0..1 of each padded level: (B, Q, L, 2 or 4)."""
        scaled = references[:, :, None].expand(-1, -1, len(self.level_hw), -1)
        if self.valid_ratios is None:
            return scaled
        return scaled * self.valid_ratios[:, None].repeat(1, 1, 1, references.shape[-1] // 2)


class Samples(NamedTuple):
    """Rows to add up for each query and head: bilinear corners of all points of all levels (R = L · P · 4).

    Attributes:
        rows: (B, Q, heads, R) int32 token numbers within the image.
        weights: (B, Q, heads, R) attention times bilinear weight; 0 outside the map and on padding.
    """

    rows: Tensor
    weights: Tensor


class DeformableAttention(nn.Module):
    """Multi-scale deformable attention.

    Args:
        dim: channels C of queries and memory.
        heads: attention heads.
        levels: feature maps.
        points: sampled points a head and level.
    """

    def __init__(self, dim: int, heads: int, levels: int, points: int):
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.sampling_offsets = Linear(dim, heads * levels * points * 2)
        self.attention_weights = Linear(dim, heads * levels * points)
        self.value_proj = Linear(dim, dim)
        self.output_proj = Linear(dim, dim)
        self._reset()

    def _reset(self) -> None:
        """Start with each head looking in a direction of its own, farther with each point (Deformable DETR, A.4)."""
        angles = torch.arange(self.heads) * (2 * torch.pi / self.heads)
        directions = torch.stack([angles.cos(), angles.sin()], -1)
        directions = directions / directions.abs().amax(-1, keepdim=True)
        steps = torch.arange(1, self.points + 1.0)[:, None]
        bias = (directions[:, None, None] * steps).expand(-1, self.levels, -1, -1)
        nn.init.zeros_(self.sampling_offsets.weight)
        self.sampling_offsets.bias = nn.Parameter(bias.reshape(-1).clone())
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for projection in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(self, query: Tensor, references: Tensor, memory: Memory) -> Tensor:
        """Read the memory around each query's reference.

        Args:
            query: (B, Q, C).
            references: (B, Q, 2) points x, y, or (B, Q, 4) boxes cx, cy, w, h, in 0..1 of the image.
            memory: what is read.

        Returns:
            (B, Q, C).
        """
        if isinstance(memory.level_hw, Tensor):
            return self.output_proj(self.sum_then_project(query, references, memory))
        if query.is_cuda or torch.is_grad_enabled() or torch.onnx.is_in_onnx_export():
            return self.output_proj(self.read_grid(query, references, memory))
        rows_read = query.shape[1] * self.heads * self.levels * self.points * _CORNERS
        few = rows_read < _ROWS_PER_PROJECTION * memory.tokens.shape[1]
        few = few or memory.tokens.dtype != query.dtype  # a cache in half precision is never projected as a whole
        read = self.sum_then_project if few else self.project_then_sum
        return self.output_proj(read(query, references, memory))

    def points_of(self, query: Tensor, references: Tensor, memory: Memory) -> tuple[Tensor, Tensor, Tensor]:
        """Return where each query looks: x and y in 0..1 of the level, and weights, each (B, Q, heads, L · P)."""
        offsets = self.sampling_offsets(query).unflatten(-1, (self.heads, self.levels * self.points, 2))
        weights = self.attention_weights(query).unflatten(-1, (self.heads, -1)).softmax(-1)
        scaled = memory.scale(references)[:, :, :, None].expand(-1, -1, -1, self.points, -1).flatten(2, 3)
        center_x, center_y, *sides = scaled[:, :, None].unbind(-1)  # (B, Q, 1, L · P) each
        if sides:
            steps = [side * (0.5 / self.points) for side in sides]
        else:
            height, width = _sizes(memory.level_hw, offsets).repeat_interleave(self.points, 0).unbind(-1)
            steps = [1 / width, 1 / height]
        return center_x + offsets[..., 0] * steps[0], center_y + offsets[..., 1] * steps[1], weights

    def samples(self, query: Tensor, references: Tensor, memory: Memory) -> Samples:
        """Return the rows and weights that the queries read."""
        samples = bilinear_rows(*self.points_of(query, references, memory), memory.level_hw)
        if memory.padding_mask is None:
            return samples
        padding = memory.padding_mask[:, None, None].expand(-1, *samples.rows.shape[1:3], -1)
        return samples._replace(weights=samples.weights.masked_fill(padding.gather(3, samples.rows.long()), 0.0))

    def project_then_sum(self, query: Tensor, references: Tensor, memory: Memory) -> Tensor:
        """Project all tokens to values and sum the rows that are read; the form for many queries."""
        values = self.value_proj(memory.tokens)
        table = values.view(-1, values.shape[-1] // self.heads)  # a row is one head of one token
        batch, count, _ = memory.tokens.shape
        head = torch.arange(self.heads, dtype=torch.int32, device=query.device)[:, None]
        first = torch.arange(batch, dtype=torch.int32, device=query.device).view(-1, 1, 1, 1) * count
        parts = []
        for start in range(0, query.shape[1], _QUERY_CHUNK):
            chosen = slice(start, start + _QUERY_CHUNK)
            rows, weights = self.samples(query[:, chosen], references[:, chosen], memory)
            rows = (rows + first) * self.heads + head
            parts.append(_sum_rows(table, rows, weights).view(batch, rows.shape[1], -1))
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def sum_then_project(self, query: Tensor, references: Tensor, memory: Memory) -> Tensor:
        """Sum raw tokens and project the sums; the same, and cheaper for few queries.

        The projection's bias counts with the sum of the weights, which is below 1 where a sample lies outside the map
        or on padding.
        """
        batch, count, dim = memory.tokens.shape
        rows, weights = self.samples(query, references, memory)
        first = torch.arange(batch, dtype=torch.int32, device=query.device).view(-1, 1, 1, 1) * count
        sums = _sum_rows(memory.tokens.reshape(-1, dim), rows + first, weights).view(*rows.shape[:3], dim)
        weight = self.value_proj.weight.view(self.heads, -1, dim)
        bias = self.value_proj.bias.view(self.heads, -1) * weights.sum(-1, keepdim=True)
        return (torch.einsum("bqhc,hdc->bqhd", sums, weight) + bias).flatten(2)

    def read_grid(self, query: Tensor, references: Tensor, memory: Memory) -> Tensor:
        """Sample with ``grid_sample``, level by level: the form for GPUs, for export and for gradients."""
        values = self.value_proj(memory.tokens)
        if memory.padding_mask is not None:
            values = values.masked_fill(memory.padding_mask[..., None], 0.0)
        batch, queries = query.shape[:2]
        values = values.unflatten(-1, (self.heads, -1)).permute(0, 2, 3, 1).flatten(0, 1)  # (B · heads, C_h, T)
        x, y, weights = self.points_of(query, references, memory)
        values = values.to(x.dtype)  # mixed precision leaves places whole
        grids = (torch.stack([x, y], -1) * 2 - 1).transpose(1, 2).flatten(0, 1)  # (B · heads, Q, L · P, 2)
        attention = weights.transpose(1, 2).flatten(0, 1)[:, None]  # (B · heads, 1, Q, L · P)
        result: Any = 0
        start = 0
        for level, (height, width) in enumerate(memory.level_hw):
            points = slice(level * self.points, (level + 1) * self.points)
            level_map = values[..., start : start + height * width].reshape(*values.shape[:2], height, width)
            sampled = F.grid_sample(level_map, grids[:, :, points], align_corners=False)  # (B · heads, C_h, Q, P)
            result = result + (sampled * attention[..., points]).sum(-1)
            start += height * width
        return result.view(batch, -1, queries).transpose(1, 2)


def bilinear_rows(x: Tensor, y: Tensor, attention: Tensor, level_hw: tuple[tuple[int, int], ...] | Tensor) -> Samples:
    """Turn sampling points into rows of the token list and their weights; places outside a map weigh nothing.

    The four corners of all points stand one after the other, which keeps every step a plain run over memory.

    Args:
        x, y: (B, Q, heads, L · P) in 0..1 of the level.
        attention: (B, Q, heads, L · P).
        level_hw: (height, width) of each level.
    """
    height, width, first_row = _levels_of_points(level_hw, x.shape[-1] // len(level_hw), x).unbind(0)
    columns, x_weights = _neighbours(x, width)
    lines, y_weights = _neighbours(y, height)
    lines = [line * width + first_row for line in lines]
    y_weights = [weight * attention for weight in y_weights]
    rows = torch.cat([line + column for line in lines for column in columns], -1)
    weights = torch.cat([vertical * horizontal for vertical in y_weights for horizontal in x_weights], -1)
    return Samples(rows.to(torch.int32), weights)  # exact: token numbers stay below 2^24


def _levels_of_points(level_hw: tuple[tuple[int, int], ...] | Tensor, points: int, like: Tensor) -> Tensor:
    """Return (3, L · P): height, width and first token of the level of each point of a head."""
    if isinstance(level_hw, Tensor) or torch.onnx.is_in_onnx_export():
        return _spread_levels(_sizes(level_hw, like), points)
    return _known_levels(level_hw, points, like.dtype, like.device)


@lru_cache(maxsize=64)  # each layer asks for the same
def _known_levels(level_hw: tuple, points: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # training may come next in the same process
        return _spread_levels(torch.tensor(level_hw, dtype=dtype, device=device), points)


def _spread_levels(hw: Tensor, points: int) -> Tensor:
    area = hw.prod(-1)
    return torch.stack([hw[:, 0], hw[:, 1], area.cumsum(0) - area]).repeat_interleave(points, 1)


def _sizes(level_hw: tuple[tuple[int, int], ...] | Tensor, like: Tensor) -> Tensor:
    """Return the sizes as an (L, 2) tensor of the kind of ``like``; numbers that an export traces stay traced."""
    if isinstance(level_hw, Tensor):
        return level_hw.to(like)
    if torch.onnx.is_in_onnx_export():
        return torch.stack([torch.stack([torch.as_tensor(length) for length in hw]) for hw in level_hw]).to(like)
    return like.new_tensor(level_hw)


def _neighbours(position: Tensor, length: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return the two cells around positions in 0..1 of a line of ``length`` cells, and their weights."""
    cell = position * length - 0.5
    low = cell.floor()
    share, high, last = cell - low, low + 1, length - 1
    inside = [neighbour.clamp(min=0).minimum(last) for neighbour in (low, high)]
    return inside, [(1 - share) * (inside[0] == low), share * (inside[1] == high)]


def _sum_rows(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted sums (M, D) of rows of a (N, D) table; rows and weights (..., R) with M sums in all."""
    count = rows.shape[-1]
    if table.dtype == torch.float16 or torch.onnx.is_in_onnx_export():
        # A cache in half precision: only the rows that are read become full. Also the form that ONNX can say.
        picked = table.index_select(0, rows.reshape(-1)).view(-1, count, table.shape[-1]).float()
        return torch.bmm(weights.reshape(-1, 1, count), picked)[:, 0]
    return F.embedding_bag(rows.reshape(-1, count), table, per_sample_weights=weights.reshape(-1, count), mode="sum")
