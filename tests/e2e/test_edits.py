"""Edits in a real browser: what counts as one, what is sent and applied, and what becomes of it on Submit."""

from __future__ import annotations

import random

import pytest

from clickpose_labelstudio.labeling_config import build_labeling_config
from helpers.editor import PATIENCE_MS

pytestmark = pytest.mark.browser

SHIFT_PCT = [3 / 640 * 100, -2 / 480 * 100]  # what the fake predictor moves free joints by
TOOL = "Htx.annotationStore.selected.objects[0].getToolsManager().findSelectedTool()?.fullName"
REGION = "Htx.annotationStore.selected.regions.find(r => r.cleanId === '{}')"
ZOOMED_IN = "[0, 0].forEach(() => Htx.annotationStore.selected.objects[0].handleZoom(1))"
NOTICES = """() => { window.__said = []; new MutationObserver(() => {
    const text = document.querySelector('#clickpose-notice')?.textContent;
    if (text && __said.at(-1) !== text) __said.push(text);
}).observe(document.documentElement, {subtree: true, childList: true, characterData: true}) }"""


def changed(editor) -> dict:
    """Regions that count as a human's, and why."""
    return {region: origin for region, origin in editor.origins().items() if origin != "prediction"}


def keypoints_of(annotation: dict) -> dict[str, list[float]]:
    items = (item for item in annotation["result"] if item["type"] == "keypointlabels")
    return {item["id"]: [item["value"]["x"], item["value"]["y"]] for item in items}


def saved(stack, task_id: int) -> tuple[list[dict], list]:
    """Places of the keypoints of each saved annotation, and the drafts that are left."""
    with stack.api() as api:
        task = api.call("GET", f"/api/tasks/{task_id}/")
    points = [keypoints_of(annotation) for annotation in task["annotations"]]
    return points, task["drafts"]


def followed(before: dict, after: dict, region: str) -> bool:
    """Whether a joint has moved as the fake predictor moves free ones."""
    return [b - a for a, b in zip(before[region], after[region], strict=True)] == pytest.approx(SHIFT_PCT, abs=1e-6)


def watch_saving(editor) -> list[str]:
    """Gather the requests that save an annotation."""
    sent = []
    editor.page.on(
        "request",
        lambda request: sent.append(request.method) if "/annotations" in request.url and request.method != "GET" else 0,
    )
    return sent


def press_submit(editor, how: str) -> None:
    if how == "key":
        editor.page.keyboard.press("Control+Enter")
    else:
        editor.page.get_by_role("button", name="Submit").or_(
            editor.page.get_by_role("button", name="Update")
        ).first.click()


def test_nothing_that_moves_nothing_is_an_edit(editor, task_id):
    """The hand, Space, the middle button and Shift over joints and boxes; clicks, right clicks, a wheel in a press."""
    editor.open(task_id)
    page, person = editor.page, editor.persons()[0]
    nose, before = f"{person}-nose", editor.places()

    def drag_joint_and_box(button="left"):
        x, y, width, height = before[person]
        for start in (editor.screen(nose), editor.screen_of(x + 0.5 * width, y + 0.6 * height)):
            page.mouse.move(*start)
            page.mouse.down(button=button)
            page.mouse.move(start[0] + 30, start[1] + 12, steps=4)
            page.mouse.up(button=button)

    page.get_by_label("pan").click()
    drag_joint_and_box()
    page.evaluate(ZOOMED_IN)
    drag_joint_and_box()
    page.get_by_label("pan").click()
    drag_joint_and_box("middle")
    page.keyboard.down("Shift")
    drag_joint_and_box()
    page.keyboard.up("Shift")
    tool = page.evaluate(TOOL)
    page.keyboard.down("Space")
    assert page.evaluate(TOOL) == "ZoomPanTool" != tool
    drag_joint_and_box()
    page.keyboard.up("Space")
    assert page.evaluate(TOOL) == tool
    page.mouse.click(*editor.screen(nose))
    page.mouse.click(*editor.screen(nose), button="right")
    page.mouse.down()
    page.keyboard.down("Control")
    page.mouse.wheel(0, -120)
    page.keyboard.up("Control")
    page.mouse.up()
    page.wait_for_timeout(300)
    assert (changed(editor), editor.history(), editor.diagnostics()["requests"]) == ({}, (0, 1), 0)
    assert editor.places() == before

    page.keyboard.press("Escape")
    editor.drag(nose, 9, 9)
    editor.wait_applied(1)
    assert changed(editor) == {nose: "prediction-changed"} and editor.history() == (1, 2)


