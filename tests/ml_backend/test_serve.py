"""The web server around the application, and how it logs."""

import importlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
import requests

from clickpose_labelstudio import wsgi
from clickpose_labelstudio.app import create_app
from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.lazy_predictor import LazyPredictor, ModelUnavailableError
from clickpose_labelstudio.serve import configure_logging, listening_on, make_server
from clickpose_labelstudio.settings import ServiceSettings
from helpers import fakes
from helpers.waitress_service import on_waitress


@pytest.fixture
def served(tmp_path):
    """Address of the service on waitress."""
    settings = ServiceSettings(cache_dir=tmp_path, max_request_bytes=50_000)
    app = create_app(settings, load_predictor=fakes.FakePredictor)
    with on_waitress(app, settings, 2) as address:
        yield address


def test_the_web_server_answers_edits_on_one_connection(served):
    with requests.Session() as session:
        assert session.get(f"{served}/health").json()["status"] == "UP"
        body = {"tasks": [], "label_config": build_labeling_config()}
        response = session.post(f"{served}/predict", json=body)
        assert (response.status_code, response.json()["results"]) == (200, [])
        assert response.headers["Server"] == "clickpose"


def test_a_body_that_is_expected_is_asked_for_and_none_is_not_waited_for(served):
    host, _, port = served.removeprefix("http://").rpartition(":")
    for line, body, asked in (("GET /health", b"", False), ("POST /setup", b"[]", True)):
        head = f"{line} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n"
        head += "Connection: close\r\n\r\n"
        with socket.create_connection((host, int(port)), timeout=90) as connection:
            connection.sendall(head.encode())
            answer = connection.recv(1000)
            assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\n") == asked
            connection.sendall(body)
            while chunk := connection.recv(1000):
                answer += chunk
        assert (b"HTTP/1.1 400 Expected a JSON object" if asked else b"HTTP/1.1 200 OK") in answer


def test_the_web_server_refuses_large_bodies_in_json(served):
    response = requests.post(f"{served}/predict", data=b" " * 50_001, timeout=30)
    assert response.status_code == 413
    assert response.json() == {"error": "Expected a request of at most 50000 bytes"}


def test_a_sentence_is_the_reason_that_label_studio_shows(served):
    response = requests.post(f"{served}/setup", json={"project": "1.1", "schema": "<View/>"}, timeout=30)
    with pytest.raises(requests.HTTPError, match=r"422 Client Error: .* no .* control"):
        response.raise_for_status()


def test_the_weights_load_as_soon_as_the_server_listens(tmp_path):
    loaded = threading.Event()
    settings = ServiceSettings(cache_dir=tmp_path)
    app = create_app(settings, load_predictor=lambda: loaded.set() or fakes.FakePredictor())
    server = make_server(app, settings, "127.0.0.1", 0, threads=1)
    assert loaded.wait(30)
    server.task_dispatcher.shutdown()
    server.close()


def test_addresses_of_a_name_that_stands_for_two():
    both = SimpleNamespace(effective_listen=[("127.0.0.1", 9090), ("::1", 9090)])
    assert listening_on(both) == ["http://127.0.0.1:9090", "http://[::1]:9090"]


def test_the_wsgi_app_is_made_from_the_environment_when_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("CLICKPOSE_CACHE_MAX_BYTES", "read too early")
    module = importlib.reload(wsgi)
    monkeypatch.delenv("CLICKPOSE_CACHE_MAX_BYTES")
    monkeypatch.setenv("CLICKPOSE_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(module, "configure_logging", lambda level: None)
    assert module.app is module.create()
    assert module.app.extensions["clickpose"].settings.cache_dir == tmp_path
    with pytest.raises(AttributeError, match="no attribute 'application'"):
        module.application  # noqa: B018 - the access is the test


def test_log_lines_carry_the_request_id(monkeypatch, capsys):
    monkeypatch.setattr(logging, "root", logging.RootLogger(logging.WARNING))
    configure_logging("INFO")
    logging.root.info("outside of a request")
    assert " INFO    - root: outside of a request" in capsys.readouterr().err


def test_a_predictor_is_loaded_once_for_all_threads():
    loads = []
    lazy = LazyPredictor(lambda: loads.append(1) or fakes.FakePredictor())
    assert not lazy.is_loaded
    threads = [threading.Thread(target=lazy) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(loads), lazy.is_loaded, lazy.wait(0)) == (1, True, True)


def test_a_predictor_that_does_not_load_is_not_waited_for(caplog):
    def load():
        raise ValueError("not these weights")

    lazy = LazyPredictor(load)
    assert lazy.wait(30) is False
    assert "not these weights" in caplog.text
    with pytest.raises(ModelUnavailableError, match="The model could not be loaded: not these weights"):
        lazy()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
def test_serve_ends_on_sigterm(tmp_path):
    run = "import typer; from clickpose_labelstudio.commands import serve; typer.run(serve)"
    (tmp_path / "empty.safetensors").touch()  # no network to load: the test is of the server
    checkpoint = str(tmp_path / "empty.safetensors")
    command = [sys.executable, "-c", run, "--port", "0", "--cache-dir", str(tmp_path), "--checkpoint", checkpoint]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if "Listening on http://127.0.0.1:" in line:
                break
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(60) == 0
    assert "Traceback" not in rest
