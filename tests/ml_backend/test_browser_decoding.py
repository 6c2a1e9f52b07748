"""What a browser is given to answer edits by itself, and that its answers are the service's own."""

from __future__ import annotations

import base64
import copy
import gzip
import hashlib
import json

import numpy as np
import onnxruntime
import pytest

from clickpose.lite.predictor import LitePredictor
from clickpose_labelstudio.browser_decoding import RUNTIME, SCRIPT, WASM
from clickpose_labelstudio.build import build_service
from clickpose_labelstudio.interaction import RequestError
from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.service import AnnotationService
from clickpose_labelstudio.settings import ServiceSettings
from helpers import fakes

XML = build_labeling_config()
BOXES = [[20.0, 30.0, 120.0, 200.0], [150.0, 40.0, 260.0, 220.0]]
HEIGHT, WIDTH = 240, 320
ARRAYS = {"float16": np.float16, "float32": np.float32, "float64": np.float64}


class FoundAlready:
    """A detector that finds the two boxes."""

    def detect(self, image):
        return np.array(BOXES), np.array([0.9, 0.8])


@pytest.fixture(scope="module")
def lite():
    predictor = LitePredictor.load(threads=1)
    predictor.detector = FoundAlready()
    return predictor


@pytest.fixture
def ask(lite):
    """Ask the service; a context gets the pre-annotation as its result."""
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    images = fakes.FakeImages({"/data/a.png": noise})
    service = AnnotationService(lambda: lite, images, fakes.MemoryRegions(), unlabelled_below=0.0)
    task = {"id": 1, "data": {"image": "/data/a.png"}}
    (preannotated,) = service.predict([task], XML)

    def ask(**context):
        context = {"result": copy.deepcopy(preannotated["result"]), "edited": [], **context}
        (reply,) = service.predict([task], XML, context)
        return reply

    ask.result = preannotated["result"]
    return ask


def arrays(given: dict) -> dict[str, np.ndarray]:
    return {
        name: np.frombuffer(base64.b64decode(entry["data"]), ARRAYS[entry["type"]]).reshape(entry["shape"])
        for name, entry in given["inputs"].items()
    }


def boxes_of(result):
    return [item["id"] for item in result if item["type"] == "rectanglelabels"]


def test_with_what_it_is_given_a_browser_answers_as_the_service(ask):
    """Random edits of both people: the graph, on what came as JSON, says what the service says."""
    graph = ask(browser="decoder")["browser"]
    session = onnxruntime.InferenceSession(gzip.decompress(base64.b64decode(graph["graph"])))
    rng = np.random.default_rng(3)
    worst = 0.0
    for person in boxes_of(ask.result):
        given = json.loads(json.dumps(ask(browser={"person": person})["browser"]))
        assert given["decoder"] == graph["name"] and given["image_hw"] == [HEIGHT, WIDTH]
        assert given["joint_count"] == 17 and set(given["joints"].values()) == set(range(17))
        for _ in range(10):
            result = copy.deepcopy(ask.result)
            items = {item["id"]: item for item in result if item["type"] != "choices"}
            edited = [str(name) for name in rng.choice(list(given["joints"]), rng.integers(1, 5), replace=False)]
            for name in edited:
                items[name]["value"]["x"] += float(rng.normal(0, 2))
                items[name]["value"]["y"] += float(rng.normal(0, 2))
            reply = ask(result=result, edited=edited)["result"]
            answered = {item["id"]: item for item in reply if item["type"] != "choices"}
            keypoints, fixed = np.full((17, 2), np.nan), np.zeros(17)
            for name, joint in given["joints"].items():
                value = items[name]["value"]
                keypoints[joint] = value["x"] / 100 * WIDTH, value["y"] / 100 * HEIGHT
                fixed[joint] = name in edited
            box = items[person]["value"]
            corners = [box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]]
            corners = np.array(corners) / 100 * np.tile([WIDTH, HEIGHT], 2)
            clicks = {"keypoints": keypoints, "fixed": fixed, "box": corners}
            placed, new_box, scores, _, score, covered = session.run(None, arrays(given) | clicks)
            assert covered == 1
            for name, joint in given["joints"].items():
                value = answered[name]["value"]
                clipped = np.clip(placed[joint], 0, [WIDTH, HEIGHT])
                worst = max(worst, np.abs(clipped - [value["x"] / 100 * WIDTH, value["y"] / 100 * HEIGHT]).max())
                assert answered[name]["score"] == pytest.approx(scores[joint], abs=1e-4)
            assert answered[person]["score"] == pytest.approx(float(score), abs=1e-4)
            left = answered[person]["value"]["x"] / 100 * WIDTH
            worst = max(worst, abs(left - max(new_box[0], 0)))
    assert worst < 1e-3  # px


