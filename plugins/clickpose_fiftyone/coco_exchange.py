"""COCO keypoint files in and out, without loss.

FiftyOne's own importer drops areas, boxes and the skeleton, and its exporter rounds to integers. Here every key of the
file survives: what FiftyOne has a place for becomes fields, the rest travels as JSON text in ``coco_extra``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import fiftyone as fo
import numpy as np

from clickpose.data.coco_results import VISIBLE_FROM
from clickpose.data.json_file import read_json_as
from clickpose.image_io import ImageError
from clickpose_fiftyone.checks import image_sizes, listed, require_keypoints, require_samples, require_writable
from clickpose_fiftyone.column_writes import label_documents, write_labels
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.field_names import (
    AREA,
    BOUNDING_BOX,
    CATEGORY_ID,
    COCO_EXTRA,
    COCO_ID,
    COCO_IMAGE,
    COCO_INFO,
    CONFIDENCE,
    GT,
    INSTANCE,
    ISCROWD,
    KEYPOINT_OKS,
    PRED_OKS,
    SCORE_RAW,
    VISIBILITY,
    boxes_field_of,
)
from clickpose_fiftyone.fiftyone_internals import dataset_of

_DIGITS = 9  # undoes the rounding of x / width * width
_OWN_KEYS = {"id", "image_id", CATEGORY_ID, "keypoints", "bbox", AREA, ISCROWD, "score"}


@dataclass(frozen=True)
class ExchangeSummary:
    """How many photos and people were read or written."""

    photos: int
    persons: int

    def __str__(self) -> str:
        return f"{self.persons} people in {self.photos} photos."


def import_coco(
    dataset: fo.Dataset,
    annotations: str | Path | Mapping,
    images: str | Path,
    field: str = GT,
    limit: int | None = None,
) -> ExchangeSummary:
    """Add the photos of a COCO keypoint file with their people to a dataset; photos that are there get the field.

    People go to ``field``, their boxes (and annotations without keypoints) to ``<field>_boxes``, linked by
    ``fo.Instance``. Joints with visibility 0 at (0, 0) are NaN, FiftyOne's sign for "not there".

    Args:
        dataset: where to.
        annotations: the file, or its parsed content.
        images: folder of the photos.
        field: Keypoints field to write.
        limit: read the first photos only.

    Raises:
        ValueError: if the file is not COCO keypoints or photos are missing; nothing is written then.
    """
    require_writable(dataset, field, fo.Keypoints)
    require_writable(dataset, boxes_field_of(field), fo.Detections)
    content = _checked(annotations) if isinstance(annotations, Mapping) else read_json_as(annotations, _checked)
    names, edges = _joints(content)
    records = content["images"][:limit]
    paths = _photo_paths(records, Path(images))
    people: dict = {record["id"]: [] for record in records}
    for annotation in content["annotations"]:
        if annotation["image_id"] in people:
            people[annotation["image_id"]].append(annotation)
    categories = {category["id"]: category.get("name", "person") for category in content["categories"]}
    labels = [_labels(people[record["id"]], _size(record), categories, len(names)) for record in records]
    _write(dataset, field, records, paths, labels)
    dataset.skeletons[field] = fo.KeypointSkeleton(labels=list(names), edges=edges)
    rest = {key: value for key, value in content.items() if key not in ("images", "annotations")}
    dataset.info[COCO_INFO] = {**(dataset.info.get(COCO_INFO) or {}), field: json.dumps(rest)}
    dataset.save()
    return ExchangeSummary(len(records), sum(len(keypoints.keypoints) for keypoints, _ in labels))


def export_coco(samples, path: str | Path, field: str = GT) -> ExchangeSummary:
    """Write the people of a field as a COCO keypoint file; of an imported file, all of it comes back.

    Predictions get ``score``, ``keypoint_scores`` and ``visibility_scores`` as ``clickpose predict`` writes them.

    Args:
        samples: a dataset or view.
        path: file to write, at once and never half.
        field: Keypoints field.

    Raises:
        ValueError: if the field cannot serve.
    """
    document = to_coco(samples, field)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(document, allow_nan=False), encoding="utf-8")
    partial.replace(path)
    return ExchangeSummary(len(document["images"]), len(document["annotations"]))


def to_coco(samples, field: str = GT) -> dict:
    """Return the people of a field as a COCO keypoint dataset; see :func:`export_coco`."""
    require_samples(samples)
    require_keypoints(samples, field)
    sizes = image_sizes(samples)
    images = _image_records(samples, sizes)
    annotations = _person_records(PersonColumns(samples, field), images)
    annotations += _box_records(samples, field, images, sizes)
    taken = {annotation["id"] for annotation in annotations if annotation["id"] is not None}
    fresh = (number for number in range(1, len(annotations) + len(taken) + 2) if number not in taken)
    for annotation in annotations:
        if annotation["id"] is None:
            annotation["id"] = next(fresh)
    rest = (dataset_of(samples).info.get(COCO_INFO) or {}).get(field)
    rest = json.loads(rest) if rest else {"categories": [_category(samples, field)]}
    return {**rest, "images": images, "annotations": annotations}


def _checked(content: object) -> dict:
    """Return a COCO dataset with its three lists.

    Raises:
        ValueError: if it is something else.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"Expected COCO keypoints, got a {type(content).__name__}")
    missing = [key for key in ("images", "annotations", "categories") if not isinstance(content.get(key), list)]
    if missing:
        raise ValueError(f"Expected COCO keypoints with images, annotations and categories, got no {missing[0]}")
    return dict(content)


