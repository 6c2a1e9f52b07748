"""Drives Label Studio's editor with a real mouse and keyboard, and reads what it shows."""

from __future__ import annotations

import json

from playwright.sync_api import Page, Request, TimeoutError

PATIENCE_MS = 90_000  # on a machine that does much else

PLACES = """() => Object.fromEntries(Htx.annotationStore.selected.regions.map(r => [r.cleanId,
    r.type === 'rectangleregion' ? [r.x, r.y, r.width, r.height] : [r.x, r.y]]))"""
ORIGINS = "() => Object.fromEntries(Htx.annotationStore.selected.regions.map(r => [r.cleanId, r.origin]))"
LABELS = "() => Object.fromEntries(Htx.annotationStore.selected.regions.map(r => [r.cleanId, r.labelName]))"
PARENTS = """() => Object.fromEntries(Htx.annotationStore.selected.regions.map(
    r => [r.cleanId, (r.parentID ?? '').replace(/#.*/, '')]))"""
HISTORY = "() => { const h = Htx.annotationStore.selected.history; return [h.undoIdx, h.history.length] }"
# client pixels of a point given in percent of the image
TO_SCREEN = """([x, y]) => {
    const image = Htx.annotationStore.selected.objects.find(o => o.type === 'image'), stage = image.stageRef;
    const box = stage.content.getBoundingClientRect();
    const p = stage.getAbsoluteTransform().point({x: image.internalToCanvasX(x), y: image.internalToCanvasY(y)});
    return [box.left + p.x, box.top + p.y];
}"""
TO_PERCENT = """([x, y]) => {
    const image = Htx.annotationStore.selected.objects.find(o => o.type === 'image'), stage = image.stageRef;
    const box = stage.content.getBoundingClientRect();
    const p = stage.getAbsoluteTransform().copy().invert().point({x: x - box.left, y: y - box.top});
    return [image.canvasToInternalX(p.x), image.canvasToInternalY(p.y)];
}"""
# opacity of the bridge's drawing at client pixels: the largest within two pixels
INK = """([x, y]) => {
    const canvas = document.querySelector('.clickpose-overlay');
    if (!canvas) return 0;
    const box = canvas.getBoundingClientRect(), k = canvas.width / box.width;
    const data = canvas.getContext('2d').getImageData((x - box.left - 2) * k, (y - box.top - 2) * k, 5, 5).data;
    return Math.max(...data.filter((_, i) => i % 4 === 3));
}"""
# Label Studio makes the annotation anew for a task that is not on the list's first page, and its history a moment after
# the image has loaded: what was read or changed before is of an object that is not shown any more
SETTLED = """() => {
    const annotation = window.Htx?.annotationStore?.selected, history = annotation?.history?.history;
    const image = annotation?.objects.find(o => o.type === 'image');
    const now = [window.Htx, annotation, annotation?.regions[0], image?.stageRef, history?.[0], history?.length];
    const same = window.__settling?.now.every((part, i) => part === now[i]);
    if (!image?.stageRef || !same) window.__settling = {now, since: performance.now()};
    return performance.now() - window.__settling.since > 500;
}"""


