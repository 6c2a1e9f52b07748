"""The random inputs of the end-to-end training: shares, bounds, and that filled-up places stay empty."""

import dataclasses
import math

import pytest
import torch

from clickpose.networks.keypoint_decoder import PERSON_CODE
from clickpose.pose_errors import PoseErrorConfig
from clickpose.r50.matcher import NOBODY, Targets
from clickpose.r50.noise import NoiseConfig, draw_noise
from clickpose.skeleton import COCO

ASPECT = (math.sqrt(2), math.sqrt(0.5))  # a photo twice as wide as high
JITTER = PoseErrorConfig(keep=(0.0, 0.0), inversion=0.0, miss=0.0, swap=0.0)


def people(count: int, places: int = 5) -> Targets:
    """One photo with ``count`` people in ``places`` places; their joints but the nose are labelled."""
    generator = torch.Generator().manual_seed(count)
    present = torch.arange(places)[None] < count
    boxes = torch.cat([0.3 + 0.4 * torch.rand(1, places, 2, generator=generator), torch.full((1, places, 2), 0.2)], -1)
    keypoints = boxes[:, :, None, :2] + 0.1 * torch.rand(1, places, 17, 2, generator=generator)
    labelled = present[..., None] & (torch.arange(17) > 0)
    return Targets(boxes, keypoints, labelled, torch.full((1, places), 0.02), torch.tensor([ASPECT]), present)


def draw(targets: Targets, seed: int = 0, codes: int = 101, **changes):
    return draw_noise(torch.tensor([seed]), targets, COCO, codes, NoiseConfig(**changes))


@pytest.mark.parametrize(("count", "groups"), [(1, 50), (3, 50), (4, 50), (5, 40)])
def test_as_many_groups_as_fit_and_each_person_weighs_one(count, groups):
    noise = draw(people(count), groups=50, queries=200)
    answered = noise.person[0] != NOBODY
    assert answered.sum() == groups * count and answered.sum() <= 200
    weights = torch.zeros(5).index_add(0, noise.person[0, answered], noise.weight[0, answered])
    torch.testing.assert_close(weights, (torch.arange(5) < count).float())
    assert noise.person[0, :count].tolist() == list(range(count))  # the first group stands in the people's places
    assert (noise.person[0, count:5] == NOBODY).all()


def test_a_crowded_photo_gets_one_group_and_none_where_no_denoising_is_wanted():
    assert (draw(people(5), queries=3).person[0] == torch.arange(5)).all()
    assert (draw(people(5), groups=0).person == NOBODY).all()


def test_a_fifth_of_the_noisy_boxes_have_a_random_code():
    noise = [draw(people(4), seed, codes=1000) for seed in range(10)]
    codes = torch.cat([n.codes[n.person != NOBODY] for n in noise])
    assert 0.77 < (codes == PERSON_CODE).float().mean() < 0.83
    assert codes.max() > 900 and codes.min() >= 0


def test_jitter_is_as_large_across_as_along():
    targets = people(5)
    noise = draw(targets, pose_variants=400, pose_errors=JITTER)
    poses = noise.poses_norm.view(400, 5, 17, 2)
    spread = ((poses - targets.keypoints_norm) * torch.tensor(ASPECT)).std((0, 1))  # both axes in one unit
    wanted = 3 / math.sqrt(3) * torch.tensor(COCO.sigmas) * math.sqrt(0.02)
    torch.testing.assert_close(spread, wanted[:, None].expand(17, 2), rtol=0.1, atol=0)


def test_joints_that_are_held_are_labelled_and_right_for_the_known_share_of_the_poses():
    targets = people(3)
    noise = draw(targets, pose_variants=300)
    held, poses = noise.held.view(300, 5, 17), noise.poses_norm.view(300, 5, 17, 2)
    truth = targets.keypoints_norm.expand_as(poses)
    assert not held[:, 3:].any() and not held[..., 0].any()  # nobody, and the nose without a label
    torch.testing.assert_close(poses[held], truth[held], rtol=0, atol=1e-6)
    assert 0.42 < held[:, :3].any(-1).float().mean() < 0.52  # half of the poses, of which nearly all keep a joint
    assert (poses[:, 3:] == 0.5).all()
    assert not draw(targets, pose_variants=50, known_share=0.0).held.any()
    surely = draw(targets, pose_variants=300, known_share=1.0).held.view(300, 5, 17)[:, :3, 1:]
    assert 0.35 < surely.float().mean() < 0.45  # mean of U(0.1, 0.7)


def test_clicks_are_one_up_to_the_rounds_most():
    clicks = torch.cat([draw(people(3), seed, click_rounds=(1, 3)).clicks for seed in range(60)])
    assert (clicks[:, 0, :3] == 1).all() and (clicks[:, :, 3:] == 0).all()
    assert clicks[:, 1, :3].unique().tolist() == [1, 2, 3]


def test_a_photo_s_noise_does_not_depend_on_its_batch():
    one, other = people(2), people(4)
    both = Targets(*(torch.cat(pair) for pair in zip(one, other, strict=True)))
    seeds = torch.tensor([7, 8])
    together = draw_noise(seeds, both, COCO, 101, NoiseConfig())
    alone = draw_noise(seeds[:1], one, COCO, 101, NoiseConfig())
    for name in ("boxes_norm", "codes", "person", "poses_norm", "held", "clicks"):
        ours, theirs = getattr(alone, name)[0], getattr(together, name)[0]
        assert theirs[: len(ours)].equal(ours), name
    another = draw_noise(seeds[:1], one, COCO, 101, dataclasses.replace(NoiseConfig(), pose_variants=0))
    assert another.poses_norm.shape == (1, 0, 17, 2) and another.boxes_norm.equal(alone.boxes_norm)
