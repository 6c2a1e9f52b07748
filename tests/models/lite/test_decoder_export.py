"""The decoder as one ONNX graph: it answers as the predictor does, and says where it cannot."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from clickpose.calibration.posthoc import PlattCalibrator
from clickpose.image_io import read_image
from clickpose.lite.calibration import CCNetScores, PosthocScores
from clickpose.lite.decoder_export import OUTPUTS, decoder_file, export_decoder, read_fingerprint
from clickpose.lite.mirrored_views import FlipTestLite
from clickpose.lite.predictor import DEFAULT_FILE, LitePredictor
from clickpose.networks.ccnet import CCNet
from clickpose.networks.lite import LiteConfig, LiteNetwork
from clickpose.networks.lite_decoder import DecoderConfig
from clickpose.predictor import best_region, place_clicks
from clickpose.skeleton import COCO, Skeleton
from clickpose.structures import Clicks
from clickpose.weights_io import verify_checksum

DEMO = Path(__file__).resolve().parents[3] / "ml_backend" / "clickpose_labelstudio" / "demo"
PHOTOS = ("astronaut", "group-1", "group-2")


@pytest.fixture(scope="module")
def shipped():
    return LitePredictor.load(threads=1)


@lru_cache(maxsize=2)
def session_of(graph: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def run(graph: bytes, predictor, region, pose, views: int = 2) -> dict[str, np.ndarray]:
    """Answer clicks on a pose, its fixed joints placed, with the graph alone."""
    given = predictor.standalone_inputs(region)
    features = {name: array[:views] if array.ndim > 1 else array for name, array in given.items()}
    clicks = {"keypoints": pose.keypoints, "fixed": pose.fixed.astype(float), "box": pose.box_xyxy}
    return dict(zip(OUTPUTS, session_of(graph).run(list(OUTPUTS), features | clicks), strict=True))


def edits(predictor, photos=PHOTOS, count=8, seed=0):
    """Yield (region, pose, clicks) of random edits: 1 to 10 joints are put somewhere near, some have no place."""
    rng = np.random.default_rng(seed)
    joints = len(predictor.skeleton)
    for name in photos:
        predictor.set_image(read_image(DEMO / f"{name}.jpg"))
        poses, regions = predictor.predict(), predictor._regions
        for _ in range(count):
            pose = poses[int(rng.integers(len(poses)))]
            mask = np.zeros(joints, bool)
            mask[rng.choice(joints, rng.integers(1, 11), replace=False)] = True
            lost = (rng.random(joints) < 0.2) & ~mask
            pose = replace(pose, keypoints=np.where(lost[:, None], np.nan, pose.keypoints))
            moved = pose.keypoints + rng.normal(0, 0.05 * np.ptp(pose.box_xyxy[[1, 3]]), (joints, 2))
            clicks = Clicks(positions=np.where(mask[:, None], moved, np.nan), mask=mask)
            region = best_region(predictor, regions, place_clicks(pose, clicks))
            if region is not None:
                yield region, pose, clicks


def largest_differences(graph, predictor, some_edits) -> tuple[float, float, int]:
    """Return the largest differences from the predictor's own answers: px, scores; and how many edits there were."""
    places, scores, count = [0.0], [0.0], 0
    for region, pose, clicks in some_edits:
        count += 1
        expected = predictor.refine_region(region, pose, clicks)
        got = run(graph, predictor, region, place_clicks(pose, clicks))
        assert got["covered"] == 1
        np.testing.assert_array_equal(got["new_keypoints"][clicks.mask], clicks.positions[clicks.mask])
        places += [np.abs(got["new_keypoints"] - expected.keypoints).max()]
        places += [np.abs(got["new_box"] - expected.box_xyxy).max()]
        scores += [np.abs(got["keypoint_scores"] - expected.keypoint_scores).max()]
        scores += [np.abs(got["visibility_scores"] - expected.visibility_scores).max()]
        scores += [abs(float(got["instance_score"]) - expected.instance_score)]
    return max(places), max(scores), count


@pytest.mark.parametrize("flip", [True, False])
def test_the_graph_weighs_strong_starts_as_the_network_does(flip):
    """Poses of another network: browser and service move a right joint little, and the same."""
    predictor = make_predictor(flip=flip).for_strong_starts()
    graph = predictor.standalone_decoder()
    for seed in range(5):
        region, pose, clicks = random_edit(predictor, seed)
        rng = np.random.default_rng(seed)
        near = predictor.refine_region(region, pose, clicks).keypoints + rng.normal(0, 0.5, (len(COCO), 2))
        pose = replace(pose, keypoints=np.where(rng.random((len(COCO), 1)) < 0.8, near, pose.keypoints))
        expected, views = predictor.refine_region(region, pose, clicks), 2 if flip else 1
        got = run(graph, predictor, region, place_clicks(pose, clicks), views)
        np.testing.assert_allclose(got["new_keypoints"], expected.keypoints, atol=1e-3)
        np.testing.assert_allclose(got["keypoint_scores"], expected.keypoint_scores, atol=1e-5)
    plain = make_predictor(flip=flip).refine_region(region, pose, clicks)
    assert np.abs(plain.keypoints - expected.keypoints).max() > 0.1


@pytest.mark.slow
def test_the_shipped_graph_answers_as_the_shipped_network(shipped):
    graph = shipped.standalone_decoder()
    places, scores, count = largest_differences(graph, shipped, edits(shipped, count=70))
    print(f"{count} edits: at most {places:.1e} px and {scores:.1e} of a score apart")
    assert count >= 200
    assert places < 1e-3 and scores < 1e-5  # px of people 500 to 1,000 px high


