"""Shared fixtures of the package's tests."""

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The folder with data, weights and fixtures that is not part of the repository."""
    default = Path(__file__).resolve().parents[2] / ".." / "shared"
    folder = Path(os.environ.get("CLICKPOSE_SHARED", default))
    if not folder.is_dir():
        pytest.skip("the shared data folder is absent (set CLICKPOSE_SHARED to its path)")
    return folder


def _module(name: str) -> ModuleType:
    """Return a module of ``r50/`` by path, as tests are not on ``sys.path``."""
    spec = importlib.util.spec_from_file_location(
        f"clickpose_test_{name}", Path(__file__).parent / "r50" / f"{name}.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def r50() -> ModuleType:
    """The module ``r50/tiny_networks.py``: a tiny end-to-end network."""
    return _module("tiny_networks")


@pytest.fixture(scope="session")
def r50_training() -> ModuleType:
    """The module ``r50/training_rank.py``: a tiny network's training, and people made up for it."""
    return _module("training_rank")
