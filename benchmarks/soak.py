"""Fifty annotators for ten minutes with a training beside them: no error, nothing lost, nothing crossed, memory flat.

    python benchmarks/soak.py
    python benchmarks/soak.py --annotators 10 --minutes 1 --workers 2

Loopback only; it stops by itself. Starts ``clickpose serve`` (``--workers``: gunicorn) with a journal, and a stand-in
for Label Studio that has the annotators' tasks. Everybody drags joints, waits for the answer, and saves after every
few: the webhook tells it, as Label Studio would. The time is split in turns without and with a training job that
*Start training* has begun. Then every annotation must stand in the journal with its last revision. Last come the
faults: each must be answered or said, and be over by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import requests
from annotators import CHECKOUT, CONFIG, LONGER_SIDE, Annotator, Server, hire, replay, serving, write_photo
from flatness import Footprint, family, slope_of

from clickpose_labelstudio.learning.journal import Journal
from clickpose_labelstudio.learning.versions import LIVE, WEIGHTS, Versions

PROJECT = 7
SAVED_EVERY = 3  # edits
PATIENCE_S = 90.0
SECRET = "webhook-secret-of-the-soak"


@dataclass
class Colleague(Annotator):
    """An annotator who saves.

    Attributes:
        saved: the last annotation whose webhook was answered.
        refused: what the webhook said otherwise.
    """

    saved: dict | None = None
    refused: list[str] = field(default_factory=list)
    _count: int = 0

    def edit(self, server: Server, session: requests.Session) -> None:
        """Drag a joint, and save once in a while."""
        super().edit(server, session)
        self._count += 1
        if self._count % SAVED_EVERY == 0:
            self.save(server, session)

    def save(self, server: Server, session: requests.Session) -> None:
        """Tell the webhook of the annotation as it is now."""
        number, now = self.task["id"], datetime.now(timezone.utc).isoformat()
        annotation = {
            "id": number, "task": number, "project": PROJECT, "result": self.result, "completed_by": number,
            "created_at": now, "updated_at": now, "lead_time": 10.0, "was_cancelled": False, "prediction": {},
        }  # fmt: skip
        action = "ANNOTATION_CREATED" if self.saved is None else "ANNOTATION_UPDATED"
        status, text = tell(server, session, {"action": action, "annotation": annotation})
        if status == 200:
            self.saved = annotation
        else:
            self.refused.append(f"error: webhook {status}: {text}")


def tell(server: Server, session: requests.Session, body: dict) -> tuple[int, str]:
    """Post a webhook; return status and text, 0 where no answer came."""
    body = {**body, "project": {"id": PROJECT, "label_config": CONFIG}}
    try:
        response = session.post(f"{server.url}/webhook/{SECRET}", json=body, timeout=100)
        return response.status_code, response.text[:200]
    except requests.RequestException as error:
        return 0, str(error)[:200]


class StudioHandler(BaseHTTPRequestHandler):
    """What a training job asks of Label Studio."""

    def do_GET(self) -> None:
        """Answer the project or its tasks."""
        time.sleep(self.server.delay_s)  # type: ignore[attr-defined]
        people = self.server.people  # type: ignore[attr-defined]
        if self.path.startswith("/api/tasks"):
            tasks = [{**each.task, "annotations": [each.saved] if each.saved else []} for each in people]
            body = {"tasks": tasks, "total": len(tasks)}
        else:
            body = {"id": PROJECT, "label_config": CONFIG}
        data = json.dumps(body).encode()
        with contextlib.suppress(OSError):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def studio() -> Iterator[ThreadingHTTPServer]:
    """Run the stand-in."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), StudioHandler)
    server.people, server.delay_s = [], 0.0  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def work(server: Server, people: list[Colleague], seconds: float, pause_s: float, footprint: Footprint) -> list:
    """Let all work for a while; return the prints that were taken meanwhile."""
    until, prints = time.monotonic() + seconds, []
    threads = [threading.Thread(target=each.work, args=(server, until, pause_s)) for each in people]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        prints.append(footprint.take())
        time.sleep(min(2.0, max(0.1, until - time.monotonic())))
    for thread in threads:
        thread.join()
    return prints


