"""What stays in the app's process of the work of panels and operators, bounded.

FiftyOne runs them in threads. glibc keeps what each thread has freed in an arena of its own: columns of 12,000 people,
a decoded photo of 24 megapixels and a network's work left 1.7 GB in a process that needed half of it.
"""

from __future__ import annotations

from functools import cache

from clickpose_labelstudio.memory import MemoryReturn, bound_arenas


def note_work() -> None:
    """Take note that something large may have been freed: a few seconds later it goes back to the system."""
    _memory().after_work()


@cache
def _memory() -> MemoryReturn:
    bound_arenas()
    return MemoryReturn()
