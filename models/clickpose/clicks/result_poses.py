"""A results file of any model as poses of a data set's photos, by the rules of COCO's evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

from clickpose.calibration.results_file import ResultsFile
from clickpose.data.coco_categories import JointOrder, PersonCategories
from clickpose.data.coco_fields import kind_hint, shown_id
from clickpose.data.coco_records import coco_images
from clickpose.data.coco_results import poses_of_results
from clickpose.data.notes import note
from clickpose.data.records import PoseDataset
from clickpose.structures import Poses


@dataclass(frozen=True)
class ResultPoses:
    """What a results file says of a data set's photos.

    Attributes:
        poses: by image id of the data set.
        category_ids: of the poses, by image id; None where the file has no ids of the data set's categories.
        notes: what was left out or guessed -> how often.
    """

    poses: dict[Hashable, Poses]
    category_ids: dict[Hashable, list[Hashable]] | None
    notes: Counter[str]


def read_result_poses(path: Path, dataset: PoseDataset, whole: bool = True) -> ResultPoses:
    """Read a COCO results list, or a dataset of predictions such as ``clickpose predict --json`` writes.

    The photos of a list are the data set's by their ids, those of a dataset of predictions, which counts its own, by
    their names.

    Args:
        path: the file.
        dataset: the annotated photos.
        whole: False where ``dataset`` is a part of a file: results of other photos are then not remarked on.

    Raises:
        ValueError: if the file is broken, or its results are all of other photos or of other categories, which would
            look like those of a network that finds nobody.
    """
    skeleton, same = dataset.skeleton, JointOrder.same(dataset.skeleton)
    file = ResultsFile.read(path, skeleton, PersonCategories(dict.fromkeys(dataset.category_ids, same), same))
    if not file.people and file.notes:
        wanted = ", ".join(map(str, dataset.category_ids))
        raise ValueError(f"Expected results of people (category {wanted}) in {path}, got none but of other categories")
    names: dict[Hashable, str | None] = {image.image_id: image.path.as_posix() for image in dataset.images}
    ids = file.image_ids({**dict.fromkeys(dataset.unsized_ids), **names})
    kept = [(row, ids[row.image_id]) for row in file.people if ids[row.image_id] is not None]
    if whole and file.people and not kept:
        raise ValueError(f"Expected results for images of {dataset.name}, such as {_examples(dataset, file)}")
    if whole and len(kept) < len(file.people):
        note(file.notes, "results of photos that the data set lacks, left out", len(file.people) - len(kept))
    by_own_id = poses_of_results([row for row, _ in kept], skeleton, file.notes)
    found: dict[Hashable, list[Hashable]] = {}
    for row, image_id in kept:
        found.setdefault(image_id, []).append(row.category_id)
    listed = isinstance(file.content, list)
    return ResultPoses(
        {ids[image_id]: poses for image_id, poses in by_own_id.items()}, found if listed else None, file.notes
    )


def _examples(dataset: PoseDataset, file: ResultsFile) -> str:
    """Name a photo of each of two files that have none in common, by what tells: ids, or names."""
    wanted, other = dataset.images[0], file.people[0].image_id
    none = f"got none in {file.source}, but for"
    if isinstance(file.content, list):
        hint = kind_hint(other, [image.image_id for image in dataset.images])
        return f"{shown_id(wanted.image_id)}, {none} others, such as {shown_id(other)}{hint}"
    names = {image.image_id: image.file_name for image in coco_images(file.content)}
    return f"{wanted.path.name}, {none} photos of other names, such as {names[other] or shown_id(other)}"
