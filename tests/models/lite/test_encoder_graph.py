"""Trunk and neck through ONNX Runtime: the same people as torch's, made once, done without where they cannot be had."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from clickpose.image_io import read_image
from clickpose.kept_files import KeptFiles
from clickpose.lite import encoder_graph
from clickpose.lite.adaptation import adapt_network
from clickpose.lite.encoder_graph import OnnxEncoder, encoder_of, torch_encoder
from clickpose.lite.mirrored_views import FlipTestLite
from clickpose.lite.predictor import LitePredictor
from clickpose.skeleton import COCO
from clickpose.skeleton_io import SKELETONS
from helpers import tiny_lite

DEMO = Path(__file__).resolve().parents[3] / "ml_backend" / "clickpose_labelstudio" / "demo"


@pytest.fixture
def kept(tmp_path):
    return KeptFiles(tmp_path / "encoders", ".graph")


@pytest.fixture(scope="module")
def graph():
    """The encoder of the tiny network as one file."""
    return encoder_graph.export_encoder(tiny_lite.make_network())


@pytest.fixture
def made(graph, monkeypatch):
    """One number for each graph that was made, which does not take its time."""
    numbers = []
    monkeypatch.setattr(encoder_graph, "export_encoder", lambda network: numbers.append(len(numbers)) or graph)
    return numbers


def largest_difference(one, other) -> float:
    """Between two encoded persons, relative to the largest number of each field."""
    pairs = [(a, b) for a, b in zip(one[1:], other[1:], strict=True)] + list(zip(one.maps, other.maps, strict=True))
    return max(float((a - b).abs().max() / a.abs().max()) for a, b in pairs)


@torch.inference_mode()
@pytest.mark.parametrize("flip", [False, True])
def test_people_are_encoded_as_torch_does_in_any_number(network, kept, made, flip):
    network = FlipTestLite(network, COCO).eval() if flip else network
    crops, prompts = tiny_lite.make_crops()
    for count, threads in ((1, 1), (3, 1), (1, 2), (3, 2)):
        encoder = OnnxEncoder(network, "tiny", threads=threads, kept=kept)
        expected, got = torch_encoder(network)(crops[:count], prompts[:count]), encoder(crops[:count], prompts[:count])
        if flip:
            assert torch.equal(got.prompt_norm, expected.prompt_norm) and len(got.views.initial_norm) == 2 * count
            expected, got = expected.views, got.views
        assert largest_difference(expected, got) < 1e-4
        assert got.maps[0].shape == expected.maps[0].shape
    wrong = encoder(crops[:1].flip(1), prompts[:1])  # blue and red exchanged
    right = torch_encoder(network)(crops[:1], prompts[:1])
    assert largest_difference(*(each.views if flip else each for each in (right, wrong))) > 1e-2


@torch.inference_mode()
def test_another_skeletons_network_is_encoded_too(network, kept):
    adapted, _ = adapt_network(network, COCO, SKELETONS["crowdpose"])
    crops, prompts = tiny_lite.make_crops()
    got = OnnxEncoder(adapted.eval(), "adapted", threads=1, kept=kept)(crops, prompts)
    assert got.initial_norm.shape == (3, 14, 2)
    assert largest_difference(torch_encoder(adapted)(crops, prompts), got) < 1e-4


def test_the_graph_is_made_once_and_again_where_it_is_damaged(network, kept, made):
    crops = tiny_lite.make_crops()

    def encode_anew(fingerprint="tiny"):
        OnnxEncoder(network, fingerprint, threads=1, kept=kept)(*crops)
        return len(made)

    assert [encode_anew(), encode_anew(), encode_anew("other weights"), encode_anew()] == [1, 1, 2, 2]
    (path,) = kept.folder.glob("lite-tiny-*")
    path.write_bytes(path.read_bytes()[:-100])
    assert [encode_anew(), encode_anew()] == [3, 3]


def test_threads_that_come_together_open_one_session_and_get_the_same(network, kept, made, monkeypatch):
    opened, open_session = [], encoder_graph.open_session
    monkeypatch.setattr(encoder_graph, "open_session", lambda *given: opened.append(given[-1]) or open_session(*given))
    encoder = OnnxEncoder(network, "tiny", threads=1, kept=kept)
    crops, found = tiny_lite.make_crops(), {}

    def encode(number):
        with torch.inference_mode():
            found[number] = encoder(*crops)

    threads = [threading.Thread(target=encode, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == [1]
    assert all(torch.equal(found[0].maps[0], found[number].maps[0]) for number in range(6))


@pytest.mark.parametrize(("threads", "each", "lanes"), [(1, 1, None), (2, 1, 2), (5, 2, 2)])
def test_the_two_views_of_a_person_share_the_threads(network, kept, made, monkeypatch, threads, each, lanes):
    opened, open_session = [], encoder_graph.open_session
    monkeypatch.setattr(encoder_graph, "open_session", lambda *given: opened.append(given[-1]) or open_session(*given))
    encoder = OnnxEncoder(network, "tiny", threads=threads, kept=kept)
    with torch.inference_mode():
        encoder(*tiny_lite.make_crops())
    assert opened == [each]
    assert (None if encoder._pool is None else encoder._pool._max_workers) == lanes


def test_where_no_graph_can_be_made_torch_encodes(network, kept, monkeypatch, caplog):
    def gone(*_):
        raise RuntimeError("this exporter was taken away")

    monkeypatch.setattr(encoder_graph, "export_encoder", gone)
    encoder, crops = OnnxEncoder(network, "tiny", threads=1, kept=kept), tiny_lite.make_crops()
    with torch.inference_mode():
        expected = torch_encoder(network)(*crops)
        for _ in range(2):
            assert torch.equal(encoder(*crops).initial_norm, expected.initial_norm)
    assert [record.message for record in caplog.records] == [
        "This network's encoder cannot be had apart: torch runs it"
    ]


def test_one_place_decides_and_a_gpu_has_torch(network):
    assert isinstance(encoder_of(network, "tiny", "cpu", 1), OnnxEncoder)
    assert not isinstance(encoder_of(network, "tiny", "cuda:1", 1), OnnxEncoder)
    with torch.inference_mode():
        (pair,) = {type(LitePredictor(network, None, "test").encoder)}  # of a network at hand, as in a training
    assert pair is not OnnxEncoder


def test_what_reads_scores_otherwise_shares_the_encoder(network, kept):
    encoder = OnnxEncoder(network, "tiny", threads=1, kept=kept)
    predictor = LitePredictor(network, None, "test", encoder=encoder)
    other = predictor.with_scores(lambda output: None)
    assert other.encoder is encoder and other.network is predictor.network and other.fingerprint == "test"


@pytest.mark.slow
def test_the_shipped_network_answers_as_with_torch():
    """Places to a ten-thousandth of the person's size, scores to 2e-4, also after a click. Regions are kept in half
    precision, and the last digit may be rounded the other way."""
    quick = LitePredictor.load(threads=1)
    assert isinstance(quick.encoder, OnnxEncoder)
    plain = LitePredictor(quick.network, quick.detector, quick.fingerprint, read_scores=quick.read_scores)
    places, scores, people = [], [], 0
    for photo in sorted(DEMO.glob("*.jpg")):
        answers = []
        for predictor in (quick, plain):
            predictor.set_image(read_image(photo))
            poses = predictor.predict()
            wrist = poses.keypoints[0, COCO.index("left_wrist")] + [12.0, -9.0]
            answers.append([*poses, predictor.refine(poses[0], {"left_wrist": wrist})])
        people += len(poses)
        for one, other in zip(*answers, strict=True):
            size = np.ptp(one.box_xyxy.reshape(2, 2), axis=0).max()
            places += [np.abs(one.keypoints - other.keypoints).max() / size]
            places += [np.abs(one.box_xyxy - other.box_xyxy).max() / size]
            scores += [np.abs(one.keypoint_scores - other.keypoint_scores).max()]
            scores += [np.abs(one.visibility_scores - other.visibility_scores).max()]
    print(f"{people} people: at most {max(places):.1e} of their size and {max(scores):.1e} of a score apart")
    assert people >= 9 and max(places) < 1e-4 and max(scores) < 2e-4


def test_nothing_is_opened_or_written_before_it_is_used(network, tmp_path, monkeypatch):
    """gunicorn with --preload: a session that the parent opened has threads that its children do not have."""
    monkeypatch.setenv("CLICKPOSE_CACHE_DIR", str(tmp_path))
    encoder = encoder_of(network, "tiny", "cpu", 2)
    assert encoder._session is None and not list(tmp_path.iterdir())
