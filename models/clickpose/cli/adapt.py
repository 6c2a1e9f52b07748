"""``clickpose adapt``: options; :mod:`clickpose.commands.adapt` does it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clickpose.cli.errors import user_errors
from clickpose.cli.options import Device, Threads


def adapt(
    skeleton: Annotated[str, typer.Option(help="YAML file of the joints wanted, or a known name such as crowdpose.")],
    data: Annotated[
        Path | None, typer.Option(help="COCO-format folder (annotations.json, images/) with these joints.")
    ] = None,
    images: Annotated[int | None, typer.Option(min=0, help="Train on so many of its photos; 0: not at all.")] = None,
    start: Annotated[Path | None, typer.Option("--init", help="Lite weights to adapt; by default the shipped.")] = None,
    out: Annotated[Path, typer.Option(help="Working folder; a stopped run goes on from it.")] = Path("runs/adapted"),
    trunk_steps: Annotated[int, typer.Option(min=1, help="Steps of the trunk, 32 persons each.")] = 150,
    decoder_steps: Annotated[int, typer.Option(min=1, help="Steps of the decoder, 32 persons each.")] = 500,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Adapt the lite network to other joints.

    Joints that it knows are predicted as before; new ones start from their neighbours along the skeleton's edges, and
    learn from the photos.

    Examples:

        clickpose adapt --skeleton golf.yaml --data swings/ --images 100 --out runs/golf

        clickpose adapt --skeleton crowdpose --images 0

        clickpose predict photo.jpg --checkpoint runs/golf/lite.safetensors --out overlay.png
    """
    with user_errors():
        from clickpose.commands.adapt import adapt_from_options

        weights = adapt_from_options(
            skeleton, data, images, start, out, trunk_steps, decoder_steps, seed, device, threads
        )
    typer.echo(f"wrote {weights}")
