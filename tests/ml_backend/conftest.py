"""Fixtures of the backend tests; ``fakes`` is the module ``fake_predictor.py`` beside this file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _load_fakes() -> ModuleType:
    """Import the fakes by path: with ``--import-mode=importlib`` this folder is not on ``sys.path``."""
    name = "clickpose_test_fakes"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("fake_predictor.py"))
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def fakes() -> ModuleType:
    """FakePredictor, FakeImages, MemoryRegions and what they compute."""
    return _load_fakes()
