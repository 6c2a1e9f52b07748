"""The heatmap head: its targets, its loss, and that it can be trained."""

import pytest
import torch
from calibration_study.heatmap_head import MAPS, HeatmapHead, heatmap_loss, render_gaussians

from clickpose.calibration.heatmap_sigma import fit_gaussians
from clickpose.networks.movenet import MoveNetFeatures
from clickpose.networks.pred_nets import decode_heatmaps

pytestmark = pytest.mark.slow


def trunk_features(batch: int = 2, side: int = 64) -> MoveNetFeatures:
    generator = torch.Generator().manual_seed(0)
    maps = {
        "coarse": torch.randn(batch, 168, side // 16, side // 16, generator=generator),
        "pyramid16": torch.randn(batch, 64, side // 16, side // 16, generator=generator),
        "top": torch.randn(batch, 560, side // 32, side // 32, generator=generator),
    }
    return MoveNetFeatures(**(dict.fromkeys(MoveNetFeatures._fields) | maps))


def test_a_target_is_a_gaussian_of_two_cells_where_the_joint_is():
    keypoints = torch.tensor([[[(20 + 0.5) / 64, (9 + 0.5) / 48]]])
    target = render_gaussians(keypoints, 48, 64)
    assert target.shape == (1, 1, 48, 64)
    assert target[0, 0, 9, 20] == pytest.approx(1.0)
    assert target[0, 0, 9, 22] == pytest.approx(torch.tensor(-0.5).exp().item())  # l~ = 2 cells
    fit = fit_gaussians(target[0].numpy())
    assert fit.sigmas[0] == pytest.approx(2.0, abs=1e-3) and fit.means[0].tolist() == pytest.approx([20, 9], abs=1e-3)


def test_a_target_decodes_to_its_joint():
    keypoints = torch.tensor([[[0.31, 0.72], [0.05, 0.5]]])
    decoded, scores = decode_heatmaps(render_gaussians(keypoints, 64, 64), (256, 256))
    assert (decoded / 256 - keypoints).abs().max() < 0.5 / 64  # half a cell
    assert scores.min() > 0.9


def test_the_loss_counts_labelled_joints_only():
    keypoints = torch.full((1, 2, 2), 0.5)
    target = render_gaussians(keypoints, 16, 16)
    wrong = target.clone()
    wrong[0, 1] += 3.0
    assert heatmap_loss(wrong, keypoints, torch.tensor([[True, False]])) == 0
    assert heatmap_loss(wrong, keypoints, torch.tensor([[True, True]])).item() == pytest.approx(9 / 2)
    assert heatmap_loss(wrong, keypoints, torch.tensor([[False, False]])) == 0


def test_every_parameter_gets_a_gradient_and_one_batch_can_be_learned():
    torch.manual_seed(0)
    head, features = HeatmapHead(3, widths=(16, 16, 8)), trunk_features()
    keypoints, labelled = torch.rand(2, 3, 2) * 0.8 + 0.1, torch.ones(2, 3, dtype=torch.bool)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        heatmaps = head(features)
        assert heatmaps.shape == (2, 3, 16, 16)
        loss = heatmap_loss(heatmaps, keypoints, labelled)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad.isfinite().all() for p in head.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    assert all(p.grad.abs().sum() > 0 for p in head.parameters())


def test_it_reads_the_named_maps_only():
    head = HeatmapHead(3).eval()
    features = trunk_features()
    without = features._replace(**{name: None for name in MoveNetFeatures._fields if name not in MAPS})
    assert torch.equal(head(features), head(without))
