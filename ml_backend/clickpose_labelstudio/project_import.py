"""Tasks that were made of a COCO file, into a project: added to the tasks whose photos it has, new for the others.

Photos are matched by their names, as far as folders tell (:func:`.match_photos`). What a task has already is not added
twice, so an import that broke off can be run again. Everything is looked at before anything is changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from clickpose.data.notes import Notes, note
from clickpose.data.photo_files import same_shape
from clickpose.data.photo_names import match_photos
from clickpose_labelstudio.carried import KEY
from clickpose_labelstudio.coco_import import Kind
from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.references import file_name_of, is_address, uploaded_name
from clickpose_labelstudio.region_items import image_hw_of

TASKS_PER_REQUEST = 100
NAMED = 3  # photos that a message names
COCO_KEYS = ("file_name", "coco_image_id", KEY)
Progress = Callable[[Sequence], Iterable]


@dataclass
class ImportPlan:
    """What an import will change.

    Attributes:
        project: its number.
        kind: what is added to tasks.
        new: tasks of photos that the project does not have.
        matched: (task of the project, task that was made of the file) of the photos that it has.
        again: how many of those have the very same regions already.
    """

    project: int
    kind: Kind
    new: list[dict] = field(default_factory=list)
    matched: list[tuple[dict, dict]] = field(default_factory=list)
    again: int = 0

    def told(self) -> str:
        """Say what was done, in one line."""
        already = f", {self.again} of which had them already" if self.again else ""
        return (
            f"{len(self.matched)} photos were in project {self.project} already and got {self.kind}{already}; "
            f"{len(self.new)} new tasks"
        )


def plan_import(
    client: LabelStudioClient, project: int, tasks: Sequence[dict], kind: Kind, image_key: str, prefixed: bool
) -> ImportPlan:
    """Find out what of a file a project has; nothing is changed.

    Args:
        client: of a running Label Studio.
        project: number of the project.
        tasks: made of the file.
        kind: predictions or annotations.
        image_key: key of the image in a task's data.
        prefixed: whether somebody has said what stands before the file names of new photos.

    Raises:
        ValueError: if names do not tell photos apart, a photo has another shape than the file says, or new photos
            cannot be shown.
    """
    present = {task["id"]: task for task in client.tasks(project)}
    found = _match(tasks, present, image_key)
    plan = ImportPlan(project, kind)
    for index, task in enumerate(tasks):
        known = None if index not in found else present[found[index]]
        if known is None:
            plan.new.append(task)
        else:
            _check_shape(task, known, kind)
            plan.matched.append((known, task))
    _check_new(client, plan.new, present, image_key, prefixed, project)
    return plan


def carry_out(client: LabelStudioClient, plan: ImportPlan, notes: Notes, progress: Progress = iter) -> None:
    """Change the project as planned."""
    starts = range(0, len(plan.new), TASKS_PER_REQUEST)
    for start in progress(starts) if plan.new else ():
        client.import_tasks(plan.project, plan.new[start : start + TASKS_PER_REQUEST])
    predictions = []
    for known, task in progress(plan.matched) if plan.matched else ():
        _tell_the_task(client, known, task, notes)
        (entry,) = task[plan.kind]
        if _has(known.get(plan.kind), entry):
            plan.again += 1
        elif plan.kind == "annotations":
            client.create_annotation(known["id"], result=entry["result"])
        else:
            predictions.append({"task": known["id"], **entry})
    for start in range(0, len(predictions), TASKS_PER_REQUEST):
        client.import_predictions(plan.project, predictions[start : start + TASKS_PER_REQUEST])


def _match(tasks: Sequence[dict], present: Mapping[int, dict], image_key: str) -> dict[int, int]:
    """Return index of a task of the file -> id of the project's task with that photo."""
    known = {id_: name for id_, task in present.items() if (name := _name_of(task, image_key))}
    wanted = {index: str(task["data"]["file_name"]) for index, task in enumerate(tasks)}
    found = _those_found(wanted, known)
    left = {index: name for index, name in wanted.items() if index not in found}
    free = present.keys() - set(found.values())
    uploaded = {id_: name for id_ in free if (name := _uploaded_name(present[id_], image_key))}
    return found | _those_found(left, uploaded)