def _joints(content: Mapping) -> tuple[list[str], list[list[int]]]:
    """Return the joint names and 0-based bones of the one keypoint category."""
    found = [category for category in content["categories"] if category.get("keypoints")]
    if len({tuple(category["keypoints"]) for category in found}) != 1:
        raise ValueError(f"Expected one category with named keypoints, got {len(found)}")
    edges = [[start - 1, end - 1] for start, end in found[0].get("skeleton", [])]  # COCO counts joints from 1
    return list(found[0]["keypoints"]), edges


def _size(record: Mapping) -> tuple[float, float]:
    try:
        return float(record["width"]), float(record["height"])
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"Expected COCO image {record.get('id')!r} to have width and height") from None


def _photo_paths(records: Sequence[Mapping], folder: Path) -> list[str]:
    paths = [(folder / record["file_name"]).resolve() for record in records]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise ImageError(f"Expected the photos of the file in {folder}, got none of {listed(missing)}")
    return [str(path) for path in paths]


def _labels(people: Sequence[Mapping], size, categories: Mapping, joints: int) -> tuple[fo.Keypoints, fo.Detections]:
    """Return the keypoints and boxes of one photo."""
    keypoints, boxes = [], []
    for annotation in people:
        link = fo.Instance()
        shared = {
            "label": categories.get(annotation.get(CATEGORY_ID), "person"),
            INSTANCE: link,
            COCO_ID: annotation.get("id"),
            CATEGORY_ID: annotation.get(CATEGORY_ID),
            ISCROWD: annotation.get(ISCROWD),
            AREA: annotation.get(AREA),
            COCO_EXTRA: json.dumps({key: value for key, value in annotation.items() if key not in _OWN_KEYS}),
        }
        box = None
        if annotation.get("bbox") is not None:
            box = (np.array(annotation["bbox"], np.float64) / (*size, *size)).tolist()
            boxes.append(fo.Detection(bounding_box=box, **shared))
        if annotation.get("keypoints") is not None:
            keypoints.append(_keypoint(annotation, size, joints, bounding_box=box, **shared))
    return fo.Keypoints(keypoints=keypoints), fo.Detections(detections=boxes)


def _keypoint(annotation: Mapping, size, joints: int, **shared) -> fo.Keypoint:
    triples = np.array(annotation["keypoints"], np.float64)
    if triples.shape != (3 * joints,):
        raise ValueError(f"Expected {3 * joints} numbers in keypoints of {annotation.get('id')!r}, got {triples.size}")
    triples = triples.reshape(-1, 3)
    points = np.where(triples.any(axis=1, keepdims=True), triples[:, :2], np.nan) / size
    if "score" in annotation:
        shared[PRED_OKS] = shared[SCORE_RAW] = float(annotation["score"])
    extra = {name: annotation.get(name) for name in ("keypoint_scores", "visibility_scores")}
    if extra["keypoint_scores"] is not None:
        shared[KEYPOINT_OKS] = shared[CONFIDENCE] = list(map(float, extra["keypoint_scores"]))
    return fo.Keypoint(points=points.tolist(), visibility=triples[:, 2].astype(int).tolist(), **shared)


def _write(dataset: fo.Dataset, field: str, records, paths: list[str], labels) -> None:
    known = dict(zip(*dataset.values(["filepath", "id"]), strict=True)) if len(dataset) else {}
    new = [
        fo.Sample(filepath=path, metadata=fo.ImageMetadata(width=int(record["width"]), height=int(record["height"])))
        for record, path in zip(records, paths, strict=True)
        if path not in known
    ]
    if new:
        dataset.add_samples(new, progress=False)
        known = dict(zip(*dataset.values(["filepath", "id"]), strict=True))
    view = dataset.select([known[path] for path in paths], ordered=True)
    if paths:
        view.set_values(COCO_IMAGE, [json.dumps(record) for record in records])
        write_labels(
            view,
            {
                field: (fo.Keypoints, [label_documents(keypoints) for keypoints, _ in labels]),
                boxes_field_of(field): (fo.Detections, [label_documents(boxes) for _, boxes in labels]),
            },
        )


