"""``clickpose calibrate fit | apply | network``: options; :mod:`clickpose.commands.calibrate` does it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from clickpose.cli.options import Checkpoint, Device, MaxPixels, Model, Threads
from clickpose.cli.photos import track_photos
from clickpose.image_io import DEFAULT_MAX_PIXELS, set_max_pixels
from clickpose.user_errors import user_errors

if TYPE_CHECKING:
    from clickpose.commands.calibrate.outcome import Outcome

Results = Annotated[
    Path, typer.Option(help="COCO keypoint results, or what predict --json writes, of any network.", show_default=False)
]
Name = Annotated[
    str, typer.Option(help="Name of the network that made the results: a calibrator fits no other.", show_default=False)
]
ResultsSkeleton = Annotated[str, typer.Option(help="Skeleton of the results: a name, or a YAML file.")]
Calibrated = Annotated[Path | None, typer.Option(help="Results file with calibrated confidences to write.")]
Report = Annotated[Path | None, typer.Option(help="HTML report to write.")]
Images = Annotated[
    Path | None,
    typer.Option(help="Folder of the photos, for the report's examples. By default images/ beside the labels."),
]
PerJoint = Annotated[bool, typer.Option("--per-joint", help="Fit a curve for each joint with 50 labels or more.")]


class OneCommandOfOld(TyperGroup):
    """Understands the options of the one command that ``calibrate`` was until 0.1."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command's name before options that stand alone."""
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = _with_command(args)
            typer.echo(f"three commands now, this one is spelled: clickpose calibrate {args[0]}", err=True)
        return super().parse_args(ctx, args)


def _with_command(args: list[str]) -> list[str]:
    """Return the words of the old spelling in the new one."""
    words = [word for arg in args for word in (arg.split("=", 1) if arg.startswith("--") else [arg])]
    if "--apply" in words[:-1]:
        place = words.index("--apply")
        return ["apply", words[place + 1], *words[:place], *words[place + 2 :]]
    return ["network" if "--data" in words else "fit", *words]


app = typer.Typer(
    cls=OneCommandOfOld,
    help="Turn confidences into predicted OKS, and say how good they are before and after. Positions never change.",
    no_args_is_help=True,
)


@app.command()
def fit(
    results: Results,
    annotations: Annotated[Path, typer.Option(help="COCO keypoints of the same photos.", show_default=False)],
    name: Name,
    skeleton: ResultsSkeleton = "coco",
    method: Annotated[
        str,
        typer.Option(help="isotonic, platt, temperature or closed_form; auto: the best, or none if none is better."),
    ] = "auto",
    per_joint: PerJoint = False,
    out: Annotated[Path | None, typer.Option(help="Calibrator to write (.json).")] = None,
    calibrated: Calibrated = None,
    report: Report = None,
    images: Images = None,
    max_pixels: MaxPixels = DEFAULT_MAX_PIXELS,
) -> None:
    """Fit a curve on a results file of any network and its labels.

    Figures are of people whose photo was not fitted on. Where no curve is nearer to the OKS, auto keeps the scores.

    Examples:

        clickpose calibrate fit --results val.json --annotations gt.json --name hrnet --out hrnet.calibration.json
    """
    with user_errors():
        from clickpose.commands.calibrate.fit import FitRequest, fit_results

        set_max_pixels(max_pixels, "--max-pixels")
        request = FitRequest(
            results=results,
            annotations=annotations,
            name=name,
            skeleton=skeleton,
            method=method,
            per_joint=per_joint,
            out=out,
            calibrated=calibrated,
            report=report,
            images=images,
        )
        outcome = fit_results(request)
    _show(outcome)


@app.command()
def apply(
    calibrator: Annotated[Path, typer.Argument(help="What calibrate fit wrote.", show_default=False)],
    results: Results,
    name: Name,
    skeleton: ResultsSkeleton = "coco",
    calibrated: Calibrated = None,
    annotations: Annotated[Path | None, typer.Option(help="COCO keypoints of the photos, to measure with.")] = None,
    report: Report = None,
    images: Images = None,
    max_pixels: MaxPixels = DEFAULT_MAX_PIXELS,
) -> None:
    """Apply a fitted curve to another results file of the same network.

    Examples:

        clickpose calibrate apply hrnet.calibration.json --results test.json --name hrnet --calibrated out.json
    """
    with user_errors(positional=["calibrator"]):
        from clickpose.commands.calibrate.apply import ApplyRequest, apply_calibrator

        set_max_pixels(max_pixels, "--max-pixels")
        request = ApplyRequest(
            calibrator=calibrator,
            results=results,
            name=name,
            skeleton=skeleton,
            calibrated=calibrated,
            annotations=annotations,
            report=report,
            images=images,
        )
        outcome = apply_calibrator(request)
    _show(outcome)


@app.command()
def network(
    data: Annotated[
        list[Path], typer.Option(help="Labelled folder (annotations.json, images/). Repeat.", show_default=False)
    ],
    model: Model = "lite",
    checkpoint: Checkpoint = None,
    method: Annotated[
        str,
        typer.Option(
            help="ccnet, for lite also isotonic, platt or temperature; auto: the best, or none if none is better."
        ),
    ] = "auto",
    per_joint: PerJoint = False,
    clicks: Annotated[int, typer.Option(min=0, help="Simulated clicks a person.")] = 3,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps lite's features between runs.")] = None,
    out: Annotated[Path | None, typer.Option(help="Calibrator to write: .safetensors for ccnet, else .json.")] = None,
    report: Report = None,
    max_pixels: MaxPixels = DEFAULT_MAX_PIXELS,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Fit a calibration of lite or r50 on labelled folders, before and after clicks.

    Examples:

        clickpose calibrate network --data my_people/ --checkpoint runs/mine/lite.safetensors
        --out runs/mine/lite.calibration --report report.html
    """
    with user_errors():
        from clickpose.commands.calibrate.network import NetworkRequest, fit_network

        set_max_pixels(max_pixels, "--max-pixels")
        request = NetworkRequest(
            data=tuple(data),
            model=model,
            checkpoint=checkpoint,
            method=method,
            per_joint=per_joint,
            clicks=clicks,
            cache=cache,
            out=out,
            report=report,
            device=device,
            threads=threads,
        )
        outcome = fit_network(request, track_photos)
    _show(outcome)


def _show(outcome: Outcome) -> None:
    """Print the figures, what is worth knowing, and the files."""
    from rich.console import Console

    if outcome.before is not None:
        Console().print(outcome.render())
    for line in (*outcome.notes, *(f"wrote {path}" for path in outcome.written)):
        typer.echo(line)
