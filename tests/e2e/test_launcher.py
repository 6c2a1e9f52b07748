"""The launcher as it is used for a day: servers that die, photos that cannot be shown, two projects in one browser."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.launch.folder import Credentials, DataFolder
from clickpose_labelstudio.launch.photos import DEMO_FOLDER
from clickpose_labelstudio.launch.processes import free_port
from clickpose_labelstudio.launch.project import register_backend
from helpers.editor import Editor
from helpers.first_start import StartCommand

pytestmark = pytest.mark.browser

DATABASE = Path("label-studio") / "label_studio.sqlite3"


@dataclass(frozen=True)
class Own:
    """A launcher with the real network on a data folder of its own.

    Attributes:
        command: the running command.
        folder: its data folder.
        url: address of Label Studio.
        project_id: of its project.
        credentials: the login.
    """

    command: StartCommand
    folder: DataFolder
    url: str
    project_id: int
    credentials: Credentials

    @property
    def project_url(self) -> str:
        return f"{self.url}/projects/{self.project_id}/data"

    def api(self) -> LabelStudioClient:
        return LabelStudioClient(self.url, self.credentials.token, use_proxies=False)

    def tasks(self) -> dict[str, dict]:
        """File name -> task."""
        with self.api() as api:
            return {Path(task["data"]["image"]).name: task for task in api.tasks(self.project_id)}

    def kill(self, part_of_command: str) -> None:
        """Kill -9 the server whose command line holds a word."""
        for child in self.command.children():
            if part_of_command.encode() in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                os.kill(child, signal.SIGKILL)
                return
        raise AssertionError(f"Expected a child with {part_of_command}")


def write_own_photos(folder: Path) -> Path:
    """Two photos with people, one without, and four that no browser shows or nobody can read."""
    folder.mkdir()
    for name in ("astronaut.jpg", "grace-hopper.jpg"):
        shutil.copy(DEMO_FOLDER / name, folder)
    Image.fromarray(np.full((480, 640, 3), 200, np.uint8)).save(folder / "empty-room.jpg")
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(folder / "scan.tif")
    (folder / "nothing.jpg").write_bytes(b"")
    (folder / "cut.jpg").write_bytes((folder / "astronaut.jpg").read_bytes()[:20_000])
    (folder / "page.jpg").write_text("<html>not found</html>")
    return folder


@pytest.fixture(scope="module")
def own(folder, stack, tmp_path_factory):
    """Started with Label Studio's database of the first start, so that it need not be set up again."""
    place = tmp_path_factory.mktemp("own")
    data = DataFolder(place / "data")
    with sqlite3.connect(folder / "data" / DATABASE) as there, sqlite3.connect(data.path / DATABASE) as here:
        there.backup(here)
    shutil.copy(folder / "data" / "credentials.json", data.path)
    photos = write_own_photos(place / "photos")
    port, backend_port = free_port(14000 + os.getpid() % 1000), free_port(13000 + os.getpid() % 1000)
    command = StartCommand(
        "--images", photos, "--data-dir", data.path, "--label-studio-python", stack.options.label_studio_python,
        "--port", port, "--backend-port", backend_port,
    )  # fmt: skip
    try:
        command.read_until("Ctrl-C stops everything")
        yield Own(command, data, f"http://localhost:{port}", data.project_id(photos), data.credentials())
        started = time.monotonic()
        command.press_ctrl_c()
        assert command.wait() == 0
        assert time.monotonic() - started < 15
        assert command.output.endswith("start again with the same command.\n")
        assert "Traceback" not in command.output
    finally:
        command.end()


def log_in(page, url: str, credentials: Credentials) -> None:
    page.goto(f"{url}/user/login/")
    page.fill("input[name=email]", credentials.username)
    page.fill("input[name=password]", credentials.password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda at: "/user/login" not in at)


@pytest.fixture
def own_page(own, page):
    """A page that is logged in at both Label Studios of this host."""
    log_in(page, own.url, own.credentials)
    return page


def test_the_login_comes_first_and_what_cannot_be_shown_is_named(own):
    output = own.command.read_until("photos are pre-annotated")
    assert output.index("Ctrl-C stops everything") < output.index("3 photos are pre-annotated.")
    for line in (
        "3 photos, 3 of them new.",
        "Left out, since browsers do not show TIFF: scan.tif.",
        "Left out, since the file holds no picture: page.jpg.",
        "Left out, since the file is cut off or damaged: cut.jpg.",
        "Left out, since the file is empty: nothing.jpg.",
    ):
        assert f"{line}\n" in output
    assert set(own.tasks()) == {"astronaut.jpg", "grace-hopper.jpg", "empty-room.jpg"}


def test_a_photo_without_people_has_a_prediction_and_is_the_last_of_the_doubtful(own):
    own.command.read_until("photos are pre-annotated")
    (empty,) = own.tasks()["empty-room.jpg"]["predictions"]
    assert (empty["result"], empty["score"]) == ([], 1.0)
    assert empty["model_version"].startswith("clickpose-lite")  # so the next start does not ask for it again
    with own.api() as api:
        assert api.project(own.project_id)["model_version"] == empty["model_version"]
        (tab,) = api.call("GET", "/api/dm/views/", params={"project": own.project_id})
        ordered = api.call("GET", "/api/tasks/", params={"view": tab["id"]})
        served = api.call("POST", "/api/dm/actions", params={"id": "next_task", "project": own.project_id}, json={})
    assert tab["data"]["title"] == "Doubtful first"
    assert [task["id"] for task in ordered["tasks"]][-1] == empty["task"]
    assert served["id"] != empty["task"]


