"""Read COCO keypoint annotations: one record a person, coordinates in the annotation's image frame."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clickpose.skeleton import COCO, Skeleton


@dataclass(frozen=True, eq=False)
class PersonRecord:
    """One annotated person.

    Attributes:
        annotation_id: id in the file.
        image_path: the photo.
        image_hw: height and width that the coordinates refer to; the file may be stored at another size.
        keypoints: (K, 2) px; 0 where not labelled.
        visibility: (K,) int 0/1/2.
        box_xyxy: (4,) px.
        area: px², the annotation's own.
        visibility_known: False where the data set does not tell visible from occluded.
    """

    annotation_id: int
    image_path: Path
    image_hw: tuple[int, int]
    keypoints: np.ndarray
    visibility: np.ndarray
    box_xyxy: np.ndarray
    area: float
    visibility_known: bool

    @property
    def labelled(self) -> np.ndarray:
        """(K,) bool."""
        return self.visibility > 0


def read_coco_persons(folder: str | Path, skeleton: Skeleton = COCO) -> list[PersonRecord]:
    """Read ``folder/annotations.json`` and ``folder/images``.

    Keeps persons with at least one labelled keypoint, a box with an area, and no crowd flag.

    Raises:
        FileNotFoundError: if the folder has no ``annotations.json``.
        ValueError: if an annotation is broken, or the joints are others or in another order; names the file and what is
            wrong.
    """
    folder = Path(folder)
    path = folder / "annotations.json"
    if not path.is_file():
        raise FileNotFoundError(f"Expected COCO keypoints at {path}, found no such file")
    try:
        return _read_records(json.loads(path.read_text(encoding="utf-8")), folder, skeleton)
    except KeyError as error:
        raise ValueError(f"Expected COCO keypoints in {path}, got an entry without {error}") from None


def _read_records(content: dict, folder: Path, skeleton: Skeleton) -> list[PersonRecord]:
    path = folder / "annotations.json"
    _check_joint_order(content.get("categories", []), skeleton, path)
    images = {image["id"]: image for image in content["images"]}
    labelled = [annotation for annotation in content["annotations"] if any(annotation.get("keypoints", [])[2::3])]
    # A data set without a single occluded label does not tell visible from occluded.
    visibility_known = any(1 in annotation["keypoints"][2::3] for annotation in labelled)
    records = []
    for annotation in labelled:
        if annotation.get("iscrowd"):
            continue
        if annotation["image_id"] not in images:
            raise ValueError(
                f"Expected image {annotation['image_id']} of annotation {annotation['id']} in {path}, got none"
            )
        record = _person_record(annotation, images[annotation["image_id"]], folder, skeleton, visibility_known)
        if record is not None:
            records.append(record)
    return records


def _check_joint_order(categories: list[dict], skeleton: Skeleton, path: Path) -> None:
    """Refuse a file whose categories name other joints, or the same in another order: the labels would be mixed up."""
    for category in categories:
        names = category.get("keypoints")
        if names and [skeleton.match(name) for name in names] != list(range(len(skeleton))):
            raise ValueError(f"Expected the joints {', '.join(skeleton.names)} in {path}, got {', '.join(names)}")


def _person_record(
    annotation: dict, image: dict, folder: Path, skeleton: Skeleton, visibility_known: bool
) -> PersonRecord | None:
    values = np.asarray(annotation["keypoints"], dtype=np.float64)
    if values.size != 3 * len(skeleton):
        raise ValueError(
            f"Expected {3 * len(skeleton)} keypoint numbers ({skeleton.name}) in annotation {annotation['id']} of "
            f"{folder / 'annotations.json'}, got {values.size}"
        )
    left, top, width, height = annotation["bbox"]
    if width <= 0 or height <= 0:
        return None
    keypoints = values.reshape(-1, 3)
    return PersonRecord(
        annotation["id"],
        folder / "images" / image["file_name"],
        (image["height"], image["width"]),
        keypoints[:, :2],
        keypoints[:, 2].astype(int),
        np.array([left, top, left + width, top + height], dtype=np.float64),
        float(annotation["area"]),
        visibility_known,
    )
