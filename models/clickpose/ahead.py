"""Do the first half of some work in a thread, ahead of the second half."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")


def ahead(
    prepare: Callable[[Item], Prepared],
    items: Iterable[Item],
    count: int = 1,
    room: float = float("inf"),
    size_of: Callable[[Prepared], float] = lambda prepared: 0.0,
) -> Iterator[tuple[Item, Future[Prepared]]]:
    """Yield each item, in order, with what ``prepare`` returns or raises for it.

    Items are prepared one after the other in a thread, while the caller is busy with earlier ones. What is not asked
    for any more is not prepared.

    Args:
        prepare: the first half, such as reading a file.
        items: any.
        count: how many items may be prepared beyond the one that the caller has; a bound of memory.
        room: another bound: nothing more is prepared while what waits for the caller is as large together.
        size_of: what is prepared; in the units of ``room``.

    Example:
        >>> for word, length in ahead(len, ["a", "bcd"]):
        ...     print(word, length.result())
        a 1
        bcd 3
    """
    waiting: deque[tuple[Item, Future[Prepared]]] = deque()
    taken = _Room(room)

    def prepare_in_room(item: Item) -> Prepared:
        taken.wait()
        size = 0.0
        try:
            prepared = prepare(item)
            size = size_of(prepared)
            return prepared
        finally:
            taken.take(size)

    def hand_over() -> tuple[Item, Future[Prepared]]:
        item, future = waiting.popleft()
        future.add_done_callback(lambda done: taken.give_back())  # at once where it is done
        return item, future

    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead")
    try:
        for item in items:
            waiting.append((item, pool.submit(prepare_in_room, item)))
            if len(waiting) > count:
                yield hand_over()
        while waiting:
            yield hand_over()
    finally:
        taken.close()
        pool.shutdown(wait=True, cancel_futures=True)


class _Room:
    """Sizes of what has been prepared and not been handed over, in order."""

    def __init__(self, limit: float):
        self._limit, self._sizes = limit, deque[float]()
        self._changed, self._closed = threading.Condition(), False

    def wait(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or sum(self._sizes) < self._limit)

    def take(self, size: float) -> None:
        with self._changed:
            self._sizes.append(size)

    def give_back(self) -> None:
        with self._changed:
            if self._sizes:
                self._sizes.popleft()
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
