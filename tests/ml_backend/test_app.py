"""The web application over HTTP: contract, logins, limits, answers to what is wrong."""

import base64
import io
import json
import logging
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import clickpose
from clickpose_labelstudio import app as app_module
from clickpose_labelstudio.app import MAX_PROJECTS, create_app
from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.learning.journal import JournalError
from clickpose_labelstudio.learning.learner import Learner
from clickpose_labelstudio.learning.versions import Versions
from clickpose_labelstudio.settings import ServiceSettings
from helpers import fakes
from helpers.labelled import annotation, person, webhook

FIXTURES = Path(__file__).with_name("fixtures")
XML = build_labeling_config()
LABEL_STUDIO_HEADERS = {"User-Agent": "heartex/1.23.2", "Authorization": "Basic dTpw"}  # u:p


def recorded(name: str) -> dict:
    """Return the body of a request that Label Studio 1.23.2 really sent."""
    return json.loads((FIXTURES / f"{name}.json").read_text())


def grey_uri(height: int = 240, width: int = 320) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 127, np.uint8)).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def batch(**values) -> dict:
    task = {"id": 1, "data": {"image": grey_uri()}}
    return {"tasks": [task], "project": "3.1", "label_config": XML, "params": {"context": None}, **values}


@pytest.fixture
def predictor():
    return fakes.FakePredictor()


@pytest.fixture
def client(tmp_path, predictor):
    def make(load=lambda: predictor, **values):
        settings = ServiceSettings(cache_dir=tmp_path, **values)
        return create_app(settings, load_predictor=load).test_client()

    return make


def error_of(response, status: int) -> str:
    assert response.status_code == status
    assert response.mimetype == "application/json"
    assert set(response.json) == {"error"}
    return response.json["error"]


def test_health_answers_while_the_weights_load_and_setup_names_them_afterwards(client, predictor, monkeypatch):
    release = threading.Event()
    browser = client(load=lambda: release.wait(30) and predictor)
    monkeypatch.setattr("clickpose_labelstudio.app.SETUP_WAIT_S", 0.01)
    assert browser.get("/health?").json == {"status": "UP", "ready": False, "v2": True}
    assert browser.post("/setup?", json=recorded("setup")).json == {
        "model_version": f"clickpose-lite-{clickpose.__version__}"
    }
    assert browser.get("/versions").json == {"versions": []}
    release.set()
    monkeypatch.setattr("clickpose_labelstudio.app.SETUP_WAIT_S", 30)
    assert browser.post("/setup?", json={**recorded("setup"), "schema": XML}).json == {
        "model_version": f"clickpose-fake-{clickpose.__version__}-f00dfeed"
    }
    assert browser.get("/health").json["ready"] is True
    assert browser.get("/versions?").json == {"versions": [f"clickpose-fake-{clickpose.__version__}-f00dfeed"]}


def test_weights_that_do_not_load_are_a_sentence_and_are_tried_again(client, predictor, caplog):
    attempts = []

    def load():
        attempts.append(1)
        if len(attempts) < 3:
            raise FileNotFoundError("no weights.safetensors here")
        return predictor

    browser = client(load=load)
    for _ in range(10):
        response = browser.post("/predict", json=batch())
        if response.status_code == 200:
            break
        assert "The model could not be loaded: no weights.safetensors here" in error_of(response, 503)
    assert response.json["results"][0]["model_version"] == f"clickpose-fake-{clickpose.__version__}-f00dfeed"
    assert "The model could not be loaded" in caplog.text


def test_a_batch_is_predicted_through_the_whole_stack(client, predictor):
    (result,) = client().post("/predict?", json=batch()).json["results"]
    assert result["score"] == pytest.approx(0.7)
    assert predictor.encoded == 2
    boxes = [item["value"] for item in result["result"] if item["type"] == "rectanglelabels"]
    assert [boxes[0][key] for key in ("x", "y", "width", "height")] == pytest.approx([6.25, 12.5, 31.25, 70.8333333])


