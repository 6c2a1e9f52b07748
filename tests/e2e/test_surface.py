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
