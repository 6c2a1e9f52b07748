"""The human decoder: box queries attend to each other and to the image, and their boxes are refined layer by layer."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from clickpose.networks.decoder_layer import DecoderCommon, DecoderLayer
from clickpose.networks.deformable_attention import Memory
from clickpose.networks.mlp import MLP
from clickpose.networks.position_embedding import inverse_sigmoid


class HumanQueries(NamedTuple):
    """Human queries after the last layer.

    Attributes:
        content: (B, Q, C), not normed.
        boxes_norm: (B, Q, 4) cx, cy, w, h in 0..1 of the image.
        class_logits: (B, Q, classes) that choose the persons.
    """

    content: Tensor
    boxes_norm: Tensor
    class_logits: Tensor

    def best(self, count: int) -> HumanQueries:
        """Return the ``count`` queries with the highest class logits, best first."""
        order = self.class_logits.amax(-1).topk(min(count, self.content.shape[1]), dim=1).indices[..., None]
        return HumanQueries(*(field.gather(1, order.expand(-1, -1, field.shape[-1])) for field in self))


class BoxReading(NamedTuple):
    """What a layer reports: class logits (B, Q, classes) and boxes_norm (B, Q, 4)."""

    class_logits: Tensor
    boxes_norm: Tensor


class HumanDecoder(nn.Module):
    """Layers with a box head and a class head each."""

    def __init__(self, dim: int, heads: int, levels: int, points: int, ffn_dim: int, layers: int, classes: int):
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(dim, heads, levels, points, ffn_dim) for _ in range(layers))
        self.box_heads = nn.ModuleList(MLP(dim, 4, layers=3) for _ in range(layers))
        self.class_heads = nn.ModuleList(nn.Linear(dim, classes) for _ in range(layers))

    def forward(
        self,
        content: Tensor,
        boxes_norm: Tensor,
        memory: Memory,
        common: DecoderCommon,
        mask: Tensor | None = None,
        readings: list[BoxReading] | None = None,
    ) -> HumanQueries:
        """Refine human queries.

        Args:
            content: (B, Q, C).
            boxes_norm: (B, Q, 4) cx, cy, w, h in 0..1 of the image.
            memory: encoded image.
            common: what both decoders share.
            mask: (Q, Q) bool, True where a query must not see another; None for all to all.
            readings: gets what every layer reports, which training supervises; None where nobody asks.
        """
        for layer, box_head, class_head in zip(self.layers, self.box_heads, self.class_heads, strict=True):
            content = layer(content, common.position(boxes_norm, memory), boxes_norm, memory, mask=mask)
            logits = inverse_sigmoid(boxes_norm)
            if readings is not None:
                normed = common.norm(content)
                readings.append(BoxReading(class_head(normed), (box_head(normed) + logits).sigmoid()))
            boxes_norm = (box_head(content) + logits).sigmoid().detach()
        return HumanQueries(content, boxes_norm, class_head(content))


def prompt_mask(queries: int, prompts: int, device: torch.device) -> Tensor:
    """Return the mask under which ``prompts`` queries after the first ``queries`` see those and themselves only.

    The first queries see no prompt and prompts do not see each other, as denoising queries in training: a drawn box
    changes nobody else, and its answer does not depend on the other boxes.
    """
    total = queries + prompts
    mask = torch.zeros(total, total, dtype=torch.bool, device=device)
    mask[:, queries:] = True
    return mask & ~torch.eye(total, dtype=torch.bool, device=device)
