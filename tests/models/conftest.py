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


def _module(path: str) -> ModuleType:
    """Return a module of these folders by its path, as tests are not on ``sys.path``."""
    file = Path(__file__).parent / path
    spec = importlib.util.spec_from_file_location(f"clickpose_test_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_lite() -> ModuleType:
    """The module ``lite/tiny_lite.py``: a tiny lite network, crops and queries for it."""
    return _module("lite/tiny_lite.py")


@pytest.fixture(scope="session")
def r50() -> ModuleType:
    """The module ``r50/tiny_networks.py``: a tiny end-to-end network."""
    return _module("r50/tiny_networks.py")


@pytest.fixture(scope="session")
def r50_training() -> ModuleType:
    """The module ``r50/training_rank.py``: a tiny network's training, and people made up for it."""
    return _module("r50/training_rank.py")
