"""The examples in the docstrings are true."""

import doctest
import importlib
import pkgutil

import pytest

import clickpose.metrics

MODULES = [module.name for module in pkgutil.iter_modules(clickpose.metrics.__path__)]
WITH_EXAMPLES = ("bootstrap", "correlation", "oks", "pck", "ranked_precision", "reliability", "risk_coverage")


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name):
    result = doctest.testmod(importlib.import_module(f"clickpose.metrics.{name}"))
    assert result.failed == 0
    assert result.attempted > 0 or name not in WITH_EXAMPLES
