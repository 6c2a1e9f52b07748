"""A person is one thing, a joint is there once, and the keys do what they say, on the real Label Studio."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

SELECT = """ids => { const a = Htx.annotationStore.selected;
    a.selectAreas(a.regions.filter(r => ids.includes(r.cleanId))); }"""
THOSE = "what => Htx.annotationStore.selected.regions.filter(r => r[what]).map(r => r.cleanId)"
SET_LOCKED = "([id, on]) => Htx.annotationStore.selected.regions.find(r => r.cleanId === id).setLocked(on)"
CHOICES = """() => Object.fromEntries(Htx.annotationStore.selected.regions.map(
    r => [r.cleanId, r.results.filter(i => i.type === 'choices').flatMap(i => [...i.mainValue])]))"""
SETTLED_MS = 250


def members(places: dict, person: str) -> set[str]:
    """The box of a person and the joints."""
    return {region for region in places if region == person or region.startswith(f"{person}-")}


def accepted(editor) -> set[str]:
    """Regions that count as placed by a human."""
    return {region for region, origin in editor.origins().items() if origin != "prediction"}


def press(editor, keys: str) -> str | None:
    """Press keys; return the notice."""
    editor.page.keyboard.press(keys)
    editor.page.wait_for_timeout(SETTLED_MS)
    return editor.notice()


def those(editor, what: str) -> set[str]:
    """Regions that are hidden, locked or inSelection."""
    return set(editor.page.evaluate(THOSE, what))


def is_of(response, regions: int) -> bool:
    """Tell whether a draft of this many regions has been saved."""
    result = (response.request.post_data_json or {}).get("result", [])
    return len({item["id"] for item in result}) == regions


def ctrl_click(editor, label: str, place: list[float]) -> None:
    """Choose a joint's label, then click a place, percent, with Ctrl held."""
    editor.page.keyboard.press("Escape")
    editor.page.get_by_text(label, exact=True).first.click()
    editor.wait("Htx.annotationStore.selected.objects[0].activeStates().length == 1")
    editor.page.keyboard.down("Control")
    editor.page.mouse.click(*editor.screen_of(*place))
    editor.page.keyboard.up("Control")
    editor.page.wait_for_timeout(SETTLED_MS)


def test_deleting_hiding_and_locking_a_box_means_the_person(editor, task_id, stack):
    editor.open(task_id)
    page = editor.page
    left, right = editor.persons()
    before, origins = editor.places(), editor.origins()
    person = members(before, left)
    assert len(person) == 18

    page.evaluate(SELECT, [left])
    assert press(editor, "Backspace") == "Person deleted, with 17 joints. Ctrl+Z undoes it."
    assert editor.places().keys() == before.keys() - person
    assert editor.history() == (1, 2)
    press(editor, "Control+z")
    assert (editor.places(), editor.origins()) == (before, origins)
    editor.drag(f"{left}-left_hip", 12, 8)  # what has come back lies before its box, which would be dragged
    editor.wait_applied(1)
    assert accepted(editor) == {f"{left}-left_hip"}
    press(editor, "Control+z")

    page.evaluate(SELECT, [left, right, f"{right}-nose"])
    assert press(editor, "Backspace") == "2 persons deleted, with 34 joints. Ctrl+Z undoes it."
    assert not editor.places()
    press(editor, "Control+z")
    assert editor.places() == before

    page.evaluate(SELECT, [left, f"{left}-nose"])  # Label Studio would toggle each, the nose twice
    press(editor, "Alt+h")
    assert those(editor, "hidden") == person
    press(editor, "Alt+h")
    press(editor, "Alt+l")
    assert those(editor, "locked") == person and not those(editor, "hidden")
    assert press(editor, "Backspace") == "A person whose box is locked is not deleted."
    press(editor, "Alt+l")
    page.evaluate(SET_LOCKED, [f"{left}-nose", True])
    assert press(editor, "Backspace") == "A person whose nose is locked is not deleted."
    assert editor.places() == before
    page.evaluate(SET_LOCKED, [f"{left}-nose", False])
    press(editor, "Escape")

    row = page.locator(".lsf-outliner-item", has_text="person").first
    row.hover()
    row.locator(".lsf-outliner-item__control_type_visibility button").click()
    page.wait_for_timeout(SETTLED_MS)
    assert those(editor, "hidden") in (person, members(before, right))
    row.locator(".lsf-outliner-item__control_type_visibility button").click()
    row.locator(".lsf-outliner-item__control_type_lock button").click()
    page.wait_for_timeout(SETTLED_MS)
    assert those(editor, "locked") in (person, members(before, right)) and not those(editor, "hidden")
    row.locator(".lsf-outliner-item__control_type_lock button").click()

    editor.point_at(f"{left}-left_knee")
    with page.expect_response(lambda response: "/drafts" in response.url and is_of(response, 18)):
        press(editor, "Shift+Backspace")
    assert editor.places().keys() == members(before, right)
    editor.goto(task_id, regions=18)
    assert editor.places().keys() == members(before, right)
    editor.submit()
    with stack.api() as api:
        (annotation,) = api.call("GET", f"/api/tasks/{task_id}/")["annotations"]
    assert {item["id"] for item in annotation["result"]} == members(before, right)


