"""Print what the bridge costs in the browser, with Label Studio's own page beside it.

The real Label Studio with a real browser and a predictor that answers at once. For each number of regions on a photo:

- Idle: CPU time of the browser's renderer process, all its threads, over ten seconds in which nobody touches anything;
  with the bridge and without it in turn, in percent of a core. The median of the rounds.
- Drag: from the mouse being released to the next frame that is painted, with the bridge and without it; and to the
  other joints having moved, which takes a request to the backend and back. Medians.

Run it on a machine that does nothing else:

    python benchmarks/bridge.py --sizes 50 254 592
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests"))

from helpers.editor import Editor  # noqa: E402
from helpers.fakes import FakePredictor  # noqa: E402
from helpers.label_studio_pages import CHROMIUM_FLAGS, chromium, forget_drafts, log_in, make_task  # noqa: E402
from helpers.stack import Stack, running_stack, write_photos  # noqa: E402

WITH, WITHOUT = "bridge", "stock"
SETTLE_S = 4.0  # after a page has opened; Label Studio goes on working for a while
# the time from the release of the mouse to the end of the second frame after it, when the first one has been painted
WATCH_RELEASES = """() => {
    window.released = [];
    addEventListener('pointerup', () => {
        const start = performance.now();
        requestAnimationFrame(() => requestAnimationFrame(() => released.push(performance.now() - start)));
    }, true);
}"""


def main() -> None:
    """Start Label Studio, measure, print."""
    options = _parse()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="clickpose-bridge-"))
    photos = write_photos(folder / "photos", 1)
    with running_stack(folder, FakePredictor(), options.label_studio_python, photos) as stack, sync_playwright() as pw:
        tasks = {size: make_task(stack, size) for size in options.sizes}
        browser = pw.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        state = log_in(browser, stack)
        rows = [_measure(browser, state, stack, size, tasks[size], options) for size in options.sizes]
        browser.close()
    _print(rows)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 254, 592], help="regions on a photo")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long nothing happens")
    parser.add_argument("--rounds", type=int, default=3, help="how often each page is opened")
    parser.add_argument("--drags", type=int, default=5, help="drags on each page that is opened")
    parser.add_argument("--folder", type=Path, help="where Label Studio's data lie, kept for the next run")
    parser.add_argument("--label-studio-python", type=Path, default=REPOSITORY / ".venv-labelstudio" / "bin" / "python")
    return parser.parse_args()


@contextmanager
def _opened(browser: Browser, state: dict, stack: Stack, kind: str, task_id: int, size: int) -> Iterator[Editor]:
    """Open a task with the bridge or without it, and wait until Label Studio has come to rest."""
    context = browser.new_context(storage_state=state, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    if kind == WITHOUT:
        page.route("**/clickpose/bridge.js*", lambda route: route.fulfill(body="", content_type="text/javascript"))
    editor = Editor(page, stack.loop.project_url)
    if kind == WITH:
        editor.open(task_id, regions=size)
    else:
        editor.goto(task_id, regions=size)
    time.sleep(SETTLE_S)
    yield editor
    context.close()


def _renderer_seconds(browser: Browser) -> float:
    """CPU time of all renderer processes; there is one page at a time."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return sum(process["cpuTime"] for process in processes if process["type"] == "renderer")


def _measure(browser: Browser, state: dict, stack: Stack, size: int, task_id: int, options: argparse.Namespace) -> dict:
    idle: dict[str, list[float]] = {WITH: [], WITHOUT: []}
    painted: dict[str, list[float]] = {WITH: [], WITHOUT: []}
    moved: list[float] = []
    for _ in range(options.rounds):
        for kind in (WITHOUT, WITH):
            with _opened(browser, state, stack, kind, task_id, size) as editor:
                before = _renderer_seconds(browser)
                time.sleep(options.seconds)
                idle[kind].append(100 * (_renderer_seconds(browser) - before) / options.seconds)
                moved += _drag(editor, kind, options.drags)
                painted[kind] += editor.page.evaluate("released")
            forget_drafts(stack, task_id)
    return {
        "regions": size,
        "idle": {kind: statistics.median(values) for kind, values in idle.items()},
        "painted": {kind: statistics.median(values) for kind, values in painted.items()},
        "moved": statistics.median(moved),
    }


def _drag(editor: Editor, kind: str, count: int) -> list[float]:
    """Drag a wrist a few times; return the milliseconds until the other joints had moved, with the bridge."""
    page: Page = editor.page
    page.evaluate(WATCH_RELEASES)
    wrist = f"{editor.persons()[0]}-left_wrist"
    moved = []
    for number in range(1, count + 1):
        editor.drag(wrist, 4 * (-1) ** number, 3)
        if kind == WITH:
            editor.wait_applied(number)
            times = editor.diagnostics()["last"]["times"]
            moved.append(times["applied"] - times["mouseUp"])
        page.wait_for_timeout(700)
    return moved


def _print(rows: list[dict]) -> None:
    print("\n           idle, % of a core        released to painted, ms      released to moved, ms")
    print("regions    stock   bridge           stock   bridge   ratio       bridge   to the first row")
    for row in rows:
        idle, painted = row["idle"], row["painted"]
        print(
            f"{row['regions']:7d}   {idle[WITHOUT]:6.2f}   {idle[WITH]:6.2f}         "
            f"{painted[WITHOUT]:7.0f}  {painted[WITH]:7.0f}   {painted[WITH] / painted[WITHOUT]:5.2f}      "
            f"{row['moved']:7.0f}   {row['moved'] / rows[0]['moved']:5.2f}"
        )


if __name__ == "__main__":
    main()
