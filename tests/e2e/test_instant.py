"""Edits that the browser answers by itself: the rest of the person follows under the moving mouse."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from clickpose.lite.predictor import LitePredictor
from clickpose_labelstudio.app import create_app
from clickpose_labelstudio.settings import ServiceSettings
from helpers.label_studio_pages import make_task

pytestmark = pytest.mark.browser
CROWD = 8  # people

SHAPES = """() => Object.fromEntries(Htx.annotationStore.selected.regions.map(r => {
    const {object: image, shapeRef: shape} = r;
    const place = [image.canvasToInternalX(shape.x()), image.canvasToInternalY(shape.y())];
    const size = r.type === 'rectangleregion'
        ? [image.canvasToInternalX(shape.width()), image.canvasToInternalY(shape.height())] : [];
    return [r.cleanId, [...place, ...size]];
}))"""
# Put random joints of a person elsewhere and ask browser and backend; how far apart the answers are, in px and scores.
COMPARE = """async ([person, count]) => {
    const annotation = Htx.annotationStore.selected, image = annotation.objects[0];
    let seed = 5;
    const random = () => (seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648;
    const joints = annotation.regions.filter(r => r.cleanId.startsWith(person + '-'));
    const home = new Map(joints.map(r => [r, [r.x, r.y]]));
    const worst = {px: 0, score: 0, here: 0, unlike: 0};
    for (let i = 0; i < count; i++) {
        const edited = joints.filter(() => random() < 0.15).slice(0, 6);
        if (!edited.length) edited.push(joints[i % joints.length]);
        for (const region of edited) {
            const [x, y] = home.get(region).map(value => value + 4 * random() - 2);
            region.setPosition(image.internalToCanvasX(x), image.internalToCanvasY(y));
        }
        const {here, there} = await __clickposeBridge.answers(edited.map(r => r.cleanId));
        if (!here) continue;
        worst.here += 1;
        const wanted = new Map(there.items.filter(({type}) => type !== 'choices').map(item => [item.id, item]));
        worst.unlike += Math.abs(wanted.size - here.items.length);
        const {naturalWidth: across, naturalHeight: down} = image;
        for (const {id, value, score} of here.items) {
            const other = wanted.get(id);
            const lengths = value.width === undefined || !('height' in value)
                ? {x: across, y: down} : {x: across, y: down, width: across, height: down};
            for (const [key, length] of Object.entries(lengths))
                worst.px = Math.max(worst.px, Math.abs(value[key] - other.value[key]) * length / 100);
            worst.score = Math.max(worst.score, Math.abs(score - other.score));
        }
    }
    return worst;
}"""
# How many of Label Studio's canvases are hidden, and how many pictures stand for them.
GATHERED = """() => ['.konvajs-content canvas[style*="visibility: hidden"]', '.clickpose-gathered']
    .map(selector => document.querySelectorAll(selector).length)"""
APART = """() => {
    document.querySelector('.clickpose-gathered').style.display = 'none';
    document.querySelectorAll('.konvajs-content canvas').forEach(canvas => { canvas.style.visibility = ''; });
}"""


@pytest.fixture(scope="module")
def lite():
    return LitePredictor.load(threads=1)


@pytest.fixture
def real_network(stack, lite, tmp_path):
    """The backend has the shipped network; what was pre-annotated stays."""
    settings = ServiceSettings(
        cache_dir=tmp_path / "cache",
        label_studio_url=stack.loop.url,
        label_studio_api_key=stack.loop.credentials.token,
    )
    with stack.backend.serving(create_app(settings, load_predictor=lambda: lite)):
        yield


@pytest.fixture
def asked(page) -> list[bool]:
    """Requests to the backend: whether each is an edit to be answered."""
    sent = []
    page.on(
        "request",
        lambda request: sent.append('"browser":' not in request.post_data) if "interactive" in request.url else None,
    )
    return sent


def come_near(editor, region: str) -> None:
    """Point at a region until its person's edits can be answered in the browser."""
    editor.point_at(region)
    editor.wait("__clickposeBridge.diagnostics.instant.people > 0")
    assert editor.diagnostics()["instant"]["trouble"] is None


def drag_slowly(editor, region: str, dx: float, dy: float, seconds: float = 1.0) -> None:
    """Press on a keypoint and move the mouse for a while; it stays pressed."""
    x, y = editor.screen(region)
    editor.page.mouse.move(x, y)
    editor.page.mouse.down()
    began = time.monotonic()
    while (share := (time.monotonic() - began) / seconds) < 1:
        editor.page.mouse.move(x + dx * share, y + dy * share)
        editor.page.wait_for_timeout(10)
    editor.page.mouse.move(x + dx, y + dy)


def drag_until_previews(editor, region: str, count: int) -> None:
    """Press on a keypoint and move the mouse until its person has followed so many times; it stays pressed."""
    x, y = editor.screen(region)
    editor.page.mouse.move(x, y)
    editor.page.mouse.down()
    for step in range(2000):
        editor.page.mouse.move(x + 60 - step % 20, y - 40 + step % 15)
        editor.page.wait_for_timeout(10)
        if editor.diagnostics()["instant"]["previews"] >= count:
            break
    assert editor.diagnostics()["instant"]["previews"] >= count


def near(places: dict, others: dict, but: tuple = ()) -> bool:
    return all(
        places[region][:4] == pytest.approx(others[region][:4], abs=1e-3) for region in places if region not in but
    )


def test_the_others_follow_under_the_moving_mouse(real_network, editor, task_id, asked, artifacts):
    editor.open(task_id)
    left, right = editor.persons()
    wrist, elbow = f"{left}-left_wrist", f"{left}-left_elbow"
    locked = f"{left}-left_knee"
    lock = f"Htx.annotationStore.selected.regions.find(r => r.cleanId === '{locked}').setLocked(true)"
    editor.page.evaluate(lock)
    come_near(editor, wrist)
    before, steps = editor.places(), editor.history()
    drag_until_previews(editor, wrist, 10)  # how many in a second is a matter of benchmarks/browser.py
    seen, places = editor.page.evaluate(SHAPES), editor.places()
    editor.page.screenshot(path=artifacts / "under-the-mouse.png")
    assert near(before, places)  # no region moves before that
    moved = {region for region in seen if seen[region][:2] != pytest.approx(before[region][:2], abs=1e-3)}
    assert {wrist, elbow, left} <= moved and len(moved) >= 15
    assert locked not in moved and not [region for region in moved if region.startswith(right)]
    editor.page.mouse.up()
    editor.wait_applied(1)
    editor.page.wait_for_timeout(300)
    after = editor.places()
    assert editor.diagnostics()["instant"]["answers"] == 1 and not any(asked)
    assert near(editor.page.evaluate(SHAPES), after)  # what is shown is what is there
    assert after[locked] == before[locked] and near(before, after, but=[r for r in after if r.startswith(left)])
    assert editor.history() == (steps[0] + 1, steps[1] + 1)
    for number in (2, 3):  # the backend rests from now on
        drag_slowly(editor, wrist, -20, 10, seconds=0.3)
        editor.page.mouse.up()
        editor.wait_applied(number)
    editor.point_at(f"{right}-nose")  # somebody else, after many messages
    editor.wait("__clickposeBridge.diagnostics.instant.people == 2")
    editor.drag(f"{right}-nose", 10, 10)
    editor.wait_applied(4)
    assert editor.diagnostics()["instant"]["answers"] == 4 and not any(asked)
    for _ in range(4):
        editor.page.keyboard.press("Control+z")
        editor.page.wait_for_timeout(300)
    assert near(editor.places(), before) and near(editor.page.evaluate(SHAPES), before)
    assert editor.diagnostics()["faults"] == []


@pytest.fixture
def crowded_task(stack) -> Iterator[int]:
    """A task with eight people, which is taken away again: other tests count on one task a photo."""
    task_id = make_task(stack, CROWD * 18)
    yield task_id
    with stack.api() as api:
        api.call("DELETE", f"/api/tasks/{task_id}/")


def test_many_people_are_one_picture_while_one_of_them_is_dragged(real_network, editor, crowded_task):
    """A browser without a graphics card is faster then; what is seen stays the same."""
    editor.open(crowded_task, regions=CROWD * 18)
    persons = editor.persons()
    wrist, other = f"{persons[0]}-left_wrist", f"{persons[5]}-nose"
    stage = editor.page.locator(".konvajs-content").first
    come_near(editor, wrist)
    drag_until_previews(editor, wrist, 8)
    editor.page.wait_for_timeout(300)
    hidden, pictures = editor.page.evaluate(GATHERED)
    assert hidden >= 6 and pictures == 1
    together = stage.screenshot()
    editor.page.evaluate(APART)
    assert stage.screenshot() == together
    editor.page.mouse.up()
    editor.wait_applied(1)
    assert editor.page.evaluate(GATHERED) == [0, 0]
    drag_until_previews(editor, wrist, 20)
    assert editor.page.evaluate(GATHERED)[1] == 1
    layer = f"Htx.annotationStore.selected.regions.find(r => r.cleanId === '{other}').shapeRef.getLayer()"
    editor.page.evaluate(f"{layer}.draw()")  # as when it is zoomed
    assert editor.page.evaluate(GATHERED) == [0, 0]
    editor.page.mouse.up()
    editor.wait_applied(2)


def test_browser_and_backend_give_the_same_answers(real_network, editor, task_id):
    editor.open(task_id)
    person = editor.persons()[1]
    come_near(editor, f"{person}-nose")
    worst = editor.page.evaluate(COMPARE, [person, 100])
    print(worst)
    assert worst["here"] >= 95 and worst["unlike"] == 0
    assert worst["px"] < 0.05 and worst["score"] < 2e-4


def test_a_moved_box_is_the_backends_and_the_next_joint_again_the_browsers(real_network, editor, task_id, asked):
    editor.open(task_id)
    left = editor.persons()[0]
    come_near(editor, f"{left}-nose")
    x, y, width, height = editor.places()[left][:4]
    start = editor.screen_of(x + width / 2, y + height / 2)
    editor.drag_mouse(start, (start[0] + 12, start[1] + 9))
    editor.wait_applied(1)
    assert asked.count(True) == 1
    editor.wait("__clickposeBridge.diagnostics.instant.people > 0")  # fetched anew
    editor.drag(f"{left}-left_wrist", 15, 10)
    editor.wait_applied(2)
    assert asked.count(True) == 1 and editor.diagnostics()["instant"]["answers"] == 1
    assert editor.diagnostics()["faults"] == []


def test_a_photo_that_is_opened_at_once_leaves_a_whole_draft(real_network, editor, stack, task_id):
    """The draft that Label Studio saves when a row of the list is clicked has the joints that followed."""
    editor.open(task_id)
    wrist = f"{editor.persons()[0]}-left_wrist"
    come_near(editor, wrist)
    before = editor.places()
    own = editor.page.get_by_role("checkbox", name=f"Select Task {task_id}", exact=True)
    other = editor.page.locator(".lsf-table__row-wrapper").filter(has_not=own).first
    click_at_release = "row => addEventListener('pointerup', () => setTimeout(() => row.click(), 0), {once: true})"
    drag_slowly(editor, wrist, 50, -30, seconds=0.3)
    editor.page.evaluate(click_at_release, other.element_handle())
    with editor.page.expect_response(lambda response: "/drafts" in response.url and response.request.method == "POST"):
        editor.page.mouse.up()
    editor.wait(f"Htx.task?.id && Htx.task.id != {task_id}")
    with stack.api() as api:
        (draft,) = api.call("GET", f"/api/tasks/{task_id}/")["drafts"]
    saved = {item["id"]: item["value"] for item in draft["result"] if item["type"] == "keypointlabels"}
    moved = [name for name, value in saved.items() if abs(value["x"] - before[name][0]) > 1e-3]
    assert wrist in moved and len(moved) >= 15


BLOCKED = {
    "no workers": "window.Worker = class { constructor() { throw new Error('blocked'); } }",
    "no WebAssembly": """const Plain = window.Worker, plain = window.Blob;
        window.Blob = class extends plain {
            constructor(parts, options) {
                const text = parts.map(p => typeof p === 'string' && p.includes('onmessage') ?
                    'delete self.WebAssembly; self.WebAssembly = undefined;' + p : p);
                super(text, options);
            }
        }""",
}


@pytest.mark.parametrize("lacking", BLOCKED)
def test_a_browser_that_cannot_is_answered_by_the_backend(real_network, editor, task_id, asked, lacking):
    editor.page.add_init_script(BLOCKED[lacking])
    editor.open(task_id)
    wrist = f"{editor.persons()[0]}-left_wrist"
    editor.point_at(wrist)
    editor.wait("__clickposeBridge.diagnostics.instant.trouble")
    before = editor.places()
    drag_slowly(editor, wrist, 30, 20, seconds=0.3)
    assert near(before, editor.page.evaluate(SHAPES), but=(wrist,))
    editor.page.mouse.up()
    editor.wait_applied(1)
    assert asked.count(True) == 1
    instant = editor.diagnostics()["instant"]
    assert (instant["answers"], instant["previews"], instant["people"]) == (0, 0, 0)
    assert editor.diagnostics()["faults"] == [] and editor.status() == "ready"


def test_a_network_without_a_decoder_is_asked_as_ever(editor, task_id, asked):
    """The backend's fake network: the browser asks once for a person, and no more."""
    editor.open(task_id)
    wrist, other = (f"{person}-left_wrist" for person in editor.persons())
    editor.point_at(wrist)
    editor.wait("__clickposeBridge.diagnostics.instant.trouble")
    for number, region in enumerate((wrist, other), 1):
        editor.drag(region, 20, 10)
        editor.wait_applied(number)
    assert (asked.count(True), asked.count(False)) == (2, 1)
    assert editor.diagnostics()["instant"]["answers"] == 0
