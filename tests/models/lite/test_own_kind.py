"""Learning another kind of photos: trunk and neck move, the decoder does not, and a stopped run goes on."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from clickpose.data.coco import read_coco_persons
from clickpose.lite import further, own_kind
from clickpose.lite.own_kind import OwnKindPlan, another_kind, learn_own_kind, steps_for
from clickpose.lite.predictor import DEFAULT_FILE, load_network
from clickpose.lite.two_kinds import TwoKindsLite
from clickpose.lite.weights import load_lite
from clickpose.training.engine import Trainer


@pytest.fixture
def folder(tmp_path):
    """Twenty people in front of noise, which no photo looks like."""
    place = tmp_path / "noise"
    (place / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (80, 90, 3), dtype=np.uint8)).save(place / "images" / "a.png")
    image = {"id": 1, "file_name": "a.png", "width": 90, "height": 80}
    people = []
    for number in range(1, 21):
        points = np.column_stack([rng.uniform(10, 60, (17, 2)), np.full(17, 2)])
        box = [5 + number % 5, 5, 60, 70]
        people.append(
            {"id": number, "image_id": 1, "category_id": 1, "bbox": box, "area": 2200.0, "iscrowd": 0,
             "keypoints": points.flatten().tolist()}
        )  # fmt: skip
    (place / "annotations.json").write_text(json.dumps({"images": [image], "annotations": people}))
    return place


def test_a_few_persons_are_worth_few_steps_and_many_not_endless_ones():
    assert [steps_for(persons) for persons in (1, 25, 100, 500, 5000)] == sorted(
        steps_for(persons) for persons in (1, 25, 100, 500, 5000)
    )
    assert (steps_for(1), steps_for(10**6)) == (own_kind.FEWEST_STEPS, own_kind.MOST_STEPS)


def test_noise_is_another_kind_and_nobody_none(folder):
    assert another_kind(DEFAULT_FILE, read_coco_persons(folder)) is not None
    assert another_kind(DEFAULT_FILE, []) is None


@pytest.mark.slow
def test_how_to_see_is_learned_and_a_stopped_run_goes_on(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(own_kind, "choose_start", lambda start, records, out: start)
    rule = another_kind(DEFAULT_FILE, read_coco_persons(folder))
    plan = OwnKindPlan(folder, DEFAULT_FILE, tmp_path / "out")
    plan = replace(plan, training=replace(plan.training, steps=2, batch_size=2, checkpoint_steps=1))
    step, steps = Trainer.train_step, []

    def stopped_after_one(trainer, batch):
        if len(steps) == 1:
            raise KeyboardInterrupt
        steps.append(trainer.step)
        return step(trainer, batch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "train_step", stopped_after_one)
        learn_own_kind(plan, rule)
    weights = learn_own_kind(plan, rule)
    assert "at step 1 of 2" in capsys.readouterr().out
    before, after = load_lite(DEFAULT_FILE)[0].state_dict(), load_lite(weights)[0].state_dict()
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"trunk", "neck"}
    assert not torch.equal(before["trunk.stem.weight"], after["trunk.stem.weight"])
    both = load_network(weights, flip_test=False)
    assert isinstance(both, TwoKindsLite)
    assert torch.equal(both.known.trunk.stem.weight, before["trunk.stem.weight"])
    with pytest.raises(ValueError, match=r"training\.steps"):
        learn_own_kind(replace(plan, training=replace(plan.training, steps=3)), rule)


def test_the_labelled_people_decide_which_changes_are_made(tmp_path, monkeypatch):
    """Rightness stands in as a number for the network's sign of light and for its matching."""
    network, _ = load_lite(DEFAULT_FILE)
    monkeypatch.setattr(further, "source_statistics", lambda path: "statistics")

    def matching(source):
        return lambda network, records, skeleton: network.trunk.stem.bias.data.fill_(5.0)

    monkeypatch.setattr(further, "_matching", matching)
    stem = network.trunk.stem.weight[0, 0, 0, 0].item()
    for number, (worth_light, worth_match) in enumerate([(1, 1), (1, -1), (-1, 1), (-1, -1)]):

        class Evaluated:
            def __init__(self, network, worth_light=worth_light, worth_match=worth_match):
                changed = network.trunk.stem.weight[0, 0, 0, 0].item() != stem
                oks = worth_light * changed + worth_match * (network.trunk.stem.bias[0].item() == 5.0)
                self.refined = type("Curve", (), {"oks": np.array([float(oks)])})

        monkeypatch.setattr(further, "evaluate_clicks", lambda network, *_, made=Evaluated: made(network))
        out = tmp_path / f"{number}.safetensors"
        for _ in range(2):  # a stopped job finds what was decided
            chosen = further.choose_start(DEFAULT_FILE, ["somebody"], out)
            found = load_lite(chosen)[0].trunk.stem
            assert (chosen == out) == (worth_light > 0 or worth_match > 0)
            assert (found.weight[0, 0, 0, 0].item() != stem) == (worth_light > 0)
            assert (found.bias[0].item() == 5.0) == (worth_match > 0)
            monkeypatch.setattr(further, "evaluate_clicks", None)
    assert further.choose_start(DEFAULT_FILE, [], out) == DEFAULT_FILE


@torch.inference_mode()
def test_light_and_dark_exchanged_is_to_see_the_negative():
    network, _ = load_lite(DEFAULT_FILE)
    network.eval()
    image = torch.randint(0, 256, (1, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    prompt = torch.tensor([[0.1, 0.1, 0.9, 0.9]])
    expected = network.encode(255 - image, prompt).trunk.heatmap_logits
    further.exchange_light(network)
    assert torch.allclose(network.encode(image, prompt).trunk.heatmap_logits, expected, atol=1e-4)
