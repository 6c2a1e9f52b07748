"""A results file of any model as poses of a data set's photos, by the rules of COCO's evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from clickpose.calibration.results_file import read_results as read_results_file
from clickpose.data.coco_records import (
    CocoPerson,
    JointOrder,
    PersonCategories,
    coco_images,
    note,
    read_predictions,
    read_results,
)
from clickpose.data.coco_results import poses_of_results
from clickpose.data.records import PoseDataset
from clickpose.structures import Poses

_LONGEST_TAIL = 4  # parts of a path by which photos are told apart


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
    results, document = read_results_file(path)
    skeleton, notes = dataset.skeleton, Counter[str]()
    if document is None:
        same = JointOrder.same(skeleton)
        categories = PersonCategories(dict.fromkeys(dataset.category_ids, same), same)
        rows = read_results(results, skeleton, str(path), categories=categories, notes=notes)
    else:
        rows = [row for row in read_predictions(document, skeleton, str(path), notes=notes) if not row.crowd]
    if results and not rows:
        wanted = ", ".join(map(str, dataset.category_ids))
        raise ValueError(f"Expected results of people (category {wanted}) in {path}, got none but of other categories")
    ids = _ids_of_photos(rows, document, dataset, path)
    kept = [(row, ids[row.image_id]) for row in rows if row.image_id in ids]
    if whole and rows and not kept:
        raise ValueError(
            f"Expected results for images of {dataset.name}, such as {dataset.images[0].image_id}, got none in {path}, "
            f"but for others, such as {rows[0].image_id}"
        )
    if whole and len(kept) < len(rows):
        note(notes, "results of photos that the data set lacks, left out", len(rows) - len(kept))
    by_own_id = poses_of_results([row for row, _ in kept], skeleton, notes)
    found: dict[Hashable, list[Hashable]] = {}
    for row, image_id in kept:
        found.setdefault(image_id, []).append(row.category_id)
    return ResultPoses(
        {ids[image_id]: poses for image_id, poses in by_own_id.items()}, found if document is None else None, notes
    )


def _ids_of_photos(
    rows: Sequence[CocoPerson], document: Mapping | None, dataset: PoseDataset, path: Path
) -> dict[Hashable, Hashable]:
    """Return the data set's id of each photo of the results that it has."""
    ids = [image.image_id for image in dataset.images] + list(dataset.unsized_ids)
    if document is None:
        return {image_id: image_id for image_id in ids}
    theirs = {image.image_id: image.file_name for image in coco_images(document, str(path))}
    used = {row.image_id for row in rows}
    names = {image_id: name for image_id, name in theirs.items() if image_id in used and name is not None}
    if len(names) < len(used):  # a file without names of its photos
        return {image_id: image_id for image_id in ids}
    for parts in range(1, _LONGEST_TAIL + 1):
        ours = {_tail(image.path.as_posix(), parts): image.image_id for image in dataset.images}
        tails = {_tail(name, parts): image_id for image_id, name in names.items()}
        if len(ours) == len(dataset.images) and len(tails) == len(names):
            return {image_id: ours[tail] for tail, image_id in tails.items() if tail in ours}
    raise ValueError(f"Expected photos of {path} and {dataset.name} with different names, got some that are the same")


def _tail(name: str, parts: int) -> tuple[str, ...]:
    """Return the last parts of a path."""
    return PurePosixPath(name.replace("\\", "/")).parts[-parts:]
