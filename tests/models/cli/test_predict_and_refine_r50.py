"""predict and refine on the command line with a checkpoint of the end-to-end network (tiny, random)."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from clickpose import cli
from clickpose.data.coco_results import read_coco
from clickpose.skeleton import COCO
from helpers import tiny_r50


@pytest.fixture
def checkpoint(tmp_path):
    return tiny_r50.write_checkpoint(tmp_path / "tiny.pth", tiny_r50.tiny_network())


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (120, 100, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def test_predict_in_a_box_and_refine(checkpoint, photo, tmp_path):
    poses = tmp_path / "poses.json"
    model = ("--model", "r50", "--checkpoint", checkpoint)
    done = run("predict", photo, "--box", "10,10,60,90", "--json", poses, *model)
    assert done.exit_code == 0, done.output
    (before,) = read_coco(poses)[0].poses
    done = run("refine", photo, "--poses", poses, "--click", "left_wrist=40.25,50", "--json", poses, *model)
    assert done.exit_code == 0, done.output
    (after,) = read_coco(poses)[0].poses
    assert after.keypoints[COCO.index("left_wrist")].tolist() == [40.25, 50.0]
    assert np.abs(after.keypoints - before.keypoints).max(axis=1).min() > 0  # everything else moved


def test_without_a_checkpoint_a_sentence_says_that_one_is_needed(photo):
    done = run("predict", photo, "--model", "r50")
    assert done.exit_code == 2
    assert "Expected a checkpoint for the network r50, got none: its weights are not shipped" in done.output