def test_keys_hide_lock_isolate_and_delete_the_person_under_the_mouse(editor, task_id):
    editor.open(task_id)
    page = editor.page
    left, right = editor.persons()
    before = editor.places()
    person, other = members(before, left), members(before, right)
    hip = f"{left}-left_hip"

    editor.point_at(hip)
    assert press(editor, "Shift+H") == "Person hidden. Shift+H beside everybody shows all again."
    assert those(editor, "hidden") == person
    page.mouse.move(*editor.screen_of(48, 50))
    assert press(editor, "Shift+H") == "Person shown again."
    assert not those(editor, "hidden")

    editor.point_at(hip)
    assert press(editor, "Shift+L") == "Person locked, with 17 joints."
    assert those(editor, "locked") == person
    for keys, said in (
        ("Shift+V", "left hip is locked: it stays visible."),
        ("Shift+A", "Nothing accepted: 18 locked stay as they are."),
        ("Shift+X", "left eye is locked: nothing is exchanged."),
        ("Shift+P", "left hip is locked: nothing is exchanged."),
        ("Shift+Backspace", "A person whose box is locked is not deleted."),
    ):
        assert press(editor, keys) == said
    assert (editor.places(), editor.history(), accepted(editor)) == (before, (0, 1), set())
    assert press(editor, "Shift+L") == "Person unlocked, with 17 joints."

    assert press(editor, "Shift+I") == "This person alone. Shift+I shows everybody again."
    assert those(editor, "hidden") == other
    assert press(editor, "Shift+I") == "Everybody is shown again."
    assert not those(editor, "hidden")

    page.evaluate(SELECT, [left, right])  # one of several selected stands for all of them
    assert press(editor, "Shift+Backspace") == "2 persons deleted, with 34 joints. Ctrl+Z undoes it."
    press(editor, "Control+z")
    assert editor.places() == before
    press(editor, "Escape")
    page.mouse.move(*editor.screen_of(48, 50))
    assert press(editor, "Shift+Backspace") == "No person is under the mouse."
    assert editor.places() == before


def test_of_overlapping_persons_the_keys_take_the_one_under_the_mouse(editor, task_id, artifacts):
    editor.open(task_id)
    page = editor.page
    left, _ = editor.persons()
    x, y, width, height = editor.places()[left]
    known = set(editor.places())
    page.keyboard.press("1")  # a small person in the middle of the large one, whose bones run at 0.25 and 0.75
    ends = [(x + 1.1 * width, y + 0.7 * height), (x + 0.3 * width, y + 0.3 * height)]
    editor.drag_mouse(*(editor.screen_of(*end) for end in ends))
    editor.wait("Htx.annotationStore.selected.regions.length == 36 + 18")
    (small,) = {region for region, place in editor.places().items() if len(place) == 4} - known
    page.keyboard.press("Escape")

    knee = f"{left}-left_elbow"  # in the small one's box, and further from the small one's joints
    page.mouse.move(*editor.screen(knee))
    page.keyboard.down("Shift")
    page.wait_for_timeout(SETTLED_MS)
    page.screenshot(path=artifacts / "who-is-meant.png")
    page.keyboard.press("A")
    page.keyboard.up("Shift")
    page.wait_for_timeout(SETTLED_MS)
    assert accepted(editor) == members(editor.places(), left) | {small}
    assert editor.notice() == "Person accepted."


