"""Shared fixtures of the package's tests."""

from types import ModuleType

import pytest

from helpers import r50_training as r50_training_module
from helpers import tiny_lite as tiny_lite_module
from helpers import tiny_r50


# Until the last branch that asks for them is in: tests import these modules from helpers.
@pytest.fixture(scope="session")
def tiny_lite() -> ModuleType:
    return tiny_lite_module


@pytest.fixture(scope="session")
def r50() -> ModuleType:
    return tiny_r50


@pytest.fixture(scope="session")
def r50_training() -> ModuleType:
    return r50_training_module
