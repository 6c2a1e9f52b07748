"""How many photos and people a second, and how long until a new person's first look, against another checkout?

    git worktree add ../before <commit>
    python benchmarks/throughput.py --baseline ../before [--photos folder] [--threads 1 2] [--rounds 5] [--out f.json]

- predict: ``clickpose predict folder --json poses.json``, from the call to the written file, the network loaded;
- pre-annotation: a batch of tasks posted to ``clickpose serve``, as Label Studio does, nothing cached;
- first look: somebody draws a box, the service answers with the person's pose.

Both checkouts run as processes of their own and take turns, so that what else runs on the machine meets both; a ratio
is the median of those of the turns. On a machine that is busy with other work, where a thread that reads ahead finds no
core, what a process used of the cores ("core ms") says more than the clock. Without ``--baseline`` the figures
stand alone.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import requests
from annotators import CHECKOUT, LONGER_SIDE, Server, serving, task_of, write_photo

PHOTOS = 24  # where none are given
BOXES = 3  # drawn in a turn
BOX_SIDE_PX = 5  # at most so much is a drawn box off the person


class Predicting:
    """A process that has loaded a checkout's network and runs ``clickpose predict`` when told to."""

    def __init__(self, checkout: Path, photos: Path, out: Path, threads: int):
        roots = [str(checkout / folder) for folder in ("models", "ml_backend", "plugins")]  # none of another checkout
        path = os.pathsep.join(roots)
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, __file__, "--predict", str(photos), str(out), "--threads", str(threads)]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.turn()  # what is made at first use is made

    def turn(self) -> dict[str, float]:
        """Predict all photos; return ``seconds``, ``photos`` and ``people``."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("A process that predicts has ended")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        self.process.communicate("")


def predict_when_told(photos: Path, out: Path, threads: int) -> None:
    """Be the process of :class:`Predicting`."""
    import clickpose
    from clickpose.cli import app

    network = clickpose.load("lite", threads=threads)
    clickpose.load = lambda *given, **options: network
    for _ in sys.stdin:
        started, worked = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            app(["predict", str(photos), "--json", str(out), "--threads", str(threads)], standalone_mode=False)
        seconds, core_s = time.perf_counter() - started, time.process_time() - worked
        written = json.loads(out.read_text())
        counts = {"photos": len(written["images"]), "people": len(written["annotations"])}
        print(json.dumps({"seconds": seconds, "core_s": core_s, **counts}), flush=True)


class Drawing:
    """Somebody who draws boxes around people in a served checkout."""

    def __init__(self, server: Server, photos: list[Path]):
        self.server, self.session = server, requests.Session()
        self.session.trust_env = False
        self.tasks = [task_of(photo, number + 1) for number, photo in enumerate(photos)]
        self.drawn: list[tuple[dict, dict]] = []
        for task in self.tasks:
            for item in server.post(self.session, task)["result"]:
                if item["type"] == "rectanglelabels":
                    self.drawn.append((task, item))

    def turn(self, rng: np.random.Generator) -> dict[str, float]:
        """Draw some boxes, each a little different from all before; return the mean ``seconds`` until an answer."""
        seconds, worked = [], self.server.cpu_s()
        for number in range(BOXES):
            task, found = self.drawn[rng.integers(len(self.drawn))]
            value = dict(found["value"])
            shift_pct = 100 * rng.uniform(1, BOX_SIDE_PX, 2) / [found["original_width"], found["original_height"]]
            value["width"] = min(value["width"] + shift_pct[0], 100 - value["x"])
            value["height"] = min(value["height"] + shift_pct[1], 100 - value["y"])
            box = {key: item for key, item in found.items() if key != "score"}
            box |= {"id": f"drawn-{number}", "value": value, "origin": "manual"}
            started = time.perf_counter()
            answer = self.server.post(self.session, task, {"result": [box], "edited": [box["id"]]})
            seconds.append(time.perf_counter() - started)
            if not any(item["type"] == "keypointlabels" for item in answer.get("result", [])):
                raise SystemExit(f"Expected a pose in a drawn box, got {answer}")
        return {"seconds": float(np.mean(seconds)), "core_s": (self.server.cpu_s() - worked) / BOXES}


class Preannotating:
    """A Label Studio that asks for a batch of predictions; photos differ by a byte, so nothing is cached."""

    def __init__(self, server: Server, photos: list[Path], folder: Path):
        self.server, self.photos, self.folder, self.turns = server, photos, folder, 0

    def turn(self) -> dict[str, float]:
        """Post a batch; return ``seconds``, ``photos`` and ``people``."""
        from annotators import CONFIG

        self.turns += 1
        copies = []
        for photo in self.photos:
            copy = self.folder / f"turn{self.turns}-{photo.name}"
            copy.write_bytes(photo.read_bytes() + bytes([self.turns]))  # another content, the same picture
            copies.append(copy)
        tasks = [task_of(copy, number + 1) for number, copy in enumerate(copies)]
        body = {"tasks": tasks, "label_config": CONFIG, "params": {"context": None}}
        started, worked = time.perf_counter(), self.server.cpu_s()
        response = requests.post(f"{self.server.url}/predict", data=json.dumps(body), timeout=600)
        seconds, core_s = time.perf_counter() - started, self.server.cpu_s() - worked
        response.raise_for_status()
        results = [entry["result"] for entry in response.json()["results"]]
        people = sum(item["type"] == "rectanglelabels" for result in results for item in result)
        return {"seconds": seconds, "core_s": core_s, "photos": len(results), "people": people}


@contextlib.contextmanager
def predicting(checkouts: Mapping[str, Path], photos: Path, folder: Path, threads: int) -> Iterator[dict]:
    """Give each checkout's way to predict, as functions that take a turn."""
    started: dict[str, Predicting] = {}
    try:
        for number, (name, path) in enumerate(checkouts.items()):
            started[name] = Predicting(path, photos, folder / f"poses{number}.json", threads)
        yield {name: each.turn for name, each in started.items()}
    finally:
        for each in started.values():
            each.close()


