"""Matching of queries to persons: by hand, and as the official network matched on stored cases."""

import numpy as np
import pytest
import torch

from clickpose.r50.matcher import NOBODY, Targets, focal_cost, match_people
from clickpose.skeleton import COCO

SIGMAS = torch.tensor(COCO.sigmas, dtype=torch.float32)


def make_targets(boxes, keypoints, present=None, aspect=(1.0, 1.0)) -> Targets:
    """Targets of one image; all joints labelled, areas half of the boxes'."""
    boxes, keypoints = torch.tensor(boxes, dtype=torch.float32)[None], torch.as_tensor(keypoints)[None].float()
    present = torch.ones(boxes.shape[:2], dtype=torch.bool) if present is None else torch.tensor([present])
    labelled = torch.ones(keypoints.shape[:3], dtype=torch.bool)
    return Targets(boxes, keypoints, labelled, boxes[..., 2:].prod(-1) / 2, torch.tensor([aspect]), present)


@pytest.fixture
def people():
    """Three people side by side."""
    rng = np.random.default_rng(0)
    centers = np.array([[0.2, 0.5], [0.5, 0.5], [0.8, 0.5]])
    keypoints = centers[:, None] + rng.uniform(-0.05, 0.05, (3, 17, 2))
    return make_targets([[x, y, 0.2, 0.4] for x, y in centers], keypoints)


def test_boxes_decide_until_there_are_keypoints(people):
    logits = torch.zeros(1, 3)
    swapped = people.boxes_norm[:, [2, 0, 1]]
    assert match_people(logits, swapped, None, people, SIGMAS).tolist() == [[2, 0, 1]]
    # the keypoints say otherwise than the boxes: the boxes count no more
    reversed_poses = people.keypoints_norm[:, [2, 1, 0]]
    assert match_people(logits, swapped, reversed_poses, people, SIGMAS).tolist() == [[2, 1, 0]]


def test_on_a_wide_photo_an_error_across_is_more_pixels_than_one_along():
    one = make_targets([[0.5, 0.5, 0.3, 0.3]], np.full((1, 17, 2), 0.5), aspect=(2**0.5, 0.5**0.5))
    poses = one.keypoints_norm.repeat(1, 2, 1, 1)
    poses[0, 0, :, 0] += 0.02
    poses[0, 1, :, 1] += 0.02
    assert match_people(torch.zeros(1, 2), one.boxes_norm.repeat(1, 2, 1), poses, one, SIGMAS).tolist() == [[NOBODY, 0]]


def test_the_total_cost_is_least_and_surplus_queries_are_nobody(people):
    # Query 0 is nearest to both of the first two persons; it gets the one that costs the others more.
    x = [0.34, 0.15, 0.8, 0.95]
    boxes = torch.tensor([[[value, 0.5, 0.2, 0.4] for value in x]])
    assert match_people(torch.zeros(1, 4), boxes, None, people, SIGMAS).tolist() == [[1, 0, 2, NOBODY]]
    # of two queries at the same place the surer one is the person
    boxes = people.boxes_norm[:, [0, 0, 1, 2]]
    logits = torch.tensor([[-2.0, 2.0, 0.0, 0.0]])
    assert match_people(logits, boxes, None, people, SIGMAS).tolist() == [[NOBODY, 0, 1, 2]]


def test_absent_and_unlabelled_count_for_nothing(people):
    present = people._replace(present=torch.tensor([[True, False, True]]))
    matched = match_people(torch.zeros(1, 3), people.boxes_norm, None, present, SIGMAS)
    assert matched.tolist() == [[0, NOBODY, 2]]
    nobody = people._replace(present=torch.zeros(1, 3, dtype=torch.bool))
    assert (match_people(torch.zeros(1, 3), people.boxes_norm, None, nobody, SIGMAS) == NOBODY).all()
    # fewer queries than persons
    assert match_people(torch.zeros(1, 1), people.boxes_norm[:, 2:], None, people, SIGMAS).tolist() == [[2]]
    # joints without a label may lie anywhere
    labelled = people.labelled.clone()
    labelled[:, :, 5:] = False
    poses = people.keypoints_norm.clone()
    poses[:, :, 5:] = poses[:, [1, 2, 0], 5:]
    matched = match_people(torch.zeros(1, 3), people.boxes_norm, poses, people._replace(labelled=labelled), SIGMAS)
    assert matched.tolist() == [[0, 1, 2]]


def test_focal_cost_by_hand():
    # p = 1/2: (.25 · 1/4 - .75 · 1/4) · ln 2
    assert focal_cost(torch.tensor(0.0)).item() == pytest.approx(-0.5 * 0.25 * np.log(2))


def test_a_diverged_network_is_said_to_be_one(people):
    broken = torch.full((1, 3), float("nan"))
    with pytest.raises(FloatingPointError, match="the training has diverged"):
        match_people(broken, people.boxes_norm, None, people, SIGMAS)


@pytest.mark.parametrize("name", ["single", "padded_batch"])
def test_matches_are_the_official_ones(shared_folder, name):
    path = shared_folder / "fixtures" / "clickpose_official_small.pt"
    if not path.is_file():
        pytest.skip("the shared folder holds no clickpose_official_small.pt")
    case = torch.load(path, weights_only=True)["cases"][name]
    chosen = torch.stack([case["C0"]["pred_logits"].amax(-1)]).amax(0).topk(20, dim=1).indices
    for image, (queries, persons) in enumerate(case["matcher_indices"]):
        truth = case["targets"][image]
        height, width = truth["size"].tolist()
        rows = chosen[image]
        keypoints = case["C0"]["pred_keypoints"][image, rows, :34].view(1, -1, 17, 2)
        targets = Targets(
            truth["boxes"][None], truth["keypoints"][:, :34].view(1, -1, 17, 2), truth["keypoints"][None, :, 34:] > 0,
            truth["area"][None], torch.tensor([[(width / height) ** 0.5, (height / width) ** 0.5]]),
            torch.ones(1, len(truth["boxes"]), dtype=torch.bool),
        )  # fmt: skip
        logits, boxes = case["C0"]["pred_logits"][image, rows, 1], case["C0"]["pred_boxes"][image, rows]
        person = match_people(logits[None], boxes[None], keypoints, targets, SIGMAS)[0]
        wanted = torch.full_like(person, NOBODY)
        wanted[queries] = persons
        assert person.tolist() == wanted.tolist()
