"""``clickpose labelstudio start``, ``setup`` and ``bridge``; imports only Typer until one of them is called."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from clickpose.first_pose.command_option import First
from clickpose.user_errors import fail, user_errors
from clickpose_labelstudio.command_options import ApiKey, Url, connect


def start(
    images: Annotated[
        Path | None, typer.Option(help="Folder with photos, sub-folders included. By default the demo photos.")
    ] = None,
    data_dir: Annotated[
        Path, typer.Option(help="Where the database with all annotations, the login and the logs are kept.")
    ] = Path(".clickpose"),
    label_studio_python: Annotated[
        Path, typer.Option(help="Python of the virtual environment that has Label Studio.")
    ] = Path(".venv-labelstudio/bin/python"),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Label Studio.")] = 8080,
    backend_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the backend.")] = 9090,
    backend_url: Annotated[str | None, typer.Option(help="A backend that runs already, instead of a new one.")] = None,
    model: Annotated[str, typer.Option(help="Name of the network.")] = "lite",
    first: First = "",
    train_after: Annotated[
        int, typer.Option(min=0, help="New persons after which the network is trained on them; 0: never by itself.")
    ] = 50,
    browser: Annotated[bool, typer.Option(help="Open the project in a browser, where there is a desktop.")] = True,
) -> None:
    """Start the backend and Label Studio on this machine, with photos in it; people are labelled in the background.

    Every folder of photos has a project of its own, which is found again at the next start; new photos are added.
    Photos are never copied, annotations never deleted. Ctrl-C stops everything.

    Examples:

        clickpose labelstudio start

        clickpose labelstudio start --images ~/photos --port 8081

        clickpose labelstudio start --images ~/photos --first movenet:thunder.onnx
    """
    with user_errors("labelstudio"):
        from clickpose.build import check_named
        from clickpose_labelstudio.launch.start import LaunchOptions
        from clickpose_labelstudio.launch.start import start as start_loop

        if backend_url is None:
            check_named(model, None, first)
        elif first:
            raise ValueError("Expected a backend of this machine's own for --first, got --backend-url: name it there")
    options = LaunchOptions(
        images=images,
        data_dir=data_dir,
        label_studio_python=label_studio_python,
        port=port,
        backend_port=backend_port,
        backend_url=backend_url,
        model=model,
        first=first,
        train_after=train_after,
        open_browser=browser,
    )
    raise typer.Exit(start_loop(options))


def setup(
    backend: Annotated[str, typer.Option(help="Address of the backend as Label Studio reaches it.")],
    project: Annotated[
        int | None, typer.Option(min=1, help="Number of a project that is there; its labelling stays as it is.")
    ] = None,
    title: Annotated[str, typer.Option(help="Title of a new project, where no number is given.")] = "Poses",
    skeleton: Annotated[str, typer.Option(help="Name or YAML file of the joints, for a new project.")] = "coco",
    url: Url = None,
    api_key: ApiKey = "",
) -> None:
    """Make a project for poses in a Label Studio that runs already, or take one that is there, and connect a backend.

    The login and the webhook's secret of the backend are read from the variables that the backend itself reads:
    CLICKPOSE_BASIC_AUTH_USER, CLICKPOSE_BASIC_AUTH_PASSWORD, CLICKPOSE_WEBHOOK_SECRET. Doing it again mends what has
    changed, and makes nothing twice where a number is given.

    Examples:

        clickpose labelstudio setup --backend http://backend:9090 --title "Skaters"

        clickpose labelstudio setup --backend http://backend:9090 --project 3
    """
    with user_errors("labelstudio"):
        from clickpose.skeleton_io import load_skeleton
        from clickpose_labelstudio.launch.project import create_project, register_backend

        user, password, secret = (
            os.environ.get(f"CLICKPOSE_{name}", "")
            for name in ("BASIC_AUTH_USER", "BASIC_AUTH_PASSWORD", "WEBHOOK_SECRET")
        )
        if bool(user) != bool(password):
            raise ValueError(
                "Expected CLICKPOSE_BASIC_AUTH_USER and CLICKPOSE_BASIC_AUTH_PASSWORD, or neither; got only one of them"
            )
        joints = load_skeleton(skeleton)
        with connect(url, api_key) as client:
            if project is None:
                known = create_project(client, title, skeleton=joints)
            elif (found := client.project(project)) is not None:
                known = found
            else:
                raise ValueError(f"Expected the number of a project, got {project}, which Label Studio does not have")
            register_backend(client, known["id"], backend, secret, (user, password) if user else None)
        typer.echo(f"Project {known['id']}, “{known['title']}”: edits are refined by {backend}.")


def bridge(
    match: Annotated[
        str | None, typer.Option(help="Write a userscript for these pages: https://label-studio.example.org/*")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; by default standard output.")] = None,
) -> None:
    """Write the script that refines poses on the pages of a Label Studio which runs already.

    Examples:

        clickpose labelstudio bridge --out clickpose-bridge.js

        clickpose labelstudio bridge --match 'https://label-studio.example.org/*' --out clickpose.user.js
    """
    import clickpose
    from clickpose_labelstudio.launch.bridge_script import bridge_script, userscript

    script = bridge_script() if match is None else userscript(match, clickpose.__version__)
    if out is None:
        typer.echo(script)
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(script, encoding="utf-8")
    except OSError as error:
        fail(f"{out} cannot be written: {error.strerror}")