def test_a_network_without_a_graph_answers_by_itself():
    images = fakes.FakeImages({"/data/a.png": fakes.blank_image()})
    service = AnnotationService(fakes.FakePredictor, images, fakes.MemoryRegions())
    task = {"id": 1, "data": {"image": "/data/a.png"}}
    result = service.predict([task], XML)[0]["result"]
    for wish in ("decoder", {"person": boxes_of(result)[0]}):
        (reply,) = service.predict([task], XML, {"result": result, "edited": [], "browser": wish})
        assert reply == {"browser": {"unavailable": "network", "reason": "fake has no decoder to be had apart"}}


def test_an_operator_can_switch_it_off(lite, tmp_path):
    service = build_service(ServiceSettings(cache_dir=tmp_path, browser_decoding=False), lambda: lite)
    task = {"id": 1, "data": {"image": "/data/a.png"}}
    (reply,) = service.predict([task], XML, {"result": [], "edited": [], "browser": "decoder"})
    assert reply == {"browser": {"unavailable": "network", "reason": "It has been switched off"}}


def test_a_person_without_a_box_is_answered_by_the_service(ask):
    keypoints = [item for item in ask.result if item["type"] == "keypointlabels"]
    keypoints = [{key: value for key, value in item.items() if key != "parentID"} for item in keypoints]
    reply = ask(result=keypoints, browser={"person": boxes_of(ask.result)[0]})
    assert reply == {"browser": {"unavailable": "person", "reason": "It has no box"}}


@pytest.mark.parametrize("wish", [None, "weights", 7, {}, {"person": 3}, ["decoder"]])
def test_other_wishes_are_refused(ask, wish):
    with pytest.raises(RequestError, match=r"Expected context\.browser to be"):
        ask(browser=wish)


def test_nobody_is_given_who_is_not_there(ask):
    with pytest.raises(RequestError, match="Expected regions of person cp-nobody, got those of others"):
        ask(browser={"person": "cp-nobody"})


def test_a_person_is_given_without_the_image_being_seen_anew(ask, lite, monkeypatch):
    """What a thousand annotators ask for is read from what pre-annotation has left."""
    monkeypatch.setattr(lite, "encode", None)
    for person in boxes_of(ask.result):
        assert ask(browser={"person": person})["browser"]["inputs"]


def test_the_runtime_is_the_one_that_is_listed(ask):
    listed = json.loads((RUNTIME / "runtime.json").read_text(encoding="utf-8"))
    wasm = gzip.decompress((RUNTIME / WASM).read_bytes())
    assert hashlib.sha256(wasm).hexdigest() == listed["sha256"][WASM.removesuffix(".gz")]
    assert hashlib.sha256((RUNTIME / SCRIPT).read_bytes()).hexdigest() == listed["sha256"][SCRIPT]
    assert listed["license"] == "MIT" and "Microsoft" in (RUNTIME / "LICENSE").read_text(encoding="utf-8")
    given = ask(browser="runtime")["browser"]
    assert given["name"] == f"onnxruntime-web-{listed['version']}"
    assert gzip.decompress(base64.b64decode(given["wasm"])) == wasm
