"""The flip test: one answer of two views, the same for a mirrored photo, never moving what a human placed."""

import math

import numpy as np
import pytest
import torch

from clickpose.lite.mirrored_views import FlipTestLite, merge_views, mirror_boxes
from clickpose.lite.predictor import LitePredictor, load_network
from clickpose.lite.weights import describe_skeleton, lite_config
from clickpose.networks.lite import LiteNetwork
from clickpose.networks.lite_decoder import DecoderOutput, PoseQueries
from clickpose.predictor import EncodedRegion
from clickpose.skeleton import COCO
from clickpose.skeleton_io import SKELETONS
from clickpose.structures import Clicks, Pose
from clickpose.weights_io import save_weights
from helpers import tiny_lite

MIRROR = torch.tensor(COCO.flip_indices.tolist())
SIGMAS = torch.tensor(COCO.sigmas)


@pytest.fixture
def flip_test(network):
    return FlipTestLite(network, COCO).eval()


@pytest.fixture
def batch():
    return tiny_lite.make_crops()


@pytest.fixture
def clicked_queries():
    return tiny_lite.make_queries


def mirrored(queries):
    x, y = queries.keypoints_norm[..., MIRROR, :].unbind(-1)
    return PoseQueries(torch.stack([1 - x, y], -1), queries.fixed[..., MIRROR], mirror_boxes(queries.box_norm))


@torch.inference_mode()
@pytest.mark.parametrize("clicks", [False, True])
def test_a_mirrored_photo_gives_the_mirrored_pose(flip_test, batch, clicks, clicked_queries):
    image, prompt = batch
    person = flip_test.encode(image, prompt).person
    other = flip_test.encode(image.flip(-1), mirror_boxes(prompt)).person
    queries = clicked_queries(3, 2) if clicks else flip_test.initial_queries(person)
    output = flip_test.decode(person, queries)
    turned = flip_test.decode(other, mirrored(queries) if clicks else flip_test.initial_queries(other))
    x, y = turned.keypoints_norm[-1][..., MIRROR, :].unbind(-1)
    torch.testing.assert_close(torch.stack([1 - x, y], -1), output.keypoints_norm[-1], atol=1e-4, rtol=0)
    torch.testing.assert_close(mirror_boxes(turned.boxes_norm), output.boxes_norm, atol=1e-4, rtol=0)
    torch.testing.assert_close(turned.oks_logits[..., MIRROR], output.oks_logits, atol=1e-3, rtol=0)
    torch.testing.assert_close(turned.visibility_logits[..., MIRROR], output.visibility_logits, atol=1e-3, rtol=0)


@torch.inference_mode()
def test_one_view_alone_is_not_symmetric(network, batch):
    image, prompt = batch
    person, other = network.encode(image, prompt).person, network.encode(image.flip(-1), mirror_boxes(prompt)).person
    pose = network.decode(person, network.initial_queries(person)).keypoints_norm[-1]
    turned = network.decode(other, network.initial_queries(other)).keypoints_norm[-1][..., MIRROR, :]
    assert (turned[..., 0] + pose[..., 0] - 1).abs().max() > 0.05


@torch.inference_mode()
def test_fixed_joints_stay_to_the_last_bit_in_every_layer(flip_test, batch, clicked_queries):
    queries = clicked_queries(3, 2)
    output = flip_test.decode(flip_test.encode(*batch).person, queries)
    moved = (output.keypoints_norm != queries.keypoints_norm).any(-1)
    assert output.keypoints_norm.shape == (2, 3, 2, 17, 2)
    assert not moved[:, queries.fixed].any()
    assert moved[:, ~queries.fixed].all()


@torch.inference_mode()
def test_persons_do_not_see_each_other(flip_test, batch, clicked_queries):
    image, prompt = batch
    queries = clicked_queries(3, 1)
    together = flip_test.decode(flip_test.encode(image, prompt).person, queries)
    for i in range(3):
        person = flip_test.encode(image[i : i + 1], prompt[i : i + 1]).person
        alone = flip_test.decode(person, PoseQueries(*(field[i : i + 1] for field in queries)))
        torch.testing.assert_close(alone.keypoints_norm[:, 0], together.keypoints_norm[:, i], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_the_trunks_own_pose_is_that_of_the_view_as_it_is(network, flip_test, batch):
    person = flip_test.encode(*batch).person
    torch.testing.assert_close(person.initial_norm, network.encode(*batch).person.initial_norm)
    assert torch.equal(person.prompt_norm, batch[1])


def answer(x, logit):
    keypoints = torch.full((1, 1, 1, 17, 2), 0.5)
    keypoints[..., 0] = x
    box = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 1, 1, 4)
    return DecoderOutput(
        keypoints_norm=keypoints,
        boxes_norm=box,
        oks_logits=torch.full((1, 1, 17), logit),
        visibility_logits=torch.zeros(1, 1, 17),
        tokens=torch.full((1, 1, 17, 4), x),
    )


