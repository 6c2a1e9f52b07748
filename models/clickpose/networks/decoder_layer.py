"""The layer that both decoders stack, and what they share: the norm of their outputs and the position of a query."""

from __future__ import annotations

from torch import Tensor, nn

from clickpose.networks.deformable_attention import DeformableAttention, Memory
from clickpose.networks.encoder import FeedForward
from clickpose.networks.mlp import MLP
from clickpose.networks.position_embedding import embed_boxes
from clickpose.networks.self_attention import SelfAttention


class DecoderLayer(nn.Module):
    """Self-attention, deformable cross-attention, feed-forward; a residual and then a norm after each."""

    def __init__(self, dim: int, heads: int, levels: int, points: int, ffn_dim: int):
        super().__init__()
        self.self_attn = SelfAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.cross_attn = DeformableAttention(dim, heads, levels, points)
        self.norm1 = nn.LayerNorm(dim)
        self.ffn = FeedForward(dim, ffn_dim)
        self.norm3 = nn.LayerNorm(dim)

    def forward(
        self,
        content: Tensor,
        position: Tensor,
        references: Tensor,
        memory: Memory,
        group: int | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Update the content of the queries.

        Args:
            content: (B, Q, C).
            position: (B, Q, C) embedding of the references.
            references: (B, Q, 4) cx, cy, w, h in 0..1 of the image.
            memory: encoded image.
            group: only each run of so many queries attends to itself; None for all to all.
            mask: (Q, Q) bool, True where the query of the row must not see that of the column; not with ``group``.
        """
        content = self.norm2(content + self._attend(content, position, group, mask))
        content = self.norm1(content + self.cross_attn(content + position, references, memory))
        return self.norm3(content + self.ffn(content))

    def _attend(self, content: Tensor, position: Tensor, group: int | None, mask: Tensor | None) -> Tensor:
        batch, _, dim = content.shape
        if group is not None:
            content, position = content.reshape(-1, group, dim), position.reshape(-1, group, dim)
        return self.self_attn(content, position, mask).reshape(batch, -1, dim)


class DecoderCommon(nn.Module):
    """What both decoders use.

    Attributes:
        norm: applied to a layer's output before boxes, classes and keypoints are read from it.
        reference_head: embeds a query's reference as its position.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.reference_head = MLP(2 * dim, dim, layers=2, hidden=dim)

    def position(self, references: Tensor, memory: Memory) -> Tensor:
        """Embed (B, Q, 4) references as (B, Q, C); padding counts as image here, as on the finest level."""
        return self.reference_head(embed_boxes(memory.scale(references)[:, :, 0], self.norm.normalized_shape[0]))
