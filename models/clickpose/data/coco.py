"""Read COCO keypoint annotations: one record a person, coordinates in the annotation's image frame."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from clickpose.boxes import BODY_SHARE_OF_BOX
from clickpose.checks import as_array
from clickpose.data.json_file import read_json
from clickpose.data.records import ImageRecord, PersonRecord, PoseDataset
from clickpose.skeleton import COCO, Skeleton


@dataclass(frozen=True)
class CocoFields:
    """Where a data set in COCO's form keeps what COCO keeps elsewhere.

    Attributes:
        keypoints: returns the 3K keypoint numbers of an annotation; an empty list where it has none.
        area: returns an annotation's area in px².
        image_path: returns the path of an image entry, relative to the images' folder.
        check_names: whether categories list the joints of the skeleton, in its order.
    """

    keypoints: Callable[[dict], list] = field(default=lambda annotation: annotation.get("keypoints") or [])
    area: Callable[[dict], float] = field(default=lambda annotation: annotation["area"])
    image_path: Callable[[dict], str] = field(default=lambda image: image["file_name"])
    check_names: bool = True


def area_of_box(annotation: dict) -> float:
    """Return :data:`~clickpose.boxes.BODY_SHARE_OF_BOX` of the annotation's box, px²."""
    _, _, width, height = annotation["bbox"]
    return BODY_SHARE_OF_BOX * width * height


def read_coco_persons(folder: str | Path, skeleton: Skeleton = COCO) -> list[PersonRecord]:
    """Read ``folder/annotations.json`` and ``folder/images``.

    Keeps persons with at least one labelled keypoint, a box with an area, and no crowd flag.

    Raises:
        FileNotFoundError: if the folder has no ``annotations.json``.
        ValueError: if an annotation is broken, or the joints are others or in another order; names the file and what is
            wrong.
    """
    folder = Path(folder)
    return read_coco_dataset(folder / "annotations.json", folder / "images", skeleton).persons


def read_coco_dataset(
    path: str | Path,
    images: str | Path,
    skeleton: Skeleton = COCO,
    fields: CocoFields | None = None,
    name: str | None = None,
) -> PoseDataset:
    """Read a COCO keypoint file.

    Args:
        path: the JSON file.
        images: folder that its ``file_name`` entries are relative to.
        skeleton: the joints, in the file's order.
        fields: where the file keeps things; COCO's places by default.
        name: of the data set; by default the file's, or the folder's for ``annotations.json``.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is broken, or the joints are others or in another order; names the file, the id and what
            is wrong.
    """
    path, fields = Path(path), fields or CocoFields()
    content = read_json(path, "COCO keypoints")
    if not isinstance(content, Mapping):
        raise ValueError(f"Expected COCO keypoints in {path}, got a {type(content).__name__}")
    try:
        reader = _Reader(path, Path(images), skeleton, fields)
        return reader.read(content, name or (path.parent.name if path.name == "annotations.json" else path.stem))
    except KeyError as error:
        raise ValueError(f"Expected COCO keypoints in {path}, got an entry without {error}") from None
    except (TypeError, AttributeError) as error:
        raise ValueError(f"Expected COCO keypoints in {path}, got an entry of another form: {error}") from None


