"""Losses of the lite network on values worked out by hand."""

import math

import pytest
import torch

from clickpose.data.persons import PersonLabels
from clickpose.lite.losses import LossWeights, pose_losses
from clickpose.networks.lite_decoder import DecoderOutput

SIGMAS = torch.tensor([0.1, 0.1, 0.1])


def labels_of(visibility: list[list[int]]) -> PersonLabels:
    persons = len(visibility)
    box = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(persons, 4)
    known = torch.ones(persons, dtype=torch.bool)
    return PersonLabels(
        torch.full((persons, 3, 2), 0.5), torch.tensor(visibility), torch.ones(persons), box, known, known
    )


def decoded(offsets, scores, visibility) -> DecoderOutput:
    """One layer, one variant: joints displaced by ``offsets`` (B, K) along x, scores and visibility in 0..1."""
    offsets, scores, visibility = map(torch.tensor, (offsets, scores, visibility))
    keypoints = torch.full((*offsets.shape, 2), 0.5)
    keypoints[..., 0] += offsets
    boxes = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, len(offsets), 1, 4)
    return DecoderOutput(
        keypoints_norm=keypoints[None, :, None],
        boxes_norm=boxes,
        oks_logits=scores.logit()[:, None],
        visibility_logits=visibility.logit()[:, None],
        tokens=None,
    )


def losses(output: DecoderOutput, labels: PersonLabels, fixed=None) -> dict[str, float]:
    fixed = torch.zeros_like(output.oks_logits, dtype=torch.bool) if fixed is None else fixed
    weights = LossWeights(keypoint_l1=1, oks=1, predicted_oks=1, instance_oks=1)
    return {name: float(value) for name, value in pose_losses(output, labels, fixed, SIGMAS, weights).items()}


def test_persons_count_by_the_root_of_their_labelled_joints():
    # the first person has one labelled joint, off by 0.2; the second has three, all right
    output = decoded([[0.2, 0.9, 0.9], [0.0, 0.0, 0.0]], [[0.5] * 3] * 2, [[0.5] * 3] * 2)
    found = losses(output, labels_of([[2, 0, 0], [2, 2, 1]]))
    # weights: 1 for the one joint; 1/sqrt(3) for each of three
    assert found["l1"] == pytest.approx(0.2 / (1 + math.sqrt(3)), rel=1e-5)


def test_the_persons_score_is_the_visibility_weighted_mean_of_the_joints():
    # OKS terms: a displacement of 2 sigma sqrt(area) = 0.2 gives exp(-1/2)
    output = decoded([[0.2, 0.0, 0.7]], [[0.9, 0.6, 0.3]], [[0.8, 0.4, 0.2]])
    found = losses(output, labels_of([[2, 2, 0]]))
    predicted = (0.8 * 0.9 + 0.4 * 0.6 + 0.2 * 0.3) / 1.4
    true = (math.exp(-0.5) + 1) / 2
    assert found["instance"] == pytest.approx((predicted - true) ** 2, rel=1e-4)


def test_fixed_joints_are_neither_supervised_nor_part_of_the_score():
    output = decoded([[0.2, 0.0, 0.7]], [[0.9, 0.6, 0.3]], [[0.8, 0.4, 0.2]])
    found = losses(output, labels_of([[2, 2, 0]]), torch.tensor([[[True, False, False]]]))
    assert found["l1"] == pytest.approx(0.0)
    assert found["instance"] == pytest.approx(((0.4 * 0.6 + 0.2 * 0.3) / 0.6 - 1) ** 2, rel=1e-4)
    everything = losses(output, labels_of([[2, 2, 0]]), torch.tensor([[[True, True, False]]]))
    assert everything["instance"] == 0.0
