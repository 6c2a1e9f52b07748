"""Skeletons coloured by confidence.

FiftyOne gives a whole keypoint instance one colour, so joints get a companion field: one-point keypoints, labelled by
joint, with the score in bins that a colour scheme maps to the scale of ``clickpose predict``. Bones keep
the colour of their person's predicted OKS.
"""

from __future__ import annotations

from collections.abc import Sequence

import fiftyone as fo
import numpy as np

from clickpose.draw import score_color
from clickpose.steps import Steps, stepwise
from clickpose_fiftyone.checks import fields_of, pose_fields, predicted_fields, require_writable
from clickpose_fiftyone.collector import uncollected
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.conversion import PERSON
from clickpose_fiftyone.dataset_info import keep
from clickpose_fiftyone.declaring import describe
from clickpose_fiftyone.field_names import (
    HIDDEN_BELOW_INFO,
    JOINT_OKS,
    JOINT_VISIBILITY,
    KEYPOINT_OKS,
    OKS_BIN,
    PRED,
    PRED_OKS,
    VISIBILITY,
    boxes_field_of,
    differences_field_of,
    joints_field_of,
)
from clickpose_fiftyone.fiftyone_internals import dataset_of, is_generated
from clickpose_fiftyone.joint_fields import write_joints
from clickpose_fiftyone.people_views import photos_of

BINS = 10
NO_SCORE = "no score"
_NEUTRAL = "#d9d9e3"
_TRUTH = "#36c9ff"  # of labelled people: on no place of the scale, which goes from violet over red to yellow
_LEGEND = "Joints in the colour of their predicted OKS: violet 0 (doubtful), orange 0.6, yellow 1 (certain)"


def bin_names() -> list[str]:
    """Return the names of the score bins, ascending: ``"0.0-0.1"`` …"""
    return [f"{low / BINS:.1f}-{(low + 1) / BINS:.1f}" for low in range(BINS)]


def bin_colors() -> list[str]:
    """Return the colour of each bin as ``#rrggbb``."""
    return ["#{:02x}{:02x}{:02x}".format(*score_color((low + 0.5) / BINS)) for low in range(BINS)]


def score_bins(scores: np.ndarray) -> list[str]:
    """Return the bin name of each of (N,) scores; :data:`NO_SCORE` for NaN."""
    names = np.array([*bin_names(), NO_SCORE])
    index = np.clip(np.nan_to_num(scores) * BINS, 0, BINS - 1).astype(int)
    return names[np.where(np.isfinite(scores), index, BINS)].tolist()


@stepwise
@uncollected
def add_heat_joints(samples, pred_field: str = PRED, hide_below: float = 0.0) -> Steps[int]:
    """Write the companion field ``<pred_field>_joints`` and each person's ``oks_bin``.

    Args:
        samples: a dataset or view of images.
        pred_field: Keypoints field with ``keypoint_oks``.
        hide_below: leave out joints with a lower visibility.
        progress: called with (photos done, photos in all).

    Returns:
        the number of joints written.

    Raises:
        ValueError: if the field cannot serve, or has no predicted OKS.
    """
    samples = photos_of(samples)
    if not is_generated(samples):  # all people of the photos: the field is written whole
        samples = dataset_of(samples).select(samples.values("id"), ordered=True)
    columns = PersonColumns(samples, pred_field)
    require_writable(samples, joints_field_of(pred_field), fo.Keypoints)
    scores = columns.joints(KEYPOINT_OKS)
    if len(columns) and not np.isfinite(scores).any():
        raise ValueError(f'Expected field "{pred_field}" to have keypoint_oks, got none; predict or calibrate first')
    visibility = columns.joints(VISIBILITY)
    columns.write(OKS_BIN, score_bins(columns.scalars(PRED_OKS)))
    shown = columns.placed & ~(visibility < hide_below)
    attributes = {
        OKS_BIN: np.array(score_bins(scores.ravel())).reshape(scores.shape),
        JOINT_OKS: scores,
        JOINT_VISIBILITY: visibility,
    }
    yield from write_joints.steps(columns, joints_field_of(pred_field), shown, attributes)
    return int(shown.sum())


def color_scheme(*pred_fields: str, truth: Sequence[str] = ()) -> fo.ColorScheme:
    """Return the scheme of Keypoints fields: joints and bones by score, boxes neutral, labels in no colour of a score.

    Args:
        pred_fields: coloured by score, with their joints and boxes.
        truth: labelled people.
    """
    drawn = [described for field in pred_fields for described in (
        _by_score(field), _by_score(joints_field_of(field)), _in_one_color(boxes_field_of(field), _NEUTRAL),
    )]  # fmt: skip
    drawn += [
        _in_one_color(name, color)
        for field in truth
        for name, color in ((field, _TRUTH), (boxes_field_of(field), _NEUTRAL))
    ]
    return fo.ColorScheme(color_by="value", show_skeletons=True, multicolor_keypoints=False, opacity=0.85, fields=drawn)


def dataset_scheme(dataset) -> fo.ColorScheme:
    """Return the scheme of all fields of a dataset that are coloured by score, and of its labels."""
    keypoints, people = fields_of(dataset, fo.Keypoints), pose_fields(dataset)
    coloured = [field for field in people if joints_field_of(field) in keypoints]
    predicted = predicted_fields(dataset)
    scheme = color_scheme(*coloured, truth=[field for field in people if field not in (*coloured, *predicted)])
    compared = [differences_field_of(field) for field in people if differences_field_of(field) in keypoints]
    scheme.fields = [*scheme.fields, *map(_by_score, compared)]
    return scheme


def _by_score(path: str) -> dict:
    values = [{"value": name, "color": color} for name, color in zip(bin_names(), bin_colors(), strict=True)]
    return {"path": path, "colorByAttribute": OKS_BIN, "valueColors": [*values, {"value": NO_SCORE, "color": _NEUTRAL}]}


def _in_one_color(path: str, color: str) -> dict:
    values = [{"value": PERSON, "color": color}]
    return {"path": path, "fieldColor": color, "colorByAttribute": "label", "valueColors": values}


@stepwise
@uncollected
def color_by_confidence(samples, pred_field: str = PRED, hide_below: float = 0.0) -> Steps[fo.ColorScheme]:
    """Write the companion field and make the scheme, with the fields that were coloured before, the dataset's own.

    Returns:
        the scheme, for ``session.color_scheme``.

    Raises:
        ValueError: as :func:`add_heat_joints`.
    """
    samples = photos_of(samples)
    yield from add_heat_joints.steps(samples, pred_field, hide_below)
    dataset = dataset_of(samples)
    keep(dataset, HIDDEN_BELOW_INFO, pred_field, float(hide_below))  # for the next time that scores change
    scheme = dataset_scheme(dataset)
    dataset.app_config.color_scheme = scheme
    dataset.app_config.active_fields = fo.ActiveFields(paths=[joints_field_of(pred_field), pred_field])
    dataset.app_config.sidebar_groups = _joints_first(dataset, joints_field_of(pred_field))
    dataset.save()
    describe(dataset, joints_field_of(pred_field), _LEGEND)
    return scheme


def _joints_first(dataset, joints_field: str) -> list[fo.SidebarGroupDocument]:
    """Return the sidebar with the joints above the other labels: what stands above is drawn on top."""
    groups = dataset.app_config.sidebar_groups or fo.DatasetAppConfig.default_sidebar_groups(dataset)
    for group in groups:
        others = [path for path in group.paths if path != joints_field]
        group.paths = [joints_field, *others] if group.name == "labels" else others
    return groups
