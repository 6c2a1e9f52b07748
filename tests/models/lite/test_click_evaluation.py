"""The batched evaluation of the lite network: clicks hold, loops and restrictions do what they say."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from clickpose.data.records import PersonRecord
from clickpose.evaluation.click_protocol import ClickProtocol
from clickpose.lite.click_evaluation import evaluate_clicks
from clickpose.networks.lite import LiteConfig, LiteNetwork
from clickpose.networks.lite_decoder import DecoderConfig
from clickpose.skeleton import COCO

TINY = LiteConfig(64, DecoderConfig(flip_pairs=COCO.flip_pairs, dim=16, heads=2, layers=2, ffn_dim=24))


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory):
    """Evaluate a network that moves joints at random, over three people: 17, 17 and 4 labelled joints."""
    path = tmp_path_factory.mktemp("people") / "a.png"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)).save(path)
    people = []
    for number, labelled in enumerate((17, 17, 4)):
        keypoints = rng.uniform([20, 10], [80, 80], (17, 2))
        visibility = np.where(np.arange(17) < labelled, 2, 0)
        box = np.array([18.0, 8, 84, 82])
        people.append(PersonRecord(number, path, (90, 120), keypoints, visibility, box, 2600.0, True))
    torch.manual_seed(0)
    network = LiteNetwork(TINY).eval()
    for head in (*network.decoder.keypoint_heads, *network.decoder.box_heads):
        torch.nn.init.normal_(head[-1].weight, std=0.3)
    return partial(evaluate_clicks, network, people, COCO)


def test_after_all_clicks_everybody_is_right_and_terms_make_up_the_curve(evaluate):
    result = evaluate(ClickProtocol(clicks=17), batch_size=2)
    assert result.refined_terms.shape == (3, 18, 17) and result.refined.oks.shape == (3, 18)
    assert result.refined.oks[:, 0].max() < 0.9
    np.testing.assert_allclose(result.refined.oks[:, 17], 1, atol=1e-5)
    np.testing.assert_allclose(result.refined.oks[2, 4:], 1, atol=1e-5)  # four joints, four clicks
    means = (result.refined_terms * result.labelled[:, None]).sum(2) / result.labelled.sum(1)[:, None]
    np.testing.assert_allclose(means, result.refined.oks, atol=1e-6)
    np.testing.assert_allclose(result.manual.oks[:, 0], result.refined.oks[:, 0], atol=1e-6)
    np.testing.assert_allclose(result.curve_over(range(17)).oks, result.refined.oks, atol=1e-6)


def test_batches_do_not_change_figures(evaluate):
    one, three = (evaluate(ClickProtocol(clicks=3), batch_size=size).refined.oks for size in (1, 3))
    np.testing.assert_allclose(one, three, atol=1e-4)


def test_once_and_progressive_agree_on_the_first_click_and_on_the_last(evaluate):
    progressive, once = (evaluate(ClickProtocol(clicks=17, loop=loop)).refined.oks for loop in ("progressive", "once"))
    np.testing.assert_allclose(once[:, :2], progressive[:, :2], atol=1e-6)
    assert np.abs(once[:2, 2:8] - progressive[:2, 2:8]).max() > 1e-3
    np.testing.assert_allclose(once[:, 17], 1, atol=1e-5)


def test_restricted_clicks_put_those_joints_right_and_no_others(evaluate):
    legs = tuple(COCO.names[joint] for joint in COCO.parts["legs"])
    result = evaluate(ClickProtocol(clicks=8, joints=legs))
    np.testing.assert_allclose(result.curve_over(COCO.parts["legs"]).oks[:, 6:], 1, atol=1e-5)
    assert len(result.curve_over(COCO.parts["legs"]).oks) == 2  # the third person has none labelled
    assert result.curve_over(COCO.parts["arms"]).oks[:, 8].max() < 0.9
    # nothing to click for the third person: its pose is decoded again and again, and stays free
    assert result.refined.oks[2].max() < 1


@pytest.mark.parametrize("strategy", ["random", "lowest_score"])
def test_other_strategies_reach_everything_too(evaluate, strategy):
    protocol = ClickProtocol(strategy, clicks=17)
    oks = evaluate(protocol).refined.oks
    np.testing.assert_allclose(oks[:, 17], 1, atol=1e-5)
    np.testing.assert_array_equal(evaluate(protocol).refined.oks, oks)  # the seed fixes the random ones
    noisy = evaluate(replace(protocol, noise_sigmas=0.25)).refined.oks
    assert 0.8 < noisy[:2, 17].mean() < 0.99  # E exp(-r²/2) of noise 0.25 along each axis is 1 / (1 + 0.25²) = .94


def test_the_farthest_joint_needs_the_photos_sizes(evaluate):
    with pytest.raises(ValueError, match="in batches, got 'farthest'"):
        evaluate(ClickProtocol("farthest"))
