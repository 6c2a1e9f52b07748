"""What is painted over the photo: the signs and what they mean, who is in front, and nothing while nothing happens."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

BLUE, AMBER, WHITE, DARK = (46, 155, 255), (255, 166, 0), (242, 242, 242), (16, 20, 28)
PURE_WHITE = (255, 255, 255)
COUNT_FRAMES = """(() => {
    const ask = window.requestAnimationFrame;
    window.framesAsked = 0;
    window.requestAnimationFrame = (callback) => { window.framesAsked += 1; return ask.call(window, callback); };
})()"""
# colour (r, g, b) and opacity of the drawing at client pixels, and around them at a distance and an angle
PIXELS = """(places) => {
    const canvas = document.querySelector('.clickpose-overlay'), box = canvas.getBoundingClientRect();
    const context = canvas.getContext('2d'), k = canvas.width / box.width;
    return places.map(([x, y]) => [...context.getImageData((x - box.left) * k, (y - box.top) * k, 1, 1).data]);
}"""
RADII = """(ids) => ids.map((id) => {
    const region = Htx.annotationStore.selected.regions.find(r => r.cleanId === id);
    return region.shapeRef.radius() * region.object.zoomScale;
})"""


def pixel(editor, x: float, y: float) -> tuple[int, int, int]:
    """Colour of the drawing at client pixels; its opacity is thrown away."""
    return tuple(editor.page.evaluate(PIXELS, [[x, y]])[0][:3])


def is_like(found, wanted, tolerance: int = 40) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(found, wanted, strict=True))


def ring(editor, region: str, radius: float, degrees: list[int]) -> list[tuple[int, ...]]:
    """Colours on a circle around a keypoint, of pixels that are drawn at all."""
    angles = [f"[{angle} * Math.PI / 180, {radius}]" for angle in degrees]
    x, y = editor.screen(region)
    places = editor.page.evaluate(
        f"() => [{', '.join(angles)}].map(([a, r]) => [{x} + r * Math.cos(a), {y} + r * Math.sin(a)])"
    )
    return [tuple(rgba[:3]) for rgba in editor.page.evaluate(PIXELS, places)]


def has(colors, wanted) -> bool:
    return any(is_like(color, wanted) for color in colors)


def has_red(colors) -> bool:
    """Doubt is the stronger the less sure a joint is, and else lets its dark rim through."""
    return any(red > 140 and red > green + 60 and red > blue + 40 for red, green, blue in colors)


def around(editor, region: str, degrees=(45, 135, 225, 315)) -> list[tuple[int, ...]]:
    """Colours of the rings of a keypoint, from its rim outwards."""
    radius = editor.page.evaluate(RADII, [region])[0]
    return [color for step in (1.5, 2, 2.5, 3, 3.5) for color in ring(editor, region, radius + step, list(degrees))]


def rest_the_mouse(editor) -> None:
    """Off the photo, so that nobody is under the mouse."""
    editor.page.mouse.move(5, 5)
    editor.wait("__clickposeBridge.shown('hovered') === null")
    editor.page.wait_for_timeout(100)


def test_nothing_runs_while_nothing_happens_and_changes_are_seen(editor, task_id):
    editor.page.add_init_script(COUNT_FRAMES)
    editor.open(task_id)
    editor.page.wait_for_timeout(1500)
    frames, redraws = editor.page.evaluate("framesAsked"), editor.diagnostics()["redraws"]
    editor.page.wait_for_timeout(3000)
    assert editor.page.evaluate("framesAsked") - frames <= 5  # a look a second, which finds nothing
    assert editor.diagnostics()["redraws"] == redraws
    person = editor.persons()[0]
    editor.page.evaluate(
        f"Htx.annotationStore.selected.regions.find(r => r.cleanId === '{person}-left_wrist').updateOriginOnEdit()"
    )  # by nobody's hand, and not painted by Label Studio
    editor.wait(f"__clickposeBridge.diagnostics.redraws > {redraws}")
    assert editor.diagnostics()["faults"] == []


def test_each_sign_tells_one_thing(editor, task_id, artifacts):
    editor.open(task_id)
    left, right = editor.persons()
    rest_the_mouse(editor)
    wrist, hip, nose, ankle = (f"{left}-{joint}" for joint in ("left_wrist", "right_hip", "nose", "left_ankle"))
    # sides fill the joints; the fake predictor takes the even joints for hidden, which have a dark middle
    assert is_like(pixel(editor, *editor.screen(wrist)), BLUE)
    assert is_like(pixel(editor, *editor.screen(f"{left}-left_hip")), BLUE)
    assert is_like(pixel(editor, *editor.screen(nose)), DARK)
    assert is_like(pixel(editor, *editor.screen(hip)), DARK)
    radius = editor.page.evaluate(RADII, [hip])[0]
    assert has(ring(editor, hip, radius * 0.85, list(range(0, 360, 30))), AMBER)
    assert has(ring(editor, nose, radius * 0.85, list(range(0, 360, 30))), WHITE)
    # doubtful (predicted OKS 0.5 at the nose, 0.725 at the wrist, 0.87 at the ankle): a red ring with gaps
    assert has_red(around(editor, nose)) and not has_red(around(editor, nose, (180, 270)))  # no bones there
    assert not has_red(around(editor, ankle)) and not has(around(editor, ankle), PURE_WHITE)

    editor.drag(nose, 6, 5)
    editor.wait_applied(1)
    rest_the_mouse(editor)
    # placed by a human: a whole white ring and no doubt; the refined joints have 0.6 and stay doubtful, bones, too
    assert has(around(editor, nose), PURE_WHITE) and has(around(editor, nose, (0, 90, 180, 270)), PURE_WHITE)
    assert not has_red(around(editor, nose))
    assert has_red(around(editor, ankle))
    (ax, ay), (bx, by) = editor.screen(nose), editor.screen(f"{left}-left_eye")
    along = [(ax + (bx - ax) * t / 40, ay + (by - ay) * t / 40) for t in range(8, 33)]
    bone = [tuple(rgba[:3]) for rgba in editor.page.evaluate(PIXELS, along)]
    assert has_red(bone)  # a placed joint makes no bone sure
    # who: the bones of two persons have different tints where they are sure
    ends = [(editor.screen(f"{right}-right_ankle"), editor.screen(f"{right}-right_knee"))]
    middle = [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) for a, b in ends]
    assert editor.page.evaluate(PIXELS, middle)[0][3] > 100
    editor.page.screenshot(path=artifacts / "signs.png")


def test_person_under_the_mouse_is_in_front_and_its_wrist_is_the_one_that_is_dragged(editor, task_id, artifacts):
    editor.open(task_id)
    left, right = editor.persons()
    mine, theirs = f"{left}-left_wrist", f"{right}-left_wrist"
    (x, y), (tx, ty) = editor.screen(mine), editor.screen(theirs)
    editor.drag(theirs, x - tx, y - ty)
    editor.wait_applied(1)
    places = editor.places()
    assert places[theirs] == pytest.approx(places[mine], abs=0.2)
    for number, (person, wrist, other) in enumerate([(left, mine, theirs), (right, theirs, mine)], 2):
        before, history = editor.places(), editor.history()
        editor.point_at(f"{person}-left_shoulder")
        editor.wait(f"__clickposeBridge.shown('hovered') === '{person}'")
        ink = {p: editor.ink(*editor.places()[f"{p}-left_ankle"]) for p in (left, right)}
        assert ink.pop(person) > 220 and max(ink.values()) < 160  # the others step back
        editor.page.screenshot(path=artifacts / "in-front.png")
        assert (editor.places(), editor.history()) == (before, history)  # nothing of it is data
        editor.drag(wrist, 12, -9)
        editor.wait_applied(number)
        after = editor.places()
        assert after[wrist] != before[wrist] and after[other] == before[other], person
        editor.page.keyboard.press("Control+z")
        editor.page.wait_for_timeout(400)
        assert editor.places() == before


def test_points_leave_room_between_each_other(editor, task_id):
    editor.open(task_id)
    person = editor.persons()[0]
    nose, eye, ankle = (f"{person}-{joint}" for joint in ("nose", "left_eye", "right_ankle"))
    (x, y), (ex, ey) = editor.screen(nose), editor.screen(eye)
    usual = editor.page.evaluate(RADII, [nose, eye, ankle])
    assert usual == pytest.approx([usual[0]] * 3) and 3 < usual[0] <= 6
    editor.drag(eye, x + 7 - ex, y - ey)
    editor.wait_applied(1)
    rest_the_mouse(editor)
    small, of_eye, far = editor.page.evaluate(RADII, [nose, eye, ankle])
    assert small == of_eye < 3 and far == pytest.approx(usual[2], abs=0.3)


def test_what_is_shown_can_be_chosen(editor, task_id, artifacts):
    editor.open(task_id)
    left, right = editor.persons()
    rest_the_mouse(editor)
    show = "([key, value]) => __clickposeBridge.show(key, value)"
    knee, x, y = f"{left}-left_knee", *editor.screen(f"{left}-left_knee")
    right_side = 1 if x > editor.screen(f"{left}-right_knee")[0] else -1
    beside = editor.percent(x + 30 * right_side, y)
    assert editor.ink(*beside) == 0
    editor.page.evaluate(show, ["names", True])
    editor.page.wait_for_timeout(200)
    assert editor.ink(*beside) > 150
    editor.page.screenshot(path=artifacts / "names.png")
    editor.page.evaluate(show, ["names", False])

    editor.page.evaluate(f"__clickposeBridge.show('marked', new Set(['{knee}']))")
    editor.page.wait_for_timeout(200)
    radius = editor.page.evaluate(RADII, [knee])[0]
    assert has(ring(editor, knee, radius + 6.5, [0, 90, 180]), PURE_WHITE)
    editor.page.evaluate("__clickposeBridge.show('marked', new Set())")

    editor.page.evaluate(show, ["fadePredicted", True])
    editor.page.wait_for_timeout(200)
    assert 0 < editor.ink(*editor.places()[knee]) < 120
    editor.page.evaluate(show, ["fadePredicted", False])

    editor.point_at(f"{right}-left_knee")
    editor.page.keyboard.press("Shift+I")
    editor.page.wait_for_timeout(300)
    assert editor.ink(*editor.places()[knee]) == 0 and editor.ink(*editor.places()[f"{right}-left_knee"]) > 200
    editor.page.keyboard.press("Shift+I")
    rest_the_mouse(editor)
    assert editor.ink(*editor.places()[knee]) > 200
    assert editor.history()[1] == 1


def test_compare_all_shows_the_bones_of_both_sides(editor, task_id, artifacts):
    editor.open(task_id)
    editor.drag(f"{editor.persons()[0]}-left_wrist", 20, 10)
    editor.wait_applied(1)
    editor.page.get_by_text("Compare All").first.click()
    shown = "document.querySelectorAll('.konvajs-content').length"
    editor.wait(f"{shown} >= 2 && document.querySelectorAll('.clickpose-overlay').length === {shown}")
    editor.page.wait_for_timeout(800)
    drawn = """() => [...document.querySelectorAll('.clickpose-overlay')].map((canvas) => {
        const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return data.filter((alpha, i) => i % 4 === 3 && alpha > 150).length;
    })"""
    assert min(editor.page.evaluate(drawn)) > 1000
    editor.page.screenshot(path=artifacts / "compare.png")
    editor.page.get_by_text("Compare All").first.click()
    editor.wait("document.querySelectorAll('.clickpose-overlay').length === 1")
    assert editor.diagnostics()["faults"] == []
