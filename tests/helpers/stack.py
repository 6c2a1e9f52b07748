"""The real Label Studio, started by the launcher, with a backend in this process whose predictor can be foretold."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from werkzeug.serving import make_server

from clickpose_labelstudio.app import create_app
from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.launch.folder import DataFolder
from clickpose_labelstudio.launch.processes import free_port
from clickpose_labelstudio.launch.start import (
    LABEL_STUDIO_SECONDS,
    LaunchOptions,
    RunningLoop,
    running,
    start_label_studio,
)
from clickpose_labelstudio.learning.learner import Learner
from clickpose_labelstudio.settings import ServiceSettings

IMAGE_HW = (480, 640)
BOXES_XYXY = np.array([[60.0, 60.0, 260.0, 440.0], [360.0, 80.0, 580.0, 430.0]])  # px, two persons
HOST = "127.0.0.1"


class SwitchableBackend:
    """The backend's web server, which a test can make slow, or stop and start again on the same port.

    Attributes:
        answers_allowed: predictions wait for this event before they are answered.
    """

    def __init__(self, app, port: int):
        self._app, self.port = app, port
        self.answers_allowed = threading.Event()
        self.answers_allowed.set()
        self._server = self._thread = None
        self.start()

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"http://{HOST}:{self.port}"

    def _answer(self, environ, start_response):
        if environ["PATH_INFO"] == "/predict":
            self.answers_allowed.wait(60)
        return self._app(environ, start_response)

    def start(self) -> None:
        """Serve."""
        self._server = make_server(HOST, self.port, self._answer, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @contextmanager
    def holding_answers(self) -> Iterator[None]:
        """Hold all predictions back until the end of the block."""
        self.answers_allowed.clear()
        try:
            yield
        finally:
            self.answers_allowed.set()

    def stop(self) -> None:
        """Stop serving; connections are refused."""
        self.answers_allowed.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @contextmanager
    def serving(self, app) -> Iterator[None]:
        """Serve another application at this address until the end of the block."""
        self._app, before = app, self._app
        try:
            yield
        finally:
            self._app = before


@dataclass(frozen=True)
class Stack:
    """What the browser tests work with.

    Attributes:
        loop: what the launcher has started.
        backend: its backend.
        predictor: the backend's predictor.
        data_dir: data folder of the launcher.
        said: lines that the launcher has printed.
        options: how it was started.
        cleanup: ends what a test starts for those after it.
        learner: of the backend: its journal is of what was labelled here.
    """

    loop: RunningLoop
    backend: SwitchableBackend
    predictor: object
    data_dir: Path
    said: list[str]
    options: LaunchOptions
    cleanup: ExitStack
    learner: Learner

    def api(self) -> LabelStudioClient:
        """Return a connection to Label Studio's HTTP interface."""
        return LabelStudioClient(self.loop.url, self.loop.credentials.token)

    @contextmanager
    def label_studio_away(self) -> Iterator[None]:
        """Stop Label Studio; it comes back at the same address at the end of the block."""
        self.loop.children[-1].stop()
        try:
            yield
        finally:
            folder, port = DataFolder(self.data_dir), int(self.loop.url.rpartition(":")[2])
            child = start_label_studio(self.options, folder, self.loop.credentials, port, "again")
            self.cleanup.callback(child.stop)
            child.wait_until_it_answers(f"http://{HOST}:{port}/health/", LABEL_STUDIO_SECONDS, lambda _: None)


def write_photos(folder: Path, count: int) -> Path:
    """Write smooth pictures with file names in order, one of them in a sub-folder."""
    rows, columns = np.mgrid[0 : IMAGE_HW[0], 0 : IMAGE_HW[1]]
    for index in range(count):
        path = folder / ("more" if index == count - 1 else "") / f"photo-{index}.png"
        if path.exists():
            continue
        pixels = np.stack([rows / 3 + 20 * index, columns / 4, (rows + columns) / 6 + 60], axis=-1)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, compress_level=1)
    return folder


@contextmanager
def running_stack(folder: Path, predictor, label_studio_python: Path, photos: Path) -> Iterator[Stack]:
    """Run Label Studio and the backend.

    Args:
        folder: for the data folder and the cache.
        predictor: the predictor of the backend.
        label_studio_python: Python of Label Studio's virtual environment.
        photos: folder of photos.
    """
    port = free_port(18000 + os.getpid() % 1000)
    settings = ServiceSettings(
        cache_dir=folder / "cache", label_studio_url=f"http://{HOST}:{port}", label_studio_api_key=_token(folder),
        train_dir=folder / "learning",
    )  # fmt: skip
    app = create_app(settings, load_predictor=lambda: predictor)
    backend = SwitchableBackend(app, free_port(19000 + os.getpid() % 1000))
    options = LaunchOptions(
        data_dir=folder / "data",
        label_studio_python=label_studio_python,
        images=photos,
        port=port,
        backend_url=backend.url,
        open_browser=False,
    )
    try:
        said: list[str] = []
        with running(options, said.append) as loop, ExitStack() as cleanup:
            assert loop.preannotation.wait(300)
            learner = app.extensions["clickpose"].learner
            yield Stack(loop, backend, predictor, options.data_dir, said, options, cleanup, learner)
    finally:
        backend.stop()
        app.extensions["clickpose"].learner.stop()


def _token(folder: Path) -> str:
    """Return the token that the launcher will give to Label Studio, so that the backend can fetch images."""
    return DataFolder(folder / "data").credentials().token