def test_locked_regions_stay_and_the_rest_follows_around_them(editor, task_id, stack):
    editor.open(task_id)
    person = editor.persons()[0]
    elbow, wrist, hip = (f"{person}-{joint}" for joint in ("left_elbow", "left_wrist", "left_hip"))
    for region in (elbow, person):
        editor.page.evaluate(f"{REGION.format(region)}.setLocked(true)")
    before = editor.places()
    editor.drag(wrist, 25, 10)
    editor.wait_applied(1)
    after = editor.places()
    assert (after[elbow], after[person]) == (before[elbow], before[person])
    assert followed(before, after, hip)
    assert stack.predictor.refined[-1][1].fixed.sum() == 2
    assert set(changed(editor)) == {wrist}
    assert editor.page.evaluate(f"{REGION.format(elbow)}.score") == pytest.approx(0.5 + 7 * 0.4 / 16, abs=1e-4)
    # what has been refined shows its new score in the list of regions; one undo takes that back, too
    assert editor.page.evaluate(f"{REGION.format(hip)}.score") == 0.6
    editor.page.keyboard.press("Control+z")
    editor.wait(f"{REGION.format(hip)}.score !== 0.6")
    assert editor.places() == before


def test_submitting_waits_for_the_answer_once(editor, task_id, stack, artifacts):
    editor.configure_bridge(submitWaitMs=PATIENCE_MS)
    editor.open(task_id)
    person = editor.persons()[0]
    wrist, hip = f"{person}-left_wrist", f"{person}-left_hip"
    before, sent = editor.places(), watch_saving(editor)
    with stack.backend.holding_answers():
        dropped = editor.drag(wrist, 30, 10)
        press_submit(editor, "key")
        press_submit(editor, "key")
        editor.wait("__clickposeBridge.status() == 'waiting'")
        editor.page.screenshot(path=artifacts / "submit-waits.png")
        assert sent == []
    editor.wait("Htx.annotationStore.selected?.pk && !Htx.isSubmitting")
    (points,), drafts = saved(stack, task_id)
    assert points[wrist] == pytest.approx(dropped, abs=0.02) and followed(before, points, hip)
    assert drafts == [] and sent == ["POST"]
    editor.wait("Htx.annotationStore.selected?.regions?.length == 36 && __clickposeBridge.status() == 'ready'")
    editor.page.wait_for_timeout(500)

    with stack.backend.holding_answers():  # and so does an update
        editor.drag(f"{person}-nose", 12, 6)
        editor.wait_requests(2)
        press_submit(editor, "button")
        editor.page.wait_for_timeout(300)
        assert sent == ["POST"]
        with editor.page.expect_response(lambda response: response.request.method == "PATCH"):
            stack.backend.answers_allowed.set()
    editor.wait("!Htx.isSubmitting && Htx.annotationStore.selected?.regions?.length == 36")
    (updated,), drafts = saved(stack, task_id)
    assert followed(points, updated, hip) and updated[wrist] == points[wrist]
    assert sent == ["POST", "PATCH"] and drafts == []


