"""``clickpose labelstudio next``: rank what a project has left, and set that order in Label Studio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.labeling_config import parse_labeling_config
from clickpose_labelstudio.learning.journal import Journal
from clickpose_labelstudio.learning.learner import skeleton_named
from clickpose_labelstudio.learning.next_tasks import (
    Ranked,
    candidate_of,
    labelled_persons,
    pace_of,
    rank,
)
from clickpose_labelstudio.settings import ServiceSettings

KEY = "clickpose_next"  # in the data of a task: its place, 1 for the first
TAB = {
    "title": "Next",
    "type": "list",
    "target": "tasks",
    "ordering": [f"tasks:data.{KEY}"],
    "filters": {
        "conjunction": "and",
        "items": [
            {"filter": "filter:tasks:total_annotations", "operator": "equal", "type": "Number", "value": 0},
            {"filter": f"filter:tasks:data.{KEY}", "operator": "empty", "type": "String", "value": False},
        ],
    },
}


@dataclass(frozen=True)
class Ranking:
    """What was ranked.

    Attributes:
        tasks: in their order.
        data: number of each task -> its data, as Label Studio has it.
        ranked_before: tasks that have a place of an earlier ranking.
        left: how many tasks nobody has labelled and somebody was predicted in.
        without: how many have no prediction, or nobody in it; they cannot be ranked.
    """

    tasks: Sequence[Ranked]
    data: Mapping[int, dict]
    ranked_before: Sequence[int]
    left: int
    without: int

    def sentence(self) -> str:
        """Say it in a line."""
        without = f"; {self.without} more show nobody or have no prediction" if self.without else ""
        return f"{len(self.tasks)} of {self.left} tasks ranked{without}"


def rank_project(
    client: LabelStudioClient, project: int, folder: Path, settings: ServiceSettings, count: int
) -> Ranking:
    """Rank the tasks of a project that nobody has labelled.

    Args:
        client: of the Label Studio.
        project: number of the project.
        folder: of the journal, whose lead times and labelled persons count; it may be absent.
        settings: of the service, for the joints of its network.
        count: how many tasks to rank.

    Raises:
        LabelStudioError: if Label Studio does not answer.
        LabelingConfigError: if the project is not one of poses.
    """
    known = client.project(project) or {}
    config = parse_labeling_config(client.label_config(project), skeleton_named(settings))
    candidates, data, before, without, bodies = [], {}, [], 0, []
    for task in client.tasks(project):
        data[task["id"]] = task.get("data") or {}
        if KEY in data[task["id"]]:
            before.append(task["id"])
        bodies += [each for each in task.get("annotations") or () if not each.get("was_cancelled")]
        if task.get("annotations"):
            continue
        candidate = candidate_of(task, config, known.get("model_version"))
        without += candidate is None
        candidates += [] if candidate is None else [candidate]
    labelled = [labelled_persons(body, config) for body in bodies]
    entries = _entries(folder, project, settings)
    width = 3 * len(config.skeleton) + 1
    ranked = rank(candidates, np.concatenate([np.zeros((0, width)), *labelled]), pace_of(entries), count)
    return Ranking(ranked, data, before, len(candidates), without)


def _entries(folder: Path, project: int, settings: ServiceSettings) -> list:
    if not folder.is_dir():
        return []
    journal = Journal(folder, skeleton_named(settings))
    try:
        return journal.entries(project)
    finally:
        journal.close()


def set_order(client: LabelStudioClient, project: int, ranking: Ranking) -> str:
    """Write the places into the data of the tasks, and make a tab that lists them in this order; say what was done.

    Places of an earlier ranking are taken away. Nothing else of the data changes.

    Raises:
        LabelStudioError: if Label Studio refuses.
    """
    places = {task.task: place for place, task in enumerate(ranking.tasks, 1)}
    for number in set(ranking.ranked_before) - places.keys():
        rest = {key: value for key, value in ranking.data[number].items() if key != KEY}
        client.update_task(number, data=rest)
    for number, place in places.items():
        if ranking.data[number].get(KEY) != place:
            client.update_task(number, data={**ranking.data[number], KEY: place})
    if not any((tab.get("data") or {}).get("title") == TAB["title"] for tab in client.tabs(project)):
        client.create_tab(project, TAB)
    return (
        f"The tab {TAB['title']} of project {project} lists {len(places)} tasks in this order; "
        "Label All Tasks there serves them so"
    )
