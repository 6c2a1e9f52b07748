"""The lite network in a tiny configuration: gradients, invariances, held clicks."""

import pytest
import torch

from clickpose.networks.lite import LiteNetwork, heatmap_peaks
from clickpose.networks.lite_decoder import PoseQueries, sine_embedding
from clickpose.networks.movenet import decode_heads
from clickpose.skeleton import COCO
from helpers import tiny_lite


@pytest.fixture
def network():
    return tiny_lite.make_network(0.5)


@pytest.fixture
def batch():
    return tiny_lite.make_crops()


@pytest.fixture
def random_queries():
    return tiny_lite.make_queries


@torch.inference_mode()
def test_fixed_joints_stay_in_every_layer_and_others_move(network, batch, random_queries):
    person = network.encode(*batch).person
    queries = random_queries(3, 2)
    output = network.decode(person, queries)
    moved = (output.keypoints_norm != queries.keypoints_norm).any(-1)  # (L, B, V, K)
    assert output.keypoints_norm.shape == (2, 3, 2, 17, 2)
    assert not moved[:, queries.fixed].any()
    assert moved[:, ~queries.fixed].all()


@torch.inference_mode()
def test_persons_and_variants_do_not_see_each_other(network, batch, random_queries):
    image, prompt = batch
    queries = random_queries(3, 2)
    together = network.decode(network.encode(image, prompt).person, queries)
    for i in range(3):
        person = network.encode(image[i : i + 1], prompt[i : i + 1]).person
        for v in range(2):
            alone = network.decode(person, PoseQueries(*(q[i : i + 1, v : v + 1] for q in queries)))
            torch.testing.assert_close(
                alone.keypoints_norm[:, 0, 0], together.keypoints_norm[:, i, v], atol=1e-5, rtol=0
            )
            torch.testing.assert_close(alone.oks_logits[0, 0], together.oks_logits[i, v], atol=1e-4, rtol=0)


@torch.inference_mode()
def test_a_joint_is_offered_its_own_peaks_then_its_mirror_joints_then_the_regressed_point(network, batch):
    """A left/right inversion can only be mended where the other side's peaks are on offer, with their values."""
    image, prompt = batch
    encoded = network.encode(image, prompt)
    person, trunk = encoded.person, encoded.trunk
    peaks, values = heatmap_peaks(trunk.heatmap_logits, 4)
    pose = decode_heads(trunk)
    assert person.candidates_norm.shape == (3, 17, 9, 2) and person.candidate_scores.shape == (3, 17, 9)
    for joint, mirror in enumerate(COCO.flip_indices.tolist()):
        assert torch.equal(person.candidates_norm[:, joint, :4], peaks[:, joint])
        assert torch.equal(person.candidates_norm[:, joint, 4:8], peaks[:, mirror])
        assert torch.equal(person.candidate_scores[:, joint, :4], values[:, joint])
        assert torch.equal(person.candidate_scores[:, joint, 4:8], values[:, mirror])
    torch.testing.assert_close(person.candidates_norm[:, :, 8], pose.regressed_input / 64)
    assert torch.equal(person.candidate_scores[:, :, 8], pose.heatmap_scores)
    torch.testing.assert_close(person.initial_norm, pose.keypoints_input / 64)
    assert torch.equal(person.maps[0][:, -17:], trunk.heatmap_logits.float())
    assert torch.equal(person.prompt_norm, prompt)


def test_each_query_reads_its_own_and_its_mirror_joints_heatmap(network):
    """Channels are 100 + joint for the heatmaps of the finest map; the box query has none of its own."""
    patch = network.decoder.layers[0].patch
    channels = torch.cat([torch.zeros(5), 100 + torch.arange(17.0)])
    read = patch._own_and_mirror(channels[:, None].expand(1, 2, 18, -1, 4))
    assert read.shape == (1, 2, 18, 2, 4) and not read[:, :, 0].any()
    for joint, mirror in enumerate(COCO.flip_indices.tolist()):
        assert (read[:, :, 1 + joint, 0] == 100 + joint).all() and (read[:, :, 1 + joint, 1] == 100 + mirror).all()


def test_a_click_changes_other_joints_of_the_person(network, batch, random_queries):
    with torch.inference_mode():
        person = network.encode(*batch).person
        queries = random_queries(3, 1)
        clicked = queries.keypoints_norm.clone()
        clicked[1, 0, 9] += 0.2
        fixed = queries.fixed.clone()
        fixed[1, 0, 9] = True
        before = network.decode(person, queries).keypoints_norm[-1]
        after = network.decode(person, queries._replace(keypoints_norm=clicked, fixed=fixed)).keypoints_norm[-1]
    free = ~fixed[1, 0]
    assert (after[1, 0, free] - before[1, 0, free]).abs().max() > 1e-5
    assert torch.equal(after[[0, 2]], before[[0, 2]])


def test_every_parameter_gets_a_finite_gradient(network, batch, random_queries):
    network.train()
    encoded = network.encode(*batch)
    output = network.decode(encoded.person, random_queries(3, 2)._replace(fixed=torch.eye(17)[:6].view(3, 2, 17) > 0))
    heads = (encoded.trunk.center_logits, encoded.trunk.heatmap_logits, encoded.trunk.regression, encoded.trunk.offset)
    loss = sum(value.square().mean() for value in (*output, *heads))
    loss.backward()
    missing = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert missing == []


def test_state_dict_round_trip(network, batch, random_queries, tmp_path):
    torch.save(network.state_dict(), tmp_path / "w.pt")
    other = LiteNetwork(tiny_lite.CONFIG).eval()
    other.load_state_dict(torch.load(tmp_path / "w.pt", weights_only=True))
    with torch.inference_mode():
        first, second = (n.decode(n.encode(*batch).person, random_queries(3, 1)) for n in (network, other))
    assert torch.equal(first.keypoints_norm, second.keypoints_norm)


def test_heatmap_peaks_are_local_maxima_in_order():
    heat = torch.full((1, 1, 8, 8), -9.0)
    heat[0, 0, 1, 2], heat[0, 0, 1, 3], heat[0, 0, 6, 5] = 1.0, 3.0, 2.0  # (1, 2) stands beside the higher (1, 3)
    positions, values = heatmap_peaks(heat, 2)
    assert positions[0, 0].tolist() == [[3.5 / 8, 1.5 / 8], [5.5 / 8, 6.5 / 8]]
    torch.testing.assert_close(values[0, 0], torch.tensor([3.0, 2.0]).sigmoid())


def test_positions_are_embedded_from_one_to_256_half_turns():
    half = 2**0.5 / 2  # of 1/4 and of 64 half turns: an eighth of a turn, and whole ones
    torch.testing.assert_close(
        sine_embedding(torch.tensor([0.25]), 4), torch.tensor([half, 0.0, half, 1.0]), atol=1e-4, rtol=0
    )
