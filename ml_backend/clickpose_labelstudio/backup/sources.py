"""What a backup takes and gives back: the folder of what is learned, SQLite, PostgreSQL, Label Studio's media."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickpose
from clickpose.lite.calibration import calibration_files
from clickpose_labelstudio.backup.archive import BackupError, check_backup, new_backup, unpack
from clickpose_labelstudio.learning.journal import JOURNAL
from clickpose_labelstudio.settings import ServiceSettings
from clickpose_labelstudio.training_folder import DATA, HELD_OUT, REPLAY, TRAINING
from clickpose_labelstudio.training_jobs import LOCK

SECRETS = ("LABEL_STUDIO_API_KEY", "CLICKPOSE_BASIC_AUTH_PASSWORD", "CLICKPOSE_WEBHOOK_SECRET")
LEARNING, CHECKPOINT, SETTINGS, MEDIA, DATABASE = "learning", "checkpoint", "settings", "label-studio", "database"
STUDIO_SQLITE = "label_studio.sqlite3"
DUMP = "dump.pgdump"
COUNT_TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
SQLITE_ENDINGS = ("", "-wal", "-shm", "-journal")
OF_JOBS = frozenset((DATA, HELD_OUT, REPLAY, TRAINING, LOCK))  # made again from Label Studio by the next job


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where things are that are saved or given back.

    Attributes:
        learning: folder of journal, jobs and versions.
        label_studio: Label Studio's data folder, with its media and maybe its SQLite database; None to leave it out.
        database: address of its PostgreSQL, ``postgresql://user@host:5432/name``; None for none.
        password: of that database.
    """

    learning: Path
    label_studio: Path | None = None
    database: str | None = None
    password: str = field(default="", repr=False)


def back_up(path: Path, places: Places, settings: ServiceSettings, with_secrets: bool = False) -> dict[str, Any]:
    """Write a backup while everything goes on; return what it holds, file counts by part.

    The journal comes before Label Studio's database, which is then the newer of the two: what the journal lacks is
    found by the comparison at the next start.

    Raises:
        BackupError: if the file is there, there is nothing to save, or a database cannot be read.
    """
    for folder in (places.learning, places.label_studio):
        if folder is not None and not folder.is_dir():
            raise BackupError(f"Expected a folder to back up, got {folder}, which is not there")
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="clickpose-backup-") as scratch, new_backup(path) as backup:
        held = Path(scratch)
        journal = frozenset(JOURNAL + ending for ending in SQLITE_ENDINGS)
        copy_sqlite(places.learning / JOURNAL, held / JOURNAL)
        if (held / JOURNAL).exists():
            backup.add(f"{LEARNING}/{JOURNAL}", held / JOURNAL)
        counts[LEARNING] = (held / JOURNAL).exists() + backup.add_tree(LEARNING, places.learning, OF_JOBS | journal)
        if settings.checkpoint is not None:
            files = [each for each in (settings.checkpoint, *calibration_files(settings.checkpoint)) if each.exists()]
            for each in files:
                backup.add(f"{CHECKPOINT}/{each.name}", each)
            counts[CHECKPOINT] = len(files)
        (held / "settings.env").write_text(settings_text(settings, with_secrets), encoding="utf-8")
        backup.add(f"{SETTINGS}/settings.env", held / "settings.env")
        if places.database is not None:
            with _postgresql(places) as run:
                run(["pg_dump", "--format", "custom", "--no-owner", "--file", str(held / DUMP)])
            backup.add(f"{DATABASE}/{DUMP}", held / DUMP)
            counts[DATABASE] = 1
        if places.label_studio is not None:
            own = frozenset(STUDIO_SQLITE + ending for ending in SQLITE_ENDINGS)
            copy_sqlite(places.label_studio / STUDIO_SQLITE, held / STUDIO_SQLITE)
            if (held / STUDIO_SQLITE).exists():
                backup.add(f"{MEDIA}/{STUDIO_SQLITE}", held / STUDIO_SQLITE)
            skipped = own if with_secrets else own | {".env"}
            counts[MEDIA] = (held / STUDIO_SQLITE).exists() + backup.add_tree(MEDIA, places.label_studio, skipped)
        backup.finish({"release": clickpose.__version__, "parts": counts, "with_secrets": with_secrets})
    return counts


