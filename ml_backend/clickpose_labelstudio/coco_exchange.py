"""Label Studio tasks <-> COCO keypoint files, without loss.

:func:`tasks_to_coco` reads Label Studio's JSON export; :func:`coco_to_tasks` and :func:`coco_results_to_tasks` write
tasks to import. Label Studio's own COCO converters keep one person an image, round to integers, forget visibility
(export) and joint names (import).

Beyond COCO, an exported image and annotation carry ``label_studio``: the ids of task, annotation and region, and the
regions that no person was found for. Imported tasks carry ``file_name`` and ``coco_image_id`` in their data, which
bring both back on export.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from clickpose.boxes import clip_boxes, enclosing_box, xywh_to_xyxy, xyxy_to_xywh
from clickpose.checks import as_array
from clickpose.skeleton import Skeleton
from clickpose.structures import Annotations, Poses
from clickpose_labelstudio.codec import DecodedResult, decode_result, encode_annotations, encode_poses
from clickpose_labelstudio.labeling_config import LabelingConfig
from clickpose_labelstudio.region_items import CodecError, as_score, image_hw_of

PERSON_CATEGORY = 1  # as in COCO
SCORE_KEY = "predicted_oks"  # in a region's meta, as in static/bridge/label_studio.js

Source = Literal["newest", "all", "prediction"]
Kind = Literal["predictions", "annotations"]


def tasks_to_coco(tasks: Sequence[Mapping], config: LabelingConfig, *, source: Source = "newest") -> dict:
    """Convert Label Studio's JSON export to COCO keypoints.

    Coordinates stay floating point; visibility is 0, 1 or 2; ``area`` is the area of the box. A person without a
    rectangle gets the box around the keypoints. An image on which nothing was drawn has no width and height, since the
    export does not tell.

    Args:
        tasks: the tasks of the export ("JSON", not "JSON-MIN").
        config: the project's labelling configuration.
        source: ``newest`` annotation of each task that was not cancelled; ``all`` of them, side by side on one image;
            or the newest ``prediction``. Tasks without any are left out.

    Raises:
        CodecError: if a task is not one of such an export, or a region cannot be read; the message names the task.
    """
    if not isinstance(tasks, Sequence) or isinstance(tasks, str):
        raise CodecError(f"Expected a list of tasks from Label Studio's JSON export, got {type(tasks).__name__}")
    images, annotations = [], []
    for index, task in enumerate(tasks):
        if not isinstance(task, Mapping) or not isinstance(task.get("data"), Mapping):
            raise CodecError(f"Expected task {index} to have data, as in Label Studio's JSON export (not JSON-MIN)")
        entries = _chosen_entries(task, source)
        if not entries:
            continue
        try:
            decoded = [(entry, decode_result(entry.get("result"), config)) for entry in entries]
            image = _coco_image(task, index, decoded, config)
            _check_finite([image["label_studio"], [entry.get("id") for entry in entries]])
        except ValueError as error:
            raise CodecError(f"Task {task.get('id', index)} cannot be exported: {error}") from error
        images.append(image)
        for entry, result in decoded:
            annotations += _coco_annotations(task, entry, result, image["id"], len(annotations) + 1, config.skeleton)
    _check_unique_image_ids(images)
    return {"images": images, "annotations": annotations, "categories": [_coco_category(config.skeleton)]}


def _chosen_entries(task: Mapping, source: Source) -> list[Mapping]:
    """Return the annotations (or the prediction) of a task to export."""
    if source not in ("newest", "all", "prediction"):
        raise ValueError(f"Expected source to be 'newest', 'all' or 'prediction', got {source!r}")
    key = "predictions" if source == "prediction" else "annotations"
    entries = task.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise CodecError(f"Expected the {key} of task {task.get('id')} to be a list of objects")
    entries = [entry for entry in entries if not entry.get("was_cancelled")]
    if source == "all" or not entries:
        return entries
    return [max(entries, key=lambda entry: str(entry.get("updated_at") or entry.get("created_at") or ""))]


def _coco_image(
    task: Mapping, index: int, decoded: Sequence[tuple[Mapping, DecodedResult]], config: LabelingConfig
) -> dict:
    """Return a task's entry among the COCO images."""
    data = task["data"]
    reference = config.image_reference(data)
    task_id = task.get("id")
    ids = (data.get("coco_image_id"), task_id, index + 1)
    image = {"id": next(number for number in ids if isinstance(number, int) and not isinstance(number, bool))}
    name = data.get("file_name")
    image["file_name"] = name if isinstance(name, str) and name else _file_name(reference, image["id"])
    image_hw = next((result.image_hw for _, result in decoded if result.image_hw), None) or _any_image_hw(task)
    if image_hw:
        image["height"], image["width"] = image_hw
    image["label_studio"] = {"task": task_id}
    if not reference.startswith("data:"):
        image["label_studio"]["image"] = reference
    unassigned = [item for _, result in decoded for item in result.unassigned]
    if unassigned:
        image["label_studio"]["unassigned"] = unassigned
    return image


