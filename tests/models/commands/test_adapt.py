"""``clickpose adapt``: the shipped network with more joints, the training plan, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import clickpose
from clickpose.cli import app
from clickpose.commands import adapt
from clickpose.data.records import PersonRecord
from clickpose.lite.train import MAY_DIFFER, _draw_images
from clickpose.lite.weights import load_lite, read_skeleton
from clickpose.skeleton_io import skeleton_to_dict
from clickpose.training.plan import describe_plan, keep_plan
from clickpose.weights_io import read_metadata

RUNNER = CliRunner()


@pytest.fixture
def golf(tmp_path):
    """COCO's joints and a club's head on the right wrist, as a skeleton file (JSON is YAML)."""
    document = skeleton_to_dict(clickpose.COCO) | {"name": "golf", "flip_pairs": []}
    document["joints"]["club_head"] = 0.1
    document["edges"].append(["right_wrist", "club_head"])
    path = tmp_path / "golf.yaml"
    path.write_text(json.dumps(document))
    return path


def run_adapt(*options):
    result = RUNNER.invoke(app, ["adapt", "--threads", "1", *map(str, options)])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_without_photos_the_shipped_network_gains_a_joint_and_keeps_its_answers(golf, tmp_path):
    printed = run_adapt("--skeleton", golf, "--images", "0", "--out", tmp_path / "out")
    weights = tmp_path / "out" / "untrained.safetensors"
    assert "17 known joints; new: club_head" in printed and f"wrote {weights}" in printed.replace("\n", "")
    image = np.random.default_rng(0).integers(0, 256, (120, 100, 3), dtype=np.uint8)
    answers = []
    for checkpoint in (None, weights):
        predictor = clickpose.load("lite", checkpoint=checkpoint, threads=1)
        predictor.set_image(image)
        pose = predictor.predict(np.array([[20.0, 10, 80, 110]]))[0]
        answers.append((pose, predictor.refine(pose, {"nose": (50.0, 30.0)})))
    assert answers[1][0].skeleton.names == (*clickpose.COCO.names, "club_head")
    for before, after in zip(*answers, strict=True):
        np.testing.assert_allclose(after.keypoints[:17], before.keypoints, atol=2e-3)
        np.testing.assert_allclose(after.box_xyxy, before.box_xyxy, atol=2e-3)
    # the new joint is looked for where the wrist was regressed, and a click on it holds
    refined = predictor.refine(answers[1][0], {"club_head": (70.0, 90.0)})
    assert refined.keypoints[17].tolist() == [70.0, 90.0] and refined.fixed.tolist() == [False] * 17 + [True]


@pytest.mark.slow
def test_the_weights_remember_skeleton_and_start(golf, tmp_path):
    run_adapt("--skeleton", golf, "--images", "0", "--out", tmp_path / "golf")
    weights = tmp_path / "golf" / "untrained.safetensors"
    assert read_skeleton(weights).names[-1] == "club_head"
    assert read_metadata(weights)["start"] == "lite.safetensors"
    # and can be adapted further: fewer joints, in another order
    run_adapt("--skeleton", "crowdpose", "--images", "0", "--init", weights, "--out", tmp_path / "crowd")
    network, skeleton = load_lite(tmp_path / "crowd" / "untrained.safetensors")
    assert skeleton.name == "crowdpose" and network.config.decoder.added == (12, 13)


@pytest.mark.slow
def test_photos_are_shown_in_many_views_and_what_new_channels_learn_is_kept(golf, tmp_path, monkeypatch):
    plans = []
    monkeypatch.setattr(adapt, "train_lite", lambda plan, device: plans.append(plan) or plan.out / "w")
    options = ["--skeleton", golf, "--data", tmp_path, "--trunk-steps", 7, "--decoder-steps", 9, "--seed", 3]
    for images, out in ((100, "a"), (None, "b"), (1500, "c")):
        run_adapt(*options, "--out", tmp_path / out, *(["--images", images] if images else []))
    assert [plan.folders[0].weight for plan in plans] == [16, 1, 1]
    assert [plan.folders[0].images for plan in plans] == [100, None, 1500]
    plan = plans[0]
    assert (plan.trunk.steps, plan.decoder.steps, plan.decoder.seed, plan.trunk_blend) == (7, 9, 3, 1.0)
    assert plan.start == tmp_path / "a" / "untrained.safetensors"
    assert plan.skeleton.name == "golf" and plan.network.decoder.num_keypoints == 18


@pytest.mark.slow
def test_an_adaptation_goes_on_with_its_own_weights_and_data_alone(golf, tmp_path, monkeypatch):
    def keep(plan, device):
        keep_plan(plan.out, describe_plan(plan, MAY_DIFFER))
        return plan.out / "lite.safetensors"

    monkeypatch.setattr(adapt, "train_lite", keep)
    (tmp_path / "annotations.json").write_text("{}")
    out = tmp_path / "out"
    options = ["--skeleton", golf, "--data", tmp_path, "--out", out]
    run_adapt(*options)
    untrained = (out / "untrained.safetensors").read_bytes()
    run_adapt(*options, "--decoder-steps", 900)
    run_adapt("--skeleton", golf, "--images", 0, "--out", tmp_path / "once")
    refusals = {
        ("--trunk-steps", 151): "trunk.steps is 151 and was 150",
        ("--seed", 1): "trunk.seed is 1 and was 0; decoder.seed is 1 and was 0",
        ("--images", 5): "folders.0.weight is 16.0 and was 1.0; folders.0.images is 5 and was null",
        ("--format", "mpii"): 'folders.0.format_name is "mpii" and was "coco"',
        ("--skeleton", "crowdpose"): "to go on from the weights in untrained.safetensors, got others",
        ("--init", tmp_path / "once" / "untrained.safetensors"): "the weights in untrained.safetensors, got others",
    }
    for changed, sentence in refusals.items():
        result = RUNNER.invoke(app, ["adapt", "--threads", "1", *map(str, [*options, *changed])])
        assert result.exit_code == 2 and sentence in " ".join(result.output.split()), result.output
    (tmp_path / "annotations.json").write_text('{"images": []}')
    result = RUNNER.invoke(app, ["adapt", "--threads", "1", *map(str, options)])
    assert result.exit_code == 2 and "folders.0.path is" in " ".join(result.output.split())
    assert (out / "untrained.safetensors").read_bytes() == untrained
    (out / "plan.json").write_text('{"data": [], "start": "", "seeds": [0, 0]}')
    result = RUNNER.invoke(app, ["adapt", "--threads", "1", *map(str, options)])
    assert result.exit_code == 2 and "0.1.0 wrote down only a part" in " ".join(result.output.split())


@pytest.mark.slow
def test_data_of_another_format_with_its_photos_elsewhere(tmp_path, monkeypatch):
    plans = []
    monkeypatch.setattr(adapt, "train_lite", lambda plan, device: plans.append(plan) or plan.out / "w")
    run_adapt("--skeleton", "humanart21", "--format", "humanart21", "--data", "training.json", "--photos", "art",
              "--images", 100, "--out", tmp_path / "out")  # fmt: skip
    (folder,) = plans[0].folders
    assert (folder.path, folder.format_name, folder.photos) == (Path("training.json"), "humanart21", Path("art"))
    assert (len(plans[0].skeleton), plans[0].network.decoder.added) == (21, (17, 18, 19, 20))


def test_a_larger_draw_holds_the_smaller_one(tmp_path):
    def person(photo):
        return PersonRecord(
            annotation_id=photo,
            image_path=tmp_path / str(photo // 2),
            image_hw=(9, 9),
            keypoints=np.zeros((1, 2)),
            visibility=np.ones(1),
            box_xyxy=np.zeros(4),
            area=1,
            visibility_known=True,
        )

    people = [person(i) for i in range(40)]  # two in each of twenty photos
    few, more = _draw_images(people, 5, seed=0), _draw_images(people, 12, seed=0)
    assert len(few) == 10 and len(more) == 24 and set(few) < set(more)
    assert {p.image_path for p in _draw_images(people, 5, seed=1)} != {p.image_path for p in few}
    assert _draw_images(people, None, seed=0) is people
    with pytest.raises(ValueError, match="Expected 1 to 20 images, the photos with people, got 21"):
        _draw_images(people, 21, seed=0)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--skeleton", "golf.yaml", "--images", "0"], "Expected a skeleton file or one of coco, aic"),
        (["--skeleton", "crowdpose"], "Expected --data with labelled photos, or --images 0"),
        (["--skeleton", "crowdpose", "--images", "0", "--init", "nowhere"], "Expected lite weights in nowhere"),
        (["--skeleton", "crowdpose", "--data", "nowhere"], "a folder with annotations.json at nowhere, found neither"),
    ],
)
def test_wrong_use_is_one_sentence(options, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = RUNNER.invoke(app, ["adapt", *options])
    assert result.exit_code == 2
    assert sentence in result.output.replace("\n", " ")
