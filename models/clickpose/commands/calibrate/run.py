"""``clickpose calibrate``: fit a calibration on labelled data, or apply one to a results file, and measure it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from clickpose.commands.calibrate.outcome import CalibrateOptions, Outcome, write_outcome_report
from clickpose.commands.calibrate.results import apply_calibrator, fit_results
from clickpose.extras import require_extra
from clickpose.skeleton_io import load_skeleton


@dataclass(frozen=True)
class CalibrateRequest:
    """Whose confidences: a results file's, or a model's on labelled folders; see ``clickpose calibrate --help``.

    Attributes:
        results: results file.
        annotations: its ground truth.
        name: of the model that made it.
        apply: calibrator to apply to it; None to fit one.
        data: labelled folders, instead of a results file.
        model, checkpoint: to run on them.
        skeleton: of the results: a name, or a YAML file.
        clicks, cache: for lite, see :func:`~clickpose.commands.calibrate.lite.fit_lite`; clicks for r50 as well.
        device: to run r50 on; lite runs on the CPU.
        threads: of the CPU.
    """

    results: Path | None = None
    annotations: Path | None = None
    name: str = ""
    apply: Path | None = None
    data: tuple[Path, ...] = ()
    model: str = "lite"
    checkpoint: Path | None = None
    skeleton: str = "coco"
    clicks: int = 3
    cache: Path | None = None
    device: str = "cpu"
    threads: int | None = None

    def __post_init__(self):
        if self.apply is not None and self.results is None:
            raise ValueError("Expected --results for --apply; lite reads the calibration beside its weights by itself")
        if (self.results is None) == (not self.data):
            raise ValueError("Expected either --results or --data, got " + ("both" if self.data else "neither"))
        if self.results is not None and not self.name:
            raise ValueError("Expected --name, the model that made the results: a calibrator fits one model only")
        if self.results is not None and self.apply is None and self.annotations is None:
            raise ValueError("Expected --annotations to fit on, or --apply with a fitted calibrator, got neither")
        if self.data and self.annotations is not None:
            raise ValueError("Expected no --annotations beside --data, whose folders hold their annotations.json")


def calibrate_from_options(
    request: CalibrateRequest, options: CalibrateOptions, progress: Callable | None = None
) -> Outcome:
    """Fit or apply, measure, and write what was asked for.

    Args:
        request: whose confidences.
        options: method and files.
        progress: wraps a list of photos, to show how far it is.

    Raises:
        ValueError: for files, folders or options that cannot be used, or a report without the extra ``plots``.
    """
    if options.report is not None:
        require_extra("plots", "jinja2", "matplotlib")
    if request.apply is not None:
        _check_apply(request, options)
    outcome = _run(request, options, progress)
    if options.report is None:
        return outcome
    write_outcome_report(outcome, options.report)
    return replace(outcome, written=[*outcome.written, options.report])


def _check_apply(request: CalibrateRequest, options: CalibrateOptions) -> None:
    """Refuse what applying a calibrator cannot do, before anything is written."""
    if options.out is not None:
        raise ValueError("Expected --calibrated for the results of --apply, got --out, which is for a fit")
    if request.annotations is None and options.report is not None:
        raise ValueError("Expected --annotations for a report: without labels there is nothing to measure")
    if request.annotations is None and options.calibrated is None:
        raise ValueError(
            "Expected --calibrated to write to, or --annotations to measure with, for --apply, got neither"
        )


def _run(request: CalibrateRequest, options: CalibrateOptions, progress: Callable | None) -> Outcome:
    if request.data:
        return _fitter_of(request.model)(request, options, progress)
    skeleton, file = load_skeleton(request.skeleton), request.results
    if request.apply is not None:
        return apply_calibrator(request.apply, file, request.name, skeleton, options, request.annotations)
    return fit_results(file, request.annotations, request.name, skeleton, options)


def _fitter_of(model: str) -> Callable[[CalibrateRequest, CalibrateOptions, Callable | None], Outcome]:
    fitters = {"lite": _fit_lite, "r50": _fit_r50}
    if model not in fitters:
        raise ValueError(f"Expected --model lite or r50 for --data, got {model!r}")
    return fitters[model]


def _fit_lite(request: CalibrateRequest, options: CalibrateOptions, progress: Callable | None) -> Outcome:
    import torch

    from clickpose.commands.calibrate.lite import fit_lite  # imports the network: only when it is wanted

    if request.device != "cpu":
        raise ValueError(f"Expected --device cpu for lite, whose features are computed there, got {request.device!r}")
    torch.set_num_threads(request.threads or torch.get_num_threads())
    return fit_lite(request.data, request.checkpoint, options, request.clicks, request.cache)


def _fit_r50(request: CalibrateRequest, options: CalibrateOptions, progress: Callable | None) -> Outcome:
    from clickpose.build import load
    from clickpose.commands.calibrate.r50 import fit_r50  # imports the network: only when it is wanted

    # without the calibration that may lie beside it: this fit takes its place
    predictor = load("r50", request.checkpoint, request.device, request.threads, calibrator=None)
    return fit_r50(request.data, predictor, options, request.clicks, progress)