def _check_finite(value: object) -> None:
    """Refuse what goes along as it came but cannot be written: Python reads 1e999 and NaN, JSON cannot say them."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise CodecError("Expected finite numbers in its ids and regions") from None


def _any_image_hw(task: Mapping) -> tuple[int, int] | None:
    """Return the image size that any annotation or prediction of a task tells, or None."""
    saved = [entry for key in ("annotations", "predictions") for entry in task.get(key) or ()]
    results = [entry.get("result") for entry in saved if isinstance(entry, Mapping)]
    items = [item for result in results if isinstance(result, list) for item in result if isinstance(item, Mapping)]
    return image_hw_of(items)


def _file_name(reference: str, image_id: int) -> str:
    """Return the file that a task's image reference stands for, without host and storage."""
    if reference.startswith("data:"):
        return f"{image_id}"
    parts = urlsplit(reference)
    local = parse_qs(parts.query).get("d")
    if parts.path.endswith("/data/local-files/") and local:
        return local[0]
    path = unquote(parts.path)
    return path.lstrip("/") if parts.scheme in ("s3", "gs", "azure-blob") else path.rsplit("/", 1)[-1] or str(image_id)


def _coco_annotations(
    task: Mapping, entry: Mapping, decoded: DecodedResult, image_id: int, first_id: int, skeleton: Skeleton
) -> list[dict]:
    """Return one COCO annotation for each person of a decoded result."""
    labels, annotations = decoded.annotations, []
    for row, person in enumerate(decoded.persons):
        left, top, width, height = xyxy_to_xywh(person.extent()).tolist()
        visible = labels.visibility[row]
        triples = np.column_stack([np.where(visible[:, None] > 0, labels.keypoints[row], 0), visible])
        annotation = {
            "id": first_id + row,
            "image_id": image_id,
            "category_id": PERSON_CATEGORY,
            "keypoints": [number for x, y, v in triples.tolist() for number in (x, y, int(v))],
            "num_keypoints": int((visible > 0).sum()),
            "bbox": [left, top, width, height],
            "area": width * height,
            "iscrowd": 0,
            "label_studio": {
                "task": task.get("id"),
                "annotation": entry.get("id"),
                "region": person.id,
                "touched": [skeleton.names[joint] for joint in np.flatnonzero(labels.touched[row])],
            },
        }
        scores = [_score_of(person.joints[j].item) if j in person.joints else 0.0 for j in range(len(skeleton))]
        if person.box_item is not None and "score" in person.box_item:
            annotation["score"] = _score_of(person.box_item)
        if any(scores):
            annotation["keypoint_scores"] = scores
        annotations.append(annotation)
    return annotations