def test_two_projects_of_one_host_stay_logged_in(own, own_page, stack):
    for _ in range(2):
        for url in (stack.loop.project_url, own.project_url):
            own_page.goto(url)
            assert "/user/login" not in own_page.url
            own_page.wait_for_function("() => window.APP_SETTINGS?.user?.id > 0")
    names = [cookie["name"] for cookie in own_page.context.cookies() if cookie["name"].endswith("_sessionid")]
    assert len(set(names)) == 2


def test_the_page_tells_how_far_the_pre_annotation_is(own, own_page, artifacts):
    own.command.read_until("photos are pre-annotated")
    path, now = own.folder.progress, {"project": own.project_id, "total": 21}
    line, chip = own_page.locator("#clickpose-progress"), own_page.locator("#clickpose-chip > button")
    through = path.read_text()
    path.write_text(json.dumps({"state": "running", "done": 3, "left": 130, **now}))
    own_page.goto(own.project_url)
    line.get_by_text("Pre-annotating: 3 of 21 photos, about 2 min left").wait_for()
    path.write_text(json.dumps({"state": "waiting", "done": 4, "left": None, **now}))
    line.get_by_text("Pre-annotating: 4 of 21 photos, waiting for the backend").wait_for()
    own_page.screenshot(path=artifacts / "progress-list.png")
    own_page.goto(f"{own.project_url}?task={own.tasks()['astronaut.jpg']['id']}")
    chip.get_by_text("labelling 4 of 21 photos").wait_for()
    assert "4 of 21 photos, waiting for the backend." in chip.get_attribute("title")
    line.wait_for(state="detached")
    own_page.screenshot(path=artifacts / "progress-task.png")
    path.write_text(json.dumps({"state": "done", "done": 21, "left": 0, **now}))
    own_page.locator("#clickpose-notice").get_by_text("21 of 21 photos are pre-annotated.").wait_for()
    chip.get_by_text("ready").wait_for()
    asked = []
    own_page.on("request", lambda request: asked.append(request.url))
    own_page.wait_for_timeout(5000)
    assert not [url for url in asked if "/clickpose/progress" in url]  # nothing goes on: nothing is asked
    path.write_text(through)


def test_a_killed_backend_is_back_while_the_page_goes_on(own, own_page):
    own.command.read_until("photos are pre-annotated")
    editor = Editor(own_page, own.project_url)
    task = own.tasks()["grace-hopper.jpg"]
    regions = sum(item["type"] != "choices" for item in task["predictions"][0]["result"])
    editor.configure_bridge(retryMs=1000)
    editor.open(task["id"], regions=regions)
    person = editor.persons()[0]
    wrist = next(region for region in editor.places() if region.startswith(f"{person}-left_"))
    own.kill("serve")
    dropped = editor.drag(wrist, 15, 10)
    editor.wait("__clickposeBridge.status() == 'offline'")
    assert editor.places()[wrist] == pytest.approx(dropped, abs=0.05)
    editor.wait("__clickposeBridge.status() == 'ready'")
    own.command.read_until("The backend is back.")
    assert "The backend has stopped (signal 9); it is started again.\n" in own.command.output
    editor.drag(wrist, 10, 5)
    editor.wait_applied(1)


def test_a_killed_label_studio_is_back_at_its_address_and_nobody_is_logged_out(own, own_page):
    own_page.goto(own.project_url)
    own.kill("start")
    own.command.read_until("Label Studio is back.")
    own_page.goto(own.project_url)
    own_page.wait_for_function("() => window.APP_SETTINGS?.user?.id > 0")
    assert "/user/login" not in own_page.url


def without_predictions(api: LabelStudioClient, task_id: int) -> None:
    for prediction in api.call("GET", "/api/predictions/", params={"task": task_id}):
        api.call("DELETE", f"/api/predictions/{prediction['id']}/")


def test_a_task_that_is_opened_before_its_turn_is_predicted_once(editor, task_id, stack):
    with stack.api() as api:
        without_predictions(api, task_id)
        with stack.backend.holding_answers():
            background = threading.Thread(target=api.predict, args=(stack.loop.project_id, [task_id]))
            background.start()
            time.sleep(1.0)
            editor.page.goto(f"{stack.loop.project_url}?task={task_id}")
            editor.page.wait_for_timeout(1500)
        background.join(60)
        editor.wait("window.Htx?.annotationStore?.selected?.regions?.length == 36")
        assert len(api.call("GET", "/api/predictions/", params={"task": task_id})) == 1
        without_predictions(api, task_id)
        editor.open(task_id)
        assert len(api.call("GET", "/api/predictions/", params={"task": task_id})) == 1


def test_a_task_of_the_stream_is_predicted_before_it_is_shown(stack):
    with stack.api() as api:
        like = api.project(stack.loop.project_id)
        made = api.create_project(
            title="Stream", label_config=like["label_config"], sampling="Uncertainty sampling",
            show_collab_predictions=True,
        )  # fmt: skip
        try:
            image = next(iter(api.tasks(stack.loop.project_id)))["data"]["image"]
            api.import_tasks(made["id"], [{"data": {"image": image}}])
            register_backend(api, made["id"], stack.loop.backend_url)
            task = api.call("POST", "/api/dm/actions", params={"id": "next_task", "project": made["id"]}, json={})
            (prediction,) = task["predictions"]
            assert len([item for item in prediction["result"] if item["type"] != "choices"]) == 36
        finally:
            api.call("DELETE", f"/api/projects/{made['id']}/")
