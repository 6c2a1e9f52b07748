"""Errors that a user can cause, as one red sentence and exit code 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn the errors that a user can cause into one red sentence and exit code 2."""
    try:
        yield
    except (ValueError, OSError, FloatingPointError) as error:  # the last one: a training that diverged
        fail(error)


def complain(error: Exception | str) -> None:
    """Print an error in red and go on."""
    typer.secho(str(error), fg=typer.colors.RED, err=True)


def fail(error: Exception | str) -> NoReturn:
    """Print an error in red and leave with exit code 2."""
    complain(error)
    raise typer.Exit(2)
