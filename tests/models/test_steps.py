"""One generator, one driver: the same work runs silently, with progress, or driven from outside."""

import inspect

import pytest

from clickpose.steps import exhaust, mapped, stepwise


def work(numbers, factor=1, fail_at=None):
    """Sum numbers."""
    total = 0
    for done, number in enumerate(numbers, 1):
        if number == fail_at:
            raise ValueError(f"Expected other numbers, got {number}")
        total += factor * number
        yield done, len(numbers)
    return total


def test_a_run_tells_each_step_and_returns_the_result():
    told = []
    assert exhaust(work([3, 4, 5]), lambda *step: told.append(step)) == 12
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert exhaust(work([])) == 0


def test_a_function_of_steps_is_called_as_before_with_progress_last():
    function, told = stepwise(work), []
    assert function([3, 4], 2) == function(numbers=[3, 4], factor=2) == 14
    assert function([3, 4], 2, None, lambda *step: told.append(step)) == 14 and told == [(1, 2), (2, 2)]
    assert function.__doc__ == "Sum numbers." and list(inspect.signature(function).parameters)[-1] == "progress"
    assert function.steps is work


def test_errors_of_the_work_and_of_the_call_reach_the_caller():
    function = stepwise(work)
    with pytest.raises(ValueError, match="got 4"):
        function([3, 4], fail_at=4)
    with pytest.raises(TypeError, match="numbers"):
        function()


def test_steps_travel_through_another_generator():
    def outer():
        result = yield from mapped(work([3, 4]), lambda done, total: f"{done} of {total}")
        yield f"sum {result}"

    assert list(outer()) == ["1 of 2", "2 of 2", "sum 7"]


def test_nothing_runs_on_when_the_caller_stops():
    done = []

    def steps():
        for number in range(3):
            done.append(number)
            yield number, 3

    run = steps()
    next(run)
    run.close()
    assert done == [0]