def begin_training(server: Server) -> str | None:
    """Press *Start training*; return the id of the job."""
    with requests.Session() as session:
        status, text = tell(server, session, {"action": "START_TRAINING"})
    return json.loads(text).get("job") if status == 200 else None


def status_of(server: Server, job: str | None) -> str:
    """Return how a job is."""
    response = requests.post(f"{server.url}/job_status", json={"job": job}, timeout=60)
    return str(response.json().get("job_status"))


def trainings(server: Server) -> list[int]:
    """Return the processes of the training job that runs."""
    found = []
    for pid in family(server.process.pid):
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"\0learn\0" in command:
                found.append(pid)
    return found


def lost(people: list[Colleague], learning: Path) -> list[str]:
    """Compare the journal with what the webhook has answered."""
    journal = Journal(learning)
    journal.apply_pending()
    wrong = []
    for each in people:
        if each.saved is None:
            continue
        kept = journal.body(each.saved["id"])
        if kept is None or {**kept, "project": PROJECT} != each.saved:
            wrong.append(f"annotation {each.saved['id']} stands otherwise in the journal")
    journal.close()
    return wrong


# Faults: each breaks something, and says how it went


def answers_again(server: Server, person: Colleague) -> bool:
    """Tell whether an edit and a save are answered, at most after a while."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        before = len(person.wrong), len(person.refused)
        with requests.Session() as session:
            person.edit(server, session)
            person.save(server, session)
        if before == (len(person.wrong), len(person.refused)):
            return True
        time.sleep(0.5)
    return False


def cold_cache(root: Path, server: Server, person: Colleague) -> str:
    """Remove the cache under the running service."""
    shutil.rmtree(root / "cache", ignore_errors=True)
    return "removed"


def corrupt_cache(root: Path, server: Server, person: Colleague) -> str:
    """Write over the databases of the cache."""
    files = [path for path in (root / "cache").rglob("*.db*") if path.is_file()]
    for path in files:
        path.write_bytes(b"no database" * 1000)
    return f"{len(files)} files written over"


def corrupt_version(root: Path, server: Server, person: Colleague) -> str:
    """Let a version go live and damage it."""
    versions = Versions(root / "learning", PROJECT)
    number = versions.add(lambda place: (place / WEIGHTS).write_text("weights") and {}).number
    versions.use(number, "soak")
    (versions.folder / str(number) / WEIGHTS).write_text("changed")
    return f"version {number} is live and damaged"


def corrupt_switch(root: Path, server: Server, person: Colleague) -> str:
    """Write nonsense where it stands which version is live."""
    folder = Versions(root / "learning", PROJECT).folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LIVE).write_text("{broken")
    return "written over"


def locked_database(root: Path, server: Server, person: Colleague) -> str:
    """Hold the journal for longer than the webhook waits, and save meanwhile."""
    with contextlib.closing(sqlite3.connect(root / "learning" / "journal.sqlite")) as database:
        database.execute("BEGIN IMMEDIATE")
        with requests.Session() as session:
            status, text = tell(server, session, {"action": "ANNOTATION_UPDATED", "annotation": person.saved})
        database.execute("ROLLBACK")
    assert status == 507 and "not written down" in text, (status, text)
    return "507, which says why"


def killed_trainer(root: Path, server: Server, person: Colleague) -> str:
    """Kill the training; the job is said to be stopped, and goes on."""
    job = begin_training(server)
    deadline = time.monotonic() + PATIENCE_S
    while not (there := trainings(server)) and time.monotonic() < deadline:
        time.sleep(0.2)
    for pid in there:
        os.kill(pid, signal.SIGKILL)
    return f"{job}: {len(there)} processes killed, then {status_of(server, job)}"


def killed_worker(root: Path, server: Server, person: Colleague) -> str:
    """Kill a worker of gunicorn."""
    children = family(server.process.pid)[1:]
    workers = [pid for pid in children if pid not in trainings(server)]
    if not workers:
        return "no workers (one process)"
    os.kill(workers[0], signal.SIGKILL)
    return f"one of {len(workers)} killed"


FAULTS = (
    corrupt_cache, cold_cache, corrupt_version, corrupt_switch, locked_database, killed_trainer, killed_worker,
)  # fmt: skip


def report(name: str, seconds: np.ndarray) -> None:
    """Print a row."""
    if len(seconds):
        middle, high, highest = np.percentile(1000 * seconds, [50, 95, 99])
        print(f"| {name} | {len(seconds)} | {middle:.0f} | {high:.0f} | {highest:.0f} | {1000 * seconds.max():.0f} |")


def main() -> None:
    """Run the soak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotators", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=10.0, help="of work in all")
    parser.add_argument("--turns", type=int, default=2, help="without and with a training, in turn")
    parser.add_argument("--pause", type=float, default=1.5, help="mean seconds between an answer and the next drag")
    parser.add_argument("--workers", type=int, default=0, help="of gunicorn; 0 for clickpose serve")
    parser.add_argument("--no-faults", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clickpose-soak-") as folder, studio() as label_studio:
        root = Path(folder)
        (root / "photos").mkdir()
        for number in range(options.annotators):
            write_photo(root / "photos" / f"{number}.jpg", number, LONGER_SIDE)
        variables = {
            "CLICKPOSE_TRAIN_DIR": str(root / "learning"), "CLICKPOSE_WEBHOOK_SECRET": SECRET,
            "LABEL_STUDIO_URL": f"http://127.0.0.1:{label_studio.server_port}", "LABEL_STUDIO_API_KEY": "none",
        }  # fmt: skip
        with serving(CHECKOUT, root / "photos", root / "cache", 1, options.workers, **variables) as server:
            sys.exit(_run(options, root, server, label_studio))


def _run(options: argparse.Namespace, root: Path, server: Server, label_studio: ThreadingHTTPServer) -> int:
    hired = hire(server, root / "photos", options.annotators)
    people = [Colleague(each.task, each.result, each.rng) for each in hired]
    label_studio.people = people  # type: ignore[attr-defined]
    footprint = Footprint(server.process.pid, (root / "cache", root / "learning"))
    seconds: dict[str, list[np.ndarray]] = {"without": [], "with a training": []}
    prints, shares = [], []
    for turn in range(2 * options.turns):
        name = list(seconds)[turn % 2]
        job = begin_training(server) if turn % 2 else None
        before = [len(each.seconds) for each in people]
        taken = work(server, people, 60 * options.minutes / (2 * options.turns), options.pause, footprint)
        seconds[name].append(np.concatenate([each.seconds[n:] for each, n in zip(people, before, strict=True)]))
        if turn % 2:
            shares.append(f"{job} {status_of(server, job)}")
            for pid in trainings(server):  # what is killed goes on at the next turn
                os.kill(pid, signal.SIGKILL)
        else:
            prints += taken  # a training process is no growth of the service
        print(
            f"turn {turn + 1} ({name}): {len(seconds[name][-1])} edits, {taken[-1]}, load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
    asked = replay(server, people)
    print("\n| | edits | p50 ms | p95 ms | p99 ms | max ms |\n|---" + "|---" * 5 + "|")
    for name, parts in seconds.items():
        report(name, np.concatenate(parts))
    wrong = [what for each in people for what in (*each.wrong, *each.refused)]
    gone = lost(people, root / "learning")
    crossed = sum(what.startswith("crossed") for what in wrong)
    saved = sum(each.saved is not None for each in people)
    print(f"\nerrors {len(wrong) - crossed}, crossed {crossed} ({asked} asked again)")
    print(f"lost {len(gone)} of {saved} annotations")
    print(f"trainings at the end of their turns: {', '.join(shares)}")
    later = [each.resident_mb for each in prints[len(prints) // 4 :]]
    print(f"resident MB without a training, every 2 s: {slope_of(later, 'seconds', 2.0)}")
    for what in [*wrong[:5], *gone[:5]]:
        print("   ", what[:300])
    return int(bool(wrong or gone)) | (0 if options.no_faults else _faults(root, server, people[0]))


def _faults(root: Path, server: Server, person: Colleague) -> int:
    failed, server.project = 0, f"{PROJECT}.1"
    for fault in FAULTS:
        began = time.monotonic()
        said = fault(root, server, person)
        well = answers_again(server, person)
        failed += not well
        name = fault.__name__.replace("_", " ")
        how = "answers" if well else "DOES NOT ANSWER"
        print(
            f"{name}: {said}; {how} after {time.monotonic() - began:.1f} s",
            flush=True,
        )
    return int(failed > 0)


if __name__ == "__main__":
    main()