def test_views_that_agree_keep_their_score():
    merged = merge_views(answer(0.4, 1.0), answer(0.4, 2.0), SIGMAS)
    assert merged.keypoints_norm[..., 0].flatten().tolist() == pytest.approx([0.4] * 17)
    torch.testing.assert_close(merged.oks_logits, torch.full((1, 1, 17), 1.5))


def test_views_that_disagree_score_less_by_their_oks_of_the_middle():
    """Both a distance d from the middle: predicted OKS falls by exp(-d² / (2 · area · (2 sigma)²))."""
    distance, logit = 0.02, 0.7
    merged = merge_views(answer(0.5 - distance, logit), answer(0.5 + distance, logit), SIGMAS)
    assert merged.keypoints_norm[..., 0].flatten().tolist() == pytest.approx([0.5] * 17)
    expected = [
        math.exp(-(distance**2) / (2 * 0.53 * (2 * sigma) ** 2)) / (1 + math.exp(-logit)) for sigma in COCO.sigmas
    ]
    assert merged.oks_logits.sigmoid().flatten().tolist() == pytest.approx(expected, rel=1e-4)
    assert merged.tokens.flatten().tolist() == pytest.approx([0.5] * 68)


def test_the_surer_view_decides():
    """Odds of 9 to 1 at a predicted OKS of .9 against .5: nine tenths of the way."""
    merged = merge_views(answer(0.2, math.log(9)), answer(0.6, 0.0), SIGMAS)
    assert merged.keypoints_norm[..., 0].flatten().tolist() == pytest.approx([0.2 * 0.9 + 0.6 * 0.1] * 17)


def test_the_predictor_keeps_both_views_and_serves_clicks_from_the_cache(flip_test):
    predictor = LitePredictor(flip_test, None, "test")
    image = np.random.default_rng(0).integers(0, 256, (240, 260, 3), dtype=np.uint8)
    boxes = np.array([[20.0, 30.0, 120.0, 220.0], [150.0, 40.0, 230.0, 200.0]])
    regions = predictor.encode(image, boxes)
    assert {array.shape[0] for region in regions for array in region.features.values()} == {2}
    poses = predictor.decode(regions)
    kept = EncodedRegion.from_bytes(regions[1].to_bytes())
    click = Clicks.from_mapping(COCO, {"left_wrist": (170.125, 99.3)})
    refined = predictor.refine_region(kept, poses[1], click)
    wrist = COCO.names.index("left_wrist")
    assert refined.keypoints[wrist].tolist() == [170.125, 99.3]
    assert np.abs(refined.keypoints - poses[1].keypoints).max(axis=1)[: wrist - 1].min() > 1e-3
    assert np.array_equal(predictor.decode([regions[0], kept]).keypoints, poses.keypoints)


def test_mirrored_images_give_mirrored_people_through_the_predictor(flip_test):
    predictor = LitePredictor(flip_test, None, "test")
    image = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    box = np.array([[60.0, 20.0, 160.0, 180.0]])
    pose = predictor.decode(predictor.encode(image, box))[0]
    other = predictor.decode(predictor.encode(image[:, ::-1].copy(), np.array([[140.0, 20.0, 240.0, 180.0]])))[0]
    turned = other.keypoints[COCO.flip_indices] * [-1, 1] + [300, 0]
    np.testing.assert_allclose(turned, pose.keypoints, atol=0.5)