def test_an_edit_encodes_nothing_even_after_a_restart(client, predictor):
    (answer,) = client().post("/predict", json=batch()).json["results"]
    wrist = next(item for item in answer["result"] if item["id"].endswith("-left_wrist"))
    wrist["value"].update(x=50, y=50)
    body = batch(params={"context": {"result": answer["result"], "edited": [wrist["id"]]}})
    encoded = predictor.encoded
    (refined,) = client().post("/predict", json=body).json["results"]
    assert predictor.encoded == encoded
    moved = {item["id"]: item["value"] for item in refined["result"] if item["type"] == "keypointlabels"}
    assert (moved[wrist["id"]]["x"], moved[wrist["id"]]["y"]) == (50, 50)
    before = {item["id"]: item["value"] for item in answer["result"]}
    nose = wrist["id"].replace("left_wrist", "nose")
    assert moved[nose]["x"] - before[nose]["x"] == pytest.approx(100 * fakes.SHIFT[0] / 320)


def test_recorded_requests_are_served(client):
    browser = client()
    uri = grey_uri()
    for name in ("predict_batch", "predict_interactive_api", "predict_interactive_ui"):
        body = recorded(name)
        for task in body["tasks"]:
            task["data"]["image"] = uri
        answer = browser.post("/predict?", json=body, headers=LABEL_STUDIO_HEADERS)
        assert answer.status_code == 200
        assert len(answer.json["results"]) == len(body["tasks"])


def test_an_image_that_cannot_be_had_does_not_spoil_the_batch(client):
    bad = {"id": 2, "data": {"image": "http://evil.example.org/a.png"}}
    good, refused = client().post("/predict", json=batch(tasks=[*batch()["tasks"], bad])).json["results"]
    assert good["result"]
    assert "Host evil.example.org is not allowed" in refused["error"]


def test_projects_keep_their_own_configuration(client):
    other = XML.replace('name="box"', 'name="persons"')
    browser = client()
    for project, xml in (("3.1", XML), ("4.1", other)):
        assert browser.post("/setup", json={"project": project, "schema": xml}).status_code == 200
    names = {}
    for project in ("3.1", "4.1"):
        body = batch(project=project)
        del body["label_config"]
        (result,) = browser.post("/predict", json=body).json["results"]
        names[project] = {item["from_name"] for item in result["result"] if item["type"] == "rectanglelabels"}
    assert names == {"3.1": {"box"}, "4.1": {"persons"}}
    own = browser.post("/predict", json=batch(project="4.1")).json["results"][0]["result"]
    assert {item["from_name"] for item in own if item["type"] == "rectanglelabels"} == {"box"}


def test_only_the_latest_projects_are_remembered(client):
    browser = client()
    for number in range(MAX_PROJECTS + 1):
        browser.post("/setup", json={"project": f"{number}.1", "schema": XML})
    body = {"tasks": [], "project": "0.1"}
    assert "label_config" in error_of(browser.post("/predict", json=body), 400)
    assert browser.post("/predict", json={**body, "project": f"{MAX_PROJECTS}.1"}).status_code == 200


def test_a_configuration_that_cannot_serve_is_explained_where_label_studio_shows_it(client):
    response = client().post("/setup", json={"project": "1.1", "schema": '<View><Image name="i" value="$i"/></View>'})
    sentence = error_of(response, 422)
    assert "KeyPointLabels" in sentence
    assert response.status == f"422 {sentence}"[: len(response.status)]