def restore(path: Path, places: Places) -> dict[str, Any]:
    """Give back what a backup holds, after all of it was checked and nothing stands in its way; return its parts.

    Raises:
        BackupError: if the backup is not whole, something is there already, or a place is not told.
    """
    contents = check_backup(path)
    parts = contents["parts"]
    wanted = {LEARNING: places.learning, MEDIA: places.label_studio}
    targets = {part: folder for part, folder in wanted.items() if parts.get(part) and folder is not None}
    for part, option in ((MEDIA, "--label-studio"), (DATABASE, "--database")):
        given = places.label_studio if part == MEDIA else places.database
        if parts.get(part) and given is None:
            raise BackupError(f"Expected {option}, since {path} holds {part}; nothing was changed")
    _check_free(targets.values())
    with contextlib.ExitStack() as cleanup:
        fresh = {part: _beside(folder, cleanup) for part, folder in targets.items()}
        scratch = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="clickpose-restore-")))
        # settings and the weights that the service was started with lie beside what is learned, for whoever sets it up
        aside = {part: _beside(places.learning, cleanup) for part in (CHECKPOINT, SETTINGS)}
        unpack(path, {**fresh, **aside, DATABASE: scratch})
        for database in [folder / name for folder in fresh.values() for name in (JOURNAL, STUDIO_SQLITE)]:
            _check_sqlite(database)
        # a service that still runs makes a new journal at once
        _check_free(targets.values(), own=(*fresh.values(), *aside.values()))
        if parts.get(DATABASE):
            with _postgresql(places) as run:
                tables = run(["psql", "-At", "-c", COUNT_TABLES]).strip()
                if tables != "0":
                    raise BackupError(f"Expected an empty database, got one with {tables} tables; nothing was changed")
                run(["pg_restore", "--no-owner", "--exit-on-error", "--single-transaction", str(scratch / DUMP)])
        _put_in_place(targets, fresh)
        for part, folder in aside.items():
            if any(folder.iterdir()):
                folder.replace(_free(places.learning / f"restored-{part}"))
    return parts


def _check_free(folders: Iterable[Path], own: Iterable[Path] = ()) -> None:
    """Refuse folders with anything in them but what is ``own``."""
    mine = set(own)
    for folder in folders:
        if folder.exists() and (not folder.is_dir() or any(path not in mine for path in folder.iterdir())):
            raise BackupError(
                f"Expected a new or empty folder, got {folder}; nothing was changed. Stop the services that write to it"
            )


def _put_in_place(targets: Mapping[str, Path], fresh: Mapping[str, Path]) -> None:
    for part, folder in targets.items():
        try:
            if fresh[part].parent == folder:  # an empty one, which may be a volume, and stays
                for each in fresh[part].iterdir():
                    each.replace(folder / each.name)
            else:
                fresh[part].replace(folder)
        except OSError as error:
            raise BackupError(
                f"{folder} could not be put in place ({error.strerror}): stop the services that write to it, empty all "
                "places and restore again"
            ) from None


def settings_text(settings: ServiceSettings, with_secrets: bool) -> str:
    """Return the settings as lines of an environment file."""
    lines = settings.to_environment().items()
    return "".join(f"{name}={value}\n" for name, value in lines if with_secrets or name not in SECRETS)


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database as it is at one moment, whoever writes to it; nothing where there is none.

    Raises:
        BackupError: if it cannot be read.
    """
    if not source.exists():
        return
    try:
        with (
            contextlib.closing(sqlite3.connect(source, timeout=30)) as old,
            contextlib.closing(sqlite3.connect(target)) as new,
        ):
            old.backup(new)
            new.execute("PRAGMA journal_mode = DELETE")
        _check_sqlite(target)
    except sqlite3.Error as error:
        raise BackupError(f"Expected a database in {source} that can be read: {error}") from None


def _check_sqlite(path: Path) -> None:
    if not path.exists():
        return
    with contextlib.closing(sqlite3.connect(path)) as database:
        try:
            found = database.execute("PRAGMA quick_check").fetchone()[0]
        except sqlite3.Error as error:
            found = str(error)
    if found != "ok":
        raise BackupError(f"Expected a whole database in {path.name}, got a damaged one: {found}")


def _beside(folder: Path, cleanup: contextlib.ExitStack) -> Path:
    """Make a folder on the same disk, in the folder itself where that is there, which is gone at the end."""
    place = folder if folder.is_dir() else folder.parent
    place.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-restoring-", dir=place))
    cleanup.callback(shutil.rmtree, made, ignore_errors=True)
    return made


def _free(path: Path) -> Path:
    number = 1
    while (free := path if number == 1 else path.with_name(f"{path.name}-{number}")).exists():
        number += 1
    return free


@contextlib.contextmanager
def _postgresql(places: Places) -> Iterator[Callable[[list[str]], str]]:
    """Give what runs a program of PostgreSQL on the database; its password is in no process list."""
    parts = urlsplit(places.database or "")
    if parts.scheme not in ("postgres", "postgresql") or not parts.hostname or parts.password is not None:
        raise BackupError("Expected --database such as postgresql://user@host:5432/name, without a password in it")
    where: Mapping[str, str] = {
        "PGHOST": parts.hostname, "PGPORT": str(parts.port or 5432), "PGUSER": parts.username or "",
        "PGDATABASE": parts.path.lstrip("/"), "PGPASSWORD": places.password,
    }  # fmt: skip

    def run(command: list[str]) -> str:
        if command[0] == "pg_restore":
            command = [command[0], "--dbname", where["PGDATABASE"], *command[1:]]
        try:
            done = subprocess.run(
                command, env={**os.environ, **where}, capture_output=True, text=True, stdin=subprocess.DEVNULL
            )
        except FileNotFoundError:
            raise BackupError(f"Expected {command[0]} of PostgreSQL's client programs on the PATH") from None
        if done.returncode:
            raise BackupError(f"{command[0]} has failed: {done.stderr.strip()[-500:]}")
        return done.stdout

    yield run
