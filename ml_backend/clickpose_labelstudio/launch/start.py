"""Start everything, keep it running, stop it cleanly."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import requests

from clickpose.skeleton import COCO
from clickpose_labelstudio.label_studio_auth import LabelStudioError
from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.launch.bridge_script import TRIED_LABEL_STUDIO, bridge_script
from clickpose_labelstudio.launch.errors import LaunchError
from clickpose_labelstudio.launch.folder import Credentials, DataFolder, FolderLock
from clickpose_labelstudio.launch.photos import CheckedPhotos, PhotoFolder, choose_photos
from clickpose_labelstudio.launch.preannotation import PreAnnotation, Progress, write_progress
from clickpose_labelstudio.launch.processes import Child, answers, free_port, is_free, read_text
from clickpose_labelstudio.launch.project import (
    Say,
    ensure_project,
    import_photos,
    register_backend,
)
from clickpose_labelstudio.launch.terminal import Terminal
from clickpose_labelstudio.launch.upkeep import KeptChild

HOST = "127.0.0.1"
RUN_LABEL_STUDIO = Path(__file__).parent / "inside" / "run_label_studio.py"
RUN_CLICKPOSE = "from clickpose.cli import main; main()"  # whatever the PATH holds
BACKEND_SECONDS = 120.0
BUSY_SECONDS = 30.0  # a server that is away refuses at once; one that is busy may take long to say that it is well
TRAIN_AFTER = 50
LABEL_STUDIO_SECONDS = 1800.0  # a busy machine may need many minutes for the first start
# Names that Label Studio would take for its own settings, and that shells and make commonly set for other reasons.
NOT_PASSED_ON = ("HOST", "PORT", "DEBUG", "LOG_LEVEL", "USERNAME", "PASSWORD", "PYTHONPATH", "PYTHONHOME", "MAKEFLAGS")


@dataclass(frozen=True, kw_only=True)
class LaunchOptions:
    """What the user may choose.

    Attributes:
        data_dir: folder of the database, the login and the logs; made if missing.
        label_studio_python: Python of the virtual environment that Label Studio is installed in.
        images: folder with photos; None for the demo photos. Each folder has a project of its own.
        port: where Label Studio should listen; the next free one is taken if it is busy.
        backend_port: the same for the backend.
        backend_url: a backend that runs already; None to start one.
        model: name of the predictor, as in :func:`clickpose.load`.
        first: another network whose poses lite starts from; empty for lite's own.
        train_after: new persons that the network is trained on by itself; 0 to wait for "Start training".
        open_browser: open the project in a browser if there is a desktop.
    """

    data_dir: Path = Path(".clickpose")
    label_studio_python: Path = Path(".venv-labelstudio/bin/python")
    images: Path | None = None
    port: int = 8080
    backend_port: int = 9090
    backend_url: str | None = None
    model: str = "lite"
    first: str = ""
    train_after: int = TRAIN_AFTER
    open_browser: bool = True


@dataclass(frozen=True)
class RunningLoop:
    """What has been started.

    Attributes:
        url: address of Label Studio.
        project_url: address of the project.
        project_id: its id.
        backend_url: address of the backend.
        credentials: the login.
        children: the processes.
        preannotation: goes on in the background.
    """

    url: str
    project_url: str
    project_id: int
    backend_url: str
    credentials: Credentials
    children: tuple[KeptChild, ...]
    preannotation: PreAnnotation

    def look(self) -> None:
        """Start again what has ended; call it about every second, from the thread that has started everything.

        Raises:
            LaunchError: if Label Studio has ended too often. A backend that has leaves it running.
        """
        for child in self.children:
            child.look()


def start(options: LaunchOptions) -> int:
    """Start, print where to go, and wait for Ctrl-C or SIGTERM.

    Returns:
        exit code: 0 when stopped by the user or running already, 1 when something is missing or has failed (a sentence
        has been printed).
    """
    stopping = threading.Event()

    def interrupt(*_: object) -> None:
        if not stopping.is_set():
            stopping.set()
            raise KeyboardInterrupt

    terminal = Terminal()
    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with running(options, terminal.say, terminal.keep) as loop:
            _greet(loop, options, terminal.say)
            while True:
                stopping.wait(1.0)
                loop.look()
    except _AlreadyRunning as other:
        terminal.say(str(other))
        return 0
    except (LaunchError, LabelStudioError) as error:
        print(f"\n{error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        terminal.say("Everything is stopped. All annotations are kept; start again with the same command.")
        return 0
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class _AlreadyRunning(Exception):
    """Another launcher holds the data folder; the message says where it is reached."""


def _greet(loop: RunningLoop, options: LaunchOptions, say: Say) -> None:
    say(
        f"\n  Label Studio   {loop.project_url}\n"
        f"  login          {loop.credentials.username}\n"
        f"  password       {loop.credentials.password}\n\n"
        "  Open a photo, drag one wrong keypoint, and the rest of that person follows.\n"
        "  Ctrl-C stops everything; annotations are kept.\n"
    )
    if options.open_browser and _has_desktop(os.environ):
        webbrowser.open(loop.project_url)


def _has_desktop(environ: Mapping[str, str]) -> bool:
    return sys.platform == "darwin" or bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


@contextmanager
def running(options: LaunchOptions, say: Say, keep: Say = lambda _: None) -> Iterator[RunningLoop]:
    """Start everything; stop it at the end of the block, whatever happens.

    The photos are pre-annotated in the background meanwhile.

    Args:
        options: what the user chose.
        say: takes each sentence.
        keep: takes each new text of the one line that is kept up to date.

    Raises:
        LaunchError: if something is missing or fails.
    """
    photos = choose_photos(options.images)
    if not Path(options.label_studio_python).exists():
        raise LaunchError(
            f"Label Studio's Python is not at {options.label_studio_python}. Run `make setup`, which installs "
            f"Label Studio {TRIED_LABEL_STUDIO[-1]} into a virtual environment of its own, or name another one."
        )
    version = installed_version(options.label_studio_python)
    folder = DataFolder(options.data_dir)
    lock = FolderLock(folder)
    held_by = lock.acquire()
    if held_by is not None:
        where = f" at {held_by['url']}" if "url" in held_by else ""
        raise _AlreadyRunning(
            f"Click-Pose is running already{where} (process {held_by.get('pid', 'unknown')}, data in {folder.path}). "
            "Stop it first to start with other photos."
        )
    with ExitStack() as cleanup:
        cleanup.callback(lock.release)
        folder.progress.unlink(missing_ok=True)
        folder.begin_with(version)
        say(f"Starting the backend and Label Studio {version} (the first start sets up the database: about a minute) …")
        loop = _start_all(options, photos, folder, lock, cleanup, say, keep)
        loop.preannotation.start()
        try:
            yield loop
        finally:
            loop.preannotation.stop()
            keep("")
            say("\nStopping …")


def installed_version(python: Path) -> str:
    """Return which Label Studio a Python has.

    Raises:
        LaunchError: if it has none.
    """
    command = [
        str(Path(python).absolute()),
        "-c",
        "from importlib.metadata import version; print(version('label-studio'))",
    ]
    environment = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=BACKEND_SECONDS, env=environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LaunchError(f"{python} cannot be run: {error}") from None
    if asked.returncode:
        raise LaunchError(f"Label Studio is not installed beside {python}. Run `make setup`, which installs it.")
    return asked.stdout.strip()


def _start_all(
    options: LaunchOptions,
    photos: PhotoFolder,
    folder: DataFolder,
    lock: FolderLock,
    cleanup: ExitStack,
    say: Say,
    keep: Say,
) -> RunningLoop:
    """Start the processes, set up the project; what is started is stopped by ``cleanup``, in reverse order."""
    credentials = folder.credentials()
    port = _choose_port("Label Studio", options.port, (), say)
    url = f"http://localhost:{port}"
    lock.announce({"pid": os.getpid(), "url": url})
    children: list[KeptChild] = []
    backend_url = options.backend_url
    if backend_url is None:
        backend_port = _choose_port("the backend", options.backend_port, (port,), say)
        backend_url = f"http://{HOST}:{backend_port}"
        backend = KeptChild(
            partial(_start_backend, options, folder, credentials, f"http://{HOST}:{port}", backend_port),
            f"{backend_url}/health",
            say,
            without="Label Studio goes on: annotations are saved, only nothing is refined. Ctrl-C and start again.",
        )
        cleanup.callback(backend.stop)
        children.append(backend)
    elif not answers(f"{backend_url}/health"):
        raise LaunchError(f"No backend answers at {backend_url}/health.")
    instance = secrets.token_hex(8)
    label_studio = KeptChild(
        partial(start_label_studio, options, folder, credentials, port, instance), f"http://{HOST}:{port}/health/", say
    )
    cleanup.callback(label_studio.stop)
    children.append(label_studio)
    found = photos.check()
    if not found.shown:
        raise LaunchError("\n".join([f"No photo in {photos.source} can be shown.", *found.sentences()]))
    if options.backend_url is None:
        backend.child.wait_until_it_answers(f"{backend_url}/health", BACKEND_SECONDS, lambda _: None)
    check_model(backend_url)
    label_studio.child.wait_until_it_answers(
        f"http://{HOST}:{port}/health/", LABEL_STUDIO_SECONDS, lambda s: say(f"  … Label Studio is starting ({s} s)")
    )
    if read_text(f"http://{HOST}:{port}/clickpose/instance") != instance:
        raise LaunchError(f"Another Label Studio took port {port} at the same moment. Start again.")
    local_url = f"http://{HOST}:{port}"
    connect = partial(LabelStudioClient, local_url, credentials.token, use_proxies=False)
    with connect() as api:
        project_id, version = _set_up_project(api, backend_url, folder, photos, found, say)

    def report(progress: Progress) -> None:
        write_progress(folder.progress, progress)
        keep(progress.sentence())

    preannotation = PreAnnotation(
        connect, project_id, version,
        is_ready=lambda: all(answers(at, BUSY_SECONDS) for at in (f"{local_url}/health/", f"{backend_url}/health")),
        report=report, say=say, logs=folder.logs,
    )  # fmt: skip
    project_url = f"{url}/projects/{project_id}/data"
    lock.announce({"pid": os.getpid(), "url": project_url})
    return RunningLoop(url, project_url, project_id, backend_url, credentials, tuple(children), preannotation)


def check_model(backend_url: str) -> None:
    """Let the backend load its weights, by a prediction of no photos.

    Raises:
        LaunchError: if it cannot, with its reason.
    """
    body = {"tasks": [], "label_config": build_labeling_config(COCO)}
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.post(f"{backend_url}/predict", json=body, timeout=BACKEND_SECONDS)
    except requests.RequestException as error:
        raise LaunchError(f"The backend at {backend_url} does not answer: {error}") from None
    if not answer.ok:
        raise LaunchError(f"The backend cannot predict: {answer.text[:1000]}")


def _choose_port(what: str, wanted: int, taken: tuple[int, ...], say: Say) -> int:
    port = free_port(wanted, taken)
    if port != wanted:
        say(f"Port {wanted} is busy; {what} takes {port}.")
    return port


def _start_backend(
    options: LaunchOptions, folder: DataFolder, credentials: Credentials, label_studio_url: str, port: int
) -> Child:
    # A login meant for another backend would shut this one's Label Studio out: it registers without one.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CLICKPOSE_BASIC_AUTH")}
    environment = {
        **inherited,
        "LABEL_STUDIO_URL": label_studio_url,
        "LABEL_STUDIO_API_KEY": credentials.token,
        "CLICKPOSE_CACHE_DIR": str(folder.cache),
        "CLICKPOSE_MODEL": options.model,
        "CLICKPOSE_FIRST": options.first,
    }
    if options.model == "lite":  # the one that is trained further
        environment |= {"CLICKPOSE_TRAIN_DIR": str(folder.learning), "CLICKPOSE_TRAIN_AFTER": str(options.train_after)}
    command = [sys.executable, "-c", RUN_CLICKPOSE, "serve", "--host", HOST, "--port", str(port)]
    return Child("The backend", command, environment, folder.logs / "backend.log")


def start_label_studio(
    options: LaunchOptions, folder: DataFolder, credentials: Credentials, port: int, instance: str
) -> Child:
    """Start Label Studio on a port, with the bridge in its pages; ``instance`` is what it answers who it is.

    Raises:
        LaunchError: if the port is busy: Label Studio would take another one by itself.
    """
    if not is_free(port, HOST):
        raise LaunchError(f"Port {port} has been taken by another program.")
    folder.bridge_script.write_text(bridge_script(), encoding="utf-8")
    command: list[str | Path] = [
        Path(options.label_studio_python).absolute(),
        RUN_LABEL_STUDIO,
        "start",
        "--no-browser",
    ]
    command += ["--internal-host", HOST, "--port", str(port)]
    environment = label_studio_environment(os.environ, folder, credentials) | {"CLICKPOSE_INSTANCE": instance}
    return Child("Label Studio", command, environment, folder.logs / "label-studio.log")


def label_studio_environment(
    environ: Mapping[str, str], folder: DataFolder, credentials: Credentials
) -> dict[str, str]:
    """Return the environment of Label Studio: this machine only, SQLite, no calls home, photos from one root."""
    kept = {name: value for name, value in environ.items() if name not in NOT_PASSED_ON}
    return kept | {
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder.label_studio),
        "LABEL_STUDIO_USERNAME": credentials.username,
        "LABEL_STUDIO_PASSWORD": credentials.password,
        "LABEL_STUDIO_USER_TOKEN": credentials.token,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(folder.photos),
        # the backend listens on this machine, which Label Studio refuses by default
        "ML_BLOCK_LOCAL_IP": "false",
        "SSRF_PROTECTION_ENABLED": "false",
        "USE_DEFAULT_BANNED_SUBNETS": "false",
        "COLLECT_ANALYTICS": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "LATEST_VERSION_CHECK": "false",
        "CLICKPOSE_BRIDGE_SCRIPT": str(folder.bridge_script),
        "CLICKPOSE_PROGRESS": str(folder.progress),
        "CLICKPOSE_COOKIES": folder.cookies,
    }


def _set_up_project(
    api: LabelStudioClient,
    backend_url: str,
    folder: DataFolder,
    photos: PhotoFolder,
    found: CheckedPhotos,
    say: Say,
) -> tuple[int, str | None]:
    """Make or reuse the project, with all photos in it; return its id and the version of the backend's model."""
    project_id = ensure_project(api, folder, photos, say)["id"]
    import_photos(api, project_id, folder, photos, found, say)
    secret = os.environ.get("CLICKPOSE_WEBHOOK_SECRET", "")  # the backend has it from there, too
    return project_id, register_backend(api, project_id, backend_url, secret).get("model_version")
