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
from clickpose_fiftyone.fiftyone_internals import dataset_of
from clickpose_fiftyone.predict import boxes_field_of

INFO = "clickpose_coco"
IMAGE_FIELD = "coco_image"
EXTRA = "coco_extra"
_DIGITS = 9  # undoes the rounding of x / width * width
_OWN_KEYS = {"id", "image_id", "category_id", "keypoints", "bbox", "area", "iscrowd", "score"}


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
    field: str = "gt",
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
    dataset.info[INFO] = {**(dataset.info.get(INFO) or {}), field: json.dumps(rest)}
    dataset.save()
    return ExchangeSummary(len(records), sum(len(keypoints.keypoints) for keypoints, _ in labels))


def export_coco(samples, path: str | Path, field: str = "gt") -> ExchangeSummary:
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


def to_coco(samples, field: str = "gt") -> dict:
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
    rest = (dataset_of(samples).info.get(INFO) or {}).get(field)
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
            "label": categories.get(annotation.get("category_id"), "person"),
            "instance": link,
            "coco_id": annotation.get("id"),
            "category_id": annotation.get("category_id"),
            "iscrowd": annotation.get("iscrowd"),
            "area": annotation.get("area"),
            EXTRA: json.dumps({key: value for key, value in annotation.items() if key not in _OWN_KEYS}),
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
        shared["pred_oks"] = shared["score_raw"] = float(annotation["score"])
    extra = {name: annotation.get(name) for name in ("keypoint_scores", "visibility_scores")}
    if extra["keypoint_scores"] is not None:
        shared["keypoint_oks"] = shared["confidence"] = list(map(float, extra["keypoint_scores"]))
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
        view.set_values(IMAGE_FIELD, [json.dumps(record) for record in records])
        write_labels(
            view,
            {
                field: (fo.Keypoints, [label_documents(keypoints) for keypoints, _ in labels]),
                boxes_field_of(field): (fo.Detections, [label_documents(boxes) for _, boxes in labels]),
            },
        )


def _image_records(samples, sizes: np.ndarray) -> list[dict]:
    paths = samples.values("filepath")
    stored = samples.values(IMAGE_FIELD) if IMAGE_FIELD in samples.get_field_schema() else [None] * len(paths)
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
    names = ("coco_id", "category_id", "iscrowd", "area", EXTRA, "bounding_box", "pred_oks", "keypoint_oks")
    stored = dict(zip(names, (columns.values(name) for name in names), strict=True))
    visibility = columns.joints("visibility")
    records = []
    for person in range(len(columns)):
        own = {name: values[person] for name, values in stored.items()}
        width, height = columns.image_wh[columns.rows[person]]
        record = _record(own, images[columns.rows[person]], (width, height))
        predicted = own["pred_oks"] is not None and own["coco_id"] is None
        v = visibility[person]
        points = columns.keypoints[person]
        placed = np.isfinite(points).all(axis=1)
        flags = np.where(v >= VISIBLE_FROM, 2, 1) if predicted else np.where(np.isfinite(v), v, 2)
        flags = np.where(placed, flags, 0)
        record["keypoints"] = _triples(points, placed, flags)
        if "num_keypoints" not in record:
            record["num_keypoints"] = int((flags > 0).sum())
        if own["pred_oks"] is not None:
            record["score"] = own["pred_oks"]
        if predicted and own["keypoint_oks"] is not None:
            record["keypoint_scores"] = own["keypoint_oks"]
            record["visibility_scores"] = np.nan_to_num(v).tolist()
        records.append(record)
    return records


def _record(own: Mapping, image: Mapping, size: tuple[float, float]) -> dict:
    """Return what keypoint and box annotations share."""
    record = {"id": own["coco_id"], "image_id": image["id"], "category_id": own["category_id"] or 1}
    if own["bounding_box"] is not None:
        record["bbox"] = [_clean(value) for value in np.array(own["bounding_box"]) * (*size, *size)]
    if own["area"] is not None:
        record["area"] = own["area"]
    elif "bbox" in record:
        record["area"] = record["bbox"][2] * record["bbox"][3]
    record["iscrowd"] = own["iscrowd"] or 0
    return {**record, **(json.loads(own[EXTRA]) if own[EXTRA] else {})}


def _box_records(samples, field: str, images: list[dict], sizes: np.ndarray) -> list[dict]:
    """Return the imported annotations that have a box but no keypoints."""
    boxes_field = boxes_field_of(field)
    if boxes_field not in samples.get_field_schema():
        return []
    names = ("coco_id", "category_id", "iscrowd", "area", EXTRA, "bounding_box")
    columns = [samples.values(f"{boxes_field}.detections.{name}") for name in names]
    with_pose = set(samples.values(f"{field}.keypoints.coco_id", unwind=True))
    records = []
    for row, image in enumerate(images):
        people = zip(*(column[row] or () for column in columns), strict=True)
        for values in people:
            own = dict(zip(names, values, strict=True))
            if own["coco_id"] is not None and own["coco_id"] not in with_pose:
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
