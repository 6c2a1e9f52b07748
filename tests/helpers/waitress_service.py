"""The service on waitress, as ``clickpose serve`` runs it, beside a test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from waitress import wasyncore

from clickpose_labelstudio.serve import listening_on, make_server
from clickpose_labelstudio.settings import ServiceSettings


@contextmanager
def on_waitress(app: Flask, settings: ServiceSettings, threads: int) -> Iterator[str]:
    """Serve an app for the length of a with block; gives its address."""
    server = make_server(app, settings, "127.0.0.1", 0, threads=threads)
    done = threading.Event()

    def run():
        while not done.is_set():
            server.asyncore.loop(timeout=0.05, map=server._map, count=1)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield listening_on(server)[0]
    finally:
        done.set()
        thread.join()
        server.task_dispatcher.shutdown()
        server.close()
        wasyncore.close_all(server._map, ignore_all=True)  # connections that were kept alive
