"""``clickpose export``: options; :mod:`clickpose.commands.export` does it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clickpose.outputs import check_outputs
from clickpose.user_errors import user_errors


def export(
    checkpoint: Annotated[Path, typer.Option(help="r50 weights: an official .pth or our .safetensors file.")],
    out: Annotated[Path, typer.Option(help="Folder to write: two graphs and a copy of the checkpoint.")],
) -> None:
    """Export the end-to-end network to ONNX; the folder then serves as --checkpoint.

    Examples:

        clickpose export --checkpoint checkpoint.pth --out exported/

        clickpose serve --model r50 --checkpoint exported/
    """
    with user_errors():
        from clickpose.commands.export import export_from_options

        check_outputs(folders={"--out": out})
        difference = export_from_options(checkpoint, out)
    typer.echo(f"wrote {out}: the graphs agree with torch to {difference:.1e}")
