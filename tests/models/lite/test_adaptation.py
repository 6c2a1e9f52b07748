"""Another skeleton for a trained network: what joints start from, and that the old answers stay."""

from dataclasses import replace

import pytest
import torch

from clickpose.joint_origin import joint_origin
from clickpose.lite.adaptation import FLAT_HEATMAP_LOGIT, adapt_network
from clickpose.lite.weights import describe_skeleton, lite_config, load_lite
from clickpose.networks.lite import LiteNetwork
from clickpose.networks.lite_decoder import PoseQueries
from clickpose.networks.movenet import decode_heads, scale_pixels
from clickpose.skeleton import COCO, Skeleton
from clickpose.skeleton_io import SKELETONS, skeleton_to_json
from clickpose.weights_io import WeightsError, save_weights
from helpers import tiny_lite


def extended(edges=(("left_shoulder", "neck"), ("right_shoulder", "neck"), ("neck", "head_top"))) -> Skeleton:
    """COCO with a head top, put first, and a neck, put last."""
    names = ("head_top", *COCO.names, "neck")
    moved = tuple((a + 1, b + 1) for a, b in COCO.edges)
    new = tuple((names.index(a), names.index(b)) for a, b in edges)
    flips = tuple((a + 1, b + 1) for a, b in COCO.flip_pairs)
    return Skeleton("coco19", names, moved + new, flips, (0.08, *COCO.sigmas, 0.08))


@pytest.fixture
def network():
    network = tiny_lite.make_network(0.5)
    for layer in network.decoder.layers:
        torch.nn.init.normal_(layer.patch.offset.weight, std=0.1)
    return network


@pytest.fixture
def crops():
    return tuple(values[:2] for values in tiny_lite.make_crops())


def test_known_joints_are_matched_by_name_and_new_ones_are_means_of_neighbours():
    origin = joint_origin(COCO, extended())
    assert origin.known == (-1, *range(17), -1) and origin.added == (0, 18)
    shoulders = torch.zeros(17, dtype=torch.float64)
    shoulders[[5, 6]] = 0.5
    torch.testing.assert_close(origin.mixture[18], shoulders)
    torch.testing.assert_close(origin.mixture[0], shoulders)  # the head top's only neighbour is the neck
    torch.testing.assert_close(origin.mixture[1:18], torch.eye(17, dtype=torch.float64))


@torch.inference_mode()
def test_without_training_the_known_joints_stay_as_they_were(network, crops):
    adapted, _ = adapt_network(network, COCO, extended())
    before, after = network.encode(*crops).person, adapted.encode(*crops).person
    torch.testing.assert_close(after.initial_norm[:, 1:18], before.initial_norm, atol=0, rtol=0)
    generator = torch.Generator().manual_seed(2)
    keypoints = torch.rand(2, 3, 17, 2, generator=generator)
    fixed = torch.rand(2, 3, 17, generator=generator) < 0.3  # the first variant has clicks as well
    box = crops[1][:, None].expand(2, 3, 4)
    nobody = torch.zeros(2, 3, 1, dtype=torch.bool)
    new = torch.rand(2, 3, 1, 2, generator=generator)
    old_queries = PoseQueries(keypoints, fixed, box)
    new_queries = PoseQueries(torch.cat([new, keypoints, new], 2), torch.cat([nobody, fixed, nobody], 2), box)
    old, got = network.decode(before, old_queries), adapted.decode(after, new_queries)
    torch.testing.assert_close(got.keypoints_norm[..., 1:18, :], old.keypoints_norm, atol=1e-5, rtol=0)
    torch.testing.assert_close(got.boxes_norm, old.boxes_norm, atol=1e-5, rtol=0)
    torch.testing.assert_close(got.oks_logits[..., 1:18], old.oks_logits, atol=1e-4, rtol=0)
    torch.testing.assert_close(got.visibility_logits[..., 1:18], old.visibility_logits, atol=1e-4, rtol=0)
    # a click on a new joint, though, is heard by all of this variant, and by nobody else
    clicked = torch.cat([nobody, fixed, torch.tensor([True, False, False]).expand(2, 3)[..., None]], 2)
    heard = adapted.decode(after, new_queries._replace(fixed=clicked))
    moved = (heard.keypoints_norm - got.keypoints_norm)[-1].abs().amax(-1)  # (B, V, K)
    assert (moved[:, 0, 1:18][~fixed[:, 0]] > 1e-5).all()
    assert moved[:, 1:].max() == 0


