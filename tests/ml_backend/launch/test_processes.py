"""Ports and child processes of the launcher."""

import os
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from clickpose_labelstudio.launch.errors import LaunchError
from clickpose_labelstudio.launch.processes import Child, answers, free_port
from helpers.servers import serving

SERVER = "import http.server; http.server.test(http.server.SimpleHTTPRequestHandler, port={port}, bind='127.0.0.1')"
PARENT_OF_SLEEPER = (
    "import subprocess, sys, time\n"
    "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "print(p.pid, flush=True)\ntime.sleep(60)"
)


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_busy_port_makes_way_to_the_next_free_one():
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        chosen = free_port(port)
        assert port < chosen <= port + 100
        assert free_port(port, taken=(chosen,)) > chosen


def test_child_answers_and_stops(tmp_path):
    port = free_port(28100)
    child = Child("The server", [sys.executable, "-c", SERVER.format(port=port)], os.environ, tmp_path / "log")
    try:
        child.wait_until_it_answers(f"http://127.0.0.1:{port}/", 30, lambda _: None)
        assert answers(f"http://127.0.0.1:{port}/")
    finally:
        child.stop()
    assert not answers(f"http://127.0.0.1:{port}/")
    with pytest.raises(LaunchError, match="has stopped"):
        child.check_alive()


def test_last_lines_of_a_child_that_fails_are_shown(tmp_path):
    log = tmp_path / "log"
    log.write_text("of an earlier start\n")
    child = Child("The server", [sys.executable, "-c", "raise SystemExit('no database')"], os.environ, log)
    with pytest.raises(LaunchError, match=r"exit code 1[\s\S]*no database") as caught:
        child.wait_until_it_answers("http://127.0.0.1:9/", 30, lambda _: None)
    assert "earlier" not in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_grandchildren_are_stopped_too(tmp_path):
    log = tmp_path / "log"
    child = Child("The parent", [sys.executable, "-c", PARENT_OF_SLEEPER], os.environ, log)
    deadline = time.monotonic() + 30
    while not log.read_text().strip() and time.monotonic() < deadline:
        time.sleep(0.05)
    grandchild = int(log.read_text())
    child.stop()
    assert not is_alive(child.pid)
    while is_alive(grandchild) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(grandchild)


class Busy(BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.5)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_a_busy_server_is_told_from_one_that_is_away_by_patience():
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Busy)) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        assert (answers(url, 0.1), answers(url, 20.0)) == (False, True)
    started = time.monotonic()
    assert not answers(url, 20.0)
    assert time.monotonic() - started < 10  # refused at once
