"""Label Studio tasks -> a COCO keypoint file."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from clickpose.boxes import xyxy_to_xywh
from clickpose.data.coco_categories import JointOrder, person_categories
from clickpose.data.coco_records import CocoAnnotation, coco_images, read_annotations
from clickpose.data.coco_writing import fresh_ids, person_record
from clickpose.data.notes import Notes, note
from clickpose_labelstudio.carried import Carried, only_one_file, unpack
from clickpose_labelstudio.codec import DecodedResult, decode_result
from clickpose_labelstudio.export_categories import ExportCategories, FileCategories
from clickpose_labelstudio.export_checks import Findings, check_choice, check_result
from clickpose_labelstudio.grouping import Person
from clickpose_labelstudio.labeling_config import LabelingConfig
from clickpose_labelstudio.references import file_names
from clickpose_labelstudio.region_items import CodecError, image_hw_of, predicted_oks
from clickpose_labelstudio.restored import box_changed, joints_changed, restored

Source = Literal["newest", "all", "prediction"]


@dataclass(eq=False)
class _LabelledTask:
    """A task of the export with what was chosen of it.

    Attributes:
        task, index: the task and its place in the export.
        reference: of its image.
        entries: the annotations, or the prediction, with their regions.
        carried: what an import has put into the task's data, or None.
        people: region id -> the annotation that was drawn as that region, as it was in the file.
        image_hw: (height, width) px of the regions' numbers, or None for a photo on which nothing was ever drawn.
        image_id: of the exported image.
    """

    task: Mapping
    index: int
    reference: str
    entries: list[tuple[Mapping, DecodedResult]]
    carried: Carried | None
    people: Mapping[str, CocoAnnotation]
    image_hw: tuple[int, int] | None
    image_id: Hashable = None

    @property
    def shown_hw(self) -> tuple[int, int]:
        """The photo's (height, width) px, where something is drawn on it."""
        if self.image_hw is None:
            raise RuntimeError("Expected a size with the regions, which decode_result asks for")
        return self.image_hw

    @property
    def fixed_id(self) -> Hashable:
        """The image's id in the file that was imported, or None."""
        id_ = self.task["data"].get("coco_image_id")
        return id_ if isinstance(id_, int | str) and not isinstance(id_, bool) else None

    @property
    def fixed_name(self) -> str | None:
        """The image's file name in the file that was imported, or None."""
        name = self.task["data"].get("file_name")
        return name if isinstance(name, str) and name else None


@dataclass(eq=False)
class _Exported:
    """An entry of the exported file, and its place in the file that was imported, or None."""

    entry: dict
    place: int | None


def tasks_to_coco(
    tasks: object,
    config: LabelingConfig,
    *,
    source: Source = "newest",
    file: str = "",
    notes: Notes | None = None,
    findings: Findings | None = None,
) -> dict:
    """Convert Label Studio's JSON export to COCO keypoints.

    Coordinates stay floating point; visibility is 0, 1 or 2; ``area`` is the area of the box. A person without a
    rectangle gets the box around the keypoints, and is counted among the findings. An image on which nothing was drawn
    has no width and height, since the export does not tell.

    Tasks that were imported from a COCO file give back its entries, fields and order, crowds and other categories
    included; what a human changed is changed (see :func:`.restored`), people who were deleted are gone, new people
    follow with new ids.

    Args:
        tasks: the tasks of the export ("JSON", not "JSON-MIN").
        config: the project's labelling configuration.
        source: ``newest`` annotation of each task that was not cancelled; ``all`` of them, side by side on one image;
            or the newest ``prediction``. Tasks without any are left out.
        file: name of the export, for messages.
        notes: what is left out is counted here.
        findings: what an annotator would want to look at again is put here (:mod:`.export_checks`).

    Raises:
        CodecError: if a task is not one of such an export, a region cannot be read, or photos cannot be told apart by
            their names; the message names the task.
    """
    notes = Counter() if notes is None else notes
    chosen = list(_labelled_tasks(tasks, config, source, file, notes))
    if findings is not None:
        _check(chosen, source, findings)
    _give_image_ids(chosen)
    names = _file_names(chosen, notes)
    categories = ExportCategories(config.skeleton, [task.carried for task in chosen if task.carried], notes)
    images = [_Exported(_coco_image(t, names[t.index]), t.carried.place if t.carried else None) for t in chosen]
    _name_joints(chosen, categories)
    annotations = [exported for task in chosen for exported in _coco_annotations(task, categories, notes)]
    _give_annotation_ids([exported.entry for exported in annotations], notes)
    _note_left_over(chosen, config, notes)
    return {
        **categories.rest(),
        "images": _in_order(images),
        "annotations": _in_order(annotations),
        "categories": categories.finish([exported.entry for exported in annotations]),
    }