def _score_of(item: Mapping) -> float:
    """Return the predicted OKS of a region: that of the last refinement, which the bridge keeps in ``meta``, if any."""
    meta = item.get("meta")
    score = meta.get(SCORE_KEY, item.get("score")) if isinstance(meta, Mapping) else item.get("score")
    return as_score(score) if isinstance(score, int | float) else 0.0


def _coco_category(skeleton: Skeleton) -> dict:
    return {
        "id": PERSON_CATEGORY,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.names),
        "skeleton": [[start + 1, end + 1] for start, end in skeleton.edges],  # COCO counts joints from 1
    }


def _check_unique_image_ids(images: Sequence[Mapping]) -> None:
    ids = [image["id"] for image in images]
    doubled = sorted({image_id for image_id in ids if ids.count(image_id) > 1}) if len(set(ids)) < len(ids) else []
    if doubled:
        raise CodecError(f"Expected tasks with different ids, got several with {', '.join(map(str, doubled[:10]))}")


def coco_to_tasks(
    coco: Mapping,
    config: LabelingConfig,
    *,
    kind: Kind = "predictions",
    reference: Callable[[str], str] = str,
    model_version: str = "coco",
) -> list[dict]:
    """Convert a COCO keypoint file to Label Studio tasks, one for each image.

    Joints are matched by name; where the category names none, they must be the skeleton's. Crowd regions and other
    categories are left out. In predictions, positions are clipped to the image, since Label Studio refuses others.

    Args:
        coco: ``images``, ``annotations`` and ``categories``.
        config: the labelling configuration of the project.
        kind: write ``predictions``, to be checked, or finished ``annotations``.
        reference: file name -> what the task's data shall name as its image.
        model_version: name for the predictions.

    Raises:
        CodecError: if the file is no such file, or the configuration cannot hold its labels.
    """
    if kind not in ("predictions", "annotations"):
        raise ValueError(f"Expected kind to be 'predictions' or 'annotations', got {kind!r}")
    if not isinstance(coco, Mapping):
        raise CodecError(f"Expected a COCO file with images and annotations, got {type(coco).__name__}")
    images = _images_by_id(coco.get("images"))
    orders = _joint_orders(coco.get("categories"), config.skeleton)
    persons: dict[object, list[Mapping]] = {image_id: [] for image_id in images}
    for annotation in _objects("annotations", coco.get("annotations")):
        if _category_of(annotation) in orders and not annotation.get("iscrowd"):
            _of_image(persons, annotation).append(annotation)
    tasks = []
    for image_id, image in images.items():
        labels = _read_labels(persons[image_id], orders, config.skeleton)
        if not persons[image_id]:  # nor need the file tell the size of the image, which exports of it do not
            entry = {"result": []}
        elif kind == "predictions":
            entry = {"result": encode_annotations(_clipped(labels, _image_hw(image)), config, _image_hw(image))}
        else:
            entry = {"result": encode_annotations(_human(labels), config, _image_hw(image))}
        if kind == "predictions":
            entry["model_version"] = model_version
        tasks.append({"data": _task_data(image, config, reference), kind: [entry]})
    return tasks


def coco_results_to_tasks(
    results: Sequence[Mapping],
    images: Sequence[Mapping],
    config: LabelingConfig,
    *,
    reference: Callable[[str], str] = str,
    model_version: str = "coco-results",
) -> list[dict]:
    """Convert COCO keypoint results (what a network's evaluation writes) to tasks with predictions.

    The third number of each keypoint, or ``keypoint_scores`` where given, is the score of the keypoint; keypoints that
    are all zero are left out. ``visibility_scores``, where given, tell the occluded ones.

    Args:
        results: ``{"image_id", "keypoints", "score"}`` a person, joints in the skeleton's order; maybe with ``bbox``.
        images: the ``images`` of the COCO file that the results belong to.
        config: the labelling configuration of the project.
        reference: file name -> what the task's data shall name as its image.
        model_version: name for the predictions.

    Raises:
        CodecError: if the results are not of that form.
    """
    by_id = _images_by_id(images)
    persons: dict[object, list[Mapping]] = {image_id: [] for image_id in by_id}
    for result in _objects("results", results):
        _of_image(persons, result).append(result)
    tasks = []
    for image_id, image in by_id.items():
        poses = _read_poses(persons[image_id], config.skeleton)
        prediction = {
            "result": encode_poses(poses, config, _image_hw(image)) if len(poses) else [],
            "score": as_score(min(poses.instance_scores, default=0.0)),
            "model_version": model_version,
        }
        tasks.append({"data": _task_data(image, config, reference), "predictions": [prediction]})
    return tasks


