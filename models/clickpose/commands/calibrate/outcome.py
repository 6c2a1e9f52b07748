"""What ``clickpose calibrate`` was asked for and what came out: options, figures, files, report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from clickpose.calibration.calibrator_file import (
    Provenance,
    load_calibrator,
    load_ccnet,
    save_calibrator,
    save_ccnet,
)
from clickpose.calibration.posthoc import CALIBRATORS
from clickpose.metrics.bootstrap import Comparison
from clickpose.metrics.calibration_figures import CalibrationSample, calibration_figures
from clickpose.skeleton import Skeleton

CCNET = "ccnet"
AUTO = "auto"
METHODS = (AUTO, CCNET, *CALIBRATORS)
RANKED = ("AP", "AR")  # of COCO's ten figures
SHOWN = (
    "Pearson, persons", "Pearson, joints", "Spearman, persons", "Spearman, joints", "AUSE, persons", "AUSE, joints",
    "ECE, persons", "ECE, joints", "Brier, persons", "Brier, joints",
)  # fmt: skip


@dataclass(frozen=True)
class CalibrateOptions:
    """What the user asked for; see ``clickpose calibrate --help``.

    Attributes:
        method: of :data:`METHODS`.
        per_joint: one curve for each joint.
        out: calibrator file to write; its suffix follows the method.
        calibrated: results file to write.
        report: HTML file to write.
        images: folder of the photos, for the report's examples.
    """

    method: str = AUTO
    per_joint: bool = False
    out: Path | None = None
    calibrated: Path | None = None
    report: Path | None = None
    images: Path | None = None

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f"Expected --method to be one of {', '.join(METHODS)}, got {self.method!r}")
        if self.images is not None and not self.images.is_dir():
            raise ValueError(f"Expected the folder of the photos in --images, got {self.images}, which is none")


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run found and wrote.

    Attributes:
        title: for the table and the report.
        skeleton: the joints.
        method: that was used.
        provenance: of the calibrator.
        before, after: the confidences against the labels; None where there were none.
        average_precision: COCO's AP and AR before and after, where there was a results file with labels.
        intervals: returns these two with bootstrap intervals, for the report; a function, since it takes time.
        notes: sentences to show.
        written: files.
        pictures: returns what the report's examples are drawn from.
    """

    title: str
    skeleton: Skeleton
    method: str
    provenance: Provenance
    before: CalibrationSample | None = None
    after: CalibrationSample | None = None
    average_precision: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    intervals: Callable[[], Mapping[str, Comparison]] | None = None
    notes: Sequence[str] = ()
    written: Sequence[Path] = ()
    pictures: Callable | None = None

    def figures(self) -> dict[str, tuple[float, float]]:
        """Return the figures before and after, by name; COCO's own first."""
        if self.before is None:
            return {}
        old, new = calibration_figures(self.before), calibration_figures(self.after)
        ranking = {} if self.average_precision else {name: (old[name], new[name]) for name in RANKED}
        return {**self.average_precision, **ranking, **{name: (old[name], new[name]) for name in SHOWN}}

    def render(self):
        """Return a ``rich`` table of the figures."""
        from rich.table import Table

        table = Table("", "before", "after", title=self.title)
        for name, values in self.figures().items():
            table.add_row(name, *(f"{value:.4f}" if np.isfinite(value) else "not defined" for value in values))
        return table


def save_fit(outcome: Outcome, fitted, out: Path | None) -> Outcome:
    """Write a calibrator, with the figures in its provenance.

    Args:
        outcome: of the fit.
        fitted: a CCNet head or a post-hoc calibrator, by ``outcome.method``.
        out: file to write, its suffix follows the method; None for none.

    Returns:
        the outcome, with the figures in its provenance and the file among the written ones.

    Raises:
        ValueError: if the file exists and is something else than such a calibrator.
    """
    figures = {f"{name}, {when}": float(value) for name, pair in outcome.figures().items()
               for when, value in zip(("before", "after"), pair, strict=True)}  # fmt: skip
    outcome = replace(outcome, provenance=replace(outcome.provenance, figures=figures))
    if out is None:
        return outcome
    path = _calibrator_path(out, outcome.method)
    path.parent.mkdir(parents=True, exist_ok=True)
    if outcome.method == CCNET:
        save_ccnet(path, fitted.state_dict(), outcome.provenance)
    else:
        save_calibrator(path, fitted, outcome.provenance)
    _list_among_shipped(path)
    return replace(outcome, written=[*outcome.written, path])


def _calibrator_path(out: Path, method: str) -> Path:
    """Return ``out`` with the suffix of what is written: .safetensors for a CCNet head, .json for the others."""
    stem = out.name.removesuffix(".json").removesuffix(".safetensors")
    path = out.with_name(stem + (".safetensors" if method == CCNET else ".json"))
    if path.exists():  # only a calibrator may be replaced: not a network's weights, not a results file
        load_ccnet(path) if method == CCNET else load_calibrator(path)
    return path


def _list_among_shipped(path: Path) -> None:
    """Keep the checksums of the package's own weights folder right when a calibration is written there."""
    from clickpose.weights_io import WEIGHTS_FOLDER, write_checksum

    if path.resolve().parent == WEIGHTS_FOLDER.resolve():
        write_checksum(path)


def write_outcome_report(outcome: Outcome, path: Path) -> None:
    """Write the HTML report of an outcome.

    Raises:
        ValueError: if there were no labels to measure with, or the extra ``plots`` is missing.
    """
    from clickpose.commands.calibrate.report import write_report

    if outcome.before is None:
        raise ValueError("Expected --annotations for a report: without labels there is nothing to measure")
    about = {
        "model": outcome.provenance.model, "weights": outcome.provenance.fingerprint or "not known",
        "calibrator": outcome.method, "fitted on": outcome.provenance.data, "fitted": outcome.provenance.date,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = outcome.pictures() if outcome.pictures else None
    figures = outcome.intervals() if outcome.intervals else None
    write_report(path, outcome.before, outcome.after, outcome.title, about, outcome.skeleton, pictures, figures)
