"""The service of each project, with the version of the network that is live for it; exchanged without a pause.

A request is answered by one network from beginning to end: the service that it is given never changes. When another
version goes live, its weights are loaded beside the present ones, which go on answering until the others are there.
What cannot be loaded is said, and the present ones stay. Every worker process looks at the project's ``live.json`` with
every request, which costs a few microseconds.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clickpose_labelstudio.lazy_predictor import LOADING_FAILURES
from clickpose_labelstudio.learning.versions import BASE, Version, Versions
from clickpose_labelstudio.service import AnnotationService

MOST_PROJECTS = 6  # whose networks are kept at once; each takes some 100 MB
Mark = tuple[int, int] | None

logger = logging.getLogger(__name__)


@dataclass
class _Live:
    """What answers a project, and the mark of the switch that it is of."""

    mark: Mark
    service: AnnotationService
    coming: Mark = None  # of the switch that is being loaded for


class LiveServices:
    """See the module. Safe to share between threads.

    Args:
        base: the service with the network that was started with; of all projects without a version of their own.
        folder: of everything that is learned; None where nothing is.
        make: makes the service of a version, loading its weights.
    """

    def __init__(self, base: AnnotationService, folder: Path | None, make: Callable[[Version, int], AnnotationService]):
        self.base, self._folder, self._make = base, folder, make
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._live: OrderedDict[int, _Live] = OrderedDict()

    def of(self, project: object) -> AnnotationService:
        """Return the service that answers a project now.

        Args:
            project: as Label Studio names it, ``"7.1795225711"``; the base answers for what is none.
        """
        number = project_number(project)
        if number is None or self._folder is None:
            return self.base
        versions = Versions(self._folder, number)
        mark = versions.mark()
        with self._lock:
            known = self._live.get(number)
            if known is None and mark is None:
                return self.base
            if known is not None:
                self._live.move_to_end(number)
                if mark not in (known.mark, known.coming):
                    known.coming = mark
                    threading.Thread(
                        target=self._exchange, args=(number, versions, mark), name="load-version", daemon=True
                    ).start()
                return known.service
        return self._first(number, versions, mark)

    def _first(self, number: int, versions: Versions, mark: Mark) -> AnnotationService:
        """Load what is live of a project that this process has not been asked for yet; others wait for it."""
        with self._loading:
            with self._lock:
                if number in self._live:
                    return self._live[number].service
            service = self._load(versions) or self.base
            self._keep(number, _Live(mark, service))
            return service

    def _exchange(self, number: int, versions: Versions, mark: Mark) -> None:
        with self._loading:
            service = self._load(versions)
        with self._lock:
            present = self._live.get(number)
        if service is None and present is not None:
            service = present.service
        self._keep(number, _Live(mark, service or self.base))

    def _load(self, versions: Versions) -> AnnotationService | None:
        """Load the live version; None, said in the log, where that cannot be."""
        try:
            version = versions.live()
            if version.number == BASE:
                return self.base
            version.check()
            service = self._make(version, versions.project)
            logger.info("Project %d is answered by %s", versions.project, service.model_version)
            return service
        except LOADING_FAILURES as error:
            logger.error("Project %d keeps its network: %s", versions.project, error)
            return None

    def _keep(self, number: int, live: _Live) -> None:
        with self._lock:
            self._live[number] = live
            self._live.move_to_end(number)
            while len(self._live) > MOST_PROJECTS:
                self._live.popitem(last=False)


def project_number(project: object) -> int | None:
    """Return the number in Label Studio's name of a project, ``"7.1795225711"``; None for what is none."""
    text = str(project).partition(".")[0] if isinstance(project, str | int) and not isinstance(project, bool) else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
