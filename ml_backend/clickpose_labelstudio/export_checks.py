"""What an annotator would want to look at again before labels leave Label Studio: a line each, with the tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from clickpose.skeleton import Skeleton
from clickpose_labelstudio.codec import DecodedResult
from clickpose_labelstudio.grouping import TWICE

NAMED_TASKS = 10
_OPPOSED = -0.5  # cosine between two pairs of sides from which they point the other way
_WIDE = 0.12  # of the person's longer side: how far apart the joints of a pair must lie for their order to be sure
_RIGID = (("eye", "ear"), ("shoulder", "hip"))  # pairs that no body turns against each other by more than 90 degrees
_WIDE_FACE = 0.04  # the same for eyes and ears

NO_BOX = "persons without a box; the export draws it around their joints"
LOOSE = "keypoints that are nobody's, left out"
DOUBLE = "joints that their person has twice, one of them left out"
SIDES = "persons with left and right exchanged in a part of the body (shoulders against hips, or eyes against ears)"
OLDER = "older annotations of tasks that have several, left out; the newest is taken (--labels all takes all)"
DRAFTS = "drafts beside an annotation, not submitted, left out"


class Findings:
    """What was found, and in which tasks."""

    def __init__(self) -> None:
        self._tasks: dict[str, Counter[object]] = {}

    def add(self, what: str, task: object, count: int = 1) -> None:
        """Count something of a task."""
        if count:
            self._tasks.setdefault(what, Counter())[task] += count

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def lines(self) -> list[str]:
        """Say each in a line: ``2 persons without a box; … (tasks 3, 7)``."""
        return [f"{tasks.total()} {what} ({_named(tasks)})" for what, tasks in self._tasks.items()]


def _named(tasks: Mapping[object, int]) -> str:
    ids = [str(task)[:40] for task in tasks]
    more = f" and {len(ids) - NAMED_TASKS} more" if len(ids) > NAMED_TASKS else ""
    return f"{'task' if len(ids) == 1 else 'tasks'} {', '.join(ids[:NAMED_TASKS])}{more}"


def check_choice(findings: Findings, task: Mapping, chosen: Sequence[Mapping]) -> None:
    """Look at what of a task is not exported, where its annotations are."""
    saved = [entry for entry in task.get("annotations") or () if isinstance(entry, Mapping)]
    older = sum(not entry.get("was_cancelled") for entry in saved) - len(chosen)
    findings.add(OLDER, task.get("id"), max(older, 0))
    drafts = task.get("drafts")
    if chosen and isinstance(drafts, list):
        findings.add(DRAFTS, task.get("id"), len(drafts))


def check_result(findings: Findings, task_id: object, result: DecodedResult) -> None:
    """Look at the people of an annotation."""
    reasons = Counter(reason == TWICE for item, reason in result.left_over if item.get("type") == "keypointlabels")
    findings.add(DOUBLE, task_id, reasons[True])
    findings.add(LOOSE, task_id, reasons[False])
    findings.add(NO_BOX, task_id, sum(person.box_item is None for person in result.persons))
    labels = result.annotations
    for keypoints, visibility in zip(labels.keypoints, labels.visibility, strict=True):
        findings.add(SIDES, task_id, sides_are_exchanged(keypoints, visibility > 0, labels.skeleton))


def sides_are_exchanged(keypoints: np.ndarray, labelled: np.ndarray, skeleton: Skeleton) -> bool:
    """Tell whether left and right are surely exchanged in a part of a person.

    A person from behind has all sides exchanged and is right; so are crossed arms and legs. But shoulders never point
    against the hips, nor eyes against the ears: from left to right, both pairs run the same way.

    Args:
        keypoints: (K, 2) px.
        labelled: (K,) bool.
        skeleton: their joints; without these pairs, nothing is told.
    """
    points = np.asarray(keypoints, float)[labelled]
    size = float(np.ptp(points, axis=0).max()) if len(points) else 0.0
    return any(
        _opposed([_across(part, keypoints, labelled, skeleton, size) for part in parts]) for parts in _RIGID
    )  # fmt: skip


def _across(
    part: str, keypoints: np.ndarray, labelled: np.ndarray, skeleton: Skeleton, size: float
) -> np.ndarray | None:
    """Return the (2,) px from the left to the right one of a pair, where that is long enough to be sure."""
    left, right = skeleton.match(f"left_{part}"), skeleton.match(f"right_{part}")
    if left is None or right is None or not (labelled[left] and labelled[right]):
        return None
    across = keypoints[right] - keypoints[left]
    wide = _WIDE_FACE if part in _RIGID[0] else _WIDE
    return across if np.linalg.norm(across) >= wide * size > 0 else None


def _opposed(pairs: Sequence[np.ndarray | None]) -> bool:
    one, other = pairs
    if one is None or other is None:
        return False
    return bool(one @ other <= _OPPOSED * np.linalg.norm(one) * np.linalg.norm(other))
