"""Until the last branch that asks for them is in: tests import these from helpers."""

from types import ModuleType

import pytest

from helpers import fakes as fakes_module
from helpers import web_server


@pytest.fixture(scope="session")
def fakes() -> ModuleType:
    return fakes_module


@pytest.fixture(scope="session")
def canned_server():
    return web_server.canned_server