def test_a_label_that_is_no_joint_is_named_with_what_it_may_have_meant(client):
    xml = XML
    for name in clickpose.skeleton.COCO.names:
        xml = xml.replace(f'value="{name}"', f'value="Gelenk {len(name)} {name[:3]}"', 1)
    xml = xml.replace('value="Gelenk 10 lef"', 'value="Knöchel links"', 1)
    response = client().post("/predict", json=batch(label_config=xml))
    sentence = error_of(response, 422)
    assert sentence.startswith("No label of KeyPointLabels names a joint: “Knöchel links” (left_ankle?), “Gelenk")
    assert response.status.startswith('422 No label of KeyPointLabels names a joint: "Knochel links" (left_ankle?), ')


def test_labels_beside_good_ones_that_are_no_joints_are_said(client, caplog):
    browser = client()
    xml = XML.replace('value="left_wrist"', 'value="Handgelenk links"')
    said = "“Handgelenk links” (left_wrist?)"
    answer = browser.post("/setup", json={"project": "1.1", "schema": xml}).json
    assert said in answer["notes"][0] and said in caplog.text and "Project '1.1'" in caplog.text
    answer = browser.post("/predict", json=batch(label_config=xml)).json
    assert said in answer["notes"][0]
    assert all("wrist" not in item["id"] for item in answer["results"][0]["result"] if "left" in item["id"])
    plain = client().post(
        "/setup", json={"project": "1.1", "schema": XML.replace("</KeyP", '<Label value="ball"/></KeyP')}
    )
    assert set(plain.json) == {"model_version"}  # nobody's mistake
    result = answer["results"][0]["result"]
    ball = {**result[0], "id": "new", "value": {**result[0]["value"], "keypointlabels": ["ball"]}}
    for edited, notes in ((result[0]["id"], None), ("new", "“ball”")):
        context = {"result": [*result, ball], "edited": [edited]}
        body = batch(label_config=XML.replace("</KeyP", '<Label value="ball"/></KeyP'), params={"context": context})
        (entry,) = browser.post("/predict", json=body).json["results"]
        assert ("notes" in entry) == bool(notes)
        assert not notes or (notes in entry["notes"][0] and "result" not in entry)
    for odd in (None, 3, [{}], {"a": 1}):
        body = batch(label_config=xml, params={"context": {"result": [], "edited": odd}})
        assert said in browser.post("/predict", json=body).json["results"][0]["notes"][0]


def test_a_label_does_not_write_log_lines(client, caplog):
    xml = build_labeling_config().replace(
        '<Label value="person"', '<Label value="cat"/><Label value="dog&#10;ERROR forged"'
    )
    assert "dog\nERROR forged" in error_of(client().post("/setup", json={"project": "1.1", "schema": xml}), 422)
    assert "dog ERROR forged" in caplog.text and "\nERROR forged" not in caplog.text


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Expected a JSON object"),
        (b"{", "Expected a JSON object"),
        (b"[" * 100_000, "Expected a JSON object"),
        (b"[]", "got a list"),
        (b'{"tasks": [], "label_config": NaN}', "Expected a JSON object"),
        (b'{"tasks": 1' + b"0" * 5000 + b"}", "Expected a JSON object"),
        (b'{"tasks": [{"id": 1e999}]}', "Expected a JSON object"),
        (b'{"tasks": [], "label_config": "<View/>", "params": [1]}', "Expected params to be an object"),
        (b'{"tasks": {}, "label_config": "<View/>"}', "Expected tasks to be a list"),
        (b'{"tasks": []}', "Expected label_config to be XML text"),
    ],
)
def test_bad_bodies_are_refused_with_a_sentence(client, body, message):
    sentence = error_of(client().post("/predict", data=body), 400)
    assert message in sentence


def test_a_configuration_that_is_at_fault_has_a_status_of_its_own(client):
    body = b'{"tasks": [], "label_config": "<View/>", "params": []}'
    assert "KeyPointLabels" in error_of(client().post("/predict", data=body), 422)


def test_a_body_that_is_too_large_is_refused(client):
    sentence = error_of(client(max_request_bytes=1000).post("/predict", data=b" " * 1001), 413)
    assert sentence == "Expected a request of at most 1000 bytes"


