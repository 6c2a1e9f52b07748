"""The memory of the backend over a day's work in small: start, photos pre-annotated, many annotators' edits, rest.

    python benchmarks/backend_memory.py --threads 1
    python benchmarks/backend_memory.py --threads 1 --baseline ../other-checkout

Starts ``clickpose serve`` as a process of its own and reads its resident memory (Linux). 21 photos of 0.3 to 24
megapixels are pre-annotated in fours, as the launcher does; then 30 annotators drag joints for a minute, some of them
drawing boxes anew, each of which is encoded. With ``--baseline`` another checkout is served likewise.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import requests
from annotators import CHECKOUT, CONFIG, Annotator, Server, serving, task_of, write_photo

# px of the longer sides; 6000 x 4000 is what a camera of 24 megapixels makes
SIDES = (
    640,
    1024,
    2048,
    4032,
    640,
    1600,
    3000,
    800,
    6000,
    1280,
    640,
    2400,
    1024,
    4032,
    640,
    1920,
    800,
    3000,
    640,
    1280,
    1024,
)
BATCH = 4
BOXES = 4  # every so manieth edit draws the person's box anew
SAMPLE_S = 0.05


class Curve:
    """Samples the memory of a server in the background, by phase."""

    def __init__(self, server: Server):
        self._server, self._ended = server, threading.Event()
        self.peaks: dict[str, float] = {}
        self.ends: dict[str, float] = {}
        self._phase = "start"
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            now = self._server.resident_mb()
            self.peaks[self._phase] = max(self.peaks.get(self._phase, 0.0), now)

    @contextlib.contextmanager
    def phase(self, name: str):
        """Sample under a name until the end of the block."""
        self._phase = name
        yield
        self.ends[name] = self._server.resident_mb()
        self.peaks[name] = max(self.peaks.get(name, 0.0), self.ends[name])

    def stop(self) -> None:
        """Stop sampling."""
        self._ended.set()
        self._thread.join()


def preannotate(server: Server, tasks: list[dict]) -> list[list[dict]]:
    """Predict tasks in one request; return their results."""
    body = {"tasks": tasks, "label_config": CONFIG, "params": {"context": None}}
    response = requests.post(f"{server.url}/predict", data=json.dumps(body), timeout=300)
    response.raise_for_status()
    return [entry.get("result") or [] for entry in response.json()["results"]]


class Drawer(Annotator):
    """An annotator who draws a box anew every now and then."""

    def _drag(self) -> tuple[dict, dict]:
        if self._edits % BOXES:
            return super()._drag()
        result = copy.deepcopy(self.result)
        box = self.rng.choice([item for item in result if item["type"] == "rectanglelabels"])
        for side in ("width", "height"):
            box["value"][side] = float(box["value"][side] * self.rng.uniform(0.85, 1.0))
        box["origin"] = "prediction-changed"
        joint = next(item for item in result if item.get("parentID") == box["id"] and item["type"] == "keypointlabels")
        joint["origin"] = "prediction-changed"
        return {"result": result, "edited": [box["id"]], "confirmed": [joint["id"]]}, joint


def a_day(server: Server, photos: Path, sides: tuple[int, ...], annotators: int, seconds: float) -> Curve:
    """Do the work of a day in small; return the memory."""
    curve = Curve(server)
    tasks = [task_of(photos / f"{number}.jpg", number + 1) for number in range(len(sides))]
    results: list[list[dict]] = []
    with curve.phase("weights loaded"):
        time.sleep(1)
    for start in range(0, len(tasks), BATCH):
        last = min(start + BATCH, len(tasks))
        largest = max(sides[start:last])
        with curve.phase(f"photos {start + 1} to {last}, the largest {largest * largest * 2 / 3 / 1e6:.0f} megapixels"):
            results += preannotate(server, tasks[start:last])
    with_people = [number for number, result in enumerate(results) if result]
    rng = np.random.default_rng
    drawers = [
        Drawer(tasks[n], results[n], rng(i)) for i in range(annotators) for n in [with_people[i % len(with_people)]]
    ]
    for part in (1, 2, 3):
        until = time.monotonic() + seconds / 3
        with curve.phase(f"{annotators} annotators, {part * seconds / 3:.0f} s"):
            threads = [threading.Thread(target=each.work, args=(server, until, 1.0)) for each in drawers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    with curve.phase("10 s of rest"):
        time.sleep(10)
    curve.stop()
    edits, wrong = sum(len(each.seconds) for each in drawers), [what for each in drawers for what in each.wrong]
    print(f"{edits} edits, {len(wrong)} of them wrong {wrong[:2] or ''}")
    return curve


def report(curves: dict[str, Curve]) -> None:
    """Print the table in Markdown: memory at the end of each phase, and the most during it."""
    print("\n| MB after (most during) | " + " | ".join(curves) + " |\n|---" * 1 + "|---" * len(curves) + "|")
    for phase in next(iter(curves.values())).ends:
        cells = [f"{curve.ends[phase]:.0f} ({curve.peaks[phase]:.0f})" for curve in curves.values()]
        print(f"| {phase} | " + " | ".join(cells) + " |")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotators", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the annotators' work")
    parser.add_argument("--threads", type=int, default=None, help="threads of the network (default: the libraries')")
    parser.add_argument("--baseline", type=Path, help="another checkout, to compare with")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="variable of the service, here"
    )
    options = parser.parse_args()
    variables = dict(pair.split("=", 1) for pair in options.set)
    checkouts = {"baseline": options.baseline.resolve()} if options.baseline else {}
    checkouts["this checkout"] = CHECKOUT
    curves = {}
    with tempfile.TemporaryDirectory(prefix="clickpose-memory-") as folder:
        photos = Path(folder) / "photos"
        photos.mkdir()
        for number, side in enumerate(SIDES):
            write_photo(photos / f"{number}.jpg", number, side)
        for name, path in checkouts.items():
            own = variables if path == CHECKOUT else {}
            with serving(path, photos, Path(folder) / f"cache {name}", options.threads, **own) as server:
                curves[name] = a_day(server, photos, SIDES, options.annotators, options.seconds)
    report(curves)


if __name__ == "__main__":
    main()