def _those_found(wanted: Mapping[int, str], known: Mapping[int, str]) -> dict[int, int]:
    names, known_names = cast(Mapping[Hashable, str], wanted), cast(Mapping[Hashable, str], known)
    found = match_photos(names, known_names)
    return {index: id_ for index, id_ in found.items() if isinstance(index, int) and isinstance(id_, int)}


def _name_of(task: Mapping, image_key: str) -> str | None:
    """Return the name of a task's photo: that of the file it was imported from, else what its image stands for."""
    data = task.get("data") or {}
    if isinstance(data.get("file_name"), str) and data["file_name"]:
        return data["file_name"]
    reference = data.get(image_key)
    return file_name_of(reference) if isinstance(reference, str) else None


def _uploaded_name(task: Mapping, image_key: str) -> str | None:
    """Return the name that an uploaded photo had before Label Studio put its stamp before it."""
    reference = (task.get("data") or {}).get(image_key)
    return uploaded_name(reference) if isinstance(reference, str) else None


def _check_shape(task: Mapping, known: Mapping, kind: Kind) -> None:
    """Refuse a photo that has the name but another shape: its people would lie at wrong places."""
    told = image_hw_of(task[kind][0]["result"])
    saved = [entry for key in ("annotations", "predictions") for entry in known.get(key) or ()]
    drawn = next((hw for entry in saved if (hw := image_hw_of(_items(entry))) is not None), None)
    if told is not None and drawn is not None and not same_shape(told, drawn):
        raise ValueError(
            f"Expected {task['data']['file_name']} of {told[1]} x {told[0]} px, as the file says, but the photo of "
            f"task {known['id']} has {drawn[1]} x {drawn[0]}: is it another of the same name?"
        )


def _items(entry: object) -> list[Mapping]:
    result = entry.get("result") if isinstance(entry, Mapping) else None
    return [item for item in result if isinstance(item, Mapping)] if isinstance(result, list) else []


def _check_new(
    client: LabelStudioClient,
    new: Sequence[Mapping],
    present: Mapping[int, Mapping],
    image_key: str,
    prefixed: bool,
    project: int,
) -> None:
    """Refuse new tasks whose photo Label Studio could not show."""
    names = [str(task["data"]["file_name"]) for task in new]
    if not prefixed and (bare := [name for name in names if not is_address(name)]):
        named = ", ".join(bare[:NAMED]) + (f" and {len(bare) - NAMED} more" if len(bare) > NAMED else "")
        raise ValueError(
            f"Expected --images-prefix for photos that project {project} does not have ({named}): what Label Studio "
            f"finds them by{_example(present, image_key)}"
        )
    reference = next((r for task in new if (r := task["data"][image_key]).startswith("/")), None)
    if reference is not None and not client.can_show(reference):
        raise ValueError(
            f"Expected an --images-prefix under which Label Studio shows the photos, but it has nothing at {reference}"
            f"{_example(present, image_key)}"
        )


def _example(present: Mapping[int, Mapping], image_key: str) -> str:
    """Say what the images of a project look like."""
    references = ((task.get("data") or {}).get(image_key) for task in present.values())
    example = next((r for r in references if isinstance(r, str) and not r.startswith("data:")), None)
    return f"; a photo that it has is at {example[:200]}" if example else ""


def _tell_the_task(client: LabelStudioClient, known: Mapping, task: Mapping, notes: Notes) -> None:
    """Put into a task's data what the file says of its photo, for the way back out."""
    data = dict(known["data"])
    told = {key: task["data"][key] for key in COCO_KEYS if task["data"].get(key) is not None}
    if all(data.get(key) == value for key, value in told.items()):
        return
    if data.get(KEY) not in (None, "", told.get(KEY)):
        note(notes, "photos were imported from another file before; its fields of them are replaced by this one's")
    client.update_task(known["id"], data={**data, **told})


def _has(saved: object, entry: Mapping) -> bool:
    """Tell whether a task has an entry with the same regions, and of the same model, already."""
    entries = [one for one in saved if isinstance(one, Mapping)] if isinstance(saved, list) else []
    return any(one.get("model_version") == entry.get("model_version") and _same(one, entry) for one in entries)


def _same(one: Mapping, other: Mapping) -> bool:
    def regions(entry: Mapping) -> list[str]:
        kept = ("id", "from_name", "value")
        return sorted(json.dumps([item.get(key) for key in kept], sort_keys=True) for item in _items(entry))

    return regions(one) == regions(other)
