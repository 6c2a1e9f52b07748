"""Errors that a user of the commands can cause, as one line and exit code 1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn the errors that a user can cause, a missing extra among them, into one line and exit code 1."""
    try:
        yield
    except ImportError as error:
        typer.echo(f'{error}. Install the integration: pip install "clickpose[labelstudio]"', err=True)
        raise typer.Exit(1) from None
    except (OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
