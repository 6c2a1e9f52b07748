"""The simulated annotator: which joints it clicks, where, and when; the values by hand."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from clickpose.clicks.click_protocol import (
    BatchChance,
    ClickProtocol,
    LabelledPeople,
    PersonChance,
    SimulatedAnnotator,
    View,
)
from clickpose.skeleton import COCO

AREA = 10_000.0
SCALES = 2 * COCO.sigma_array * AREA**0.5  # px at which a joint's OKS term is e^-1/2


def make_people(count: int = 1, labelled: int = 17) -> LabelledPeople:
    rng = np.random.default_rng(5)
    return LabelledPeople(
        keypoints=torch.from_numpy(rng.uniform(20, 180, (count, 17, 2))),
        labelled=(torch.arange(17) < labelled).expand(count, 17),
        area=torch.full((count,), AREA, dtype=torch.float64),
        extent=torch.tensor([[640.0, 480.0]], dtype=torch.float64).expand(count, 2),
    )


def make_annotator(people: LabelledPeople, seed: int = 0, **protocol) -> SimulatedAnnotator:
    chance = PersonChance([seed], tuple(people.keypoints.shape))
    return SimulatedAnnotator(ClickProtocol(**protocol), people, COCO, chance)


def view(keypoints: torch.Tensor, scores=None, fixed=None) -> View:
    count = keypoints.shape[:2]
    scores = torch.full(count, 0.5, dtype=torch.float64) if scores is None else scores
    return View(keypoints, scores, torch.zeros(count, dtype=torch.bool) if fixed is None else fixed)


def test_strategies_choose_their_joint():
    people = make_people()
    keypoints = people.keypoints.clone()
    keypoints[0, 4, 1] += 40.0  # farthest in shares of the photo, yet not by a wide joint's tolerance
    keypoints[0, 11, 0] += 45.0
    keypoints[0, 2, 0] += 8.0
    scores = torch.full((1, 17), 0.5, dtype=torch.float64)
    scores[0, 7] = 0.1
    chosen = {
        strategy: make_annotator(people, strategy=strategy).click(view(keypoints, scores)).chosen.nonzero().tolist()
        for strategy in ("worst", "lowest_score", "farthest")
    }
    assert chosen == {"worst": [[0, 4]], "lowest_score": [[0, 7]], "farthest": [[0, 4]]}  # 40 / 480 > 45 / 640


@pytest.mark.parametrize("strategy", ["worst", "farthest"])
def test_a_joint_that_is_not_placed_is_clicked_first_and_a_clicked_one_not_again(strategy):
    people, annotator = make_people(), None
    annotator = make_annotator(people, strategy=strategy)
    keypoints = people.keypoints + 3.0
    keypoints[0, 6] = float("nan")
    assert annotator.click(view(keypoints)).chosen.nonzero().tolist() == [[0, 6]]
    fixed = (torch.arange(17) == 6)[None]
    assert not annotator.click(view(keypoints, fixed=fixed), 17).chosen[0, 6]


def test_as_many_are_clicked_as_asked_for_and_left():
    people = make_people(count=2, labelled=5)
    annotator = make_annotator(people, joints=("nose", "left_ear", "left_hip"))
    keypoints = people.keypoints + 3.0
    fixed = torch.zeros(2, 17, dtype=torch.bool)
    fixed[1, 0] = True
    for count, wanted in ((1, [1, 1]), (2, [2, 1]), (17, [2, 1])):
        placed = annotator.click(view(keypoints, fixed=fixed), count)
        assert placed.chosen.sum(1).tolist() == wanted
        assert not placed.chosen[:, [1, 2, 4, 5, 11]].any()  # not asked for, or not labelled
    np.testing.assert_array_equal(placed.positions, people.keypoints)  # where there is no noise


def test_noise_has_the_joints_scale():
    people = make_people()
    annotators = [make_annotator(people, seed, noise_sigmas=0.25) for seed in range(400)]
    targets = np.stack([annotator.click(view(people.keypoints)).positions[0] for annotator in annotators])
    spread = (targets - people.keypoints[0].numpy()).std(axis=(0, 2))
    np.testing.assert_allclose(spread / SCALES, 0.25, rtol=0.12)
    off = (targets - people.keypoints[0].numpy()) / SCALES[:, None]
    assert abs(np.corrcoef(off[:, 3, 0], off[:, 3, 1])[0, 1]) < 0.15


def test_a_batch_has_noise_of_the_same_scale():
    people = make_people(count=400)
    annotator = SimulatedAnnotator(
        ClickProtocol(noise_sigmas=0.25), people, COCO, BatchChance(torch.Generator().manual_seed(0))
    )
    first, again = (annotator.click(view(people.keypoints)).positions - people.keypoints for _ in range(2))
    np.testing.assert_allclose(first.numpy().std(axis=(0, 2)) / SCALES, 0.25, rtol=0.12)
    assert (first != again).all()  # each click has its own


def look(state):
    """States are (positions, fixed)."""
    return view(state[0], fixed=state[1])


def halfway(annotator):
    """Return a network of such states; each correction halves the distance of all free joints to the truth."""
    truth = annotator.people.keypoints

    def correct(state, placed):
        positions, fixed = state
        positions, fixed = torch.where(placed.chosen[..., None], placed.positions, positions), fixed | placed.chosen
        return torch.where(fixed[..., None], positions, (positions + truth) / 2), fixed

    return correct


def test_progressive_goes_on_from_the_last_pose_and_once_from_the_first():
    people = make_people(labelled=3)
    start = (people.keypoints + 16.0, torch.zeros(1, 17, dtype=torch.bool))
    off = {}
    for loop in ("progressive", "once"):
        annotator = make_annotator(people, clicks=5, loop=loop)
        states = list(annotator.rounds(start, look, halfway(annotator)))
        assert [int(fixed.sum()) for _, fixed in states] == [1, 2, 3, 3, 3]
        assert states[3] is states[2] and states[4] is states[2]  # nobody is asked when nothing is left
        off[loop] = [float((positions - people.keypoints)[0, 16, 0]) for positions, _ in states]
    assert off == {"progressive": [8, 4, 2, 2, 2], "once": [8, 8, 8, 8, 8]}
    annotator = make_annotator(people, clicks=2, joints=("left_hip",))  # not labelled
    assert [state is start for state in annotator.rounds(start, look, halfway(annotator))] == [True, True]


@pytest.mark.parametrize("chance", ["person", "batch"])
def test_once_keeps_its_order_and_places_for_any_number_of_clicks(chance):
    people = make_people()
    generator = torch.Generator().manual_seed(3)
    source = PersonChance([3], (1, 17, 2)) if chance == "person" else BatchChance(generator)
    protocol = ClickProtocol("random", clicks=6, noise_sigmas=0.5, loop="once")
    annotator = SimulatedAnnotator(protocol, people, COCO, source)
    start = (people.keypoints + 16.0, torch.zeros(1, 17, dtype=torch.bool))
    states = list(annotator.rounds(start, look, halfway(annotator)))
    for (before, fewer), (after, more) in pairwise(states):
        assert (more & fewer).sum() == fewer.sum() == more.sum() - 1
        np.testing.assert_array_equal(after[fewer], before[fewer])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"strategy": "best"}, "Expected strategy to be one of worst"),
        ({"loop": "twice"}, "progressive, once, got 'twice'"),
        ({"clicks": -1}, "Expected clicks of 0 or more, got -1"),
    ],
)
def test_wrong_protocols_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        ClickProtocol(**options)


def test_joints_that_the_skeleton_lacks_are_refused():
    with pytest.raises(ValueError, match="Expected a joint of skeleton 'coco'"):
        ClickProtocol(joints=("tail",)).clickable(COCO)
