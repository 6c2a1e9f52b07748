"""``clickpose evaluate``: options; :mod:`clickpose.commands.evaluate` does it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clickpose.cli.options import Checkpoint, Device, First, FlipTest, MaxPixels, Threads
from clickpose.data.formats import FORMATS
from clickpose.image_io import DEFAULT_MAX_PIXELS, set_max_pixels
from clickpose.outputs import check_outputs
from clickpose.skeleton_io import load_skeleton
from clickpose.user_errors import user_errors


def evaluate(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Folders with annotations.json and images/, or annotation files.", show_default=False),
    ],
    format_name: Annotated[
        str,
        typer.Option("--format", help=f"Format of the data: {', '.join(FORMATS)}."),
    ] = "coco",
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            "--photos",
            help="Folder that the photos' names start from. By default images/ beside the file, or the file's own.",
        ),
    ] = None,
    skeleton: Annotated[str | None, typer.Option(help="Skeleton file of COCO-format data with other joints.")] = None,
    boxes: Annotated[str, typer.Option(help="Where the persons come from: ground-truth or detected.")] = "ground-truth",
    results: Annotated[
        list[str] | None, typer.Option(help="name=FILE: COCO results of another model, corrected by hand. Repeat.")
    ] = None,
    strategy: Annotated[
        str, typer.Option(help="Clicked joint: worst, lowest_score (r50: if calibrated), random or farthest.")
    ] = "worst",
    loop: Annotated[str, typer.Option(help="progressive: refine after every click; once: after all.")] = "progressive",
    clicks: Annotated[int, typer.Option(min=0, help="Most clicks a person.")] = 17,
    joints: Annotated[str | None, typer.Option(help="Click these joints only: left_wrist,right_wrist,…")] = None,
    noise: Annotated[float, typer.Option(min=0, help="Click noise an axis, in 2 sigma times sqrt(area).")] = 0.0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only that many photos.")] = None,
    json: Annotated[Path | None, typer.Option(help="File to write the figures to.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Picture of AP against clicks to write; a folder for several.")
    ] = None,
    model: Annotated[str, typer.Option(help="Name of the network; none to evaluate --results alone.")] = "lite",
    model_skeleton: Annotated[
        str | None,
        typer.Option(help="Joints of an official r50 checkpoint if not COCO's: crowdpose, humanart21 … or a file."),
    ] = None,
    checkpoint: Checkpoint = None,
    first: First = "",
    flip_test: FlipTest = True,
    max_pixels: MaxPixels = DEFAULT_MAX_PIXELS,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Measure how the poses of labelled people improve with simulated clicks.

    "C2" is COCO's AP (percent, the figure of pycocotools) after two clicks a person, "S2" the share of the found people
    who are right by then, "NoC90" the mean number of clicks until an image's AP, or a person's OKS, is .90. People whom
    the detector misses are counted apart and get no click.

    Examples:

        clickpose evaluate my_people/

        clickpose evaluate val/ --boxes detected --strategy lowest_score --json figures.json --plot curves.png

        clickpose evaluate mpii_val.json --format mpii --images mpii/images

        clickpose evaluate val/ --first movenet:thunder.onnx

        clickpose evaluate val/ --model none --results vitpose=vitpose_results.json

        clickpose evaluate crowdpose_test.json --format crowdpose --images images/ --boxes detected
        --model r50 --checkpoint clickpose_crowdpose.pth --model-skeleton crowdpose
    """
    with user_errors():
        from clickpose.clicks.click_protocol import ClickProtocol
        from clickpose.commands.evaluate import (
            EvaluationPlan,
            is_one_plot,
            load_network,
            parse_results,
            run_evaluation,
        )

        if first.isdecimal():
            raise ValueError(f"Expected a network with --first, got {first}; only so many photos: --limit {first}")
        set_max_pixels(max_pixels, "--max-pixels")
        inputs = [*sources, *(source / "annotations.json" for source in sources)]
        picture = plot is not None and is_one_plot(plot, len(sources))
        check_outputs(
            {"--json": json, "--plot": plot if picture else None},
            {"--plot": None if picture else plot},
            [*inputs, *parse_results(results or []).values()],
        )
        protocol = ClickProtocol(
            strategy, clicks, noise, loop=loop, joints=tuple(joints.split(",")) if joints else None
        )
        other = load_skeleton(skeleton) if skeleton else None
        plan = EvaluationPlan(sources, format_name, images, other, boxes, parse_results(results or []), protocol, limit)
        network = load_network(model, checkpoint, device, threads, model_skeleton, flip_test, first)
        run_evaluation(plan, network, json, plot)
