"""COCO's ten keypoint figures, by pycocotools."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Sequence

import numpy as np

from clickpose.skeleton import COCO, Skeleton

FIGURES = (
    "AP", "AP50", "AP75", "AP_medium", "AP_large",
    "AR", "AR50", "AR75", "AR_medium", "AR_large",
)  # fmt: skip


def average_precision(
    annotations: dict,
    results: Sequence[dict],
    image_ids: Sequence[int] | None = None,
    skeleton: Skeleton = COCO,
) -> dict[str, float]:
    """Evaluate keypoint predictions as COCO does.

    Args:
        annotations: a COCO keypoint dataset (parsed JSON); not changed.
        results: COCO keypoint results: ``image_id``, ``category_id``, ``keypoints`` (3K numbers), ``score``;
            ``clickpose.data.coco_results.to_coco_results`` makes them.
        image_ids: images to evaluate; None for all of the dataset.
        skeleton: the joints, whose sigmas count.

    Returns:
        The figures of :data:`FIGURES`, 0..1; NaN where the dataset has no person to find (pycocotools says -1), such
        as nobody of medium size.

    Raises:
        ValueError: if a result names an image that the dataset lacks, or has another number of joints.
    """
    from pycocotools.coco import COCO as CocoFile
    from pycocotools.cocoeval import COCOeval

    _check_results(annotations, results, skeleton)
    with contextlib.redirect_stdout(io.StringIO()):
        dataset, found = CocoFile(), CocoFile()
        dataset.dataset = copy.deepcopy(annotations)  # pycocotools marks annotations as ignored in place
        dataset.createIndex()
        found = dataset.loadRes(copy.deepcopy(list(results))) if results else _nothing(dataset)
        evaluation = COCOeval(dataset, found, "keypoints")
        evaluation.params.kpt_oks_sigmas = skeleton.sigma_array
        if image_ids is not None:
            evaluation.params.imgIds = sorted(image_ids)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    values = np.where(evaluation.stats < 0, np.nan, evaluation.stats)
    return dict(zip(FIGURES, values.tolist(), strict=True))


def _nothing(dataset):
    """Return results without a person: ``loadRes`` refuses an empty list."""
    found = type(dataset)()
    found.dataset = {**dataset.dataset, "annotations": []}
    found.createIndex()
    return found


def _check_results(annotations: dict, results: Sequence[dict], skeleton: Skeleton) -> None:
    known = {image["id"] for image in annotations["images"]}
    for result in results:
        if result["image_id"] not in known:
            raise ValueError(f"Expected results for images of the dataset, got image_id {result['image_id']!r}")
        if len(result["keypoints"]) != 3 * len(skeleton):
            raise ValueError(f"Expected {3 * len(skeleton)} numbers in keypoints, got {len(result['keypoints'])}")