def _labelled_tasks(
    tasks: object, config: LabelingConfig, source: Source, file: str, notes: Notes
) -> Iterator[_LabelledTask]:
    """Choose and read what is exported of each task; count the tasks without."""
    if not isinstance(tasks, list | tuple):
        in_file = f" in {file}" if file else ""
        raise CodecError(f"Expected a list of tasks, as in Label Studio's JSON export{in_file}, got {_kind_of(tasks)}")
    of_file = f" of {file}" if file else ""
    for index, task in enumerate(tasks):
        if not isinstance(task, Mapping) or not isinstance(task.get("data"), Mapping):
            raise CodecError(f"Expected data in task {index}{of_file}, as in Label Studio's JSON export (not JSON-MIN)")
        entries = _chosen_entries(task, source)
        if not entries:
            note(notes, _why_nothing(task, source))
            continue
        try:
            yield _read_task(task, index, entries, config, notes)
        except ValueError as error:
            raise CodecError(f"Task {task.get('id', index)}{of_file} cannot be exported: {error}") from error


def _check(tasks: Sequence[_LabelledTask], source: Source, findings: Findings) -> None:
    """Look for what was forgotten or mistaken."""
    for task in tasks:
        if source != "prediction":
            check_choice(findings, task.task, [entry for entry, _ in task.entries])
        for _, result in task.entries:
            check_result(findings, task.task.get("id", task.index), result)


def _kind_of(value: object) -> str:
    if not isinstance(value, Mapping):
        return {str: "text", type(None): "nothing"}.get(type(value), f"{value!r:.40}")
    keys = ", ".join(map(repr, list(value)[:4]))
    return f"an object with {keys}" if keys else "an empty object"


def _why_nothing(task: Mapping, source: Source) -> str:
    """Say why a task is left out."""
    if source == "prediction":
        return "tasks without a prediction, left out"
    if task.get("annotations"):
        return "tasks that were only skipped (cancelled), left out"
    if task.get("drafts"):
        return "tasks with nothing but a draft (not submitted), left out"
    return "tasks without an annotation, left out"


def _chosen_entries(task: Mapping, source: Source) -> list[Mapping]:
    """Return the annotations (or the prediction) of a task to export."""
    if source not in ("newest", "all", "prediction"):
        raise ValueError(f"Expected source to be 'newest', 'all' or 'prediction', got {source!r}")
    key = "predictions" if source == "prediction" else "annotations"
    entries = task.get(key) or []
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise CodecError(f"Expected the {key} of task {task.get('id')} to be a list of objects")
    entries = [entry for entry in entries if not entry.get("was_cancelled")]
    if source == "all" or not entries:
        return entries
    return [max(entries, key=lambda entry: str(entry.get("updated_at") or entry.get("created_at") or ""))]


def _read_task(
    task: Mapping, index: int, entries: Sequence[Mapping], config: LabelingConfig, notes: Notes
) -> _LabelledTask:
    reference = config.image_reference(task["data"])
    results = [[] if entry.get("result") is None else entry["result"] for entry in entries]  # null is nobody
    carried, people, told = _read_carried(task["data"], config, notes)
    image_hw = _image_hw(told, _drawn_hw(results) or _any_image_hw(task), notes)
    decoded = [(entry, decode_result(result, config, image_hw)) for entry, result in zip(entries, results, strict=True)]
    _check_finite([task.get("id"), [entry.get("id") for entry in entries], [d.unassigned for _, d in decoded]])
    return _LabelledTask(task, index, reference, decoded, carried, people, image_hw)


def _read_carried(
    data: Mapping, config: LabelingConfig, notes: Notes
) -> tuple[Carried | None, dict[str, CocoAnnotation], tuple[int, int] | None]:
    """Read what came along with a task: also who was drawn as which region, and the photo's size."""
    try:
        carried = unpack(data)
        if carried is None:
            return None, {}, None
        coco, drawn = carried.as_coco(), carried.drawn()
        people = read_annotations(
            coco, config.skeleton, categories=person_categories(coco, config.skeleton, partial=True)
        )
        (image,) = coco_images(coco)
        return carried, {str(drawn[person.place].region): person for person in people}, image.image_hw
    except ValueError:
        note(notes, "tasks whose imported entries cannot be read any more; what is drawn is exported")
        return None, {}, None


def _image_hw(told: tuple[int, int] | None, drawn: tuple[int, int] | None, notes: Notes) -> tuple[int, int] | None:
    """Return the (height, width) that the regions' percentages are of, so that numbers are those of the file.

    Raises:
        CodecError: if the photo has another shape than the file that was imported says.
    """
    if told is None or drawn is None or told == drawn:
        return told or drawn
    if abs(told[1] * drawn[0] - told[0] * drawn[1]) > max(*told, *drawn):  # more than rounding to a pixel
        raise CodecError(
            f"Expected a photo of {told[1]} x {told[0]} px, as the imported file says, got one of {drawn[1]} x "
            f"{drawn[0]}; its people were drawn at wrong places"
        )
    note(notes, "photos of another size than the imported file says, exported in its numbers")
    return told


