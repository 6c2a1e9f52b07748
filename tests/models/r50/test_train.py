"""Training the end-to-end network: its losses by hand, its gradients, processes that share a batch, and resuming."""

import dataclasses
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from clickpose.data.photos import PhotoDataset, PhotoScales, collate_photos
from clickpose.networks.human_decoder import BoxReading
from clickpose.networks.keypoint_decoder import PersonReading
from clickpose.r50.checkpoint import load_network
from clickpose.r50.losses import Assignment, assign_by_matching, share_inside, stage_losses
from clickpose.r50.matcher import NOBODY, MatchCosts, Targets
from clickpose.r50.noise import NoiseConfig, noisy_boxes
from clickpose.r50.train import PRESETS, R50Plan, R50Preset, WeightedData, load_backbone, make_trainer, train_r50
from clickpose.skeleton import COCO
from clickpose.weights_io import WeightsError
from helpers import r50_training

SIGMAS = torch.tensor(COCO.sigmas, dtype=torch.float32)
TESTS = Path(__file__).resolve().parents[2]
# One channel a group: its norm takes the bias away, and the gradient is rounding alone.
WITHOUT_EFFECT = re.compile(r"input_projection\.\d\.0\.bias")


@pytest.fixture(scope="module")
def tiny():
    """The module of the other process, which says what both train."""
    return r50_training