def _objects(name: str, value: object) -> list[Mapping]:
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        raise CodecError(f"Expected the COCO {name} to be a list of objects")
    return value


def _images_by_id(images: object) -> dict[object, Mapping]:
    by_id = {}
    for image in _objects("images", images):
        image_id = image.get("id")
        if not isinstance(image_id, int | str) or image_id in by_id:
            raise CodecError(f"Expected COCO images with different ids, got {image_id!r} missing or twice")
        if not isinstance(image.get("file_name"), str):
            raise CodecError(f"Expected COCO image {image_id!r} to have a file_name")
        by_id[image_id] = image
    return by_id


def _category_of(annotation: Mapping) -> int | str:
    category = annotation.get("category_id", PERSON_CATEGORY)
    if not isinstance(category, int | str):
        raise CodecError(
            f"Expected category_id of {annotation.get('id', 'a person')!r} to be a number, got {category!r}"
        )
    return category


def _of_image(persons: Mapping[object, list], entry: Mapping) -> list:
    image_id = entry.get("image_id")
    if not isinstance(image_id, int | str) or image_id not in persons:
        raise CodecError(
            f"Expected image_id of {entry.get('id', 'a result')!r} to be one of the images, got {image_id!r}"
        )
    return persons[image_id]


def _image_hw(image: Mapping) -> tuple[int, int]:
    size = image.get("height"), image.get("width")
    if not all(isinstance(number, int) and number > 0 for number in size):
        raise CodecError(f"Expected COCO image {image['id']!r} to have width and height in pixels, got {size[::-1]}")
    return size


def _task_data(image: Mapping, config: LabelingConfig, reference: Callable[[str], str]) -> dict:
    name = image["file_name"]
    return {config.image_key: reference(name), "file_name": name, "coco_image_id": image["id"]}


def _joint_orders(categories: object, skeleton: Skeleton) -> dict[object, list[int | None]]:
    """Return category id -> for each keypoint of the category the joint index, or None for a joint we do not have."""
    orders = {}
    for category in _objects("categories", categories):
        names = category.get("keypoints")
        if names is None and category.get("name") == "person":
            names = list(skeleton.names)
        if isinstance(names, list) and isinstance(category.get("id"), int | str):
            orders[category["id"]] = [skeleton.match(name) if isinstance(name, str) else None for name in names]
    if not any(joint is not None for order in orders.values() for joint in order):
        raise CodecError(f"Expected a COCO category with keypoints named as in the {skeleton.name} skeleton")
    return orders


def _read_labels(persons: Sequence[Mapping], orders: Mapping[object, list], skeleton: Skeleton) -> Annotations:
    """Read the COCO annotations of one image."""
    shape = len(persons), len(skeleton)
    keypoints, visibility, boxes = (
        np.full((*shape, 2), np.nan),
        np.zeros(shape, int),
        np.full((len(persons), 4), np.nan),
    )
    for row, person in enumerate(persons):
        order = orders[_category_of(person)]
        if person.get("keypoints") is not None:
            triples = _numbers(person, "keypoints", 3 * len(order)).reshape(-1, 3)
            kept = [(joint, triple) for joint, triple in zip(order, triples, strict=True) if joint is not None]
            for joint, (x, y, v) in kept:
                if v not in (0, 1, 2):
                    raise CodecError(
                        f"COCO annotations of image {person['image_id']!r}: Expected visibility of 0, 1 or 2, got {v:g}"
                    )
                keypoints[row, joint], visibility[row, joint] = (x, y), int(v)
        boxes[row] = _box(person, keypoints[row][visibility[row] > 0])
    ids = _person_ids(persons)
    try:
        return Annotations(
            skeleton=skeleton, keypoints=keypoints, visibility=visibility, boxes_xyxy=boxes, ids=tuple(ids)
        )
    except ValueError as error:
        raise CodecError(f"COCO annotations of image {persons[0].get('image_id')!r}: {error}") from None


