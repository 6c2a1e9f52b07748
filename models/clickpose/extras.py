"""Packages that come with an extra of the distribution, such as ``pip install "clickpose[plots]"``."""

from __future__ import annotations

import importlib.util


def require_extra(extra: str, *modules: str) -> None:
    """Check that modules of an extra can be imported, before any work is done that would be lost.

    Args:
        extra: name in ``pyproject.toml``.
        modules: top-level modules that it brings.

    Raises:
        ValueError: if one is not installed; says which, and how to install it.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f'Expected {" and ".join(missing)} to be installed: pip install "clickpose[{extra}]"')
