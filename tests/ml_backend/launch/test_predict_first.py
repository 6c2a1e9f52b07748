"""Turns of those who let Label Studio predict; without Label Studio."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from clickpose_labelstudio.launch.inside import predict_first
from clickpose_labelstudio.launch.inside.predict_first import PredictFirstMiddleware, Turns


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_one_at_a_time_and_the_annotator_before_the_launcher():
    turns, order, inside, waiting = Turns(), [], [], []

    def work(name, urgent):
        waiting.append(name)
        with turns.turn(urgent=urgent):
            inside.append(name)
            assert len(inside) == 1
            order.append(name)
            inside.remove(name)

    with turns.turn(urgent=False):
        threads = []
        for name, urgent in (("batch 2", False), ("batch 3", False), ("opened", True), ("opened too", True)):
            threads.append(threading.Thread(target=work, args=(name, urgent)))
            threads[-1].start()
            wait_for(lambda name=name: name in waiting)
        wait_for(lambda: turns._urgent == 2)
    for thread in threads:
        thread.join(30)
    assert set(order[:2]) == {"opened", "opened too"} and set(order[2:]) == {"batch 2", "batch 3"}


def test_an_error_gives_the_turn_back():
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.turn(urgent=True):
        raise ZeroDivisionError
    with turns.turn(urgent=False):
        assert turns._urgent == 0


def request(method, path, **query):
    return SimpleNamespace(method=method, path_info=path, GET=query, user=SimpleNamespace(is_authenticated=True))


@pytest.fixture
def predicted(monkeypatch):
    """Ids of the tasks that have been predicted; only task 5 has been before. Task 8 is another organization's."""
    done = [5]
    monkeypatch.setattr(predict_first, "_may_open", lambda user, task_id: user.is_authenticated and task_id != 8)
    monkeypatch.setattr(predict_first, "_lacks_prediction", lambda task_id: task_id not in done)
    monkeypatch.setattr(predict_first, "_predict", done.append)
    monkeypatch.setattr(predict_first, "_serialized_predictions", lambda task_id: [{"task": task_id}])
    return done


@pytest.mark.parametrize("path", ["/api/tasks/7", "/api/tasks/7/"])
def test_an_opened_task_is_predicted_before_it_is_answered(predicted, path):
    seen = []
    answer = PredictFirstMiddleware(lambda _: seen.append(list(predicted)) or "answer")
    assert [answer(request("GET", path)) for _ in range(2)] == ["answer", "answer"]
    assert (predicted, seen) == ([5, 7], [[5, 7], [5, 7]])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/api/tasks/7/"),
        ("GET", "/api/tasks/5/"),
        ("GET", "/api/tasks/8/"),
        ("GET", "/api/tasks/7/annotations/"),
        ("GET", "/api/tasks/"),
    ],
)
def test_other_requests_are_passed_on(predicted, method, path):
    assert PredictFirstMiddleware(lambda _: "answer")(request(method, path)) == "answer"
    assert predicted == [5]


@pytest.mark.parametrize(("task_id", "wanted"), [(7, [{"task": 7}]), (5, [])])
def test_the_next_task_of_the_stream_comes_with_its_predictions(predicted, task_id, wanted):
    response = SimpleNamespace(
        status_code=200, data={"id": task_id, "predictions": []}, _is_rendered=True, render=lambda: None
    )
    answer = PredictFirstMiddleware(lambda _: response)
    assert answer(request("POST", "/api/dm/actions", id="next_task")).data["predictions"] == wanted


def test_a_label_studio_that_is_built_otherwise_answers_by_itself():
    answer = PredictFirstMiddleware(lambda _: "answer")  # its modules cannot even be imported here
    assert answer(request("GET", "/api/tasks/7/")) == "answer"
