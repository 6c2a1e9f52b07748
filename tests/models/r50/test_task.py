"""What the end-to-end training feeds its decoders, and how the terms are weighed: the paper's scheme, step by step."""

import dataclasses

import numpy as np
import pytest
import torch

from clickpose.data.photos import PhotoDataset, PhotoScales, collate_photos
from clickpose.networks.clickpose import ClickPose
from clickpose.r50 import task as task_module
from clickpose.r50.matcher import NOBODY, Targets
from clickpose.r50.noise import draw_noise
from clickpose.r50.task import R50TaskConfig, prepare_for_training
from clickpose.skeleton import COCO
from clickpose.training.engine import TrainConfig
from helpers import r50_training

FAKE_TERMS = {"person": 1.0, "box": 10.0, "keypoints": 100.0, "oks": 1000.0}
HW = np.array([96.0, 64.0])  # width and height of the photos, px


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    return PhotoDataset(r50_training.people_dataset(folder), PhotoScales.plain(64, 96))


@pytest.fixture(scope="module")
def batch(photos):
    return collate_photos([photos[i] for i in range(3)])  # one, two and three people


class Watched:
    """Runs a task's losses and keeps what the human-to-keypoint decoder was given and what it said."""

    def __init__(self, task, batch):
        self.targets = Targets(*(getattr(batch, name) for name in Targets._fields))
        codes = task.model.config.human_codes
        self.noise = draw_noise(batch.seed, self.targets, COCO, codes, task.config.noise)
        self.calls = []

        def keep(module, arguments, answer):
            self.calls.append((arguments[0], arguments[3], answer))

        handle = task.model.keypoint_decoder.register_forward_hook(keep)
        with torch.no_grad():
            self.terms = task.losses(batch, torch.Generator())
        handle.remove()


@pytest.fixture(scope="module")
def watched(photos, batch):
    return Watched(r50_training.make_task(photos), batch)


def test_the_published_coefficients_weigh_every_stage(photos, batch, monkeypatch):
    task = r50_training.make_task(photos)
    monkeypatch.setattr(
        task_module, "stage_losses", lambda *_: {name: torch.tensor(value) for name, value in FAKE_TERMS.items()}
    )
    with torch.no_grad():
        terms = task.losses(batch, torch.Generator())
    people = batch.present.sum().item()
    human, keypoint = task.model.config.human_layers, task.model.config.keypoint_layers
    denoised = 0.3 * 1 + 0.5 * 10 + 0.5 * (100 + 1000)
    wanted = {name: (1 + human + keypoint) * value for name, value in FAKE_TERMS.items()}  # 1: the proposals
    wanted |= {
        "denoising": (human + keypoint) * denoised,
        "reconstruction": keypoint * (0.5 * 10 + 0.5 * 100),
        "feedback": keypoint * sum(FAKE_TERMS.values()),  # the mean of the two rounds
    }
    assert {name: value.item() * people for name, value in terms.items()} == pytest.approx(wanted)
    paper = R50TaskConfig()
    assert (paper.refined_persons, paper.hold_clicks) == (20, True)
    assert (paper.noise.groups, paper.noise.box_noise, paper.noise.pose_errors.inversion) == (50, 0.4, 0.4)


def test_queries_by_design_count_each_person_once(photos, batch, monkeypatch):
    task, sums = r50_training.make_task(photos), []

    def watch(reading, assignment, *others):
        sums.append((len(reading), assignment.person != NOBODY, assignment.weight.sum().item()))
        return {name: torch.tensor(value) for name, value in FAKE_TERMS.items()}

    monkeypatch.setattr(task_module, "stage_losses", watch)
    with torch.no_grad():
        task.losses(batch, torch.Generator())
    people = batch.present.sum().item()
    own = {task.model.config.queries, task.model.config.persons, task.config.refined_persons}
    by_design = [(answered, total) for _, answered, total in sums if answered.shape[1] not in own]
    assert len(by_design) == 2 + 2 * 2  # denoising in both decoders, and the reconstruction
    for answered, total in by_design:
        assert total == pytest.approx(people)
        assert answered.sum() >= people


def test_corrupted_poses_start_in_noisy_boxes_and_hold_what_is_known(watched):
    queries, fixed, answer = watched.calls[0]
    places, variants = watched.targets.present.shape[1], r50_training.TASK.noise.pose_variants
    start = queries.references.shape[1] - variants * places
    assert not fixed[:, :start].any() and fixed[:, start:].equal(watched.noise.held) and fixed.any()
    torch.testing.assert_close(queries.references[:, start:, 1:, :2], watched.noise.poses_norm)
    boxes = watched.noise.boxes_norm[:, :places].repeat(1, variants, 1)
    torch.testing.assert_close(queries.references[:, start:, 0], boxes)
    held = answer.keypoints_norm[:, start:][watched.noise.held]
    assert held.equal(watched.noise.poses_norm[watched.noise.held])


def test_drawn_boxes_share_the_first_rank_s_content_in_training_as_in_use(watched):
    queries, persons = watched.calls[0][0], r50_training.TINY.persons
    found, drawn = queries.content[:, :persons, 1:], queries.content[:, persons : persons + 3, 1:]
    assert drawn.equal(found[:, :1].expand_as(drawn))
    assert not found[:, 1].equal(found[:, 0])


