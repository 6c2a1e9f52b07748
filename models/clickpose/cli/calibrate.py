"""``clickpose calibrate``: options; :mod:`clickpose.commands.calibrate` does it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clickpose.cli.options import Checkpoint, Device, Model, Threads
from clickpose.cli.photos import track_photos
from clickpose.user_errors import user_errors


def calibrate(
    results: Annotated[
        Path | None, typer.Option(help="COCO keypoint results, or what predict --json writes, of any model.")
    ] = None,
    annotations: Annotated[
        Path | None, typer.Option(help="COCO keypoints of the same photos, to fit on or to measure with.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the model that made the results.")] = "",
    apply: Annotated[Path | None, typer.Option(help="Fitted calibrator to apply to --results.")] = None,
    data: Annotated[
        list[Path] | None, typer.Option(help="Labelled folder (annotations.json, images/) to run --model on. Repeat.")
    ] = None,
    model: Model = "lite",
    checkpoint: Checkpoint = None,
    method: Annotated[
        str, typer.Option(help="auto, ccnet (lite and r50), isotonic, platt, temperature or closed_form.")
    ] = "auto",
    per_joint: Annotated[bool, typer.Option("--per-joint", help="Fit a curve for each joint.")] = False,
    skeleton: Annotated[str, typer.Option(help="Skeleton of the results: a name, or a YAML file.")] = "coco",
    clicks: Annotated[int, typer.Option(min=0, help="Simulated clicks a person, for lite and r50.")] = 3,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps lite's features between runs.")] = None,
    out: Annotated[Path | None, typer.Option(help="Calibrator to write: .json, or .safetensors for ccnet.")] = None,
    calibrated: Annotated[Path | None, typer.Option(help="Results file with calibrated confidences to write.")] = None,
    report: Annotated[Path | None, typer.Option(help="HTML report to write.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the photos, for the report's examples.")] = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Turn confidences into predicted OKS, and say how good they are before and after.

    Figures of a fit are of people whose photo was not fitted on. Positions never change.

    Examples:

        clickpose calibrate --results val.json --annotations gt.json --name hrnet --out hrnet.calibration.json

        clickpose calibrate --apply hrnet.calibration.json --results test.json --name hrnet --calibrated out.json

        clickpose calibrate --data my_people/ --checkpoint runs/mine/lite.safetensors
        --out runs/mine/lite.calibration --report report.html
    """
    with user_errors():
        from clickpose.commands.calibrate.outcome import CalibrateOptions
        from clickpose.commands.calibrate.run import CalibrateRequest, calibrate_from_options

        request = CalibrateRequest(
            results, annotations, name, apply, tuple(data or ()), model, checkpoint, skeleton, clicks, cache, device,
            threads,
        )  # fmt: skip
        options = CalibrateOptions(method, per_joint, out, calibrated, report, images)
        outcome = calibrate_from_options(request, options, track_photos)
    from rich.console import Console

    if outcome.before is not None:
        Console().print(outcome.render())
    for line in (*outcome.notes, *(f"wrote {path}" for path in outcome.written)):
        typer.echo(line)
