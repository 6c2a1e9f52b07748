"""The first half of the work runs one piece ahead, in order, and ends when nobody asks any more."""

import threading

import pytest

from clickpose.ahead import ahead


def test_items_come_in_order_with_what_became_of_each():
    def half(number):
        if number == 2:
            raise ValueError("two")
        return number / 2

    found = []
    for number, future in ahead(half, [1, 2, 3]):
        try:
            found.append((number, future.result()))
        except ValueError as error:
            found.append((number, str(error)))
    assert found == [(1, 0.5), (2, "two"), (3, 1.5)]
    assert list(ahead(half, [])) == []


def test_the_next_item_is_prepared_while_the_caller_has_one():
    """And only the next: a photo takes memory."""
    done = [threading.Event() for _ in range(4)]
    steps = ahead(lambda number: done[number].set(), range(4))
    next(steps)
    assert done[1].wait(10) and not done[2].is_set()
    next(steps)
    assert done[2].wait(10) and not done[3].is_set()
    steps.close()
    assert not any(thread.name.startswith("ahead") for thread in threading.enumerate())


def test_what_nobody_asks_for_any_more_is_not_prepared():
    prepared = []
    with pytest.raises(KeyError):
        for number, future in ahead(lambda number: prepared.append(number), range(100)):
            future.result()
            raise KeyError(number)
    assert set(prepared) <= {0, 1}
