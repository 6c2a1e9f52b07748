"""Registers what FiftyOne finds by name: the evaluation method ``coco-pose``, the annotation backend."""

from __future__ import annotations

import fiftyone as fo

BACKEND = "labelstudio_pose"


def register_backends() -> None:
    """Make ``method="coco-pose"`` and ``backend="labelstudio_pose"`` known to this process's FiftyOne; idempotent."""
    fo.evaluation_config.detection_backends["coco-pose"] = {
        "config_cls": "clickpose_fiftyone.evaluation.PoseEvaluationConfig"
    }
    fo.annotation_config.backends[BACKEND] = {
        "config_cls": "clickpose_fiftyone.labelstudio_pose.LabelStudioPoseBackendConfig"
    }
