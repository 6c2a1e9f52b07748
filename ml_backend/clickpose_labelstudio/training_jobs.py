"""Training beside the service, where the operator wants that: one process at a time, at low priority, in a folder.

A job is ``clickpose labelstudio learn`` on a project. What there is to know about it lies on disk, so that every worker
process, and the next start of the service, can tell it: ``<folder>/project-7/2`` is the second job on project 7.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import re
import shlex
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from clickpose_labelstudio.interaction import RequestError
from clickpose_labelstudio.launch.processes import Child
from clickpose_labelstudio.settings import ServiceSettings
from clickpose_labelstudio.training_folder import DATA, HELD_OUT, REPLAY, TRAINING, WEIGHTS

JOB_ID = re.compile(r"project-([0-9]{1,9})-([0-9]{1,9})")
RUN_CLICKPOSE = "from clickpose.cli import main; main()"  # whatever the PATH holds
LOG, FAILURE, LOCK = "log.txt", "failed.txt", "running.txt"
LEFT_OVER = (DATA, HELD_OUT, REPLAY, TRAINING)
LAST_CHARACTERS = 1000
ENDED = ("finished", "failed")
PATIENCE_S = 0.2  # who only looks whether a job runs has the lock for a moment, too

logger = logging.getLogger(__name__)


class TrainingJobs:
    """Starts jobs and tells how they are.

    Args:
        folder: where the jobs work; made at the first one.
        settings: of the service; a job gets the same, the key of Label Studio by its environment.
    """

    def __init__(self, folder: Path, settings: ServiceSettings):
        self._folder = Path(folder).absolute()
        self._settings = settings

    def check(self) -> None:
        """Refuse what jobs cannot train.

        Raises:
            RequestError: if the service runs another network than lite.
        """
        if self._settings.model != "lite":
            raise RequestError(f"Expected the lite network, which training jobs go on from, got {self._settings.model}")

    def start(self, project: int) -> str:
        """Train on a project in the background, unless a job runs already.

        A job that was stopped goes on. Otherwise a new one takes the labels as they are now.

        Returns:
            the id of the job that runs now, maybe on another project.

        Raises:
            RequestError: if the service runs a network that jobs do not train, or the folder cannot be written.
        """
        self.check()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = _take(self._folder / LOCK, PATIENCE_S)
        except OSError as error:
            raise RequestError(f"The folder of training jobs cannot be written: {error.strerror}") from None
        if lock is None:
            return (self._folder / LOCK).read_text(encoding="utf-8")
        number = self._next_number(project)
        self._place(project, number).mkdir(parents=True, exist_ok=True)
        job_id = f"project-{project}-{number}"
        lock.truncate(0)
        lock.write(job_id)
        lock.flush()
        # The thread holds the lock, and waits: on Linux a job ends with the thread that has started it.
        threading.Thread(target=self._run, args=(project, number, lock), name=job_id, daemon=True).start()
        return job_id

    def status(self, job_id: object) -> dict | None:
        """Return ``{"job_status": "started" | "finished" | "failed" | "stopped", "log": …}``; None for no job."""
        match = JOB_ID.fullmatch(job_id) if isinstance(job_id, str) else None
        place = self._place(int(match[1]), int(match[2])) if match else None
        if place is None or not place.is_dir():
            return None
        if self.running() == job_id:
            state = "started"
        elif (place / WEIGHTS).exists():
            state = "finished"
        else:
            state = "failed" if (place / FAILURE).exists() else "stopped"
        status = {"job": job_id, "job_status": state, "log": _end_of(place / LOG)}
        return status | ({"checkpoint": str(place / WEIGHTS)} if state == "finished" else {})

    def _place(self, project: int, number: int) -> Path:
        return self._folder / f"project-{project}" / str(number)

    def _next_number(self, project: int) -> int:
        """Return the number of the last job if it was stopped, else of a new one."""
        project_folder = self._folder / f"project-{project}"
        there = [int(path.name) for path in project_folder.glob("[0-9]*") if path.name.isdecimal()]
        last = max(there, default=0)
        ended = any((self._place(project, last) / name).exists() for name in (WEIGHTS, FAILURE))
        return last if last and not ended else last + 1

    def running(self) -> str | None:
        """Return the id of the job that runs now, whichever process of the service has started it."""
        try:
            lock = _take(self._folder / LOCK)
            if lock is None:
                return (self._folder / LOCK).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        lock.close()
        return None

    def _run(self, project: int, number: int, lock: TextIO) -> None:
        """Run a job to its end, and write down if it has failed."""
        place = self._place(project, number)
        with lock:
            logger.info("Training on project %d in %s", project, place)
            job = Child("The training", self._command(project, place), self._environment(), place / LOG)
            atexit.register(job.stop)  # where the system does not end it with the service
            exit_code = job.wait()
            atexit.unregister(job.stop)
            if exit_code == 0:
                for folder in LEFT_OVER:  # the weights are what is kept; labels and photos are Label Studio's
                    shutil.rmtree(place / folder, ignore_errors=True)
            elif exit_code > 0:  # by itself, not by a signal
                (place / FAILURE).write_text(_end_of(place / LOG), encoding="utf-8")
            logger.info("Training on project %d ended with exit code %d; %s", project, exit_code, place / LOG)

    def _command(self, project: int, place: Path) -> list[str]:
        settings = self._settings
        command = [sys.executable, "-c", RUN_CLICKPOSE, "labelstudio", "learn", "--project", str(project)]
        command += ["--out", str(place), "--train-dir", str(self._folder)]
        command += ["--init", str(settings.checkpoint)] if settings.checkpoint else []
        command += ["--replay", str(settings.replay_dir)] if settings.replay_dir else []
        nice = shutil.which("nice")
        polite = [nice, "-n", "10"] if nice else []
        return [*polite, *command, *shlex.split(settings.train_arguments)]

    def _environment(self) -> Mapping[str, str]:
        return {"OMP_NUM_THREADS": "1", **os.environ, **self._settings.to_environment()}


def project_of(job_id: str) -> int | None:
    """Return the number of the project that a job trains on; None for what is no id of a job."""
    match = JOB_ID.fullmatch(job_id)
    return int(match[1]) if match else None


def _take(path: Path, patience_s: float = 0.0) -> TextIO | None:
    """Lock a file of the jobs' folder; None if it is locked. The system frees it when its process ends.

    Raises:
        FileNotFoundError: if there is no such folder.
    """
    file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 - open as long as the lock is held
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except OSError:
            if time.monotonic() >= deadline:
                file.close()
                return None
            time.sleep(0.01)


def _end_of(path: Path) -> str:
    """Return the last characters of a log, "" where there is none; of a progress bar, what it showed last."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - LAST_CHARACTERS))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(line.rsplit("\r", 1)[-1] for line in text.split("\n") if line.strip())
