"""Run what is queued in the app ("schedule"), beside the app: without somebody who does, queued runs wait for ever."""

from __future__ import annotations

import contextlib
import logging
import threading
from contextlib import contextmanager

QUEUE_VARIABLE = "FIFTYONE_ALLOW_LEGACY_ORCHESTRATORS"  # without it the app's forms offer no queueing
_PAUSE_SECONDS = 1.0
_LOG = logging.getLogger(__name__)


@contextmanager
def running_queue():
    """Run queued operators one after another in a thread of this process, until the block ends."""
    ended = threading.Event()
    worker = threading.Thread(target=_run_until, args=(ended,), name="clickpose-queue", daemon=True)
    worker.start()
    try:
        yield worker
    finally:
        ended.set()


def run_until_interrupted() -> None:
    """Run queued operators until the user ends it."""
    with contextlib.suppress(KeyboardInterrupt), running_queue() as worker:
        worker.join()


def run_next() -> bool:
    """Run the operator that waits longest, to its end; tells whether there was one."""
    from fiftyone.operators.delegated import DelegatedOperationService

    return bool(DelegatedOperationService().execute_queued_operations(limit=1, log=False))


def _run_until(ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            if run_next():
                continue
        except Exception:  # of one operator, or of a database that is restarted: the next one has its turn
            _LOG.exception("A queued operator could not be run")
        ended.wait(_PAUSE_SECONDS)
