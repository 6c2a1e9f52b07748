"""The journal: what annotators have done, written down before Label Studio's webhook is answered.

One SQLite file in write-ahead mode, shared by the worker processes of a machine. An event is appended in one short
transaction, which survives whatever happens afterwards; what follows from it (the state of the annotation, its counts,
a wish to train) is worked out later by whoever comes to it, once, in another transaction, so that a process that is
killed in between loses nothing and counts nothing twice. An annotation is the same event however often it is told;
an older revision that comes late changes nothing; what was deleted stays so, whatever comes late.

Label Studio tells an event once and never again. What it could not tell (the service was away, the disk was full) is
found by comparing with it: :mod:`.sync`.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clickpose.skeleton import COCO, Skeleton
from clickpose_labelstudio.labeling_config import LabelingConfigError, parse_labeling_config
from clickpose_labelstudio.learning.events import FOREVER, MAX_ID, Event
from clickpose_labelstudio.learning.work import Work, work_of
from clickpose_labelstudio.region_items import CodecError

JOURNAL = "journal.sqlite"
LAYOUT = 1
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError, zlib.error)
REFUSED = 2  # of an event, in place of 1 for applied
PATIENCE_S = 0.6  # for another process that writes; Label Studio waits a second
OPENING_S = 5.0  # SQLite does not wait for who turns on the write-ahead mode
_TABLES = """
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, received_s REAL NOT NULL, kind TEXT NOT NULL, project INTEGER,
    subject INTEGER, revision TEXT NOT NULL, body BLOB, applied INTEGER NOT NULL DEFAULT 0,
    UNIQUE (kind, subject, revision));
CREATE INDEX IF NOT EXISTS events_to_apply ON events (number) WHERE applied = 0;
CREATE TABLE IF NOT EXISTS annotations (
    annotation INTEGER PRIMARY KEY, project INTEGER NOT NULL, task INTEGER NOT NULL, revision TEXT NOT NULL,
    annotator INTEGER, created TEXT NOT NULL, persons INTEGER NOT NULL, work TEXT NOT NULL, body BLOB NOT NULL,
    problem TEXT, deleted INTEGER NOT NULL DEFAULT 0, taken_by TEXT, changed_s REAL NOT NULL);
