"""The real app in headless Chromium, and what browser tests do there. Screenshots are kept."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import fiftyone as fo
import pytest
from bson import ObjectId

from clickpose_fiftyone.demo import ReviewOptions, prepare_dataset
from clickpose_fiftyone.install import install_plugin

ARTIFACTS = Path(os.environ.get("CLICKPOSE_ARTIFACTS", Path(__file__).resolve().parents[2] / "artifacts")) / "fiftyone"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
PATIENCE_MS = 120_000  # for a busy machine
NAME = "clickpose-browser-test"
PHOTOS = 4  # of the demo

WITHOUT_ADVERTISEMENT = "localStorage.setItem('fiftyone-enterprise-tooltip-seen', 'true')"  # it covers buttons


def find_chromium():
    """The browser's path; without one the test is skipped."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next((found for found in map(shutil.which, names) if found), None)
    if path is None:
        pytest.skip("There is no Chromium; `apt-get install chromium` brings it")
    return path


@contextlib.contextmanager
def running_app(home):
    """The address of an app; the demo photos are predicted in dataset ``NAME``."""
    install_plugin(home / "plugins")
    prepare_dataset(ReviewOptions(name=NAME), lambda text: None)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Path(fo.__file__).parent / "server" / "main.py"
    with (home / "app.log").open("wb") as log:
        command = [sys.executable, str(server), "--port", str(port), "--address", "127.0.0.1"]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_for(f"http://127.0.0.1:{port}/", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)
        fo.delete_dataset(NAME)


def _wait_for(address, process):
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"The app did not start (exit code {process.poll()})")


def copy_of_demo():
    """A copy of the demo: the app remembers view, selection and open photo of the dataset that it showed last."""
    return fo.load_dataset(NAME).clone(f"{NAME}-{ObjectId()}", persistent=True)


@contextlib.contextmanager
def running_browser():
    """Headless Chromium."""
    playwright = pytest.importorskip("playwright.sync_api")
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        yield browser
        browser.close()


def show(browser, app, dataset, width=1500, height=950, photos=PHOTOS, script=""):
    """A page of its own, with the photos of a dataset shown in the app; a script runs before the app's own."""
    page = browser.new_context(viewport={"width": width, "height": height}).new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.add_init_script(f"{WITHOUT_ADVERTISEMENT}; {script}")
    page.goto(f"{app}/datasets/{dataset.name}", wait_until="domcontentloaded")
    if photos:
        page.locator("[data-cy=looker]").nth(photos - 1).wait_for()
    return page


def open_panel(page, name):
    page.locator("[data-cy=new-panel-btn]").first.click()
    page.locator(f"[data-cy=new-panel-option-{name}]").click()


def open_once(page, name, shown):
    """Open a panel unless the app, which remembers the panels of a dataset, shows what is in it by itself."""
    for _ in range(80):
        if page.locator(shown).count():
            return
        page.wait_for_timeout(100)
    open_panel(page, name)


def press(page, key):
    """Press a key once the panel has answered the last one: until then keys rest."""
    page.locator("[data-cy=pose-keys][aria-busy=false]").last.wait_for()
    page.keyboard.press(key)


# the canvas of Refine: what its session and board tell, see plugins/pose_review/ui/refine
_CANVAS = "[...document.querySelectorAll('[data-cy=refine-board]')].pop()?.clickpose"


def canvas(page, expression):
    """What the canvas tells: an expression of ``session`` and ``board``."""
    return page.evaluate(f"(() => {{ const {{session, board}} = {_CANVAS}; return {expression}; }})()")


def wait_for_canvas(page, condition):
    """Wait until a condition of ``session`` and ``board`` holds."""
    page.wait_for_function(
        f"(() => {{ const {{session, board}} = {_CANVAS} ?? {{}}; return session && ({condition}); }})()"
    )


def wait_for_photo(page):
    """Wait until the canvas shows a photo with people."""
    page.locator("[data-cy=refine-board]").last.wait_for()
    wait_for_canvas(page, "session.photo && session.person() && board.view && board.picture && !session.busy")


def joint_place(page, joint, person="session.chosen"):
    """Where a joint of a person is on the page, (x, y) px."""
    position = canvas(page, f"session.person({person}).joints[session.photo.joints.indexOf('{joint}')]")
    place = canvas(page, f"board.clientPlace([{position[0]}, {position[1]}])")
    return place["x"], place["y"]


def drag(page, start, end):
    """Drag the mouse from one place of the page to another."""
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    page.mouse.move(*end)
    page.mouse.up()


def drag_joint(page, joint, dx, dy):
    """Drag a joint of who is chosen, and wait until the others have followed."""
    x, y = joint_place(page, joint)
    steps = canvas(page, "session.past.length")
    drag(page, (x, y), (x + dx, y + dy))
    wait_for_canvas(page, f"session.past.length === {steps + 1} && session.past.at(-1).isAnswered")
    return x + dx, y + dy
