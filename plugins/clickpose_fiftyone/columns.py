"""The persons of a view as flat arrays: columns are read and written whole, samples are never iterated.

FiftyOne's database answers one column of 40,000 persons in a fraction of a second and the same by a loop over samples
in half a minute. Positions are pixels of the photo here and 0..1 of its width and height in FiftyOne.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np

from clickpose.boxes import enclosing_box, xywh_to_xyxy
from clickpose.skeleton import Skeleton
from clickpose.structures import Poses
from clickpose_fiftyone.checks import image_sizes, require_keypoints
from clickpose_fiftyone.column_writes import plain, write_columns
from clickpose_fiftyone.conversion import absent_joints
from clickpose_fiftyone.field_names import (
    BOUNDING_BOX,
    FIXED,
    KEYPOINT_OKS,
    LOWEST_OF_INFO,
    MIN_PRED_OKS,
    POINTS,
    PRED_OKS,
    REJECTED,
    TAGS,
    VISIBILITY,
    people_path,
)
from clickpose_fiftyone.fiftyone_internals import ID, dataset_of, is_generated, raw_columns
from clickpose_fiftyone.person_values import Shape, flatten, numbers, read_values, shape_of
from clickpose_fiftyone.skeletons import skeleton_of

_PHOTOS_AT_ONCE = 5_000  # that are written together, where progress is told
POSE_ATTRIBUTES = (POINTS, VISIBILITY, KEYPOINT_OKS, FIXED, BOUNDING_BOX, PRED_OKS)


class PersonColumns:
    """The N persons of one Keypoints field of a view, in the view's order.

    Those whom somebody rejected ("not a person") are none of them: whatever is computed, drawn, sent or written to a
    file is so of the others. Only who asks for them gets them.

    Args:
        samples: a dataset or view of images.
        field: name of its Keypoints field.
        skeleton: its joints; by default what the dataset names.
        image_wh: (S, 2) width and height of the photos, pixels; by default their own.
        attributes: of the persons, read together with their ids; others are read when they are asked for, and kept.
        rejected: with the persons whom somebody rejected.
        known: what of them is known already, with everybody; see :func:`clickpose_fiftyone.followed.people_known`.

    Attributes:
        counts: (S,) persons of each sample.
        has_label: (S,) False where the sample's field is None.

    Raises:
        ValueError: if the collection or the field cannot serve.
    """

    def __init__(
        self, samples, field: str, skeleton: Skeleton | None = None, image_wh: np.ndarray | None = None,
        attributes: Sequence[str] = (), rejected: bool = False, known: Mapping[str, list] | None = None,
    ):  # fmt: skip
        require_keypoints(samples, field)
        self._everybody = rejected or is_generated(samples)  # there columns are written whole
        if skeleton is not None:
            self.skeleton = skeleton
        if image_wh is not None:
            self.image_wh = image_wh
        self.samples = samples
        self.field = field
        self._path = people_path(field)
        self._read: dict[str, list] = {}  # attribute -> N values as they are stored
        self._arrays: dict[str, np.ndarray] = {}  # attribute -> (N, …) numbers
        self._ids, self._nested_ids = self._read_ids(attributes, known)
        self.has_label = np.array([ids is not None for ids in self._nested_ids], bool)
        self.counts = np.array([len(ids or ()) for ids in self._nested_ids], int)

    def __len__(self) -> int:
        return int(self.counts.sum())

    @cached_property
    def label_ids(self) -> list[str]:
        """N ids of the persons' labels."""
        return flatten(self._nested_ids)

    @cached_property
    def sample_ids(self) -> np.ndarray:
        """(S,) ids of the samples."""
        return np.array(self._ids, dtype=object)

    @cached_property
    def rows(self) -> np.ndarray:
        """(N,) index of each person's sample."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @cached_property
    def skeleton(self) -> Skeleton:
        """The K joints of the field."""
        return skeleton_of(self.samples, self.field)

    @cached_property
    def image_wh(self) -> np.ndarray:
        """(S, 2) width and height of the photos, pixels; NaN where nobody is and it is not known."""
        return image_sizes(self.samples, self.counts > 0)

    def values(self, attribute: str) -> list:
        """Return N values of an attribute as they are stored; None where a person has none. Do not change them."""
        self.read_stored(attribute)
        return self._read[attribute]

    def read_stored(self, *attributes: str) -> None:
        """Read attributes together as they are stored, for :meth:`values`."""
        if new := [name for name in attributes if name not in self._read]:
            found, _ = read_values(self.samples, {name: self._expression(name) for name in new}, {})
            self._keep(found, {})

    def read(self, *attributes: str) -> None:
        """Read attributes together, which takes little longer than one: the database looks at each photo once.

        Those that are numbers are kept as arrays, the others as they are stored.
        """
        new = [name for name in attributes if name not in self._read and name not in self._arrays]
        if new:
            expressions = {name: self._expression(name) for name in new}
            self._keep(*read_values(self.samples, expressions, self._shapes(new)))

    def _read_ids(self, attributes: Sequence[str], known: Mapping[str, list] | None) -> tuple[list[str], list]:
        """Read the ids of photos and people, and attributes of the people with them."""
        wanted = {"": f"${ID}", "people": self._expression(ID)}
        wanted |= {name: self._expression(name) for name in attributes}
        given = (dict(known), {}) if known is not None else read_values(self.samples, wanted, self._shapes(attributes))
        found, arrays = given
        photos, people = found.pop(""), found.pop("people")
        self._keep({name: found[name] for name in attributes if name in found}, arrays)
        return list(map(str, photos)), [None if ids is None else list(map(str, ids)) for ids in people]

    def _expression(self, attribute: str) -> dict:
        return people_expression(self.field, attribute, self._everybody)

    def _shapes(self, attributes: Sequence[str]) -> dict[str, Shape]:
        """Return the shapes of one person's numbers, of attributes that are numbers; none where joints are unknown."""
        try:
            shapes = {name: shape_of(name, len(self.skeleton)) for name in attributes}
        except ValueError:  # told to whoever asks for joints
            return {}
        return {name: shape for name, shape in shapes.items() if shape is not None}

    def _keep(self, nested: Mapping[str, list], arrays: Mapping[str, np.ndarray]) -> None:
        self._read.update({name: flatten(values) for name, values in nested.items()})
        self._arrays.update(arrays)

    def scalars(self, attribute: str) -> np.ndarray:
        """Return an attribute with one number a person: (N,); NaN where there is none.

        Raises:
            ValueError: if the values are not numbers.
        """
        return self._array(attribute, ()).copy()

    def joints(self, attribute: str) -> np.ndarray:
        """Return an attribute with one number a joint: (N, K); NaN where there is none.

        Raises:
            ValueError: if a person has another number of values than the skeleton joints.
        """
        return self._array(attribute, (len(self.skeleton),)).copy()

    def _array(self, attribute: str, shape: Shape) -> np.ndarray:
        """Return the (N, *shape) numbers of an attribute; not to be changed.

        Raises:
            ValueError: for other values.
        """
        self.read(attribute)
        known = self._arrays.get(attribute)
        if known is None or known.shape[1:] != shape:
            try:
                known = numbers(self.values(attribute), shape)
            except (ValueError, TypeError):
                name, wanted = f"{self.field}.{attribute}", (len(self), *shape)
                raise ValueError(
                    f"Expected numbers of shape {wanted} in {name}, got other values in some persons"
                ) from None
            self._arrays[attribute] = known
        return known

    @cached_property
    def points(self) -> np.ndarray:
        """(N, K, 2) in 0..1 of the photos, as they are stored, also of joints that are not there; not to be changed."""
        return self._array(POINTS, (len(self.skeleton), 2))

    @cached_property
    def fixed(self) -> np.ndarray:
        """(N, K) True where a human placed the joint."""
        return np.nan_to_num(self.joints(FIXED)) > 0

    @cached_property
    def placed(self) -> np.ndarray:
        """(N, K) True for joints that are there; see :mod:`clickpose_fiftyone.conversion`."""
        self.read(POINTS, VISIBILITY, KEYPOINT_OKS)
        return ~absent_joints(self.points, self.joints(VISIBILITY), self.joints(KEYPOINT_OKS))

    @cached_property
    def keypoints(self) -> np.ndarray:
        """(N, K, 2) px; NaN where a joint is not there."""
        pixels = self.points * self.image_wh[self.rows][:, None]
        return np.where(self.placed[..., None], pixels, np.nan)

    @cached_property
    def boxes_xyxy(self) -> np.ndarray:
        """(N, 4) px: each person's own box, else the one around the placed joints; NaN for a person without any."""
        boxes = xywh_to_xyxy(self._array(BOUNDING_BOX, (4,)) * np.tile(self.image_wh[self.rows], 2))
        for person in np.flatnonzero(~np.isfinite(boxes).all(axis=1)):
            if np.isfinite(self.keypoints[person]).all(axis=-1).any():
                boxes[person] = enclosing_box(self.keypoints[person])
        return boxes

    def poses(self) -> Poses:
        """Return all N persons as poses; scores that are not stored are 0, visibilities 1."""
        self.read(*POSE_ATTRIBUTES)
        visibility = self.joints(VISIBILITY)
        return Poses(
            skeleton=self.skeleton,
            keypoints=self.keypoints,
            boxes_xyxy=self.boxes_xyxy,
            keypoint_scores=np.nan_to_num(self.joints(KEYPOINT_OKS)),
            visibility_scores=np.where(np.isfinite(visibility), visibility, 1.0),
            instance_scores=np.nan_to_num(self.scalars(PRED_OKS)),
            fixed=self.fixed & self.placed,
        )

    def write(self, attribute: str, values: Sequence | np.ndarray) -> None:
        """Write one attribute of all persons; see :meth:`write_all`."""
        self.write_all({attribute: values})

    def write_all(self, persons: Mapping[str, Sequence], photos: Mapping[str, np.ndarray] | None = None) -> None:
        """Write attributes of all persons and fields of all photos at once.

        Args:
            persons: attribute -> N numbers, texts or lists, or an array of shape (N,) or (N, K); a NaN of (N,) is
                written as None. New ones are declared in the dataset's schema, so that the app can filter by them.
            photos: sample field -> (S,) numbers; NaN is written as None.

        Raises:
            ValueError: if there are not N (S) values, or a field exists and holds something else; nothing is written.
        """
        photos = photos or {}
        for columns, count in ((persons, len(self)), (photos, len(self.counts))):
            for name, values in columns.items():
                if len(values) != count:
                    raise ValueError(f"Expected {count} values of {self.field} {name}, got {len(values)}")
        nested = {name: self.nest(plain(values)) for name, values in persons.items()}
        single = {name: plain(values) for name, values in photos.items()}
        write_columns(self.samples, self._path, self._nested_ids, nested, single)
        self.forget(*persons)

    def forget(self, *attributes: str) -> None:
        """Read attributes anew when they are asked for next: they were written."""
        for name in attributes:
            self._read.pop(name, None)
            self._arrays.pop(name, None)

    def parts(self) -> Iterator[tuple[slice, PersonColumns]]:
        """Yield some thousand photos after another: which of the N persons are in them, and these persons alone.

        What was read of them goes along. Copies of people, such as patches, are written whole: they are one part.
        """
        total, ends = len(self.counts), np.concatenate([[0], np.cumsum(self.counts)])
        size = total if is_generated(self.samples) else _PHOTOS_AT_ONCE
        for start in range(0, total, max(size, 1)):
            photos = slice(start, min(start + size, total))
            people = slice(ends[photos.start], ends[photos.stop])
            yield people, self if photos.stop - start == total else self._part(photos, people)

    def _part(self, photos: slice, people: slice) -> PersonColumns:
        known = {"": self._ids[photos], "people": self._nested_ids[photos]}
        view = dataset_of(self.samples).select(known[""], ordered=True)
        part = PersonColumns(
            view, self.field, self.__dict__.get("skeleton"), rejected=self._everybody, known=known,
            image_wh=self.image_wh[photos] if "image_wh" in self.__dict__ else None,
        )  # fmt: skip
        part._read = {name: values[people] for name, values in self._read.items()}
        part._arrays = {name: values[people] for name, values in self._arrays.items()}
        return part

    def nest(self, values: Sequence) -> list:
        """Return N flat values as one list a sample; None for a sample whose field is None."""
        ends = np.cumsum(self.counts).tolist()
        return [
            list(values[end - count : end]) if labelled else None
            for end, count, labelled in zip(ends, self.counts.tolist(), self.has_label.tolist(), strict=True)
        ]

    def smallest(self, values: np.ndarray) -> np.ndarray:
        """Return the (S,) smallest of the (N,) persons' values in each sample; NaN for one without."""
        result = np.full(len(self.counts), np.inf)
        np.minimum.at(result, self.rows, np.where(np.isfinite(values), values, np.inf))
        return np.where(np.isfinite(result), result, np.nan)

    def totals(self, values: np.ndarray) -> np.ndarray:
        """Return the (S,) int sums of the (N,) persons' counts."""
        return np.bincount(self.rows, weights=values, minlength=len(self.counts)).astype(int)


