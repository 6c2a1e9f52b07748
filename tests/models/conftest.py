"""Shared fixtures of the package's tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The folder with data, weights and fixtures that is not part of the repository."""
    default = Path(__file__).resolve().parents[2] / ".." / "shared"
    folder = Path(os.environ.get("CLICKPOSE_SHARED", default))
    if not folder.is_dir():
        pytest.skip("the shared data folder is absent (set CLICKPOSE_SHARED to its path)")
    return folder