def test_what_is_shipped_is_the_graph_of_the_shipped_network(shipped):
    file = decoder_file(DEFAULT_FILE)
    verify_checksum(file)
    assert read_fingerprint(file) == shipped.fingerprint
    assert shipped.standalone_decoder() == file.read_bytes()
    assert file.stat().st_size < 6_000_000


def test_one_view_is_the_network_without_its_mirror_image(shipped):
    plain = LitePredictor(shipped.network.network, shipped.detector, "plain")
    region, pose, clicks = next(edits(shipped, ("astronaut",)))
    alone = replace(region, features={name: array[:1] for name, array in region.features.items()})
    expected = plain.refine_region(alone, pose, clicks)
    got = run(shipped.standalone_decoder(), shipped, region, place_clicks(pose, clicks), views=1)
    assert np.abs(got["new_keypoints"] - expected.keypoints).max() < 1e-3
    assert np.abs(got["keypoint_scores"] - expected.keypoint_scores).max() < 1e-5
    both = shipped.refine_region(region, pose, clicks)
    assert np.abs(both.keypoints - expected.keypoints).max() > 0.1  # a wrong number of views would be seen


def test_it_says_where_the_square_cannot_serve(shipped):
    region, pose, clicks = next(edits(shipped, ("astronaut",)))
    graph, placed = shipped.standalone_decoder(), place_clicks(pose, clicks)
    assert run(graph, shipped, region, placed)["covered"] == 1
    joint = int(np.flatnonzero(placed.fixed)[0])
    outside = placed.keypoints.copy()
    outside[joint] = region.frame.origin + 0.01 * region.frame.side  # nearer to the border than covers allows
    beside = replace(placed, keypoints=outside)
    assert not shipped.covers(region, beside) and run(graph, shipped, region, beside)["covered"] == 0
    corner = np.concatenate([placed.box_xyxy[:2], placed.box_xyxy[:2] + 20])
    small = replace(placed, box_xyxy=corner, fixed=np.zeros_like(placed.fixed))
    assert best_region(shipped, [region], small) is None
    assert run(graph, shipped, region, small)["covered"] == 0


def make_predictor(skeleton=COCO, flip=True, **scores) -> LitePredictor:
    """Return a predictor of random weights whose decoder moves joints."""
    torch.manual_seed(0)
    config = DecoderConfig(len(skeleton), flip_pairs=skeleton.flip_pairs, dim=16, heads=2, layers=2, ffn_dim=24)
    network = LiteNetwork(LiteConfig(64, config))
    for head in (*network.decoder.keypoint_heads, *network.decoder.box_heads):
        torch.nn.init.normal_(head[-1].weight, std=0.3)
    seen = FlipTestLite(network, skeleton) if flip else network
    return LitePredictor(seen, None, "random", skeleton=skeleton, **scores)


HAND = Skeleton(
    name="hand", names=("wrist", "thumb", "index"), edges=((0, 1), (0, 2)), sigmas=(0.05, 0.06, 0.07), flip_pairs=()
)  # fmt: skip


def random_edit(predictor, seed=1):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (200, 220, 3), dtype=np.uint8)
    predictor.set_image(image)
    pose = predictor.predict(np.array([[20.0, 30.0, 120.0, 180.0]]))[0]
    mask = np.arange(len(predictor.skeleton)) == 1
    clicks = Clicks(positions=np.where(mask[:, None], [70.0, 90.0], np.nan), mask=mask)
    return predictor._regions[0], pose, clicks


def head(predictor):
    torch.manual_seed(1)
    made = CCNet(len(predictor.skeleton), 16)
    torch.nn.init.normal_(made.weight)
    return CCNetScores(made)


@pytest.mark.parametrize("skeleton", [COCO, HAND], ids=lambda skeleton: skeleton.name)
@pytest.mark.parametrize("flip", [True, False], ids=["flip test", "one view"])
@pytest.mark.parametrize("has_head", [True, False], ids=["CCNet head", "own scores"])
def test_other_weights_get_a_graph_of_their_own(skeleton, flip, has_head):
    predictor = make_predictor(skeleton, flip)
    if has_head:
        predictor.read_scores = head(predictor)
    region, pose, clicks = random_edit(predictor)
    expected = predictor.refine_region(region, pose, clicks)
    got = run(predictor.standalone_decoder(), predictor, region, place_clicks(pose, clicks))
    assert np.abs(expected.keypoints - pose.keypoints).max() > 1
    np.testing.assert_allclose(got["new_keypoints"], expected.keypoints, atol=1e-3)
    np.testing.assert_allclose(got["new_box"], expected.box_xyxy, atol=1e-3)
    np.testing.assert_allclose(got["keypoint_scores"], expected.keypoint_scores, atol=1e-5)
    np.testing.assert_allclose(got["visibility_scores"], expected.visibility_scores, atol=1e-5)


def test_scores_that_a_curve_calibrates_stay_with_the_predictor(caplog):
    predictor = make_predictor()
    scores = np.random.default_rng(1).uniform(0, 1, (200, 17))
    curve = PlattCalibrator().fit(scores, scores**2, np.ones((200, 17)))
    predictor.read_scores = PosthocScores(curve)
    assert predictor.standalone_decoder() is None
    assert "calibration curve" in caplog.text


def test_the_same_weights_give_the_same_bytes():
    first, second = (export_decoder(make_predictor()) for _ in range(2))
    assert first == second
