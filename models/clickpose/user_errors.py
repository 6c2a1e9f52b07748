"""Errors that a user of a command can cause, as one red sentence and exit code 2; for all commands, integrations too.

It stands outside ``clickpose.cli``, which imports the commands of the integrations.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer


@contextmanager
def user_errors(extra: str | None = None, *more: type[Exception]) -> Iterator[None]:
    """Turn the errors that a user can cause into one red sentence and exit code 2.

    Args:
        extra: the package's extra that brings what the command needs; named where a package is missing.
        more: further errors whose message is a sentence for the user.
    """
    try:
        yield
    except ImportError as error:
        if extra is None:
            raise
        fail(f'{error}. Install the integration: pip install "clickpose[{extra}]"')
    except (ValueError, OSError, FloatingPointError, *more) as error:  # FloatingPointError: a training that diverged
        fail(error)


def complain(error: Exception | str) -> None:
    """Print an error in red and go on."""
    typer.secho(str(error), fg=typer.colors.RED, err=True)


def fail(error: Exception | str) -> NoReturn:
    """Print an error in red and leave with exit code 2."""
    complain(error)
    raise typer.Exit(2)