def _image_records(samples, sizes: np.ndarray) -> list[dict]:
    paths = samples.values("filepath")
    stored = samples.values(COCO_IMAGE) if COCO_IMAGE in samples.get_field_schema() else [None] * len(paths)
    records: list[dict | None] = [json.loads(text) if text else None for text in stored]
    taken = {record["id"] for record in records if record}
    fresh = (number for number in range(1, len(records) + len(taken) + 2) if number not in taken)
    for index, record in enumerate(records):
        if record is None:
            width, height = (int(side) for side in sizes[index])
            records[index] = {
                "id": next(fresh), "file_name": Path(paths[index]).name, "width": width, "height": height,
            }  # fmt: skip
    return records


def _person_records(columns: PersonColumns, images: list[dict]) -> list[dict]:
    names = (COCO_ID, CATEGORY_ID, ISCROWD, AREA, COCO_EXTRA, BOUNDING_BOX, PRED_OKS, KEYPOINT_OKS)
    stored = dict(zip(names, (columns.values(name) for name in names), strict=True))
    visibility = columns.joints(VISIBILITY)
    records = []
    for person in range(len(columns)):
        own = {name: values[person] for name, values in stored.items()}
        width, height = columns.image_wh[columns.rows[person]]
        record = _record(own, images[columns.rows[person]], (width, height))
        predicted = own[PRED_OKS] is not None and own[COCO_ID] is None
        v = visibility[person]
        points = columns.keypoints[person]
        placed = np.isfinite(points).all(axis=1)
        flags = np.where(v >= VISIBLE_FROM, 2, 1) if predicted else np.where(np.isfinite(v), v, 2)
        flags = np.where(placed, flags, 0)
        record["keypoints"] = _triples(points, placed, flags)
        if "num_keypoints" not in record:
            record["num_keypoints"] = int((flags > 0).sum())
        if own[PRED_OKS] is not None:
            record["score"] = own[PRED_OKS]
        if predicted and own[KEYPOINT_OKS] is not None:
            record["keypoint_scores"] = own[KEYPOINT_OKS]
            record["visibility_scores"] = np.nan_to_num(v).tolist()
        records.append(record)
    return records


def _record(own: Mapping, image: Mapping, size: tuple[float, float]) -> dict:
    """Return what keypoint and box annotations share."""
    record = {"id": own[COCO_ID], "image_id": image["id"], CATEGORY_ID: own[CATEGORY_ID] or 1}
    if own[BOUNDING_BOX] is not None:
        record["bbox"] = [_clean(value) for value in np.array(own[BOUNDING_BOX]) * (*size, *size)]
    if own[AREA] is not None:
        record[AREA] = own[AREA]
    elif "bbox" in record:
        record[AREA] = record["bbox"][2] * record["bbox"][3]
    record[ISCROWD] = own[ISCROWD] or 0
    return {**record, **(json.loads(own[COCO_EXTRA]) if own[COCO_EXTRA] else {})}


def _box_records(samples, field: str, images: list[dict], sizes: np.ndarray) -> list[dict]:
    """Return the imported annotations that have a box but no keypoints."""
    boxes_field = boxes_field_of(field)
    if boxes_field not in samples.get_field_schema():
        return []
    names = (COCO_ID, CATEGORY_ID, ISCROWD, AREA, COCO_EXTRA, BOUNDING_BOX)
    columns = [samples.values(f"{boxes_field}.detections.{name}") for name in names]
    with_pose = set(samples.values(f"{field}.keypoints.coco_id", unwind=True))
    records = []
    for row, image in enumerate(images):
        people = zip(*(column[row] or () for column in columns), strict=True)
        for values in people:
            own = dict(zip(names, values, strict=True))
            if own[COCO_ID] is not None and own[COCO_ID] not in with_pose:
                records.append(_record(own, image, tuple(sizes[row])))
    return records


def _triples(points: np.ndarray, placed: np.ndarray, flags: np.ndarray) -> list:
    result: list = []
    for (x, y), there, flag in zip(points.tolist(), placed.tolist(), flags.tolist(), strict=True):
        result += [_clean(x), _clean(y), int(flag)] if there else [0, 0, 0]
    return result


def _clean(value: float) -> float | int:
    """Undo the rounding error of storing shares of the photo."""
    value = round(float(value), _DIGITS)
    return int(value) if value.is_integer() else value


def _category(samples, field: str) -> dict:
    from clickpose_fiftyone.skeletons import skeleton_of

    skeleton = skeleton_of(samples, field)
    edges = [[start + 1, end + 1] for start, end in skeleton.edges]
    return {"id": 1, "name": "person", "supercategory": "person", "keypoints": list(skeleton.names), "skeleton": edges}
