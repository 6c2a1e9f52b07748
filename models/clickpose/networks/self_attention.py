"""Self-attention of queries whose positions count when they are compared, not in what is passed on (DETR, 2020)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clickpose.networks.linear import linear


class SelfAttention(nn.MultiheadAttention):
    """Multi-head attention with the tensors of PyTorch's module, computed with fewer products."""

    def __init__(self, dim: int, heads: int):
        super().__init__(dim, heads, batch_first=True)

    def forward(  # type: ignore[override]  # the layer's own call, on purpose: one content, its position
        self, content: Tensor, position: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Return what (B, Q, C) queries gather from each other.

        Args:
            content: (B, Q, C).
            position: (B, Q, C).
            mask: (Q, Q) bool, True where the query of the row must not see that of the column; None for all to all.
        """
        if torch.onnx.is_in_onnx_export():  # the exporter keeps track of shapes in PyTorch's own form alone
            placed = content + position
            return super().forward(placed, placed, content, attn_mask=mask, need_weights=False)[0]
        sizes = [2 * self.embed_dim, self.embed_dim]
        (comparing, passing), (comparing_bias, passing_bias) = (
            tensor.split(sizes) for tensor in (self.in_proj_weight, self.in_proj_bias)
        )
        both = self._heads(linear(content + position, comparing, comparing_bias), 2 * self.num_heads)
        queries, keys = both.split(self.num_heads, 1)
        values = self._heads(linear(content, passing, passing_bias), self.num_heads)
        attended = F.scaled_dot_product_attention(queries, keys, values, None if mask is None else ~mask)
        return linear(attended.transpose(1, 2).reshape(content.shape), self.out_proj.weight, self.out_proj.bias)

    def _heads(self, x: Tensor, heads: int) -> Tensor:
        """Bring (B, Q, heads · C / heads) to (B, heads, Q, C / heads)."""
        return x.view(*x.shape[:2], heads, self.head_dim).transpose(1, 2)
