"""Options that the commands of Label Studio share: where it is, and with which key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from clickpose_labelstudio.label_studio_client import LabelStudioClient

OWN_DATA_FOLDER = Path(".clickpose")
DEFAULT_URL = "http://localhost:8080"

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="LABEL_STUDIO_URL",
        help=f"Address of Label Studio. By default what runs on .clickpose, with its key; else {DEFAULT_URL}.",
    ),
]
ApiKey = Annotated[
    str,
    typer.Option(
        envvar="LABEL_STUDIO_API_KEY",
        help="Legacy token or personal access token. Better set in the environment, where no process list shows it.",
    ),
]


def connect(url: str | None, api_key: str) -> LabelStudioClient:
    """Return a client; see :func:`login`."""
    from clickpose_labelstudio.label_studio_client import LabelStudioClient

    return LabelStudioClient(*login(url, api_key))


def login(url: str | None, api_key: str) -> tuple[str, str]:
    """Return the address and key that were given; else those of what ``make run`` has started here."""
    from clickpose_labelstudio.launch.folder import running_login

    own_url, own_token = running_login(OWN_DATA_FOLDER) or (DEFAULT_URL, "")
    if not api_key and url in (None, own_url):  # the token is for nobody else
        api_key = own_token
    return url or own_url, api_key
