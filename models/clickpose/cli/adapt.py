"""``clickpose adapt``: options; :mod:`clickpose.commands.adapt` does it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clickpose.cli.options import Device, MaxPixels, TrainedModel, TrainingThreads
from clickpose.image_io import DEFAULT_MAX_PIXELS, set_max_pixels
from clickpose.outputs import check_outputs
from clickpose.user_errors import user_errors


def adapt(
    skeleton: Annotated[str, typer.Option(help="YAML file of the joints wanted, or a known name such as crowdpose.")],
    data: Annotated[
        Path | None,
        typer.Option(help="COCO-format folder (annotations.json, images/) or annotation file with these joints."),
    ] = None,
    images: Annotated[int | None, typer.Option(min=0, help="Train on so many of its photos; 0: not at all.")] = None,
    format_name: Annotated[str, typer.Option("--format", help="Format of the data, as for evaluate.")] = "coco",
    photos: Annotated[
        Path | None, typer.Option(help="Folder of the photos. By default beside the annotations.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--init",
            help="Weights to adapt. lite: by default the shipped; r50: an official checkpoint, or own weights.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Working folder; a stopped run goes on from it.")] = Path("runs/adapted"),
    trunk_steps: Annotated[int, typer.Option(min=1, help="lite: steps of the trunk, 32 persons each.")] = 150,
    decoder_steps: Annotated[int, typer.Option(min=1, help="lite: steps of the decoder, 32 persons each.")] = 500,
    model_skeleton: Annotated[
        str | None,
        typer.Option(help="r50: name or YAML file of the joints of an official checkpoint, where they are not COCO's."),
    ] = None,
    preset: Annotated[str, typer.Option(help="r50: training preset, as for train; that of the weights.")] = "paper",
    steps: Annotated[int, typer.Option(min=1, help="r50: steps of the preset's batch.")] = 500,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    max_pixels: MaxPixels = DEFAULT_MAX_PIXELS,
    model: TrainedModel = "lite",
    device: Device = "cpu",
    threads: TrainingThreads = 1,
) -> None:
    """Adapt a network to other joints.

    Lite predicts the joints that it knows as before; new ones start from their neighbours along the skeleton's edges,
    and learn from the photos.

    Examples:

        clickpose adapt --skeleton golf.yaml --data swings/ --images 100 --out runs/golf

        clickpose adapt --skeleton crowdpose --images 0

        clickpose adapt --skeleton humanart21 --format humanart21 --data training_humanart.json --photos HumanArt/
        --images 100

        clickpose adapt --model r50 --init checkpoint.pth --skeleton golf.yaml --data swings/ --device cuda

        clickpose predict photo.jpg --checkpoint runs/golf/lite.safetensors --out overlay.png
    """
    with user_errors():
        from clickpose.commands.adapt import Adaptation, LiteOptions, R50Options, adapt_from_options
        from clickpose.skeleton_io import load_skeleton

        options: dict[str, LiteOptions | R50Options] = {
            "lite": LiteOptions(trunk_steps, decoder_steps),
            "r50": R50Options(model_skeleton, preset, steps),
        }
        if model not in options:
            raise ValueError(f"Expected --model to be one of {', '.join(options)}, got {model!r}")
        set_max_pixels(max_pixels, "--max-pixels")
        check_outputs(folders={"--out": out})
        wanted = Adaptation(load_skeleton(skeleton), data, out, images, format_name, photos, seed)
        weights = adapt_from_options(wanted, start, options[model], device, threads)
    typer.echo(f"wrote {weights}")
