"""Children that die are started again, a few times; with real processes."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from clickpose_labelstudio.launch.errors import LaunchError
from clickpose_labelstudio.launch.folder import Credentials, DataFolder
from clickpose_labelstudio.launch.processes import Child, answers, free_port
from clickpose_labelstudio.launch.start import LaunchOptions, RunningLoop, start_label_studio
from clickpose_labelstudio.launch.upkeep import KeptChild, Patience

SERVER = "import http.server; http.server.test(http.server.SimpleHTTPRequestHandler, port={port}, bind='127.0.0.1')"
DIES = "print('no memory left'); raise SystemExit(3)"
QUICK = Patience(pauses_s=(0.0, 0.1, 0.2), period_s=60.0)


def look_until(kept, condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        for child in kept:
            child.look()
        time.sleep(0.02)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def keep(tmp_path):
    """Keep a Python program alive as a child; all are stopped in the end."""
    made = []

    def make(program, said, **arguments):
        started = []

        def start():
            started.append(time.monotonic())
            return Child("The backend", [sys.executable, "-c", program], os.environ, tmp_path / "log")

        kept = KeptChild(start, arguments.pop("url", "http://127.0.0.1:9/"), said.append, **arguments)
        kept.started = started
        made.append(kept)
        return kept

    yield make
    for kept in made:
        kept.stop()


def test_a_killed_server_is_back_at_the_same_address(keep):
    said, port = [], free_port(28500)
    url = f"http://127.0.0.1:{port}/"
    kept = keep(SERVER.format(port=port), said, url=url)
    kept.child.wait_until_it_answers(url, 30, lambda _: None)
    first = kept.child.pid
    os.kill(first, signal.SIGKILL)
    look_until([kept], lambda: "The backend is back." in said)
    assert answers(url) and kept.child.pid != first
    assert said == ["The backend has stopped (signal 9); it is started again.", "The backend is back."]


def test_pauses_grow_and_giving_up_is_one_sentence_with_the_last_lines(keep, tmp_path):
    said = []
    kept = keep(DIES, said, without="Label Studio goes on.", patience=QUICK)
    look_until([kept], lambda: kept.has_given_up)
    assert len(kept.started) == 4
    gaps = [later - sooner for sooner, later in zip(kept.started[1:], kept.started[2:], strict=False)]
    assert gaps[0] >= 0.1 and gaps[1] >= 0.2
    assert said[:3] == [
        "The backend has stopped (exit code 3); it is started again.",
        "The backend has stopped (exit code 3); it is started again in 0 s.",
        "The backend has stopped (exit code 3); it is started again in 0 s.",
    ]
    assert said[3] == (
        "The backend has stopped (exit code 3), 4 times within 1 minutes, and is not started again. "
        f"Label Studio goes on. Its last lines:\n    no memory left\nAll of them are in {tmp_path / 'log'}."
    )
    kept.look()
    assert len(said) == 4 and len(kept.started) == 4


def test_what_nothing_goes_on_without_ends_the_launcher(keep):
    kept = keep(DIES, [], patience=Patience(pauses_s=()))
    with pytest.raises(LaunchError, match=r"not started again\. Its last lines"):
        look_until([kept], lambda: False)


def test_ends_that_are_long_ago_do_not_count(keep):
    said, clock = [], Clock()
    kept = keep("import time; time.sleep(60)", said, patience=Patience(pauses_s=(5.0,), period_s=100.0), clock=clock)
    for _ in range(3):
        os.kill(kept.child.pid, signal.SIGKILL)
        look_until([kept], lambda: len(said) == len(kept.started))
        before = len(kept.started)
        clock.now += 4.9
        kept.look()
        assert len(kept.started) == before
        clock.now += 0.2
        kept.look()
        assert len(kept.started) == before + 1
        clock.now += 100
    assert set(said) == {"The backend has stopped (signal 9); it is started again in 5 s."}


def test_a_backend_that_is_given_up_leaves_label_studio_running(keep):
    said, port = [], free_port(28600)
    url = f"http://127.0.0.1:{port}/"
    backend = keep(DIES, said, without="Label Studio goes on.", patience=QUICK)
    label_studio = keep(SERVER.format(port=port), said, url=url)
    loop = RunningLoop(url, url, 1, "", Credentials("a", "b", "c"), (backend, label_studio), None)
    look_until([loop], lambda: backend.has_given_up)
    label_studio.child.wait_until_it_answers(url, 30, lambda _: None)
    loop.look()
    assert answers(url)


def test_a_start_that_is_refused_counts_as_an_end(keep, tmp_path):
    port = free_port(28700)
    other = keep(SERVER.format(port=port), [])
    other.child.wait_until_it_answers(f"http://127.0.0.1:{port}/", 30, lambda _: None)
    folder = DataFolder(tmp_path / "data")
    options = LaunchOptions(label_studio_python=sys.executable)
    said = []

    def start():
        if not said:
            return Child("Label Studio", [sys.executable, "-c", DIES], os.environ, tmp_path / "ls")
        return start_label_studio(options, folder, folder.credentials(), port, "instance")

    kept = KeptChild(start, "http://127.0.0.1:9/", said.append, patience=Patience(pauses_s=(0.0, 0.0)))
    with pytest.raises(LaunchError, match="Label Studio cannot be started"):
        look_until([kept], lambda: False)
    assert said[1] == (
        f"Label Studio cannot be started (Port {port} has been taken by another program); it is started again."
    )
