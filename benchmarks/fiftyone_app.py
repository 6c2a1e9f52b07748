"""Print what a reviewer waits for in the FiftyOne app, by the clock, and how much memory the app's process holds.

The real app and a real browser, on 5,000 photos with 12,469 synthetic people (every photo is the same picture):

- accept: from the key press to the queue having gone on, one person after another; then to the answer being drawn, when
  it is written; and how many of as many presses at once are.
- first click: from a joint being dropped to the others being where they stay, for a person that was just opened; in the
  browser, and by Python, which answers browsers that cannot.
- panels: from the choice of a panel to its last plot or card, the first time and again.
- memory of the app's process after each of these, with its threads, and once it has rested.

Run it on a machine that does nothing else:

    .venv-fiftyone/bin/python benchmarks/fiftyone_app.py
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != HERE]  # its fiftyone.py hides the library
sys.path.insert(0, str(HERE.parent / "tests"))

import numpy as np  # noqa: E402
import psutil  # noqa: E402
from PIL import Image  # noqa: E402

PHOTOS = 5_000
MOST_MS = 60_000  # that anything may take
REST_S = 8.0  # after which freed memory has gone back to the system
# no worker of ours, whose text begins so; the app has some of its own
BLOCKED = """const Plain = window.Blob; window.Blob = class extends Plain { constructor(parts, options) {
    const isOurs = part => typeof part === 'string' && part.startsWith('(function work');
    super(parts.map(part => isOurs(part) ? 'throw new Error(`measured without`);' : part), options); } }"""
# ms from the next event of a kind to a condition, looked at in each frame
WATCH = """([kind, condition]) => { delete window.watchedMs; addEventListener(kind, ({timeStamp}) => {
    const holds = new Function(`return ${condition}`);
    const look = () => (holds() ? window.watchedMs = performance.now() - timeStamp : requestAnimationFrame(look));
    requestAnimationFrame(look); }, {capture: true, once: true}) }"""
SESSION = "[...document.querySelectorAll('[data-cy=refine-board]')].pop().clickpose.session"
PLOTS = "document.querySelectorAll('.js-plotly-plot .main-svg').length"


def main() -> None:
    """Start the app, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=PHOTOS)
    parser.add_argument("--times", type=int, default=10, help="how often each thing is done")
    options = parser.parse_args()
    from clickpose_fiftyone.database import running_server

    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder)) as address:
        (Path(folder) / "plugins").mkdir()
        os.environ.update(
            FIFTYONE_DATABASE_URI=address, FIFTYONE_DATABASE_NAME="benchmark", FIFTYONE_DATABASE_VALIDATION="false",
            FIFTYONE_DO_NOT_TRACK="true", FIFTYONE_SHOW_PROGRESS_BARS="false",
            FIFTYONE_PLUGINS_DIR=str(Path(folder) / "plugins"), FIFTYONE_DEFAULT_DATASET_DIR=str(Path(folder) / "data"),
        )  # fmt: skip
        measure(Path(folder), options)


def measure(home: Path, options: argparse.Namespace) -> None:
    """Print all figures."""
    from helpers.fiftyone_app import running_app, running_browser, show

    dataset = make_dataset(home, options.photos)
    print(f"{options.photos} photos, {dataset.count('pred.keypoints')} people", flush=True)
    with ExitStack() as stack:
        address = stack.enter_context(running_app(home))
        browser = stack.enter_context(running_browser())
        memory = Memory()
        memory.tell("the app has started")
        page = show(browser, address, dataset, 1440, 900, photos=1)
        memory.tell("the photos are shown")
        panels(page, memory)
        accept(page, dataset, options.times)
        memory.tell("accepted")
        page.context.close()
        first_clicks(browser, address, dataset, memory, options.times)
        time.sleep(REST_S)
        memory.tell(f"after {REST_S:g} s of rest")


def make_dataset(home: Path, count: int):
    """Make the dataset of benchmarks/fiftyone.py on photos that are there: one picture under many names."""
    import fiftyone as fo

    from clickpose_fiftyone.demo import demo_photos

    spec = importlib.util.spec_from_file_location("made_people", HERE / "fiftyone.py")
    made_people = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made_people)
    dataset = made_people.make_dataset(count)
    first = home / "photo.jpg"
    with Image.open(next(demo_photos().glob("group-*.jpg"))) as photo:
        photo.convert("RGB").resize(made_people.WIDTH_HEIGHT).save(first)
    paths = [home / "photos" / f"{number}.jpg" for number in range(count)]
    paths[0].parent.mkdir()
    for path in paths:
        os.link(first, path)
    dataset.set_values("filepath", list(map(str, paths)))
    dataset.persistent = True
    return fo.load_dataset(dataset.name)


