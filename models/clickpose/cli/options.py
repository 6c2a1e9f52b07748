"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clickpose.first_pose.command_option import First as First

Model = Annotated[str, typer.Option(help="Name of the network: lite, or r50 (needs --checkpoint).")]
Checkpoint = Annotated[
    Path | None,
    typer.Option(help="Weights to load instead of the shipped ones; for r50 also a folder of clickpose export."),
]
FlipTest = Annotated[
    bool, typer.Option(help="lite: see each person mirrored as well; without it, quicker and less exact.")
]
MaxPixels = Annotated[int, typer.Option(min=1, help="Refuse photos of more pixels (width times height).")]
Device = Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1 …")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads. By default the libraries choose.")]
TrainedModel = Annotated[str, typer.Option(help="Name of the network: lite, or r50, the paper's end-to-end one.")]
TrainingThreads = Annotated[int, typer.Option(min=1, help="CPU threads of each process.")]
