"""Do the first half of some work in a thread, one piece ahead of the second half."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")


def ahead(
    prepare: Callable[[Item], Prepared], items: Iterable[Item], count: int = 1
) -> Iterator[tuple[Item, Future[Prepared]]]:
    """Yield each item, in order, with what ``prepare`` returns or raises for it.

    Items are prepared one after the other in a thread, while the caller is busy with earlier ones. What is not asked
    for any more is not prepared.

    Args:
        prepare: the first half, such as reading a file.
        items: any.
        count: how many items may be prepared beyond the one that the caller has; a bound of memory.

    Example:
        >>> for word, length in ahead(len, ["a", "bcd"]):
        ...     print(word, length.result())
        a 1
        bcd 3
    """
    waiting: deque[tuple[Item, Future[Prepared]]] = deque()
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead")
    try:
        for item in items:
            waiting.append((item, pool.submit(prepare, item)))
            if len(waiting) > count:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
