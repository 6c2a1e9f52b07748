"""Bodies that never end, on a connection that is read without a timeout, as gunicorn's threads do."""

import json
import socket
import threading
import time

import pytest

from clickpose_labelstudio import app as app_module
from clickpose_labelstudio.app import create_app
from clickpose_labelstudio.settings import ServiceSettings
from clickpose_labelstudio.slow_bodies import body_deadline
from helpers import fakes


@pytest.fixture
def ends():
    """Both ends of a connection: the server's and the client's."""
    server, client = socket.socketpair()
    with server, client:
        yield server, client


class DrippingBody:
    """What gunicorn gives as ``wsgi.input``: reads the connection until the body is whole or the client hangs up."""

    def __init__(self, connection, length):
        self.connection, self.left = connection, length

    def read(self, size=-1):
        data = b""
        while self.left and (size < 0 or len(data) < size):
            received = self.connection.recv(min(self.left, 4096))
            if not received:
                break
            self.left -= len(received)
            data += received
        return data


def drip(client, stop):
    while not stop.wait(0.01):
        try:
            client.send(b" ")
        except OSError:
            return


def test_a_body_that_drips_for_ever_is_ended_and_answered(ends, tmp_path, monkeypatch):
    server, client = ends
    monkeypatch.setattr(app_module, "BODY_S", 0.2)
    body = DrippingBody(server, 10**6)
    app = create_app(ServiceSettings(cache_dir=tmp_path), load_predictor=fakes.FakePredictor)
    environ = {"gunicorn.socket": server, "wsgi.input": body, "CONTENT_LENGTH": str(10**6)}
    stop = threading.Event()
    dripping = threading.Thread(target=drip, args=(client, stop))
    dripping.start()
    try:
        response = app.test_client().post("/predict", environ_overrides=environ)
    finally:
        stop.set()
        dripping.join()
    assert response.status_code == 400 and 0 < body.left < 10**6
    assert "error" in json.loads(response.text)
    server.send(b"the answer can still be sent")
    assert client.recv(100).startswith(b"the answer")


def test_a_body_in_time_leaves_the_connection_alone(ends):
    server, client = ends
    with body_deadline({"gunicorn.socket": server}, 0.05):
        client.send(b"body")
        assert server.recv(10) == b"body"
    time.sleep(0.15)
    client.send(b"the next request")
    assert server.recv(100) == b"the next request"


def test_a_connection_that_has_gone_is_no_error(ends):
    server, _ = ends
    server.close()
    with body_deadline({"gunicorn.socket": server}, 0.0):
        time.sleep(0.05)
