"""Shared fixtures of the metrics' tests."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def reference():
    """The helper module ``reference.py``, by path: with ``--import-mode=importlib`` its folder is not searched."""
    spec = importlib.util.spec_from_file_location("metrics_reference", Path(__file__).with_name("reference.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
