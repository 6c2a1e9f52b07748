"""Request bodies that never end.

waitress calls the application once a request is there as a whole. gunicorn's threads read the body themselves, without
a timeout, so a client that sends a byte now and then would hold a thread for ever, and a few of them all threads.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress


@contextmanager
def body_deadline(environ: Mapping[str, object], seconds: float) -> Iterator[None]:
    """End the body that the block reads from, as if the client had hung up, where it takes longer than ``seconds``.

    Args:
        environ: of the request; gunicorn names its connection there.
        seconds: for the whole body.
    """
    connection = environ.get("gunicorn.socket")
    if connection is None:
        yield
        return
    timer = threading.Timer(seconds, _end_reading, [connection])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end_reading(connection: socket.socket) -> None:
    with suppress(OSError):  # it has gone by itself
        connection.shutdown(socket.SHUT_RD)
