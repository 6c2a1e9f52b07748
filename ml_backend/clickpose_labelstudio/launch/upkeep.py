"""Children that are started again when they end: a server that dies is soon back at the same address."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from clickpose_labelstudio.launch.errors import LaunchError
from clickpose_labelstudio.launch.processes import Child, answers

Say = Callable[[str], None]


@dataclass(frozen=True)
class Patience:
    """How often a child may end before it is given up.

    Attributes:
        pauses_s: seconds to wait before each start anew; it is given up when it ends once more than there are pauses.
        period_s: seconds after which an end no longer counts.
    """

    pauses_s: tuple[float, ...] = (0.0, 2.0, 5.0, 15.0, 45.0)
    period_s: float = 900.0


class KeptChild:
    """A child process that is started again whenever it ends, until it has ended too often.

    Linux ends a child when the thread that started it ends, so :meth:`look` belongs to the thread that lives longest.

    Args:
        start: starts the process; may raise LaunchError, which counts as an end.
        health_url: address that it answers once it is ready.
        say: takes each sentence for the user.
        without: sentence on what goes on without it, said when it is given up; None where nothing does.
        patience: how often it may end.
        clock: seconds.
    """

    def __init__(
        self,
        start: Callable[[], Child],
        health_url: str,
        say: Say,
        *,
        without: str | None = None,
        patience: Patience = Patience(),
        clock: Callable[[], float] = time.monotonic,
    ):
        self._start, self._health_url, self._say = start, health_url, say
        self._without, self._patience, self._clock = without, patience, clock
        self._ends: deque[float] = deque()  # when it has ended, within the period
        self._due: float | None = None  # when to start it again; None while it runs
        self._is_back = True
        self.has_given_up = False
        self.child = start()

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return self.child.name

    def look(self) -> None:
        """Notice that the child has ended, start it again when it is time, and say so; call it about every second.

        Raises:
            LaunchError: if it has ended too often and nothing goes on without it; the message has its last lines.
        """
        if self.has_given_up:
            return
        if self._due is None and (end := self.child.end()) is not None:
            self._ended(end)
        elif self._due is not None and self._clock() >= self._due:
            self._start_again()
        elif self._due is None and not self._is_back and answers(self._health_url):
            self._is_back = True
            self._say(f"{self.name} is back.")

    def _ended(self, end: str) -> None:
        now = self._clock()
        self._is_back = False
        self._ends.append(now)
        while self._ends[0] < now - self._patience.period_s:
            self._ends.popleft()
        if len(self._ends) > len(self._patience.pauses_s):
            self._give_up(end)
            return
        pause = self._patience.pauses_s[len(self._ends) - 1]
        self._due = now + pause
        self._say(f"{self.name} {end}; it is started again{f' in {pause:.0f} s' if pause else ''}.")

    def _start_again(self) -> None:
        self._due = None
        try:
            self.child = self._start()
        except LaunchError as error:
            self._ended(f"cannot be started ({str(error).rstrip('.')})")

    def _give_up(self, end: str) -> None:
        self.has_given_up = True
        sentence = (
            f"{self.name} {end}, {len(self._ends)} times within {self._patience.period_s / 60:.0f} minutes, and is not "
            f"started again.{f' {self._without}' if self._without else ''} {self.child.last_words()}"
        )
        if self._without is None:
            raise LaunchError(sentence)
        self._say(sentence)

    def stop(self) -> None:
        """End the child for good."""
        self.has_given_up = True
        self.child.stop()
