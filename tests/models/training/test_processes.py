"""Joining the processes of one training; that two have the gradients of one is in r50/test_train.py."""

import pytest
import torch

from clickpose import extras
from clickpose.training.processes import backward, join_processes, mean_over_processes, rank_and_world, share_losses


def test_a_process_of_its_own_joins_nobody(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    assert join_processes("cuda:1") == "cuda:1"
    assert rank_and_world() == (0, 1)
    assert mean_over_processes(torch.tensor(3)) == 3.0
    model = torch.nn.Linear(1, 1)
    losses = share_losses(model, lambda value: {"l1": model(value).sum()})
    backward(losses(torch.full((1, 1), 7.0))["l1"])
    assert model.weight.grad.item() == 7.0


def test_several_processes_do_not_share_one_device(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ValueError, match=r"Expected cpu or cuda under torchrun, .* got cuda:1"):
        join_processes("cuda:1")


def test_the_missing_extra_is_named(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=r'Expected lightning_fabric to be installed: pip install "clickpose\[train\]"'
    ):
        join_processes("cpu")
