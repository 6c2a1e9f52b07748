"""Print how fast the rest of a person follows where the browser answers edits by itself, against the backend's answers.

The real Label Studio with a real browser and the shipped network. In turn, edits are answered in the browser and, as
where it cannot, by the backend; for one person and for many on a photo:

- move: from a move of the mouse to the other joints having followed, while the button is down (the browser alone).
- release: from the mouse being released to the final places of all joints.
- moves a second: how often the others follow in a drag.
- longest task: of the page's main thread while a joint is dragged and released.

Run it on a machine that does nothing else:

    python benchmarks/browser.py --persons 1 20
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, sync_playwright

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests"))

from clickpose.lite.predictor import LitePredictor  # noqa: E402
from helpers.editor import Editor  # noqa: E402
from helpers.label_studio_pages import CHROMIUM_FLAGS, chromium, forget_drafts, log_in, make_task  # noqa: E402
from helpers.stack import Stack, running_stack, write_photos  # noqa: E402

BROWSER, BACKEND = "browser", "backend"
REGIONS_OF_A_PERSON = 18
DRAG_S = 1.0
HEADER = "persons  answered in  edits   move p50  p95 ms   release p50  p95 ms   moves/s  longest task ms"
WATCH_TASKS = """() => { window.tasks = []; new PerformanceObserver(
    list => tasks.push(...list.getEntries().map(entry => entry.duration))).observe({type: 'longtask'}) }"""


def main() -> None:
    """Start Label Studio, measure, print."""
    options = _parse()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="clickpose-browser-"))
    photos = write_photos(folder / "photos", 1)
    network = LitePredictor.load(threads=1)
    with running_stack(folder, network, options.label_studio_python, photos) as stack, sync_playwright() as pw:
        browser = pw.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        state = log_in(browser, stack)
        print(
            "persons  answered in  edits   move p50  p95 ms   release p50  p95 ms   moves/s  longest task ms",
            flush=True,
        )
        for persons in options.persons:
            _compare(browser, state, stack, persons, options)
        browser.close()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--persons", type=int, nargs="+", default=[1, 20], help="people on a photo")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way has its turn")
    parser.add_argument("--drags", type=int, default=6, help="drags in a turn")
    parser.add_argument("--folder", type=Path, help="where Label Studio's data lie, kept for the next run")
    parser.add_argument("--label-studio-python", type=Path, default=REPOSITORY / ".venv-labelstudio" / "bin" / "python")
    return parser.parse_args()


def _compare(browser: Browser, state: dict, stack: Stack, persons: int, options: argparse.Namespace) -> None:
    """Take turns; print a row for each way and the ratio of their releases."""
    size = persons * REGIONS_OF_A_PERSON
    task_id = make_task(stack, size)
    found: dict[str, dict[str, list[float]]] = {way: defaultdict(list) for way in (BACKEND, BROWSER)}
    for _ in range(options.rounds):
        for way in found:
            context = browser.new_context(storage_state=state, viewport={"width": 1440, "height": 900})
            editor = Editor(context.new_page(), stack.loop.project_url)
            editor.configure_bridge(instant=way == BROWSER)
            editor.open(task_id, regions=size)
            for name, values in _drag(editor, way, options.drags).items():
                found[way][name] += values
            context.close()
            forget_drafts(stack, task_id)
    for way, times in found.items():
        _print_row(persons, way, times)
    ratio = np.median(found[BROWSER]["release"]) / np.median(found[BACKEND]["release"])
    print(f"         release, browser / backend: {ratio:.2f}", flush=True)


def _drag(editor: Editor, way: str, count: int) -> dict[str, list[float]]:
    """Drag a wrist some times, a second each; the first drag, which nobody has prepared for, is left out."""
    page = editor.page
    wrist = f"{editor.persons()[0]}-left_wrist"
    editor.point_at(wrist)
    if way == BROWSER:
        editor.wait("__clickposeBridge.diagnostics.instant.people > 0")
    times: dict[str, list[float]] = defaultdict(list)
    for number in range(1, count + 2):
        if number == 2:
            page.evaluate(WATCH_TASKS)
        page.evaluate("() => { __clickposeBridge.diagnostics.instant.delays = [] }")
        x, y = editor.screen(wrist)
        page.mouse.move(x, y)
        page.mouse.down()
        began = time.monotonic()
        while (share := (time.monotonic() - began) / DRAG_S) < 1:
            page.mouse.move(x + 48 * share * (-1) ** number, y + 36 * share * (-1) ** number)
            page.wait_for_timeout(8)
        delays = editor.diagnostics()["instant"]["delays"]
        page.mouse.up()
        editor.wait_applied(number)
        if number > 1:
            stamps = editor.diagnostics()["last"]["times"]
            times["release"].append(stamps["applied"] - stamps["mouseUp"])
            times["move"] += delays
            times["moves a second"].append(len(delays) / DRAG_S)
        page.wait_for_timeout(400)
    times["task"] = page.evaluate("tasks") or [0.0]
    return times


def _print_row(persons: int, way: str, times: dict[str, list[float]]) -> None:
    def middle_and_95th(name: str) -> str:
        values = times[name]
        return f"{np.median(values):8.0f} {np.percentile(values, 95):7.0f}" if values else f"{'-':>8} {'-':>7}"

    print(
        f"{persons:7d}  {way:11s}  {len(times['release']):5d}   {middle_and_95th('move')}      "
        f"{middle_and_95th('release')}     {np.median(times['moves a second']):7.0f}  {max(times['task']):15.0f}"
    )


if __name__ == "__main__":
    main()