def test_what_submit_does_not_wait_for_is_said(editor, task_id, listed_tasks, stack):
    """An answer that does not come; and another photo that is opened while one is due."""
    other = next(listed_tasks)
    editor.configure_bridge(submitWaitMs=700)
    editor.open(task_id)
    editor.page.evaluate(NOTICES)
    person = editor.persons()[0]
    wrist, before = f"{person}-left_wrist", editor.places()
    with stack.backend.holding_answers():
        dropped = editor.drag(wrist, 30, 10)
        editor.wait_requests(1)
        press_submit(editor, "key")
        editor.wait("Htx.annotationStore.selected?.pk && !Htx.isSubmitting")
    (points,), drafts = saved(stack, task_id)
    assert points[wrist] == pytest.approx(dropped, abs=0.02) and drafts == []
    assert {**points, wrist: None} == {
        **{region: pytest.approx(place) for region, place in before.items() if len(place) == 2},
        wrist: None,
    }
    assert any("Submitted without the refinement" in text for text in editor.page.evaluate("__said"))

    editor.page.unroute("**/clickpose/bridge.js*")
    editor.configure_bridge(submitWaitMs=PATIENCE_MS)
    editor.open(task_id)
    editor.page.evaluate(NOTICES)
    with stack.backend.holding_answers():
        editor.drag(f"{person}-nose", 12, 6)
        editor.wait_requests(1)
        press_submit(editor, "key")
        editor.click_row(other)
    editor.wait(f"Htx.task.id == {other} && Htx.annotationStore.selected?.regions?.length == 36")
    editor.wait("__said.some(text => text.includes('It is not submitted'))")
    (again,), drafts = saved(stack, task_id)
    assert again == points and len(drafts) == 1  # the edit is in the draft, and was not submitted for another photo
    assert saved(stack, other)[0] == []


def test_what_looks_wrong_is_named_once_before_submitting(editor, task_id, stack, artifacts):
    editor.open(task_id)
    person, sent = editor.persons()[0], watch_saving(editor)
    editor.page.evaluate(f"{REGION.format(f'{person}-nose')}.setParentID('')")
    press_submit(editor, "key")
    editor.wait("document.querySelector('#clickpose-notice')?.textContent.includes('Not submitted yet')")
    assert "nose belongs to nobody" in editor.notice() and sent == []
    assert editor.page.evaluate("Htx.annotationStore.selected.submissionStarted") == 0  # drafts go on being saved
    editor.page.screenshot(path=artifacts / "problem-before-submit.png")
    editor.page.get_by_role("button", name="Show").click()
    assert editor.page.evaluate("Htx.annotationStore.selected.selectedRegions.map(r => r.cleanId)") == [
        f"{person}-nose"
    ]
    press_submit(editor, "button")
    editor.wait("Htx.annotationStore.selected?.pk && !Htx.isSubmitting")
    assert sent == ["POST"] and len(saved(stack, task_id)[0]) == 1


def test_each_of_two_persons_gets_what_still_fits(editor, task_id, stack):
    """While answers are due, one edit is undone, or its joint deleted, or a person accepted: the rest is applied."""
    editor.open(task_id)
    left, right = editor.persons()
    before = editor.places()
    with stack.backend.holding_answers():
        editor.drag(f"{left}-nose", 15, 15)
        editor.wait_requests(1)
        editor.drag(f"{right}-nose", 15, 15)
        editor.wait_requests(2)
        editor.page.keyboard.press("Control+z")  # the right one's
        editor.page.wait_for_timeout(300)
    editor.wait_applied(1)
    after = editor.places()
    for region, place in before.items():
        if region.startswith(right):
            assert after[region] == place, region
    assert followed(before, after, f"{left}-left_hip")

    with stack.backend.holding_answers():
        editor.drag(f"{left}-left_wrist", 15, 5)
        editor.drag(f"{right}-left_wrist", -15, 5)
        editor.wait_requests(4)
        editor.point_at(f"{left}-left_hip")
        editor.page.keyboard.press("Shift+A")
        accepted = editor.places()
        editor.delete(f"{right}-left_wrist", left=35)
    editor.page.wait_for_timeout(500)
    last = editor.places()
    assert last == {region: place for region, place in accepted.items() if region != f"{right}-left_wrist"}


def test_drawn_box_starts_as_a_pre_annotation_and_takes_a_missing_joint(editor, task_id, stack, monkeypatch):
    monkeypatch.setattr(stack.predictor, "visible", 0.1)  # of every other joint, beginning with the nose
    editor.open(task_id)
    page, known = editor.page, set(editor.places())
    page.keyboard.press("1")  # the label "person"
    editor.drag_mouse(editor.screen_of(42.0, 20.0), editor.screen_of(54.0, 90.0))
    editor.wait("Htx.annotationStore.selected.regions.length == 36 + 9")
    page.keyboard.press("Escape")
    drawn = set(editor.places()) - known
    (box,) = [region for region in drawn if len(editor.places()[region]) == 4]
    labels = editor.labels()
    assert {labels[region] for region in drawn - {box}} == {
        "left_eye", "left_ear", "left_shoulder", "left_elbow", "left_wrist", "left_hip", "left_knee", "left_ankle"
    }  # fmt: skip
    page.get_by_text("nose", exact=True).first.click()
    page.keyboard.down("Control")
    page.mouse.click(*editor.screen_of(48, 30))
    page.keyboard.up("Control")
    editor.wait_applied(2)
    (nose,) = set(editor.places()) - known - drawn
    assert (editor.parents()[nose], editor.labels()[nose]) == (box, "nose")


