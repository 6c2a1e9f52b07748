"""Another skeleton for the end-to-end network: what is kept, what new joints start from, and the command."""

import json
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

import clickpose
from clickpose.cli import app
from clickpose.r50.adaptation import adapt_network
from clickpose.r50.checkpoint import load_network, read_skeleton
from clickpose.r50.train import PRESETS
from clickpose.skeleton import COCO, Skeleton
from clickpose.skeleton_io import SKELETONS, skeleton_to_dict
from helpers import tiny_r50

RUNNER = CliRunner()
NECK = 0  # the new joint stands first, so that every other one moves


@pytest.fixture(scope="module")
def with_neck() -> Skeleton:
    names = ("neck", *COCO.names)
    edges = (*((a + 1, b + 1) for a, b in COCO.edges), (NECK, 6), (NECK, 7))
    return Skeleton("coco18", names, edges, tuple((a + 1, b + 1) for a, b in COCO.flip_pairs), (0.08, *COCO.sigmas))


def test_known_joints_keep_their_rows_and_new_ones_start_from_their_neighbours(with_neck):
    network = tiny_r50.tiny_network()
    adapted, origin = adapt_network(network, COCO, with_neck)
    assert origin.added == (NECK,) and adapted.config == replace(network.config, num_keypoints=18)
    before, after = network.state_dict(), adapted.state_dict()
    joints = {"joint_codebook": (1, 0), "size_share": (0, 0), "rank_content": (0, 3)}  # first row, rank
    for name, (first, rank) in joints.items():
        old, new = before[f"keypoint_decoder.{name}.weight"], after[f"keypoint_decoder.{name}.weight"]
        old, new = old[first + 17 * rank :][:17], new[first + 18 * rank :][:18]
        assert torch.equal(new[1:], old)
        torch.testing.assert_close(new[NECK], (old[5] + old[6]) / 2)
    rest = [name for name in before if not any(joint in name for joint in joints)]
    assert all(torch.equal(before[name], after[name]) for name in rest) and len(rest) == len(before) - 3
    assert torch.equal(after["keypoint_decoder.joint_codebook.weight"][0],
                       before["keypoint_decoder.joint_codebook.weight"][0])  # fmt: skip


def test_the_same_joints_in_another_order_are_the_same_poses():
    order = list(reversed(range(17)))
    network, turned = tiny_r50.tiny_network(), COCO.subset(order, "turned")
    adapted, _ = adapt_network(network, COCO, turned)
    image = torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        poses, same = (net.eval().predict(net.encode(image)).keypoints_norm for net in (network, adapted))
    torch.testing.assert_close(same, poses[:, :, order], rtol=0, atol=1e-5)


@pytest.fixture
def skeleton_file(with_neck, tmp_path):
    path = tmp_path / "neck.yaml"
    path.write_text(json.dumps(skeleton_to_dict(with_neck)))
    return path


def run(*options):
    return RUNNER.invoke(app, ["adapt", "--model", "r50", "--threads", "1", *map(str, options)])


def test_an_official_checkpoint_is_adapted_from_the_command_line(skeleton_file, with_neck, tmp_path):
    checkpoint = tiny_r50.write_checkpoint(tmp_path / "official.pth", tiny_r50.tiny_network())
    result = run("--init", checkpoint, "--skeleton", skeleton_file, "--images", 0, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "17 known joints; new: neck" in result.output
    weights = tmp_path / "out" / "untrained.safetensors"
    assert load_network(weights).config.num_keypoints == 18 and read_skeleton(weights) == with_neck
    back = run("--init", weights, "--skeleton", "crowdpose", "--images", 0, "--out", tmp_path / "back")
    assert back.exit_code == 0 and "13 known joints; new: head" in back.output, back.output
    adapted = tmp_path / "back" / "untrained.safetensors"
    predictor = clickpose.load("r50", checkpoint=adapted)
    assert predictor.skeleton == SKELETONS["crowdpose"] and predictor.network.config.num_keypoints == 14


@pytest.mark.slow
def test_a_few_photos_train_the_adapted_network(skeleton_file, with_neck, tmp_path, monkeypatch):
    from PIL import Image

    (tmp_path / "data" / "images").mkdir(parents=True)
    keypoints = [float(value) for joint in range(18) for value in (20 + joint, 30 + joint % 5, 2)]
    images, annotations = [], []
    for number in range(1, 4):
        Image.new("RGB", (96, 64)).save(tmp_path / "data" / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 96, "height": 64})
        annotations.append({"id": number, "image_id": number, "category_id": 1, "bbox": [18, 28, 24, 10], "area": 200.0,
                            "iscrowd": 0, "keypoints": keypoints})  # fmt: skip
    categories = [{"id": 1, "name": "person", "keypoints": list(with_neck.names)}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "data" / "annotations.json").write_text(json.dumps(content))
    quick = replace(PRESETS["small"], train=replace(PRESETS["small"].train, workers=0, batch_size=2, bf16=False,
                                                    trunk_learning_rate=1e-4))  # fmt: skip
    monkeypatch.setitem(PRESETS, "quick", quick)
    checkpoint = tiny_r50.write_checkpoint(tmp_path / "official.pth", tiny_r50.tiny_network())
    options = ("--init", checkpoint, "--skeleton", skeleton_file, "--data", tmp_path / "data", "--preset", "quick")
    result = run(*options, "--images", 2, "--steps", 1, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "2 images, 2 persons with 18 joints" in result.output
    trained = load_network(tmp_path / "out" / "r50.safetensors", with_neck)
    assert (trained.config.num_keypoints, trained.config.short_side) == (18, 256)
    untrained = (tmp_path / "out" / "untrained.safetensors").read_bytes()
    longer = run(*options, "--images", 2, "--steps", 2, "--out", tmp_path / "out")
    assert longer.exit_code == 0 and "resumed" in longer.output, longer.output
    others = run(*options, "--images", 3, "--steps", 3, "--out", tmp_path / "out")
    assert others.exit_code == 2 and "data.0.dataset.labels is" in others.output, others.output
    elsewhere = tiny_r50.write_checkpoint(tmp_path / "other.pth", tiny_r50.tiny_network(seed=1))
    others = run(*options, "--init", elsewhere, "--images", 2, "--steps", 3, "--out", tmp_path / "out")
    assert others.exit_code == 2 and "to go on from the weights in untrained.safetensors" in others.output
    assert (tmp_path / "out" / "untrained.safetensors").read_bytes() == untrained
    (tmp_path / "data" / "images").rename(tmp_path / "photos")
    elsewhere = run(*options, "--photos", tmp_path / "photos", "--images", 1, "--steps", 1, "--out", tmp_path / "next")
    assert elsewhere.exit_code == 0 and "1 images, 1 persons" in elsewhere.output, elsewhere.output
    (tmp_path / "photos").rename(tmp_path / "data" / "images")
    too_many = run(*options, "--images", 9, "--out", tmp_path / "other")
    assert too_many.exit_code == 2 and "Expected 1 to 3 images, the photos with people, got 9" in too_many.output


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "Expected --init with a checkpoint for the network r50"),
        (["--init", "nowhere.pth"], "Expected Click-Pose weights in nowhere.pth"),
        (["--init", "nowhere.pth", "--preset", "huge"], "Expected a preset of paper, small"),
        (["--init", "nowhere.pth", "--model-skeleton", "none.yaml"], "Expected a skeleton file or one of"),
    ],
)
def test_wrong_use_is_one_sentence(options, sentence):
    result = run("--skeleton", "crowdpose", "--images", 0, *options)
    assert result.exit_code == 2 and sentence in result.output.replace("\n", " "), result.output
