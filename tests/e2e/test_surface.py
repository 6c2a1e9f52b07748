"""What the bridge puts on Label Studio's page besides its drawing: chip, help, notices, the page of pictures."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

SIZES = [(1920, 1080), (1440, 900), (1366, 768), (1280, 720), (1152, 720), (1024, 768), (1024, 600)]
SETTLED_MS = 3000  # after which the page and the chip are where they belong
# Label Studio's buttons on the screen, with the points at which each should be hit
BUTTONS = """() => {
    const ours = '#clickpose-chip, #clickpose-notice';
    const used = 'button, a[href], [role=button], input, select, .lsf-label';
    const chip = document.querySelector('#clickpose-chip > button').getBoundingClientRect();
    return [...document.querySelectorAll(used)].filter(e => !e.closest(ours) && e.checkVisibility()).map(e => {
        const b = e.getBoundingClientRect();
        const at = (fx, fy) => document.elementsFromPoint(b.left + fx * b.width, b.top + fy * b.height);
        const isCovered = (hits) => hits[0]?.closest(ours) && e.contains(hits.find(hit => !hit.closest(ours)));
        return {
            name: e.getAttribute('aria-label') || e.textContent.trim().slice(0, 30),
            covered: [.02, .25, .5, .75, .98].some(fx => [.1, .5, .9].some(fy => isCovered(at(fx, fy)))),
            overlap: Math.min(b.right, chip.right) > Math.max(b.left, chip.left)
                && Math.min(b.bottom, chip.bottom) > Math.max(b.top, chip.top) && e.contains(at(.5, .5)[0]),
            middle: e.contains(at(.5, .5)[0]) ? [b.left + b.width / 2, b.top + b.height / 2] : null,
        };
    });
}"""
# record what is clicked, and keep Label Studio from doing it
RECORD_CLICKS = """() => {
    window.clickedNames = [];
    for (const kind of ['mousedown', 'pointerdown', 'click']) window.addEventListener(kind, (event) => {
        if (!window.clickedNames || event.target.closest('#clickpose-chip')) return;
        event.preventDefault();
        event.stopImmediatePropagation();
        const button = event.target.closest('button, a[href], [role=button], input, select, .lsf-label');
        const name = button?.getAttribute('aria-label') || button?.textContent.trim().slice(0, 30);
        if (kind === 'click') window.clickedNames.push(name ?? event.target.outerHTML);
    }, true);
}"""
IN_BARS = """() => [...document.querySelectorAll('.lsf-bottombar button, .lsf-menu-header button')]
    .filter(e => e.checkVisibility() && !e.disabled)
    .map(e => e.getAttribute('aria-label') || e.textContent.trim().slice(0, 30))"""
COLLAPSE_PANELS = """() => {
    const state = JSON.parse(localStorage.panelState);
    localStorage.panelState = JSON.stringify({...state, collapsedSide: {left: false, right: true}});
}"""
FLOAT_A_PANEL = """([left, top]) => {
    const state = JSON.parse(localStorage.panelState);
    Object.assign(Object.values(state.panelData)[0], {detached: true, left, top, relativeLeft: left / 13.66,
        relativeTop: top / 7.68, width: 400, height: 300});
    localStorage.panelState = JSON.stringify({...state, collapsedSide: {left: false, right: false}});
}"""


def open_stream(editor) -> None:
    """Open the labelling stream ("Label All Tasks")."""
    editor.page.goto(f"{editor._project_url}?labeling=1")
    editor.wait("window.__clickposeBridge?.status() == 'ready' && Htx.annotationStore?.selected?.regions?.length > 1")


def covered_buttons(page) -> list[str]:
    """Return the buttons of Label Studio's that the chip covers or reaches into."""
    return [button["name"] for button in page.evaluate(BUTTONS) if button["covered"] or button["overlap"]]


