"""Errors that a user of a command can cause, as one red sentence and exit code 2; for all commands, integrations too.

It stands outside ``clickpose.cli``, which imports the commands of the integrations.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer


@contextmanager
def user_errors(extra: str | None = None, *more: type[Exception], positional: Collection[str] = ()) -> Iterator[None]:
    """Turn the errors that a user can cause into one red sentence and exit code 2.

    Args:
        extra: the package's extra that brings what the command needs; named where a package is missing.
        more: further errors whose message is a sentence for the user.
        positional: arguments of the command that are no options, see :func:`as_options`.
    """
    # FloatingPointError: a training that diverged
    sentences: tuple[type[Exception], ...] = (ValueError, OSError, FloatingPointError, *more)
    try:
        yield
    except ImportError as error:
        if extra is None:
            raise
        fail(f'{error}. Install the integration: pip install "clickpose[{extra}]"')
    except sentences as error:
        fail(as_options(str(error), positional))


def as_options(sentence: str, positional: Collection[str] = ()) -> str:
    """Spell the arguments that a sentence of the library names in backticks as the command line does.

    Args:
        sentence: such as "Expected `per_joint` for a curve".
        positional: arguments that are no options.

    Example:
        >>> as_options("Expected `per_joint` for a `calibrator`", ["calibrator"])
        'Expected --per-joint for a CALIBRATOR'
    """

    def spelled(match: re.Match) -> str:
        name = match[1]
        return name.upper() if name in positional else f"--{name.replace('_', '-')}"

    return re.sub(r"`([a-z][a-z0-9_]*)`", spelled, sentence)


def complain(error: Exception | str) -> None:
    """Print an error in red and go on."""
    typer.secho(str(error), fg=typer.colors.RED, err=True)


def fail(error: Exception | str) -> NoReturn:
    """Print an error in red and leave with exit code 2."""
    complain(error)
    raise typer.Exit(2)
