"""Read COCO keypoint annotations: one record a person, coordinates in the annotation's image frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clickpose.boxes import BODY_SHARE_OF_BOX, xywh_to_xyxy
from clickpose.data.coco_categories import note_orders, person_categories
from clickpose.data.coco_extents import area_of_person, box_of_person, count_ignored
from clickpose.data.coco_fields import as_box, as_size
from clickpose.data.coco_records import CocoAnnotation, CocoImage, coco_images, read_annotations
from clickpose.data.json_file import read_json
from clickpose.data.notes import note
from clickpose.data.records import ImageRecord, PersonRecord, PoseDataset
from clickpose.skeleton import COCO, Skeleton


@dataclass(frozen=True)
class CocoFields:
    """Where a data set in COCO's form keeps what COCO keeps elsewhere.

    Attributes:
        keypoints: returns the 3K keypoint numbers of an annotation, an empty list where it has none; gets the
            annotation and its name for messages. None for COCO's place.
        area: returns an annotation's area in px², likewise.
        image_path: returns the path of an image, relative to the images' folder, of its ``file_name``.
        check_names: whether the categories list the joints of the annotations.
    """

    keypoints: Callable[[Mapping, str], list] | None = None
    area: Callable[[Mapping, str], float | None] | None = None
    image_path: Callable[[str], str] = str
    check_names: bool = True


def area_of_box(annotation: Mapping, where: str) -> float | None:
    """Return :data:`~clickpose.boxes.BODY_SHARE_OF_BOX` of the annotation's box, px²; None without one.

    Args:
        annotation: of the file.
        where: names it in messages.

    Raises:
        ValueError: if the box is broken.
    """
    box = as_box(annotation.get("bbox"), where)
    return None if box is None else BODY_SHARE_OF_BOX * float(box[2]) * float(box[3])


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
    reader = _Reader(path, Path(images), skeleton, fields)
    return reader.read(content, name or (path.parent.name if path.name == "annotations.json" else path.stem))


def stored_hw_of(image: CocoImage, where: str) -> tuple[int, int] | None:
    """Return the (height, width) px that a file says a photo is stored at, squeezed; None where it says nothing.

    Args:
        image: of the file.
        where: names it in messages.

    Raises:
        ValueError: for sides that are no numbers of pixels.
    """
    if not {"file_height", "file_width"} <= image.entry.keys():
        return None
    height, width = (as_size(image.entry[name], name, where) for name in ("file_height", "file_width"))
    return height, width


class _Reader:
    """Makes records of a file's people, and counts what it leaves out."""

    def __init__(self, path: Path, folder: Path, skeleton: Skeleton, fields: CocoFields):
        self.path, self.folder, self.skeleton, self.fields = path, folder, skeleton, fields
        self.skipped: Counter[str] = Counter()

    def read(self, content: Any, name: str) -> PoseDataset:
        source, fields = str(self.path), self.fields
        all_images = coco_images(content, source)
        categories = person_categories(content, self.skeleton, source, named=fields.check_names)
        note_orders(categories, self.skeleton, self.skipped)
        people = read_annotations(
            content,
            self.skeleton,
            source,
            categories=categories,
            keypoints=fields.keypoints,
            area=fields.area,
            notes=self.skipped,
        )
        count_ignored(people, self.skipped)
        images = {image.image_id: self._image(image) for image in self._of_known_size(all_images, people)}
        # A data set without a single occluded label does not tell visible from occluded.
        visibility_known = any((person.visibility == 1).any() for person in people)
        # Its boxes may lack the part of the body whose joints it never labels, such as LSPET's without faces.
        box_known = visibility_known or self._labels_every_joint(people)
        persons: list[PersonRecord] = []
        ignored: list[PersonRecord] = []
        for person in people:
            record = self._record(person, images[person.image_id], visibility_known, box_known)
            if record is not None:
                (persons if record.labelled.any() and not person.ignored else ignored).append(record)
        return PoseDataset(
            name=name,
            skeleton=self.skeleton,
            images=list(images.values()),
            persons=persons,
            ignored=ignored,
            skipped=self.skipped,
            category_ids=tuple(categories.orders),
            unsized_ids=tuple(image.image_id for image in all_images if image.image_id not in images),
        )

    def _of_known_size(self, images: Sequence[CocoImage], people: Sequence[CocoAnnotation]) -> list[CocoImage]:
        """Leave out photos without people whose size the file does not tell, as Label Studio's exports do not."""
        peopled = {person.image_id for person in people}
        kept = [image for image in images if image.image_id in peopled or image.image_hw]
        self.skipped["photos without people or a size"] += len(images) - len(kept)
        return kept

    def _labels_every_joint(self, people: Sequence[CocoAnnotation]) -> bool:
        """Tell whether each joint is labelled on somebody."""
        labelled = [person.labelled for person in people]
        return bool(labelled) and bool(np.any(labelled, axis=0).all())

    def _image(self, image: CocoImage) -> ImageRecord:
        where = f"image {image.image_id} of {self.path}"
        if image.image_hw is None:
            raise ValueError(f"Expected height and width in {where}, which has people, got none")
        if image.file_name is None:
            raise ValueError(f"Expected a file_name in {where}, got none")
        path = self.folder / self.fields.image_path(image.file_name)
        return ImageRecord(image.image_id, path, image.image_hw, stored_hw_of(image, where))

    def _record(
        self, person: CocoAnnotation, image: ImageRecord, visibility_known: bool, box_known: bool
    ) -> PersonRecord | None:
        """Return the record of a person; None, counted, for one to ignore that nothing tells the place of."""
        labelled = np.where(person.labelled[:, None], person.keypoints, np.nan)
        found = box_of_person(person, self.skipped)
        if found is None:
            return None
        box, own = found
        self._count_outside(labelled, image.image_hw)
        return PersonRecord(
            annotation_id=person.annotation_id,
            image_path=image.path,
            image_hw=image.image_hw,
            keypoints=np.nan_to_num(labelled),
            visibility=person.visibility,
            box_xyxy=xywh_to_xyxy(box),
            area=area_of_person(person, self.skipped),
            visibility_known=visibility_known,
            image_id=person.image_id,
            crowd=person.crowd,
            counted=not (person.ignored or person.labelled.any()),
            box_known=box_known and own,
            stored_hw=image.stored_hw,
            category_id=person.category_id,
        )

    def _count_outside(self, labelled: np.ndarray, image_hw: tuple[int, int]) -> None:
        height, width = image_hw
        x, y = labelled.T
        outside = (x < -1) | (y < -1) | (x > width + 1) | (y > height + 1)
        if outside.any():
            note(self.skipped, "labelled joints outside their image, kept", int(outside.sum()))
