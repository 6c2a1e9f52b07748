"""What goes on beside the answers: journalled events are worked out, wishes granted one by one, the journal compared.

Every worker process has such a loop in a thread; the journal's transactions and the lock of the jobs' folder see to it
that each thing is done by one of them. A loop holds no state that matters: it may be killed anywhere.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from clickpose_labelstudio.interaction import RequestError
from clickpose_labelstudio.label_studio_auth import LabelStudioError
from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.learning.journal import Journal, JournalError, Wish
from clickpose_labelstudio.learning.sync import sync_project
from clickpose_labelstudio.training_jobs import ENDED, TrainingJobs, project_of

EVERY_S = 15.0
MOST_STARTS = 5  # of one job: what ends it may be the job itself, such as too little memory
AGAIN_S = 60.0  # after Label Studio could not be asked
RULE = "{} new persons"

logger = logging.getLogger(__name__)


class LearningLoop:
    """See the module.

    Args:
        journal: of the folder.
        jobs: of the folder.
        train_after: new persons in a project that a training is begun for; 0 to wait for "Start training".
        connect: gives a connection to Label Studio; None where there is no key to ask it with.
        trains: whether jobs begin here; False where a trainer of its own grants the wishes.
        every_s: seconds between two looks where nobody calls.
    """

    def __init__(
        self,
        journal: Journal,
        jobs: TrainingJobs,
        *,
        train_after: int = 0,
        connect: Callable[[], AbstractContextManager[LabelStudioClient]] | None = None,
        trains: bool = True,
        every_s: float = EVERY_S,
    ):
        self._journal, self._jobs, self._train_after = journal, jobs, train_after
        self._connect, self._every_s, self._trains = connect, every_s, trains
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._compare_from_s: float | None = 0.0  # monotonic; None where nothing has been missed

    def start(self) -> None:
        """Begin, in a thread of its own; what an earlier process has left is taken up."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="learning", daemon=True)
                self._thread.start()

    def run(self) -> None:
        """Go on in this thread until :meth:`stop` is called from another one, or the process ends."""
        self._run()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join()

    def wake(self) -> None:
        """Look soon: something has happened."""
        self._woken.set()

    def has_missed(self) -> None:
        """Compare with Label Studio when that is possible: an event could not be written down."""
        self._compare_from_s = time.monotonic() + AGAIN_S / 10
        self.wake()

    def step(self) -> str | None:
        """Do what is to be done now without asking Label Studio; return the id of the job that runs, or None.

        Raises:
            JournalError: if the journal cannot be used.
            RequestError: if no job can be begun at all.
        """
        self._journal.apply_pending()
        if not self._trains:
            return self._jobs.running()
        if self._train_after:
            for project in self._journal.projects():
                if (fresh := self._journal.fresh_persons(project)) >= self._train_after:
                    self._journal.wish(project, RULE.format(fresh))
        while (running := self._jobs.running()) is None and (wish := self._journal.open_wish()) is not None:
            if self._grant(wish):
                return self._jobs.running()
        return running

    def _grant(self, wish: Wish) -> bool:
        """Begin or go on with the job of a wish; note its end where it has ended. Return whether one was begun."""
        status = self._jobs.status(wish.job) if wish.job else None
        if status is not None and status["job_status"] in ENDED:
            self._journal.end_wish(wish.number, status["job_status"])
            return False
        if wish.starts >= MOST_STARTS:
            logger.warning("Training on project %d was stopped %d times and is given up", wish.project, wish.starts)
            self._journal.end_wish(wish.number, "given up")
            return False
        job = self._jobs.start(wish.project)
        if project_of(job) == wish.project:  # another process may have begun with another one
            self._journal.begin_wish(wish, job)
            logger.info("Training on project %d: %s (%s)", wish.project, job, wish.reason)
        return True

    def _compare(self) -> None:
        """Compare with Label Studio where events may have been missed."""
        if self._connect is None or self._compare_from_s is None or time.monotonic() < self._compare_from_s:
            return
        self._compare_from_s = None
        self._journal.apply_pending()
        try:
            with self._connect() as client:
                for project in self._journal.projects():
                    report = sync_project(self._journal, client, project)
                    if report.missing or report.outdated or report.gone or report.back:
                        logger.warning("The journal was behind: %s", report.sentence())
        except LabelStudioError as error:
            self._compare_from_s = time.monotonic() + AGAIN_S
            logger.info("The journal could not be compared with Label Studio: %.300s", error)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                self._compare()
                self.step()
            except (JournalError, RequestError) as error:
                logger.warning("%.500s", error)
            except Exception:  # the loop goes on whatever happens: nobody would start it again
                logger.exception("The learning loop failed; it goes on")
            self._woken.wait(self._every_s)
