"""What the lite network is trained on: variants, clicks and their noise, and which weights may move."""

import dataclasses

import pytest
import torch

from clickpose.data.persons import PersonBatch, PersonLabels
from clickpose.lite.losses import pose_losses
from clickpose.lite.task import CachedLiteTask, LiteTask, LiteTaskConfig, TrunkTask
from clickpose.networks.lite_decoder import DecoderOutput, PoseQueries
from clickpose.pose_errors import PoseErrorConfig
from clickpose.skeleton import COCO
from clickpose.training.engine import TrainConfig
from helpers.tiny_lite import make_crops, make_network

SIGMAS = torch.tensor(COCO.sigmas)


def labels_of(persons: int, area: float = 0.25) -> PersonLabels:
    """Labels in the middle of the crop; the last two joints of everybody are not labelled."""
    visibility = torch.full((persons, 17), 2)
    visibility[:, -2:] = 0
    keypoints = torch.rand(persons, 17, 2, generator=torch.Generator().manual_seed(3)) * 0.4 + 0.3
    known = torch.ones(persons, dtype=torch.bool)
    box = torch.tensor([0.2, 0.1, 0.8, 0.9]).expand(persons, 4)
    return PersonLabels(keypoints, visibility, torch.full((persons,), area), box, known, known)


def output_of(labels: PersonLabels, off: torch.Tensor) -> DecoderOutput:
    """A decoding (V = 1, L = 2) whose last layer is ``off`` (B, K) to the right of the truth; the first is at 0."""
    last = labels.keypoints_norm + torch.stack([off, torch.zeros_like(off)], -1)
    keypoints = torch.stack([torch.zeros_like(last), last])[:, :, None]
    boxes = torch.stack([torch.zeros_like(labels.box_norm), labels.box_norm + 0.01])[:, :, None]
    logits = torch.zeros(len(off), 1, 17)
    return DecoderOutput(keypoints, boxes, logits, logits, torch.zeros(len(off), 1, 17, 16))


@pytest.fixture
def task() -> LiteTask:
    return LiteTask(make_network(), COCO, LiteTaskConfig())


def test_the_noise_of_clicks_has_the_joints_scale_and_its_share_of_persons(task):
    """Strengths are U(0, .6) in units of 2 sigma sqrt(area): the rms along an axis is .6 / sqrt(3) of that."""
    labels = labels_of(6000, area=0.25)
    noise = task._click_noise(labels, torch.Generator().manual_seed(0))
    noisy = (noise != 0).any(-1)
    assert torch.equal(noisy.any(1), noisy.all(1))  # a person's clicks are all imprecise, or none
    assert noisy.any(1).float().mean() == pytest.approx(0.3, abs=0.02)
    rms = noise[noisy.all(1)].square().mean((0, 2)).sqrt()
    torch.testing.assert_close(rms, 0.6 / 3**0.5 * 2 * SIGMAS * 0.5, rtol=0.06, atol=0)
    per_person = (noise[noisy.all(1)] / (2 * SIGMAS[:, None] * 0.5)).square().mean((1, 2)).sqrt()
    assert per_person.max() < 0.6 * 1.5 and per_person.min() < 0.05


def test_a_task_without_noise_clicks_exactly(task):
    quiet = LiteTask(make_network(), COCO, LiteTaskConfig(noisy_click_share=0.0))
    assert not quiet._click_noise(labels_of(50), torch.Generator().manual_seed(0)).any()
    always = LiteTask(make_network(), COCO, LiteTaskConfig(noisy_click_share=1.0))
    assert (always._click_noise(labels_of(50), torch.Generator().manual_seed(0)) != 0).all()


def test_a_round_clicks_the_worst_joints_of_the_last_result():
    task = LiteTask(make_network(), COCO, LiteTaskConfig(noisy_click_share=0.0))
    labels = labels_of(300)
    off = SIGMAS * torch.arange(17)  # in OKS tolerances the last joint is the worst; the last two are not labelled
    output = output_of(labels, off.expand(300, 17))
    before = torch.zeros(300, 1, 17, dtype=torch.bool)
    before[:, :, 14] = True  # the worst labelled one was clicked before
    decoded = PoseQueries(torch.full((300, 1, 17, 2), float("nan")), before, labels.box_norm[:, None])
    queries = task._click((decoded, output), labels, torch.Generator().manual_seed(0), 3)
    clicked = (queries.fixed & ~before)[:, 0]
    counts = clicked.sum(1)
    assert set(counts.tolist()) == {1, 2, 3} and queries.fixed[:, 0, 14].all()
    for joint, least in ((13, 1), (12, 2), (11, 3)):
        assert torch.equal(clicked[:, joint], counts >= least)
    assert not clicked[:, :11].any() and not clicked[:, 15:].any()
    assert torch.equal(queries.keypoints_norm[:, 0][clicked], labels.keypoints_norm[clicked])
    assert torch.equal(queries.keypoints_norm[:, 0][~clicked], output.keypoints_norm[-1, :, 0][~clicked])
    assert torch.equal(queries.box_norm, output.boxes_norm[-1])