@pytest.fixture(scope="module")
def photos(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    return PhotoDataset(tiny.people_dataset(folder), PhotoScales.plain(64, 96))


@pytest.fixture
def one_person():
    """A person in a photo twice as wide as high, and a reading that is exactly right."""
    aspect = torch.tensor([[math.sqrt(2), math.sqrt(0.5)]])
    keypoints = torch.rand(1, 1, 17, 2, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.3
    boxes = torch.tensor([[[0.5, 0.5, 0.4, 0.6]]])
    labelled = torch.ones(1, 1, 17, dtype=torch.bool)
    targets = Targets(boxes, keypoints, labelled, torch.tensor([[0.09]]), aspect, torch.ones(1, 1, dtype=torch.bool))
    reading = PersonReading(torch.tensor([[[-30.0, 30.0]]]), boxes, keypoints, torch.zeros(0))
    return targets, reading


def test_what_is_right_costs_nothing_and_an_error_what_the_formula_says(one_person):
    targets, reading = one_person
    assignment = Assignment.known(torch.zeros(1, 1, dtype=torch.long))
    right = stage_losses(reading, assignment, targets, SIGMAS, MatchCosts())
    assert set(right) == {"person", "box", "keypoints", "oks"}
    assert all(value.item() == pytest.approx(0, abs=1e-5) for value in right.values())
    # The nose off to the right by 2 sigma sqrt(area): its OKS term is exp(-1/2), on a photo of any shape.
    distance = 2 * COCO.sigmas[0] * 0.3 / math.sqrt(2)
    moved = reading.keypoints_norm.clone()
    moved[0, 0, 0, 0] += distance
    boxes = reading.boxes_norm + torch.tensor([0.1, 0.0, 0.0, 0.0])
    unsure = torch.zeros(1, 1, 2)
    wrong = stage_losses(PersonReading(unsure, boxes, moved, torch.zeros(0)), assignment, targets, SIGMAS, MatchCosts())
    assert wrong["oks"].item() == pytest.approx(4 * (1 - math.exp(-0.5)) / 17, rel=1e-4)
    assert wrong["keypoints"].item() == pytest.approx(10 * distance, rel=1e-3)
    # moved by a quarter of its width: IoU is .3/.5, and nothing of the hull is empty
    assert wrong["box"].item() == pytest.approx(5 * 0.1 + 2 * (1 - 0.6), rel=1e-4)
    assert wrong["person"].item() == pytest.approx(2 * (0.25 + 0.75) * 0.25 * math.log(2), rel=1e-5)
    # a joint without a label does not count
    hidden = targets._replace(labelled=targets.labelled & (torch.arange(17) > 0))
    free = stage_losses(PersonReading(unsure, boxes, moved, torch.zeros(0)), assignment, hidden, SIGMAS, MatchCosts())
    assert free["oks"].item() == free["keypoints"].item() == pytest.approx(0, abs=1e-5)


def test_queries_in_a_crowd_are_neither_right_nor_wrong(one_person):
    targets, _ = one_person
    boxes = torch.tensor([[[0.5, 0.5, 0.4, 0.6], [0.1, 0.1, 0.1, 0.1], [0.8, 0.2, 0.1, 0.1]]])
    reading = BoxReading(torch.tensor([[[-9.0, 9.0], [-9.0, 2.0], [-9.0, 2.0]]]), boxes)
    crowd = torch.tensor([[[0.1, 0.1, 0.2, 0.2]]])
    torch.testing.assert_close(share_inside(boxes, crowd), torch.tensor([[0.0, 1.0, 0.0]]))
    assignment = assign_by_matching(reading, targets, crowd, SIGMAS, MatchCosts())
    assert assignment.person.tolist() == [[0, NOBODY, NOBODY]] and assignment.class_weight.tolist() == [[1, 0, 1]]
    excused = stage_losses(reading, assignment, targets, SIGMAS, MatchCosts())["person"]
    nobody_there = assign_by_matching(reading, targets, torch.zeros(1, 1, 4), SIGMAS, MatchCosts())
    blamed = stage_losses(reading, nobody_there, targets, SIGMAS, MatchCosts())["person"]
    p = 1 / (1 + math.exp(-2))
    assert (blamed - excused).item() == pytest.approx(2 * 0.75 * p**2 * -math.log(1 - p), rel=1e-3)


def test_places_of_nobody_are_passed_over():
    person = torch.tensor([[1, NOBODY, 0]])
    assignment = Assignment.known(person, 0.5)
    assert assignment.person.equal(person)
    assert assignment.weight.tolist() == assignment.class_weight.tolist() == [[0.5, 0, 0.5]]


def test_half_of_a_query_in_a_crowd_excuses_it(one_person):
    targets, _ = one_person
    boxes = torch.tensor([[[0.5, 0.5, 0.4, 0.6], [0.18, 0.1, 0.1, 0.1], [0.22, 0.1, 0.1, 0.1]]])  # 70 and 30 % inside
    reading = BoxReading(torch.tensor([[[-9.0, 9.0], [-9.0, 2.0], [-9.0, 2.0]]]), boxes)
    assignment = assign_by_matching(reading, targets, torch.tensor([[[0.1, 0.1, 0.2, 0.2]]]), SIGMAS, MatchCosts())
    assert assignment.class_weight.tolist() == [[1, 0, 1]]


def test_every_parameter_gets_a_finite_gradient_and_every_idea_a_term(tiny, photos):
    task = tiny.make_task(photos)
    batch = collate_photos([photos[i] for i in range(4)])
    terms = task.losses(batch, torch.Generator())
    assert set(terms) == {"person", "box", "keypoints", "oks", "denoising", "reconstruction", "feedback"}
    assert all(value > 0 for value in terms.values())
    sum(terms.values()).backward()
    for name, parameter in task.model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        if not WITHOUT_EFFECT.fullmatch(name):
            assert parameter.grad.abs().max() > 1e-5, name


def test_noise_changes_nothing_of_what_the_network_says_by_itself(tiny, photos):
    batch = collate_photos([photos[i] for i in range(3)])
    own = ("person", "box", "keypoints", "oks")
    with torch.no_grad():
        plain = tiny.make_task(photos).losses(batch, torch.Generator())
        other_noise = tiny.make_task(photos).losses(batch._replace(seed=batch.seed + 1), torch.Generator())
        quiet = dataclasses.replace(tiny.TASK, noise=NoiseConfig(groups=0, pose_variants=0, click_rounds=()))
        alone = tiny.make_task(photos, quiet).losses(batch, torch.Generator())
    assert set(alone) == set(own)
    for name in own:
        torch.testing.assert_close(other_noise[name], plain[name], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(alone[name], plain[name], rtol=1e-4, atol=1e-5)
    for name in ("denoising", "reconstruction", "feedback"):
        assert other_noise[name] != plain[name]


def test_a_batch_costs_what_its_photos_cost(tiny, photos):
    task, singles = tiny.make_task(photos), [photos[i] for i in range(3)]
    with torch.no_grad():
        together = task.losses(collate_photos(singles), torch.Generator())
        apart = [task.losses(collate_photos([single]), torch.Generator()) for single in singles]
    people = [single.present.sum().item() for single in singles]
    for name, value in together.items():
        mean = sum(count * terms[name] for count, terms in zip(people, apart, strict=True)) / sum(people)
        torch.testing.assert_close(value, mean, rtol=1e-3, atol=1e-4)


def test_photos_of_which_nobody_is_left_train_too(tiny, photos):
    sample = photos[0]
    fields = ("boxes_norm", "keypoints_norm", "labelled", "area_norm", "present")
    empty = sample._replace(**{name: getattr(sample, name)[:, :0] for name in fields})
    for samples in ([empty], [empty, photos[2]]):
        terms = tiny.make_task(photos).losses(collate_photos(samples), torch.Generator())
        assert all(torch.isfinite(value) for value in terms.values())
        sum(terms.values()).backward()


def test_noisy_boxes_stay_near_theirs():
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.4]]).repeat(500, 1)
    noisy = noisy_boxes(boxes, 0.4, torch.Generator().manual_seed(0))
    offset = (noisy[:, :2] - boxes[:, :2]).abs() / (boxes[:, 2:] / 2)
    scale = noisy[:, 2:] / boxes[:, 2:]
    assert 0.38 < offset.max() <= 0.4001 and 0.6 <= scale.min() < 0.62 and 1.38 < scale.max() <= 1.4001


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one(tiny, tmp_path):
    tiny.people_dataset(tmp_path)  # before the other process looks
    alone = tiny.make_trainer(tmp_path, tmp_path / "alone")
    tiny.step_of(alone, [0, 1, 2, 3])
    wanted = {name: parameter.grad.clone() for name, parameter in alone.model.named_parameters()}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, "-m", "helpers.r50_training", tmp_path]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    shared, other = (torch.load(tmp_path / f"gradients{rank}.pt", weights_only=True) for rank in range(2))
    for name, gradient in shared.items():
        torch.testing.assert_close(gradient, other[name], rtol=0, atol=0, msg=name)
        if WITHOUT_EFFECT.fullmatch(name):
            assert gradient.abs().max() < 1e-3, name
            continue
        scale = wanted[name].abs().max()
        torch.testing.assert_close(gradient, wanted[name], rtol=0, atol=1e-4 * float(scale) + 1e-5, msg=name)