def test_large_bodies_are_read_one_at_a_time(client, predictor, monkeypatch):
    monkeypatch.setattr(app_module, "LARGE_BODY_BYTES", 10_000)
    monkeypatch.setattr(app_module, "LARGE_BODY_WAIT_S", 0.05)
    inside, go_on = threading.Event(), threading.Event()
    detect = predictor.detect

    def slow(image):
        inside.set()
        go_on.wait(20)
        return detect(image)

    monkeypatch.setattr(predictor, "detect", slow)
    app = client()
    large = batch(padding="x" * 20_000)
    first: list = []
    thread = threading.Thread(target=lambda: first.append(app.application.test_client().post("/predict", json=large)))
    thread.start()
    assert inside.wait(20)
    assert "large requests" in error_of(app.post("/predict", json=large), 503)
    assert app.post("/setup", json={"project": "1.1", "schema": XML}).status_code == 200  # small ones pass
    go_on.set()
    thread.join(20)
    assert first[0].status_code == 200
    for body in (b"{" + b" " * 20_000, json.dumps(large)):  # also after one that was refused, the turn is free
        assert app.post("/predict", data=body).status_code in (200, 400, 422)
    assert app.post("/predict", json=large).status_code == 200


def test_unknown_addresses_and_methods_are_json(client):
    browser = client()
    assert error_of(browser.get("/nothing"), 404) == "There is nothing at this address"
    response = browser.get("/predict")
    assert "another method than GET" in error_of(response, 405)
    assert "POST" in response.headers["Allow"]


def test_the_first_page_says_what_this_is(client):
    page = client().get("/").json
    assert (page["service"], page["version"], page["model"]) == ("clickpose", clickpose.__version__, "lite")
    assert "/predict" in page["endpoints"]


def test_the_user_is_asked_for_everywhere_but_at_the_webhook(client):
    browser = client(basic_auth_user="u", basic_auth_password="p")
    for method, path in [("GET", "/"), ("GET", "/health"), ("GET", "/versions"), ("GET", "/metrics"), ("GET", "/x")]:
        response = browser.open(path, method=method)
        assert "user name and password" in error_of(response, 401)
        assert response.headers["WWW-Authenticate"].startswith("Basic ")
    for path in ("/setup", "/predict"):
        error_of(browser.post(path, json={}), 401)
    assert browser.get("/health", headers=LABEL_STUDIO_HEADERS).status_code == 200
    assert browser.post("/webhook", json=recorded("webhook_ANNOTATION_CREATED")).status_code == 200


@pytest.mark.parametrize(
    "header",
    ["Basic dTpx", "Basic eDpw", "Basic dTo=", "Basic Og==", "Basic", "Basic !!!", "Bearer dTpw", "Basic dcO8OnA=", ""],
)
def test_wrong_credentials_are_refused(client, header):
    browser = client(basic_auth_user="u", basic_auth_password="p")
    error_of(browser.get("/health", headers={"Authorization": header}), 401)


def test_no_credentials_are_right_where_none_are_configured(client):
    browser = client(webhook_secret="hook")
    empty = {"Authorization": "Basic Og=="}  # an empty user with an empty password
    error_of(browser.post("/webhook", json=recorded("webhook_START_TRAINING"), headers=empty), 401)
    error_of(browser.post("/webhook", json=recorded("webhook_START_TRAINING")), 401)


def test_start_training_is_counted_logged_and_answered_with_what_to_do(client, caplog):
    browser = client()
    with caplog.at_level(logging.INFO):
        answer = browser.post("/webhook", json=recorded("webhook_START_TRAINING"))
    assert answer.json["status"] == "recorded"
    assert "clickpose labelstudio train --project 3 does" in answer.json["message"]
    assert "clickpose serve --checkpoint runs/project-3/lite.safetensors" in caplog.text
    assert 'clickpose_webhooks_total{action="START_TRAINING"} 1.0' in browser.get("/metrics").text
    strange = browser.post("/webhook", json={"action": "START_TRAINING", "project": {"id": "3; rm"}}).json
    assert "--project <project> " in strange["message"]


