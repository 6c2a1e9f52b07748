"""Predictors by name."""

import sys
import types

import pytest
import torch

import clickpose


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"Expected name to be one of 'lite', 'r50', got 'big'"):
        clickpose.load("big")


def test_options_reach_the_network(monkeypatch):
    calls = []
    lite = types.SimpleNamespace(load=lambda checkpoint, **options: calls.append((checkpoint, options)) or "predictor")
    monkeypatch.setitem(sys.modules, "clickpose.lite.predictor", types.SimpleNamespace(LitePredictor=lite))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)  # also where there is no GPU
    assert clickpose.load("lite", checkpoint="my.safetensors", device="cuda", threads=2) == "predictor"
    assert clickpose.load() == "predictor"
    assert calls == [("my.safetensors", {"device": "cuda", "threads": 2}), (None, {"device": "cpu", "threads": None})]


def test_a_device_that_is_missing_is_named():
    with pytest.raises(
        ValueError, match=r"a device that this PyTorch can use, got 'cuda:93': it finds \d+ CUDA devices"
    ):
        clickpose.load("lite", device="cuda:93")