def test_a_joint_that_is_placed_twice_is_moved(editor, task_id, stack, artifacts):
    editor.open(task_id)
    page = editor.page
    left, right = editor.persons()
    before, knee = editor.places(), f"{left}-right_knee"
    place = [before[knee][0] + 4, before[knee][1] + 2]
    ctrl_click(editor, "right_knee", place)
    editor.wait_applied(1)
    after = editor.places()
    assert after.keys() == before.keys()
    assert after[knee] == pytest.approx(place, abs=0.2)
    assert after[f"{left}-nose"] != before[f"{left}-nose"]  # the rest of the person follows
    assert accepted(editor) == {knee} and editor.history() == (1, 2)
    assert stack.predictor.refined[-1][1].fixed.sum() == 1
    assert editor.notice() == "This person has right knee already: it has been moved here. Ctrl+Z undoes it."
    press(editor, "Escape")
    press(editor, "Control+z")
    assert (editor.places(), accepted(editor)) == (before, set())

    page.evaluate(SET_LOCKED, [knee, True])
    ctrl_click(editor, "right_knee", place)
    assert editor.notice() == "right knee of this person is locked: it stays where it is."
    assert (editor.places(), editor.history()[0], editor.diagnostics()["requests"]) == (before, 0, 1)
    page.evaluate(SET_LOCKED, [knee, False])

    editor.delete(f"{right}-left_wrist", left=35)  # who lacks the joint gets it, at once
    wrist = before[f"{right}-left_wrist"]
    ctrl_click(editor, "left_wrist", [wrist[0] - 2, wrist[1]])
    (placed,) = editor.places().keys() - before.keys()
    assert editor.parents()[placed] == right
    editor.wait_applied(2)
    assert len(editor.places()) == 36

    ctrl_click(editor, "nose", [48, 60])  # beside everybody, and everybody has one
    editor.wait_requests(3)
    editor.wait("__clickposeBridge.status() == 'ready'")  # nobody's, so that the answer moves nothing
    page.wait_for_timeout(SETTLED_MS)
    assert editor.notice() == "This nose belongs to nobody: everybody has one. An export leaves it out."
    (loose,) = {region for region, place in editor.places().items() if abs(place[0] - 48) < 0.3} - before.keys()
    press(editor, "Escape")
    assert press(editor, "Shift+G") == "This nose belongs to nobody."
    assert those(editor, "inSelection") == {loose}
    page.screenshot(path=artifacts / "loose-joint.png")
    press(editor, "Backspace")
    assert press(editor, "Shift+G") == "Nothing looks wrong: no loose or double joints, everybody has a box."


def test_left_and_right_are_exchanged_in_one_step(editor, task_id):
    editor.open(task_id)
    left, _ = editor.persons()
    before = editor.places()
    sides = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "eye", "ear")

    def exchanged(*parts):
        other = {f"{left}-left_{part}": f"{left}-right_{part}" for part in parts}
        other |= {right: one for one, right in other.items()}
        return {region: pytest.approx(before[other.get(region, region)], abs=1e-6) for region in before}, set(other)

    editor.point_at(f"{left}-left_elbow")
    press(editor, "Shift+V")
    for index, (keys, parts, said) in enumerate(
        (
            ("Shift+P", ("elbow",), "elbow"),
            ("Shift+E", ("elbow", "wrist"), "elbow, wrist"),
            ("Shift+X", sides, "the whole person"),
        )
    ):
        editor.point_at(f"{left}-left_elbow")
        assert press(editor, keys) == f"Left and right exchanged: {said}."
        places, touched = exchanged(*parts)
        assert (editor.places(), accepted(editor)) == (places, touched)
        choices = editor.page.evaluate(CHOICES)
        assert (choices[f"{left}-left_elbow"], choices[f"{left}-right_elbow"]) == (["occluded"], ["occluded"])
        assert editor.history() == (2, 3), index
        press(editor, "Control+z")
        assert (editor.places(), accepted(editor)) == (before, set())
    assert editor.diagnostics()["requests"] == 0

    editor.point_at(f"{left}-nose")
    assert press(editor, "Shift+P") == "nose has no other side."
    editor.delete(f"{left}-right_ankle", left=35)  # the one that is there becomes the other
    press(editor, "Escape")
    editor.point_at(f"{left}-left_ankle")
    press(editor, "Shift+P")
    assert editor.labels()[f"{left}-left_ankle"] == "right_ankle"
    assert editor.places()[f"{left}-left_ankle"] == before[f"{left}-left_ankle"]
    editor.drag(f"{left}-nose", 4, 4)
    editor.wait_applied(1)
    assert editor.labels()[f"{left}-left_ankle"] == "right_ankle"