@pytest.mark.slow
def test_a_resumed_run_has_the_losses_of_an_uninterrupted_one(tiny, tmp_path):
    def losses_of(trainer, stop=None):
        found, step = [], trainer.train_step

        def watched(batch):
            if trainer.step == stop:
                raise KeyboardInterrupt
            found.append(step(batch))
            return found[-1]

        trainer.train_step = watched
        if stop is None:
            trainer.run()
        else:
            with pytest.raises(KeyboardInterrupt):
                trainer.run()
        return found

    whole = losses_of(tiny.make_trainer(tmp_path, tmp_path / "whole", batch_size=2))
    first = losses_of(tiny.make_trainer(tmp_path, tmp_path / "parts", batch_size=2), stop=4)
    resumed = tiny.make_trainer(tmp_path, tmp_path / "parts", batch_size=2)
    assert resumed.step == 3  # the last checkpoint
    assert first == whole[:4] and losses_of(resumed) == whole[3:]


@pytest.fixture
def plan(tiny, tmp_path):
    preset = R50Preset(
        tiny.TINY, dataclasses.replace(PRESETS["small"].train, batch_size=2, workers=0, clip_norm=1.0), 1,
        PhotoScales.around(64), tiny.TASK,
    )  # fmt: skip
    (tmp_path / "images").mkdir()
    return R50Plan([WeightedData(tiny.people_dataset(tmp_path / "images"))], preset, tmp_path / "run")


