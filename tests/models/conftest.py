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


@pytest.fixture(scope="session")
def r50() -> ModuleType:
    """The module ``r50/tiny_networks.py``: a tiny end-to-end network, by path as tests are not on ``sys.path``."""
    path = Path(__file__).parent / "r50" / "tiny_networks.py"
    spec = importlib.util.spec_from_file_location("clickpose_test_r50", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