@torch.inference_mode()
def test_tokens_follow_their_joints(flip_test):
    image = torch.randint(0, 256, (1, 3, 64, 64), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    prompt = torch.tensor([[0.1, 0.1, 0.8, 0.9]])
    outputs = []
    for person in (
        flip_test.encode(image, prompt).person,
        flip_test.encode(image.flip(-1), mirror_boxes(prompt)).person,
    ):
        outputs.append(flip_test.decode(person, flip_test.initial_queries(person)))
    torch.testing.assert_close(outputs[1].tokens[..., MIRROR, :], outputs[0].tokens, atol=1e-3, rtol=0)


def test_disagreement_counts_in_the_last_layer_by_the_persons_size_and_the_odds():
    """Two layers; last box 0.4 wide, 0.5 high; views at 0.45 (odds 3) and 0.49 (odds 1), so merged at 0.46."""

    def answer(x, odds):
        keypoints = torch.full((2, 1, 1, 17, 2), 0.5)
        keypoints[0, ..., 0], keypoints[1, ..., 0] = 0.9 * x, x
        box = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.2, 0.3, 0.6, 0.8]])[:, None, None]
        logits = torch.full((1, 1, 17), float(np.log(odds)))
        return DecoderOutput(
            keypoints_norm=keypoints,
            boxes_norm=box,
            oks_logits=logits,
            visibility_logits=torch.zeros(1, 1, 17),
            tokens=torch.zeros(1, 1, 17, 4),
        )

    merged = merge_views(answer(0.45, 3.0), answer(0.49, 1.0), SIGMAS)
    assert merged.keypoints_norm[-1, ..., 0].flatten().tolist() == pytest.approx([0.46] * 17)
    scale = 2 * 0.53 * 0.4 * 0.5 * (2 * COCO.sigma_array) ** 2
    agreement = 0.75 * np.exp(-(0.01**2) / scale) + 0.25 * np.exp(-(0.03**2) / scale)
    expected = agreement * np.sqrt(3) / (1 + np.sqrt(3))
    np.testing.assert_allclose(merged.oks_logits.sigmoid().flatten(), expected, rtol=1e-4)


def test_the_cache_keeps_the_features_of_either_view(flip_test, network):
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    seen = {}
    encode = network.encode
    network.encode = lambda *args: seen.setdefault("out", encode(*args))
    (region,) = LitePredictor(flip_test, None, "test").encode(image, np.array([[8.0, 4.0, 56.0, 60.0]]))
    person = seen["out"].person
    for level, maps in enumerate(person.maps):
        np.testing.assert_array_equal(region.features[f"map{level}"], maps.half().numpy())
    assert (region.features["map0"][0] != region.features["map0"][1]).any()
    for name in ("candidates_norm", "candidate_scores", "initial_norm", "prompt_norm"):
        np.testing.assert_array_equal(region.features[name], getattr(person, name).numpy())


def test_zero_clicks_from_nowhere_is_the_first_prediction(flip_test):
    predictor = LitePredictor(flip_test, None, "test")
    image = np.random.default_rng(0).integers(0, 256, (240, 260, 3), dtype=np.uint8)
    box = np.array([20.0, 30.0, 120.0, 220.0])
    (region,) = predictor.encode(image, box[None])
    base = predictor.decode([region])[0]
    nowhere = Pose.from_keypoints(COCO, np.full((17, 2), np.nan), box)
    again = predictor.refine_region(region, nowhere, Clicks(positions=np.zeros((17, 2)), mask=np.zeros(17, bool)))
    np.testing.assert_allclose(again.keypoints, base.keypoints, atol=1e-3)


@pytest.mark.parametrize("name", ["coco", "crowdpose"])
def test_weights_are_loaded_with_the_flip_test_of_their_joints(tmp_path, name):
    skeleton = SKELETONS[name]
    state = LiteNetwork(lite_config(skeleton)).state_dict()
    path = tmp_path / "w.safetensors"
    save_weights(path, state, {"kind": "lite", **describe_skeleton(skeleton)})
    loaded = load_network(path)
    assert isinstance(loaded, FlipTestLite)
    assert loaded.mirror_joints.tolist() == skeleton.flip_indices.tolist()
    assert loaded.sigmas.tolist() == pytest.approx(skeleton.sigmas)
    assert isinstance(load_network(path, flip_test=False), LiteNetwork)


def test_regions_of_the_other_kind_are_refused(flip_test, network):
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    box = np.array([[8.0, 4.0, 56.0, 60.0]])
    paired, plain = LitePredictor(flip_test, None, "test"), LitePredictor(network, None, "test")
    with pytest.raises(ValueError, match="Expected regions with 1 view of a person, got one with 2: encode"):
        plain.decode(paired.encode(image, box))
    with pytest.raises(ValueError, match="Expected regions with 2 views of a person, got one with 1: encode"):
        paired.decode(plain.encode(image, box))