@contextmanager
def _naming_what_lacks(entry: str) -> Iterator[None]:
    """Turn a missing field into a sentence that names the entry."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"Expected {error} in {entry}, got an entry without it") from None


class _Reader:
    """Checks entry by entry, and counts what it leaves out."""

    def __init__(self, path: Path, folder: Path, skeleton: Skeleton, fields: CocoFields):
        self.path, self.folder, self.skeleton, self.fields = path, folder, skeleton, fields
        self.skipped: Counter[str] = Counter()

    def read(self, content: Mapping, name: str) -> PoseDataset:
        if self.fields.check_names:
            self._check_joint_order(content.get("categories", []))
        self._check_unique("images", content["images"])
        self._check_unique("annotations", content["annotations"])
        images = {}
        for image in self._of_known_size(content):
            with _naming_what_lacks(f"image {image['id']} of {self.path}"):
                images[image["id"]] = self._image(image)
        # A data set without a single occluded label does not tell visible from occluded.
        numbers = [self._numbers(annotation) for annotation in content["annotations"]]
        visibility_known = any(1 in values[2::3] for values in numbers)
        # Its boxes may lack the part of the body whose joints it never labels, such as LSPET's without faces.
        box_known = visibility_known or self._labels_every_joint(numbers)
        persons: list[PersonRecord] = []
        ignored: list[PersonRecord] = []
        for annotation, values in zip(content["annotations"], numbers, strict=True):
            with _naming_what_lacks(self._where(annotation)):
                record = self._person(annotation, values, images, visibility_known, box_known)
            if record is not None:
                (ignored if record.crowd or not record.labelled.any() else persons).append(record)
        return PoseDataset(
            name=name,
            skeleton=self.skeleton,
            images=list(images.values()),
            persons=persons,
            ignored=ignored,
            skipped=self.skipped,
        )

    def _numbers(self, annotation: dict) -> list:
        """Return the keypoint numbers of an annotation: 3K or none, but for crowds, where they do not count."""
        try:
            values = self.fields.keypoints(annotation)
        except ValueError as error:
            raise ValueError(f"{error} in {self._where(annotation)}") from None
        if len(values) not in (0, 3 * len(self.skeleton)) and not annotation.get("iscrowd"):
            raise ValueError(
                f"Expected {3 * len(self.skeleton)} keypoint numbers ({self.skeleton.name}) in "
                f"{self._where(annotation)}, got {len(values)}"
            )
        return values

    def _of_known_size(self, content: Mapping) -> list[dict]:
        """Leave out photos without people whose size the file does not tell, as Label Studio's exports do not."""
        peopled = {annotation["image_id"] for annotation in content["annotations"]}
        kept = [image for image in content["images"] if image["id"] in peopled or {"height", "width"} <= image.keys()]
        self.skipped["photos without people or a size"] += len(content["images"]) - len(kept)
        return kept

    def _labels_every_joint(self, numbers: Sequence[list]) -> bool:
        """Tell whether each joint is labelled on somebody."""
        labelled = {joint for values in numbers for joint, v in enumerate(values[2::3]) if v}
        return len(labelled) >= len(self.skeleton)

    def _check_joint_order(self, categories: list[dict]) -> None:
        """Refuse other joints, or the same in another order: the labels would be mixed up."""
        skeleton = self.skeleton
        for category in categories:
            names = category.get("keypoints")
            if names and [skeleton.match(name) for name in names] != list(range(len(skeleton))):
                raise ValueError(
                    f"Expected the joints {', '.join(skeleton.names)} in {self.path}, got {', '.join(names)}"
                )

    def _check_unique(self, what: str, entries: list[dict]) -> None:
        counts = Counter(entry["id"] for entry in entries)
        if twice := [id_ for id_, count in counts.items() if count > 1]:
            raise ValueError(f"Expected {what} of {self.path} with different ids, got {twice[0]} more than once")

    def _image(self, image: dict) -> ImageRecord:
        height, width = image["height"], image["width"]
        if not (height > 0 and width > 0):
            raise ValueError(
                f"Expected image {image['id']} of {self.path} with a height and width above 0, got {height}, {width}"
            )
        return ImageRecord(image["id"], self.folder / self.fields.image_path(image), (height, width))

    def _person(
        self, annotation: dict, values: list, images: dict, visibility_known: bool, box_known: bool
    ) -> PersonRecord | None:
        """Return the person, crowd or unlabelled person of an annotation; None, counted, for what is of no use."""
        crowd = bool(annotation.get("iscrowd"))
        labelled = not crowd and any(values[2::3])
        if not labelled:
            self.skipped["crowds" if crowd else "persons without a labelled joint"] += 1
        if annotation["image_id"] not in images:
            raise ValueError(
                f"Expected image {annotation['image_id']} of annotation {annotation['id']} in {self.path}, got none"
            )
        image = images[annotation["image_id"]]
        if not labelled and not annotation.get("bbox"):
            return None  # nothing tells where it is
        box_xyxy = self._box(annotation)
        if box_xyxy is None:
            self.skipped["boxes without an area"] += 1
            return None
        keypoints = self._keypoints(annotation, values) if labelled else np.zeros((len(self.skeleton), 3))
        self._count_outside(keypoints, image.image_hw)
        area = float(as_array(f"area in {self._where(annotation)}", self.fields.area(annotation), ()))
        if not (math.isfinite(area) and area >= 0):
            raise ValueError(f"Expected an area of 0 px² or more in {self._where(annotation)}, got {area}")
        return PersonRecord(
            annotation_id=annotation["id"],
            image_path=image.path,
            image_hw=image.image_hw,
            keypoints=keypoints[:, :2],
            visibility=keypoints[:, 2].astype(int),
            box_xyxy=box_xyxy,
            area=area,
            visibility_known=visibility_known,
            image_id=annotation["image_id"],
            crowd=crowd,
            box_known=box_known,
        )

    def _keypoints(self, annotation: dict, values: list) -> np.ndarray:
        keypoints = as_array(f"keypoints in {self._where(annotation)}", values, ("3K",)).reshape(-1, 3)
        if not np.isfinite(keypoints).all():
            raise ValueError(f"Expected finite keypoints in {self._where(annotation)}, got NaN or infinity")
        if wrong := sorted(set(keypoints[:, 2].tolist()) - {0, 1, 2}):
            raise ValueError(f"Expected visibility of 0, 1 or 2 in {self._where(annotation)}, got {wrong[0]:g}")
        return keypoints

    def _box(self, annotation: dict) -> np.ndarray | None:
        """Return (4,) xyxy px; None for a box without an area."""
        box = as_array(f"bbox (left, top, width, height) in {self._where(annotation)}", annotation["bbox"], (4,))
        if not np.isfinite(box).all():
            raise ValueError(f"Expected a finite bbox in {self._where(annotation)}, got {box.tolist()}")
        left, top, width, height = box
        return np.array([left, top, left + width, top + height]) if width > 0 and height > 0 else None

    def _count_outside(self, keypoints: np.ndarray, image_hw: tuple[int, int]) -> None:
        height, width = image_hw
        x, y, visibility = keypoints.T
        outside = (visibility > 0) & ((x < -1) | (y < -1) | (x > width + 1) | (y > height + 1))
        if outside.any():
            self.skipped["labelled joints outside their image, kept"] += int(outside.sum())

    def _where(self, annotation: dict) -> str:
        return f"annotation {annotation['id']} of {self.path}"
