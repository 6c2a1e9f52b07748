"""Do the parts of a run that nobody has done: alone, beside other processes, or a share of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from clickpose.durations import spoken
from clickpose.large_sets.claims import Claims
from clickpose.large_sets.manifests import Listed
from clickpose.large_sets.run_folder import RunFolder

OTHERS_S = 2.0  # between looks at whether others have done their parts or died
_FIRST_ESTIMATE_S = 10.0  # of work: before, opening the network and the first files says more than the rest will take

Say = Callable[[str], None]
Pose = Callable[[list[Listed]], list[dict]]


@dataclass(frozen=True)
class Share:
    """Every ``of``-th part, from the ``number``-th (from 1) on."""

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Share:
        """Read ``2/5``.

        Raises:
            ValueError: for anything else.
        """
        number, _, of = text.partition("/")
        if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
            raise ValueError(f"Expected --shard such as 2/5, the second of five, got {text!r}")
        return cls(int(number), int(of))

    def parts(self, run: RunFolder) -> range:
        """Return the parts of the share."""
        return range(self.number - 1, run.parts, self.of)


class Worker:
    """Works on a run.

    Args:
        run: the run.
        pose: returns the rows of some photos.
        share: of the parts.
        say: takes each sentence for the user.
        claims: of this process.
    """

    def __init__(self, run: RunFolder, pose: Pose, share: Share, say: Say, claims: Claims | None = None):
        self._run, self._pose, self._share, self._say = run, pose, share, say
        self._claims = claims or Claims(run.claims)
        self._failed = 0

    def work(self) -> int:
        """Do all parts that are left, and those that others have begun and do not finish; return the photos that
        failed here."""
        self._run.sweep()
        self._started, self._done_before = time.monotonic(), self._photos(self._done())
        waiting, all_took = False, 0
        while left := sorted(set(self._share.parts(self._run)) - self._run.done()):
            took = sum(1 for _ in self._take(left))
            all_took += took
            if not took:
                if not waiting:
                    self._say(f"Waiting for {_counted(len(left), 'part')} that others are at")
                waiting = True
                time.sleep(OTHERS_S)
        if not all_took:
            self._say(self._progress())
        return self._failed

    def retry(self) -> tuple[int, int]:
        """Do the photos again that have failed; return how many these were and how many failed again."""
        tried = failed = 0
        for part in self._share.parts(self._run):
            if not self._run.is_done(part) or not any("error" in row for row in self._run.rows(part)):
                continue
            with self._claims.take(part) as mine:
                if not mine:
                    self._say(f"Left out part {part}, which somebody else is at")
                    continue
                rows = self._run.rows(part)
                bad = [number for number, row in enumerate(rows) if "error" in row]
                photos = self._run.photos(part)
                for number, row in zip(bad, self._pose([photos[number] for number in bad]), strict=True):
                    rows[number] = row
                    failed += "error" in row
                tried += len(bad)
                self._run.finish(part, rows, again=True)
        return tried, failed

    def _take(self, left: list[int]) -> Iterator[int]:
        """Do those parts that nobody else is at; yield each."""
        for part in left:
            if self._run.is_done(part):
                continue
            with self._claims.take(part) as mine:
                if not mine or self._run.is_done(part):
                    continue
                rows = self._pose(self._run.photos(part))
                self._failed += sum("error" in row for row in rows)
                self._run.finish(part, rows)
            self._say(self._progress())
            yield part

    def _done(self) -> set[int]:
        return self._run.done() & set(self._share.parts(self._run))

    def _photos(self, parts: set[int]) -> int:
        """Return how many photos some parts have; the last one may be short."""
        size, last = self._run.part_size, self._run.parts - 1
        return len(parts) * size - (last in parts) * (self._run.parts * size - self._run.count)

    def _progress(self) -> str:
        """Say how far all who work on these parts are, and how long the rest takes at the pace since this one began."""
        done, total = self._photos(self._done()), self._photos(set(self._share.parts(self._run)))
        elapsed, fresh = time.monotonic() - self._started, done - self._done_before
        left = ""
        if done < total and fresh and elapsed > _FIRST_ESTIMATE_S:
            left = f", {spoken((total - done) * elapsed / fresh)} left"
        failed = f", {self._failed:,} failed here" if self._failed else ""
        return f"{done:,} of {_counted(total, 'photo')}{failed}{left}"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