def _drawn_hw(results: Sequence[object]) -> tuple[int, int] | None:
    """Return the image size that results tell, or None."""
    lists = [result for result in results if isinstance(result, list)]
    return image_hw_of([item for result in lists for item in result if isinstance(item, Mapping)])


def _any_image_hw(task: Mapping) -> tuple[int, int] | None:
    """Return the image size that any annotation or prediction of a task tells, or None."""
    saved = [entry for key in ("annotations", "predictions") for entry in task.get(key) or ()]
    return _drawn_hw([entry.get("result") for entry in saved if isinstance(entry, Mapping)])


def _check_finite(value: object) -> None:
    """Refuse what goes along as it came but cannot be written: Python reads 1e999 and NaN, JSON cannot say them."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise CodecError("Expected finite numbers in its ids and regions") from None


def _give_image_ids(tasks: Sequence[_LabelledTask]) -> None:
    """Give every image its id: that of the imported file, else its task's, else a free number."""
    fixed = [task.fixed_id for task in tasks if task.fixed_id is not None]
    _check_unique(fixed)
    _check_unique([task.task.get("id") for task in tasks if isinstance(task.task.get("id"), int)])
    taken = set(fixed)
    own = [task.task.get("id") for task in tasks if task.fixed_id is None]
    free = fresh_ids(taken | {id_ for id_ in own if isinstance(id_, int)})
    for task in tasks:
        id_ = task.task.get("id")
        if task.fixed_id is not None:
            task.image_id = task.fixed_id
        elif isinstance(id_, int) and not isinstance(id_, bool) and id_ not in taken:
            task.image_id = id_
        else:
            task.image_id = task.index + 1 if task.index + 1 not in taken and not isinstance(id_, int) else next(free)
        taken.add(task.image_id)


def _check_unique(ids: Sequence[Hashable]) -> None:
    doubled = [id_ for id_, count in Counter(ids).items() if count > 1]
    if doubled:
        raise CodecError(f"Expected tasks with different ids, got several with {', '.join(map(str, doubled[:10]))}")


def _file_names(tasks: Sequence[_LabelledTask], notes: Notes) -> dict[int, str]:
    """Return index of a task -> file name: that of the imported file, else what the image's reference stands for.

    Raises:
        CodecError: if different photos have one name in the files that were imported.
    """
    fixed: dict[str, _LabelledTask] = {}
    for task in tasks:
        if task.fixed_name is None:
            continue
        other = fixed.setdefault(task.fixed_name, task)
        if other.reference != task.reference:
            raise CodecError(
                f"Expected different file names for different photos, got {task.fixed_name} for the tasks "
                f"{other.task.get('id', other.index)} and {task.task.get('id', task.index)}; export them apart"
            )
    named = file_names([task.reference for task in tasks if task.fixed_name is None], fixed)
    names = {task.index: task.fixed_name or named[task.reference] or str(task.image_id) for task in tasks}
    shared = len(names) - len(set(names.values()))
    if shared:
        note(notes, "tasks that show the photo of another task, under the same file name", shared)
    return names


def _coco_image(task: _LabelledTask, file_name: str) -> dict:
    """Return a task's entry among the COCO images."""
    image = dict(task.carried.image) if task.carried else {}
    image |= {"id": task.image_id, "file_name": file_name}
    if task.image_hw and not (image.get("height") and image.get("width")):
        image["height"], image["width"] = task.image_hw
    about: dict = {"task": task.task.get("id")}
    if not task.reference.startswith("data:"):
        about["image"] = task.reference
    unassigned = [item for _, result in task.entries for item in result.unassigned]
    if unassigned:
        about["unassigned"] = unassigned
    return image | {"label_studio": about}


def _name_joints(tasks: Sequence[_LabelledTask], categories: ExportCategories) -> None:
    """Make sure that the categories name all joints that people of theirs have got."""
    for task in tasks:
        for _, result in task.entries:
            for row, person in enumerate(result.persons):
                record = task.people.get(person.id)
                visible = result.annotations.visibility[row]
                joints = np.flatnonzero(visible).tolist()
                if record is None:
                    categories.name(categories.for_new_people(task.carried), joints)
                elif joints_changed(record, result.annotations.keypoints[row], visible, task.shown_hw).any():
                    categories.name(categories.of(task.carried).known(record.category_id), joints)


