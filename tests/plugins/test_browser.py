"""The real app in headless Chromium: each panel, each key, refining in the modal, CCNet. Screenshots are kept."""

import json
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
import torch
from bson import ObjectId

from clickpose.calibration.calibrator_file import Provenance, save_ccnet
from clickpose.draw import score_color
from clickpose.image_io import read_sides
from clickpose.networks.ccnet import CCNet
from clickpose.skeleton import COCO
from clickpose_fiftyone.coco_exchange import import_coco
from clickpose_fiftyone.column_writes import label_documents, write_labels
from clickpose_fiftyone.predictors import shared_predictor
from clickpose_fiftyone.refinement import refined_ids
from clickpose_fiftyone.review import review_queue, worst_samples
from clickpose_fiftyone.review_log import actions_of
from clickpose_fiftyone.skeletons import set_skeleton
from helpers.fiftyone_app import (
    ARTIFACTS,
    NAME,
    PHOTOS,
    canvas,
    drag_joint,
    open_panel,
    press,
    show,
    wait_for_canvas,
    wait_for_photo,
)

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser, app, dataset):
    """The app on that copy, its photos shown."""
    page = show(browser, app, dataset)
    yield page
    page.context.close()


CERTAIN_PIXELS = """() => [...document.querySelectorAll('[data-cy=looker] canvas')].map((canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let i = 0; i < data.length; i += 4)
        count += [0, 1, 2].every((part) => Math.abs(data[i + part] - CERTAIN[part]) < 12);
    return count; }).reduce((one, other) => one + other, 0)""".replace("CERTAIN[", f"{list(score_color(0.95))}[")
CARDS_SHOWN = """() => [...document.querySelectorAll('[data-pose-card]')].filter(
    (card) => card.offsetParent).map((card) => card.dataset.poseCard)"""
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
    wait_for_photo(page)
    drag_joint(page, "left_wrist", 30, -20)
    page.get_by_role("button", name="Save", exact=True).click()
    wait_for_canvas(page, "!session.isDirty()")
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
    page.get_by_text(f" of {PHOTOS} photos").first.wait_for()
    page.locator("[role=dialog]").get_by_text("Found 10 persons in 4 photos").wait_for()  # in place of the progress
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
    from playwright.sync_api import TimeoutError

    said = page.get_by_text("10 people: nose, good").first
    for _ in range(5):  # a chart that is being drawn anew, as when the app tells of a view, takes no click
        area = cells.bounding_box()
        page.mouse.move(area["x"] + 0.05 * area["width"], area["y"] + 0.02 * area["height"])
        page.mouse.move(area["x"] + 0.1 * area["width"], area["y"] + 0.03 * area["height"])
        page.locator(".hoverlayer .hovertext").last.wait_for()
        page.mouse.click(area["x"] + 0.1 * area["width"], area["y"] + 0.03 * area["height"])
        try:
            said.wait_for(timeout=15_000)
            return
        except TimeoutError:
            continue
    raise AssertionError("Expected a click on a cell to show its people")


def test_imported_poses_have_their_colours_at_once(page, unpredicted, tmp_path):
    photos = [Path(path) for path in unpredicted.values("filepath")]
    sides = [read_sides(path, upright=True) for path in photos]
    images = [{"id": i, "file_name": path.name, "height": hw[0], "width": hw[1]}
              for i, (path, hw) in enumerate(zip(photos, sides, strict=True))]  # fmt: skip
    pose = [value for i in range(17) for value in (100 + 10 * i, 120 + 6 * i, 0.95)]
    joints = [*pose[:2], 2] + [0] * 48
    label = {"id": 1, "image_id": 0, "category_id": 1, "keypoints": joints, "bbox": [90, 90, 200, 200], "area": 9000,
             "iscrowd": 0, "num_keypoints": 1}  # fmt: skip
    person = {"id": 1, "name": "person", "keypoints": list(COCO.names), "skeleton": []}
    labels = {"images": images, "annotations": [label], "categories": [person]}
    results = [{"image_id": i, "category_id": 1, "keypoints": pose, "score": 0.95} for i in range(len(photos))]
    for name, content in (("labels", labels), ("results", results)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    import_coco(unpredicted, tmp_path / "labels.json", photos[0].parent, "gt")
    page.reload()
    page.locator("[data-cy=looker]").nth(PHOTOS - 1).wait_for()
    form = open_form(page, "import COCO poses")
    form.get_by_role("textbox").first.fill(str(tmp_path / "results.json"))
    form.get_by_role("textbox").last.fill("other")
    form.get_by_role("button", name="Execute").first.click()
    page.wait_for_function(f"({CERTAIN_PIXELS})() > 100")  # and nothing was reloaded
    page.screenshot(path=ARTIFACTS / "imported.png")


def test_the_keys_of_the_review_panel(page, dataset):
    in_the_worst_photo = len(worst_samples(dataset, "pred", 1).first().pred.keypoints)
    open_panel(page, "review_panel")
    page.get_by_text("0 of 10 people settled").wait_for()
    hidden = page.evaluate(f"localStorage.getItem('fo-hiddenLabels-{dataset.name}-pred')").split(",")
    assert {"keypoint_oks", "refinement_history"} <= set(hidden)  # tooltips can be read
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
    the_queue_goes_on_before_it_is_answered(page, dataset)
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
    wait_for_photo(page)
    worst = min(worst_samples(dataset, "pred", 1).first().pred.keypoints, key=lambda person: person.pred_oks)
    assert canvas(page, "session.chosen") == worst.id


def the_queue_goes_on_before_it_is_answered(page, dataset):
    """Three quick presses, while no answer comes: each takes its own card, and is an action of its own."""
    queue = [item.label_id for item in review_queue(dataset, "pred", 8).items]
    held = []
    page.locator("[data-cy=pose-keys][aria-busy=false]").last.wait_for()
    page.route("**/operators/execute", lambda route: route.continue_() if held is None else held.append(route))
    for key in "aax":
        page.keyboard.press(key)
    page.get_by_text("3 of 10 people settled").wait_for()
    page.wait_for_function(f"({CARDS_SHOWN})().join() === '{','.join(queue[3:])}'")
    page.wait_for_function(f"({CURRENT_CARD})() === 3")  # of all cards: three are gone already
    assert not fo.load_dataset(dataset.name).count_label_tags("pred").get("accepted", 0)
    asked, held = held, None
    for request in asked:
        request.continue_()
    page.wait_for_function(f"({CARDS_SHOWN})().slice(0, 5).join() === '{','.join(queue[3:])}'")
    page.locator("[data-cy=pose-keys][aria-busy=false]").last.wait_for()
    page.get_by_text("3 of 10 people settled").wait_for()
    done = [(action.what, action.label_ids) for action in actions_of(dataset, 3)]
    assert done == [("rejected", (queue[2],)), ("accepted", (queue[1],)), ("accepted", (queue[0],))]
    for count in (2, 1, 0):
        press(page, "u")
        page.get_by_text(f"{count} of 10 people settled").wait_for()
    assert [item.label_id for item in review_queue(dataset, "pred", 8).items] == queue


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
