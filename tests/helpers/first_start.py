"""What a user does first: start, label a photo, try to start once more, stop with Ctrl-C; all by the real command."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.launch.folder import DataFolder
from clickpose_labelstudio.launch.processes import answers, free_port

RUN = "from clickpose.cli import main; main()"
PATIENCE_S = 300.0


@dataclass(frozen=True)
class FirstStart:
    """What the first start did.

    Attributes:
        output: all that it printed.
        exit_code: of the command.
        second_output, second_exit_code: of the same command, run once more meanwhile.
        url: address of Label Studio.
        project_id: of the project that it made.
        task_id: task that was annotated.
        annotation: the saved annotation.
        versions: model versions of the predictions of each task.
        left_over: what still ran or answered after the end.
    """

    output: str
    exit_code: int
    second_output: str
    second_exit_code: int
    url: str
    project_id: int
    task_id: int
    annotation: dict
    versions: list[list[str]]
    left_over: list[str]


def start_annotate_and_stop(folder: Path, photos: Path, label_studio_python: Path) -> FirstStart:
    """Go through a first start on the data folder ``folder / "data"``."""
    port, backend_port = free_port(17000 + os.getpid() % 1000), free_port(16000 + os.getpid() % 1000)
    arguments = ["--images", photos, "--data-dir", folder / "data", "--label-studio-python", label_studio_python]
    arguments += ["--port", port, "--backend-port", backend_port]
    command = StartCommand(*arguments)
    try:
        command.read_until("Ctrl-C stops everything")
        command.read_until("photos are pre-annotated")
        url = f"http://127.0.0.1:{port}"
        with LabelStudioClient(url, DataFolder(folder / "data").credentials().token, use_proxies=False) as client:
            labelled = _annotate(client, DataFolder(folder / "data").project_id(photos.resolve()))
        second = StartCommand(*arguments)
        second_exit_code = second.wait()
        second.end()
        children = command.children()
        command.press_ctrl_c()
        exit_code = command.wait()
    finally:
        command.end()
    left_over = [f"process {child}" for child in children if is_alive(child)]
    left_over += [at for at in (f"{url}/health/", f"http://127.0.0.1:{backend_port}/health") if answers(at)]
    return FirstStart(
        command.output, exit_code, second.output, second_exit_code, url, left_over=left_over, **labelled
    )  # fmt: skip


def _annotate(client: LabelStudioClient, project_id: int) -> dict:
    """Put a keypoint into the last task; return what belongs into the record."""
    tasks = list(client.tasks(project_id))
    task_id = max(task["id"] for task in tasks)
    keypoint = {
        "id": "by-hand", "from_name": "keypoint", "to_name": "image", "type": "keypointlabels", "origin": "manual",
        "original_width": 640, "original_height": 480, "image_rotation": 0,
        "value": {"x": 12.5, "y": 33.25, "width": 0.6, "keypointlabels": ["nose"]},
    }  # fmt: skip
    annotation = client.call("POST", f"/api/tasks/{task_id}/annotations/", json={"result": [keypoint]})
    versions = [[prediction["model_version"] for prediction in task["predictions"]] for task in tasks]
    return {"project_id": project_id, "task_id": task_id, "annotation": annotation, "versions": versions}


class StartCommand:
    """The running command.

    Args:
        arguments: what follows ``clickpose labelstudio start``.
    """

    def __init__(self, *arguments: str | Path):
        self._process = subprocess.Popen(
            [sys.executable, "-c", RUN, "labelstudio", "start", "--no-browser", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # so that the Ctrl-C of a test reaches it only
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.output = ""

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def read_until(self, text: str | None) -> str:
        """Return all that was printed, once it holds ``text``; with None, once the command has closed its output."""
        deadline = time.monotonic() + PATIENCE_S
        while text is None or text not in self.output:
            line = self._lines.get(timeout=max(deadline - time.monotonic(), 0.1))
            if line is None:
                break
            self.output += line
        if text is not None and text not in self.output:
            raise RuntimeError(f"Expected {text!r} to be printed, got:\n{self.output}")
        return self.output

    def children(self) -> list[int]:
        """Process ids of what it has started (Linux)."""
        pid = self._process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def press_ctrl_c(self) -> None:
        """Send the signal of Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def wait(self) -> int:
        """Read what is left and return the exit code."""
        self.read_until(None)
        return self._process.wait(PATIENCE_S)

    def end(self) -> None:
        """Make sure that it has ended; what it has started ends with it."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        self._process.stdout.close()


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits to be collected does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