def _coco_annotations(task: _LabelledTask, categories: ExportCategories, notes: Notes) -> Iterator[_Exported]:
    """Give one COCO annotation for each person of a task, and those of its file that were not drawn."""
    file, given = categories.of(task.carried), set()
    places = {entry.region: entry.place for entry in task.carried.drawn()} if task.carried else {}
    for entry, result in task.entries:
        for row, person in enumerate(result.persons):
            record = task.people.get(person.id)
            annotation, place = _coco_annotation(task, result, row, file, categories, notes), None
            if record is not None and person.id in given:  # by another annotator
                del annotation["id"]
            elif record is not None:
                place = places[person.id]
            given.add(person.id)
            touched = np.flatnonzero(result.annotations.touched[row])
            annotation["label_studio"] = {
                "task": task.task.get("id"),
                "annotation": entry.get("id"),
                "region": person.id,
                "touched": [result.annotations.skeleton.names[joint] for joint in touched],
            }
            yield _Exported(annotation, place)
    for carried in task.carried.annotations if task.carried else ():
        if carried.region is None:
            undrawn = {**carried.entry, "image_id": task.image_id}
            if "category_id" in undrawn:
                undrawn["category_id"] = file.known(undrawn["category_id"])
            yield _Exported(undrawn, carried.place)
    gone = len(task.people.keys() - given)
    if gone:
        note(notes, "imported persons whom the annotator has deleted", gone)


def _coco_annotation(
    task: _LabelledTask,
    result: DecodedResult,
    row: int,
    file: FileCategories,
    categories: ExportCategories,
    notes: Notes,
) -> dict:
    """Return the annotation of a person: as it was imported but for what has changed, or a new one without an id."""
    person, labels = result.persons[row], result.annotations
    keypoints, visible, record = labels.keypoints[row], labels.visibility[row], task.people.get(person.id)
    if record is None:
        category = categories.for_new_people(task.carried)
        return _new_annotation(person, keypoints, visible, task.image_id, category, categories.order(category))
    order = categories.order(file.known(record.category_id))
    annotation = restored(record, person, keypoints, visible, order, task.shown_hw) | {"image_id": task.image_id}
    if annotation.get("segmentation") and box_changed(record, person, task.shown_hw):
        note(notes, "segmentations of persons whose box was changed, exported as they were")
    if "category_id" in annotation:
        annotation["category_id"] = file.known(record.category_id)
    return annotation


def _new_annotation(
    person: Person,
    keypoints: np.ndarray,
    visible: np.ndarray,
    image_id: Hashable,
    category: Hashable,
    order: JointOrder,
) -> dict:
    """Return the annotation of a person who was drawn in Label Studio, without an id."""
    box = xyxy_to_xywh(np.asarray(person.extent()))
    annotation = person_record(
        keypoints,
        visible,
        image_id=image_id,
        category_id=category,
        area=box[2:].prod(),
        box_xywh=box,
        order=order,
    )
    scores = [predicted_oks(person.joints[j].item) or 0.0 if j in person.joints else 0.0 for j in order.joints]
    score = None if person.box_item is None else predicted_oks(person.box_item)
    if score is not None:
        annotation["score"] = score
    if any(scores):
        annotation["keypoint_scores"] = scores
    return annotation


def _give_annotation_ids(annotations: Sequence[dict], notes: Notes) -> None:
    """Keep the ids of imported annotations, and number the new ones after them; the id comes first."""
    seen: set = set()
    for annotation in annotations:
        if annotation.get("id") in seen:
            note(notes, "annotations with the id of another file's, numbered anew")
            del annotation["id"]
        elif "id" in annotation:
            seen.add(annotation["id"])
    free = fresh_ids(seen)
    for annotation in annotations:
        content = {"id": annotation.get("id", None), **annotation}
        content["id"] = next(free) if content["id"] is None else content["id"]
        annotation.clear()
        annotation.update(content)


def _in_order(exported: Sequence[_Exported]) -> list[dict]:
    """Return entries in the order of the file that was imported, new ones last; of several files, by the tasks."""
    if only_one_file([each.place for each in exported]):
        exported = sorted(exported, key=lambda each: math.inf if each.place is None else each.place)
    return [each.entry for each in exported]


def _note_left_over(tasks: Sequence[_LabelledTask], config: LabelingConfig, notes: Notes) -> None:
    """Count the regions that are nobody's, with their reasons, and those of other labels and controls."""
    reasons = Counter(reason for task in tasks for _, result in task.entries for _, reason in result.left_over)
    if reasons:
        parts = ", ".join(f"{number} {reason}" for reason, number in sorted(reasons.items()))
        note(notes, f"regions belong to nobody ({parts})", reasons.total())
    others = sum(result.others for task in tasks for _, result in task.entries)
    if others:
        note(notes, "regions of other labels or controls, not exported", others)
