"""What the service needs of learning: events go in, a job's id comes out, the rest goes on by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path

from clickpose.skeleton import COCO, Skeleton
from clickpose.weights_io import WEIGHTS_FOLDER, WeightsError, skeleton_of
from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.learning.events import read_events
from clickpose_labelstudio.learning.journal import Journal, JournalError
from clickpose_labelstudio.learning.loop import LearningLoop
from clickpose_labelstudio.learning.statistics import figures_of
from clickpose_labelstudio.learning.versions import VersionError, Versions
from clickpose_labelstudio.settings import ServiceSettings
from clickpose_labelstudio.training_jobs import TrainingJobs

FRESH_S = 15.0  # figures are counted anew after so long; a large project takes a second


class Learner:
    """The journal, the jobs and the loop of a folder.

    Args:
        folder: shared by the worker processes of a machine.
        settings: of the service.
        jobs: of the folder; None for those that the settings describe.
    """

    def __init__(self, folder: Path, settings: ServiceSettings, jobs: TrainingJobs | None = None):
        self._folder = Path(folder)
        self._counting = threading.Lock()
        self._figures: dict[int, dict[str, float]] | None = None
        self._counted_s = 0.0
        self.journal = Journal(folder, skeleton_named(settings))
        self.jobs = jobs or TrainingJobs(folder, settings)
        connect = partial(LabelStudioClient, settings.label_studio_url, settings.label_studio_api_key)
        self._loop = LearningLoop(
            self.journal, self.jobs, train_after=settings.train_after,
            connect=connect if settings.label_studio_api_key else None, trains=settings.train_here,
        )  # fmt: skip

    def start(self) -> None:
        """Take up what an earlier process has left, and go on in the background; again and again is once."""
        self._loop.start()

    def run(self) -> None:
        """Do in this thread what goes on beside the answers of a service: for a process that only trains."""
        self._loop.run()

    def stop(self) -> None:
        """End what goes on in the background; a job ends by itself."""
        self._loop.stop()
        self.journal.close()

    def note(self, body: Mapping) -> dict:
        """Write down what a webhook says, and return what to answer.

        Raises:
            RequestError: if it lacks what its action must have, or wishes a training of another network than lite.
            JournalError: if it could not be written down.
        """
        events = read_events(body)
        wish = next((event for event in events if event.kind == "train"), None)
        if wish is not None:
            self.jobs.check()
        try:
            self.journal.append(events)
        except JournalError:
            self._loop.has_missed()
            raise
        if wish is None:
            self._loop.wake()
            return {"status": "received"}
        return self._begin(wish.project)

    def figures(self) -> dict[int, dict[str, float]]:
        """Return what is known of the labelling of each project, by the names of :data:`~..metrics.LABELLED`.

        Raises:
            JournalError: if the journal cannot be read.
        """
        with self._counting:
            if self._figures is None or time.monotonic() - self._counted_s > FRESH_S:
                self._figures, self._counted_s = self._count(), time.monotonic()
            return self._figures

    def _count(self) -> dict[int, dict[str, float]]:
        figures: dict[int, dict[str, float]] = {}
        for project in self.journal.projects():
            found = asdict(figures_of(self.journal.entries(project)))
            with suppress(VersionError):
                found["version"] = Versions(self._folder, project).live().number
            figures[project] = {"version": float("nan"), "new_persons": self.journal.fresh_persons(project), **found}
        return figures

    def _begin(self, project: int | None) -> dict:
        """Begin a job now, so that Label Studio gets its id; one that runs already goes on first."""
        job = self._loop.step()
        if job is None:
            return {"status": "recorded", "message": f"A training on project {project} begins soon"}
        return {"status": "training", "job": job}


def skeleton_named(settings: ServiceSettings) -> Skeleton:
    """Return the joints of the network that settings name, without loading it; COCO's where its weights do not say."""
    if settings.model != "lite":
        return COCO
    try:
        return skeleton_of(settings.checkpoint or WEIGHTS_FOLDER / "lite.safetensors", "lite")
    except (WeightsError, OSError):
        return COCO
