"""Thirty annotators at once: how long an edit takes, and whether everybody gets the answer to their own edit.

    python benchmarks/annotators.py --threads 1
    python benchmarks/annotators.py --threads 1 --baseline ../other-checkout

Starts ``clickpose serve`` as a process of its own. Every annotator has a task, a photo and people of their own, drags
a joint, waits for the answer, looks at it for a while (1.5 s on average) and drags the next. An answer is crossed where
it holds a region of anybody but the person who was edited, lacks one, or moves the joint that was dragged; every tenth
request is asked again afterwards, alone, and must get the same answer. With ``--baseline`` another checkout is served
too, and the two take turns, so that what else runs on the machine meets both.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import numpy as np
import requests
from PIL import Image

import clickpose_labelstudio
from clickpose_labelstudio.labeling_config import build_labeling_config

DEMO = Path(clickpose_labelstudio.__file__).parent / "demo"
CHECKOUT = Path(__file__).resolve().parents[1]
CONFIG = build_labeling_config()
REPLAYED = 10  # every so manieth request is asked again
READY_S = 120.0
LONGER_SIDE = 1024  # px of the photos
SAME_PCT = 1e-3  # percent of the photo


@dataclass
class Server:
    """A served checkout."""

    url: str
    process: subprocess.Popen
    worked_s: float = 0.0  # of a core, while people worked
    project: str = ""  # that tasks are of; empty for none

    def post(self, session: requests.Session, task: dict, context: dict | None = None) -> dict:
        """Post to /predict; return the entry of the task."""
        body = {"tasks": [task], "label_config": CONFIG, "params": {"context": context}}
        body |= {"project": self.project} if self.project else {}
        response = session.post(f"{self.url}/predict", data=json.dumps(body), timeout=100)
        response.raise_for_status()
        return response.json()["results"][0]

    def resident_mb(self) -> float:
        """Return the resident memory of the process, MB."""
        return self._status("VmRSS")

    def peak_mb(self) -> float:
        """Return the most that was ever resident, MB."""
        return self._status("VmHWM")

    def cpu_s(self) -> float:
        """Return the seconds of a core that the process has used, which hold on a machine that others use too."""
        numbers = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")

    def _status(self, field_name: str) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field_name}:\s+(\d+) kB", status)[1]) / 1024


@contextlib.contextmanager
def serving(
    checkout: Path, photos: Path, cache: Path, threads: int | None, workers: int = 0, **variables: str
) -> Iterator[Server]:
    """Serve a checkout until the end of the block: one process, or so many workers under gunicorn as a team has."""
    roots = [str(checkout / folder) for folder in ("models", "ml_backend", "plugins")]  # none of another checkout
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(roots)}
    environment |= {"CLICKPOSE_LOCAL_ROOTS": str(photos), "CLICKPOSE_CACHE_DIR": str(cache), **variables}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    command = [sys.executable, "-c", "from clickpose.cli import app; app()", "serve", "--port", "0"]
    if workers:
        command = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "--workers", str(workers)]
        command += ["--threads", "8", "--keep-alive", "75"]  # its own 2 s end connections that are used again
        command += ["--timeout", "120", "clickpose_labelstudio.wsgi:app"]
    log = cache.with_name(f"{cache.name}.log")
    cache.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, cwd=cache)
    try:
        login = variables.get("CLICKPOSE_BASIC_AUTH_USER", ""), variables.get("CLICKPOSE_BASIC_AUTH_PASSWORD", "")
        yield Server(_address(process, log, login), process)
    finally:
        process.terminate()
        process.wait(30)


def _address(process: subprocess.Popen, log: Path, login: tuple[str, str]) -> str:
    """Wait until a server has loaded its weights; return its address."""
    until = time.monotonic() + READY_S
    while time.monotonic() < until and process.poll() is None:
        found = re.search(r"Listening (?:on|at:) (http://\S+)", log.read_text(errors="replace"))
        with contextlib.suppress(requests.RequestException):
            if found and requests.get(f"{found[1]}/health", auth=login, timeout=5).json()["ready"]:
                return found[1]
        time.sleep(0.1)
    raise SystemExit(f"The service did not start: {log.read_text(errors='replace')[-2000:]}")


def write_photo(path: Path, number: int, longer_side: int | None = None) -> None:
    """Write the ``number``-th photo: one of the demo's, cut a little differently each time, maybe resized."""
    sources = sorted(DEMO.glob("*.jpg"))
    with Image.open(sources[number % len(sources)]) as image:
        cut = 2 * (number // len(sources))
        image = image.convert("RGB").crop((cut, cut, image.width - cut, image.height))
        if longer_side is not None:
            scale = longer_side / max(image.size)
            image = image.resize((round(image.width * scale), round(image.height * scale)))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=90)
    path.write_bytes(buffer.getvalue())


