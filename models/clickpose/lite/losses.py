"""Losses of the lite network: keypoints and boxes of every layer, predicted OKS, visibility, the trunk's heads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clickpose.data.persons import PersonLabels
from clickpose.networks.lite_decoder import DecoderOutput
from clickpose.networks.movenet import HEAD_STRIDE, MoveNetFeatures, decode_heads
from clickpose.terms import box_terms, oks_terms


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms.

    Attributes:
        keypoint_l1: L1 in crop units, pulls joints that are far off.
        oks: 1 - OKS term of each joint.
        fine_oks: the same with the tolerance divided by sqrt(5); drives the last pixels, where OKS is flat.
        box_l1, box_giou: box.
        predicted_oks, visibility: CCNet's two terms.
        instance_oks: squared error of the person's score, their combination (CCNet Eq. 7).
        heatmap, heads: the trunk's heads.
    """

    keypoint_l1: float = 5.0
    oks: float = 1.0
    fine_oks: float = 0.7
    box_l1: float = 1.0
    box_giou: float = 0.3
    predicted_oks: float = 1.0
    visibility: float = 0.1
    instance_oks: float = 0.5
    heatmap: float = 0.1
    heads: float = 0.02


def _masked_mean(values: Tensor, weights: Tensor) -> Tensor:
    weights = weights.to(values.dtype).expand_as(values)
    return (values * weights).sum() / weights.sum().clamp(min=1)


def pose_losses(output: DecoderOutput, labels: PersonLabels, fixed: Tensor, sigmas: Tensor, w: LossWeights) -> dict:
    """Compare V variants of B decoded persons with the labels.

    Args:
        output: decoder output.
        labels: of the persons.
        fixed: (B, V, K) bool; fixed joints are not supervised, they do not move.
        sigmas: (K,).
        w: weights.

    Returns:
        weighted terms by name.
    """
    truth, area = labels.keypoints_norm[:, None], labels.area_norm[:, None]
    labelled = (labels.visibility > 0)[:, None]  # (B, 1, K)
    free = labelled & ~fixed
    # Every person counts alike in OKS, however few joints are labelled; the root is halfway, against noise.
    share = free / free.sum(-1, keepdim=True).clamp(min=1).sqrt()
    predicted = output.keypoints_norm  # (L, B, V, K, 2)
    terms = oks_terms(predicted, truth, area, sigmas)
    l1 = (predicted - truth).abs().sum(-1)
    losses = {
        "l1": w.keypoint_l1 * _masked_mean(l1, share),
        "oks": w.oks * _masked_mean(1 - terms, share),
        "fine": w.fine_oks * _masked_mean(1 - terms**5, share),
    }
    box_l1, giou = box_terms(output.boxes_norm, labels.box_norm[:, None])
    known = labels.box_known[:, None]
    losses["box"] = w.box_l1 * _masked_mean(box_l1, known) + w.box_giou * _masked_mean(giou, known)
    score_error = (output.oks_logits.sigmoid() - terms[-1].detach()).square()  # CCNet, Sec. 5
    losses["score"] = w.predicted_oks * _masked_mean(score_error, share)
    visible = F.binary_cross_entropy_with_logits(
        output.visibility_logits, labelled.float().expand_as(fixed), reduction="none"
    )
    losses["visibility"] = w.visibility * _masked_mean(visible, labels.visibility_known[:, None, None])
    losses["instance"] = w.instance_oks * _instance_error(output, terms[-1].detach(), free, fixed, labels)
    return losses


def _instance_error(output: DecoderOutput, terms: Tensor, free: Tensor, fixed: Tensor, labels: PersonLabels) -> Tensor:
    """Return the mean squared error of the predicted score of persons, sum v s / sum v over joints nobody fixed."""
    visible = output.visibility_logits.sigmoid() * ~fixed
    predicted = (visible * output.oks_logits.sigmoid()).sum(-1) / visible.sum(-1).clamp(min=1e-3)
    true = (terms * free).sum(-1) / free.sum(-1).clamp(min=1)
    return _masked_mean((predicted - true).square(), free.any(-1) & labels.visibility_known[:, None])


