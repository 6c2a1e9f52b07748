"""Ground truth and predictions of a view as the arrays that the metrics take."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clickpose.boxes import BODY_SHARE_OF_BOX, box_area, xyxy_to_xywh
from clickpose.data.coco_results import VISIBLE_FROM
from clickpose.metrics.keypoint_sets import KeypointPredictions, KeypointTruth
from clickpose_fiftyone.coco_kept import kept_document
from clickpose_fiftyone.columns import POSE_ATTRIBUTES, PersonColumns
from clickpose_fiftyone.field_names import (
    AREA,
    CATEGORY_ID,
    CONFIDENCE,
    ISCROWD,
    NUM_KEYPOINTS,
    PRED_OKS,
    RESULT_AREA,
    SCORE_RAW,
    VISIBILITY,
)

TRUTH_ATTRIBUTES = (*POSE_ATTRIBUTES, AREA, ISCROWD, NUM_KEYPOINTS)  # what is compared: worth reading together
PREDICTION_ATTRIBUTES = (*POSE_ATTRIBUTES, CONFIDENCE, SCORE_RAW, RESULT_AREA)
_USUAL_SCORES = (PRED_OKS, SCORE_RAW)  # predictions that were imported may lack these


def labelled_visibility(columns: PersonColumns) -> np.ndarray:
    """Return the COCO visibility 0, 1, 2 of annotated joints (N, K).

    Where a person has none stored, joints that are there are visible (2). Labels that were made of predictions have
    probabilities: those are visible from 0.5, else hidden (1).

    Raises:
        ValueError: for a labelled person with another visibility.
    """
    stored, placed = columns.joints(VISIBILITY), columns.placed
    scored = np.isfinite(columns.scalars(PRED_OKS))[:, None]
    flags = np.where(np.isfinite(stored), np.where(scored, np.where(stored >= VISIBLE_FROM, 2, 1), stored), 2)
    wrong = placed & ~np.isin(flags, (0, 1, 2))
    if wrong.any():
        person = int(wrong.any(axis=1).argmax())
        raise ValueError(
            f'Expected {VISIBILITY} of 0, 1 or 2 in the labelled people of field "{columns.field}", got '
            f"{flags[person][wrong[person]][0]:g} in person {columns.label_ids[person]}"
        )
    return np.where(placed, flags, 0).astype(int)


def truth_areas(columns: PersonColumns) -> np.ndarray:
    """Return the (N,) areas in px²: the stored ``area``, else 0.53 of the box."""
    stored = columns.scalars(AREA)
    boxes = np.nan_to_num(columns.boxes_xyxy)
    return np.where(np.isfinite(stored), stored, BODY_SHARE_OF_BOX * box_area(boxes))


def read_truth(columns: PersonColumns) -> KeypointTruth:
    """Read annotated persons; images are numbered by the view's order.

    Raises:
        ValueError: if the field has no annotated person at all.
    """
    if not len(columns):
        raise ValueError(f'Expected labelled people in field "{columns.field}", got none')
    crowd = np.nan_to_num(columns.scalars(ISCROWD)) > 0
    visibility = labelled_visibility(columns)
    counted = columns.scalars(NUM_KEYPOINTS)
    counted = np.where(np.isfinite(counted), counted, (visibility > 0).sum(axis=1))
    return KeypointTruth(
        keypoints=columns.keypoints,
        visibility=visibility,
        ignored=crowd | (counted == 0),
        areas=truth_areas(columns),
        boxes_xywh=np.nan_to_num(xyxy_to_xywh(columns.boxes_xyxy)),
        image_ids=columns.rows,
        crowd=crowd,
    )


def read_predictions(columns: PersonColumns, score: str = PRED_OKS, as_coco: bool = False) -> KeypointPredictions:
    """Read predicted persons.

    Args:
        columns: the persons.
        score: attribute that ranks them; where a person has none, the mean of its ``confidence``.
        as_coco: joints that are not there are at 0, 0, where a file has them and pycocotools takes them, also for the
            area of people who were read from no list of results; only COCO's figures want this.

    Raises:
        ValueError: if a person has neither, or nobody an attribute that was chosen.
    """
    scores = columns.scalars(score)
    if score not in _USUAL_SCORES and len(scores) and not np.isfinite(scores).any():
        raise ValueError(f'Expected people of field "{columns.field}" to have {score!r} to rank them by, got none')
    if not np.isfinite(scores).all():
        confidence = columns.joints(CONFIDENCE)
        known = np.isfinite(confidence)
        means = np.where(known, confidence, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        scores = np.where(np.isfinite(scores), scores, np.where(known.any(axis=1), means, np.nan))
    if not np.isfinite(scores).all():
        raise ValueError(
            f'Expected every person of field "{columns.field}" to have {score} or confidence; predict first'
        )
    areas = columns.scalars(RESULT_AREA)
    areas = areas if len(columns) and np.isfinite(areas).all() else None
    keypoints = np.nan_to_num(columns.keypoints) if as_coco else columns.keypoints
    return KeypointPredictions(keypoints=keypoints, scores=scores, image_ids=columns.rows, areas=areas)


def require_same_joints(predictions: PersonColumns, truth: PersonColumns) -> None:
    """Refuse to compare people of different joints.

    Raises:
        ValueError: naming both skeletons.
    """
    found, labelled = predictions.skeleton, truth.skeleton
    if found.names != labelled.names:
        raise ValueError(
            f'Expected "{predictions.field}" and "{truth.field}" to have the same joints, got {len(found)} '
            f"({found.name}: {', '.join(found.names[:3])}, …) and {len(labelled)} ({labelled.name}: "
            f"{', '.join(labelled.names[:3])}, …); joints that no known skeleton has must be named alike in both fields"
        )


def within_categories(
    truth: KeypointTruth,
    predictions: KeypointPredictions,
    truth_columns: PersonColumns,
    prediction_columns: PersonColumns,
) -> tuple[KeypointTruth, KeypointPredictions]:
    """Have people compared within their categories, as COCO does, where there are several of people.

    That asks for predictions of a results list, whose categories are those of the labels; networks that know people
    only, and labels made here, say nothing of categories: everybody is then compared with everybody.
    """
    document = kept_document(prediction_columns.samples, prediction_columns.field)
    ids = [columns.values(CATEGORY_ID) for columns in (truth_columns, prediction_columns)]
    known = not any(id_ is None for column in ids for id_ in column)
    if document is None or not document.is_list or not known or len(set(ids[0])) < 2:
        return truth, predictions
    own, found = (np.array([str(id_) for id_ in column], dtype=object) for column in ids)
    return replace(truth, category_ids=own), replace(predictions, category_ids=found)