def test_labels_that_are_no_joints_and_broken_configurations_are_said(editor, task_id, stack, artifacts):
    """The first beside good ones, in the chip; the second in place of “offline”, and gone once it is mended."""
    good = build_labeling_config()
    odd = good.replace("</KeyPointLabels>", '<Label value="Handgelenk links" background="red"/></KeyPointLabels>')
    broken = good.replace('value="$image"', 'value="$image" ').replace('<Label value="person" ', '<Label value="dog" ')
    broken = broken.replace("</RectangleLabels>", '<Label value="cat" background="red"/></RectangleLabels>')
    editor.configure_bridge(retryMs=500)
    chip = editor.page.locator("#clickpose-chip")
    with stack.api() as api:
        address = f"/api/projects/{stack.loop.project_id}/"
        before = api.call("GET", address)["label_config"]
        try:
            api.call("PATCH", address, json={"label_config": odd})
            editor.open(task_id)
            editor.wait("document.querySelector('#clickpose-chip').dataset.state == 'configuration'")
            assert "Handgelenk links" in chip.locator("button").first.get_attribute("title")
            assert "left_wrist?" in chip.locator("button").first.get_attribute("title")
            editor.page.screenshot(path=artifacts / "odd-label.png")
            editor.drag(f"{editor.persons()[0]}-nose", 12, 9)  # the joints work
            editor.wait_applied(1)
            editor.page.keyboard.press("Control+z")
            editor.page.wait_for_timeout(300)

            api.call("PATCH", address, json={"label_config": broken})
            editor.goto(task_id)
            editor.wait("window.__clickposeBridge?.status() == 'configuration'")
            assert "called person" in chip.locator("button").first.get_attribute("title")
            editor.page.screenshot(path=artifacts / "broken-configuration.png")
        finally:
            api.call("PATCH", address, json={"label_config": before})
    editor.wait("__clickposeBridge.status() == 'ready'")


STATE = """() => Htx.annotationStore.selected.regions.map(r => ({
    id: r.cleanId, place: r.type === 'rectangleregion' ? [r.x, r.y, r.width, r.height] : [r.x, r.y],
    origin: r.origin, locked: r.locked, parent: (r.parentID ?? '').replace(/#.*/, ''), label: r.labelName}))"""


