"""``clickpose calibrate fit``: a post-hoc calibrator of a results file, whatever network made it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clickpose.calibration.calibrator_file import CCNET_KIND
from clickpose.calibration.fit import AUTO, OWN, fit_calibration
from clickpose.calibration.posthoc import CALIBRATORS
from clickpose.calibration.provenance import Provenance, named
from clickpose.commands.calibrate.outcome import Outcome, check_files, save_fit, write_outcome_report
from clickpose.commands.calibrate.results import LabelledResults, Results
from clickpose.skeleton_io import load_skeleton


@dataclass(frozen=True, kw_only=True)
class FitRequest:
    """What to fit on, how, and what to write.

    Attributes:
        results: COCO keypoint results, or what ``clickpose predict --json`` writes.
        annotations: COCO keypoints of the same photos.
        name: of the network that made the results; the calibrator fits no other.
        skeleton: of the results: a name, or a YAML file.
        method: ``"auto"`` or a post-hoc calibrator.
        per_joint: a curve for each joint with labels enough.
        out: calibrator to write.
        calibrated: results with calibrated confidences to write.
        report: HTML file to write.
        images: folder of the photos, for the report's examples; ``images`` beside the annotations by default.
    """

    results: Path
    annotations: Path
    name: str
    skeleton: str = "coco"
    method: str = AUTO
    per_joint: bool = False
    out: Path | None = None
    calibrated: Path | None = None
    report: Path | None = None
    images: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", named(self.name))
        if self.method == CCNET_KIND:
            raise ValueError("Expected a post-hoc `method` for results, got ccnet, which needs a network's features: "
                             "clickpose calibrate network")  # fmt: skip
        if self.method not in (AUTO, *CALIBRATORS):
            raise ValueError(f"Expected `method` to be one of {', '.join((AUTO, *CALIBRATORS))}, got {self.method!r}")


def fit_results(request: FitRequest) -> Outcome:
    """Fit on a results file and its ground truth, measure on photos that were not fitted on, write what is wanted.

    Raises:
        ValueError: for files that cannot be used or written, or labels that match nobody; nothing is written then.
    """
    check_files(
        out=request.out,
        kinds=[OWN],
        calibrated=request.calibrated,
        report=request.report,
        images=request.images,
        inputs=[request.results, request.annotations],
    )
    skeleton = load_skeleton(request.skeleton)
    labelled = LabelledResults.read(Results.read(request.results, skeleton, request.annotations), request.annotations)
    pictures = labelled.pictures(request.images) if request.report is not None else None
    fit = fit_calibration(
        labelled.sample, skeleton, request.method, request.per_joint, source=labelled.source_and_notes
    )
    figures, intervals = labelled.average_precision(fit.after.scores, fit.after.instance_scores)
    outcome = Outcome(
        title=f"{request.name}, {labelled.described}, {fit.kind}",
        skeleton=skeleton,
        method=fit.kind,
        provenance=Provenance.today(request.name, skeleton, labelled.described),
        before=fit.before,
        after=fit.after,
        average_precision=figures,
        intervals=intervals,
        notes=[*labelled.notes, *fit.comparison, *fit.notes],
        written=[] if request.calibrated is None else [request.calibrated],
        pictures=pictures,
    )
    if request.calibrated is not None:
        labelled.results.write(request.calibrated, labelled.results.recalibrated(fit.fitted))
    return write_outcome_report(save_fit(outcome, fit, request.out), request.report)
