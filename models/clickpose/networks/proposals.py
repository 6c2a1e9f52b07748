"""Two-stage proposals: the tokens that look most like a person become the human queries (Deformable DETR, Sec. 4.2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from clickpose.networks.deformable_attention import Memory
from clickpose.networks.encoder import cell_centers
from clickpose.networks.linear import Linear
from clickpose.networks.mlp import MLP

BASE_SIDE = 0.05  # side of a proposal on the finest level, of the image; doubles with each level
_BORDER = 0.01  # proposals whose centre or side comes nearer to 0 or 1 are invalid


class Proposals(NamedTuple):
    """The Q best tokens, best first; coordinates cx, cy, w, h in 0..1 of the image.

    Attributes:
        content: (B, Q, C).
        boxes_norm: (B, Q, 4) refined.
        anchors_norm: (B, Q, 4) before the refinement.
        class_logits: (B, Q, classes).
    """

    content: Tensor
    boxes_norm: Tensor
    anchors_norm: Tensor
    class_logits: Tensor


class ProposalStage(nn.Module):
    """Score every token, refine the box of the best ones."""

    def __init__(self, dim: int, classes: int):
        super().__init__()
        self.project = Linear(dim, dim)
        self.norm = nn.LayerNorm(dim)
        self.class_head = nn.Linear(dim, classes)
        self.box_head = MLP(dim, 4, layers=3)

    def forward(self, memory: Memory, count: int) -> Proposals:
        """Return the ``count`` best proposals (all tokens where there are fewer). The box head runs on these alone."""
        anchors, valid = _anchors(memory)
        tokens = memory.tokens.masked_fill(~valid[..., None], 0.0)
        tokens = self.norm(self.project(tokens))
        logits = self.class_head(tokens)
        best = logits.amax(-1).topk(min(count, tokens.shape[1]), dim=1).indices[..., None]

        def pick(x: Tensor) -> Tensor:
            return x.gather(1, best.expand(-1, -1, x.shape[-1]))

        content, chosen_anchors = pick(tokens), pick(anchors)
        # An invalid anchor has an infinite logit in the reference network: its box is the whole image.
        anchor_logits = torch.log(chosen_anchors / (1 - chosen_anchors)).masked_fill(~pick(valid[..., None]), torch.inf)
        boxes = (self.box_head(content) + anchor_logits).sigmoid()
        return Proposals(content, boxes, anchor_logits.sigmoid(), pick(logits))


def _anchors(memory: Memory) -> tuple[Tensor, Tensor]:
    """Return a box (B, T, 4) for each token and whether it is a valid proposal (B, T)."""
    centers = cell_centers(memory)
    sides = [
        centers.new_full((height * width, 2), BASE_SIDE * 2.0**level)
        for level, (height, width) in enumerate(memory.level_hw)
    ]
    anchors = torch.cat([centers, torch.cat(sides)[None].expand(len(centers), -1, -1)], -1)
    valid = ((anchors > _BORDER) & (anchors < 1 - _BORDER)).all(-1)
    if memory.padding_mask is not None:
        valid = valid & ~memory.padding_mask
    return anchors, valid