class Memory:
    """The memory of the app's process, which this one has started."""

    def __init__(self):
        children = psutil.Process().children(recursive=True)
        self._app = next(child for child in children if any("server/main.py" in part for part in child.cmdline()))
        print("memory of the app's process, MB, and its threads")

    def tell(self, when: str) -> None:
        """Print what it holds now."""
        held = self._app.memory_info().rss / 1e6
        print(f"  {when:42} {held:7.0f} {self._app.num_threads():5}", flush=True)


def timed(page, kind: str, condition: str, act) -> float:
    """Return the seconds from an event of the page to a condition of it."""
    from helpers.fiftyone_app import ARTIFACTS

    page.evaluate(WATCH, [kind, condition])
    act()
    try:
        page.wait_for_function("window.watchedMs !== undefined", timeout=MOST_MS)
    except Exception:
        page.screenshot(path=ARTIFACTS / "not-seen.png")
        raise
    return page.evaluate("window.watchedMs") / 1000


def tell(name: str, seconds: list[float], most: float | None = None) -> None:
    """Print the median, the slowest and what was aimed at."""
    aim = "" if most is None else f"   aim {most:g}"
    print(f"  {name:42} {np.median(seconds):7.3f} {max(seconds):7.3f}{aim}", flush=True)


def panels(page, memory: Memory) -> None:
    """Open each panel, and again."""
    shown = {
        "calibration_panel": f"{PLOTS} >= 10",
        "diagnosis_panel": "document.body.innerText.includes('Diagnose again')",
        "review_panel": "document.querySelectorAll('img[alt=person]').length >= 8",
    }
    print("panels: seconds the first time, seconds again")
    for name, condition in shown.items():
        option = page.locator(f"[data-cy=new-panel-option-{name}]")
        times = []
        for _ in range(2):
            page.locator("[data-cy=new-panel-btn]").first.click()
            times.append(timed(page, "click", condition, option.click))
            page.wait_for_timeout(300)
            if name != "review_panel" or len(times) == 1:  # that one is needed further on
                page.locator(f"[data-cy=panel-tab-{name}]").click(button="middle")
        aim = "   aim 3" if name == "calibration_panel" else ""
        print(f"  {name:42} {times[0]:7.3f} {times[1]:7.3f}{aim}", flush=True)
        memory.tell(name)


def accept(page, dataset, times: int) -> None:
    """Accept one person after another, then several at once."""
    print("seconds: median, slowest")
    found, written = [], []
    rested = page.locator("[data-cy=pose-keys][aria-busy=false]").last
    for _ in range(times):
        settled = page.get_by_text("people settled").first.inner_text()
        rested.wait_for()
        gone_on = f"![...document.querySelectorAll('p, strong, span, div')].some(e => e.textContent === {settled!r})"
        start = time.perf_counter()
        found.append(timed(page, "keydown", gone_on, lambda: page.keyboard.press("a")))
        rested.wait_for()
        written.append(time.perf_counter() - start)
    tell("accept", found, 0.2)
    tell("accept, until written and drawn anew", written)
    before = dataset.count_label_tags("pred")["accepted"]
    for _ in range(times):
        page.keyboard.press("a")
    rested.wait_for()
    kept = dataset.count_label_tags("pred")["accepted"] - before
    print(f"  accepted by {times} presses at once {kept:16}", flush=True)


def first_clicks(browser, address: str, dataset, memory: Memory, times: int) -> None:
    """Drag a joint of one person after another, each for the first time."""
    from helpers.fiftyone_app import canvas, open_once, show, wait_for_canvas, wait_for_photo

    for way, script in (("in the browser", ""), ("by Python", BLOCKED)):
        # FiftyOne opens the panels of the browser before: the photos are behind the canvas then
        page = show(browser, address, dataset, 1440, 900, photos=0 if script else 1, script=script)
        if not script:
            open_once(page, "refine_panel", "[data-cy=refine-board]")
        wait_for_photo(page)
        page.wait_for_timeout(3000)  # network and runtime are loaded once
        for rest_ms in (0, 1000):
            found = []
            for _ in range(times):
                before = canvas(page, "session.photo.sample_id")
                page.mouse.move(700, 20)
                page.keyboard.press("n")
                is_shown = f"session.photo.sample_id !== '{before}' && board.picture && board.view && !session.busy"
                wait_for_canvas(page, is_shown)
                page.wait_for_timeout(rest_ms)
                found.append(drop(page))
            tell(f"first click {way}, {rest_ms / 1000:g} s after Next", found, 0.3)
        page.context.close()
        memory.tell(f"clicked {way}")


def drop(page) -> float:
    """Drag the first joint of who is chosen; seconds from the drop to all being where they stay."""
    from helpers.fiftyone_app import canvas

    joint = canvas(page, "session.person().joints.findIndex(Boolean)")
    place = canvas(page, f"board.clientPlace(session.person().joints[{joint}])")
    x, y = place["x"], place["y"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 6, y + 4)
    page.mouse.move(x + 12, y + 8)
    return timed(page, "pointerup", f"{SESSION}.past.at(-1)?.isAnswered", page.mouse.up)


if __name__ == "__main__":
    main()
