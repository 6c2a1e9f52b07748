"""Checkpoints of the end-to-end network: the forms in which official files come, and what is said of wrong ones."""

import dataclasses
import logging

import pytest
import torch

from clickpose.r50 import checkpoint as checkpoint_module
from clickpose.r50.checkpoint import load_network, save_network, to_official
from clickpose.skeleton import COCO, Skeleton
from clickpose.weights_io import WeightsError
from helpers import tiny_r50

FOURTEEN = Skeleton("fourteen", tuple(f"joint {i}" for i in range(14)), (), (), (0.05,) * 14)


@pytest.fixture
def network():
    return tiny_r50.tiny_network()


@pytest.fixture(scope="module")
def write():
    return tiny_r50.write_checkpoint


def assert_same(loaded, network):
    assert loaded.config == network.config
    assert not loaded.training
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_the_official_form_loads_with_its_sizes_read_from_the_tensors(tmp_path, network, write):
    assert_same(load_network(write(tmp_path / "checkpoint.pth", network)), network)


@pytest.mark.parametrize("prefix", ["module.", "module.module."])
def test_distributed_names_load(tmp_path, network, prefix, write):
    state = {prefix + name: value for name, value in to_official(network.state_dict(), network.config).items()}
    assert_same(load_network(write(tmp_path / "checkpoint.pth", network, model=state)), network)


def test_the_moving_average_is_preferred(tmp_path, network, write):
    other = tiny_r50.tiny_network(seed=1)
    average = {f"module.{name}": value for name, value in to_official(other.state_dict(), other.config).items()}
    assert_same(load_network(write(tmp_path / "checkpoint.pth", network, ema_model=average)), other)


def test_half_precision_tensors_become_full(tmp_path, network, write):
    state = {name: value.half() for name, value in to_official(network.state_dict(), network.config).items()}
    loaded = load_network(write(tmp_path / "checkpoint.pth", network, model=state))
    assert {value.dtype for value in loaded.state_dict().values()} == {torch.float32}


def test_our_own_form_makes_the_round_trip(tmp_path, network):
    path = tmp_path / "trained.safetensors"
    save_network(path, network, COCO)
    loaded = load_network(path)
    assert loaded.config == network.config
    for name, value in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, atol=1e-3, rtol=1e-3)  # half precision


def test_the_licence_of_official_weights_is_shown_once(tmp_path, network, caplog, write):
    checkpoint_module._show_notice.cache_clear()
    path = write(tmp_path / "checkpoint.pth", network)
    with caplog.at_level(logging.WARNING):
        load_network(path)
        load_network(path)
    (record,) = caplog.records
    assert "non-commercial research only" in record.message
    save_network(tmp_path / "own.safetensors", network, COCO)
    checkpoint_module._show_notice.cache_clear()
    caplog.clear()
    load_network(tmp_path / "own.safetensors")
    assert not caplog.records


def test_another_number_of_keypoints_is_named(tmp_path, write):
    network = tiny_r50.tiny_network(dataclasses.replace(tiny_r50.TINY, num_keypoints=14))
    path = write(tmp_path / "crowdpose.pth", network)
    with pytest.raises(WeightsError, match=r"the 17 keypoints of skeleton 'coco', got 14 keypoints in .*crowdpose.pth"):
        load_network(path)
    assert load_network(path, FOURTEEN).config.num_keypoints == 14


def test_a_truncated_file_is_named(tmp_path, network, write):
    path = write(tmp_path / "checkpoint.pth", network)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(WeightsError, match="got a truncated file or no checkpoint"):
        load_network(path)


@pytest.mark.parametrize("text", ["hello\n", "root:x:0:0:root\n", "", "[1, 2]"])
def test_a_text_file_is_no_checkpoint(tmp_path, text):
    (tmp_path / "notes.txt").write_text(text)
    with pytest.raises(WeightsError, match=r"Expected Click-Pose weights in .*notes.txt, got a truncated file or no"):
        load_network(tmp_path / "notes.txt")


def test_missing_and_foreign_and_misshapen_tensors_are_counted_and_named(tmp_path, network, write):
    state = to_official(network.state_dict(), network.config)
    del state["bbox_embed.0.layers.1.bias"]
    state["extra.weight"] = torch.zeros(1)
    state["transformer.enc_output.bias"] = torch.zeros(7)
    path = write(tmp_path / "checkpoint.pth", network, model=state)
    expected = (
        r"1 missing \(bbox_embed.0.layers.1.bias\); 1 not of this network \(extra.weight\); "
        r"1 of another shape \(transformer.enc_output.bias is \(7,\) instead of \(32,\)\)"
    )
    with pytest.raises(WeightsError, match=expected):
        load_network(path)


def test_copies_that_differ_are_refused(tmp_path, network, write):
    state = to_official(network.state_dict(), network.config)
    state["transformer.decoder.class_embed.0.bias"] = torch.tensor([9.0, 9.0])
    with pytest.raises(WeightsError, match=r"Expected class_embed.0.bias and transformer.decoder.class_embed.0.bias"):
        load_network(write(tmp_path / "checkpoint.pth", network, model=state))


@pytest.mark.parametrize("content", [{"layer.weight": torch.zeros(2)}, {"model": {"a": torch.zeros(1)}}, [1, 2]])
def test_foreign_checkpoints_are_refused_with_a_sentence(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"Expected a (Click-Pose network|checkpoint with a model) in .*other.pth"):
        load_network(tmp_path / "other.pth")


class Malicious:
    def __reduce__(self):
        return print, ("executed",)


def test_no_code_of_a_checkpoint_is_run(tmp_path, capsys):
    torch.save({"model": Malicious()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match="no checkpoint of tensors"):
        load_network(tmp_path / "evil.pth")
    assert "executed" not in capsys.readouterr().out


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="got no readable file"):
        load_network(tmp_path / "nowhere.pth")
