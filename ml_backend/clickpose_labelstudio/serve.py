"""Runs the service in one process with threads; see ``wsgi.py`` for several processes under gunicorn."""

from __future__ import annotations

import logging
from typing import Any

import waitress
from flask import Flask
from waitress.channel import HTTPChannel

from clickpose_labelstudio.app import RequestIdFilter, create_app
from clickpose_labelstudio.memory import bound_arenas
from clickpose_labelstudio.settings import ServiceSettings

logger = logging.getLogger(__name__)

IDLE_CONNECTION_S = 120
BODY_MARGIN_BYTES = 1024  # waitress gives way to the app's own limit, which answers in JSON


def run_server(settings: ServiceSettings, host: str, port: int, threads: int) -> None:
    """Serve until interrupted; the weights load meanwhile.

    Args:
        settings: of the service.
        host: address to listen on.
        port: port to listen on; 0 for a free one.
        threads: requests answered at once. Edits are short; a few more than there are annotators is plenty.

    Raises:
        OSError: if the port is taken.
    """
    bound_arenas()
    server = make_server(create_app(settings), settings, host, port, threads)
    for address in listening_on(server):
        logger.info("Listening on %s", address)
    try:
        server.run()
    finally:
        server.close()


class _Channel(HTTPChannel):
    """A connection that is not left waiting for a body that nobody has announced.

    waitress answers ``Expect: 100-continue`` of such a request as if a body came, and for two minutes nothing follows.
    """

    def send_continue(self) -> None:
        """Ask for the body, where there is one."""
        if self.request.completed:
            self.request.expect_continue = False
        else:
            super().send_continue()


def make_server(app: Flask, settings: ServiceSettings, host: str, port: int, threads: int) -> Any:
    """Return a waitress server that listens but does not run yet; see :func:`listening_on` for its addresses."""
    app.extensions["clickpose"].start_loading()
    sockets: dict[int, Any] = {}
    server = waitress.create_server(
        app,
        map=sockets,
        host=host,
        port=port,
        threads=threads,
        max_request_body_size=settings.max_request_bytes + BODY_MARGIN_BYTES,
        channel_timeout=IDLE_CONNECTION_S,
        ident="clickpose",
    )
    for listening in sockets.values():
        listening.channel_class = _Channel
    return server


def listening_on(server: Any) -> list[str]:
    """Return the addresses of a waitress server; a name such as localhost may stand for two."""
    single = hasattr(server, "effective_port")
    pairs = [(server.effective_host, server.effective_port)] if single else server.effective_listen
    return [f"http://{f'[{host}]' if ':' in host else host}:{port}" for host, port in pairs]


def configure_logging(level: str = "INFO") -> None:
    """Log to the terminal, each line with the id of its request; only entry points call this."""
    handler = logging.StreamHandler()
    handler.addFilter(RequestIdFilter())
    logging.basicConfig(
        level=level,
        handlers=[handler],
        format="%(asctime)s %(levelname)-7s %(request_id)s %(name)s: %(message)s",
    )
