"""New predictions for what nobody has begun, once another version is live; what is labelled or begun stays as it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.learning.versions import BASE

WANTED = {"include": "id,predictions_model_versions,total_annotations,draft_exists", "page_size": 1000}
AT_ONCE = 8
PATIENCE = 24  # times that a backend may still answer with the version before; its workers load the new one meanwhile
PAUSE_S = 5.0


def renew_predictions(
    client: LabelStudioClient,
    project: int,
    version: int,
    say: Callable[[str], None] = print,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Let Label Studio get new predictions for the tasks without annotation or draft, and start tasks from them.

    Tasks start from the new predictions once all of these have one, so that nobody meets an empty photo meanwhile. What
    was stopped goes on at the next call.

    Args:
        client: of the Label Studio.
        project: number of the project.
        version: that is live.
        say: takes sentences.
        pause: waits some seconds.

    Returns:
        how many tasks got a new prediction.

    Raises:
        LabelStudioError: if Label Studio refuses.
    """
    left = tasks_to_renew(client, project, version)
    first, tried = len(left), 0
    while left:
        some = left[: AT_ONCE if tried == 0 else 1]
        client.predict(project, [task["id"] for task in some])
        fresh = tasks_to_renew(client, project, version)
        if len(fresh) < len(left):
            left, tried = fresh, 0
            continue
        tried += 1
        if tried > PATIENCE:
            say(f"{len(left)} tasks of project {project} could get no prediction of version {version}")
            break
        pause(PAUSE_S)
    name = _name(client, project, version)
    if name is not None:
        client.update_project(project, model_version=name)
    return first - len(left)


def is_of(model_version: str, project: int, version: int) -> bool:
    """Tell whether a model version is one of the network's version."""
    if version == BASE:
        return model_version.startswith("clickpose-") and f"-p{project}v" not in model_version
    return f"-p{project}v{version}-" in model_version


def tasks_to_renew(client: LabelStudioClient, project: int, version: int) -> list[dict]:
    """Return the tasks that nobody has begun and that have no prediction of the version."""
    return [
        task
        for task in client.tasks(project, **WANTED)
        if not task.get("total_annotations")
        and not task.get("draft_exists")
        and not any(is_of(name, project, version) for name in _names(task))
    ]


def _names(task: dict) -> Sequence[str]:
    names = task.get("predictions_model_versions") or []
    return [name.strip() for name in (names.split(",") if isinstance(names, str) else map(str, names))]


def _name(client: LabelStudioClient, project: int, version: int) -> str | None:
    """Return the whole name of the version, as predictions have it; the latest release's where there are several."""
    names = {name for task in client.tasks(project, **WANTED) for name in _names(task)}
    return max((name for name in names if is_of(name, project, version)), default=None)
