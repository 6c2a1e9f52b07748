"""Two kinds of photos in one network: each crop is seen by the trunk of its kind, and one decoder refines them all."""

import pytest
import torch

from clickpose.kept_files import KeptFiles
from clickpose.lite import encoder_graph
from clickpose.lite.looks import KindRule, describe_looks
from clickpose.lite.mirrored_views import FlipTestLite
from clickpose.lite.predictor import DEFAULT_FILE, load_network, network_mark
from clickpose.lite.two_kinds import TwoKindsLite, copy_weights, known_kind_file, save_known_kind
from clickpose.lite.weights import load_lite
from clickpose.skeleton import COCO
from clickpose.weights_io import WeightsError, save_weights
from helpers.tiny_lite import make_crops, make_network, make_queries


@pytest.fixture
def kinds():
    """A tiny network for bright crops and one for dark ones, and both as one."""
    own, known = make_network(), make_network()
    with torch.no_grad():
        for part in (own.trunk, own.neck):
            for value in part.parameters():
                value.mul_(1.02)
    image, _ = make_crops()
    bright, dark = (describe_looks(known.trunk, crops).mean(0) for crops in (image, image // 8))
    weights = bright - dark
    rule = KindRule(weights, float((bright + dark) / 2 @ weights))
    return own, known, TwoKindsLite(own, known, rule, "before").eval()


def mixed():
    """A bright, a dark and a bright crop."""
    image, prompts = make_crops()
    image[1] //= 8
    return image, prompts


def close(one, other) -> bool:
    pairs = zip((*one.maps, *one[1:]), (*other.maps, *other[1:]), strict=True)
    return all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)


def row(person, index):
    """The encoding of one crop."""
    return type(person)(
        tuple(part[index : index + 1] for part in person.maps), *(x[index : index + 1] for x in person[1:])
    )


@torch.inference_mode()
def test_each_crop_goes_through_the_trunk_of_its_kind_and_keeps_its_place(kinds):
    own, known, both = kinds
    image, prompts = mixed()
    assert both.is_own(image).tolist() == [True, False, True]
    encoded = both.encode(image, prompts).person
    for index, network in enumerate((own, known, own)):
        crop = slice(index, index + 1)
        assert close(row(encoded, index), network.encode(image[crop], prompts[crop]).person)
    assert not close(row(encoded, 1), own.encode(image[1:2], prompts[1:2]).person)
    alone = both.encode(image[1:2], prompts[1:2])
    assert close(alone.person, known.encode(image[1:2], prompts[1:2]).person)


@torch.inference_mode()
def test_both_views_of_a_person_are_of_one_kind(kinds):
    own, known, both = kinds
    image, prompts = mixed()
    views = FlipTestLite(both, COCO).eval().encode(image, prompts).person
    for index, network in enumerate((own, known, own)):
        crop = slice(index, index + 1)
        expected = FlipTestLite(network, COCO).eval().encode(image[crop], prompts[crop]).person
        assert torch.allclose(views.views.maps[0][2 * index : 2 * index + 2], expected.views.maps[0], atol=1e-5)
        assert torch.allclose(views.initial_norm[crop], expected.initial_norm, atol=1e-5)


@torch.inference_mode()
def test_onnx_runtime_encodes_each_kind_as_torch_does(kinds, tmp_path, monkeypatch):
    monkeypatch.setattr(encoder_graph, "KeptFiles", lambda *_: KeptFiles(tmp_path, ".graph"))
    both = FlipTestLite(kinds[2], COCO).eval()
    image, prompts = mixed()
    got, expected = encoder_graph.encoder_of(both, "tiny", "cpu", 1)(image, prompts), both.encode(image, prompts).person
    assert torch.equal(got.prompt_norm, expected.prompt_norm)
    assert torch.allclose(got.views.initial_norm, expected.views.initial_norm, atol=1e-4)
    for one, other in zip(got.views.maps, expected.views.maps, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))
    names = {path.name.split("-")[1] for path in tmp_path.iterdir()}
    assert names == {"tiny", "before"}  # the graph of the weights before is shared with the network that has them


@torch.inference_mode()
def test_what_one_trunk_encoded_is_refined_as_before(kinds):
    _, known, both = kinds
    image, prompts = make_crops()
    image = image // 8
    queries = make_queries(3, 1)
    before = known.decode(known.encode(image, prompts).person, queries)
    after = both.decode(both.encode(image, prompts).person, queries)
    assert torch.allclose(before.keypoints_norm, after.keypoints_norm, atol=1e-5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Weights of another trunk than the shipped one, with the shipped one beside them."""
    weights = tmp_path_factory.mktemp("trained") / "lite.safetensors"
    network, _ = load_lite(DEFAULT_FILE)
    state = network.state_dict()
    state["trunk.stem.weight"] = -state["trunk.stem.weight"]
    save_weights(weights, state, {"kind": "lite", "skeleton": "coco"})
    save_known_kind(weights, DEFAULT_FILE, KindRule(torch.ones(80), 3.5))
    return weights


def test_files_are_read_as_they_were_written_and_change_the_mark(trained, tmp_path):
    both = load_network(trained, flip_test=False)
    shipped = load_lite(DEFAULT_FILE)[0]
    assert torch.equal(both.known.trunk.stem.weight, shipped.trunk.stem.weight)
    assert torch.equal(both.trunk.stem.weight, -shipped.trunk.stem.weight)
    assert (both.rule.threshold, both.rule.weights.tolist()) == (3.5, [1.0] * 80)
    assert both.known.decoder is both.decoder
    copy_weights(trained, tmp_path / "copy.safetensors")
    assert network_mark(tmp_path / "copy.safetensors") == network_mark(trained)
    known_kind_file(tmp_path / "copy.safetensors").unlink()
    assert network_mark(tmp_path / "copy.safetensors") != network_mark(trained)
    assert not isinstance(load_network(tmp_path / "copy.safetensors", flip_test=False), TwoKindsLite)


def test_a_file_of_other_weights_is_refused(trained, tmp_path):
    copy_weights(trained, tmp_path / "lite.safetensors")
    network, _ = load_lite(trained)
    save_weights(tmp_path / "lite.safetensors", network.state_dict(), {"kind": "lite", "skeleton": "coco", "run": "2"})
    with pytest.raises(WeightsError, match="that of other weights"):
        load_network(tmp_path / "lite.safetensors")
