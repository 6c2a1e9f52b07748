"""Pre-annotation in the background, a few photos at a time: how far it is, how long it takes, what had no success."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clickpose.durations import spoken
from clickpose_labelstudio.label_studio_auth import LabelStudioError
from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.launch.photos import some_of
from clickpose_labelstudio.launch.project import file_name, show_predictions, tasks_without

BATCH_SECONDS = 2.0  # a photo that is opened waits for the batch that is under way
MOST_A_BATCH = 8
MOST_STRIKES = 2  # servers that a photo may be predicted by when they die; it is left out then
AWAY_SECONDS = 3.0  # between looks for a server that does not answer

Say = Callable[[str], None]


@dataclass(frozen=True)
class Progress:
    """How far the pre-annotation is.

    Attributes:
        state: ``running``, ``waiting`` for a server that is away, ``done``, or ``none`` before it begins.
        project_id: whose photos.
        done: photos that have been predicted since it began.
        total: photos that had no prediction when it began.
        seconds_left: how long the rest takes, as far as one can tell.
    """

    state: str
    project_id: int
    done: int = 0
    total: int = 0
    seconds_left: float | None = None

    def sentence(self) -> str:
        """Say it in one line; nothing where nothing is going on."""
        if self.state not in ("running", "waiting") or not self.total:
            return ""
        left = "" if self.seconds_left is None else f", {spoken(self.seconds_left)} left"
        left = ", waiting for the backend" if self.state == "waiting" else left
        return f"Pre-annotating in the background: {self.done} of {self.total} photos{left}"

    def as_json(self) -> str:
        """Return it as the page reads it; numbers only, since it takes no login."""
        left = None if self.seconds_left is None else round(self.seconds_left)
        return json.dumps(
            {"state": self.state, "project": self.project_id, "done": self.done, "total": self.total, "left": left}
        )


class PreAnnotation:
    """Lets Label Studio predict the tasks that have no prediction of the backend's version yet.

    It takes them in the order of the Data Manager's first page, in a thread of its own; what a stopped launcher has
    left is found at the next start. Trouble never ends the launcher: what cannot be predicted is named in the end, and
    servers that are being started again are waited for.

    Args:
        connect: gives a connection to Label Studio.
        project_id: whose tasks.
        version: of the backend's model.
        is_ready: tells whether Label Studio and the backend answer.
        report: takes every change of the progress.
        say: takes each sentence for the user.
        logs: folder to read more in.
    """

    def __init__(
        self,
        connect: Callable[[], LabelStudioClient],
        project_id: int,
        version: str | None,
        *,
        is_ready: Callable[[], bool],
        report: Callable[[Progress], None],
        say: Say,
        logs: Path,
    ):
        self._connect, self._project_id, self._version = connect, project_id, version
        self._is_ready, self._report, self._say, self._logs = is_ready, report, say, logs
        self._stopping = threading.Event()
        self._seconds_each: float | None = None  # for one photo, of late
        self._done = self._total = 0
        self._is_shown = False
        self._strikes: Counter[int] = Counter()
        self._thread = threading.Thread(target=self._run, name="pre-annotation", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._tell("running")  # a page that is opened at once goes on asking
        self._thread.start()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is through, or for some seconds; return whether it is."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Stop after the request that is under way, which is not waited for."""
        self._stopping.set()

    def _run(self) -> None:
        try:
            with self._connect() as api:
                self._predict_all(api)
        except Exception as error:  # the annotator goes on: a photo that is opened is predicted then
            if not self._stopping.is_set():
                self._tell("done")
                self._say(f"Pre-annotation has stopped ({error}); photos are predicted as they are opened.")

    def _predict_all(self, api: LabelStudioClient) -> None:
        """Predict until a pass over what is left brings nothing new."""
        left = self._left(api)
        self._total = len(left)
        self._show(api)
        while left and not self._stopping.is_set():
            before = len(left)
            self._predict_each(api, [task["id"] for task in left])
            if self._stopping.is_set():
                return
            left = self._left(api)
            self._done = self._total - len(left)
            if len(left) >= before:
                break
        if self._stopping.is_set():
            return
        self._tell("done")
        if self._total > len(left) or not left:
            self._say(f"{self._total - len(left) or 'All'} photos are pre-annotated.")
        if left:
            names = some_of([file_name(task) for task in left], shown=5)
            self._say(f"No prediction for {names}; the backend says why in {self._logs}.")

    def _left(self, api: LabelStudioClient) -> list[dict]:
        while True:
            try:
                return tasks_without(api, self._project_id, self._version)
            except LabelStudioError:
                if self._is_ready() or not self._wait_until_ready():
                    raise

    def _predict_each(self, api: LabelStudioClient, task_ids: list[int]) -> None:
        rest = [task_id for task_id in task_ids if self._strikes[task_id] < MOST_STRIKES]
        while rest and self._wait_until_ready():
            self._tell("running")
            batch = rest[: 1 if self._strikes[rest[0]] else self._batch_size()]
            started = time.monotonic()
            self._predict(api, batch)
            if self._stopping.is_set():
                return
            if not self._is_ready():  # the same again once it is back, one by one: one of them may have killed it
                self._strikes.update(batch)
                rest = [task_id for task_id in rest if self._strikes[task_id] < MOST_STRIKES]
                continue
            self._show(api)
            self._learn((time.monotonic() - started) / len(batch))
            rest = rest[len(batch) :]
            self._done = min(self._done + len(batch), self._total)

    def _predict(self, api: LabelStudioClient, task_ids: list[int]) -> None:
        """Predict some tasks; if Label Studio refuses a batch as a whole, each of them alone."""
        try:
            api.predict(self._project_id, task_ids)
        except LabelStudioError:
            if len(task_ids) == 1 or not self._is_ready():
                return
            for task_id in task_ids:
                self._predict(api, [task_id])

    def _show(self, api: LabelStudioClient) -> None:
        """Let tasks open with the predictions of this version, which Label Studio allows once there is one."""
        if self._is_shown:
            return
        try:
            show_predictions(api, self._project_id, self._version)
            self._is_shown = True
        except LabelStudioError:
            return  # none is there yet; after the next batch again

    def _wait_until_ready(self) -> bool:
        """Wait for servers that are away; return False where it is to stop."""
        while not self._stopping.is_set():
            if self._is_ready():
                return True
            self._tell("waiting")
            self._stopping.wait(AWAY_SECONDS)
        return False

    def _batch_size(self) -> int:
        if self._seconds_each is None:
            return 1
        return max(1, min(MOST_A_BATCH, int(BATCH_SECONDS / max(self._seconds_each, 1e-3))))

    def _learn(self, seconds: float) -> None:
        """Follow the time that a photo takes."""
        known = self._seconds_each
        self._seconds_each = seconds if known is None else 0.7 * known + 0.3 * seconds

    def _tell(self, state: str) -> None:
        left = None
        if self._seconds_each is not None and self._done:
            left = self._seconds_each * (self._total - self._done)
        if not self._stopping.is_set():
            self._report(Progress(state, self._project_id, self._done, self._total, left))


def write_progress(path: Path, progress: Progress) -> None:
    """Replace the file that the page reads, at once."""
    fresh = path.with_suffix(".new")
    fresh.write_text(progress.as_json(), encoding="utf-8")
    os.replace(fresh, path)
