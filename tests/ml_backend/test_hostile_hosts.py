"""The backend, in a process of its own, against real servers that mean it ill."""

import gzip
import io
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image

from clickpose_labelstudio.labeling_config import build_labeling_config

ROOT = Path(__file__).resolve().parents[2]
XML = build_labeling_config()
KEY = "0123456789abcdef0123456789abcdef01234567"
NOBODY = "192.0.2.1"  # of a range for documentation
PATIENCE_S = 0.4


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((240, 320, 3), 99, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@contextmanager
def raw_server(script, host: str = "127.0.0.1"):
    """Run ``script(connection)`` for each connection once its request has been read; yields the port and requests."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family)
    got, ended = [], threading.Event()

    def talk(connection):
        with connection:
            connection.settimeout(10)
            try:
                got.append(connection.recv(65536))
                script(connection, ended)
            except OSError:
                return  # the client hung up, as it should

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield listener.getsockname()[1], got
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()


def answer(body: bytes, *headers: str, status: str = "200 OK"):
    """Return a script that sends one answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return lambda connection, ended: connection.sendall("\r\n".join(lines).encode() + body)


def redirect(location: str):
    return answer(b"", f"Location: {location}", status="302 Found")


def endless(start: bytes, again: bytes):
    """Return a script that begins an answer and never ends it."""

    def script(connection, ended):
        connection.sendall(start)
        while not ended.wait(0.01):
            connection.sendall(again)

    return script


@pytest.fixture(scope="module")
def canary():
    """Port of a server that must never be asked, and the requests that it got."""
    with raw_server(answer(png())) as (port, got):
        yield port, got


@pytest.fixture(scope="module")
def service(tmp_path_factory, canary):
    """Post tasks to a service; it may ask allowed.test and, with public addresses alone, whatever ends in wild.test."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "secret.png").write_bytes(png())
    settings = {
        "cache_dir": str(folder / "cache"),
        "label_studio_url": f"http://studio.test:{canary[0]}",
        "label_studio_api_key": KEY,
        "allowed_hosts": ["allowed.test", "metadata.test", "six.test", "*.wild.test"],
        "fetch_timeout_s": PATIENCE_S,
        "connect_timeout_s": 0.5,
        "max_image_bytes": 100_000,
        "reference_ttl_s": 0.001,
    }
    loopback = ["127.0.0.1"]
    names = {
        "studio.test": [loopback],
        "allowed.test": [loopback],
        "six.test": [["::1"]],
        "canary.test": [loopback],
        "metadata.test": [["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254", "100.100.100.200"]],
        "inside.wild.test": [loopback],
        "six.wild.test": [["::1"]],
        "both.wild.test": [[NOBODY, "127.0.0.1", "::1"]],
        "rebound.wild.test": [[NOBODY], loopback],
    }
    paths = os.pathsep.join([str(ROOT / folder) for folder in ("models", "ml_backend", "tests")])
    process = subprocess.Popen(
        [sys.executable, "-m", "helpers.hostile_service", json.dumps(settings), json.dumps(names)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    with process:
        port = process.stdout.readline().strip()
        assert port.isdigit(), "the service did not start; its error is above"

        def predict(*urls: str) -> list[dict]:
            tasks = [{"id": number, "data": {"image": url}} for number, url in enumerate(urls, 1)]
            body = {"tasks": tasks, "project": "1.1", "label_config": XML, "params": {"context": None}}
            response = requests.post(f"http://127.0.0.1:{port}/predict", json=body, timeout=60)
            assert response.status_code == 200, response.text
            return response.json()["results"]

        yield predict
        process.stdin.close()


def error_of(results: list[dict]) -> str:
    (result,) = results
    assert "result" not in result
    return result["error"]


def test_an_allowed_host_serves_an_image_whatever_it_calls_it(service):
    """What counts is what the bytes are."""
    with raw_server(answer(png(), "Content-Type: text/html")) as (port, got):
        (result,) = service(f"http://allowed.test:{port}/a.html")
        assert result["result"]
        assert KEY.encode() not in got[0]
    with raw_server(answer(b"<html>" + b" " * 500, "Content-Type: image/png")) as (port, _):
        assert error_of(service(f"http://allowed.test:{port}/a.png")).startswith("Expected an image")


def test_an_allowed_name_may_mean_an_ipv6_address(service):
    with ExitStack() as stack:
        try:
            port, _ = stack.enter_context(raw_server(answer(png()), "::1"))
        except OSError:
            pytest.skip("this machine has no IPv6 loopback address")
        assert service(f"http://six.test:{port}/a.png")[0]["result"]


@pytest.mark.parametrize(
    ("location", "sentence"),
    [
        ("http://canary.test:CANARY/a.png", "Host canary.test is not allowed"),
        ("http://127.0.0.1:CANARY/a.png", "Host 127.0.0.1 is not allowed"),
        ("http://[::1]:CANARY/a.png", "Host ::1 is not allowed"),
        ("http://2130706433:CANARY/a.png", "Host 2130706433 is not allowed"),
        ("http://169.254.169.254/latest/meta-data/", "Host 169.254.169.254 is not allowed"),
        ("http://metadata.test/latest/meta-data/", "its address is private or reserved"),
        ("//canary.test:CANARY/a.png", "Host canary.test is not allowed"),
        ("http://inside.wild.test:CANARY/a.png", "its address is private or reserved"),
        ("http://studio.test:CANARY/api/projects/1/", "where Label Studio serves task data"),
        ("http://studio.test:CANARY/data/../api/users/", "where Label Studio serves task data"),
        ("http://allowed.test@canary.test:CANARY/a.png", "without a user name"),
        ("http://allowed.test\\@canary.test:CANARY/a.png", "an address that is not valid"),
        ("file:///etc/passwd", "Expected an http or https address"),
        ("file:secret.png", "Expected an http or https address"),
        ("ftp://allowed.test/a.png", "Expected an http or https address"),
        ("gopher://allowed.test/", "Expected an http or https address"),
        ("data:image/png;base64,AAAA", "Expected an http or https address"),
        ("http://[", "an address that is not valid"),
        ("http://allowed.test:99999/", "an address that is not valid"),
    ],
)
def test_no_redirect_leads_to_what_is_not_allowed(service, canary, location, sentence):
    port, asked = canary
    with raw_server(redirect(location.replace("CANARY", str(port)))) as (own, _):
        assert sentence in error_of(service(f"http://allowed.test:{own}/a.png"))
    assert asked == []


@pytest.mark.parametrize("name", ["inside.wild.test", "six.wild.test", "both.wild.test"])
def test_a_name_of_a_wildcard_reaches_nothing_inside(service, canary, name):
    """Neither by the one address that it has, nor by falling back to it from one where nobody answers."""
    assert "failed:" in error_of(service(f"http://{name}:{canary[0]}/a.png"))
    assert canary[1] == []


def test_a_name_that_is_another_address_the_second_time_reaches_nothing_inside(service, canary):
    url = f"http://rebound.wild.test:{canary[0]}/a.png"
    first, second = error_of(service(url)), error_of(service(url))
    assert "failed:" in first and "its address is private or reserved" in second
    assert canary[1] == []


STALLS = {
    "nothing": endless(b"", b""),
    "the status line": endless(b"HTTP/1.1 2", b"0"),
    "a header": endless(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
    "interim answers": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "the body": endless(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n", b"x"),
    "the size of a chunk": endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;", b"x"),
    "trailers": endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"X-T: 1\r\n"),
    "a redirect": endless(b"HTTP/1.1 302 Found\r\nLocation: /b\r\n", b"X"),
}


@pytest.mark.slow
def test_a_host_that_takes_for_ever_is_left_at_the_deadline(service):
    """The waits of an HTTP library are for each read alone; these hosts never let one pass."""
    with ExitStack() as stack:
        ports = [stack.enter_context(raw_server(script))[0] for script in STALLS.values()]
        results = service(*(f"http://allowed.test:{port}/a.png" for port in ports))
    errors = dict(zip(STALLS, (result["error"] for result in results), strict=True))
    assert errors == dict.fromkeys(STALLS, f"Image host allowed.test took longer than {PATIENCE_S:g} s")


def test_an_endless_body_is_cut_off_at_the_size(service):
    for start in (b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n"):
        with raw_server(endless(start, b"x" * 60_000)) as (port, _):
            assert "at most 100000 bytes" in error_of(service(f"http://allowed.test:{port}/a.png"))


def test_a_compressed_bomb_stays_compressed(service):
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 100_000
    with raw_server(answer(bomb, "Content-Encoding: gzip", "Content-Type: image/png")) as (port, got):
        assert error_of(service(f"http://allowed.test:{port}/a.png")).startswith("Expected an image")
        assert b"accept-encoding: identity" in got[0].lower()
