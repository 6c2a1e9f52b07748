"""What Label Studio's webhooks say, as events that a journal can keep: read, checked, nothing decided."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal

from clickpose.checks import described
from clickpose_labelstudio.interaction import RequestError

Kind = Literal["saved", "deleted", "task_deleted", "train"]
MAX_ID = 2**53  # larger numbers are no ids of Label Studio's
MAX_PROJECT = 10**9
SAVED = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED")
DELETED, TASKS_DELETED, TRAIN = "ANNOTATIONS_DELETED", "TASKS_DELETED", "START_TRAINING"
ACTIONS = (*SAVED, DELETED, TASKS_DELETED, TRAIN)
FOREVER = "deleted"  # the revision of what was deleted: Label Studio gives no number twice


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that has happened in a project.

    Attributes:
        kind: an annotation was saved or deleted, a task was deleted with all of its annotations, or somebody wishes a
            training.
        project: number of the project; None where the webhook does not say, of what was deleted.
        subject: number of the annotation or task; None for a wish.
        revision: of the annotation, when it was saved last, as :func:`revision_of`; ``"deleted"``; empty for a wish.
        body: JSON of what was saved, as Label Studio has sent it; empty for other kinds.
        label_config: the project's labelling configuration at that time, or None.
    """

    kind: Kind
    project: int | None
    subject: int | None
    revision: str
    body: str = ""
    label_config: str | None = None


def read_events(body: Mapping) -> list[Event]:
    """Return what a webhook says; nothing for actions that are of no interest here.

    Args:
        body: of the request.

    Raises:
        RequestError: if it lacks what its action must have.
    """
    action = body.get("action")
    if action not in ACTIONS:
        return []
    project = body.get("project")
    number = _project_or_none(project.get("id")) if isinstance(project, Mapping) else None
    if action == TRAIN:
        if number is None:
            raise RequestError("Expected project.id to be the number of a project")
        return [Event(kind="train", project=number, subject=None, revision="")]
    if action in (DELETED, TASKS_DELETED):
        key, kind = ("annotations", "deleted") if action == DELETED else ("tasks", "task_deleted")
        ids = [_id_of(entry, key) for entry in _entries(body.get(key), key)]
        return [Event(kind=kind, project=number, subject=id_, revision=FOREVER) for id_ in ids]  # type: ignore[arg-type]
    config = project.get("label_config") if isinstance(project, Mapping) else None
    # JSON may hold half of a pair of surrogates, which a database cannot
    config = config.encode("utf-8", "replace").decode() if isinstance(config, str) else None
    return [saved_event(entry, number, config) for entry in _entries(body.get("annotation"), "annotation")]


def saved_event(annotation: Mapping, project: int | None, label_config: str | None = None) -> Event:
    """Return the event of an annotation as a webhook or Label Studio's list of tasks has it.

    Raises:
        RequestError: if it has no number, task, project or regions.
    """
    number = _id_of(annotation, "annotation")
    project = project if project is not None else _project_or_none(annotation.get("project"))
    if project is None:
        raise RequestError(f"Expected the project of annotation {number}, got none")
    if _id_or_none(annotation.get("task")) is None:
        raise RequestError(f"Expected the task of annotation {number}, got {described(annotation.get('task'))}")
    if not isinstance(annotation.get("result"), list):
        raise RequestError(f"Expected the regions of annotation {number}, got {described(annotation.get('result'))}")
    try:
        body = json.dumps(annotation, separators=(",", ":"), allow_nan=False)
    except ValueError:
        raise RequestError(f"Expected finite numbers in annotation {number}") from None
    return Event(
        kind="saved", project=project, subject=number, revision=revision_of(annotation), body=body,
        label_config=label_config,
    )  # fmt: skip


def revision_of(annotation: Mapping) -> str:
    """Return when an annotation was saved last, UTC to the microsecond, so that later ones sort behind.

    Raises:
        RequestError: if it does not say when.
    """
    text = annotation.get("updated_at") or annotation.get("created_at")
    try:
        moment = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        moment = moment.astimezone(timezone.utc)  # the first day of all is one before it elsewhere
    except (ValueError, OverflowError):
        raise RequestError(f"Expected updated_at to be a date and time, got {str(text)[:80]!r}") from None
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _entries(value: object, key: str) -> Iterator[Mapping]:
    """Yield one object or those of a list."""
    entries = value if isinstance(value, list) else [value]
    for entry in entries:
        if not isinstance(entry, Mapping):
            raise RequestError(f"Expected {key} to be an object or a list of objects, got {described(entry)}")
        yield entry


def _id_of(entry: Mapping, what: str) -> int:
    number = _id_or_none(entry.get("id"))
    if number is None:
        raise RequestError(f"Expected {what} with a number as its id, got {described(entry.get('id'))}")
    return number


def _id_or_none(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < MAX_ID else None


def _project_or_none(value: object) -> int | None:
    number = _id_or_none(value)
    return number if number is not None and number < MAX_PROJECT else None