class FakeJobs:
    """Remembers what it was asked to train on."""

    def __init__(self):
        self.projects = []

    def check(self):
        pass

    def start(self, project):
        self.projects.append(project)
        return f"project-{project}-1"

    def running(self):
        return f"project-{self.projects[-1]}-1" if self.projects else None

    def status(self, job_id):
        return {"job": job_id, "job_status": "started"} if job_id == "project-3-1" else None


@pytest.fixture
def training_client(client, tmp_path):
    def make(**values):
        browser = client(train_dir=tmp_path / "jobs", **values)
        backend = browser.application.extensions["clickpose"]
        backend.learner = Learner(tmp_path / f"jobs{len(made)}", backend.settings, FakeJobs())
        made.append(backend.learner)
        return browser, backend.learner.jobs

    made = []
    yield make
    for learner in made:
        learner.stop()


def test_start_training_starts_a_job_where_the_operator_wants_that(training_client):
    browser, jobs = training_client()
    answer = browser.post("/webhook", json=recorded("webhook_START_TRAINING"))
    assert answer.json == {"status": "training", "job": "project-3-1"}
    assert jobs.projects == [3]
    assert browser.post("/job_status", json={"job": "project-3-1"}).json["job_status"] == "started"
    error_of(browser.post("/job_status", json={"job": "project-3-2"}), 410)
    for project in ("3; rm", True, None, -1, 10**12, 3.0):
        body = {"action": "START_TRAINING", "project": {"id": project}}
        assert "number of a project" in error_of(browser.post("/webhook", json=body), 400)
    form = browser.post("/webhook", data=json.dumps(recorded("webhook_START_TRAINING")), content_type="text/plain")
    assert "application/json" in error_of(form, 415)
    assert jobs.projects == [3]


def test_start_training_needs_the_login_where_there_is_one(training_client):
    training, created = recorded("webhook_START_TRAINING"), recorded("webhook_ANNOTATION_CREATED")
    browser, jobs = training_client(basic_auth_user="u", basic_auth_password="p")
    error_of(browser.post("/webhook", json=training), 401)
    error_of(browser.post("/job_status", json={"job": "project-3-1"}), 401)
    assert browser.post("/webhook", json=created).json == {"status": "received"}
    assert jobs.projects == []
    assert browser.post("/webhook", json=training, headers=LABEL_STUDIO_HEADERS).json["status"] == "training"
    browser, jobs = training_client(basic_auth_user="u", basic_auth_password="p", webhook_secret="hook")
    assert browser.post("/webhook/hook", json=training).json["status"] == "training"
    assert jobs.projects == [3]


