"""``clickpose train``: options; :mod:`clickpose.commands.train` does it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clickpose.cli.options import Device, MaxPixels, TrainedModel, TrainingThreads
from clickpose.image_io import DEFAULT_MAX_PIXELS, set_max_pixels
from clickpose.outputs import check_outputs
from clickpose.user_errors import user_errors


def train(
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="COCO-format folder (annotations.json, images/), with :weight if not 1; for r50 also an annotation "
            "file, of any --format. Repeat."
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--init",
            help="Weights to go on from. lite: MoveNet Thunder (.onnx) or lite weights, by default the shipped ones; "
            "r50: a Click-Pose checkpoint, by default a fresh network.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Working folder; a stopped run goes on from it. By default runs/<model>.")
    ] = None,
    trunk_steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="lite: steps of the trunk, 32 persons each. By default 60 from lite weights on, 1100 from MoveNet.",
        ),
    ] = None,
    decoder_steps: Annotated[
        int | None, typer.Option(min=1, help="lite: steps of the decoder, likewise: 100 or 5700.")
    ] = None,
    keep: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="lite: share of the weights before in those that come out, against forgetting. By default 0.5.",
        ),
    ] = None,
    trust_labels: Annotated[
        bool,
        typer.Option("--trust-labels", help="lite: keep people whose left and right look exchanged to the network."),
    ] = False,
    preset: Annotated[
        str, typer.Option(help="r50: paper (needs a GPU), or small: the same modules for two CPU cores.")
    ] = "paper",
    steps: Annotated[int | None, typer.Option(min=1, help="r50: steps. By default the preset's epochs.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="r50: photos a step, all processes together.")] = None,
    format_name: Annotated[str, typer.Option("--format", help="r50: format of the data, as for evaluate.")] = "coco",
    photos: Annotated[
        Path | None, typer.Option(help="r50: folder of the photos. By default beside the annotations.")
    ] = None,
    skeleton: Annotated[
        str | None, typer.Option(help="r50: name or YAML file of the joints, where they are not COCO's.")
    ] = None,
    backbone: Annotated[
        Path | None,
        typer.Option(
            help="r50: weights of the backbone for a fresh network: of ResNet-50 (.pth, torchvision's names), or with "
            "the small preset of MoveNet Thunder (.onnx) or lite, by default the shipped ones."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    max_pixels: MaxPixels = DEFAULT_MAX_PIXELS,
    model: TrainedModel = "lite",
    device: Device = "cpu",
    threads: TrainingThreads = 1,
) -> None:
    """Train lite, or the paper's end-to-end network; also across processes under torchrun.

    Examples:

        clickpose train --data my_people/ --out runs/mine

        clickpose train --data my_people/ --out runs/more --decoder-steps 2000 --keep 0

        clickpose train --data coco_train:2 --data lspet:0.75 --init movenet-thunder-heads.onnx

        clickpose predict photo.jpg --checkpoint runs/mine/lite.safetensors --out overlay.png

        clickpose train --model r50 --data person_keypoints_train2017.json --photos train2017/ --backbone resnet50.pth
        --device cuda

        clickpose train --model r50 --preset small --data my_people/
    """
    with user_errors():
        from clickpose.commands.train import LiteOptions, R50Options, train_from_options

        options: dict[str, LiteOptions | R50Options] = {
            "lite": LiteOptions(trunk_steps, decoder_steps, trust_labels, keep),
            "r50": R50Options(preset, steps, batch_size, format_name, photos, skeleton, backbone),
        }
        if model not in options:
            raise ValueError(f"Expected --model to be one of {', '.join(options)}, got {model!r}")
        out = out or Path("runs") / model
        set_max_pixels(max_pixels, "--max-pixels")
        check_outputs(folders={"--out": out})
        weights = train_from_options(data or [], start, out, options[model], seed, device, threads)
    typer.echo(f"wrote {weights}")
