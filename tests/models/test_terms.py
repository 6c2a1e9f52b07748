"""OKS, box L1 and GIoU on values worked out by hand."""

import math

import numpy as np
import torch

from clickpose.boxes import grow_boxes
from clickpose.metrics.oks import keypoint_oks
from clickpose.skeleton import COCO
from clickpose.terms import box_terms, grow_boxes_tensor, oks_terms, squared_tolerances

SIGMAS = torch.tensor(COCO.sigmas)


def test_oks_term_of_two_sigma_is_exp_minus_half():
    truth = torch.zeros(17, 2)
    predicted = torch.stack([2 * SIGMAS * math.sqrt(0.3), torch.zeros(17)], -1)
    torch.testing.assert_close(
        oks_terms(predicted, truth, torch.tensor(0.3), SIGMAS), torch.full((17,), math.exp(-0.5))
    )


def test_oks_terms_are_those_of_the_metric():
    generator = torch.Generator().manual_seed(0)
    predicted, truth = torch.rand(2, 5, 17, 2, generator=generator, dtype=torch.float64) * 9
    area = torch.rand(5, generator=generator, dtype=torch.float64) * 400
    expected = keypoint_oks(predicted.numpy(), truth.numpy(), area.numpy(), COCO.sigma_array)
    sigmas = torch.tensor(COCO.sigmas, dtype=torch.float64)
    np.testing.assert_allclose(oks_terms(predicted, truth, area, sigmas), expected, rtol=1e-12)
    np.testing.assert_allclose(squared_tolerances(predicted, truth, area, sigmas), -np.log(expected), rtol=1e-9)


def test_boxes_by_hand():
    truth = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0], [2.0, 0.0, 3.0, 1.0], [0.0, 0.0, 2.0, 1.0]])
    l1, giou = box_terms(boxes, truth)
    assert l1.tolist() == [0.0, 4.0, 1.0]
    # apart: IoU 0, and a third of the box around both is empty; twice as wide: half of it shared, nothing empty
    torch.testing.assert_close(giou, torch.tensor([0.0, 1 + 1 / 3, 0.5]))


def test_boxes_grow_as_those_of_arrays_do():
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(6, 2, 2, generator=generator)
    keypoints = torch.rand(6, 9, 2, generator=generator)
    boxes = torch.cat([corners.amin(1), corners.amax(1)], -1)
    held = torch.rand(6, 9, generator=generator) < 0.3
    held[0] = False
    keypoints[1, 2] = float("nan")
    for mask in (held, None):
        grown = grow_boxes_tensor(boxes, keypoints, mask)
        expected = grow_boxes(boxes.numpy(), keypoints.numpy(), None if mask is None else mask.numpy())
        np.testing.assert_array_equal(grown.numpy(), expected.astype(np.float32))
    torch.testing.assert_close(
        grow_boxes_tensor(torch.tensor([[0.4, 0.4, 0.6, 0.6]]), torch.tensor([[[0.5, 0.5], [0.7, 0.45], [0.45, 0.1]]])),
        torch.tensor([[0.4, 0.1, 0.7, 0.6]]),
    )


def test_a_box_without_an_area_has_a_finite_gradient():
    point = torch.tensor([[0.5, 0.5, 0.5, 0.5]], requires_grad=True)
    l1, giou = box_terms(point, torch.tensor([[0.5, 0.5, 0.5, 0.5]]))
    (l1 + giou).sum().backward()
    assert point.grad.isfinite().all() and giou.isfinite().all()
