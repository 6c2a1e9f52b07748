"""The real app in headless Chromium: each panel, each key, refining in the modal, CCNet. Screenshots are kept."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
import torch
from bson import ObjectId

from clickpose.calibration.calibrator_file import Provenance, save_ccnet
from clickpose.draw import score_color
from clickpose.networks.ccnet import CCNet
from clickpose.skeleton import COCO
from clickpose_fiftyone.column_writes import label_documents, write_labels
from clickpose_fiftyone.demo import ReviewOptions, prepare_dataset
from clickpose_fiftyone.install import install_plugin
from clickpose_fiftyone.predictors import shared_predictor
from clickpose_fiftyone.refinement import refined_ids
from clickpose_fiftyone.review import review_queue, worst_samples
from clickpose_fiftyone.skeletons import set_skeleton

ARTIFACTS = Path(os.environ.get("CLICKPOSE_ARTIFACTS", Path(__file__).resolve().parents[2] / "artifacts")) / "fiftyone"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
PATIENCE_MS = 120_000  # for a busy machine
NAME = "clickpose-browser-test"
PHOTOS = 4  # of the demo

WITHOUT_ADVERTISEMENT = "localStorage.setItem('fiftyone-enterprise-tooltip-seen', 'true')"  # it covers buttons

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
    """The address of an app; the demo photos are predicted in dataset ``NAME``. Ends with the module."""
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


@pytest.fixture
def dataset(app):
    """A copy of the demo: the app remembers view, selection and open photo of the dataset that it showed last."""
    copy = fo.load_dataset(NAME).clone(f"{NAME}-{ObjectId()}", persistent=True)
    yield copy
    copy.delete()


@pytest.fixture
def page(app, chromium, dataset):
    """The app on that copy, its photos shown."""
    playwright = pytest.importorskip("playwright.sync_api")
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 950})
        page.set_default_timeout(PATIENCE_MS)
        page.add_init_script(WITHOUT_ADVERTISEMENT)
        page.goto(f"{app}/datasets/{dataset.name}", wait_until="domcontentloaded")
        page.locator("[data-cy=looker]").nth(PHOTOS - 1).wait_for()
        yield page
        browser.close()


def open_panel(page, name):
    page.locator("[data-cy=new-panel-btn]").first.click()
    page.locator(f"[data-cy=new-panel-option-{name}]").click()


def click_beside_every_joint(page, scope):
    """Click the canvas of Refine where no joint is, so that the nearest one is put there."""
    canvas = scope.locator(".js-plotly-plot:has(.heatmaplayer) .nsewdrag").last
    canvas.wait_for()
    area = canvas.bounding_box()
    x, y = area["x"] + 0.9 * area["width"], area["y"] + 0.9 * area["height"]
    page.mouse.move(x - 5, y - 5)
    page.mouse.move(x, y)
    page.locator(".hoverlayer .hovertext").last.wait_for()  # Plotly answers clicks on what the mouse is over
    page.mouse.click(x, y)
    scope.get_by_text("other joints followed").wait_for()


def press(page, key):
    """Press a key once the panel has answered the last one: until then keys rest."""
    page.locator("[data-cy=pose-keys][aria-busy=false]").last.wait_for()
    page.keyboard.press(key)


CANVAS = "[...document.querySelectorAll('.js-plotly-plot:has(.heatmaplayer)')].pop()"
TRACES = f"{CANVAS}.data.length"
JOINTS = f"JSON.stringify({CANVAS}.data[{TRACES} - 1].x)"
CERTAIN_PIXELS = """() => [...document.querySelectorAll('[data-cy=looker] canvas')].map((canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let i = 0; i < data.length; i += 4)
        count += [0, 1, 2].every((part) => Math.abs(data[i + part] - CERTAIN[part]) < 12);
    return count; }).reduce((one, other) => one + other, 0)""".replace("CERTAIN[", f"{list(score_color(0.95))}[")
CURRENT_CARD = """() => [...document.querySelectorAll('img[alt=person]')].findIndex(
    (picture) => { for (let box = picture; box; box = box.parentElement)
        if (getComputedStyle(box).borderTopColor === 'rgb(255, 109, 5)') return true; return false; })"""


def test_the_loop_in_the_app(page, dataset):
    open_panel(page, "review_panel")
    page.get_by_text("people settled").wait_for()
    page.get_by_role("button", name="Accept", exact=True).first.wait_for()
    page.locator("[data-cy=pose-legend]").wait_for()
    page.get_by_text("predicted by lite").wait_for()
    page.screenshot(path=ARTIFACTS / "review.png")

    open_panel(page, "calibration_panel")
    bar = page.locator(".js-plotly-plot .bars .point path").last
    bar.wait_for()
    page.screenshot(path=ARTIFACTS / "calibration.png")
    bar.click(force=True)
    page.get_by_text("people: predicted OKS").first.wait_for()

    open_panel(page, "refine_panel")
    page.locator(".js-plotly-plot:has(.heatmaplayer) .nsewdrag").last.wait_for()
    page.screenshot(path=ARTIFACTS / "refine-before.png")
    click_beside_every_joint(page, page)
    page.screenshot(path=ARTIFACTS / "refine-after.png")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("the original is kept").first.wait_for()
    assert len(refined_ids(dataset)) == 1
    page.screenshot(path=ARTIFACTS / "saved.png")


@pytest.fixture
def unpredicted(app, page):
    """The demo photos as they are, opened in the app, which has not seen colours of theirs."""
    dataset = fo.Dataset(f"{NAME}-{ObjectId()}", persistent=True)
    dataset.add_samples([fo.Sample(filepath=path) for path in fo.load_dataset(NAME).values("filepath")])
    page.goto(f"{app}/datasets/{dataset.name}", wait_until="domcontentloaded")
    page.locator("[data-cy=looker]").nth(PHOTOS - 1).wait_for()
    yield dataset
    dataset.delete()


def test_predicting_sorting_and_diagnosing_in_the_app(page, unpredicted):
    form = open_form(page, "predict poses")
    page.screenshot(path=ARTIFACTS / "predict-form.png")
    form.get_by_role("button", name="Execute").first.click()
    page.get_by_text(f"{PHOTOS} of {PHOTOS} photos").wait_for()
    page.get_by_text("Found 10 persons in 4 photos").first.wait_for()
    page.get_by_role("button", name="Done").click()
    page.wait_for_function(f"({CERTAIN_PIXELS})() > 100")  # joints and bones of certain people, in an app that was open
    page.screenshot(path=ARTIFACTS / "predicted.png")
    above, below = (page.locator(f"[data-cy=sidebar-entry-draggable-{field}]") for field in ("pred_joints", "pred"))
    assert above.bounding_box()["y"] < below.bounding_box()["y"]  # what stands above is drawn on top

    form = open_form(page, "review worst first")
    form.get_by_role("button", name="Execute").first.click()
    page.get_by_text("10 people, lowest predicted OKS first").first.wait_for()
    page.get_by_role("button", name="Close").click()
    page.locator("[data-cy=looker]").nth(9).wait_for()
    page.screenshot(path=ARTIFACTS / "worst-first.png")

    unpredicted.reload()  # the app wrote into it
    label_as_predicted(unpredicted)
    open_panel(page, "diagnosis_panel")
    cells = page.locator(".js-plotly-plot:has(.heatmaplayer) .nsewdrag").last
    cells.wait_for()
    page.screenshot(path=ARTIFACTS / "diagnosis.png")
    area = cells.bounding_box()
    page.mouse.move(area["x"] + 0.05 * area["width"], area["y"] + 0.02 * area["height"])
    page.mouse.move(area["x"] + 0.1 * area["width"], area["y"] + 0.03 * area["height"])
    page.locator(".hoverlayer .hovertext").last.wait_for()
    page.mouse.click(area["x"] + 0.1 * area["width"], area["y"] + 0.03 * area["height"])
    page.get_by_text("10 people: nose, good").first.wait_for()


def test_the_keys_of_the_review_panel(page, dataset):
    in_the_worst_photo = len(worst_samples(dataset, "pred", 1).first().pred.keypoints)
    open_panel(page, "review_panel")
    page.get_by_text("0 of 10 people settled").wait_for()
    press(page, "ArrowRight")
    page.wait_for_function(f"({CURRENT_CARD})() === 1")
    press(page, "ArrowLeft")
    page.wait_for_function(f"({CURRENT_CARD})() === 0")
    press(page, "a")
    page.get_by_text("1 of 10 people settled").wait_for()
    page.locator("[data-cy=pose-keys]").get_by_text("undo").wait_for()
    press(page, "u")
    page.get_by_text("0 of 10 people settled").wait_for()
    assert dataset.count_label_tags("pred").get("accepted", 0) == 0
    press(page, "g")
    page.get_by_text(f"0 of {in_the_worst_photo} people settled").wait_for()
    page.locator("[data-cy=btn-clear-view-bar]").click()
    page.get_by_text("0 of 10 people settled").wait_for()
    press(page, "s")
    page.get_by_role("dialog").get_by_text("Address of Label Studio").wait_for()
    page.get_by_role("dialog").locator("input[type=password]").wait_for()  # nobody reads the key over a shoulder
    page.screenshot(path=ARTIFACTS / "send.png")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").wait_for(state="hidden")
    press(page, "r")
    page.get_by_text("Click a joint, or").wait_for()


def test_refining_in_the_modal_with_each_key(page, dataset):
    page.locator("[data-cy=looker]").nth(2).click(position={"x": 10, "y": 80})  # on the photo, beside every label
    modal = page.locator("[data-cy=modal]")
    modal.locator("[data-cy=panel-tab-refine_panel]").click()  # the grid has no other panel open: one set of keys
    click_beside_every_joint(page, modal)
    page.screenshot(path=ARTIFACTS / "modal-refine.png")
    compared, moved = page.evaluate(TRACES), page.evaluate(JOINTS)
    press(page, "b")
    page.wait_for_function(f"{TRACES} < {compared}")
    press(page, "b")
    page.wait_for_function(f"{TRACES} === {compared}")
    press(page, "w")
    height, width = dataset.skip(2).first().metadata.height, dataset.skip(2).first().metadata.width
    shown = f"JSON.stringify([{CANVAS}.layout.xaxis.range, {CANVAS}.layout.yaxis.range])"
    page.wait_for_function(f"{shown} === '[[0,{width}],[{height},0]]'")
    press(page, "w")
    press(page, "z")
    modal.get_by_text("Click a joint, or").wait_for()
    page.wait_for_function(f"{TRACES} < {compared} && {JOINTS} !== '{moved}'")  # nothing of the undone pose stays
    click_beside_every_joint(page, modal)
    press(page, "Enter")
    page.get_by_text("the original is kept").first.wait_for()
    assert len(refined_ids(dataset)) == 1
    modal.get_by_role("button", name="Undo saved").wait_for()
    press(page, "z")
    modal.get_by_role("button", name="Undo", exact=True).wait_for()
    assert not refined_ids(dataset)
    click_beside_every_joint(page, modal)
    accepted = page.evaluate(JOINTS)
    press(page, "d")
    page.wait_for_function(f"{JOINTS} !== '{accepted}'")  # the next person
    assert dataset.count_label_tags("pred")["accepted"] == 1
    waiting = review_queue(dataset, "pred").items
    modal.get_by_text(waiting[0].filepath).first.wait_for()  # the open photo follows
    here = page.evaluate(JOINTS)
    press(page, "n")
    page.wait_for_function(f"{JOINTS} !== '{here}'")
    modal.get_by_text(waiting[1].filepath).first.wait_for()  # and the app's own keys did nothing
    page.screenshot(path=ARTIFACTS / "modal-next.png")


def test_calibrating_with_ccnet_in_the_app(page, dataset, tmp_path):
    label_as_predicted(dataset)
    page.reload()
    page.locator("[data-cy=looker]").first.wait_for()
    form = open_form(page, "calibrate confidence")
    form.get_by_role("combobox").nth(2).click()
    page.get_by_role("option", name="ccnet").click()
    form.get_by_text("A curve for each joint").wait_for(state="hidden")
    form.get_by_text("“pred” was predicted by lite").first.wait_for()  # so that nobody is asked
    page.screenshot(path=ARTIFACTS / "ccnet-form.png")
    form.get_by_role("button", name="Execute").first.click()
    page.get_by_text("labelled people are few for ccnet").first.wait_for()
    page.screenshot(path=ARTIFACTS / "ccnet-fitted.png")

    page.reload()
    page.locator("[data-cy=looker]").first.wait_for()
    form = open_form(page, "calibrate confidence")
    form.get_by_text("Apply a calibrator file").click()
    form.get_by_text("File that clickpose calibrate wrote").wait_for()
    form.get_by_role("textbox").fill(str(constant_head(tmp_path)))
    form.get_by_text("“pred” was predicted by lite").first.wait_for()
    page.screenshot(path=ARTIFACTS / "ccnet-file.png")
    form.get_by_role("button", name="Execute").first.click()
    page.get_by_text("Applied a fitted ccnet calibrator").first.wait_for()
    scores = np.array(dataset.values("pred.keypoints.pred_oks", unwind=True))
    np.testing.assert_allclose(scores, 0.25, atol=0.01)


def open_form(page, title):
    """Open an operator's form from the operator browser."""
    page.locator("[data-cy=action-browse-operations]").click()
    page.get_by_role("dialog").get_by_role("textbox").fill(title)
    page.get_by_text(f"Pose: {title}").first.click()
    form = page.get_by_role("dialog")
    form.get_by_role("button", name="Execute").first.wait_for()
    return form


def constant_head(folder):
    """A file with a CCNet head for lite that predicts an OKS of a quarter for every joint."""
    predictor = shared_predictor("lite")
    head = CCNet(17, predictor.network.config.decoder.dim)
    with torch.no_grad():
        head.bias.copy_(torch.tensor([0.25, 0.75]).logit().expand(17, 2))
    path = folder / "head.safetensors"
    save_ccnet(path, head.state_dict(), Provenance.today("lite", COCO, "nobody", predictor.fingerprint))
    return path


def label_as_predicted(dataset):
    """Write a field in which everybody is labelled as predicted."""
    people = [
        [{**person, "_id": ObjectId(), "visibility": [2] * len(COCO)} for person in label_documents(label)]
        for label in dataset.values("pred")
    ]
    write_labels(dataset, {"gt": (fo.Keypoints, people)})
    set_skeleton(dataset, "gt")
