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


def test_what_waits_for_the_caller_is_bounded_by_its_size_too():
    """Of sizes 4, 4, 9, 1 with room for 8 the third is begun when the first two are not full, the fourth not."""
    done = [threading.Event() for _ in range(4)]
    sizes = [4, 4, 9, 1]

    def prepare(number):
        done[number].set()
        if number == 1:
            raise OSError("takes no room")
        return sizes[number]

    steps = ahead(prepare, range(4), count=3, room=8, size_of=lambda size: size)
    first = next(steps)
    assert first[1].result() == 4
    assert done[2].wait(90) and not done[3].wait(0.2)
    assert [next(steps)[0] for _ in range(2)] == [1, 2]
    assert done[3].wait(90)
    assert [(number, future.result()) for number, future in steps] == [(3, 1)]


def test_a_caller_who_waits_for_what_has_no_room_gets_it():
    sizes = [number + 10 for number in range(20)]
    got = [future.result() for _, future in ahead(sizes.__getitem__, range(20), count=4, room=1, size_of=float)]
    assert got == sizes
