"""Whatever arrives, the service answers in time, in JSON, and never with an internal error.

Requests that Label Studio really sent are damaged at random: values replaced, keys dropped, lists grown, bytes flipped.
"""

import base64
import copy
import io
import json
import threading
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from clickpose_labelstudio.app import create_app
from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.settings import ServiceSettings
from helpers import fakes

FIXTURES = Path(__file__).with_name("fixtures")
TIME_LIMIT_S = 60.0  # Label Studio waits 100 s for a prediction; the slowest machine that runs tests needs far less
PREDICTIONS = ("predict_batch", "predict_interactive_api", "predict_interactive_ui", "bridge_edit")
OTHERS = ("setup", "webhook_ANNOTATION_CREATED", "webhook_PROJECT_UPDATED", "webhook_START_TRAINING")
fuzz = settings(
    deadline=None, max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

pytestmark = pytest.mark.slow


@cache
def image_uri() -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.full((240, 320, 3), 127, np.uint8)).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


@cache
def recorded(name: str) -> dict:
    """Return a request of Label Studio (or of the bridge) about an image that is there."""
    if name == "bridge_edit":
        return bridge_edit()
    body = json.loads((FIXTURES / f"{name}.json").read_text())
    for task in body.get("tasks", []):
        task["data"]["image"] = image_uri()
    return body


def bridge_edit() -> dict:
    """Return an edit of two persons, as the bridge posts it."""
    result = []
    for person, left in (("cp-0001", 10), ("cp-0002", 60)):
        common = {"to_name": "image", "original_width": 320, "original_height": 240, "image_rotation": 0}
        for joint, (x, y) in {"nose": (5, 10), "left_wrist": (8, 30), "right_knee": (12, 60)}.items():
            value = {"x": left + x, "y": y, "width": 0.6, "keypointlabels": [joint]}
            keypoint = {
                "id": f"{person}-{joint}",
                "from_name": "keypoint",
                "type": "keypointlabels",
                "parentID": person,
            }
            result.append({**common, **keypoint, "origin": "prediction", "score": 0.7, "value": value})
        value = {"x": left, "y": 5, "width": 30, "height": 80, "rotation": 0, "rectanglelabels": ["person"]}
        result.append({**common, "id": person, "from_name": "box", "type": "rectanglelabels", "value": value})
    context = {"result": result, "edited": ["cp-0001-left_wrist"], "draft_id": 3}
    task = {"id": 1, "data": {"image": image_uri()}, "drafts": [{"result": result}], "predictions": []}
    return {
        "tasks": [task],
        "project": "3.1",
        "label_config": build_labeling_config(),
        "params": {"login": None, "password": None, "context": context},
    }


class PromptClient:
    """A test client whose requests fail when they are not answered in time: a hang must not hang the tests."""

    def __init__(self, client):
        self._client = client

    def post(self, path, **request):
        return self.open(path, method="POST", **request)

    def open(self, path, **request):
        answers = []
        worker = threading.Thread(target=lambda: answers.append(self._client.open(path, **request)), daemon=True)
        worker.start()
        worker.join(TIME_LIMIT_S)
        assert not worker.is_alive(), f"{request.get('method')} {path} was not answered within {TIME_LIMIT_S} s"
        return answers[0]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    service_settings = ServiceSettings(cache_dir=tmp_path_factory.mktemp("cache"), max_image_pixels=1_000_000)
    app = create_app(service_settings, load_predictor=fakes.FakePredictor)
    return PromptClient(app.test_client())


# What stands in for a value somewhere in a request.
numbers = st.one_of(
    st.integers(-(10**30), 10**30), st.floats(), st.sampled_from([0, -1, 50, 100.0001, 1e308, 5e-324, 2**63, 10**400])
)
known_texts = [
    "nose",
    "box",
    "kp",
    "keypoint",
    "cp-0001",
    "keypointlabels",
    "prediction-changed",
    "<View/>",
    "<!DOCTYPE a>",
    "$image",
]
known_texts += ["data:,", "data:image/png;base64,AAAA", "/data/local-files/?d=../../etc/passwd", "http://127.0.0.1:1/a"]
known_texts += ["s3://b/a", "\ud800", "\0"]
texts = st.one_of(st.text(max_size=20), st.sampled_from(known_texts))
leaves = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)


