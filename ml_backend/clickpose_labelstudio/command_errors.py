"""Errors that a user of the integrations' commands can cause, as one line and exit code 1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def user_errors(extra: str = "labelstudio", *more: type[Exception]) -> Iterator[None]:
    """Turn the errors that a user can cause into one line and exit code 1.

    Args:
        extra: what brings the packages that the command needs; named where one is missing.
        more: further errors whose message is a sentence for the user, beside OSError and ValueError.
    """
    try:
        yield
    except ImportError as error:
        typer.echo(f'{error}. Install the integration: pip install "clickpose[{extra}]"', err=True)
        raise typer.Exit(1) from None
    except (OSError, ValueError, *more) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
