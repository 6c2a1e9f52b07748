"""The paper's two training ideas on values worked out by hand."""

import math

import torch

from clickpose.feedback import click_worst
from clickpose.pose_errors import PoseErrorConfig, corrupt_poses
from clickpose.skeleton import COCO
from clickpose.terms import oks_terms

SIGMAS = torch.tensor(COCO.sigmas)


def corrupt(config, persons=400):
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(persons, 17, 2, generator=generator)
    area, box = torch.full((persons,), 0.3), torch.tensor([[0.2, 0.1, 0.8, 0.9]]).repeat(persons, 1)
    return truth, *corrupt_poses(truth, area, box, SIGMAS, COCO.flip_pairs, generator, config)


def test_kept_joints_are_exactly_right_and_the_others_wrong():
    truth, corrupted, kept = corrupt(PoseErrorConfig())
    assert torch.equal(corrupted[kept], truth[kept])
    assert (corrupted[~kept] != truth[~kept]).any(-1).all()
    assert 0.35 < kept.float().mean() < 0.45  # mean of U(0.1, 0.7)


def test_inversion_alone_exchanges_left_and_right_positions():
    config = PoseErrorConfig(keep=(0.0, 0.0), miss=0.0, swap=0.0, jitter_sigmas=0.0)
    truth, corrupted, _ = corrupt(config)
    mirrored = truth[:, torch.tensor(COCO.flip_indices)]
    exchanged = (corrupted == mirrored).all(-1)
    assert torch.where(exchanged[..., None], mirrored, truth).equal(corrupted)
    assert 0.35 < exchanged[:, 1:].float().mean() < 0.45  # the paper's 0.4
    assert torch.equal(corrupted[:, 0], truth[:, 0])


def test_jitter_has_the_size_of_the_joint():
    config = PoseErrorConfig(keep=(0.0, 0.0), inversion=0.0, miss=0.0, swap=0.0)
    truth, corrupted, _ = corrupt(config, persons=4000)
    spread = (corrupted - truth).std(dim=(0, 2))
    expected = 3.0 / math.sqrt(3) * SIGMAS * math.sqrt(0.3)  # rms of U(0, 3)
    torch.testing.assert_close(spread, expected, rtol=0.05, atol=0)


def test_misses_stay_within_half_a_box_side():
    config = PoseErrorConfig(keep=(0.0, 0.0), inversion=0.0, miss=1.0, swap=0.0)
    truth, corrupted, _ = corrupt(config)
    displacement = (corrupted - truth).abs()
    assert displacement[..., 0].max() <= 0.3 and displacement[..., 1].max() <= 0.4
    assert displacement[..., 1].max() > 0.35


def test_a_swap_lands_up_to_a_box_away_and_moves_all_joints_alike():
    config = PoseErrorConfig(keep=(0.0, 0.0), inversion=0.0, miss=0.0, swap=1.0, jitter_sigmas=0.0)
    truth, corrupted, _ = corrupt(config)
    displacement = corrupted - truth
    torch.testing.assert_close(displacement, displacement[:, :1].expand_as(displacement), rtol=0, atol=1e-6)
    largest = displacement.abs().amax((0, 1)) / torch.tensor([0.6, 0.8])  # in sides of the box
    assert ((largest > 0.65) & (largest <= 0.7 + 1e-6)).all()


def test_clicks_fix_the_worst_free_labelled_joints():
    truth, predicted = torch.zeros(1, 17, 2), torch.zeros(1, 17, 2)
    predicted[0, :, 0] = SIGMAS * torch.arange(17) * 0.1  # joint 16 is the worst, then 15, 14, …
    labelled, fixed = torch.ones(1, 17, dtype=torch.bool), torch.zeros(1, 17, dtype=torch.bool)
    labelled[0, 16], fixed[0, 15] = False, True
    clicked = click_worst(predicted, truth, labelled, fixed, torch.ones(1), SIGMAS, torch.tensor([2]))
    assert clicked.fixed[0].nonzero().flatten().tolist() == [13, 14, 15]
    assert torch.equal(clicked.keypoints_norm[0, 13:15], truth[0, 13:15])
    untouched = [*range(13), 15, 16]
    assert torch.equal(clicked.keypoints_norm[0, untouched], predicted[0, untouched])


def test_of_joints_that_are_far_off_the_worst_is_clicked_too():
    truth, predicted = torch.zeros(1, 17, 2), torch.zeros(1, 17, 2)
    predicted[0, :, 0] = SIGMAS * (100 + torch.arange(17))  # every OKS term is 0 in single precision
    everything, nothing = torch.ones(1, 17, dtype=torch.bool), torch.zeros(1, 17, dtype=torch.bool)
    assert (oks_terms(predicted, truth, torch.ones(1), SIGMAS.float()) == 0).all()
    clicked = click_worst(predicted, truth, everything, nothing, torch.ones(1), SIGMAS, torch.tensor([2]))
    assert clicked.fixed[0].nonzero().flatten().tolist() == [15, 16]


def test_click_noise_moves_the_clicked_joint_only():
    predicted, noise = torch.full((1, 17, 2), 0.5), torch.full((1, 17, 2), 0.01)
    free = torch.zeros(1, 17, dtype=torch.bool)
    truth = torch.full((1, 17, 2), 0.5)
    truth[0, 3] = 0.9
    clicked = click_worst(predicted, truth, ~free, free, torch.ones(1), SIGMAS, torch.tensor([1]), noise)
    torch.testing.assert_close(clicked.keypoints_norm[0, 3], torch.tensor([0.91, 0.91]))
    assert (clicked.keypoints_norm[0, :3] == 0.5).all()
