"""The commands of Label Studio and FiftyOne, mounted where their packages are installed."""

from __future__ import annotations

import typer

from clickpose.cli.errors import fail

_LABEL_STUDIO_MISSING = 'This command needs the Label Studio integration: pip install "clickpose[labelstudio]"'


def mount_label_studio(app: typer.Typer) -> None:
    """Add ``serve`` and ``labelstudio``; where the integration is missing, commands that say so."""
    try:
        from clickpose_labelstudio import commands
    except ImportError:
        anything = {"allow_extra_args": True, "ignore_unknown_options": True}
        for name in ("serve", "labelstudio"):
            app.command(name, context_settings=anything, help=_LABEL_STUDIO_MISSING)(_label_studio_is_missing)
    else:
        app.command("serve")(commands.serve)
        app.add_typer(commands.labelstudio, name="labelstudio")


def mount_fiftyone(app: typer.Typer) -> None:
    """Add ``fiftyone``, where its package is installed; its commands say what else is missing."""
    try:
        from clickpose_fiftyone import commands
    except ImportError:
        return
    app.add_typer(commands.fiftyone, name="fiftyone")


def _label_studio_is_missing(context: typer.Context) -> None:
    fail(_LABEL_STUDIO_MISSING)
