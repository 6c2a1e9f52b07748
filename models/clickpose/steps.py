"""Long work as a generator of its steps, and one driver: what runs silently, with a bar or in an app is one function.

A generator yields (done, in all) after each step and returns its result. Nothing runs on when it is not driven further.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from typing import Any, TypeVar

Result = TypeVar("Result")
Event = TypeVar("Event")
Steps = Generator[tuple[int, int], None, Result]
Progress = Callable[[int, int], Any]


def exhaust(run: Steps[Result], progress: Progress | None = None) -> Result:
    """Run to the end and return the result.

    Args:
        run: the steps.
        progress: called with (done, in all) after each of them.

    Example:
        >>> def count(numbers):
        ...     for done, _ in enumerate(numbers, 1):
        ...         yield done, len(numbers)
        ...     return sum(numbers)
        >>> exhaust(count([3, 4]), print)
        1 2
        2 2
        7
    """
    steps = mapped(run, progress or (lambda done, total: None))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def mapped(run: Steps[Result], event: Callable[[int, int], Event]) -> Generator[Event, None, Result]:
    """Yield ``event(done, in all)`` of each step and return the result, for a caller that yields something else."""
    while True:
        try:
            done, total = next(run)
        except StopIteration as end:
            return end.value
        yield event(done, total)


def stepwise(generator: Callable[..., Steps]) -> Callable[..., Any]:
    """Make a function of a generator of steps: it runs to the end and takes ``progress`` as its last argument.

    The generator itself is the function's ``steps``, for callers that drive it themselves.

    Example:
        >>> @stepwise
        ... def count(numbers):
        ...     for done, _ in enumerate(numbers, 1):
        ...         yield done, len(numbers)
        ...     return sum(numbers)
        >>> count([3, 4]), list(count.steps([3, 4]))
        (7, [(1, 2), (2, 2)])
    """
    signature = inspect.signature(generator)
    told = inspect.Parameter("progress", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None)
    parameters = [*signature.parameters.values(), told]
    signature = signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)

    @functools.wraps(generator)
    def run(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        progress = given.pop("progress", None)
        return exhaust(generator(**given), progress)

    run.__signature__ = signature  # type: ignore[attr-defined]
    run.steps = generator  # type: ignore[attr-defined]
    return run
