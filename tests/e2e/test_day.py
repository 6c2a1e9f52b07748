"""What happens in a day of work: a slow or dying server, impatient presses, pages that are closed, another photo."""

from __future__ import annotations

import re
import time

import pytest

from helpers.editor import PATIENCE_MS, Editor

pytestmark = pytest.mark.browser

SAVES = re.compile(r"/api/(tasks/\d+/)?annotations")
DRAFTS = re.compile(r"/drafts")
FREE_THE_KEY = "Htx.setFlags({isSubmitting: false})"  # as Label Studio does after five seconds without an answer
STATE = """() => { const {isDraftSaving, submissionStarted, draftId, regions} = Htx.annotationStore.selected;
    return {isDraftSaving, submissionStarted, draftId, regions: regions.length, isSubmitting: Htx.isSubmitting,
        notice: document.querySelector('#clickpose-notice')?.textContent, status: __clickposeBridge.status()} }"""


def hold(page, address: re.Pattern) -> list:
    """Hold back the requests that save something at an address; returns them as they come."""
    held = []
    page.route(address, lambda route: route.fallback() if route.request.method == "GET" else held.append(route))
    return held


def wait_for(page, held: list, count: int) -> None:
    """Wait until so many requests are held back."""
    for _ in range(500):
        if len(held) >= count:
            return
        page.wait_for_timeout(20)
    state = page.evaluate(STATE)
    raise AssertionError(f"Expected {count} requests, got {len(held)}; the annotation is {state}")


def saved(stack, task_id: int) -> tuple[list[dict], list[dict]]:
    """The annotations and the drafts of a task."""
    with stack.api() as api:
        task = api.call("GET", f"/api/tasks/{task_id}/")
    return task["annotations"], task["drafts"]


def wait_for_draft(stack, task_id: int) -> list[dict]:
    """The drafts of a task, once there is one."""
    until = time.monotonic() + PATIENCE_MS / 1000
    while time.monotonic() < until:
        if drafts := saved(stack, task_id)[1]:
            return drafts
        time.sleep(0.2)
    raise AssertionError(f"Expected a draft of task {task_id}, got none")


def place_in(saved_entry: dict, region: str) -> list[float]:
    """Where a keypoint lies in an annotation or a draft."""
    return next(
        [item["value"]["x"], item["value"]["y"]]
        for item in saved_entry["result"]
        if item["id"] == region and item["type"] == "keypointlabels"
    )


def test_an_annotation_is_sent_once_however_slow_label_studio_is(editor, task_id, stack):
    """Label Studio frees its key after five seconds without an answer, and would make a second annotation."""
    editor.open(task_id)
    page, held = editor.page, hold(editor.page, SAVES)
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Control+Enter")
    wait_for(page, held, 1)
    page.wait_for_timeout(1100)
    page.evaluate(FREE_THE_KEY)
    page.keyboard.press("Control+Enter")
    editor.wait("document.querySelector('#clickpose-notice')?.textContent.includes('sent once')")
    page.evaluate(FREE_THE_KEY)
    page.keyboard.press("Control+Enter")
    page.wait_for_timeout(300)
    assert len(held) == 1
    held[0].continue_()
    editor.wait("Htx.annotationStore.selected?.pk && !Htx.isSubmitting")
    annotations, drafts = saved(stack, task_id)
    assert (len(annotations), drafts) == (1, [])


@pytest.mark.parametrize("failure", ["away", "error"])
def test_what_label_studio_could_not_save_is_kept_and_can_be_submitted_again(editor, task_id, stack, failure):
    """Label Studio would save no draft of it any more, and leave the one before beside the annotation."""
    editor.open(task_id)
    page, nose = editor.page, f"{editor.persons()[0]}-nose"
    with page.expect_response(lambda response: "/drafts" in response.url):
        editor.drag(nose, 12, 9)
    held = hold(page, SAVES)
    page.keyboard.press("Control+Enter")
    wait_for(page, held, 1)
    with page.expect_response(lambda response: "/drafts" in response.url):
        held[0].abort() if failure == "away" else held[0].fulfill(status=500, body="{}")
    editor.wait("document.querySelector('#clickpose-notice')?.textContent.includes('Submit it once more')")
    editor.wait("!Htx.isSubmitting")
    if failure == "away":
        page.get_by_role("button", name="OK").click()  # Label Studio's own message
        page.wait_for_timeout(500)
    with page.expect_response(lambda response: "/drafts" in response.url):
        dropped = editor.drag(nose, -20, 14)
    annotations, drafts = saved(stack, task_id)
    assert annotations == [] and len(drafts) == 1
    assert place_in(drafts[0], nose) == pytest.approx(dropped, abs=0.02)
    page.unroute(SAVES)
    editor.submit()
    editor.wait("Htx.annotationStore.selected?.pk && !Htx.isSubmitting")
    annotations, drafts = saved(stack, task_id)
    assert len(annotations) == 1 and drafts == []
    assert place_in(annotations[0], nose) == pytest.approx(dropped, abs=0.02)


