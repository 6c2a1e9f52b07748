"""Losses of the lite network: keypoints and boxes of every layer, predicted OKS, visibility, the trunk's heads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clickpose.data.persons import PersonBatch
from clickpose.feedback import oks_terms
from clickpose.networks.lite_decoder import DecoderOutput
from clickpose.networks.movenet import MoveNetFeatures, decode_heads


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms.

    Attributes:
        keypoint_l1: L1 in crop units, pulls joints that are far off.
        oks: 1 - OKS term of each joint.
        fine_oks: the same with the tolerance divided by sqrt(5); drives the last pixels, where OKS is flat.
        box_l1, box_giou: box.
        predicted_oks, visibility: CCNet's two terms.
        heatmap, heads: the trunk's heads.
    """

    keypoint_l1: float = 5.0
    oks: float = 1.0
    fine_oks: float = 0.7
    box_l1: float = 1.0
    box_giou: float = 0.3
    predicted_oks: float = 1.0
    visibility: float = 0.1
    heatmap: float = 1.0
    heads: float = 0.02


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    mask = mask.to(values.dtype).expand_as(values)
    return (values * mask).sum() / mask.sum().clamp(min=1)


def pose_losses(output: DecoderOutput, batch: PersonBatch, fixed: Tensor, sigmas: Tensor, w: LossWeights) -> dict:
    """Compare V variants of B decoded persons with the labels.

    Args:
        output: decoder output.
        batch: labels.
        fixed: (B, V, K) bool; fixed joints are not supervised, they do not move.
        sigmas: (K,).
        w: weights.

    Returns:
        weighted terms by name.
    """
    truth, area = batch.keypoints_norm[:, None], batch.area_norm[:, None]
    labelled = (batch.visibility > 0)[:, None]  # (B, 1, K)
    free = labelled & ~fixed
    predicted = output.keypoints_norm  # (L, B, V, K, 2)
    terms = oks_terms(predicted, truth, area, sigmas)
    l1 = (predicted - truth).abs().sum(-1)
    losses = {
        "l1": w.keypoint_l1 * _masked_mean(l1, free),
        "oks": w.oks * _masked_mean(1 - terms, free),
        "fine": w.fine_oks * _masked_mean(1 - terms**5, free),
    }
    box_l1, giou = _box_terms(output.boxes_norm, batch.box_norm[:, None])
    known = batch.box_known[:, None]
    losses["box"] = w.box_l1 * _masked_mean(box_l1, known) + w.box_giou * _masked_mean(giou, known)
    score_error = (output.oks_logits.sigmoid() - terms[-1].detach()).square()  # CCNet, Sec. 5
    losses["score"] = w.predicted_oks * _masked_mean(score_error, free)
    visible = F.binary_cross_entropy_with_logits(
        output.visibility_logits, labelled.float().expand_as(fixed), reduction="none"
    )
    losses["visibility"] = w.visibility * _masked_mean(visible, batch.visibility_known[:, None, None])
    return losses


def _box_terms(boxes: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Return the L1 distance and 1 - GIoU (Rezatofighi et al., 2019) of (..., 4) xyxy boxes."""
    l1 = (boxes - truth).abs().sum(-1)
    inner = (torch.minimum(boxes[..., 2:], truth[..., 2:]) - torch.maximum(boxes[..., :2], truth[..., :2])).clamp(min=0)
    outer = (torch.maximum(boxes[..., 2:], truth[..., 2:]) - torch.minimum(boxes[..., :2], truth[..., :2])).prod(-1)
    area = (boxes[..., 2:] - boxes[..., :2]).prod(-1) + (truth[..., 2:] - truth[..., :2]).prod(-1)
    inner = inner.prod(-1)
    union = (area - inner).clamp(min=1e-6)
    giou = inner / union - (outer - union) / outer.clamp(min=1e-6)
    return l1, 1 - giou


def trunk_losses(trunk: MoveNetFeatures, batch: PersonBatch, w: LossWeights) -> dict:
    """Supervise MoveNet's heads with the prompted person alone.

    The heatmap loss is CornerNet's focal loss on Gaussians of one cell and a half; offset and regression are L1 in
    cells, read at the true cell and at the cell that decoding chose.
    """
    batch_size, joints, height, width = trunk.heatmap_logits.shape
    cells = batch.keypoints_norm * torch.tensor(
        [width, height], dtype=torch.float32, device=batch.keypoints_norm.device
    )
    labelled = batch.visibility > 0
    logits = trunk.heatmap_logits.float()
    target = _gaussians(cells, height, width, deviation=1.5)
    probability = logits.sigmoid()
    hit = target > 0.8
    positive = -F.logsigmoid(logits) * (1 - probability).square() * hit
    negative = -F.logsigmoid(-logits) * probability.square() * (1 - target) ** 4 * ~hit
    count = (hit & labelled[..., None, None]).sum().clamp(min=1)
    # Unlabelled joints of a data set that labels visibility are absent or unseen; they are left out all the same.
    heatmap = ((positive + negative) * labelled[..., None, None]).sum() / count

    column = cells[..., 0].long().clamp(0, width - 1)
    row = cells[..., 1].long().clamp(0, height - 1)
    offset = trunk.offset.float().view(batch_size, joints, 2, -1)
    index = (row * width + column)[..., None, None].expand(-1, -1, 2, 1)
    wanted = (cells - torch.stack([column, row], -1)).flip(-1)
    offset_error = (offset.gather(3, index)[..., 0] - wanted).abs().sum(-1)
    regressed = decode_heads(trunk).regressed_input / 4
    regression_error = (regressed - cells).abs().sum(-1)
    heads = _masked_mean(offset_error + 0.25 * regression_error, labelled)
    return {"heatmap": 0.1 * w.heatmap * heatmap, "heads": w.heads * heads}


def _gaussians(cells: Tensor, height: int, width: int, deviation: float) -> Tensor:
    """Render (B, K, H, W) Gaussians of peak 1 around (B, K, 2) positions in cells (cell i spans i..i+1)."""
    xs = torch.arange(width, device=cells.device) + 0.5
    ys = torch.arange(height, device=cells.device) + 0.5
    along_x = torch.exp(-((xs - cells[..., 0, None]) ** 2) / (2 * deviation**2))
    along_y = torch.exp(-((ys - cells[..., 1, None]) ** 2) / (2 * deviation**2))
    return along_y[..., :, None] * along_x[..., None, :]
