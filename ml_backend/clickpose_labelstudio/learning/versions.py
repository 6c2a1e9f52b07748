"""Versions of the network of a project: kept side by side, one of them live, exchanged at once for all workers.

``<folder>/project-7/versions/3/`` holds the weights, their calibration where there is one, and ``facts.json``.
``live.json`` beside them says which one is served; it is replaced as a whole, so that whoever looks sees the one before
or the one after, and a process that is killed in between has changed nothing. Version 0 is what the service was started
with. Nothing is ever deleted here but what was never finished.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from clickpose.skeleton import Skeleton
from clickpose.weights_io import WeightsError, sha256, skeleton_of

LIVE, FACTS, WEIGHTS = "live.json", "facts.json", "lite.safetensors"
BASE = 0  # the network that the service was started with
KEPT_HISTORY = 50


class VersionError(ValueError):
    """A version is not there, or its files are not what was written."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version of a project's network.

    Attributes:
        number: 1, 2, …; :data:`BASE` for what the service was started with.
        folder: of its files; None for the base.
        made: when, ISO form, UTC.
        facts: what is known of it: ``job``, ``persons``, ``start``, ``figures``, ``verdict`` and so on.
    """

    number: int
    folder: Path | None
    made: str = ""
    facts: Mapping = field(default_factory=dict)

    @property
    def weights(self) -> Path | None:
        """The weights file; None for the base."""
        return None if self.folder is None else self.folder / WEIGHTS

    def check(self) -> None:
        """Refuse files that are not what was written.

        Raises:
            VersionError: if one is missing or has changed.
        """
        if self.folder is None:
            return
        for name, digest in self.facts.get("files", {}).items():
            try:
                same = sha256(self.folder / name) == digest
            except WeightsError as error:
                raise VersionError(f"Version {self.number} is not whole: {error}") from None
            if not same:
                raise VersionError(f"Version {self.number} is damaged: {self.folder / name} has changed")

    def check_joints(self, skeleton: Skeleton) -> None:
        """Refuse weights that were trained from a network with other joints than the one that is served.

        Raises:
            VersionError: if they are; the base always fits.
            WeightsError: if they cannot be read.
        """
        if self.weights is None:
            return
        self.check_same_joints(skeleton_of(self.weights, "lite"), skeleton)

    def check_same_joints(self, own: Skeleton, served: Skeleton) -> None:
        """Refuse other joints than those that are served.

        Raises:
            VersionError: if they are others.
        """
        if own.names != served.names:
            raise VersionError(
                f"Expected version {self.number} to have the {len(served.names)} joints of the network that the "
                f"service was started with ({served.name}), got {len(own.names)} ({own.name}): it was trained from "
                "other weights"
            )


class Versions:
    """The versions of one project.

    Args:
        folder: of everything that is learned.
        project: number of the project.
    """

    def __init__(self, folder: Path, project: int):
        self.folder = Path(folder) / f"project-{project}" / "versions"
        self.project = project

    def all(self) -> list[Version]:
        """Return all versions, the base first."""
        numbers = sorted(int(path.name) for path in self.folder.glob("[0-9]*") if path.name.isdecimal())
        return [Version(number=BASE, folder=None), *(self.get(number) for number in numbers)]

    def get(self, number: int) -> Version:
        """Return a version.

        Raises:
            VersionError: if it is not there.
        """
        if number == BASE:
            return Version(number=BASE, folder=None)
        place = self.folder / str(number)
        try:
            facts = json.loads((place / FACTS).read_text(encoding="utf-8"))
            return Version(number=number, folder=place, made=str(facts["made"]), facts=facts)
        except (OSError, ValueError, KeyError, TypeError):
            raise VersionError(
                f"Expected a version of project {self.project}, got {number}, which is not there"
            ) from None

    def add(self, write: Callable[[Path], Mapping]) -> Version:
        """Keep a new version; it is there as a whole or not at all.

        Args:
            write: writes its files into a folder and returns the facts.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = self.folder / f".new-{uuid.uuid4().hex[:8]}"
        fresh.mkdir()
        try:
            facts = dict(write(fresh))
            facts["files"] = {path.name: sha256(path) for path in sorted(fresh.iterdir())}
            facts["made"] = _now()
            _write(fresh / FACTS, facts)
            while True:  # another job may be as far
                number = max((version.number for version in self.all()), default=BASE) + 1
                try:
                    fresh.rename(self.folder / str(number))
                    return self.get(number)
                except OSError:
                    if not (self.folder / str(number)).exists():
                        raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def live(self) -> Version:
        """Return the version that is served; the base where none was chosen.

        Raises:
            VersionError: if the one that was chosen is not there any more.
        """
        return self.get(self.history()[-1]["version"] if self.history() else BASE)

    def mark(self) -> tuple[int, int] | None:
        """Return what changes with every switch, at the cost of one look at a file; None before the first."""
        try:
            found = (self.folder / LIVE).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def history(self) -> list[dict]:
        """Return the switches so far: ``{"version", "at", "why"}``, the latest last; of a broken file, none."""
        try:
            history = json.loads((self.folder / LIVE).read_text(encoding="utf-8"))["history"]
            return [entry for entry in history if type(entry["version"]) is int]
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def use(self, number: int, why: str, skeleton: Skeleton | None = None) -> Version:
        """Let a version be served from now on, by all workers.

        Args:
            number: of the version.
            why: kept in the history.
            skeleton: joints of the network that the service was started with, which the version must have; None where
                that is known already.

        Raises:
            VersionError: if it is not there, not whole, or of other joints.
        """
        version = self.get(number)
        version.check()
        if skeleton is not None:
            version.check_joints(skeleton)
        entry = {"version": number, "at": _now(), "why": why}
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(self.folder / LIVE, {"history": [*self.history(), entry][-KEPT_HISTORY:]})
        return version

    def roll_back(self, skeleton: Skeleton | None = None) -> Version:
        """Serve what was served before the present version went live.

        Args:
            skeleton: as of :meth:`use`.

        Raises:
            VersionError: if none was, or it is not whole any more, or of other joints.
        """
        history = [entry["version"] for entry in self.history()]
        if not history or (history[-1] == BASE and len(history) == 1):
            raise VersionError(f"Expected an earlier version of project {self.project} to go back to, got none")
        present = history[-1]
        before = next((number for number in reversed(history[:-1]) if number < present), BASE)
        return self.use(before, f"rolled back from {present}", skeleton)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def _write(path: Path, content: Mapping) -> None:
    """Replace a file as a whole, and have it on the disk before it counts."""
    fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    with open(fresh, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