def test_the_most_doubtful_joints_come_one_after_the_other(editor, task_id, artifacts):
    editor.open(task_id)
    page = editor.page
    scores = page.evaluate(
        "() => Htx.annotationStore.selected.regions.filter(r => r.type == 'keypointregion')"
        ".map(r => [r.cleanId, r.labeling.score])"
    )
    order = [region for region, _ in sorted(scores, key=lambda pair: pair[1])]
    page.evaluate("""() => { const i = Htx.annotationStore.selected.objects[0];
        i.setZoom(6); i.updateImageAfterZoom(); i.setZoomPosition(-9999, -9999); }""")
    page.wait_for_timeout(SETTLED_MS)
    assert press(editor, "Shift+N").startswith("nose: predicted OKS 0.50, 1 of 34")
    assert those(editor, "inSelection") == {order[0]}
    x, y = editor.screen(order[0])
    stage = page.locator(".konvajs-content").first.bounding_box()
    assert stage["x"] < x < stage["x"] + stage["width"] and stage["y"] < y < stage["y"] + stage["height"]
    page.screenshot(path=artifacts / "doubtful-joint.png")
    press(editor, "Shift+N")
    assert those(editor, "inSelection") == {order[1]}
    press(editor, "Alt+Shift+N")
    assert those(editor, "inSelection") == {order[0]}
    assert press(editor, "Alt+Shift+N") == "This was the first one."
    page.evaluate("""() => { for (let i = 0; i < 33; i++)
        dispatchEvent(new KeyboardEvent('keydown', {key: 'N', code: 'KeyN', shiftKey: true})); }""")
    page.wait_for_timeout(SETTLED_MS)
    assert those(editor, "inSelection") == {order[-1]}
    assert press(editor, "Shift+N").startswith("All have been looked at; from the most doubtful again. nose:")
    assert editor.history() == (0, 1)


def test_keys_are_those_printed_on_other_keyboards(editor, task_id):
    editor.open(task_id)
    page = editor.page
    hip = f"{editor.persons()[0]}-left_hip"
    session = page.context.new_cdp_session(page)

    def shift(key, code, modifiers=8):
        for kind in ("keyDown", "keyUp"):
            session.send("Input.dispatchKeyEvent", {"type": kind, "key": key, "code": code, "modifiers": modifiers})
        page.wait_for_timeout(SETTLED_MS)
        return editor.notice()

    editor.point_at(hip)
    assert shift("V", "KeyV") == "left hip: occluded."
    assert shift("М", "KeyV") == "left hip: visible."  # a Cyrillic layout
    assert shift("V", "KeyDot") == "left hip: occluded."  # a Dvorak layout
    assert shift("V", "KeyV", modifiers=8 + 2) == "left hip: occluded."  # with Ctrl, which is not ours
    assert shift("K", "KeyV") == "left hip: occluded."  # K is printed where V is on others
    assert page.evaluate(CHOICES)[hip] == ["occluded"]
    assert shift("A", "KeyQ") == "Person accepted."  # AZERTY
    page.evaluate("APP_SETTINGS.user.customHotkeys = {'regions:x': {key: 'shift+v', active: true}}")
    assert shift("V", "KeyV").startswith("Shift+V is a hotkey of this project's configuration or of yours")
    assert page.evaluate(CHOICES)[hip] == ["occluded"]
