"""COCO keypoint files and results -> Label Studio tasks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from clickpose.boxes import box_area, clip_boxes, xywh_to_xyxy
from clickpose.data.coco_categories import (
    PersonCategories,
    categories_of_results,
    note_orders,
    person_categories,
    person_category,
)
from clickpose.data.coco_extents import box_of_joints, box_of_person
from clickpose.data.coco_fields import check_image_id, entries_of
from clickpose.data.coco_records import (
    OTHER_ANNOTATIONS,
    CocoAnnotation,
    CocoImage,
    CocoPerson,
    coco_images,
    read_annotations,
    read_results,
)
from clickpose.data.coco_writing import person_record
from clickpose.data.confidences import OCCLUDED_BELOW, joint_confidences, person_confidences, thirds_are_flags
from clickpose.data.notes import Notes, note
from clickpose.skeleton import Skeleton
from clickpose.structures import Annotations
from clickpose_labelstudio.carried import KEY, Carried, CarriedEntry, pack, rest_of, without_provenance
from clickpose_labelstudio.codec import encode_annotations
from clickpose_labelstudio.labeling_config import LabelingConfig
from clickpose_labelstudio.region_items import CodecError, as_score, keypoint_region_id, new_person_id, photo_score

Kind = Literal["predictions", "annotations"]
COMES_BACK = "not drawn, but back on export"


def coco_to_tasks(
    coco: Mapping,
    config: LabelingConfig,
    *,
    kind: Kind = "predictions",
    reference: Callable[[str], str] = str,
    model_version: str = "coco",
    predicted: bool = False,
    file: str = "",
    notes: Notes | None = None,
) -> list[dict]:
    """Convert a COCO keypoint file to Label Studio tasks, one for each image.

    Joints are matched by name; where no category names any, they must be the skeleton's. What cannot be drawn (crowds,
    other categories, people whom nothing tells the place of) goes along in the task's data and comes back on export,
    and so does every field of what is drawn. In predictions, positions are clipped to the image, since Label Studio
    refuses others; those of a network keep its scores.

    Args:
        coco: ``images``, ``annotations`` and ``categories``.
        config: the labelling configuration of the project.
        kind: write ``predictions``, to be checked, or finished ``annotations``.
        reference: file name -> what the task's data shall name as its image.
        model_version: name for the predictions.
        predicted: photos get the lowest score of their people, 1 without people, 0 where nobody has a score.
        file: name of the file, for messages.
        notes: what is left out or changed is counted here.

    Raises:
        ValueError: if the file is no such file, or the configuration cannot hold its labels.
    """
    if kind not in ("predictions", "annotations"):
        raise ValueError(f"Expected kind to be 'predictions' or 'annotations', got {kind!r}")
    notes = Counter() if notes is None else notes
    images = coco_images(coco, file)
    references = _references(images, reference, file)
    categories = person_categories(coco, config.skeleton, file, partial=True)
    read: Counter[str] = Counter()
    people = read_annotations(coco, config.skeleton, file, categories=categories, notes=read)
    read.pop(OTHER_ANNOTATIONS, None)  # counted as what comes back
    told = Counter() if predicted else read  # of results all has been said
    scores = _scores(coco, categories, config.skeleton, file, told) if kind == "predictions" else {}
    for what, count in read.items():
        note(notes, what, count)
    carried = _carried(coco, images, categories, file, notes)
    _note_unassigned(images, notes)
    persons: dict[Hashable, list[CocoAnnotation]] = {image.image_id: [] for image in images}
    for person in people:
        persons[person.image_id].append(person)
    tasks = []
    for image in images:
        drawn = _drawn(persons[image.image_id], image, carried[image.image_id], kind, notes)
        result = _result(drawn, image, config, kind, file, notes)
        entry: dict = {"result": result}
        if kind == "predictions":
            if scores or predicted:
                entry["score"] = _write_scores(result, drawn, scores, config)
            entry["model_version"] = model_version
        data: dict = {config.image_key: references[image.image_id], "file_name": image.file_name}
        data |= {"coco_image_id": image.image_id, KEY: pack(carried[image.image_id], notes)}
        tasks.append({"data": data, kind: [entry]})
    return tasks


def coco_results_to_tasks(
    results: Sequence[Mapping],
    images: Sequence[Mapping],
    config: LabelingConfig,
    *,
    categories: Sequence[Mapping] = (),
    reference: Callable[[str], str] = str,
    model_version: str = "coco-results",
    file: str = "",
    images_file: str = "",
    notes: Notes | None = None,
) -> list[dict]:
    """Convert COCO keypoint results (what a network's evaluation writes) to tasks with predictions.

    Keypoints that are all zero are not there. ``visibility_scores``, where given, tell the occluded ones.

    Args:
        results: ``{"image_id", "keypoints", "score"}`` a person; maybe with ``bbox``. What the confidence of a joint
            is, :func:`.joint_confidences` tells.
        images: the ``images`` of the COCO file that the results belong to.
        config: the labelling configuration of the project.
        categories: the ``categories`` of that file; those with all joints are written in the order of results, which is
            the skeleton's.
        reference: file name -> what the task's data shall name as its image.
        model_version: name for the predictions.
        file, images_file: names of the files, for messages.
        notes: what is left out or changed is counted here.

    Raises:
        ValueError: if the results are not of that form.
    """
    described = {"images": images, "annotations": [], "categories": list(categories)}
    notes = Counter() if notes is None else notes
    known = person_categories(described, config.skeleton, images_file, partial=True)
    note_orders(known, config.skeleton, notes)
    people = read_results(results, config.skeleton, file, categories=known.of_results, notes=notes)
    ids = {image.image_id for image in coco_images(described, images_file)}
    for person in people:
        check_image_id(person.image_id, ids, person.where)
    person_confidences(people, notes)  # refuses, and names the results' file
    confidences = joint_confidences(people, config.skeleton, notes)
    own = not thirds_are_flags(people)
    annotations = [_as_annotation(p, c, own) for p, c in zip(people, confidences, strict=True)]
    ids_given = [id_ for person in people if type(id_ := person.entry.get("id")) in (int, str)]
    if len(set(ids_given)) < len(people):  # results need no ids of their own
        annotations = [{**annotation, "id": number} for number, annotation in enumerate(annotations, 1)]
    listed = categories_of_results(categories, config.skeleton)
    coco = {"images": images, "annotations": annotations, "categories": listed}
    if not categories:
        coco["categories"] = [person_category(config.skeleton)]
    return coco_to_tasks(
        coco, config, reference=reference, model_version=model_version, predicted=True, file=images_file, notes=notes
    )


def _as_annotation(person: CocoPerson, confidences: np.ndarray, thirds_are_confidences: bool) -> dict:
    """Return a result as an annotation of a file of predictions: flags as third numbers, confidences beside them."""
    visible = np.ones(len(confidences)) if person.visibility_scores is None else person.visibility_scores
    flags = np.where(person.placed, np.where(visible < OCCLUDED_BELOW, 1, 2), 0)
    box = person.box_xywh if person.box_xywh is not None else box_of_joints(person.keypoints)
    record = person_record(
        person.keypoints,
        flags,
        image_id=person.image_id,
        category_id=person.category_id,
        area=None if box is None else box[2:].prod(),
        box_xywh=box,
        order=person.order,
    )
    joints = {name: record[name] for name in ("keypoints", "num_keypoints")}
    entry = {**record, **person.entry, **joints}
    if thirds_are_confidences and person.keypoint_scores is None:
        entry["keypoint_scores"] = person.order.to_file(confidences).tolist()
    if box is not None and not entry["bbox"]:
        entry["bbox"] = record["bbox"]
    return entry


def _references(images: Sequence[CocoImage], reference: Callable[[str], str], file: str) -> dict[Hashable, str]:
    """Return image id -> reference; refuse two images of one photo."""
    of_image: dict[Hashable, str] = {}
    first: dict[str, Hashable] = {}
    for image in images:
        if not image.file_name:
            raise CodecError(
                f"Expected a file_name in image {image.image_id!r}{f' of {file}' if file else ''}, got none"
            )
        where = reference(image.file_name)
        if where in first:
            raise CodecError(
                f"Expected images of different photos{f' in {file}' if file else ''}, got {image.file_name} for the "
                f"images {first[where]!r} and {image.image_id!r}"
            )
        first[where] = image.image_id
        of_image[image.image_id] = where
    return of_image


def _carried(
    coco: Mapping, images: Sequence[CocoImage], categories: PersonCategories, file: str, notes: Notes
) -> dict[Hashable, Carried]:
    """Return image id -> what goes along with its task: of annotations all, none of them drawn yet."""
    rest = rest_of(coco, notes)
    people = list(categories.orders)
    carried = {
        image.image_id: Carried(without_provenance(image.entry), place, rest, people)
        for place, image in enumerate(images)
    }
    for place, entry in enumerate(entries_of(coco, "annotations", file)):
        photo = carried.get(entry["image_id"]) if isinstance(entry.get("image_id"), Hashable) else None
        if photo is None:
            note(notes, "annotations of none of the images, left out")
        else:
            photo.annotations.append(CarriedEntry(place, without_provenance(entry)))
    return carried


def _note_unassigned(images: Sequence[CocoImage], notes: Notes) -> None:
    """Count the regions that an earlier export has found no person for, and that stand with its images."""
    about = [image.entry.get("label_studio") for image in images]
    lists = [entry.get("unassigned") for entry in about if isinstance(entry, Mapping)]
    if count := sum(len(regions) for regions in lists if isinstance(regions, list)):
        note(notes, "regions that were nobody's in an earlier export, left out", count)


def _scores(
    coco: Mapping, categories: PersonCategories, skeleton: Skeleton, file: str, notes: Notes
) -> dict[int, tuple[float, np.ndarray]]:
    """Return place of a predicted person -> score and (K,) confidences of the joints; nothing for human labels."""
    scored = [
        (place, entry)
        for place, entry in enumerate(coco["annotations"])
        if entry.get("score") is not None and entry.get("keypoints")
    ]
    if not scored:
        return {}
    people = read_results([entry for _, entry in scored], skeleton, file, categories=categories, notes=Counter())
    instances = person_confidences(people, notes)
    joints = joint_confidences(people, skeleton, notes)
    return {scored[p.place][0]: (float(i), j) for p, i, j in zip(people, instances, joints, strict=True)}


class _Drawn(NamedTuple):
    """The people of an image that are drawn: their region ids, their boxes (N, 4) xyxy px."""

    people: list[CocoAnnotation]
    regions: list[str]
    boxes_xyxy: np.ndarray


def _drawn(people: Sequence[CocoAnnotation], image: CocoImage, carried: Carried, kind: Kind, notes: Notes) -> _Drawn:
    """Choose who is drawn, and remember as which region; count the others."""
    chosen, boxes = [], []
    for person in people:
        box = None if person.crowd else box_of_person(person, Counter())
        if person.crowd:
            note(notes, f"crowds {COMES_BACK}")
        elif box is None:
            note(notes, f"persons without a box or a joint {COMES_BACK}")
        else:
            if not box[1]:
                note(notes, "boxes made around the joints of persons without one")
            whole = xywh_to_xyxy(box[0])
            shown = clip_boxes(whole, image.image_hw) if kind == "predictions" and image.image_hw else whole
            if box_area(shown) > 0:
                chosen.append(person)
                boxes.append(shown)
                if box[1] and not np.array_equal(whole, shown):
                    note(notes, "boxes cut at the border of their photo, whole again on export")
            else:
                note(notes, f"persons outside their photo or of no size {COMES_BACK}")
    others = len(carried.annotations) - len(people)
    if others:
        note(notes, f"{OTHER_ANNOTATIONS} {COMES_BACK}", others)
    regions = _region_ids(chosen)
    region_of = {person.place: region for person, region in zip(chosen, regions, strict=True)}
    for entry in carried.annotations:
        entry.region = region_of.get(entry.place)
    return _Drawn(chosen, regions, np.reshape(boxes, (-1, 4)))


def _region_ids(people: Sequence[CocoAnnotation]) -> list[str]:
    """Return for each annotation the region id that it had in Label Studio, else one from its own id.

    An export of all annotations of a task has the same region once an annotator; it is kept once.
    """
    ids: list[str] = []
    for person in people:
        exported = person.entry.get("label_studio")
        region = exported.get("region") if isinstance(exported, Mapping) else None
        wishes = [region] if isinstance(region, str) and region else []
        if re.fullmatch(r"\w{1,40}", str(person.annotation_id), re.ASCII):
            wishes.append(f"cp-{person.annotation_id}")
        wishes += [new_person_id(person.annotation_id, person.place, attempt) for attempt in range(len(ids) + 1)]
        ids.append(next(wish for wish in wishes if wish not in ids))
    return ids


def _result(drawn: _Drawn, image: CocoImage, config: LabelingConfig, kind: Kind, file: str, notes: Notes) -> list[dict]:
    """Write the people of an image; the file need not tell the size of one without people."""
    if not drawn.people:
        return []
    where = f"image {image.image_id!r}{f' of {file}' if file else ''}"
    if image.image_hw is None:
        raise CodecError(f"Expected width and height in pixels in {where}, which has people, got none")
    keypoints = np.stack([person.keypoints for person in drawn.people])
    visibility = np.stack([person.visibility for person in drawn.people])
    if kind == "predictions":
        inside = np.clip(keypoints, 0, image.image_hw[::-1])
        moved = int(((keypoints != inside).any(axis=2) & (visibility > 0)).sum())
        if moved:
            note(notes, "joints outside their photo moved to its border, where they were again on export", moved)
        keypoints = inside
    touched = (visibility > 0) & (kind == "annotations")
    try:
        labels = Annotations(
            skeleton=config.skeleton, keypoints=keypoints, visibility=visibility, boxes_xyxy=drawn.boxes_xyxy,
            touched=touched, ids=tuple(drawn.regions),
        )  # fmt: skip
        return encode_annotations(labels, config, image.image_hw)
    except ValueError as error:
        raise CodecError(f"The people of {where} cannot be drawn: {error}") from None


def _write_scores(
    result: Sequence[dict], drawn: _Drawn, scores: Mapping[int, tuple[float, np.ndarray]], config: LabelingConfig
) -> float:
    """Write the scores of people and joints into their regions; return the photo's, the lowest of its people."""
    of_region: dict[str, float] = {}
    for person, region in zip(drawn.people, drawn.regions, strict=True):
        if person.place in scores:
            instance, joints = scores[person.place]
            of_region[region] = as_score(instance)
            for name, score in zip(config.skeleton.names, joints.tolist(), strict=True):
                of_region[keypoint_region_id(region, name)] = as_score(score)
    for item in result:
        if item["id"] in of_region and item["from_name"] != config.visibility_name:
            item["score"] = of_region[item["id"]]
    known = [scores[person.place][0] for person in drawn.people if person.place in scores]
    return photo_score(known) if known or not drawn.people else 0.0
