"""Flag joints that the network thinks are hidden: counts, tags and an overlay of the doubtful joints."""

from __future__ import annotations

from dataclasses import dataclass

import fiftyone as fo
import numpy as np

from clickpose.steps import Steps, stepwise
from clickpose_fiftyone.checks import plural, require_writable
from clickpose_fiftyone.collector import uncollected
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.field_names import (
    JOINT_VISIBILITY,
    LOW_VISIBILITY_TAG,
    NUM_LOW_VIS,
    PRED,
    TAGS,
    VISIBILITY,
    overlay_field_of,
)
from clickpose_fiftyone.fiftyone_internals import is_generated
from clickpose_fiftyone.joint_fields import write_joints
from clickpose_fiftyone.people_views import photos_of
from clickpose_fiftyone.person_updates import change_tags

LOW_VISIBILITY = 0.3


@dataclass(frozen=True)
class VisibilitySummary:
    """How many joints, persons and photos have a joint below the threshold."""

    threshold: float
    joints: int
    persons: int
    photos: int

    def __str__(self) -> str:
        return (
            f"{plural(self.joints, 'joint')} of {plural(self.persons, 'person')} in {plural(self.photos, 'photo')} "
            f"with visibility below {self.threshold:g}."
        )


@stepwise
@uncollected
def flag_low_visibility(
    samples,
    pred_field: str = PRED,
    threshold: float = LOW_VISIBILITY,
    tag: str | None = LOW_VISIBILITY_TAG,
    overlay: bool = True,
) -> Steps[VisibilitySummary]:
    """Count, tag and show the joints whose visibility is below a threshold.

    Args:
        samples: a dataset or view of images.
        pred_field: Keypoints field with ``visibility``.
        threshold: in 0..1; below it a joint is flagged.
        tag: label tag of persons with such a joint (taken off the others); None for no tags.
        overlay: write ``<pred_field>_low_vis``, a field with the flagged joints only.
        progress: called with (photos done, photos in all); those that are done are done with all of this.

    Raises:
        ValueError: if the field lacks visibilities or the threshold is not in 0..1.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"Expected a threshold in 0..1, got {threshold}")
    samples, shown_in = photos_of(samples), overlay_field_of(pred_field)
    columns = PersonColumns(samples, pred_field, attributes=(VISIBILITY, *((TAGS,) if tag else ())))
    visibility = columns.joints(VISIBILITY)
    if len(columns) and not np.isfinite(visibility).any():
        raise ValueError(f'Expected field "{pred_field}" to have visibility of its joints, got none; predict first')
    if overlay:
        require_writable(samples, shown_in, fo.Keypoints)
    low = low_joints(columns, visibility, threshold)
    in_photos = columns.totals(low.sum(axis=1))
    done = 0
    for people, part in columns.parts():
        part.write_all({}, {NUM_LOW_VIS: in_photos[done : done + len(part.counts)]})
        if tag:
            write_tag(part, tag, low[people].any(axis=1))
        if overlay:
            write_joints(part, shown_in, low[people], {JOINT_VISIBILITY: visibility[people]})
        done += len(part.counts)
        yield done, len(columns.counts)
    return VisibilitySummary(threshold, int(low.sum()), int(low.any(axis=1).sum()), int((in_photos > 0).sum()))


def low_counts(columns: PersonColumns, visibility: np.ndarray, threshold: float) -> dict[str, np.ndarray]:
    """Return ``num_low_vis``, the joints of each photo that are there with a visibility (N, K) below the threshold, for
    :meth:`PersonColumns.write_all`."""
    return {NUM_LOW_VIS: columns.totals(low_joints(columns, visibility, threshold).sum(axis=1))}


def low_joints(columns: PersonColumns, visibility: np.ndarray, threshold: float) -> np.ndarray:
    """Return which joints (N, K) are there with a visibility below the threshold.

    A joint that is not there has a visibility of 0 exactly: without one, positions need not be read.
    """
    low = visibility < threshold
    return low & columns.placed if (visibility == 0).any() else low


def write_tag(columns: PersonColumns, tag: str, chosen: np.ndarray) -> None:
    """Give the (N,) chosen persons a tag and take it from the others; all else that is written to them stays."""
    has = np.array([tag in (known or ()) for known in columns.values(TAGS)], bool)
    if is_generated(columns.samples):
        columns.write(
            TAGS, [_with(known, tag, wanted) for known, wanted in zip(columns.values(TAGS), chosen, strict=True)]
        )
        return
    ids, photos = np.array(columns.label_ids, dtype=object), columns.sample_ids[columns.rows]
    for change, changed in (("add", chosen & ~has), ("remove", has & ~chosen)):
        if changed.any():
            own = set(photos[changed].tolist())
            change_tags(columns.samples, columns.field, ids[changed].tolist(), **{change: tag}, sample_ids=own)
    columns.forget(TAGS)


def _with(known: list[str] | None, tag: str, wanted: bool) -> list[str]:
    names = [name for name in known or [] if name != tag]
    return [*names, tag] if wanted else names