@torch.inference_mode()
def test_a_new_joint_is_first_looked_for_in_the_middle_of_its_neighbours(network, crops):
    adapted, _ = adapt_network(network, COCO, extended())
    trunk = adapted.trunk(scale_pixels(crops[0]))
    assert (trunk.heatmap_logits[:, [0, 18]] == FLAT_HEATMAP_LOGIT).all()
    pose = decode_heads(trunk)
    middle = pose.regressed_input[:, [6, 7]].mean(1)
    torch.testing.assert_close(pose.regressed_input[:, 18], middle)
    inside = (middle > 0) & (middle < 60)
    assert inside.all(1).any()
    # to the nearest cell of four pixels, within the map
    assert ((pose.keypoints_input[:, 18] - middle).abs()[inside] <= 2.01).all()


def test_a_skeleton_in_another_order_keeps_each_joints_rows(network):
    crowdpose = SKELETONS["crowdpose"]
    adapted, origin = adapt_network(network, COCO, crowdpose)
    assert origin.added == (12, 13) and adapted.config.decoder.added == (12, 13)
    for joint, name in enumerate(crowdpose.names[:12]):
        known = COCO.index(name)
        assert torch.equal(adapted.decoder.codebook[1 + joint], network.decoder.codebook[1 + known])
        assert torch.equal(adapted.trunk.heatmap[1].weight[joint], network.trunk.heatmap[1].weight[known])
        for head in ("regression", "offset"):
            new, old = (getattr(n.trunk, head)[1].bias.view(-1, 2) for n in (adapted, network))
            assert torch.equal(new[joint], old[known])
    assert torch.equal(adapted.decoder.codebook[0], network.decoder.codebook[0])
    points = 16
    new, old = (n.decoder.layers[1].patch.project[0].weight.unflatten(1, (-1, points)) for n in (adapted, network))
    assert torch.equal(new[:, 40 + 4], old[:, 40 + COCO.index("left_wrist")])
    assert torch.equal(new[:, 40 + 14 :], old[:, 40 + 17 :])  # own and mirror heatmap
    assert not new[:, 40 + 12 : 40 + 14].any()


def test_every_new_weight_can_be_learned(network, crops):
    adapted, _ = adapt_network(network, COCO, extended())
    encoded = adapted.train().encode(*crops)
    fixed = torch.zeros(2, 1, 19, dtype=torch.bool)
    fixed[..., 18] = True
    queries = PoseQueries(encoded.person.initial_norm[:, None], fixed, crops[1][:, None])
    output = adapted.decode(encoded.person, queries)
    (output.keypoints_norm.sum() + encoded.trunk.heatmap_logits.sum() + encoded.trunk.offset.sum()).backward()
    columns = adapted.decoder.layers[0].patch.project[0].weight.grad.unflatten(1, (-1, 16))
    assert columns[:, [40, 58]].abs().sum() > 0 and adapted.decoder.codebook.grad[1].abs().sum() > 0
    assert adapted.trunk.heatmap[1].weight.grad[[0, 18]].abs().sum() > 0


def test_an_adapted_network_can_be_adapted_again(network):
    once, _ = adapt_network(network, COCO, extended())
    tail = replace(extended(), name="coco20", names=(*extended().names, "tail_bone"),
                   edges=(*extended().edges, (12, 19), (13, 19)), sigmas=(*extended().sigmas, 0.1))  # fmt: skip
    twice, origin = adapt_network(once, extended(), tail)
    assert origin.added == (19,) and twice.config.decoder.added == (0, 18, 19)


@pytest.mark.parametrize(
    ("new", "sentence"),
    [
        (Skeleton("cat", ("tail",), (), (), (0.1,)), "Expected joints of 'cat' among nose, left_eye"),
        (extended(edges=(("neck", "head_top"),)), "from the new joints to known ones, got none for head_top, neck"),
    ],
)
def test_skeletons_that_do_not_connect_are_refused(new, sentence):
    with pytest.raises(ValueError, match=sentence):
        joint_origin(COCO, new)


def test_the_weights_file_carries_its_skeleton(tmp_path):
    skeleton, path = extended(), tmp_path / "lite.safetensors"
    network = LiteNetwork(lite_config(skeleton, (0, 18)))
    save_weights(path, network.state_dict(), {"kind": "lite"} | describe_skeleton(skeleton, (0, 18)))
    loaded, found = load_lite(path)
    assert found == skeleton and loaded.config.decoder.added == (0, 18)
    assert describe_skeleton(COCO) == {"skeleton": "coco"}
    assert describe_skeleton(skeleton)["skeleton_definition"] == skeleton_to_json(skeleton)
    save_weights(path, network.state_dict(), {"kind": "lite", "skeleton": "coco19"})
    with pytest.raises(WeightsError, match=r"a known skeleton or a definition in .* got the name 'coco19' alone"):
        load_lite(path)
    save_weights(path, network.state_dict(), {"kind": "lite", "skeleton": "coco"})
    with pytest.raises(WeightsError, match="Expected the lite network's tensors in"):
        load_lite(path)
