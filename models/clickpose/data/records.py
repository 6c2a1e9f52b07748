"""Annotated persons of a data set: the one form that every reader fills and that training and evaluation use."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np

from clickpose.boxes import xyxy_to_xywh
from clickpose.data.coco_categories import PERSON_CATEGORY
from clickpose.data.notes import told
from clickpose.metrics.inputs import as_ids
from clickpose.metrics.keypoint_sets import KeypointTruth
from clickpose.skeleton import Skeleton


@dataclass(frozen=True, eq=False, kw_only=True)
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
        image_id: of the photo, in the file.
        crowd: True for a region of many people.
        counted: True for one without a labelled joint whom the file's ``num_keypoints`` makes somebody to find, as in
            COCO's figures.
        head_size: px, what MPII measures distances in; None where the data set has none.
        box_known: False where the box was made around the labelled joints, and may lack a part of the person.
        stored_hw: height and width that the data set says the photo's file has, where it is squeezed to another shape.
        category_id: which of the data set's categories of people.
    """

    annotation_id: Hashable
    image_path: Path
    image_hw: tuple[int, int]
    keypoints: np.ndarray
    visibility: np.ndarray
    box_xyxy: np.ndarray
    area: float
    visibility_known: bool
    image_id: Hashable = None
    crowd: bool = False
    counted: bool = False
    head_size: float | None = None
    box_known: bool = True
    stored_hw: tuple[int, int] | None = None
    category_id: Hashable = PERSON_CATEGORY

    @property
    def labelled(self) -> np.ndarray:
        """(K,) bool."""
        return self.visibility > 0


def labels_digest(records: Iterable[PersonRecord]) -> str:
    """Return a SHA-256 in hex that changes with the persons, their order, a corrected label, or a photo's place."""
    digest = hashlib.sha256()
    for record in records:
        for part in fields(record):
            value = getattr(record, part.name)
            if isinstance(value, np.ndarray):
                digest.update(np.ascontiguousarray(value, dtype=np.float64).tobytes())
            else:
                digest.update(f"{value.resolve() if isinstance(value, Path) else value!r}\0".encode())
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class ImageRecord:
    """One photo.

    Attributes:
        image_id: in the file.
        path: where it lies.
        image_hw: height and width that annotations refer to.
        stored_hw: height and width that the data set says the file has, where it is squeezed to another shape.
    """

    image_id: Hashable
    path: Path
    image_hw: tuple[int, int]
    stored_hw: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class PoseDataset:
    """An annotated data set.

    Attributes:
        name: for reports.
        skeleton: its K joints with its own sigmas.
        images: all photos, also those without people.
        persons: people with a labelled joint and a box with an area: who is to be found.
        ignored: everybody else whose place is known: crowds, people whom COCO's ``num_keypoints`` of 0 or the lack of a
            labelled joint makes ignored; a pose found there is neither right nor wrong.
        skipped: what the reader left out or found odd -> how often.
        groups: image ids by name, where a data set is also reported by part (CrowdPose: easy, medium, hard).
        category_ids: of people, where the file lists categories; others' results are not of them.
        unsized_ids: of photos without people whose size the file does not tell, which are not in ``images``.
    """

    name: str
    skeleton: Skeleton
    images: list[ImageRecord]
    persons: list[PersonRecord]
    ignored: list[PersonRecord] = field(default_factory=list)
    skipped: Mapping[str, int] = field(default_factory=Counter)
    groups: Mapping[str, list[Hashable]] = field(default_factory=dict)
    category_ids: tuple[Hashable, ...] = ()
    unsized_ids: tuple[Hashable, ...] = ()

    def report(self) -> str:
        """Say in one sentence what was read and what was left out."""
        notes = told(self.skipped)
        total = f"{self.name}: {len(self.images)} images, {len(self.persons)} persons with {len(self.skeleton)} joints"
        return total + (f" ({notes})" if notes else "")

    def persons_by_image(self) -> dict[Hashable, list[int]]:
        """Return the indices of every image's persons, in the file's order; an empty list for images without people."""
        found: dict[Hashable, list[int]] = {image.image_id: [] for image in self.images}
        for index, person in enumerate(self.persons):
            found[person.image_id].append(index)
        return found

    def truth(self) -> KeypointTruth:
        """Return persons, then ignored ones, as the arrays that the metrics take."""
        everybody = [*self.persons, *self.ignored]
        count, joints = len(everybody), len(self.skeleton)
        return KeypointTruth(
            keypoints=np.reshape([p.keypoints for p in everybody], (count, joints, 2)),
            visibility=np.reshape([p.visibility for p in everybody], (count, joints)),
            areas=np.array([p.area for p in everybody], dtype=np.float64),
            boxes_xywh=xyxy_to_xywh(np.reshape([p.box_xyxy for p in everybody], (count, 4))),
            image_ids=as_ids("image_ids", [p.image_id for p in everybody], count),
            crowd=np.array([p.crowd for p in everybody], dtype=bool),
            ignored=np.array([i >= len(self.persons) and not p.counted for i, p in enumerate(everybody)], dtype=bool),
            category_ids=as_ids("category_ids", [p.category_id for p in everybody], count),
        )

    def with_joints(self, joints: Sequence[int]) -> PoseDataset:
        """Keep some joints, in the given order; people who have none of them labelled become ignored."""
        joints = list(joints)
        if joints == list(range(len(self.skeleton))):
            return self

        def reduced(person: PersonRecord) -> PersonRecord:
            return replace(person, keypoints=person.keypoints[joints], visibility=person.visibility[joints])

        everybody = [reduced(person) for person in self.persons]
        ignored = [reduced(person) for person in self.ignored]
        return replace(
            self,
            skeleton=self.skeleton.subset(joints, f"{self.skeleton.name}-{len(joints)}"),
            persons=[person for person in everybody if person.labelled.any()],
            ignored=ignored + [person for person in everybody if not person.labelled.any()],
        )

    def first_images(self, count: int) -> PoseDataset:
        """Keep the first ``count`` images."""
        return self._with_images(self.images[:count])

    def drawn_images(self, count: int, seed: int) -> PoseDataset:
        """Keep ``count`` photos with people, drawn by ``seed``; a larger count keeps those of a smaller one.

        Raises:
            ValueError: if there are not so many.
        """
        people = self.persons_by_image()
        photos = [image for image in self.images if people[image.image_id]]
        if not 0 < count <= len(photos):
            raise ValueError(f"Expected 1 to {len(photos)} images, the photos with people, got {count}")
        drawn = np.random.default_rng(seed).permutation(len(photos))[:count]
        return self._with_images([photos[i] for i in sorted(drawn)])

    def _with_images(self, images: list[ImageRecord]) -> PoseDataset:
        kept = {image.image_id for image in images}
        return replace(
            self,
            images=images,
            persons=[person for person in self.persons if person.image_id in kept],
            ignored=[person for person in self.ignored if person.image_id in kept],
            groups={name: [i for i in ids if i in kept] for name, ids in self.groups.items()},
            unsized_ids=(),
        )