class Walk:
    """What an annotator may do next, at random but the same each time."""

    KINDS = (
        ["drag"] * 8 + ["drag_box"] * 2 + ["undo"] * 4 + ["redo"] * 2 + ["lock"] * 2 + ["hold"] * 2
        + ["accept", "occlude", "pan", "click", "delete", "draw", "place"]
    )  # fmt: skip

    def __init__(self, editor, stack, seed: int):
        self.editor, self.page, self.backend, self.random = editor, editor.page, stack.backend, random.Random(seed)
        self.meant = None  # the region that the latest action was about

    def state(self) -> dict[str, dict]:
        regions = self.page.evaluate(STATE)
        assert len({region["id"] for region in regions}) == len(regions)  # none is there twice
        return {region["id"]: region for region in regions}

    def step(self) -> str:
        kind = self.random.choice(self.KINDS)
        regions = self.state()
        joints = [region for region, known in regions.items() if len(known["place"]) == 2]
        self.meant = self.random.choice(joints)
        getattr(self, kind)(regions)
        self.page.wait_for_timeout(self.random.choice([40, 120, 300]))
        return kind

    def drag(self, _):
        self.editor.drag(self.meant, self.random.randint(-25, 25), self.random.randint(-25, 25))

    def drag_box(self, regions):
        self.meant = self.random.choice([region for region, known in regions.items() if len(known["place"]) == 4])
        x, y, width, height = regions[self.meant]["place"]
        edge = self.editor.screen_of(x + 0.5 * width, y + 0.97 * height)
        self.editor.drag_mouse(edge, (edge[0] + self.random.randint(-12, 12), edge[1] + self.random.randint(-8, 8)))
        self.page.keyboard.press("Escape")  # Label Studio draws a box that is selected above its joints

    def undo(self, _):
        self.page.keyboard.press("Control+z")

    def redo(self, _):
        self.page.keyboard.press("Control+Shift+z")

    def lock(self, _):
        self.page.evaluate(f"{REGION.format(self.meant)}.setLocked(locked => !locked)")

    def hold(self, _):
        allowed = self.backend.answers_allowed
        (allowed.clear if allowed.is_set() else allowed.set)()

    def accept(self, _):
        self.editor.point_at(self.meant)
        self.page.keyboard.press("Shift+A")

    def occlude(self, _):
        self.editor.point_at(self.meant)
        self.page.keyboard.press("Shift+V")

    def pan(self, _):
        self.page.keyboard.down("Space")
        self.editor.drag(self.meant, 20, 10)
        self.page.keyboard.up("Space")

    def click(self, _):
        self.page.mouse.click(*self.editor.screen(self.meant))
        self.page.mouse.click(*self.editor.screen(self.meant), button="right")
        self.page.keyboard.press("Escape")

    def delete(self, _):
        self.page.evaluate(f"Htx.annotationStore.selected.selectAreas([{REGION.format(self.meant)}])")
        self.page.wait_for_timeout(200)
        self.page.keyboard.press("Backspace")

    def draw(self, regions):
        if all(region.startswith("cp-") for region in regions):  # once
            self.page.keyboard.press("1")
            self.editor.drag_mouse(self.editor.screen_of(42.0, 8.0), self.editor.screen_of(54.0, 95.0))
            self.page.keyboard.press("Escape")

    def place(self, _):
        self.page.get_by_text("nose", exact=True).first.click()
        self.page.keyboard.down("Control")
        self.page.mouse.click(*self.editor.screen_of(self.random.uniform(12, 38), self.random.uniform(15, 80)))
        self.page.keyboard.up("Control")
        self.page.wait_for_timeout(150)
        self.page.keyboard.press("Escape")


def check_step(kind: str, meant: str, before: dict, after: dict) -> None:
    """Nothing is lost, and nothing moved or marked that the annotator did not mean."""
    assert before.keys() - after.keys() <= ({meant} if kind == "delete" else set())
    for region, was in before.items():
        now = after.get(region, was)
        is_same = now["place"] == pytest.approx(was["place"], abs=1e-6)
        is_meant = region == meant and kind in ("drag", "drag_box")
        is_meant |= kind == "place" and was["label"] == "nose"  # who has one already gets it moved
        assert is_same or not (was["locked"] and now["locked"]), region
        assert is_same or was["origin"] == "prediction" or is_meant or kind == "drag_box", region
        assert now["origin"] == was["origin"] or kind in ("drag", "drag_box", "accept", "place"), region
        assert now["origin"] == was["origin"] or was["origin"] == "prediction", region


def test_whatever_is_done_nothing_is_lost_and_all_can_be_undone(editor, task_id, stack):
    editor.open(task_id)
    walk = Walk(editor, stack, seed=3)
    start, steps = walk.state(), []
    try:
        for _ in range(50):
            before = walk.state()
            kind = walk.step()
            steps.append((kind, walk.meant))
            if kind not in ("undo", "redo"):
                check_step(kind, walk.meant, before, walk.state())
    except AssertionError as error:
        raise AssertionError(f"After {steps}") from error
    finally:
        stack.backend.answers_allowed.set()
    editor.page.wait_for_timeout(1000)
    assert editor.diagnostics()["applied"] > 5 and editor.diagnostics()["faults"] == []
    for _ in range(editor.history()[0]):
        editor.page.keyboard.press("Control+z")
    editor.wait("Htx.annotationStore.selected.history.undoIdx == 0")
    end = walk.state()
    assert {region: {**known, "locked": None} for region, known in end.items()} == {
        region: {**known, "locked": None, "place": pytest.approx(known["place"], abs=1e-9)}
        for region, known in start.items()
    }
