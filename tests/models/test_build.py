"""Predictors by name."""

import sys
import types

import pytest
import torch

import clickpose
from clickpose.build import check_named
from clickpose.weights_io import WeightsError


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"Expected name to be one of 'lite', 'r50', got 'big'"):
        clickpose.load("big")


def test_weights_that_are_not_there_are_named_before_anything_is_loaded(tmp_path):
    with pytest.raises(WeightsError, match="Expected a checkpoint for the network r50, got none"):
        check_named("r50", None)
    with pytest.raises(WeightsError, match=r"Expected weights of the network lite at .*none\.safetensors, got nothing"):
        check_named("lite", tmp_path / "none.safetensors")
    check_named("r50", tmp_path)  # a folder of clickpose export


def test_options_reach_the_network(monkeypatch, tmp_path):
    mine = tmp_path / "my.safetensors"
    mine.touch()
    calls = []
    lite = types.SimpleNamespace(load=lambda checkpoint, **options: calls.append((checkpoint, options)) or "predictor")
    monkeypatch.setitem(sys.modules, "clickpose.lite.predictor", types.SimpleNamespace(LitePredictor=lite))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)  # also where there is no GPU
    assert clickpose.load("lite", checkpoint=mine, device="cuda", threads=2) == "predictor"
    assert clickpose.load() == "predictor"
    assert calls == [(mine, {"device": "cuda", "threads": 2}), (None, {"device": "cpu", "threads": None})]


def test_a_device_that_is_missing_is_named():
    with pytest.raises(
        ValueError, match=r"a device that this PyTorch can use, got 'cuda:93': it finds \d+ CUDA devices"
    ):
        clickpose.load("lite", device="cuda:93")