def lowest_oks(columns: PersonColumns, pred_oks: np.ndarray) -> dict[str, np.ndarray]:
    """Return the sample field with each photo's lowest predicted OKS, for :meth:`PersonColumns.write_all`."""
    return {MIN_PRED_OKS: columns.smallest(pred_oks)}


def index_lowest_oks(columns: PersonColumns) -> None:
    """Make sorting by the lowest predicted OKS take milliseconds, and note whose it is: there may be several fields."""
    dataset = dataset_of(columns.samples)
    if dataset.get_field(MIN_PRED_OKS) is None:
        return
    dataset.create_index(MIN_PRED_OKS)
    if dataset.info.get(LOWEST_OF_INFO) == columns.field:
        return
    if len(columns.counts) < len(dataset):  # the other photos have another field's
        everybody = PersonColumns(dataset, columns.field)
        everybody.write_all({}, lowest_oks(everybody, everybody.scalars(PRED_OKS)))
    dataset.info[LOWEST_OF_INFO] = columns.field
    dataset.save()


def lowest_oks_field(samples) -> str | None:
    """Return the field whose lowest predicted OKS the photos have; None where they have none, or that field is gone."""
    field = None if samples.get_field(MIN_PRED_OKS) is None else dataset_of(samples).info.get(LOWEST_OF_INFO)
    return None if field is None or samples.get_field(field) is None else field


def of_photos_columns(samples, field: str) -> bool:
    """Tell whether the photos' own columns are of a field, or of none yet.

    Views are sorted by them, saved ones as well: work on another field leaves them, and only a wish to see that one
    worst first takes them over.
    """
    return lowest_oks_field(samples) in (None, field)


def people_expression(field: str, attribute: str, rejected: bool = True) -> dict:
    """Return the database's expression of one value for each person of a photo; None where a person has none.

    Args:
        field: Keypoints field.
        attribute: of its people.
        rejected: also of those whom somebody rejected.
    """
    value, people = {"$ifNull": [f"$$person.{attribute}", None]}, f"${people_path(field)}"
    if not rejected:
        is_rejected = {"$in": [REJECTED, {"$ifNull": [f"$$person.{TAGS}", []]}]}
        people = {"$filter": {"input": people, "as": "person", "cond": {"$not": [is_rejected]}}}
    return {"$map": {"input": people, "as": "person", "in": value}}


def count_rejected(samples, field: str) -> int:
    """Return how many people of a field somebody rejected."""
    tags = raw_columns(samples, {TAGS: people_expression(field, TAGS)})[TAGS]
    return sum(REJECTED in (known or ()) for people in tags for known in people or ())