def resize(page, width: int, height: int) -> None:
    """Give the window a size; assert that the chip is on the page then, and on no button of Label Studio's."""
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(300)
    for _ in range(SETTLED_MS // 100):
        if not covered_buttons(page):
            break
        page.wait_for_timeout(100)
    assert not covered_buttons(page), (width, height)
    chip = page.locator("#clickpose-chip > button")
    assert chip.is_visible()
    box = chip.bounding_box()
    assert 0 <= box["x"] <= width - box["width"] and 0 <= box["y"] <= height - box["height"]


def walk_over_sizes(page, sizes=SIZES) -> None:
    for width, height in sizes:
        resize(page, width, height)


def test_chip_lies_on_no_button_of_label_studio(editor, artifacts):
    page = editor.page
    open_stream(editor)
    walk_over_sizes(page)
    page.screenshot(path=artifacts / "stream-1024x600.png")
    page.evaluate("() => Htx.settings.toggleBottomSP()")
    walk_over_sizes(page, SIZES[2::2])
    page.evaluate("() => Htx.settings.toggleBottomSP()")
    page.evaluate(COLLAPSE_PANELS)
    open_stream(editor)
    walk_over_sizes(page, SIZES[::2])
    page.evaluate(FLOAT_A_PANEL, [450, 400])  # over the bottom bar, where the chip would sit
    page.set_viewport_size({"width": 1440, "height": 900})
    open_stream(editor)
    walk_over_sizes(page, [(1440, 900), (1366, 768)])


def test_every_button_receives_its_click_at_small_sizes(editor):
    page = editor.page
    open_stream(editor)
    page.evaluate(RECORD_CLICKS)
    for width, height in [(1366, 768), (1152, 720), (1024, 600)]:
        resize(page, width, height)
        in_bars = set(page.evaluate(IN_BARS))
        assert {"Settings", "skip-task", "Submit current annotation"} <= in_bars
        buttons = [b for b in page.evaluate(BUTTONS) if b["middle"] and b["name"] in in_bars]
        assert len(buttons) >= 8
        for button in buttons:
            page.mouse.click(*button["middle"])
        expected = [button["name"] for button in buttons]
        assert page.evaluate("() => clickedNames.splice(0)") == expected, (width, height)
        page.locator("#clickpose-chip > button").click()
        assert page.locator("#clickpose-help").is_visible()
        page.keyboard.press("Escape")


def notice_box(page) -> dict:
    return page.locator("#clickpose-notice").bounding_box()


def overlaps(a: dict, b: dict) -> bool:
    return (
        min(a["x"] + a["width"], b["x"] + b["width"]) > max(a["x"], b["x"])
        and min(a["y"] + a["height"], b["y"] + b["height"]) > max(a["y"], b["y"])
    )  # fmt: skip


def test_help_closes_by_itself_and_suits_the_dark_mode(editor, task_id, artifacts):
    page = editor.open(task_id).page
    chip, panel = page.locator("#clickpose-chip > button"), page.locator("#clickpose-help")
    chip.focus()
    page.keyboard.press("Enter")
    assert panel.is_visible()
    assert chip.get_attribute("aria-expanded") == "true"
    assert page.evaluate("() => document.activeElement.id") == "clickpose-help"
    page.keyboard.press("Escape")
    assert panel.is_hidden()
    assert chip.get_attribute("aria-expanded") == "false"
    assert page.evaluate("() => document.activeElement.closest('#clickpose-chip') !== null")  # for the keyboard
    chip.click()
    light = panel.evaluate("e => getComputedStyle(e).backgroundColor")
    page.evaluate("() => document.documentElement.setAttribute('data-color-scheme', 'dark')")
    dark, text = panel.evaluate("e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]")
    assert light == "rgb(255, 255, 255)"
    assert sum(rgb(dark)) < 3 * 60 and sum(rgb(text)) > 3 * 200
    page.set_viewport_size({"width": 1024, "height": 400})
    page.wait_for_timeout(SETTLED_MS / 4)
    box = panel.bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] <= 400
    assert panel.evaluate("e => e.scrollHeight > e.clientHeight && getComputedStyle(e).overflowY == 'auto'")
    page.screenshot(path=artifacts / "help-dark-1024x400.png")
    regions = page.evaluate("() => Htx.annotationStore.selected.selectedRegions.length")
    page.mouse.click(600, 300)
    assert panel.is_hidden()
    page.mouse.move(5, 5)
    page.keyboard.press("Space")  # pans in Label Studio: the chip that the mouse has clicked must not take it
    assert panel.is_hidden()
    assert page.evaluate("() => Htx.annotationStore.selected.selectedRegions.length") == regions