def _person_ids(persons: Sequence[Mapping]) -> list[str]:
    """Return for each annotation the region id that it had in Label Studio, else one from its own id.

    An export of all annotations of a task has the same region once an annotator; it is kept once.
    """
    ids: list[str] = []
    for row, person in enumerate(persons):
        exported = person.get("label_studio")
        region = exported.get("region") if isinstance(exported, Mapping) else None
        known = isinstance(region, str) and region and region not in ids
        ids.append(region if known else f"cp-{person.get('id', row)}")
    return ids


def _read_poses(persons: Sequence[Mapping], skeleton: Skeleton) -> Poses:
    """Read the COCO results of one image."""
    count, shape = len(skeleton), (len(persons), len(skeleton))
    keypoints, boxes = np.full((*shape, 2), np.nan), np.zeros((len(persons), 4))
    scores, visibility, instance = np.zeros(shape), np.ones(shape), np.zeros(len(persons))
    for row, person in enumerate(persons):
        triples = _numbers(person, "keypoints", 3 * count).reshape(-1, 3)
        placed = triples.any(axis=1)
        keypoints[row, placed] = triples[placed, :2]
        boxes[row] = _box(person, keypoints[row])
        own = "keypoint_scores" in person
        scores[row] = _numbers(person, "keypoint_scores", count) if own else triples[:, 2]
        if "visibility_scores" in person:
            visibility[row] = _numbers(person, "visibility_scores", count)
        instance[row] = _numbers({"score": [person.get("score", 0.0)]}, "score", 1)[0]
    return Poses(
        skeleton=skeleton,
        keypoints=keypoints,
        boxes_xyxy=boxes,
        keypoint_scores=scores,
        visibility_scores=visibility,
        instance_scores=instance,
    )


def _numbers(entry: Mapping, key: str, count: int) -> np.ndarray:
    """Return ``count`` finite numbers of a COCO entry."""
    name = f"{key} of {entry.get('id', 'a result')!r}"
    try:
        numbers = as_array(name, entry.get(key), (count,))
    except ValueError as error:
        raise CodecError(str(error)) from None
    if not np.isfinite(numbers).all():
        raise CodecError(f"Expected {name} to be finite numbers")
    return numbers


def _box(entry: Mapping, points: np.ndarray) -> np.ndarray:
    """Return the (4,) xyxy box of a COCO entry, else the one around its (M, 2) points."""
    if entry.get("bbox") is not None:
        return xywh_to_xyxy(_numbers(entry, "bbox", 4))
    try:
        return enclosing_box(points)
    except ValueError:
        raise CodecError(f"Expected {entry.get('id', 'a result')!r} to have a bbox or a keypoint") from None


def _clipped(labels: Annotations, image_hw: tuple[int, int]) -> Annotations:
    """Return the labels inside the image, as untouched predictions."""
    height, width = image_hw
    keypoints = np.clip(labels.keypoints, 0, [width, height])
    boxes = clip_boxes(labels.boxes_xyxy, image_hw)
    return replace(labels, keypoints=keypoints, boxes_xyxy=boxes, touched=None)


def _human(labels: Annotations) -> Annotations:
    """Return the labels as made by a human."""
    return replace(labels, touched=labels.visibility > 0)
