"""The package's own interface."""

from importlib import import_module

import pytest

import clickpose_fiftyone


def test_every_public_name_is_what_its_module_holds_also_after_all_are_imported():
    homes = {name: import_module(f"clickpose_fiftyone.{home}") for name, home in clickpose_fiftyone._HOME.items()}
    for name, home in homes.items():
        assert getattr(clickpose_fiftyone, name) is getattr(home, name)
        assert callable(getattr(clickpose_fiftyone, name))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = clickpose_fiftyone.nothing
