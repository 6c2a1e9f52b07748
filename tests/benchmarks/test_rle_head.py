"""The regression head: the flow is a density, its deviation is right, and scales learn the spread of the errors."""

import math

import pytest
import torch
from calibration_study.rle_head import ResidualFlow, RleHead, RleOutput, laplace_log_density, rle_loss

from clickpose.networks.movenet import MoveNetFeatures
from clickpose.networks.pred_nets import rle_pred_net

pytestmark = pytest.mark.slow


def wild_flow() -> ResidualFlow:
    """A flow far from the identity."""
    torch.manual_seed(0)
    flow = ResidualFlow(couplings=4, hidden=16)
    for network in flow.couplings:
        torch.nn.init.normal_(network[-1].weight, std=0.3)
        torch.nn.init.normal_(network[-1].bias, std=0.2)
    return flow


def trunk_features(batch: int = 2) -> MoveNetFeatures:
    generator = torch.Generator().manual_seed(0)
    maps = {
        "coarse": torch.randn(batch, 168, 4, 4, generator=generator),
        "pyramid16": torch.randn(batch, 64, 4, 4, generator=generator),
        "top": torch.randn(batch, 560, 2, 2, generator=generator),
    }
    return MoveNetFeatures(**(dict.fromkeys(MoveNetFeatures._fields) | maps))


def test_the_inverse_undoes_the_flow():
    flow = wild_flow().double()
    errors = torch.randn(50, 2, dtype=torch.float64)
    latent, _ = flow(errors)
    assert (latent - errors).abs().max() > 0.1
    assert torch.allclose(flow.inverse(latent), errors, atol=1e-9)


def test_the_log_determinant_is_that_of_the_jacobian():
    flow = wild_flow().double()
    errors = torch.randn(5, 2, dtype=torch.float64)
    for point, log_det in zip(errors, flow(errors)[1], strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda p: flow(p[None])[0][0], point)
        assert jacobian.det().abs().log().item() == pytest.approx(log_det.item(), abs=1e-9)


def test_densities_integrate_to_one():
    steps = torch.linspace(-12, 12, 481)
    grid, cell = torch.cartesian_prod(steps, steps), (24 / 480) ** 2
    assert (wild_flow().log_density(grid).exp().sum() * cell).item() == pytest.approx(1, abs=2e-3)
    assert (laplace_log_density(grid).exp().sum() * cell).item() == pytest.approx(1, abs=2e-3)


def test_the_laplace_density_has_variance_one():
    steps = torch.linspace(-20, 20, 4001, dtype=torch.float64)
    axis = torch.stack([steps, torch.zeros_like(steps)], dim=-1)
    density = laplace_log_density(axis).exp()
    assert ((density * steps**2).sum() / density.sum()).item() == pytest.approx(1, abs=1e-3)


def test_the_deviation_of_an_untrained_flow_is_that_of_normal_times_laplace():
    # density exp(-x^2/2 - sqrt(2) |x|): a normal around -sqrt(2), cut at 0 and mirrored
    tail = math.erfc(1.0) / 2  # P(N > sqrt 2)
    hazard = math.exp(-1) / math.sqrt(2 * math.pi) / tail
    variance = 1 + 2 - math.sqrt(2) * hazard  # E x^2 = 1 + a^2 - a · hazard, a = sqrt(2)
    assert ResidualFlow().deviation() == pytest.approx(math.sqrt(variance), rel=2e-3)


def test_the_loss_of_an_untrained_flow_by_hand():
    output = RleOutput(torch.full((1, 2, 2), 0.5), torch.full((1, 2, 2), 0.1))
    keypoints = torch.tensor([[[0.6, 0.5], [9.0, 9.0]]])  # one sigma off along x; the other joint is not labelled
    loss = rle_loss(output, keypoints, torch.tensor([[True, False]]), ResidualFlow())
    laplace = math.sqrt(2) + math.log(2)
    normal = 0.5 + math.log(2 * math.pi)
    assert loss.item() == pytest.approx(laplace + normal + 2 * math.log(0.1), abs=1e-4)
    assert rle_loss(output, keypoints, torch.zeros(1, 2, dtype=torch.bool), ResidualFlow()) == 0


def test_scale_times_deviation_learns_the_spread_of_normal_errors():
    torch.manual_seed(0)
    spread = 0.03
    flow, position = ResidualFlow(couplings=2, hidden=16), torch.zeros(2, requires_grad=True)
    raw = torch.full((2,), -2.0, requires_grad=True)
    optimizer = torch.optim.Adam([*flow.parameters(), position, raw], lr=2e-2)
    truth = 0.5 + spread * torch.randn(1, 4000, 2)
    for step in range(150):
        if step == 100:  # settle
            optimizer.param_groups[0]["lr"] = 2e-3
        rows = torch.randint(0, 4000, (256,))
        output = RleOutput((position + 0.5).expand(1, 256, 2), raw.sigmoid().expand(1, 256, 2))
        loss = rle_loss(output, truth[:, rows], torch.ones(1, 256, dtype=torch.bool), flow)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert position.abs().max() < 0.005
    assert raw.sigmoid().mean().item() * flow.deviation() == pytest.approx(spread, rel=0.12)


def test_one_batch_can_be_learned_and_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    head, flow, features = RleHead(3, input_side=64, hidden=32), ResidualFlow(2, 8), trunk_features()
    keypoints, labelled = torch.rand(2, 3, 2) * 0.8 + 0.1, torch.ones(2, 3, dtype=torch.bool)
    optimizer = torch.optim.Adam([*head.parameters(), *flow.parameters()], lr=3e-3)
    for step in range(130):
        if step == 100:  # settle
            optimizer.param_groups[0]["lr"] = 3e-4
        output = head(features)
        loss = rle_loss(output, keypoints, labelled, flow)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in [*head.parameters(), *flow.parameters()])
    assert (output.positions - keypoints).abs().max() < 0.02
    assert output.scales.max() < 0.1


def test_it_serves_ccnet_by_its_adapter():
    net = rle_pred_net(RleHead(3, input_side=64, hidden=32), "final", (64, 64))
    output = net.predict(trunk_features())
    assert output.features.shape == (2, 32)
    assert output.keypoints_input.shape == (2, 3, 2) and (output.keypoints_input - 32).abs().max() < 2
    assert output.scores.flatten().tolist() == pytest.approx([0.9] * 6, abs=0.01)  # 1 - a tenth of the input
