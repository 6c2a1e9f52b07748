"""The commands of Label Studio and FiftyOne, mounted beside the package's own.

Their modules ship with the package and import nothing that only an extra brings: a command whose extra is missing says
so when it runs.
"""

from __future__ import annotations

import typer

from clickpose_fiftyone.commands import fiftyone
from clickpose_labelstudio.commands import labelstudio, serve


def mount_label_studio(app: typer.Typer) -> None:
    """Add ``serve`` and ``labelstudio``."""
    app.command("serve")(serve)
    app.add_typer(labelstudio, name="labelstudio")


def mount_fiftyone(app: typer.Typer) -> None:
    """Add ``fiftyone``."""
    app.add_typer(fiftyone, name="fiftyone")


def fiftyone_photos(name: str) -> list[str]:
    """Return the paths of the photos of a dataset of FiftyOne, or of ``dataset/saved-view``.

    Raises:
        ValueError: if there is none, or FiftyOne is not installed.
    """
    from clickpose.extras import require_extra
    from clickpose_fiftyone.photo_list import photos_of

    require_extra("fiftyone", "fiftyone")
    return photos_of(name)
