"""What came of a calibration: figures, files, report; and what cannot be written is refused before the work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clickpose.calibration.calibrator_file import (
    CCNET_KIND,
    CURVE_SUFFIX,
    HEAD_SUFFIX,
    load_calibrator,
    load_ccnet,
    save_calibrator,
    save_ccnet,
)
from clickpose.calibration.fit import CalibrationFit
from clickpose.calibration.provenance import Provenance
from clickpose.extras import require_extra
from clickpose.metrics.bootstrap import Comparison
from clickpose.metrics.calibration_figures import CalibrationSample, calibration_figures
from clickpose.outputs import check_outputs
from clickpose.skeleton import Skeleton

if TYPE_CHECKING:
    from rich.table import Table

    from clickpose.commands.calibrate.report import PersonPictures

RANKED = ("AP", "AR")  # of COCO's ten figures
SHOWN = (
    "Pearson, persons", "Pearson, joints", "Spearman, persons", "Spearman, joints", "AUSE, persons", "AUSE, joints",
    "ECE, persons", "ECE, joints", "Brier, persons", "Brier, joints",
)  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
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
        pictures: what the report's examples are drawn from.
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
    pictures: PersonPictures | None = None

    def figures(self) -> dict[str, tuple[float, float]]:
        """Return the figures before and after, by name; COCO's own first."""
        if self.before is None or self.after is None:
            return {}
        old, new = calibration_figures(self.before), calibration_figures(self.after)
        ranking = {} if self.average_precision else {name: (old[name], new[name]) for name in RANKED}
        return {**self.average_precision, **ranking, **{name: (old[name], new[name]) for name in SHOWN}}

    def render(self) -> Table:
        """Return a ``rich`` table of the figures."""
        from rich.table import Table

        table = Table("", "before", "after", title=self.title)
        for name, values in self.figures().items():
            table.add_row(name, *(f"{value:.4f}" if np.isfinite(value) else "not defined" for value in values))
        return table


def check_files(
    *,
    out: Path | None = None,
    kinds: Sequence[str] = (),
    calibrated: Path | None = None,
    report: Path | None = None,
    images: Path | None = None,
    inputs: Sequence[Path] = (),
) -> None:
    """Refuse, before the work, what could not be written, or would replace an input or something else than before.

    Args:
        out: calibrator, as for :func:`save_fit`.
        kinds: of calibrators that the fit may come to.
        calibrated: results with other confidences.
        report: HTML file; needs the extra ``plots``.
        images: folder of the photos for it.
        inputs: files that stay as they are.

    Raises:
        ValueError: naming the argument.
    """
    if images is not None and not images.is_dir():
        raise ValueError(f"Expected the folder of the photos in `images`, got {images}, which is none")
    if images is not None and report is None:
        raise ValueError("Expected `report` beside `images`, which are for the report's examples, got none")
    if report is not None:
        require_extra("plots", "jinja2", "matplotlib")
    if out is not None and out.is_dir():
        raise ValueError(f"Expected `out` to be a file to write, got the folder {out}")
    for path in {None if out is None else _calibrator_path(out, kind) for kind in kinds} or {None}:
        check_outputs({"`out`": path, "`calibrated`": calibrated, "`report`": report}, inputs=inputs)
        if path is not None and path.exists():  # only a calibrator may be replaced: no weights, no results
            load_ccnet(path) if path.suffix == HEAD_SUFFIX else load_calibrator(path)


def save_fit(outcome: Outcome, fit: CalibrationFit, out: Path | None) -> Outcome:
    """Write a calibrator, with the figures in its provenance.

    Args:
        outcome: of the fit.
        fit: what was fitted; the network's own scores are written as a calibrator that changes nothing.
        out: file to write, its suffix follows the kind; None for none.

    Returns:
        the outcome, with the figures in its provenance and the file among the written ones.
    """
    figures = {f"{name}, {when}": float(value) for name, pair in outcome.figures().items()
               for when, value in zip(("before", "after"), pair, strict=True)}  # fmt: skip
    outcome = replace(outcome, provenance=replace(outcome.provenance, figures=figures))
    if out is None:
        return outcome
    path = _calibrator_path(out, fit.kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    if fit.kind == CCNET_KIND:
        save_ccnet(path, fit.fitted.state_dict(), outcome.provenance)
    else:
        save_calibrator(path, fit.fitted, outcome.provenance)
    _list_among_shipped(path)
    return replace(outcome, written=[*outcome.written, path], notes=[*outcome.notes, *_beside(path)])


def _calibrator_path(out: Path, kind: str) -> Path:
    """Return ``out`` with the suffix of what is written: .safetensors for a CCNet head, .json for the others."""
    stem = out.name.removesuffix(CURVE_SUFFIX).removesuffix(HEAD_SUFFIX)
    return out.with_name(stem + (HEAD_SUFFIX if kind == CCNET_KIND else CURVE_SUFFIX))


def _beside(path: Path) -> list[str]:
    """Say where a calibrator of the other kind lies beside a new one: a network does not read two."""
    other = path.with_suffix(CURVE_SUFFIX if path.suffix == HEAD_SUFFIX else HEAD_SUFFIX)
    return [f"{other} lies beside {path.name}: remove the one that is not meant"] if other.exists() else []


def _list_among_shipped(path: Path) -> None:
    """Keep the checksums of the package's own weights folder right when a calibration is written there."""
    from clickpose.weights_io import WEIGHTS_FOLDER, write_checksum

    if path.resolve().parent == WEIGHTS_FOLDER.resolve():
        write_checksum(path)


def write_outcome_report(outcome: Outcome, path: Path | None) -> Outcome:
    """Write the HTML report of an outcome that has figures; return it with the file among the written ones."""
    if path is None or outcome.before is None or outcome.after is None:
        return outcome
    from clickpose.commands.calibrate.report import write_report

    about = {
        "model": outcome.provenance.model, "weights": outcome.provenance.fingerprint or "not known",
        "calibrator": outcome.method, "fitted on": outcome.provenance.data, "fitted": outcome.provenance.date,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    figures = outcome.intervals() if outcome.intervals else None
    write_report(path, outcome.before, outcome.after, outcome.title, about, outcome.skeleton, outcome.pictures, figures)
    return replace(outcome, written=[*outcome.written, path])
