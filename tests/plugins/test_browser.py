"""The real app in headless Chromium: predict, open each panel, click a bar, refine a joint. Screenshots are kept."""

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

from clickpose_fiftyone.demo import ReviewOptions, prepare_dataset
from clickpose_fiftyone.install import install_plugin
from clickpose_fiftyone.refinement import refined_ids

ARTIFACTS = Path(os.environ.get("CLICKPOSE_ARTIFACTS", Path(__file__).resolve().parents[2] / "artifacts")) / "fiftyone"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
PATIENCE_MS = 180_000  # for a busy machine
NAME = "clickpose-browser-test"

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chromium():
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next((found for found in map(shutil.which, names) if found), None)
    if path is None:
        pytest.skip("There is no Chromium; `apt-get install chromium` brings it")
    return path


@pytest.fixture(scope="module")
def app(fiftyone_home, chromium):
    """The address of an app with the demo photos, predicted; ends with the module."""
    install_plugin(fiftyone_home / "plugins")
    prepare_dataset(ReviewOptions(name=NAME), lambda text: None)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Path(fo.__file__).parent / "server" / "main.py"
    with (fiftyone_home / "app.log").open("wb") as log:
        command = [sys.executable, str(server), "--port", str(port), "--address", "127.0.0.1"]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_for(f"http://127.0.0.1:{port}/", process)
        yield f"http://127.0.0.1:{port}/datasets/{NAME}"
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


@pytest.fixture
def page(app, chromium):
    playwright = pytest.importorskip("playwright.sync_api")
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 950})
        page.set_default_timeout(PATIENCE_MS)
        page.goto(app, wait_until="domcontentloaded")
        page.locator("[data-cy=new-panel-btn]").first.wait_for()
        # FiftyOne advertises over the buttons
        page.add_locator_handler(page.get_by_text("Dismiss", exact=True), lambda button: button.click())
        yield page
        browser.close()


def open_panel(page, name):
    page.locator("[data-cy=new-panel-btn]").first.click()
    page.locator(f"[data-cy=new-panel-option-{name}]").click()


def test_the_loop_in_the_app(page):
    open_panel(page, "review_panel")
    page.get_by_text("people settled").wait_for()
    page.get_by_role("button", name="Accept", exact=True).first.wait_for()
    page.locator("[data-cy=pose-legend]").wait_for()
    page.screenshot(path=ARTIFACTS / "review.png")
    page.keyboard.press("a")
    page.get_by_text("1 of 10 people settled").wait_for()
    page.locator("[data-cy=pose-keys]").get_by_text("undo").wait_for()
    page.wait_for_timeout(1000)  # keys rest until the panel has answered
    page.keyboard.press("u")
    page.get_by_text("0 of 10 people settled").wait_for()

    open_panel(page, "calibration_panel")
    bar = page.locator(".js-plotly-plot .bars .point path").last
    bar.wait_for()
    page.screenshot(path=ARTIFACTS / "calibration.png")
    bar.click(force=True)
    page.get_by_text("people with predicted OKS").first.wait_for()

    open_panel(page, "refine_panel")
    canvas = page.locator(".js-plotly-plot:has(.heatmaplayer) .nsewdrag").last
    canvas.wait_for()
    page.screenshot(path=ARTIFACTS / "refine-before.png")
    area = canvas.bounding_box()
    x, y = area["x"] + 0.9 * area["width"], area["y"] + 0.9 * area["height"]  # beside every joint
    page.mouse.move(x - 5, y - 5)
    page.mouse.move(x, y)
    page.wait_for_timeout(500)
    page.mouse.click(x, y)
    page.get_by_text("other joints followed").wait_for()
    page.screenshot(path=ARTIFACTS / "refine-after.png")
    drawn = "[...document.querySelectorAll('.js-plotly-plot:has(.heatmaplayer)')].pop().data.length"
    with_before = page.evaluate(drawn)
    page.keyboard.press("z")
    page.get_by_text("Click a joint, or").wait_for()
    page.wait_for_function(f"{drawn} < {with_before}")  # nothing of the undone pose stays
    page.mouse.move(x - 5, y - 5)
    page.mouse.move(x, y)
    page.wait_for_timeout(500)
    page.mouse.click(x, y)
    page.get_by_text("other joints followed").wait_for()
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("the original is kept").first.wait_for()
    assert len(refined_ids(fo.load_dataset(NAME))) == 1

    page.screenshot(path=ARTIFACTS / "saved.png")
