"""Compare the journal with Label Studio, which is right: what it was never told is added, what is gone is noted."""

from __future__ import annotations

import time
from dataclasses import dataclass

from clickpose_labelstudio.interaction import RequestError
from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.learning.events import Event, saved_event
from clickpose_labelstudio.learning.journal import Journal

AT_ONCE = 50  # annotations in one transaction


@dataclass(frozen=True, kw_only=True)
class SyncReport:
    """What was found in a project.

    Attributes:
        project: its number.
        annotations: that Label Studio has.
        persons: people on them.
        missing: that the journal did not know.
        outdated: that it knew in an older revision only, or in one that the clock of Label Studio, set right since,
            calls later.
        gone: that it took for present.
        back: that it took for deleted.
        unreadable: whose regions cannot be read.
        refused: that Label Studio tells without what they must have.
    """

    project: int
    annotations: int
    persons: int
    missing: int
    outdated: int
    gone: int
    back: int
    unreadable: int
    refused: int

    def sentence(self) -> str:
        """Say it in one line."""
        found = {
            "missing here, added": self.missing, "known in an older form, renewed": self.outdated,
            "gone there, noted": self.gone, "back there, noted": self.back,
            "with regions that cannot be read": self.unreadable, "refused, without id, task or date": self.refused,
        }  # fmt: skip
        told = "; ".join(f"{count} {what}" for what, count in found.items() if count) or "nothing was missing"
        return f"project {self.project}: {self.annotations} annotations, {self.persons} persons; {told}"


def sync_project(journal: Journal, client: LabelStudioClient, project: int) -> SyncReport:
    """Bring what the journal knows of a project to what Label Studio has.

    Args:
        journal: to bring up to date.
        client: of the Label Studio that the journal is of.
        project: number of the project.

    Raises:
        LabelStudioError: if Label Studio does not answer, or has no such project.
        JournalError: if the journal cannot be written.
    """
    began_s = time.time()
    label_config = client.label_config(project)
    journal.apply_pending()
    known = {entry.annotation: entry for entry in journal.entries(project, deleted=True)}
    events, refused = _events(client, project, label_config)
    there = {event.subject for event in events}
    missing = [event for event in events if event.subject not in known]
    outdated = [e for e in events if e.subject in known and known[e.subject].revision < e.revision]
    # what a webhook has told of while the tasks were being fetched may be newer than they are
    before = {n: entry for n, entry in known.items() if entry.changed_s < began_s}
    early = [e for e in events if e.subject in before and before[e.subject].revision > e.revision]
    gone = [n for n, entry in before.items() if n not in there and not entry.deleted]
    back = [n for n, entry in before.items() if n in there and entry.deleted]
    journal.correct(project, gone, back, [event.subject for event in early if event.subject is not None])
    outdated += early
    new = [*missing, *outdated]
    for start in range(0, len(new), AT_ONCE):
        journal.append(new[start : start + AT_ONCE])
    journal.learn_config(project, label_config)
    journal.apply_pending()
    journal.read_again(project)
    entries = journal.entries(project)
    return SyncReport(
        project=project, annotations=len(events), persons=sum(entry.work.persons for entry in entries),
        missing=len(missing), outdated=len(outdated), gone=len(gone), back=len(back),
        unreadable=sum(entry.problem is not None for entry in entries), refused=refused,
    )  # fmt: skip


def _events(client: LabelStudioClient, project: int, label_config: str) -> tuple[list[Event], int]:
    """Return all annotations of a project as events, and how many could not be taken."""
    events, refused = [], 0
    for task in client.tasks(project):
        for annotation in task.get("annotations") or ():
            try:
                events.append(saved_event({"task": task["id"], **annotation}, project, label_config))
            except RequestError:
                refused += 1
    return events, refused
