"""WSGI entry for several worker processes, which share the disk cache:

    gunicorn --workers 2 --threads 8 --keep-alive 75 "clickpose_labelstudio.wsgi:create()"
    gunicorn --workers 2 --threads 8 clickpose_labelstudio.wsgi:app

Settings come from the environment; see :meth:`ServiceSettings.from_environment`. Importing this module reads nothing:
``app`` is made when a server asks for it.
"""

from __future__ import annotations

import os
from functools import cache

from flask import Flask

from clickpose_labelstudio.app import create_app
from clickpose_labelstudio.memory import bound_arenas
from clickpose_labelstudio.serve import configure_logging
from clickpose_labelstudio.settings import ServiceSettings


@cache
def create() -> Flask:
    """Return this process's application, made from the environment on the first call."""
    bound_arenas()
    configure_logging(os.environ.get("CLICKPOSE_LOG_LEVEL", "INFO"))
    return create_app(ServiceSettings.from_environment(os.environ))


def __getattr__(name: str) -> Flask:
    if name == "app":
        return create()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