def task_of(photo: Path, number: int) -> dict:
    """Return a task as Label Studio sends it."""
    return {"id": number, "data": {"image": f"/data/local-files/?d={quote(photo.name)}"}}


@dataclass
class Annotator:
    """Somebody who corrects the people of one photo.

    Attributes:
        task: their task.
        result: its regions as they are now.
        seconds: how long each edit took.
        wrong: what was wrong with answers.
        asked: some requests with their answers.
    """

    task: dict
    result: list[dict]
    rng: np.random.Generator
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    asked: list[tuple[dict, list[dict]]] = field(default_factory=list)
    _edits: int = 0

    def work(self, server: Server, until: float, pause_s: float) -> None:
        """Drag joints until a time of the monotonic clock."""
        with requests.Session() as session:
            session.trust_env = False
            time.sleep(self.rng.uniform(0, pause_s))
            while time.monotonic() < until:
                self.edit(server, session)
                time.sleep(self.rng.uniform(0.5, 1.5) * pause_s)

    def edit(self, server: Server, session: requests.Session) -> None:
        """Drag one joint, check the answer and take it over."""
        context, moved = self._drag()
        started = time.perf_counter()
        try:
            answer = server.post(session, self.task, context).get("result") or []
        except (requests.RequestException, KeyError, ValueError) as error:
            self.wrong.append(f"error: {type(error).__name__}: {error}")
            return
        self.seconds.append(time.perf_counter() - started)
        if what := crossed(context["result"], moved, answer):
            self.wrong.append(f"crossed: {what}")
            return
        if self._edits % REPLAYED == 0:
            self.asked.append((context, answer))
        self._edits += 1
        new = {(item["id"], item["from_name"]): item for item in answer}
        self.result = [new.get((item["id"], item["from_name"]), item) for item in context["result"]]

    def _drag(self) -> tuple[dict, dict]:
        """Return the context of an edit and the region that was moved, by about 1 % of the photo."""
        result = copy.deepcopy(self.result)
        moved = self.rng.choice([item for item in result if item["type"] == "keypointlabels"])
        for axis in ("x", "y"):
            moved["value"][axis] = float(np.clip(moved["value"][axis] + self.rng.normal(0, 1), 0, 100))
        moved["origin"] = "prediction-changed"
        return {"result": result, "edited": [moved["id"]]}, moved


def crossed(before: list[dict], moved: dict, answer: list[dict]) -> str | None:
    """Say what in an answer is not of the person who was edited; None for nothing."""
    person = moved["parentID"]
    own = {item["id"] for item in before if item.get("parentID") == person or item["id"] == person}
    got = {item["id"] for item in answer}
    if got != own:
        return f"{len(got - own)} regions of others, {len(own - got)} missing"
    place = next(item["value"] for item in answer if item["id"] == moved["id"] and item["type"] == "keypointlabels")
    same = all(place[axis] == moved["value"][axis] for axis in ("x", "y"))
    return None if same else "the joint that was dragged has moved"