def test_what_is_labelled_is_written_down_before_it_is_answered(training_client, monkeypatch):
    browser, _ = training_client()
    journal = browser.application.extensions["clickpose"].learner.journal
    created = recorded("webhook_ANNOTATION_CREATED")
    monkeypatch.setattr(journal, "apply_pending", lambda: 0)
    assert browser.post("/webhook", json=created).json == {"status": "received"}
    assert journal.pending() == 1
    assert browser.post("/webhook", json={"action": "PROJECT_UPDATED"}).json == {"status": "received"}
    sentence = error_of(browser.post("/webhook", json={**created, "annotation": {"id": "x"}}), 400)
    assert "Expected annotation with a number as its id" in sentence
    assert journal.pending() == 1

    def full(events):
        raise JournalError("The journal cannot be used: database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(journal, "append", full)
        assert "not written down" in error_of(browser.post("/webhook", json=created), 507)
    assert "clickpose_webhooks_unwritten_total 1.0" in browser.get("/metrics").text
    later = {**created, "action": "ANNOTATION_UPDATED"}
    later["annotation"] = {**created["annotation"], "updated_at": "2026-11-21T01:48:40Z"}
    assert browser.post("/webhook", json=later).json == {"status": "received"}
    assert journal.pending() == 2


def test_how_it_goes_is_shown_to_those_with_the_login(training_client, client):
    login = {"basic_auth_user": "u", "basic_auth_password": "p"}
    browser, _ = training_client(**login)
    browser.post("/webhook", json=webhook(annotation(person("cp-a", {"nose": (50, 20)}), lead_time=5.0)))
    browser.application.extensions["clickpose"].learner.journal.apply_pending()
    for path in ("/stats", "/stats.csv"):
        error_of(browser.get(path), 401)
    page = browser.get("/stats?project=7", headers=LABEL_STUDIO_HEADERS)
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert "project 7" in page.text and "<svg" in page.text
    table = browser.get("/stats.csv", headers=LABEL_STUDIO_HEADERS)
    assert table.text.splitlines()[1].startswith("all,,1,1,0.0000,5.0000,1.0000")
    assert "number, got 'x'" in error_of(browser.get("/stats?project=x", headers=LABEL_STUDIO_HEADERS), 400)
    numbers = browser.get("/metrics", headers=LABEL_STUDIO_HEADERS).text
    assert 'clickpose_labelled_persons{project="7"} 1.0' in numbers
    assert 'clickpose_labelled_version{project="7"} 0.0' in numbers
    error_of(client().get("/stats"), 404)  # nothing is kept


def test_a_version_answers_its_project_alone_and_what_was_begun_goes_on(client, tmp_path, monkeypatch):
    trained = fakes.FakePredictor()
    trained.fingerprint = "7ra17ed"
    monkeypatch.setattr("clickpose_labelstudio.build.load_predictor", lambda settings: trained)
    browser = client(train_dir=tmp_path / "learning")
    before = browser.post("/predict", json=batch(project="7.1")).json
    versions = Versions(tmp_path / "learning", 7)
    versions.add(lambda place: (place / "lite.safetensors").write_text("weights") and {})
    versions.use(1, "better")
    after = browser.post("/predict", json=batch(project="7.1")).json
    assert after["model_version"] == f"clickpose-fake-{clickpose.__version__}-p7v1-7ra17ed"
    for other in ("8.1", None):
        assert browser.post("/predict", json=batch(project=other)).json["model_version"] == before["model_version"]
    assert (
        browser.post("/setup", json={"project": "7.1", "schema": XML}).json["model_version"] == after["model_version"]
    )
    draft = before["results"][0]["result"]  # begun with the network before
    nose = next(item for item in draft if item["id"].endswith("-nose"))
    nose["value"]["x"] += 3
    context = {"result": draft, "edited": [nose["id"]]}
    (edit,) = browser.post("/predict", json=batch(project="7.1", params={"context": context})).json["results"]
    moved = {item["id"]: item["value"] for item in edit["result"]}
    assert moved[nose["id"]] == nose["value"] and len(moved) > 5
    browser.application.extensions["clickpose"].learner.stop()


def test_no_job_is_known_where_nothing_trains(client):
    error_of(client().post("/job_status", json={"job": "project-3-1"}), 410)


def test_the_webhook_takes_its_secret_address_or_the_user(client):
    browser = client(basic_auth_user="u", basic_auth_password="p", webhook_secret="hook")
    created, training = recorded("webhook_ANNOTATION_CREATED"), recorded("webhook_START_TRAINING")
    assert browser.post("/webhook/hook", json=created).json == {"status": "received"}
    assert browser.post("/webhook", json=training, headers=LABEL_STUDIO_HEADERS).json["status"] == "recorded"
    error_of(browser.post("/webhook", json=created), 401)
    error_of(browser.post("/webhook/guess", json=created), 404)
    assert error_of(client().post("/webhook/", json=created), 404)
    assert error_of(client().post("/webhook/guess", json=created), 404)


def test_metrics_count_without_letting_callers_grow_them(client):
    browser = client()
    browser.post("/predict", json=batch())
    browser.get("/nothing/1")
    browser.get("/nothing/2")
    for action in ("ANNOTATION_CREATED", "MADE_UP_1", "MADE_UP_2", ["x"], None):
        browser.post("/webhook", json={"action": action})
    text = browser.get("/metrics").text
    for line in [
        'clickpose_requests_total{route="/predict",status="200"} 1.0',
        'clickpose_requests_total{route="unknown",status="404"} 2.0',
        'clickpose_webhooks_total{action="ANNOTATION_CREATED"} 1.0',
        'clickpose_webhooks_total{action="other"} 4.0',
        'clickpose_tasks_total{kind="batch"} 1.0',
        "clickpose_model_loaded 1.0",
    ]:
        assert line in text
    assert "MADE_UP" not in text


def test_an_internal_error_tells_the_client_only_its_id(client, predictor, monkeypatch, caplog):
    def fail(*args):
        raise KeyError("a secret detail")

    monkeypatch.setattr(predictor, "detect", fail)
    response = client().post("/predict", json=batch(), headers={"X-Request-ID": "abc-123"})
    assert "under id abc-123" in error_of(response, 500)
    assert "secret detail" not in response.text
    assert "secret detail" in caplog.text


def test_request_ids_are_given_and_taken_over_only_when_harmless(client):
    browser = client()
    assert browser.get("/health", headers={"X-Request-ID": "trace-7"}).headers["X-Request-ID"] == "trace-7"
    own = browser.get("/health", headers={"X-Request-ID": 'x" evil'}).headers["X-Request-ID"]
    assert len(own) == 16


def test_secrets_do_not_reach_the_log(client, caplog):
    caplog.set_level(logging.DEBUG)
    browser = client(
        basic_auth_user="u",
        basic_auth_password="s3cret-pw",
        webhook_secret="s3cret-hook",
        label_studio_api_key="s3cret-key",
    )
    setup = {**recorded("setup"), "access_token": "s3cret-token"}
    browser.post("/setup", json=setup, auth=("u", "s3cret-pw"))
    browser.post("/webhook/s3cret-hook", json=recorded("webhook_PROJECT_UPDATED"))
    browser.post("/webhook/s3cret-hoo", json={})
    assert "POST /webhook/<secret> 200" in caplog.text
    assert "s3cret" not in caplog.text


def test_an_edit_does_not_wait_for_a_batch(client, predictor, monkeypatch):
    browser = client()
    (answer,) = browser.post("/predict", json=batch()).json["results"]
    body = batch(params={"context": {"result": answer["result"], "edited": [answer["result"][0]["id"]]}})
    inside, release = threading.Event(), threading.Event()
    detect = predictor.detect

    def slow_detect(image):
        inside.set()
        release.wait(30)
        return detect(image)

    monkeypatch.setattr(predictor, "detect", slow_detect)
    thread = threading.Thread(target=lambda: browser.application.test_client().post("/predict", json=batch()))
    thread.start()
    assert inside.wait(30)
    monkeypatch.setattr("clickpose_labelstudio.app.BATCH_WAIT_S", 0.01)
    assert browser.post("/predict", json=body).json["results"][0]["result"]
    assert "Other batches" in error_of(browser.post("/predict", json=batch()), 503)
    release.set()
    thread.join(30)
    assert browser.post("/predict", json=batch()).status_code == 200


def test_timings_are_told(client):
    timing = client().post("/predict", json=batch()).headers["Server-Timing"]
    assert [part.split(";")[0] for part in timing.split(", ")] == ["parse", "predict", "encode"]


def test_making_an_app_loads_nothing(client):
    loads = []
    client(load=lambda: loads.append(1))
    time.sleep(0.05)
    assert loads == []