@pytest.mark.slow
def test_photos_to_a_weights_file_that_training_goes_on_from(plan, capsys):
    weights = train_r50(plan)
    assert "noise: 4 images, 7 persons with 17 joints" in capsys.readouterr().out
    assert (plan.out / "losses.csv").read_text().startswith("step,person,box,")
    network = load_network(weights)
    assert (network.config.short_side, network.config.long_side) == (64, 96)
    more = dataclasses.replace(plan, out=plan.out.with_name("more"), start=weights)
    started = make_trainer(more).model.state_dict()
    assert all(torch.equal(value, started[name]) for name, value in network.state_dict().items())
    other = dataclasses.replace(plan, data=[WeightedData(plan.data[0].dataset, 2.0)])
    wanted = r"got another: data.0.weight is 2.0 and was 1.0. Name another working folder"
    with pytest.raises(ValueError, match=wanted):  # what is the same in both is not shown
        train_r50(other)


def test_what_cannot_be_trained_on_is_said(plan, tmp_path):
    data = plan.data[0][0]
    gone = dataclasses.replace(data.images[1], path=tmp_path / "gone.png")
    broken = dataclasses.replace(data, images=[data.images[0], gone, *data.images[2:]])
    with pytest.raises(ValueError, match=r"Cannot read .*gone.png: No such file"):
        make_trainer(dataclasses.replace(plan, data=[WeightedData(broken)]))
    half = data.with_joints(range(8))
    with pytest.raises(ValueError, match="Expected data sets of one skeleton, got coco, coco-8"):
        make_trainer(dataclasses.replace(plan, data=[WeightedData(data), WeightedData(half)]))
    with pytest.raises(ValueError, match="Expected photos with people in noise, got none"):
        make_trainer(dataclasses.replace(plan, data=[WeightedData(dataclasses.replace(data, persons=[]))]))


def test_another_skeleton_sizes_the_network(plan):
    feet = plan.data[0][0].with_joints(range(8))
    trainer = make_trainer(dataclasses.replace(plan, data=[WeightedData(feet)]))
    assert trainer.model.config.num_keypoints == 8
    terms = trainer.train_step(collate_photos([trainer.dataset[(0, 0)], trainer.dataset[(1, 0)]]))
    assert np.isfinite(list(terms.values())).all()


def test_a_published_backbone_loads_by_torchvisions_names(plan, tmp_path):
    backbone = make_trainer(plan).model.backbone
    published = {name: torch.randn_like(value) for name, value in backbone.state_dict().items()}
    extra = {"fc.weight": torch.zeros(2, 2), "bn1.num_batches_tracked": torch.tensor(3)}
    torch.save(published | extra, tmp_path / "resnet.pth")
    load_backbone(backbone, tmp_path / "resnet.pth")
    assert all(torch.equal(value, published[name]) for name, value in backbone.state_dict().items())
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"Expected weights of this ResNet backbone in .*other.pth, got others"):
        load_backbone(backbone, tmp_path / "other.pth")


def test_the_paper_preset_is_the_papers():
    preset = PRESETS["paper"]
    assert (preset.train.batch_size, preset.train.learning_rate, preset.train.trunk_learning_rate) == (16, 1e-4, 1e-5)
    assert (preset.network.dim, preset.network.encoder_layers, preset.network.queries) == (256, 6, 900)
    assert (preset.scales.short_sides[0], preset.scales.short_sides[-1], preset.scales.long_side) == (480, 800, 1333)
    assert json.loads(json.dumps(dataclasses.asdict(preset.task.costs))) == {
        "person": 2.0, "box_l1": 5.0, "box_giou": 2.0, "keypoint_l1": 10.0, "oks": 4.0
    }  # fmt: skip
