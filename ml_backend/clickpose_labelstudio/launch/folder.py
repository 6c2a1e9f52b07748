"""The data folder: database, login, projects by photo folder, logs; and the lock that keeps it to one launcher."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from clickpose_labelstudio.launch.errors import LaunchError


@dataclass(frozen=True)
class Credentials:
    """The login of the annotator, made once for a data folder.

    Attributes:
        username: an address, since Label Studio logs in by e-mail; nothing is ever sent there.
        password: random.
        token: legacy API token, random; for the launcher and the backend.
    """

    username: str
    password: str = field(repr=False)
    token: str = field(repr=False)


class DataFolder:
    """Everything that outlives a start, in one folder.

    Args:
        path: the folder; created with access for the owner only.

    Raises:
        LaunchError: if the folder cannot be written.
    """

    def __init__(self, path: Path):
        self.path = Path(path).resolve()  # Label Studio compares paths as text
        try:
            for folder in (self.path, self.label_studio, self.photos, self.logs, self.cache):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise LaunchError(
                f"The data folder {self.path} cannot be made: {error.strerror}. Choose another one."
            ) from None

    @property
    def label_studio(self) -> Path:
        """Label Studio's own data: the SQLite database with all annotations, and uploads."""
        return self.path / "label-studio"

    @property
    def photos(self) -> Path:
        """Links to the photo folders; the only place that Label Studio may serve local files from."""
        return self.path / "photos"

    @property
    def logs(self) -> Path:
        """What the backend and Label Studio print."""
        return self.path / "logs"

    @property
    def cache(self) -> Path:
        """Encoded image regions; may be deleted at any time."""
        return self.path / "cache"

    @property
    def learning(self) -> Path:
        """The journal of what was labelled, training jobs and versions of the network."""
        return self.path / "learning"

    @property
    def bridge_script(self) -> Path:
        """The script that Label Studio's pages load."""
        return self.path / "bridge.js"

    @property
    def progress(self) -> Path:
        """How far the pre-annotation is, for the page."""
        return self.path / "progress.json"

    @property
    def cookies(self) -> str:
        """What the names of its cookies begin with: a browser sends them to every port of this host."""
        return f"clickpose_{hashlib.sha256(str(self.path).encode()).hexdigest()[:8]}"

    def credentials(self) -> Credentials:
        """Return the login, made at the first call and kept in a file that only the owner can read."""
        path = self.path / "credentials.json"
        if not path.exists():
            made = Credentials("annotator@clickpose.local", secrets.token_urlsafe(12), secrets.token_hex(20))
            _write_private(path, asdict(made))
        return Credentials(**_read_json(path))

    def begin_with(self, version: str) -> None:
        """Keep which Label Studio has worked on the database.

        Raises:
            LaunchError: if a newer one has: it has brought the database into a form that older ones do not know.
        """
        path = self.path / "label-studio-version.json"
        newest = str(_read_json(path)["version"]) if path.exists() else version
        if _as_numbers(version) < _as_numbers(newest):
            raise LaunchError(
                f"Label Studio {newest} has worked with the data in {self.path}, and {version} does not know their "
                "form. Start that one, or name another folder, such as DATA_DIR=.clickpose-older."
            )
        _write_private(path, {"version": version})

    def project_id(self, photo_folder: Path) -> int | None:
        """Return the id of the project that was made for a photo folder, or None."""
        return self._projects().get(str(photo_folder))

    def remember_project(self, photo_folder: Path, project_id: int) -> None:
        """Keep which project belongs to a photo folder."""
        _write_private(self.path / "projects.json", {**self._projects(), str(photo_folder): project_id})

    def _projects(self) -> dict[str, int]:
        path = self.path / "projects.json"
        return _read_json(path) if path.exists() else {}


class FolderLock:
    """Keeps a data folder to one launcher, and tells a second one where the first is reached.

    The operating system frees the lock when its process ends in whatever way, so there is no stale lock.
    """

    def __init__(self, folder: DataFolder):
        self._path = folder.path / "running.json"
        self._file: TextIO | None = None  # open as long as the lock is held

    def acquire(self) -> dict | None:
        """Take the lock; return None, or what the launcher that holds it has announced."""
        file = open(self._path, "a+", encoding="utf-8")  # noqa: SIM115 - open as long as the lock is held
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return self._announced()
        self._file = file
        self.announce({"pid": os.getpid()})
        return None

    def _announced(self) -> dict:
        try:
            return json.loads(self._path.read_text(encoding="utf-8"))
        except ValueError:  # it is being written just now
            return {}

    def announce(self, facts: dict) -> None:
        """Write what a second launcher should tell its user."""
        assert self._file is not None, "the lock is held by whoever announces"
        self._file.seek(0)
        self._file.truncate()
        json.dump(facts, self._file)
        self._file.flush()

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None


def running_login(path: Path) -> tuple[str, str] | None:
    """Return (address, token) of the Label Studio that runs on a data folder now; None where none does."""
    try:
        announced = json.loads((path / "running.json").read_text(encoding="utf-8"))["url"]
        token = _read_json(path / "credentials.json")["token"]
    except (OSError, ValueError, KeyError, TypeError, LaunchError):
        return None
    parts = urlsplit(announced)
    return f"{parts.scheme}://{parts.netloc}", token


def _as_numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]


def _write_private(path: Path, content: dict) -> None:
    """Replace a file at once, readable by the owner only from its first byte on."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
    os.replace(fresh, path)


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LaunchError(f"{path} cannot be read ({error}). Mend or move it, then start again.") from None