def test_who_is_shown_alone_hides_nobody_in_another_photo_nor_who_is_drawn(editor, task_id, listed_tasks):
    editor.open(task_id)
    page, (left, right) = editor.page, editor.persons()
    hidden = "Htx.annotationStore.selected.regions.filter(r => r.hidden).length"
    visible = "(id) => Htx.annotationStore.selected.regions.find(r => r.cleanId === id).shapeRef.isVisible()"
    editor.point_at(f"{left}-left_hip")
    page.keyboard.press("Shift+I")
    editor.wait(f"{hidden} == 18")
    known = set(editor.places())
    page.keyboard.press("1")  # the label "person": somebody who was forgotten
    editor.drag_mouse(editor.screen_of(42.0, 20.0), editor.screen_of(54.0, 90.0))
    editor.wait_applied(1)
    (box,) = [region for region, place in editor.places().items() if region not in known and len(place) == 4]
    assert page.evaluate(visible, box)
    page.keyboard.press("Escape")

    editor.point_at(f"{left}-left_hip")
    page.keyboard.press("Shift+Backspace")
    editor.wait(f"{hidden} == 0")  # nobody is left whom it was about
    assert page.evaluate(visible, right)

    editor.point_at(f"{right}-left_hip")
    page.keyboard.press("Shift+I")
    other = next(listed_tasks)
    editor.click_row(other)
    editor.wait("Htx.annotationStore.selected?.regions?.length == 36 && __clickposeBridge.diagnostics.bones > 0")
    page.wait_for_timeout(500)
    assert all(page.evaluate(visible, region) for region in editor.places())
    assert page.evaluate(hidden) == 0


@pytest.mark.parametrize("how", ["reload", "close"])
def test_what_was_edited_a_moment_before_the_page_goes_is_kept(editor, task_id, stack, how):
    """Label Studio saves a draft up to five seconds after an edit."""
    page = editor.page.context.new_page()
    editor = Editor(page, stack.loop.project_url).open(task_id)
    nose = f"{editor.persons()[0]}-nose"
    dropped = editor.drag(nose, 15, 10)
    editor.wait_applied(1)
    seen = {region: place for region, place in editor.places().items() if len(place) == 2}
    page.reload() if how == "reload" else page.close(run_before_unload=True)
    drafts = wait_for_draft(stack, task_id)
    assert len(drafts) == 1 and place_in(drafts[0], nose) == pytest.approx(dropped, abs=0.02)
    assert {region: pytest.approx(place) for region, place in seen.items()} == {
        region: place_in(drafts[0], region) for region in seen
    }


@pytest.mark.parametrize("then", ["nothing", "another photo", "a reload"])
def test_a_draft_that_could_not_be_saved_is_kept_beside_and_saved_later(editor, task_id, listed_tasks, stack, then):
    """Label Studio takes an error for saved, and forgets what it could not send once another photo is opened."""
    editor.configure_bridge(retryMs=500)
    editor.open(task_id)
    page, nose = editor.page, f"{editor.persons()[0]}-nose"
    page.on("dialog", lambda dialog: dialog.accept())  # something is not saved yet
    page.route(DRAFTS, lambda route: route.fulfill(status=502) if then == "nothing" else route.abort())
    dropped = editor.drag(nose, 15, 10)
    editor.wait("document.querySelector('#clickpose-notice')?.textContent.includes('kept in this tab')")
    if then == "another photo":
        editor.click_row(next(listed_tasks))
    assert saved(stack, task_id) == ([], [])
    page.unroute(DRAFTS)
    if then == "a reload":
        page.reload()
    drafts = wait_for_draft(stack, task_id)
    assert len(drafts) == 1 and place_in(drafts[0], nose) == pytest.approx(dropped, abs=0.02)
    editor.wait("sessionStorage.getItem('clickpose-unsaved') == '[]'")
    assert len(saved(stack, task_id)[1]) == 1


def test_a_photo_opens_with_nothing_out_of_view_and_what_a_key_went_to_is_what_the_next_key_means(editor, task_id):
    """Label Studio fits a photo before the panels beside it have their widths. A key that zooms moves no mouse."""
    page = editor.page
    page.set_viewport_size({"width": 1100, "height": 900})
    editor.open(task_id)
    editor.wait("Htx.annotationStore.selected.objects[0].zoomScale == 1")
    left, right = editor.persons()
    score = (
        "Htx.annotationStore.selected.regions.find(r => r.cleanId === '{}').labeling.setMetaValue('predicted_oks', 0)"
    )
    page.evaluate(score.format(f"{right}-left_knee"))
    editor.point_at(f"{left}-left_hip")
    editor.wait(f"__clickposeBridge.shown('hovered') == '{left}'")
    page.keyboard.press("Shift+N")
    editor.wait(f"__clickposeBridge.shown('hovered') == '{right}'")  # in front
    page.keyboard.press("Shift+A")
    page.wait_for_timeout(300)
    accepted = {region for region, origin in editor.origins().items() if origin != "prediction"}
    assert len(accepted) == 18 and all(region.startswith(right) for region in accepted)
    x, y = editor.screen(f"{left}-left_hip")
    page.mouse.move(x, y)
    page.keyboard.press("Shift+A")  # the mouse says again who is meant
    page.wait_for_timeout(300)
    assert "prediction" not in editor.origins().values()


def test_another_photo_opened_while_one_is_being_saved_stays_open(editor, task_id, listed_tasks, stack):
    """Label Studio would come back to the first one as soon as that is saved, and drop what was done in the other."""
    other = next(listed_tasks)
    editor.open(task_id)
    page, held = editor.page, hold(editor.page, SAVES)
    page.keyboard.press("Control+Enter")
    wait_for(page, held, 1)
    box = page.get_by_role("checkbox", name=f"Select Task {other}", exact=True)
    page.locator(".lsf-table__row-wrapper").filter(has=box).click()
    page.wait_for_timeout(500)
    assert page.evaluate("Htx.task.id") == task_id
    held[0].continue_()
    editor.wait(f"Htx.task.id == {other} && Htx.annotationStore.selected?.regions?.length == 36")
    page.wait_for_timeout(1500)
    assert page.evaluate("Htx.task.id") == other
    assert len(saved(stack, task_id)[0]) == 1
