"""The ``clickpose`` command. Each command's options stand in the module of its name; Label Studio's and FiftyOne's
commands are mounted beside them.

Only light modules are imported here, so that ``clickpose --help`` stays quick: what a command does is imported when it
runs, mostly from :mod:`clickpose.commands`.
"""

from __future__ import annotations

import warnings
from typing import Annotated

import typer

import clickpose
from clickpose.cli import adapt, calibrate, convert, evaluate, export, integrations, large_set, predict, refine, train

app = typer.Typer(
    name="clickpose",
    help="Human poses with calibrated confidence: correct one keypoint, the rest of the person follows.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"clickpose {clickpose.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options before the command's name."""
    # Pillow remarks on damaged EXIF blocks and large sizes; what matters of it is said in our own sentences
    warnings.filterwarnings("ignore", module=r"PIL\.")


app.command()(predict.predict)
app.command()(large_set.join)
app.command()(refine.refine)
app.command()(train.train)
app.command()(adapt.adapt)
app.command()(evaluate.evaluate)
app.add_typer(calibrate.app, name="calibrate")
app.command()(convert.convert)
app.command()(export.export)
integrations.mount_label_studio(app)
integrations.mount_fiftyone(app)


def main() -> None:
    """Run the command line."""
    app()
