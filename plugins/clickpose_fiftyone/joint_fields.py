"""Joints of persons as a field of their own, which the app draws in a colour for each joint."""

from __future__ import annotations

from collections.abc import Mapping

import fiftyone as fo
import numpy as np

from clickpose.steps import Steps, stepwise
from clickpose_fiftyone.collector import collector_paused
from clickpose_fiftyone.column_writes import documents, plain, write_labels
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.field_names import JOINT_PERSON, POINTS


@stepwise
def write_joints(
    columns: PersonColumns, field: str, shown: np.ndarray, attributes: Mapping[str, np.ndarray]
) -> Steps[None]:
    """Write joints of the persons as a field: keypoints of one point, labelled by joint, with whose they are.

    Some thousand photos at a time: the joints of 250,000 people as documents take gigabytes.

    Args:
        columns: the persons.
        field: Keypoints field to write, free or one that this function wrote.
        shown: (N, K) which joints, all of them placed.
        attributes: name -> (N, K) numbers or texts; NaN is written as None.
        progress: called with (photos done, photos in all).

    Raises:
        ValueError: if the field or an attribute of it holds something else; nothing is written.
    """
    done = 0
    for people, part in columns.parts():
        chosen = {name: values[people] for name, values in attributes.items()}
        write_labels(part.samples, {field: (fo.Keypoints, _joint_documents(part, shown[people], chosen))})
        done += len(part.counts)
        yield done, len(columns.counts)


@collector_paused()
def _joint_documents(
    columns: PersonColumns, shown: np.ndarray, attributes: Mapping[str, np.ndarray]
) -> list[list[dict]]:
    """Return joints of the persons for :func:`write_labels`."""
    names = columns.skeleton.names
    persons, joints = np.nonzero(shown)
    points = columns.points.tolist()
    chosen = {name: plain(values[persons, joints]) for name, values in attributes.items()}
    written = documents(
        fo.Keypoint,
        (
            {
                "label": names[joint],
                POINTS: [points[person][joint]],
                JOINT_PERSON: columns.label_ids[person],
                **dict(zip(chosen, values, strict=True)),
            }
            for person, joint, *values in zip(persons.tolist(), joints.tolist(), *chosen.values(), strict=True)
        ),
    )
    ends = np.cumsum(columns.totals(shown.sum(axis=1))).tolist()
    return [written[start:end] for start, end in zip([0, *ends], ends, strict=False)]
