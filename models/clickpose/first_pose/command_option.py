"""The option by which a command is told of the network that sees first; imports only Typer."""

from __future__ import annotations

from typing import Annotated

import typer

First = Annotated[
    str,
    typer.Option(
        envvar="CLICKPOSE_FIRST",
        metavar="KIND:WHAT",
        help="lite: start from another network's poses, such as movenet:thunder.onnx; see the page on first poses.",
        show_default="lite's own",
    ),
]