def test_the_variants_start_from_the_own_pose_and_from_a_corrupted_true_one(task):
    image, prompt = make_crops()
    labels = labels_of(3)
    person = task.model.encode(image, prompt).person
    own = task.model.initial_queries(person)
    exact = LiteTask(task.model, COCO, LiteTaskConfig(pose_errors=PoseErrorConfig(keep=(1.0, 1.0), inversion=0.0)))
    fixed = []
    for seed in range(60):
        queries = exact._start_variants(person, labels, torch.Generator().manual_seed(seed))
        assert queries.keypoints_norm.shape == (3, 2, 17, 2)
        assert torch.equal(queries.keypoints_norm[:, 0], own.keypoints_norm[:, 0]) and not queries.fixed[:, 0].any()
        assert torch.equal(queries.keypoints_norm[:, 1, :15], labels.keypoints_norm[:, :15])
        assert torch.equal(queries.keypoints_norm[:, 1, 15:], own.keypoints_norm[:, 0, 15:])  # no truth to corrupt
        assert torch.equal(queries.box_norm, prompt[:, None].expand(3, 2, 4))
        fixed.append(queries.fixed[:, 1])
    known = torch.stack(fixed)  # all joints are kept right here; half of the persons are told so
    assert not known[..., 15:].any() and torch.equal(known[..., :15].any(-1), known[..., :15].all(-1))
    assert known[..., 0].float().mean() == pytest.approx(0.5, abs=0.12)
    wrong = task._start_variants(person, labels, torch.Generator().manual_seed(0))
    moved = (wrong.keypoints_norm[:, 1, :15] != labels.keypoints_norm[:, :15]).any(-1)
    assert moved.any() and not (moved & wrong.fixed[:, 1, :15]).any()


def test_without_pose_errors_and_loop_there_is_one_decoding(task):
    image, prompt = make_crops()
    batch = PersonBatch(image, prompt, labels_of(3))
    plain = LiteTask(task.model, COCO, LiteTaskConfig(pose_error_modelling=False, click_rounds=()))
    person, trunk_terms = plain._encode(batch)
    queries = task.model.initial_queries(person)
    wanted = pose_losses(task.model.decode(person, queries), batch.labels, queries.fixed, SIGMAS, plain.config.weights)
    found = plain.losses(batch, torch.Generator().manual_seed(0))
    assert found.keys() == (wanted | trunk_terms).keys()
    for name, value in (wanted | trunk_terms).items():
        torch.testing.assert_close(found[name], value)


def test_the_loss_is_the_mean_over_the_decodings(task, monkeypatch):
    """Two variants at the start and one in each of two rounds: four decodings, each a quarter."""
    shares = []

    def fake(output, labels, fixed, sigmas, weights):
        shares.append(fixed.shape[1])
        return {"l1": torch.tensor(float(len(shares)))}

    monkeypatch.setattr("clickpose.lite.task.pose_losses", fake)
    image, prompt = make_crops()
    terms = task.losses(PersonBatch(image, prompt, labels_of(3)), torch.Generator().manual_seed(0))
    assert shares == [2, 1, 1] and terms["l1"].item() == pytest.approx(2 / 4 * 1 + 1 / 4 * 2 + 1 / 4 * 3)
    assert {"heatmap", "heads"} < terms.keys()


def test_rates_and_frozen_weights(task):
    config = TrainConfig(learning_rate=3.0, trunk_learning_rate=0.5)
    assert [group["lr"] for group in task.parameter_groups(config)] == [0.5, 3.0]
    own = {id(p) for part in (task.model.neck, task.model.decoder) for p in part.parameters()}
    assert {id(p) for p in task.parameter_groups(config)[1]["params"]} == own
    frozen = [name for name, p in task.model.trunk.named_parameters() if not p.requires_grad]
    blocks = ("stem.", *(f"blocks.{i}." for i in range(6)))
    assert frozen and all(name.startswith(blocks) for name in frozen)
    assert all(not p.requires_grad for n, p in task.model.trunk.named_parameters() if n.startswith(blocks))
    cached = CachedLiteTask(make_network(), COCO)
    assert [group["lr"] for group in cached.parameter_groups(config)] == [3.0]
    assert not any(p.requires_grad for p in cached.model.trunk.parameters())
    free = TrunkTask(make_network().trunk, frozen_blocks=0)
    assert all(p.requires_grad for p in free.model.parameters())
    (group,) = free.parameter_groups(dataclasses.replace(config))
    assert group["lr"] == 0.5 and len(group["params"]) == len(list(free.model.parameters()))