def hire(server: Server, photos: Path, count: int) -> list[Annotator]:
    """Pre-annotate a photo for every annotator."""
    annotators = []
    with requests.Session() as session:
        for number in range(count):
            task = task_of(photos / f"{number}.jpg", number + 1)
            result = server.post(session, task)["result"]
            if not result:
                raise SystemExit(f"Expected photos with people, found nobody in photo {number}")
            annotators.append(Annotator(task, result, np.random.default_rng(number)))
    return annotators


def work_together(server: Server, annotators: list[Annotator], seconds: float, pause_s: float) -> None:
    """Let all annotators work at once."""
    before = server.cpu_s()
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=each.work, args=(server, until, pause_s)) for each in annotators]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.worked_s += server.cpu_s() - before


def replay(server: Server, annotators: list[Annotator]) -> int:
    """Ask recorded requests again, one after the other; count the answers into ``wrong`` that differ."""
    count = 0
    with requests.Session() as session:
        for each in annotators:
            for context, answer in each.asked:
                count += 1
                again = server.post(session, each.task, context)["result"]
                if not same_places(again, answer):
                    each.wrong.append("crossed: another answer when asked alone")
    return count


def same_places(one: list[dict], other: list[dict]) -> bool:
    """Tell whether two answers have the same regions at the same places."""
    if [item["id"] for item in one] != [item["id"] for item in other]:
        return False
    numbers = (
        (a["value"][key], b["value"][key])
        for a, b in zip(one, other, strict=True)
        for key in ("x", "y")
        if key in a["value"]
    )
    return all(abs(a - b) <= SAME_PCT for a, b in numbers)


def report(name: str, server: Server, annotators: list[Annotator], replayed: int) -> float:
    """Print a row; return the median in milliseconds."""
    milliseconds = 1000 * np.concatenate([each.seconds for each in annotators])
    wrong = [what for each in annotators for what in each.wrong]
    errors = sum(what.startswith("error") for what in wrong)
    middle, high = np.percentile(milliseconds, [50, 95])
    print(
        f"| {name} | {len(milliseconds)} | {middle:.0f} | {high:.0f} | {milliseconds.max():.0f} | "
        f"{1000 * server.worked_s / len(milliseconds):.0f} | {errors} | "
        f"{len(wrong) - errors} of {len(milliseconds)}, {replayed} asked again | {server.resident_mb():.0f} |"
    )
    for what in wrong[:3]:
        print(f"    {what[:200]}")
    return float(middle)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotators", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=60.0, help="of work, with each checkout")
    parser.add_argument("--turns", type=int, default=3, help="in which the checkouts share the work")
    parser.add_argument("--pause", type=float, default=1.5, help="mean seconds between an answer and the next drag")
    parser.add_argument("--threads", type=int, default=None, help="threads of the network (default: the libraries')")
    parser.add_argument("--baseline", type=Path, help="another checkout, to compare with")
    options = parser.parse_args()
    checkouts = {"this checkout": CHECKOUT} | ({"baseline": options.baseline.resolve()} if options.baseline else {})
    with tempfile.TemporaryDirectory(prefix="clickpose-annotators-") as folder, contextlib.ExitStack() as stack:
        photos = Path(folder) / "photos"
        photos.mkdir()
        for number in range(options.annotators):
            write_photo(photos / f"{number}.jpg", number, LONGER_SIDE)
        served = {
            name: stack.enter_context(serving(path, photos, Path(folder) / f"cache {name}", options.threads))
            for name, path in checkouts.items()
        }
        people = {name: hire(server, photos, options.annotators) for name, server in served.items()}
        for _ in range(options.turns):
            for name, server in served.items():
                work_together(server, people[name], options.seconds / options.turns, options.pause)
        print(
            "\n| | edits | p50 ms | p95 ms | max ms | core ms | errors | crossed | MB |" + "\n|---" + "|---" * 8 + "|"
        )
        medians = [report(name, server, people[name], replay(server, people[name])) for name, server in served.items()]
    if len(medians) == 2:
        print(f"\np50 here / p50 of the baseline: {medians[0] / medians[1]:.2f}")


if __name__ == "__main__":
    main()
