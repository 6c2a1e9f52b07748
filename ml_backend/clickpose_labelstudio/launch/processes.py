"""Child processes and ports: start, wait until they answer, stop; only what was started here is ever ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import requests

from clickpose_labelstudio.launch.errors import LaunchError

STOP_SECONDS = 10.0
LAST_LINES = 12
END_WITH_PARENT = Path(__file__).parent / "inside" / "end_with_parent.py"


def free_port(wanted: int, taken: Sequence[int] = (), host: str = "127.0.0.1") -> int:
    """Return ``wanted``, or the next port above it that nobody listens on.

    Args:
        wanted: 1..65535.
        taken: ports that are spoken for already.
        host: address to listen on.

    Raises:
        LaunchError: if the next hundred ports are busy too.
    """
    for port in range(wanted, min(wanted + 100, 65536)):
        if port not in taken and is_free(port, host):
            return port
    raise LaunchError(f"Port {wanted} and the hundred after it are busy. Name another one, such as PORT=18080.")


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether nobody listens on a port, and one may."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        if probe.connect_ex((host, port)) == 0:
            return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


class Child:
    """A process that lives no longer than the launcher, its output in a log file.

    It gets a session of its own: Ctrl-C in the terminal reaches only the launcher, which then stops its children in
    order.

    Args:
        name: what to call it in messages.
        command: program and arguments.
        environment: all of its environment variables.
        log: file that its output is appended to.
    """

    def __init__(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str], log: Path):
        self.name, self.log = name, log
        self._log_start = log.stat().st_size if log.exists() else 0
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, str(END_WITH_PARENT), *(str(part) for part in command)],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def end(self) -> str | None:
        """Say how the process has ended, as the end of a sentence; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        return f"has stopped (exit code {code})" if code >= 0 else f"has stopped (signal {-code})"

    def check_alive(self) -> None:
        """Raise LaunchError, with the last lines of its log, if the process has ended."""
        end = self.end()
        if end is not None:
            raise LaunchError(f"{self.name} {end}. {self.last_words()}")

    def last_words(self) -> str:
        """Return the last lines of its log, with where to read all of them."""
        return f"Its last lines:\n{self._last_lines()}\nAll of them are in {self.log}."

    def _last_lines(self) -> str:
        with open(self.log, "rb") as file:
            file.seek(self._log_start)
            lines = file.read().decode("utf-8", "replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-LAST_LINES:])

    def wait_until_it_answers(self, url: str, seconds: float, on_wait: Callable[[int], None]) -> None:
        """Wait until ``url`` answers with a success.

        Args:
            url: address to ask.
            seconds: patience.
            on_wait: called about every ten seconds with the seconds that have passed.

        Raises:
            LaunchError: if the process ends, or patience does.
        """
        started, told = time.monotonic(), 0
        while True:
            self.check_alive()
            if answers(url):
                return
            passed = int(time.monotonic() - started)
            if passed > seconds:
                raise LaunchError(f"{self.name} did not answer within {seconds:.0f} s. Its log: {self.log}.")
            if passed >= told + 10:
                told = passed
                on_wait(passed)
            time.sleep(0.2)

    def wait(self) -> int:
        """Wait until the process has ended; return its exit code, below 0 where a signal has ended it."""
        return self._process.wait()

    def stop(self) -> None:
        """End the process and what it started: politely, then by force."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                self._signal(number)
                try:
                    self._process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    continue

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)  # the session's group is the child's own
        except ProcessLookupError:
            return


def answers(url: str, seconds: float = 2.0) -> bool:
    """Tell whether an address of this machine answers with a success, within some seconds where it is busy."""
    return read_text(url, seconds) is not None


def read_text(url: str, seconds: float = 2.0) -> str | None:
    """Return what an address of this machine answers, or None where it gives no success."""
    try:
        with requests.Session() as session:
            session.trust_env = False  # a proxy knows nothing of this machine's own ports
            answer = session.get(url, timeout=seconds)
    except requests.RequestException:
        return None
    return answer.text if answer.ok else None