class Editor:
    """One task in the editor.

    Args:
        page: a page that is logged in.
        project_url: address of the project.
    """

    def __init__(self, page: Page, project_url: str):
        page.set_default_timeout(PATIENCE_MS)
        self.page = page
        self._project_url = project_url

    def configure_bridge(self, **settings) -> None:
        """Change settings of the bridge, such as ``timeoutMs``, in the pages that are opened from now on."""

        def with_settings(route):
            script = route.fetch()
            extra = f"Object.assign(window.__clickposeConfig, {json.dumps(settings)});\n"
            head, rest = script.text().split("\n", 1)
            route.fulfill(response=script, body=f"{head}\n{extra}{rest}")

        self.page.route("**/clickpose/bridge.js*", with_settings)

    def without_bridge(self) -> None:
        """Leave the bridge out of the pages that are opened from now on: stock Label Studio."""
        self.page.route("**/clickpose/bridge.js*", lambda route: route.fulfill(body="", content_type="text/javascript"))

    def open(self, task_id: int, regions: int = 36, status: str = "ready") -> Editor:
        """Open a task and wait until its regions, the bones and the bridge's status are there."""
        self.goto(task_id, regions)
        self.wait(f"window.__clickposeBridge?.diagnostics.bones > 0 && __clickposeBridge.status() == '{status}'")
        return self

    def goto(self, task_id: int, regions: int = 36) -> None:
        """Open a task and wait until its regions are there to stay."""
        self.page.goto(f"{self._project_url}?task={task_id}")
        self.wait(f"window.Htx?.task?.id == {task_id} && Htx.annotationStore?.selected?.regions?.length == {regions}")
        self.page.wait_for_function(SETTLED, timeout=PATIENCE_MS)

    def click_row(self, task_id: int) -> None:
        """Switch to a task of the list beside the photo. Rows are made as they come into view, in no certain order."""
        box = self.page.get_by_role("checkbox", name=f"Select Task {task_id}", exact=True)
        row = self.page.locator(".lsf-table__row-wrapper").filter(has=box)
        for _ in range(30):  # the list, drawn anew when a draft is saved, loses a click now and then
            row.click()
            try:
                self.page.wait_for_function(f"() => Htx?.task?.id == {task_id}", timeout=PATIENCE_MS / 30)
                self.page.wait_for_function("() => Htx.annotationStore?.selected", timeout=PATIENCE_MS / 6)
                return
            except TimeoutError:
                if self.page.evaluate(f"Htx?.task?.id == {task_id}"):  # 1.18 shows nothing of it at times, as it comes
                    self.page.locator(".lsf-table__row-wrapper").filter(has_not=box).first.click()
        raise AssertionError(f"Expected task {task_id} to open, got {self.page.evaluate('() => Htx?.task?.id')}")

    def wait(self, condition: str) -> None:
        """Wait until a JavaScript expression holds."""
        self.page.wait_for_function(f"() => {condition}", timeout=PATIENCE_MS)

    def places(self) -> dict[str, list[float]]:
        """Region id -> percent coordinates."""
        return self.page.evaluate(PLACES)

    def origins(self) -> dict[str, str]:
        """Region id -> who made it."""
        return self.page.evaluate(ORIGINS)

    def labels(self) -> dict[str, str]:
        """Region id -> its label."""
        return self.page.evaluate(LABELS)

    def parents(self) -> dict[str, str]:
        """Region id -> id of the person's box, or an empty text."""
        return self.page.evaluate(PARENTS)

    def history(self) -> tuple[int, int]:
        """Index of the present step of the history, and the number of steps."""
        return tuple(self.page.evaluate(HISTORY))

    def status(self) -> str:
        """What the bridge's chip shows."""
        return self.page.evaluate("() => __clickposeBridge.status()")

    def notice(self) -> str | None:
        """The bridge's notice, or None where none is shown."""
        notice = self.page.locator("#clickpose-notice span")
        return notice.text_content() if notice.is_visible() else None

    def diagnostics(self) -> dict:
        """The bridge's counters."""
        return self.page.evaluate("() => __clickposeBridge.diagnostics")

    def ink(self, x_pct: float, y_pct: float) -> int:
        """Opacity (0..255) of the bones at a place of the image."""
        return self.page.evaluate(INK, self.page.evaluate(TO_SCREEN, [x_pct, y_pct]))

    def wait_for_ink(self, x_pct: float, y_pct: float) -> None:
        """Wait until bones are drawn at a place of the image: they follow what Label Studio paints, a moment later."""
        for _ in range(50):
            if self.ink(x_pct, y_pct) > 100:
                return
            self.page.wait_for_timeout(200)
        raise AssertionError(
            f"Expected bones at {x_pct:.1f}, {y_pct:.1f} %, got an opacity of {self.ink(x_pct, y_pct)}"
        )

    def persons(self) -> list[str]:
        """Ids of the persons' boxes, from left to right."""
        places = self.places()
        boxes = [region for region, place in places.items() if len(place) == 4]
        return sorted(boxes, key=lambda region: places[region][0])

    def screen(self, region_id: str) -> tuple[float, float]:
        """Client pixels of a keypoint."""
        return self.screen_of(*self.places()[region_id][:2])

    def screen_of(self, x_pct: float, y_pct: float) -> tuple[float, float]:
        """Client pixels of a place of the image."""
        return tuple(self.page.evaluate(TO_SCREEN, [x_pct, y_pct]))

    def percent(self, x: float, y: float) -> list[float]:
        """Percent coordinates of client pixels."""
        return self.page.evaluate(TO_PERCENT, [x, y])

    def point_at(self, region_id: str) -> None:
        """Move the mouse onto a keypoint."""
        self.page.mouse.move(*self.screen(region_id))

    def drag(self, region_id: str, dx: float, dy: float) -> list[float]:
        """Drag a keypoint by client pixels; return where it was dropped, in percent."""
        x, y = self.screen(region_id)
        self.drag_mouse((x, y), (x + dx, y + dy))
        return self.percent(x + dx, y + dy)

    def drag_mouse(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press, move and release the mouse."""
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=3)
        self.page.mouse.move(*end, steps=3)
        self.page.mouse.up()

    def zoom_in(self) -> None:
        """Zoom in at the mouse by its wheel, which turns the other way before Label Studio 1.22."""
        is_larger = "Htx.annotationStore.selected.objects[0].zoomScale > 1"
        self.page.keyboard.down("Control")
        for way in (-120, 120):
            for _ in range(3):
                self.page.mouse.wheel(0, way)
                self.page.wait_for_timeout(100)
            if self.page.evaluate(is_larger):
                break
        self.page.keyboard.up("Control")
        self.wait(is_larger)

    def delete(self, region_id: str, left: int) -> None:
        """Click a region and press Backspace; ``left`` regions remain."""
        self.page.mouse.click(*self.screen(region_id))
        self.wait("Htx.annotationStore.selected.selectedRegions.length == 1")
        self.page.wait_for_timeout(500)
        self.page.keyboard.press("Backspace")
        self.wait(f"Htx.annotationStore.selected.regions.length == {left}")
        self.page.wait_for_timeout(500)  # a press that comes sooner is taken for a part of the click before

    def wait_applied(self, count: int) -> None:
        """Wait until the bridge has applied this many answers since the page was loaded."""
        self.wait(f"__clickposeBridge.diagnostics.applied >= {count}")

    def wait_requests(self, count: int) -> None:
        """Wait until the bridge has sent this many requests since the page was loaded."""
        self.wait(f"__clickposeBridge.diagnostics.requests >= {count}")

    def submit(self) -> None:
        """Press Submit or Update, again where the bridge names something first, and wait until it has been saved."""
        button = self.page.get_by_role("button", name="Submit").or_(self.page.get_by_role("button", name="Update"))
        told = "document.querySelector('#clickpose-notice')?.textContent.includes('Not submitted yet')"
        sent = []  # never press again once it is on its way: on a busy machine Label Studio would take it
        note = lambda request: sent.append(request) if _saves(request) else None  # noqa: E731
        self.page.on("request", note)
        with self.page.expect_response(lambda response: _saves(response.request)):
            button.first.click()
            for _ in range(40):
                self.page.wait_for_timeout(50)
                if sent or self.page.evaluate(f"() => {told}"):
                    break
            if not sent and self.page.evaluate(f"() => {told}"):
                button.first.click()
        self.page.remove_listener("request", note)


def _saves(request: Request) -> bool:
    """Tell whether a request saves an annotation."""
    return "/annotations" in request.url and request.method in ("POST", "PATCH") and "/drafts" not in request.url