def trunk_losses(trunk: MoveNetFeatures, labels: PersonLabels, w: LossWeights) -> dict:
    """Supervise MoveNet's heads with the prompted person alone.

    The targets have the form that the published network shows: a Gaussian of 1.4 cells around the true cell
    (CenterNet's focal loss), and offsets that point to the joint from the true cell and its eight neighbours. The
    regression is read at the cell that decoding chooses.
    """
    _, _, height, width = trunk.heatmap_logits.shape
    device = labels.keypoints_norm.device
    cells = labels.keypoints_norm * torch.tensor([width, height], dtype=torch.float32, device=device)
    cell = cells.floor().clamp(min=0).minimum(torch.tensor([width - 1.0, height - 1.0], device=device))
    labelled = labels.visibility > 0
    regressed = decode_heads(trunk).regressed_input / HEAD_STRIDE
    regression_error = (regressed - cells).abs().sum(-1)
    heads = _masked_mean(_offset_error(trunk.offset.float(), cells, cell) + 0.25 * regression_error, labelled)
    heatmap = _focal_loss(trunk.heatmap_logits.float(), _gaussians(cell + 0.5, height, width, 1.4), labelled)
    return {"heatmap": w.heatmap * heatmap, "heads": w.heads * heads}


def _focal_loss(logits: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
    """CornerNet's focal loss (Law and Deng, 2018, Eq. 1), over the maps of labelled joints, for each of them.

    Maps of unlabelled joints are left out: nobody said whether the joint is in sight.
    """
    probability = logits.sigmoid()
    hit = target > 0.999
    positive = -F.logsigmoid(logits) * (1 - probability).square() * hit
    negative = -F.logsigmoid(-logits) * probability.square() * (1 - target) ** 4 * ~hit
    return ((positive + negative) * labelled[..., None, None]).sum() / labelled.sum().clamp(min=1)


def _offset_error(offset: Tensor, cells: Tensor, cell: Tensor) -> Tensor:
    """Return the mean L1 error (B, K), in cells, of the offsets at the 3x3 cells around the true one.

    Args:
        offset: (B, 2K, H, W) y, x pairs.
        cells: (B, K, 2) true position x, y in cells.
        cell: (B, K, 2) the cell that holds it.
    """
    batch_size, _, height, width = offset.shape
    steps = torch.tensor([[dx, dy] for dy in (-1, 0, 1) for dx in (-1, 0, 1)], device=cell.device)
    around = cell[:, :, None] + steps  # (B, K, 9, 2)
    around = around.clamp(min=0).minimum(torch.tensor([width - 1.0, height - 1.0], device=cell.device))
    index = (around[..., 1] * width + around[..., 0]).long()[:, :, None].expand(-1, -1, 2, -1)
    found = offset.view(batch_size, -1, 2, height * width).gather(3, index)  # (B, K, 2, 9) y, x
    wanted = (cells[:, :, None] - around).flip(-1).transpose(2, 3)
    return (found - wanted).abs().sum(2).mean(-1)


def _gaussians(cells: Tensor, height: int, width: int, deviation: float) -> Tensor:
    """Render (B, K, H, W) Gaussians of peak 1 around (B, K, 2) positions in cells (cell i spans i..i+1)."""
    xs = torch.arange(width, device=cells.device) + 0.5
    ys = torch.arange(height, device=cells.device) + 0.5
    along_x = torch.exp(-((xs - cells[..., 0, None]) ** 2) / (2 * deviation**2))
    along_y = torch.exp(-((ys - cells[..., 1, None]) ** 2) / (2 * deviation**2))
    return along_y[..., :, None] * along_x[..., None, :]
