"""Click-Pose in FiftyOne: calibrated confidence in columns, review worst first, evaluation, diagnosis, corrections.

Everything here works from Python; the app's operators and panels (``plugins/pose_review``) only parse, call and format.

>>> import fiftyone as fo                                           # doctest: +SKIP
>>> import clickpose_fiftyone as cpf                                # doctest: +SKIP
>>> cpf.register_backends()                                         # doctest: +SKIP
>>> cpf.predict_poses(dataset, "pred")                              # doctest: +SKIP
>>> session.view = cpf.worst_persons(dataset, "pred", count=50)     # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module

# Public name -> the module that holds it. Resolved on first use: FiftyOne takes seconds to import.
_HOME = {
    "PersonColumns": "columns",
    "PoseModel": "model",
    "accept_refinements": "refinement",
    "add_heat_joints": "colours",
    "apply_calibrator": "calibration",
    "apply_ccnet": "ccnet",
    "auto_accept": "acceptance",
    "calibrate": "calibration",
    "calibrate_ccnet": "ccnet",
    "color_by_confidence": "colours",
    "compare_fields": "comparison",
    "delete_persons": "removal",
    "diagnose": "diagnosis",
    "discard_refinements": "refinement",
    "evaluate_poses": "evaluation",
    "export_coco": "coco_exchange",
    "find_label_errors": "label_errors",
    "flag_low_visibility": "visibility",
    "import_coco": "coco_exchange",
    "load_from_label_studio": "labelstudio_exchange",
    "predict_poses": "predict",
    "refine_pose": "refinement",
    "register_backends": "backends",
    "restore_raw_scores": "raw_scores",
    "select_for_labelling": "selection",
    "send_to_label_studio": "labelstudio_exchange",
    "set_skeleton": "skeletons",
    "settle": "settling",
    "undo_action": "undoing",
    "undo_load_from_label_studio": "labelstudio_undo",
    "undo_refinement": "refinement",
    "worst_persons": "review",
    "worst_samples": "review",
}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
