"""Ten thousand damaged requests over all endpoints: no internal error, no hang, no growth.

    python benchmarks/damaged_requests.py
    python benchmarks/damaged_requests.py --count 500 --seed 7 --show 3
    python benchmarks/damaged_requests.py --only 4711          # one of them again, with its answer

Starts ``clickpose serve`` (``--workers 2``: gunicorn, as ``deploy/`` does) as a process of its own, with the shipped
network, a journal, a login and a webhook secret, and sends it real requests of Label Studio and of the bridge that were
damaged (``damage.py``): four at a time, each over a connection of its own. The endpoints are those of the app, so that
a new one is among them by itself. Every thousand requests, and at the end, the undamaged ones must still be answered as
at first. Memory, files, descriptors and threads are looked at all the while; a slope comes with the interval of a
bootstrap over blocks.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import socket
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from annotators import CHECKOUT, serving, write_photo
from damage import Request, damaged
from flatness import Footprint, slope_of

from clickpose_labelstudio.app import ROUTES
from clickpose_labelstudio.labeling_config import build_labeling_config

RECORDED = CHECKOUT / "tests" / "ml_backend" / "fixtures"
HANG_S = 60.0
SECRET = "webhook-secret-of-the-benchmark"
NEVER = (500, 502, 504, 507)  # an event that cannot be written, with room on the disk, is one of our faults, too
LARGEST_ANSWER = 64 * 1024 * 1024
AT_ONCE = 4


@dataclass
class Answer:
    """What came back: status (0 where the connection was closed without one), headers and body, seconds."""

    status: int
    head: str
    body: bytes
    seconds: float


def recorded_requests(image: str) -> list[Request]:
    """Return undamaged requests for every endpoint of the app.

    Args:
        image: reference of a photo that the service can have.
    """
    bodies = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RECORDED.glob("*.json"))}
    for body in bodies.values():
        for task in body.get("tasks", ()):
            task["data"]["image"] = image
    bodies |= _of_the_bridge(image) | {"job_status": {"job": "project-3-1"}}
    config = build_labeling_config()
    whole = {"action": "ANNOTATION_UPDATED", "project": {"id": 3, "label_config": config}}
    saved = {
        **bodies["webhook_ANNOTATION_CREATED"]["annotation"],
        "result": bodies["bridge_edit"]["params"]["context"]["result"],
    }
    bodies["webhook_ANNOTATION_UPDATED"] = {**whole, "annotation": saved}
    bodies["webhook_ANNOTATIONS_DELETED"] = {**whole, "action": "ANNOTATIONS_DELETED", "annotations": [{"id": 77}]}
    bodies["webhook_TASKS_DELETED"] = {**whole, "action": "TASKS_DELETED", "tasks": [{"id": 78}]}
    found = []
    for rule, methods, _ in ROUTES:
        path = rule.replace("<secret>", SECRET)
        said = rule.split("/")[1]
        kinds = {"predict": ("predict", "bridge")}.get(said, (said,))
        own = [body for name, body in bodies.items() if said and name.startswith(kinds)]
        for method in methods:
            for body in (own or list(bodies.values())) if method == "POST" else [None]:  # a new one gets everything
                found.append(_request(rule, method, path, body))
    return found


def _request(rule: str, method: str, path: str, body: dict | None) -> Request:
    headers = (("User-Agent", "heartex/1.23.2"), ("Accept", "*/*"), ("Authorization", "Basic dTpw"))
    if body is None:
        return Request(rule, method, path, headers, b"")
    return Request(rule, method, path, (*headers, ("Content-Type", "application/json")), json.dumps(body).encode())


def _of_the_bridge(image: str) -> dict[str, dict]:
    """Return what the bridge posts, through Label Studio: an edit, a drawn box, and its asks for the decoder."""
    common = {"to_name": "image", "original_width": 512, "original_height": 512, "image_rotation": 0}
    result = []
    for person, left in (("cp-0001", 10), ("cp-0002", 55)):
        for joint, (x, y) in {"nose": (5, 10), "left_wrist": (8, 30), "right_knee": (12, 60)}.items():
            value = {"x": left + x, "y": y, "width": 0.6, "keypointlabels": [joint]}
            result.append({
                **common, "id": f"{person}-{joint}", "from_name": "keypoint", "type": "keypointlabels",
                "parentID": person, "origin": "prediction", "score": 0.7, "value": value,
            })  # fmt: skip
        value = {"x": left, "y": 5, "width": 30, "height": 80, "rotation": 0, "rectanglelabels": ["person"]}
        result.append({**common, "id": person, "from_name": "box", "type": "rectanglelabels", "value": value})
    contexts: dict[str, dict] = {
        "edit": {"result": result, "edited": ["cp-0001-left_wrist"], "draft_id": 3},
        "locked": {"result": result, "edited": ["cp-0002-nose"], "confirmed": ["cp-0002"], "locked": ["cp-0002-knee"]},
        "box": {"result": result, "edited": ["cp-0001"], "draft_id": 3},
        "decoder": {"browser": "decoder", "result": result},
        "person": {"browser": {"person": "cp-0001"}, "result": result},
    }  # fmt: skip
    task = {"id": 1, "data": {"image": image}, "drafts": [{"result": result}], "predictions": []}
    shared = {"tasks": [task], "project": "3.1", "label_config": build_labeling_config()}
    return {
        f"bridge_{name}": {**shared, "params": {"login": None, "password": None, "context": context}}
        for name, context in contexts.items()
    }


def send(address: tuple[str, int], request: Request) -> Answer:
    """Send a request over a connection of its own, end it, and read all that comes back.

    Raises:
        TimeoutError: if the answer does not end in time.
    """
    began = time.perf_counter()
    data = b""
    with socket.create_connection(address, timeout=HANG_S) as connection:
        with contextlib.suppress(OSError):  # it may have answered and gone before it was told all
            connection.sendall(request.wire())
            if not request.framed:
                connection.shutdown(socket.SHUT_WR)  # no more comes, whatever was announced
        with contextlib.suppress(ConnectionError):
            while chunk := connection.recv(1 << 20):
                data += chunk
                if len(data) > LARGEST_ANSWER or time.perf_counter() - began > HANG_S:
                    raise TimeoutError(f"{len(data)} bytes, and no end")
    head, _, body = data.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100"):
        head, _, body = body.partition(b"\r\n\r\n")
    if length := re.search(rb"(?i)\r\ncontent-length: *(\d+)", head):
        body = body[: int(length[1])]  # what follows answers what a damaged length has left over
    parts = head.split(b" ", 2)
    status = int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0
    return Answer(status, head.decode("latin-1"), body, time.perf_counter() - began)


def fault_of(request: Request, answer: Answer) -> str | None:
    """Say what an answer must not be; None for a good one."""
    text = answer.body.decode("utf-8", "replace")
    if answer.status in NEVER:
        return f"status {answer.status}: {text[:300]}"
    if answer.status == 0 and request.framed and _is_http(request):
        return "no answer"
    if "Traceback" in text or "Traceback" in answer.head:
        return f"it shows how it is made: {text[:300]}"
    if "application/json" in answer.head and request.method != "HEAD":
        try:
            said = json.loads(text, parse_constant=_refuse)
        except ValueError as error:
            return f"no JSON: {error}: {text[:200]}"
        if answer.status >= 400 and not (isinstance(said, dict) and said.get("error")):
            return f"no sentence: {text[:200]}"
    return None


def _is_http(request: Request) -> bool:
    """Tell whether what is sent is a request at all: a server may close the connection on what is none."""
    line = f"{request.method} {request.path}"
    return line.isascii() and line.isprintable() and line.count(" ") == 1 and len(request.wire()) < 200_000


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


@dataclass
class Outcome:
    """What has come of some requests."""

    statuses: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    faults: list[str] = field(default_factory=list)
    damages: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, number: int, request: Request, answer: Answer | None, fault: str | None) -> None:
        """Count an answer."""
        with self._lock:
            self.damages.update(request.damage)
            if answer is not None:
                self.statuses[request.endpoint][answer.status] += 1
                self.seconds[request.endpoint].append(answer.seconds)
            if fault is not None:
                self.faults.append(f"request {number} ({request.endpoint}; {', '.join(request.damage)}): {fault}")


def attack(
    address: tuple[str, int], recorded: Sequence[Request], seed: int, numbers: Iterable[int],
    after_each: Callable[[int], None] = lambda number: None,
) -> Outcome:  # fmt: skip
    """Send damaged requests, some at a time; return what came of them."""
    outcome = Outcome()

    def one(number: int) -> None:
        request = damaged(recorded, seed, number)
        try:
            answer = send(address, request)
            outcome.note(number, request, answer, fault_of(request, answer))
        except OSError as error:
            outcome.note(number, request, None, f"no answer: {type(error).__name__}: {error}")
        after_each(number)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(one, numbers))
    return outcome


def healthy(address: tuple[str, int], recorded: Sequence[Request]) -> list[int]:
    """Return the statuses of the undamaged requests."""
    return [send(address, request).status for request in recorded]


def report(outcome: Outcome, show: int) -> None:
    """Print a row for each endpoint."""
    print("\n| endpoint | requests | p50 ms | p99 ms | max ms | statuses |\n|---" + "|---" * 5 + "|")
    for endpoint in sorted(outcome.statuses):
        milliseconds = 1000 * np.array(outcome.seconds[endpoint])
        middle, high = np.percentile(milliseconds, [50, 99])
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(outcome.statuses[endpoint].items()))
        print(
            f"| {endpoint} | {len(milliseconds)} | {middle:.0f} | {high:.0f} | {milliseconds.max():.0f} | {statuses} |"
        )
    print(
        f"\n{sum(outcome.damages.values())} damages: "
        + ", ".join(f"{n} {c}" for n, c in sorted(outcome.damages.items()))
    )
    print(f"{len(outcome.faults)} faults")
    for fault in outcome.faults[:show]:
        print("   ", fault[:600])


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--workers", type=int, default=0, help="under gunicorn, as a team has it; 0 for clickpose serve"
    )
    parser.add_argument("--only", type=int, help="one request, with its answer")
    parser.add_argument("--show", type=int, default=20, help="faults to show")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clickpose-damaged-") as folder:
        root = Path(folder)
        (root / "photos").mkdir()
        write_photo(root / "photos" / "0.jpg", 0, 512)
        recorded = recorded_requests("/data/local-files/?d=0.jpg")
        variables = {
            "CLICKPOSE_TRAIN_DIR": str(root / "learning"), "CLICKPOSE_TRAIN_HERE": "no",
            "CLICKPOSE_WEBHOOK_SECRET": SECRET,
            "CLICKPOSE_BASIC_AUTH_USER": "u", "CLICKPOSE_BASIC_AUTH_PASSWORD": "p",
            "CLICKPOSE_CACHE_MAX_BYTES": "20000000", "CLICKPOSE_MEMORY_CACHE_MAX_BYTES": "20000000",
            "LABEL_STUDIO_URL": "http://127.0.0.1:1",
        }  # fmt: skip
        with serving(CHECKOUT, root / "photos", root / "cache", 1, options.workers, **variables) as server:
            host, _, port = server.url.removeprefix("http://").rpartition(":")
            address = (host, int(port))
            if options.only is not None:
                request = damaged(recorded, options.seed, options.only)
                answer = send(address, request)
                print(request.wire()[:3000], "\n", answer.head, answer.body[:2000], fault_of(request, answer), sep="\n")
                return
            sys.exit(_run(options, server, address, recorded, root))


def _run(options, server, address, recorded, root) -> int:
    first = healthy(address, recorded)
    print(f"{len(recorded)} undamaged requests of {len(ROUTES)} endpoints: {dict(Counter(first))}", flush=True)
    footprint = Footprint(server.process.pid, (root / "cache", root / "learning"))
    prints, sick = [], 0

    def look(number: int) -> None:
        nonlocal sick
        if number % 100 == 0:
            prints.append(footprint.take())
        if number % 1000 == 0 and number:
            sick += healthy(address, recorded) != first
            print(f"{number}: {prints[-1]}", flush=True)

    began = time.monotonic()
    outcome = attack(address, recorded, options.seed, range(options.count), look)
    sick += healthy(address, recorded) != first
    report(outcome, options.show)
    print(f"{time.monotonic() - began:.0f} s; undamaged requests answered otherwise than at first: {sick}")
    later = prints[len(prints) // 4 :]  # the caches fill at first
    for name in ("resident_mb", "descriptors", "threads", "files"):
        print(f"{name}: {slope_of([getattr(each, name) for each in later], 'requests', 100)}")
    return int(bool(outcome.faults or sick))


if __name__ == "__main__":
    main()
