"""``clickpose calibrate apply``: a fitted calibrator on another results file of the same network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clickpose.calibration.calibrator_file import HEAD_SUFFIX, load_calibrator
from clickpose.calibration.posthoc import IdentityCalibrator, PosthocCalibrator
from clickpose.calibration.provenance import named
from clickpose.commands.calibrate.outcome import Outcome, check_files, write_outcome_report
from clickpose.commands.calibrate.results import LabelledResults, Results
from clickpose.skeleton_io import load_skeleton


@dataclass(frozen=True, kw_only=True)
class ApplyRequest:
    """What to apply to what, and what to write.

    Attributes:
        calibrator: what ``clickpose calibrate fit`` wrote.
        results: COCO keypoint results, or what ``clickpose predict --json`` writes.
        name: of the network that made them.
        skeleton: theirs: a name, or a YAML file.
        calibrated: results with calibrated confidences to write.
        annotations: COCO keypoints of the same photos, to measure with.
        report: HTML file to write.
        images: folder of the photos, for the report's examples; ``images`` beside the annotations by default.
    """

    calibrator: Path
    results: Path
    name: str
    skeleton: str = "coco"
    calibrated: Path | None = None
    annotations: Path | None = None
    report: Path | None = None
    images: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", named(self.name))
        if self.calibrator.suffix == HEAD_SUFFIX:
            raise ValueError(f"Expected a post-hoc calibrator (.json) for a results file, got {self.calibrator}: "
                             "a CCNet head needs a network's features")  # fmt: skip
        if self.annotations is None and self.report is not None:
            raise ValueError("Expected `annotations` for a `report`: without labels there is nothing to measure")
        if self.annotations is None and self.calibrated is None:
            raise ValueError("Expected `calibrated` to write to, or `annotations` to measure with, got neither")


def apply_calibrator(request: ApplyRequest) -> Outcome:
    """Write a results file with calibrated confidences; with ground truth, also measure them.

    Raises:
        ValueError: for a calibrator of another network or skeleton, or files that cannot be used or written; nothing is
            written then.
    """
    labels = [] if request.annotations is None else [request.annotations]
    check_files(
        calibrated=request.calibrated,
        report=request.report,
        images=request.images,
        inputs=[request.calibrator, request.results, *labels],
    )
    skeleton = load_skeleton(request.skeleton)
    calibrator, provenance = load_calibrator(request.calibrator)
    provenance.check(request.name, skeleton)
    results = Results.read(request.results, skeleton, request.annotations)
    rows = results.recalibrated(calibrator)
    measured: dict[str, Any] = {"notes": results.notes}
    if request.annotations is not None:
        measured = _measure(request.annotations, request, results, rows, calibrator)
    if request.calibrated is not None:
        results.write(request.calibrated, rows)
    outcome = Outcome(
        title=f"{request.results.name}: {len(rows)} persons, {calibrator.kind} fitted on {provenance.data}",
        skeleton=skeleton,
        method=calibrator.kind,
        provenance=provenance,
        written=[] if request.calibrated is None else [request.calibrated],
        **measured,
    )
    return write_outcome_report(outcome, request.report)


def _measure(
    annotations: Path, request: ApplyRequest, results: Results, rows: list[dict], calibrator: PosthocCalibrator
) -> dict[str, Any]:
    """Return an outcome's figures of the results as they came, and as they are now."""
    labelled = LabelledResults.read(results, annotations)
    before = labelled.sample.own()
    pictures = labelled.pictures(request.images) if request.report is not None else None
    if calibrator.kind == IdentityCalibrator.kind:
        after = before
    else:
        joints = np.reshape([row["keypoint_scores"] for row in rows], before.oks.shape)
        after = labelled.sample.calibrated(joints)
    figures, intervals = labelled.average_precision(after.scores, after.instance_scores)
    return {
        "before": before,
        "after": after,
        "average_precision": figures,
        "intervals": intervals,
        "pictures": pictures,
        "notes": labelled.notes,
    }