def take_turns(ways: Mapping[str, Callable[[], dict]], rounds: int) -> dict[str, list[dict]]:
    """Let each way take a turn, ``rounds`` times; every other round the other way round."""
    measured: dict[str, list[dict]] = {name: [] for name in ways}
    for number in range(rounds):
        names = list(ways) if number % 2 == 0 else list(ways)[::-1]
        for name in names:
            measured[name].append(ways[name]())
    return measured


def report(title: str, measured: Mapping[str, list[dict]]) -> dict[str, float]:
    """Print a row for each checkout, and the ratio; return the figures."""
    figures = {}
    print(f"\n{title}")
    for name, turns in measured.items():
        seconds = np.array([turn["seconds"] for turn in turns])
        core_ms = 1000 * float(np.median([turn["core_s"] for turn in turns]))
        said = f"  {name:15} {1000 * np.median(seconds):8.0f} ms {core_ms:8.0f} core ms"
        figures[f"{name}: core ms"] = round(core_ms, 1)
        figures[f"{name}: ms"] = round(float(1000 * np.median(seconds)), 1)
        for what in ("photos", "people"):
            if what in turns[0]:
                rate = float(np.median([turn[what] / turn["seconds"] for turn in turns]))
                said += f"   {rate:6.2f} {what} a second ({turns[0][what]})"
                figures[f"{name}: {what} a second"] = round(rate, 3)
        print(said)
    if len(measured) == 2:
        here, before = measured.values()
        ratios = [b["seconds"] / h["seconds"] for h, b in zip(here, before, strict=True)]
        figures["times as fast"] = round(float(np.median(ratios)), 3)
        cores = float(np.median([b["core_s"] / h["core_s"] for h, b in zip(here, before, strict=True)]))
        figures["times less of a core"] = round(cores, 3)
        print(f"  {np.median(ratios):.2f} times as fast (turns: {min(ratios):.2f} to {max(ratios):.2f}), ", end="")
        print(f"{cores:.2f} times less of a core")
    return figures


def measure(checkouts: Mapping[str, Path], photos: list[Path], folder: Path, threads: int, rounds: int) -> dict:
    """Measure everything with so many threads."""
    said = f"{threads} thread" + "s" * (threads > 1)
    with predicting(checkouts, photos[0].parent, folder, threads) as ways:
        figures = {"predict": report(f"predict, {said}", take_turns(ways, rounds))}
    copies = folder / f"copies{threads}"
    copies.mkdir()
    with contextlib.ExitStack() as stack:
        served = {
            name: stack.enter_context(serving(path, folder, folder / f"cache {threads} {name}", threads))
            for name, path in checkouts.items()
        }
        batches = {name: Preannotating(server, photos, folder) for name, server in served.items()}
        for batch in batches.values():
            batch.turn()
        measured = take_turns({name: batch.turn for name, batch in batches.items()}, rounds)
        figures["pre-annotation"] = report(f"pre-annotation, {said}", measured)
        inside = []
        for number, photo in enumerate(photos[:6]):
            inside.append(folder / f"drawn{number}-{photo.name}")
            inside[-1].write_bytes(photo.read_bytes())
        drawing = {name: Drawing(server, inside) for name, server in served.items()}
        rngs = {name: np.random.default_rng(0) for name in drawing}
        ways = {name: lambda n=name: drawing[n].turn(rngs[n]) for name in drawing}
        figures["first look"] = report(f"first look after a drawn box, {said}", take_turns(ways, 3 * rounds))
    return figures


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baseline", type=Path, help="another checkout, to compare with")
    parser.add_argument("--photos", type=Path, help="folder of photos (default: the demo's, cut and resized)")
    parser.add_argument("--count", type=int, default=PHOTOS, help="of the photos, the first so many")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5, help="turns of each checkout")
    parser.add_argument("--out", type=Path, help="write the figures here too, as JSON")
    parser.add_argument("--predict", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.predict:
        predict_when_told(*options.predict, options.threads[0])
        return
    checkouts = {"this checkout": CHECKOUT} | ({"baseline": options.baseline.resolve()} if options.baseline else {})
    with tempfile.TemporaryDirectory(prefix="clickpose-throughput-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        chosen = folder / "photos"
        chosen.mkdir()
        if options.photos:
            for photo in sorted(options.photos.iterdir())[: options.count]:
                (chosen / photo.name).write_bytes(photo.read_bytes())
        else:
            for number in range(options.count):
                write_photo(chosen / f"{number}.jpg", number, LONGER_SIDE)
        photos = sorted(chosen.iterdir())
        figures = {
            f"{threads} threads": measure(checkouts, photos, folder, threads, options.rounds)
            for threads in options.threads
        }
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
