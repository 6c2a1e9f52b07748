"""Damaged requests: a slice of ``benchmarks/damaged_requests.py`` over all endpoints, and what a fault is to it."""

from __future__ import annotations

from collections import Counter

import damage
import damaged_requests
import numpy as np
import pytest
from damage import Request, damaged
from damaged_requests import Answer, attack, fault_of, healthy, recorded_requests
from flatness import slope_with_interval
from PIL import Image

from clickpose_labelstudio import app as module
from clickpose_labelstudio.app import create_app
from clickpose_labelstudio.settings import ServiceSettings
from helpers import fakes
from helpers.waitress_service import on_waitress

COUNT = 600


@pytest.fixture
def address(tmp_path):
    """The service on waitress with a journal, and a network that costs nothing."""
    Image.fromarray(np.full((512, 512, 3), 127, np.uint8)).save(tmp_path / "0.png")
    settings = ServiceSettings(
        cache_dir=tmp_path / "cache", local_roots=(tmp_path,), train_dir=tmp_path / "learning", train_here=False,
        basic_auth_user="u", basic_auth_password="p", webhook_secret=damaged_requests.SECRET,
        label_studio_url="http://127.0.0.1:1",
    )  # fmt: skip
    app = create_app(settings, load_predictor=fakes.FakePredictor)
    with on_waitress(app, settings, 4) as address:
        host, _, port = address.removeprefix("http://").rpartition(":")
        yield host, int(port)
    app.extensions["clickpose"].learner.stop()


@pytest.mark.slow
def test_damaged_requests_are_answered_and_leave_the_service_well(address, tmp_path):
    recorded = recorded_requests("/data/local-files/?d=0.png")
    before = healthy(address, recorded)
    assert set(before) == {200, 410}, Counter(before)
    outcome = attack(address, recorded, 1, range(COUNT))
    assert not outcome.faults, outcome.faults[:3]
    assert set(outcome.statuses) == {rule for rule, _, _ in module.ROUTES}
    assert len(outcome.damages) == len({*damage.VALUE_DAMAGES, *damage.WIRE_DAMAGES})
    assert healthy(address, recorded) == before
    assert {path.name for path in (tmp_path / "learning").iterdir()} <= {
        "journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm", "running.txt",
    }  # fmt: skip


def test_a_request_is_damaged_the_same_way_each_time():
    recorded = recorded_requests("a")
    assert [damaged(recorded, 1, n) for n in range(40)] == [damaged(recorded, 1, n) for n in range(40)]
    assert damaged(recorded, 1, 3) != damaged(recorded, 2, 3)


def test_a_new_endpoint_is_attacked_by_itself(monkeypatch):
    monkeypatch.setattr(damaged_requests, "ROUTES", (*module.ROUTES, ("/new", ["GET", "POST"], module.index)))
    new = [request for request in recorded_requests("a") if request.endpoint == "/new"]
    assert {request.method for request in new} == {"GET", "POST"} and len(new) > 10


GOOD = Request("/", "GET", "/", (), b"")


@pytest.mark.parametrize(
    ("request_", "answer", "fault"),
    [
        (GOOD, Answer(200, "Content-Type: application/json", b'{"a": 1}', 0.1), None),
        (GOOD, Answer(400, "Content-Type: application/json", b'{"error": "Expected"}', 0.1), None),
        (GOOD, Answer(500, "", b"", 0.1), "status 500"),
        (GOOD, Answer(507, "", b"", 0.1), "status 507"),
        (GOOD, Answer(0, "", b"", 0.1), "no answer"),
        (Request("/", "GET", "/", (), b"", framed=False), Answer(0, "", b"", 0.1), None),
        (GOOD, Answer(400, "Content-Type: application/json", b"{}", 0.1), "no sentence"),
        (GOOD, Answer(200, "Content-Type: application/json", b'{"a": NaN}', 0.1), "NaN is no JSON"),
        (GOOD, Answer(200, "Content-Type: text/html", b"Traceback (most recent", 0.1), "shows how it is made"),
    ],
)
def test_what_a_fault_is(request_, answer, fault):
    found = fault_of(request_, answer)
    assert (found is None) if fault is None else fault in found


def test_growth_is_told_from_noise():
    noise = [100 + (n * 7919 % 13) for n in range(80)]
    slope, low, high = slope_with_interval(noise)
    assert low < 0 < high
    slope, low, high = slope_with_interval([value + 0.3 * n for n, value in enumerate(noise)])
    assert low > 0.2 and high < 0.4 and low < slope < high
