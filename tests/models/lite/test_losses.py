"""Losses of the lite network on values worked out by hand."""

import math

import pytest
import torch

from clickpose.data.persons import PersonLabels
from clickpose.lite.losses import LossWeights, _focal_loss, _gaussians, _offset_error, pose_losses, trunk_losses
from clickpose.networks.lite_decoder import DecoderOutput
from clickpose.networks.movenet import MoveNetFeatures

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


def test_every_term_of_a_person_by_hand():
    """One joint off by 2 sigma sqrt(area): OKS exp(-1/2), fine OKS exp(-5/2); one right; one not labelled."""
    output = decoded([[0.2, 0.0, 0.7]], [[0.9, 0.6, 0.3]], [[0.8, 0.4, 0.2]])
    boxes = torch.tensor([0.0, 0.0, 0.5, 1.0]).expand(1, 1, 1, 4)
    weights = LossWeights(
        keypoint_l1=2, oks=3, fine_oks=5, box_l1=7, box_giou=11, predicted_oks=13, visibility=17, instance_oks=0
    )
    fixed = torch.zeros(1, 1, 3, dtype=torch.bool)
    found = pose_losses(output._replace(boxes_norm=boxes), labels_of([[2, 1, 0]]), fixed, SIGMAS, weights)
    term = math.exp(-0.5)
    wanted = {
        "l1": 2 * 0.2 / 2, "oks": 3 * (1 - term) / 2, "fine": 5 * (1 - term**5) / 2,
        # the right half of the box is missing: L1 .5, IoU one half, and nothing of the hull is empty
        "box": 7 * 0.5 + 11 * 0.5,
        "score": 13 * ((0.9 - term) ** 2 + (0.6 - 1) ** 2) / 2,
        "visibility": 17 * -(math.log(0.8) + math.log(0.4) + math.log(1 - 0.2)) / 3, "instance": 0.0,
    }  # fmt: skip
    assert {name: value.item() for name, value in found.items()} == pytest.approx(wanted, rel=1e-4)


def test_what_an_annotator_does_not_tell_is_not_learned():
    output = decoded([[0.2, 0.0, 0.7]], [[0.9, 0.6, 0.3]], [[0.8, 0.4, 0.2]])
    labels, unknown = labels_of([[2, 2, 0]]), torch.zeros(1, dtype=torch.bool)
    moved = output._replace(boxes_norm=output.boxes_norm + 0.1)
    assert losses(moved, labels._replace(box_known=unknown))["box"] == 0
    found = losses(output, labels._replace(visibility_known=unknown))
    assert (found["visibility"], found["instance"]) == (0, 0) and found["l1"] > 0 and found["score"] > 0


def test_all_layers_count_alike_and_the_last_one_is_scored():
    output = decoded([[0.2, 0.0, 0.0]], [[0.9, 0.6, 0.3]], [[0.8, 0.4, 0.2]])
    exact = output.keypoints_norm.clone()
    exact[..., 0] = 0.5
    two = output._replace(
        keypoints_norm=torch.cat([output.keypoints_norm, exact]), boxes_norm=output.boxes_norm.expand(2, 1, 1, 4)
    )
    labels = labels_of([[2, 2, 2]])
    assert losses(two, labels)["l1"] == pytest.approx(losses(output, labels)["l1"] / 2, rel=1e-5)
    scored = ((0.9 - 1) ** 2 + (0.6 - 1) ** 2 + (0.3 - 1) ** 2) / 3  # the last layer is right
    assert losses(two, labels)["score"] == pytest.approx(scored, rel=1e-4)


def test_targets_are_gaussians_around_the_middle_of_the_true_cell():
    maps = _gaussians(torch.tensor([[[2.5, 1.5]]]), height=4, width=6, deviation=1.4)
    assert maps.shape == (1, 1, 4, 6) and maps[0, 0, 1, 2] == 1
    for (row, column), squared in {(1, 3): 1, (0, 2): 1, (2, 3): 2, (1, 0): 4, (3, 5): 13}.items():
        assert maps[0, 0, row, column].item() == pytest.approx(math.exp(-squared / (2 * 1.96)), rel=1e-5)


