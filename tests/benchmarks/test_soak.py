"""The soak: that it sees what is lost, and the faults that it makes, on a service that runs in the test's process."""

from __future__ import annotations

import numpy as np
import pytest
import requests
import soak
from annotators import Server
from PIL import Image

from clickpose_labelstudio.app import create_app
from clickpose_labelstudio.learning.events import read_events
from clickpose_labelstudio.settings import ServiceSettings
from helpers import fakes
from helpers.labelled import person, webhook
from helpers.waitress_service import on_waitress

POSE = person("cp-a", {"nose": (50, 20), "left_wrist": (40, 50)})
TASK = {"id": 4, "data": {"image": "/data/local-files/?d=0.png"}}


@pytest.fixture
def served(tmp_path):
    """A service with a journal, and a network that costs nothing."""
    (tmp_path / "photos").mkdir()
    Image.fromarray(np.full((200, 250, 3), 127, np.uint8)).save(tmp_path / "photos" / "0.png")
    settings = ServiceSettings(
        cache_dir=tmp_path / "cache", local_roots=(tmp_path / "photos",), train_dir=tmp_path / "learning",
        train_here=False, webhook_secret=soak.SECRET, label_studio_url="http://127.0.0.1:1",
    )  # fmt: skip
    app = create_app(settings, load_predictor=fakes.FakePredictor)
    with on_waitress(app, settings, 4) as address:
        yield Server(address, None)
    app.extensions["clickpose"].learner.stop()


@pytest.fixture
def colleague(served):
    with requests.Session() as session:
        entry = served.post(session, TASK)
    return soak.Colleague(TASK, entry["result"], np.random.default_rng(0))


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [soak.cold_cache, soak.corrupt_cache, soak.corrupt_version, soak.corrupt_switch, soak.locked_database],
    ids=lambda fault: fault.__name__,
)
def test_a_fault_is_answered_or_said_and_is_over_by_itself(served, colleague, tmp_path, fault):
    assert soak.answers_again(served, colleague)
    served.project = f"{soak.PROJECT}.1"
    fault(tmp_path, served, colleague)
    assert soak.answers_again(served, colleague)
    assert soak.lost([colleague], tmp_path / "learning") == []


def test_what_is_lost_is_seen(tmp_path):
    journal = soak.Journal(tmp_path)
    saved = {"id": 3, "task": 3, "project": soak.PROJECT, "result": POSE, "updated_at": "2026-11-21T01:48:05Z"}
    body = webhook(saved)
    journal.append(read_events(body))
    journal.apply_pending()
    journal.close()
    someone = soak.Colleague(TASK, POSE, np.random.default_rng(0), saved=saved)
    assert soak.lost([someone], tmp_path) == []
    someone.saved = {**saved, "updated_at": "2026-11-21T01:48:06Z"}
    assert soak.lost([someone], tmp_path) == ["annotation 3 stands otherwise in the journal"]
