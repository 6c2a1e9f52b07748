"""Fixtures of the backend tests; ``fakes`` is the module ``fake_predictor.py`` beside this file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _load(file_name: str, name: str) -> ModuleType:
    """Import a helper by path: with ``--import-mode=importlib`` this folder is not on ``sys.path``."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(file_name))
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def fakes() -> ModuleType:
    """FakePredictor, FakeImages, MemoryRegions and what they compute."""
    return _load("fake_predictor.py", "clickpose_test_fakes")


@pytest.fixture(scope="session")
def canned_server():
    """Context manager that runs a web server on a free port, with answers that the test sets."""
    return _load("web_server.py", "clickpose_test_web_server").canned_server