def test_the_focal_loss_by_hand():
    """CornerNet's Eq. 1: a hit costs -(1 - p)² log p, any other cell -(1 - y)⁴ p² log(1 - p)."""
    target = torch.tensor([[[[1.0, 0.5, 0.0]]]])
    probability = torch.tensor([[[[0.8, 0.3, 0.1]]]])
    hit = -(0.2**2) * math.log(0.8)
    others = -(0.5**4) * 0.3**2 * math.log(0.7) - 0.1**2 * math.log(0.9)
    one = _focal_loss(probability.logit(), target, torch.tensor([[True]]))
    assert one.item() == pytest.approx(hit + others, rel=1e-4)
    # maps without a label are left out; the sum is divided by those that have one
    two = _focal_loss(
        probability.logit().expand(1, 3, 1, 3), target.expand(1, 3, 1, 3), torch.tensor([[True, False, True]])
    )
    assert two.item() == pytest.approx(one.item(), rel=1e-5)
    assert _focal_loss(probability.logit(), target, torch.tensor([[False]])) == 0


def test_offsets_point_from_the_nine_cells_around_a_joint_to_it():
    height, width, place = 6, 8, torch.tensor([[[3.25, 2.75]]])  # x, y in cells
    rows = torch.arange(height)[:, None].expand(height, width)
    columns = torch.arange(width)[None].expand(height, width)
    right = torch.stack([2.75 - rows, 3.25 - columns])[None]  # y, x
    assert _offset_error(right, place, place.floor()).item() == pytest.approx(0, abs=1e-6)
    # without offsets the nine cells are off by |dx - .25| + |dy - .75|, dx and dy of -1, 0, 1
    none = _offset_error(torch.zeros_like(right), place, place.floor()).item()
    assert none == pytest.approx((1.25 + 0.25 + 0.75) / 3 + (1.75 + 0.75 + 0.25) / 3, rel=1e-5)
    far = right.clone()
    far[:, :, 5], far[:, :, :, 7] = 99, 99  # cells that are not beside the joint are not read
    assert _offset_error(far, place, place.floor()).item() == pytest.approx(0, abs=1e-6)
    corner = torch.tensor([[[0.5, 0.5]]])
    from_corner = torch.stack([0.5 - rows, 0.5 - columns])[None]
    assert _offset_error(from_corner, corner, corner.floor()).item() == pytest.approx(0, abs=1e-6)


def test_the_trunks_heads_by_hand():
    """Two joints, of which the second is not labelled; the crop is 4 x 4 cells of 4 px."""
    heat = torch.full((1, 2, 4, 4), -9.0)
    center = torch.full((1, 1, 4, 4), -9.0)
    center[0, 0, 2, 2] = 9.0
    regression, offset = torch.zeros(1, 4, 4, 4), torch.zeros(1, 4, 4, 4)
    empty = torch.zeros(1)
    trunk = MoveNetFeatures(*[empty] * 7, center, heat, regression, offset)
    labels = labels_of([[2, 0]])._replace(keypoints_norm=torch.tensor([[[0.625, 0.375], [0.1, 0.1]]]))  # cell 2.5, 1.5
    found = trunk_losses(trunk, labels, LossWeights(heatmap=2, heads=3))
    # regressed at (2, 2), from where the joint is .5 and -.5 cells off; offsets of 0 are off by .5 - (-1, 0, 1) an axis
    offsets = 2 * (1.5 + 0.5 + 0.5) / 3
    assert found["heads"].item() == pytest.approx(3 * (offsets + 0.25 * (0.5 + 0.5)), rel=1e-4)
    target = _gaussians(torch.tensor([[[2.5, 1.5]]]), 4, 4, 1.4)
    assert found["heatmap"].item() == pytest.approx(
        2 * _focal_loss(heat[:, :1], target, torch.tensor([[True]])).item(), rel=1e-5
    )