def rgb(color: str) -> list[int]:
    """Read a colour as a browser computes it."""
    return [int(part) for part in color[color.index("(") + 1 : -1].split(",")[:3]]


def test_notices_come_one_after_the_other_and_off_the_photo(editor, task_id, artifacts):
    page = editor.open(task_id).page
    say = "([text, options]) => __clickposeBridge.say(text, options)"
    stage = page.locator(".konvajs-content").first.bounding_box()
    long = "The backend says that this photo cannot be read. Your edit is kept; the other joints stay where they are."
    for width, height in [(1440, 900), (1366, 768), (1024, 600)]:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(SETTLED_MS / 4)
        page.evaluate(say, [long, {}])
        stage = page.locator(".konvajs-content").first.bounding_box()
        assert not overlaps(notice_box(page), stage), (width, height)
        page.screenshot(path=artifacts / f"notice-{width}.png")
        page.keyboard.press("Escape")
        assert editor.notice() is None
    assert page.locator("#clickpose-notice").get_attribute("role") == "status"
    page.evaluate(say, ["First.", {}])
    page.evaluate(say, ["Second.", {}])
    assert editor.notice() == "First."  # for a moment at least
    page.wait_for_function("() => document.querySelector('#clickpose-notice').textContent == 'Second.'", timeout=4000)
    page.keyboard.press("Escape")
    for text in ("Left wrist: occluded.", "Left wrist: visible."):
        page.evaluate(say, [text, {"kind": "key"}])
        assert editor.notice() == text  # what a key did gives way to what the next one does
    page.keyboard.press("Escape")
    page.evaluate(say, ["Only once.", {"once": True}])
    page.keyboard.press("Escape")
    page.evaluate(say, ["Only once.", {"once": True}])
    assert editor.notice() is None
    page.evaluate("() => __clickposeBridge.say('Moved.', {action: {label: 'Undo', run: () => (window.ran = true)}})")
    below = page.evaluate("""() => {
        const b = document.querySelector('#clickpose-notice span').getBoundingClientRect();
        return document.elementFromPoint(b.left + b.width / 2, b.top + b.height / 2).closest('#clickpose-notice');
    }""")
    assert below is None  # clicks go through to Label Studio
    page.locator("#clickpose-notice button").click()
    assert page.evaluate("() => window.ran") is True
    assert editor.notice() is None


def test_page_of_pictures_opens_by_key_and_chip(editor, task_id, artifacts):
    page = editor.open(task_id).page
    pictures = page.locator("#clickpose-pictures")
    page.keyboard.press("?")
    assert pictures.is_visible()
    assert pictures.get_attribute("aria-modal") == "true"
    assert pictures.locator("figure canvas").count() == 10
    inked = "canvas => new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size > 40"
    assert all(canvas.evaluate(inked) for canvas in pictures.locator("figure canvas").all())
    assert pictures.locator("figure").nth(1).locator("kbd").all_text_contents() == ["Shift", "X"]
    page.screenshot(path=artifacts / "pictures.png")
    before = editor.places()
    editor.point_at(f"{editor.persons()[0]}-nose")
    for key in ("Shift+Backspace", "Shift+X", "1", "Control+z"):  # none of them is for what lies below
        page.keyboard.press(key)
    page.keyboard.press("Escape")
    assert pictures.count() == 0
    assert editor.places() == before
    assert editor.history()[0] == 0
    page.locator("#clickpose-chip > button").click()
    page.locator("#clickpose-help .all").click()
    assert pictures.is_visible()
    page.emulate_media(media="print")
    assert page.locator(".lsf-menu-header").is_hidden()
    assert pictures.bounding_box()["height"] > page.viewport_size["height"]  # all of it is printed
    page.emulate_media(media="screen")
    page.locator("#clickpose-pictures .close").click()
    assert pictures.count() == 0
    page.evaluate("() => document.body.insertAdjacentHTML('beforeend', '<textarea id=typing></textarea>')")
    page.locator("#typing").focus()
    page.keyboard.type("Who?")
    assert page.locator("#typing").input_value() == "Who?"
    assert pictures.count() == 0