def worst_joints(reading_norm, truth_norm, labelled, area_norm, count: int) -> set[int]:
    """Return the ``count`` worst labelled joints by OKS in pixels."""
    off = (reading_norm - truth_norm).double().numpy() * HW
    tolerance = COCO.sigma_array**2 * area_norm.item() * HW.prod()
    quality = np.where(labelled, -(off**2).sum(-1) / tolerance, np.inf)
    return {joint for joint in np.argsort(quality)[:count] if labelled[joint]}


def test_the_loop_clicks_the_worst_joints_holds_them_and_grows_the_box(watched):
    first, second = watched.calls[1:]
    targets, clicks = watched.targets, watched.noise.clicks
    before = None
    for round_, (queries, fixed, _) in enumerate((first, second)):
        for image in range(len(fixed)):
            clicked = [row for row in range(fixed.shape[1]) if fixed[image, row].any()]
            assert len(clicked) == targets.present[image].sum()  # everybody is matched; nobody else is clicked
            for row in clicked:
                held = fixed[image, row]
                points, box = queries.references[image, row, 1:, :2], queries.references[image, row, 0]
                (person,) = [n for n in range(len(targets.present[image]))
                             if points[held].equal(targets.keypoints_norm[image, n][held])]  # fmt: skip
                assert not (held & ~targets.labelled[image, person]).any()
                low, high = box[:2] - box[2:] / 2, box[:2] + box[2:] / 2
                assert (points >= low - 1e-5).all() and (points <= high + 1e-5).all()
                if before is not None:
                    earlier, said = before[1][image, row], before[2].keypoints_norm[image, row]
                    assert said[earlier].equal(targets.keypoints_norm[image, person][earlier])  # held by the decoder
                    new = held & ~earlier
                    labelled = (targets.labelled[image, person] & ~earlier).numpy()
                    wanted = worst_joints(
                        said, targets.keypoints_norm[image, person], labelled, targets.area_norm[image, person],
                        int(clicks[image, round_, person]),
                    )  # fmt: skip
                    assert set(new.nonzero()[:, 0].tolist()) == wanted and (earlier & ~held).sum() == 0
        before = (queries, fixed, watched.calls[1 + round_][2])


def test_without_holding_the_clicks_drift_as_in_the_published_code(photos, batch, watched):
    config = dataclasses.replace(r50_training.TASK, hold_clicks=False)
    found = Watched(r50_training.make_task(photos, config), batch)
    assert [fixed is None for _, fixed, _ in found.calls] == [False, True, True]
    (start, _, said), (again, _, _) = found.calls[1:]
    image, row = watched.calls[1][1].any(-1).nonzero()[0].tolist()
    joint = int(watched.calls[1][1][image, row].nonzero()[0])  # the first round's click is the same
    place = start.references[image, row, 1 + joint, :2]
    assert place.equal(watched.calls[1][0].references[image, row, 1 + joint, :2])
    assert not said.keypoints_norm[image, row, joint].equal(place)
    assert again.references[image, row, 1 + joint, :2].equal(said.keypoints_norm[image, row, joint])


def test_the_loop_runs_on_all_matched_persons_first(photos, batch):
    few = dataclasses.replace(r50_training.TASK, refined_persons=1)
    found = Watched(r50_training.make_task(photos, few), batch)
    fixed = found.calls[1][1]
    assert fixed.shape[1] == 3  # as many as the photo with most people has
    assert fixed.any(-1).sum(1).tolist() == [1, 2, 3]


def test_padding_reaches_the_backbone_as_zeros(photos):
    small = photos[0]._replace(image=photos[0].image[..., :70], padding_mask=photos[0].padding_mask[..., :70])
    task, seen = r50_training.make_task(photos), []
    handle = task.model.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        task.losses(collate_photos([small, photos[1]]), torch.Generator())
    handle.remove()
    assert (seen[0][0, ..., 70:] == 0).all() and (seen[0][0, ..., :70] != 0).all()


def test_a_fresh_network_says_that_hardly_any_query_is_a_person_and_moves_nothing():
    torch.manual_seed(0)
    network = ClickPose(r50_training.TINY)
    prepare_for_training(network)
    heads = [network.proposals.class_head, *network.human_decoder.class_heads, *network.keypoint_decoder.class_heads]
    assert all(head.bias.sigmoid().sub(0.01).abs().max() < 1e-6 for head in heads)
    queries = torch.randn(1, 3, r50_training.TINY.dim)
    still = [network.proposals.box_head, *network.human_decoder.box_heads, *network.keypoint_decoder.box_heads,
             *network.keypoint_decoder.keypoint_heads]  # fmt: skip
    assert all((head(queries) == 0).all() for head in still)


def test_a_backbone_of_rate_zero_keeps_its_weights(photos):
    task = r50_training.make_task(photos)
    backbone, rest = task.parameter_groups(TrainConfig(trunk_learning_rate=0.0, learning_rate=3e-4))
    assert not any(parameter.requires_grad for parameter in backbone["params"])
    assert (backbone["lr"], rest["lr"]) == (0.0, 3e-4)
    assert len(backbone["params"]) + len(rest["params"]) == len(list(task.model.parameters()))
