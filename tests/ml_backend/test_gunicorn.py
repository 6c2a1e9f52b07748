"""The WSGI entry under gunicorn with two worker processes, the shipped weights and a real photo."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import requests

import clickpose_labelstudio
from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.launch.processes import free_port

pytestmark = pytest.mark.slow

pytest.importorskip("gunicorn", reason="gunicorn is not installed; it does not run on Windows")
PHOTO = Path(clickpose_labelstudio.__file__).with_name("demo") / "astronaut.jpg"


@pytest.fixture
def address(tmp_path):
    """Where gunicorn serves; it is asked to end politely afterwards, and must."""
    port = free_port(23000 + os.getpid() % 1000)
    command = [sys.executable, "-m", "gunicorn", "--workers", "2", "--threads", "2", "--bind", f"127.0.0.1:{port}"]
    environment = {**os.environ, "CLICKPOSE_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen([*command, "clickpose_labelstudio.wsgi:app"], env=environment, stderr=log)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while not is_ready(url) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    yield url
    process.send_signal(signal.SIGTERM)
    code, log = process.wait(60), (tmp_path / "log").read_text()
    assert (code, "Traceback" in log) == (0, False), log


def is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=5).json()["ready"]
    except requests.RequestException:
        return False


def test_workers_share_what_one_of_them_has_encoded(address):
    image = "data:image/jpeg;base64," + base64.b64encode(PHOTO.read_bytes()).decode()
    body = {"tasks": [{"id": 1, "data": {"image": image}}], "label_config": build_labeling_config()}
    (first,) = post(address, body)["results"]
    shoulder = next(item for item in first["result"] if item["id"].endswith("-left_shoulder"))
    shoulder["value"]["x"] += 2
    context = {"result": first["result"], "edited": [shoulder["id"]]}
    answers = [post(address, {**body, "params": {"context": context}})["results"][0] for _ in range(6)]
    assert len({json.dumps(answer, sort_keys=True) for answer in answers}) == 1
    moved = {item["id"]: item["value"] for item in answers[0]["result"]}
    assert moved[shoulder["id"]] == shoulder["value"]
    before = {item["id"]: item["value"] for item in first["result"] if item["id"] in moved}
    shifts = [np.hypot(moved[i]["x"] - before[i]["x"], moved[i]["y"] - before[i]["y"]) for i in moved]
    assert max(shifts) > 0.1  # percent of the image: somebody followed


def post(address: str, body: dict) -> dict:
    """Post to /predict on a connection of its own, which any worker may take."""
    response = requests.post(f"{address}/predict", json=body, headers={"Connection": "close"}, timeout=120)
    assert response.status_code == 200, response.text
    return response.json()
