"""A Label Studio project as a folder to train on: ``annotations.json`` in COCO's form, and ``images/``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from clickpose.data.coco_categories import person_categories
from clickpose.data.coco_extents import box_of_person
from clickpose.data.coco_records import read_annotations
from clickpose_labelstudio.coco_exchange import tasks_to_coco
from clickpose_labelstudio.labeling_config import LabelingConfig
from clickpose_labelstudio.ports import ImageError, ImageSource
from clickpose_labelstudio.references import through_label_studio

# Of the working folder of a training on a project: the training folder, what is computed of it, and what comes out.
DATA, HELD_OUT, REPLAY, TRAINING, WEIGHTS = "data", "held_out", "replay", "training", "lite.safetensors"
JPEG_QUALITY = 95
ANNOTATIONS = "annotations.json"


@dataclass(frozen=True)
class FolderReport:
    """What a training folder holds: counts of persons and photos, and why the photos that are missing could not be had.

    Attributes:
        persons: people with a labelled joint.
        photos: photos with such people.
        missing: task id -> sentence.
    """

    persons: int
    photos: int
    missing: Mapping[int, str]


def write_training_folder(
    tasks: Sequence[Mapping],
    config: LabelingConfig,
    images: ImageSource,
    folder: Path,
    progress: Callable[[Iterable], Iterable] = iter,
) -> FolderReport:
    """Write what humans have labelled in a project, and its photos, for ``clickpose train``.

    Photos are written as the browser shows them (upright, RGB, JPEG), since labels refer to that. The annotations come
    last: a folder that has them is whole.

    Args:
        tasks: the tasks of a live project or of a JSON export; the newest annotation of each counts.
        config: the project's labelling configuration.
        images: loads the tasks' photos.
        folder: where to.
        progress: wraps the list of photos, to show how far it is.

    Raises:
        ValueError: if nobody is labelled, or no photo of the labelled people can be had.
    """
    coco = tasks_to_coco(tasks, config)
    people = _labelled_people(coco, config)
    if not people:
        raise ValueError(f"Expected people labelled in the project, found none on {len(coco['images'])} labelled tasks")
    peopled = {annotation["image_id"] for annotation in people}
    wanted = [image for image in coco["images"] if image["id"] in peopled]
    kept, missing = _save_photos(progress(wanted), {task.get("id"): task for task in tasks}, config, images, folder)
    if not kept:
        raise ValueError(f"Expected the photos of the labelled people, could have none: {next(iter(missing.values()))}")
    there = {image["id"] for image in kept}
    people = [annotation for annotation in people if annotation["image_id"] in there]
    partial = folder / f"{ANNOTATIONS}.partial"
    partial.write_text(json.dumps({**coco, "images": kept, "annotations": people}), encoding="utf-8")
    os.replace(partial, folder / ANNOTATIONS)
    return FolderReport(len(people), len(kept), missing)


def _labelled_people(coco: Mapping, config: LabelingConfig) -> list[dict]:
    """Return the annotations of people with labelled joints, with a box and an area, which imported files may lack."""
    categories = person_categories(coco, config.skeleton, partial=True)
    people = []
    for person in read_annotations(coco, config.skeleton, categories=categories):
        box = box_of_person(person, {})
        if box is not None and not person.ignored and (person.visibility > 0).any():
            area = float(box[0][2:].prod()) if person.area is None else person.area
            people.append({**person.entry, "bbox": box[0].tolist(), "area": area})
    return people


def _save_photos(
    wanted: Iterable[dict], tasks: Mapping[object, Mapping], config: LabelingConfig, images: ImageSource, folder: Path
) -> tuple[list[dict], dict[int, str]]:
    """Save the photos of COCO images; return the images under their new names, and task id -> why there is no photo.

    The names are numbers: the images' own names and ids are those of files that were imported, and may be any text.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    kept, missing = [], {}
    for number, image in enumerate(wanted, 1):
        task = tasks[image["label_studio"]["task"]]
        name = f"{number}.jpg"
        try:
            pixels = images.load(through_label_studio(config.image_reference(task["data"]), task.get("id"))).pixels
        except ImageError as error:
            missing[task["id"]] = str(error)
            continue
        Image.fromarray(pixels).save(folder / "images" / name, quality=JPEG_QUALITY, subsampling=0)
        kept.append({**image, "file_name": name})
    return kept, missing
