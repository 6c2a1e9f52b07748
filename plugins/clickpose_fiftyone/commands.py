"""The ``clickpose fiftyone`` commands. FiftyOne is imported only when one runs: it takes seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clickpose.first_pose.command_option import First
from clickpose.user_errors import user_errors

fiftyone = typer.Typer(
    help="The FiftyOne plugin: calibrated confidence, review worst first, corrections.", no_args_is_help=True
)


@fiftyone.command()
def install(
    plugins_dir: Annotated[Path | None, typer.Option(help="FiftyOne's plugin folder; by default its own.")] = None,
    copy: Annotated[bool, typer.Option(help="Copy the plugin instead of linking it.")] = False,
) -> None:
    """Link the plugin into FiftyOne's plugin folder.

    Examples:

        clickpose fiftyone install
    """
    with user_errors("fiftyone", RuntimeError):
        from clickpose_fiftyone.install import install_plugin

        target = install_plugin(plugins_dir, copy)
    typer.echo(f"{target}: operators and panels are there when the FiftyOne app is opened next")


@fiftyone.command()
def review(
    images: Annotated[Path | None, typer.Option(help="Folder of photos; by default demo photos.")] = None,
    coco: Annotated[
        Path | None, typer.Option(help="COCO keypoint folder (annotations.json, images/), labelled.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the dataset; reused where it exists.")] = None,
    data_dir: Annotated[Path, typer.Option(help="Where the demo's plugin folder lives.")] = Path(".clickpose/fiftyone"),
    port: Annotated[int, typer.Option(help="Port of the app.")] = 5151,
    address: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    limit: Annotated[int | None, typer.Option(min=1, help="Take the first photos only.")] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
    first: First = "",
) -> None:
    """Open the app on photos with everything applied: poses, colours, flags, review queue and panels.

    Examples:

        clickpose fiftyone review

        clickpose fiftyone review --images ~/photos

        clickpose fiftyone review --coco my_people/
    """
    with user_errors("fiftyone", RuntimeError):
        from clickpose_fiftyone.demo import ReviewOptions, run_review

        run_review(
            ReviewOptions(images, coco, name, data_dir, port, address, limit, browser, first or None), typer.echo
        )


@fiftyone.command()
def queue() -> None:
    """Run what is queued in the app, beside a FiftyOne of your own (`clickpose fiftyone review` does so itself).

    The app offers queueing where it was started with FIFTYONE_ALLOW_LEGACY_ORCHESTRATORS=true.

    Examples:

        clickpose fiftyone queue
    """
    with user_errors("fiftyone", RuntimeError):
        from clickpose_fiftyone.queued_runs import run_until_interrupted

        typer.echo("Running what is queued (Ctrl+C ends it).")
        run_until_interrupted()