CREATE INDEX IF NOT EXISTS annotations_of_project ON annotations (project, deleted);
CREATE TABLE IF NOT EXISTS configs (project INTEGER PRIMARY KEY, label_config TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS wishes (
    number INTEGER PRIMARY KEY AUTOINCREMENT, project INTEGER NOT NULL, reason TEXT NOT NULL, made_s REAL NOT NULL,
    job TEXT, starts INTEGER NOT NULL DEFAULT 0, outcome TEXT);
CREATE UNIQUE INDEX IF NOT EXISTS one_open_wish ON wishes (project) WHERE outcome IS NULL;
"""

logger = logging.getLogger(__name__)


class JournalError(OSError):
    """The journal cannot be read or written; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An annotation as the journal knows it.

    Attributes:
        annotation, project, task: their numbers.
        revision: when it was saved last; see :func:`~.events.revision_of`.
        annotator: number of who has made it, None where that is not known.
        created: when it was first saved, in Label Studio's words.
        work: counts.
        problem: why its regions could not be read, or None.
        deleted: whether it is there no more.
        taken_by: the job that has trained on it, None while it is new.
        changed_s: when the journal has last learned of it, seconds of the epoch.
    """

    annotation: int
    project: int
    task: int
    revision: str
    annotator: int | None
    created: str
    work: Work
    problem: str | None
    deleted: bool
    taken_by: str | None
    changed_s: float


@dataclass(frozen=True)
class Wish:
    """Somebody's or the rule's wish to train on a project.

    Attributes:
        number: of the wish.
        project: on which.
        reason: whose wish it is.
        job: id of the job that was begun for it, or None.
        starts: how often that was started; one that is stopped goes on.
    """

    number: int
    project: int
    reason: str
    job: str | None
    starts: int


class Journal:
    """The journal of a folder. Safe to share between threads; every process opens its own.

    Args:
        folder: made if missing.
        skeleton: joints of the network, to read regions with.
    """

    def __init__(self, folder: Path, skeleton: Skeleton = COCO):
        self._path = Path(folder) / JOURNAL
        self._skeleton = skeleton
        self._lock = threading.RLock()
        self._open: sqlite3.Connection | None = None
        self._inode: int | None = None

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._open is not None:
                self._open.close()
                self._open = None

    # Events

    def append(self, events: Sequence[Event]) -> int:
        """Write events down, for good, all or none; return how many of them were not known yet.

        Raises:
            JournalError: if they could not be written.
        """
        with self._writing() as database:
            new = 0
            for event in events:
                body = zlib.compress(event.body.encode(), 3) if event.body else None
                row = (time.time(), event.kind, event.project, event.subject, event.revision, body)
                new += database.execute(
                    "INSERT OR IGNORE INTO events (received_s, kind, project, subject, revision, body) "
                    "VALUES (?, ?, ?, ?, ?, ?)", row,
                ).rowcount  # fmt: skip
                if event.label_config is not None:
                    _learn_config(database, event.project, event.label_config)
            return new

    def learn_config(self, project: int, label_config: str) -> None:
        """Keep the labelling configuration that a project has now."""
        with self._writing() as database:
            _learn_config(database, project, label_config)

    def apply_pending(self) -> int:
        """Work out what follows from the events that nobody has come to yet; return how many those were.

        Raises:
            JournalError: if the journal cannot be read or written.
        """
        done = 0
        while self._apply_next():
            done += 1
        return done

    def pending(self) -> int:
        """Return how many events are still to be applied."""
        return self._one("SELECT count(*) FROM events WHERE applied = 0")[0]

    def _apply_next(self) -> bool:
        with self._writing() as database:
            row = database.execute(
                "SELECT number, kind, project, subject, revision, body FROM events WHERE applied = 0 ORDER BY number "
                "LIMIT 1"
            ).fetchone()
            if row is None:
                return False
            number, kind, project, subject, revision, body = row
            database.execute("SAVEPOINT one")
            try:
                self._apply(database, kind, project, subject, revision, body)
                database.execute("UPDATE events SET applied = 1, body = NULL WHERE number = ?", (number,))
            except UNREADABLE:  # kept, but out of the way of those behind it
                database.execute("ROLLBACK TO one")
                database.execute("UPDATE events SET applied = ? WHERE number = ?", (REFUSED, number))
                logger.exception("Event %d of the journal cannot be applied", number)
            return True

    def _apply(
        self, database: sqlite3.Connection, kind: str, project: int, subject: int, revision: str, body: bytes
    ) -> None:
        if kind == "saved":
            self._save(database, project, subject, revision, body)
        elif kind == "train":
            self._wish(database, project, "Start training")
        else:
            column = "annotation" if kind == "deleted" else "task"
            database.execute(
                f"UPDATE annotations SET deleted = 1, changed_s = ? WHERE {column} = ?", (time.time(), subject)
            )

    def _save(self, database: sqlite3.Connection, project: int, number: int, revision: str, body: bytes) -> None:
        """Keep an annotation's latest revision; one that was deleted, or is newer already, stays as it is."""
        known = database.execute("SELECT revision FROM annotations WHERE annotation = ?", (number,)).fetchone()
        if known is not None and known[0] >= revision:
            return
        annotation = json.loads(zlib.decompress(body))
        gone = database.execute(
            "SELECT 1 FROM events WHERE revision = ? AND (kind = 'deleted' AND subject = ? OR kind = 'task_deleted' "
            "AND subject = ?)", (FOREVER, number, annotation["task"]),
        ).fetchone()  # fmt: skip
        work, problem = self._work(database, project, annotation)
        annotator = annotation.get("completed_by")
        annotator = annotator.get("id") if isinstance(annotator, Mapping) else annotator
        annotator = annotator if isinstance(annotator, int) and 0 < annotator < MAX_ID else None
        row = (
            number, project, annotation["task"], revision, annotator,
            str(annotation.get("created_at") or revision), work.persons, work.to_json(), body, problem,
            int(gone is not None), None, time.time(),
        )  # fmt: skip
        database.execute(f"INSERT OR REPLACE INTO annotations VALUES ({', '.join('?' * len(row))})", row)

    def _work(self, database: sqlite3.Connection, project: int, annotation: Mapping) -> tuple[Work, str | None]:
        """Return the counts of an annotation; none, and why, where its regions cannot be read."""
        config = database.execute("SELECT label_config FROM configs WHERE project = ?", (project,)).fetchone()
        if config is None:
            return Work(), "The labelling configuration of the project is not known yet"
        try:
            return work_of(annotation, parse_labeling_config(config[0], self._skeleton)), None
        except (CodecError, LabelingConfigError) as error:
            return Work(), str(error)

    # The pool

    def entries(self, project: int | None = None, deleted: bool = False) -> list[Entry]:
        """Return the annotations of a project, or of all, in the order of their numbers.

        Args:
            project: None for all.
            deleted: also those that are there no more.

        Raises:
            JournalError: if the journal cannot be read.
        """
        rows = self._all(
            "SELECT annotation, project, task, revision, annotator, created, work, problem, deleted, taken_by, "
            "changed_s FROM annotations WHERE (? IS NULL OR project = ?) AND deleted <= ? ORDER BY annotation",
            (project, project, int(deleted)),
        )
        names = tuple(Entry.__dataclass_fields__)
        return [
            Entry(**{**dict(zip(names, row, strict=True)), "work": Work.from_json(row[6]), "deleted": bool(row[8])})
            for row in rows
        ]

    def body(self, annotation: int) -> dict | None:
        """Return an annotation as Label Studio has sent it last, also a deleted one; None where it is not known."""
        row = self._one("SELECT body FROM annotations WHERE annotation = ?", (annotation,))
        return None if row is None else json.loads(zlib.decompress(row[0]))

    def projects(self) -> list[int]:
        """Return the numbers of all projects that the journal knows."""
        return [row[0] for row in self._all("SELECT project FROM configs UNION SELECT project FROM annotations")]

    def label_config(self, project: int) -> str | None:
        """Return the labelling configuration that a project had last."""
        row = self._one("SELECT label_config FROM configs WHERE project = ?", (project,))
        return None if row is None else row[0]

    def fresh_persons(self, project: int) -> int:
        """Return how many people have been labelled, or corrected, since the last training took what there was."""
        return self._one(
            "SELECT coalesce(sum(persons), 0) FROM annotations WHERE project = ? AND deleted = 0 AND taken_by IS NULL",
            (project,),
        )[0]

    def correct(self, project: int, gone: Sequence[int], back: Sequence[int], early: Sequence[int] = ()) -> None:
        """Note what a comparison with Label Studio has found: annotations that are gone, some that are not, and some
        whose last revision there is earlier than the one here, after a clock that was wrong: any later one is taken."""
        with self._writing() as database:
            for annotation in early:
                database.execute("DELETE FROM events WHERE kind = 'saved' AND subject = ?", (annotation,))
                database.execute("UPDATE annotations SET revision = '' WHERE annotation = ?", (annotation,))
            for annotation in gone:
                database.execute("UPDATE annotations SET deleted = 1 WHERE annotation = ?", (annotation,))
            for annotation in back:
                database.execute("DELETE FROM events WHERE kind = 'deleted' AND subject = ?", (annotation,))
                database.execute("UPDATE annotations SET deleted = 0 WHERE annotation = ?", (annotation,))

    def read_again(self, project: int) -> None:
        """Count once more what could not be read, with the labelling configuration as it is now."""
        broken = self._all(
            "SELECT annotation, body FROM annotations WHERE project = ? AND problem IS NOT NULL", (project,)
        )
        for number, body in broken:
            with self._writing() as database:
                work, problem = self._work(database, project, json.loads(zlib.decompress(body)))
                database.execute(
                    "UPDATE annotations SET work = ?, persons = ?, problem = ? WHERE annotation = ?",
                    (work.to_json(), work.persons, problem, number),
                )

    # Wishes

    def wish(self, project: int, reason: str) -> None:
        """Wish a training on a project; one that waits or runs already is enough."""
        with self._writing() as database:
            self._wish(database, project, reason)

    @staticmethod
    def _wish(database: sqlite3.Connection, project: int, reason: str) -> None:
        row = (project, reason, time.time())
        database.execute("INSERT OR IGNORE INTO wishes (project, reason, made_s) VALUES (?, ?, ?)", row)

    def open_wish(self) -> Wish | None:
        """Return the oldest wish that has not been granted."""
        row = self._one(
            "SELECT number, project, reason, job, starts FROM wishes WHERE outcome IS NULL ORDER BY number LIMIT 1"
        )
        return None if row is None else Wish(*row)

    def begin_wish(self, wish: Wish, job: str) -> None:
        """Note which job was begun for a wish: it trains on all that there is now, which is new no more.

        One that was stopped and goes on trains on what there was at first.
        """
        with self._writing() as database:
            database.execute("UPDATE wishes SET job = ?, starts = starts + 1 WHERE number = ?", (job, wish.number))
            if wish.job != job:
                database.execute(
                    "UPDATE annotations SET taken_by = ? WHERE project = ? AND taken_by IS NULL", (job, wish.project)
                )

    def end_wish(self, number: int, outcome: str) -> None:
        """Note what has become of a wish."""
        with self._writing() as database:
            database.execute("UPDATE wishes SET outcome = ? WHERE number = ?", (outcome, number))

    # The file

    def _one(self, question: str, values: Sequence[Any] = ()) -> Any:
        with self._speaking(), self._lock:
            return self._database().execute(question, values).fetchone()

    def _all(self, question: str, values: Sequence[Any] = ()) -> list:
        with self._speaking(), self._lock:
            return self._database().execute(question, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Give the database for a block that is written as a whole or not at all."""
        with self._speaking(), self._lock:
            database = self._database()
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Turn the errors of the database into sentences; a damaged file is put aside, and the next one begins."""
        try:
            yield
        except JournalError:
            raise
        except sqlite3.OperationalError as error:
            raise JournalError(f"The journal {self._path} cannot be used: {error}") from None
        except sqlite3.DatabaseError as error:
            self._put_aside()
            raise JournalError(f"The journal {self._path} was damaged ({error}) and is begun anew") from None
        except OSError as error:
            raise JournalError(f"The journal {self._path} cannot be made: {error.strerror}") from None

    def _put_aside(self) -> None:
        self.close()
        for ending in ("", "-wal", "-shm"):
            damaged = self._path.with_name(self._path.name + ending)
            if damaged.exists():
                damaged.replace(damaged.with_name(f"{damaged.name}.damaged-{int(time.time())}"))

    def _database(self) -> sqlite3.Connection:
        """Return the open file; another one where that has been moved or removed: what is written there is lost."""
        if self._open is None or _inode(self._path) != self._inode:
            self.close()
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._open = _connect(self._path)
            self._inode = _inode(self._path)
        return self._open


def _learn_config(database: sqlite3.Connection, project: int | None, label_config: str) -> None:
    database.execute(
        "INSERT INTO configs VALUES (?, ?) ON CONFLICT (project) DO UPDATE SET label_config = excluded.label_config "
        "WHERE label_config <> excluded.label_config", (project, label_config),
    )  # fmt: skip


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _connect(path: Path) -> sqlite3.Connection:
    """Open the file, making it where there is none; two processes that make it at once wait for each other."""
    deadline = time.monotonic() + OPENING_S
    while True:
        try:
            return _connect_now(path)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _connect_now(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")  # on the disk, not on its way there, when an event is answered
        (layout,) = database.execute("PRAGMA user_version").fetchone()
        if layout > LAYOUT:
            raise JournalError(f"Expected a journal of layout {LAYOUT} in {path}, got {layout}, of a newer Click-Pose")
        if layout < LAYOUT:
            database.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {LAYOUT}; COMMIT;")
    except BaseException:
        database.close()
        raise
    return database
