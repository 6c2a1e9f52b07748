"""Two fields side by side, two networks or before and after corrections: the joints that differ most in OKS."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import fiftyone as fo
import numpy as np

from clickpose.boxes import BODY_SHARE_OF_BOX, box_area
from clickpose.metrics.agreement import Agreement, PoseSet, compare_poses
from clickpose.metrics.oks import keypoint_oks
from clickpose_fiftyone.checks import people, require_keypoints, require_samples, require_writable
from clickpose_fiftyone.colours import dataset_scheme, score_bins
from clickpose_fiftyone.columns import POSE_ATTRIBUTES, PersonColumns
from clickpose_fiftyone.field_names import AREA, HISTORY, JOINT_OKS, OKS_BIN, differences_field_of
from clickpose_fiftyone.fiftyone_internals import dataset_of
from clickpose_fiftyone.joint_fields import write_joints
from clickpose_fiftyone.kept import kept_while_unchanged
from clickpose_fiftyone.people_views import of_photos
from clickpose_fiftyone.truth import require_same_joints

BEFORE = "(before corrections)"  # in place of a second field: the first one, as its network left it
AGREES_FROM = 0.85  # OKS from which a joint counts as the same


@dataclass(frozen=True, kw_only=True)
class JointDifference:
    """A joint that two fields have at different places.

    Attributes:
        sample_id: its photo.
        label_id, other_id: the person in the first and in the second field.
        joint: its name.
        oks: of the two places with each other.
        first_oks, second_oks: of each with the labels; NaN where nothing is labelled.
    """

    sample_id: str
    label_id: str
    other_id: str
    joint: str
    oks: float
    first_oks: float = float("nan")
    second_oks: float = float("nan")


@dataclass(frozen=True, eq=False, kw_only=True)
class FieldComparison:
    """How far two fields agree.

    Attributes:
        field, other: their names; :data:`BEFORE` for the first one's originals.
        joints: K names.
        agreement: (M, K) OKS of the joints of people whom both have; NaN where neither has the joint.
        label_ids, other_ids: M people.
        differences: joints below :data:`AGREES_FROM`, the most different first.
        only_first, only_second: ids of people whom only one has.
    """

    field: str
    other: str
    joints: tuple[str, ...]
    agreement: np.ndarray
    label_ids: tuple[str, ...]
    other_ids: tuple[str, ...]
    differences: tuple[JointDifference, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]

    @property
    def by_joint(self) -> np.ndarray:
        """(K,) mean OKS of each joint; NaN where nobody has it."""
        there = np.isfinite(self.agreement)
        total = np.where(there, self.agreement, 0).sum(axis=0)
        return np.divide(total, there.sum(axis=0), out=np.full(len(self.joints), np.nan), where=there.any(axis=0))

    def __str__(self) -> str:
        if not len(self.agreement):
            return f"Nobody is in both: {people(len(self.only_first))} only in {self.field}, "\
                   f"{len(self.only_second)} only in {self.other}."  # fmt: skip
        mean = float(np.nanmean(self.agreement)) if np.isfinite(self.agreement).any() else float("nan")
        text = f"{people(len(self.agreement))} in both, OKS {mean:.3f}; {len(self.differences)} joints differ"
        for name, ids in ((self.field, self.only_first), (self.other, self.only_second)):
            text += f"; {len(ids)} only in {name}" if ids else ""
        return f"{text}."


@of_photos
def compare_fields(
    samples, field: str, other: str = BEFORE, gt_field: str | None = None, write: bool = True
) -> FieldComparison:
    """Find the joints that two fields have at different places.

    Args:
        samples: a dataset or view of images.
        field: Keypoints field.
        other: another one with the same joints; :data:`BEFORE` for what people of the first one were before somebody
            corrected them (others are the same, and not compared).
        gt_field: labels, which tell which of the two is nearer; None for none.
        write: show the different joints as a field of their own, ``<field>_differences``, in the colour of their OKS.

    Raises:
        ValueError: if the fields cannot serve, or nobody was corrected.
    """
    require_samples(samples)
    require_keypoints(samples, field, *([] if other == BEFORE else [other]), *([gt_field] if gt_field else []))
    if other == field:
        raise ValueError(f'Expected two different fields, got "{field}" twice')
    if write:
        require_writable(samples, differences_field_of(field), fo.Keypoints)
    first = _Side.of(PersonColumns(samples, field, attributes=(*POSE_ATTRIBUTES, AREA)))
    second = _before(first) if other == BEFORE else _Side.of(PersonColumns(samples, other, attributes=POSE_ATTRIBUTES))
    if second.columns is not first.columns:
        require_same_joints(first.columns, second.columns)
    if other == BEFORE:
        first = first.only(second.persons)
    sigmas = first.columns.skeleton.sigma_array
    found = compare_poses(first.poses, second.poses, sigmas)
    truth = [np.full(found.joints.shape, np.nan)] * 2
    if gt_field is not None:
        labels = PersonColumns(samples, gt_field, attributes=(*POSE_ATTRIBUTES, AREA))
        require_same_joints(first.columns, labels)
        truth = _against_labels(_Side.of(labels), first, second, found, sigmas)
    if write:
        _write(first, found)
    return FieldComparison(
        field=field,
        other=other,
        joints=first.columns.skeleton.names,
        agreement=found.joints,
        label_ids=first.ids(found.pairs[:, 0]),
        other_ids=second.ids(found.pairs[:, 1]),
        differences=tuple(_differences(first, second, found, truth)),
        only_first=first.ids(found.only_first),
        only_second=second.ids(found.only_second),
    )


@kept_while_unchanged
def kept_comparison(samples, field: str, other: str, gt_field: str | None) -> FieldComparison:
    """Return what :func:`compare_fields` does, without writing, from memory while nothing changes."""
    return compare_fields(samples, field, other, gt_field, write=False)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Side:
    """People of a field that are compared.

    Attributes:
        columns: everybody of the field.
        persons: (N,) indices of those who are compared.
        poses: theirs.
    """

    columns: PersonColumns
    persons: np.ndarray
    poses: PoseSet

    @classmethod
    def of(cls, columns: PersonColumns) -> _Side:
        """Everybody of a field."""
        stored = columns.scalars(AREA) if columns.samples.get_field(f"{columns.field}.keypoints.{AREA}") else np.nan
        boxes = BODY_SHARE_OF_BOX * box_area(np.nan_to_num(columns.boxes_xyxy))
        areas = np.where(np.isfinite(stored), stored, boxes)
        poses = PoseSet(keypoints=columns.keypoints, areas=areas, image_ids=columns.rows.tolist())
        return cls(columns=columns, persons=np.arange(len(columns)), poses=poses)

    def only(self, persons: np.ndarray, keypoints: np.ndarray | None = None) -> _Side:
        """Some of them, as they are or at other places."""
        own = self.poses
        moved = own.keypoints[persons] if keypoints is None else keypoints
        chosen = PoseSet(keypoints=moved, areas=own.areas[persons], image_ids=self.columns.rows[persons].tolist())
        return _Side(columns=self.columns, persons=persons, poses=chosen)

    def ids(self, indices: np.ndarray) -> tuple[str, ...]:
        """Label ids of some of those who are compared."""
        return tuple(self.columns.label_ids[person] for person in self.persons[indices].tolist())


def _before(side: _Side) -> _Side:
    """Return the people whom somebody corrected, as they were before.

    Raises:
        ValueError: if there is none.
    """
    columns = side.columns
    states = [json.loads(stored) if stored else [] for stored in columns.values(HISTORY)]
    persons = np.array([person for person, history in enumerate(states) if history], int)
    if not len(persons):
        raise ValueError(f'Expected people of "{columns.field}" whom somebody corrected, got none')
    points = np.array([states[person][0]["points"] for person in persons], np.float64)
    pixels = points * columns.image_wh[columns.rows[persons]][:, None]
    return side.only(persons, np.where(columns.placed[persons][..., None], pixels, np.nan))


def _against_labels(labels: _Side, first: _Side, second: _Side, found: Agreement, sigmas) -> list[np.ndarray]:
    """Return the (M, K) OKS of the joints of each side with the labelled person that the first one is of."""
    known = compare_poses(first.poses, labels.poses, sigmas)
    person_of = dict(known.pairs.tolist())
    truth = np.array([person_of.get(person, -1) for person in found.pairs[:, 0].tolist()], int)
    keypoints, areas = labels.poses.keypoints[truth], labels.poses.areas[truth]
    result = []
    for side, chosen in ((first, found.pairs[:, 0]), (second, found.pairs[:, 1])):
        terms = keypoint_oks(side.poses.keypoints[chosen], keypoints, areas, sigmas) if len(labels.persons) else None
        unknown = (truth < 0)[:, None] | ~np.isfinite(keypoints).all(axis=-1) if terms is not None else None
        result.append(np.full(found.joints.shape, np.nan) if terms is None else np.where(unknown, np.nan, terms))
    return result


def _differences(first: _Side, second: _Side, found: Agreement, truth: Sequence[np.ndarray]) -> list[JointDifference]:
    pairs, joints = np.nonzero(found.joints < AGREES_FROM)
    order = np.argsort(found.joints[pairs, joints], kind="stable")
    columns, names = first.columns, first.columns.skeleton.names
    ids, others = first.ids(found.pairs[:, 0]), second.ids(found.pairs[:, 1])
    rows = columns.rows[first.persons[found.pairs[:, 0]]]
    return [
        JointDifference(
            sample_id=str(columns.sample_ids[rows[pair]]),
            label_id=ids[pair],
            other_id=others[pair],
            joint=names[joint],
            oks=float(found.joints[pair, joint]),
            first_oks=float(truth[0][pair, joint]),
            second_oks=float(truth[1][pair, joint]),
        )
        for pair, joint in zip(pairs[order].tolist(), joints[order].tolist(), strict=True)
    ]


def _write(first: _Side, found: Agreement) -> None:
    """Show the joints of the first field that differ, in the colour of their OKS with the second."""
    columns = first.columns
    scores = np.full((len(columns), len(columns.skeleton)), np.nan)
    scores[first.persons[found.pairs[:, 0]]] = found.joints
    shown = columns.placed & (scores < AGREES_FROM)
    bins = np.array(score_bins(scores.ravel())).reshape(scores.shape)
    write_joints(columns, differences_field_of(columns.field), shown, {OKS_BIN: bins, JOINT_OKS: scores})
    dataset = dataset_of(columns.samples)
    dataset.app_config.color_scheme = dataset_scheme(dataset)
    dataset.save()
