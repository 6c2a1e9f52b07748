"""``clickpose labelstudio backup`` and ``restore``.

Only the standard library, Typer and modules of that kind are imported here, so that ``clickpose --help`` stays quick.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from clickpose.user_errors import user_errors
from clickpose_labelstudio.learning.commands import OWN_FOLDER, Folder

LabelStudio = Annotated[
    Path | None,
    typer.Option(help="Label Studio's data folder: its media, and its database where that is SQLite (not PostgreSQL)."),
]
Database = Annotated[
    str | None,
    typer.Option(
        envvar="CLICKPOSE_BACKUP_DATABASE",
        help="Label Studio's PostgreSQL, postgresql://user@host:5432/name; its password from PGPASSWORD or "
        "POSTGRE_PASSWORD.",
    ),
]


def mount(labelstudio: typer.Typer) -> None:
    """Add the commands."""
    labelstudio.command()(backup)
    labelstudio.command()(restore)


def backup(
    file: Annotated[Path, typer.Argument(help="File to write; one that is there is left alone.")],
    folder: Folder = OWN_FOLDER,
    label_studio: LabelStudio = None,
    database: Database = None,
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="Also passwords, keys and the webhook's secret of the settings.")
    ] = False,
) -> None:
    """Save journal, versions, calibration and settings, and Label Studio's data, in one file; nothing has to stop.

    Examples:

        clickpose labelstudio backup 2026-12-01.backup --label-studio .clickpose/label-studio
    """
    with user_errors("labelstudio"):
        from clickpose_labelstudio.backup.sources import Places, back_up
        from clickpose_labelstudio.settings import ServiceSettings

        settings = ServiceSettings.from_environment(os.environ)
        places = Places(learning=folder, label_studio=label_studio, database=database, password=_password())
        parts = back_up(file, places, settings, with_secrets)
        typer.echo(f"wrote {file}, {file.stat().st_size / 1e6:.1f} MB: {_told(parts)}")
        if not with_secrets:
            typer.echo("Secrets of the settings are not in it (--with-secrets).")
        if parts.get("database") or parts.get("label-studio"):
            typer.echo("Label Studio's database holds its users' tokens and hashed passwords: keep the file safe.")


def restore(
    file: Annotated[Path, typer.Argument(help="A backup.", exists=True)],
    folder: Folder = OWN_FOLDER,
    label_studio: LabelStudio = None,
    database: Database = None,
) -> None:
    """Give back what a backup holds, to new or empty places; all of it is checked before anything is changed.

    Settings and the weights that the service was started with are put beside the folder of what is learned.

    Examples:

        clickpose labelstudio restore 2026-12-01.backup --label-studio .clickpose/label-studio
    """
    with user_errors("labelstudio"):
        from clickpose_labelstudio.backup.sources import Places, restore

        parts = restore(
            file, Places(learning=folder, label_studio=label_studio, database=database, password=_password())
        )
        typer.echo(f"restored {_told(parts)}; the settings are in {folder}/restored-settings")
        typer.echo("What Label Studio has and the journal lacks is found when the service starts.")


def _password() -> str:
    return os.environ.get("PGPASSWORD") or os.environ.get("POSTGRE_PASSWORD", "")


def _told(parts: dict[str, int]) -> str:
    return ", ".join(f"{name} ({count} file{'' if count == 1 else 's'})" for name, count in parts.items() if count)
