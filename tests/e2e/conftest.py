"""Label Studio is started once for all browser tests; each test opens tasks of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from clickpose_labelstudio.app import create_app
from clickpose_labelstudio.settings import ServiceSettings
from helpers.editor import Editor
from helpers.fakes import FakePredictor
from helpers.first_start import start_annotate_and_stop
from helpers.label_studio_pages import log_in
from helpers.stack import BOXES_XYXY, running_stack, write_photos

REPOSITORY = Path(__file__).resolve().parents[2]
LABEL_STUDIO_PYTHON = Path(
    os.environ.get("CLICKPOSE_LABEL_STUDIO_PYTHON", REPOSITORY / ".venv-labelstudio" / "bin" / "python")
)
ARTIFACTS = Path(os.environ.get("CLICKPOSE_ARTIFACTS", REPOSITORY / "artifacts"))
FIRST_PHOTOS = 6  # that the real network labels at the first start
PHOTOS = 150  # in all, labelled by the fake predictor: more than there are tests that open one of their own
LISTED = 12  # tasks of which tests click the rows
BRIDGE = "clickpose/bridge.js"
CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def _chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for path in map(shutil.which, names) if path), None)


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """Where data folder, cache and photos lie.

    ``CLICKPOSE_E2E_FOLDER`` names a folder to keep between runs, so that later starts take seconds.
    """
    if not LABEL_STUDIO_PYTHON.exists():
        pytest.skip("Label Studio is not installed; `make setup` installs it into .venv-labelstudio")
    if _chromium() is None:
        pytest.skip("There is no Chromium; `apt-get install chromium` brings it")
    kept = os.environ.get("CLICKPOSE_E2E_FOLDER")
    return Path(kept) if kept else tmp_path_factory.mktemp("e2e")


@pytest.fixture(scope="session")
def label_studio_version(folder) -> tuple[int, ...]:
    """Version of the Label Studio that is tried, such as (1, 23, 2)."""
    code = "from importlib.metadata import version; print(version('label-studio'))"
    text = subprocess.run([LABEL_STUDIO_PYTHON, "-c", code], check=True, capture_output=True, text=True).stdout
    return tuple(int(number) for number in text.strip().split(".")[:3])


@pytest.fixture
def keypoints_above_boxes(label_studio_version) -> None:
    """Label Studio lets a keypoint be taken that lies in a box, without help by the bridge."""
    if label_studio_version < (1, 22):
        pytest.skip("before 1.22 Label Studio draws boxes above the keypoints in them, and takes the box")


@pytest.fixture(scope="session")
def first_start(folder):
    """The loop as a user starts it for the first time, with the real network; a minute or two. It has ended."""
    photos = write_photos(folder / "photos", FIRST_PHOTOS)
    return start_annotate_and_stop(folder, photos, LABEL_STUDIO_PYTHON)


@pytest.fixture(scope="session")
def stack(folder, first_start) -> Iterator:
    """The running loop with a fake predictor: the second start on the same data folder, with more photos."""
    photos = write_photos(folder / "photos", PHOTOS)
    predictor = FakePredictor(BOXES_XYXY, visible=0.3)
    with running_stack(folder, predictor, LABEL_STUDIO_PYTHON, photos) as running:
        yield running


@pytest.fixture(scope="session")
def browser(stack) -> Iterator:
    """Headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=_chromium(), args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def login(stack, browser) -> dict:
    """Cookies of the logged-in annotator."""
    return log_in(browser, stack)


@pytest.fixture
def page(browser, login) -> Iterator:
    """A logged-in page. The bridge is to throw nothing on it, neither into the page nor into its own net."""
    context = browser.new_context(storage_state=login, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    thrown = []
    page.on("pageerror", lambda error: thrown.append(error.stack) if BRIDGE in (error.stack or "") else None)
    yield page
    if not page.is_closed():
        thrown += page.evaluate("() => window.__clickposeBridge?.diagnostics.faults ?? []")
    context.close()
    assert thrown == []


@pytest.fixture(params=["another annotator", "the same annotator"])
def other_page(request, browser, stack, login) -> Iterator:
    """A page in a browser session of its own: of somebody who was invited, or of the one annotator twice."""
    invited = request.param == "another annotator"
    state = None if invited else login
    context = browser.new_context(storage_state=state, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    if invited:
        with stack.api() as api:
            page.goto(stack.loop.url + api.call("GET", "/api/invite")["invite_url"])
        page.fill("input[name=email]", f"second-{uuid.uuid4().hex[:8]}@localhost.test")
        page.fill("input[name=password]", uuid.uuid4().hex)
        page.click("button[type=submit]")
        page.wait_for_url(lambda url: "/user/signup" not in url)
    yield page
    context.close()


@pytest.fixture
def other_editor(other_page, stack):
    """The editor in that other session, no task opened yet."""
    return Editor(other_page, stack.loop.project_url)


@pytest.fixture(scope="session")
def personal_access_token(stack, folder) -> str:
    """The annotator's; an account has one, which is shown once and cannot be withdrawn in every version."""
    file = folder / "personal-access-token"
    if not file.exists():
        with stack.api() as api:
            file.write_text(api.call("POST", "/api/token/")["token"])
    return file.read_text()


@pytest.fixture(params=["legacy token", "personal access token"])
def any_key(request, stack, tmp_path) -> Iterator[None]:
    """Let the backend read images with one kind of key or the other; with the second it knows no image yet."""
    if request.param == "legacy token":
        yield
        return
    settings = ServiceSettings(
        cache_dir=tmp_path / "cache",
        label_studio_url=stack.loop.url,
        label_studio_api_key=request.getfixturevalue("personal_access_token"),
    )
    with stack.backend.serving(create_app(settings, load_predictor=lambda: stack.predictor)):
        yield


@pytest.fixture
def editor(page, stack):
    """The editor, no task opened yet."""
    return Editor(page, stack.loop.project_url)


@pytest.fixture(scope="session")
def fresh_tasks(stack, first_start) -> Iterator[tuple[Iterator[int], Iterator[int]]]:
    """Tasks that no test has opened, nor the first start: those at the top of Label Studio's list, and the others.

    What an earlier run left in a kept folder is removed.
    """
    api = stack.api()

    def clean(task_id: int) -> int:
        task = api.call("GET", f"/api/tasks/{task_id}/")
        for kind in ("drafts", "annotations"):
            for left in task[kind]:
                api.call("DELETE", f"/api/{kind}/{left['id']}/")
        return task_id

    ids = sorted(task["id"] for task in api.tasks(stack.loop.project_id) if task["id"] != first_start.task_id)
    yield tuple((clean(task_id) for task_id in part) for part in (ids[:LISTED], ids[LISTED:]))
    api.close()


@pytest.fixture
def listed_tasks(fresh_tasks) -> Iterator[int]:
    """Tasks whose rows can be clicked: the list has its first thirty only, whatever task is open."""
    return fresh_tasks[0]


@pytest.fixture
def unused_tasks(fresh_tasks) -> Iterator[int]:
    """Tasks that no test has opened."""
    return fresh_tasks[1]


@pytest.fixture
def task_id(unused_tasks) -> int:
    """A task that no other test has opened."""
    return next(unused_tasks)


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """Folder for screenshots and measurements."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    return ARTIFACTS