def places(value, path=()):
    """Yield the path of every value inside a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


@st.composite
def damaged(draw, names):
    """A recorded request with one to four places replaced, dropped or doubled."""
    body = copy.deepcopy(recorded(draw(st.sampled_from(names))))
    for _ in range(draw(st.integers(1, 4))):
        paths = sorted(places(body), key=repr)
        path = draw(st.sampled_from(paths))
        if not path:
            continue
        holder = body
        for key in path[:-1]:
            holder = holder[key]
        action = draw(st.sampled_from(["replace", "replace", "drop", "double"]))
        if action == "replace":
            holder[path[-1]] = draw(values)
        elif action == "drop":
            del holder[path[-1]]
        elif isinstance(holder, list):
            holder.append(copy.deepcopy(holder[path[-1]]))
    return body


def check(response):
    """Assert a sensible answer: results in JSON, or a sentence."""
    assert response.status_code in (200, 400, 422), (response.status, response.text[:2000])
    body = json.loads(response.text, parse_constant=pytest.fail)
    if response.status_code != 200:
        assert body["error"]
        assert "Traceback" not in body["error"]
    return body


@pytest.mark.parametrize("name", ["predict_batch", "bridge_edit"])
def test_the_undamaged_requests_find_and_move_people(client, name):
    answer = check(client.post("/predict", data=json.dumps(recorded(name))))
    assert all(entry["result"] for entry in answer["results"])


@fuzz
@given(body=damaged(PREDICTIONS))
def test_damaged_predict_requests(client, body):
    answer = check(client.post("/predict", data=json.dumps(body)))
    if "results" in answer:
        assert len(answer["results"]) == len(body["tasks"])
        for item in (item for entry in answer["results"] for item in entry.get("result", [])):
            assert isinstance(item["id"], str)


@fuzz
@given(body=damaged(OTHERS), path=st.sampled_from(["/setup", "/webhook"]))
def test_damaged_setup_and_webhook_requests(client, body, path):
    check(client.post(path, data=json.dumps(body)))


@fuzz
@given(body=values, path=st.sampled_from(["/predict", "/setup", "/webhook"]))
def test_any_json(client, body, path):
    check(client.post(path, data=json.dumps(body)))


@fuzz
@given(data=st.data(), path=st.sampled_from(["/predict", "/setup", "/webhook"]))
def test_flipped_bytes(client, data, path):
    raw = bytearray(json.dumps(recorded(data.draw(st.sampled_from((*PREDICTIONS, *OTHERS))))).encode())
    for position in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=5)):
        raw[position] = data.draw(st.integers(0, 255))
    check(client.post(path, data=bytes(raw)))


@fuzz
@given(context=st.dictionaries(st.sampled_from(["result", "edited", "confirmed", "draft_id"]), values))
def test_any_context(client, context):
    body = {**recorded("bridge_edit"), "params": {"context": context}}
    check(client.post("/predict", data=json.dumps(body)))


@fuzz
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"]),
    path=st.text(st.characters(codec="utf-8", exclude_characters="?#\0"), max_size=30),
    header=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
)
def test_any_address(client, method, path, header):
    response = client.open("/" + path.lstrip("/"), method=method, headers={"Authorization": header})
    assert response.status_code in (200, 308, 400, 404, 405, 422)


@pytest.mark.parametrize(
    "label_config",
    [
        build_labeling_config().replace("<View>", "<View>" * 30_000, 1),
        "<View>" * 33_000,
        "<View " + " ".join(f'a{i}="1"' for i in range(15_000)) + "/>",
        build_labeling_config().replace("</View>", "<Label value='nose'/>" * 100_000 + "</View>"),
    ],
    ids=["unclosed", "deep", "attributes", "long"],
)
def test_monstrous_configurations(client, label_config):
    for path, body in (("/setup", {"project": "1.1", "schema": label_config}), ("/predict", {"tasks": []})):
        assert "error" in check(client.post(path, data=json.dumps({**body, "label_config": label_config})))


def test_monstrous_results(client):
    body = copy.deepcopy(recorded("bridge_edit"))
    result = body["params"]["context"]["result"]
    body["params"]["context"]["result"] = [
        {**item, "id": f"{item['id']}{i}", "parentID": f"p{i % 50}"} for i in range(400) for item in result
    ]
    body["params"]["context"]["edited"] = ["cp-0001-left_wrist0"]
    check(client.post("/predict", data=json.dumps(body)))


def test_a_saved_region_with_a_strange_control_name(client):
    body = copy.deepcopy(recorded("predict_interactive_ui"))
    body["tasks"][0]["predictions"][0]["result"][0]["from_name"] = ["kp"]
    assert "results" in check(client.post("/predict", data=json.dumps(body)))
