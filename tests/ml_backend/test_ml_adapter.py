"""The service as a label-studio-ml model: release 1.0.9 for real, the 2.x interface by a stand-in."""

import copy
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
import requests
from flask import Flask

import clickpose
from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.service import AnnotationService
from helpers import fakes

ROOT = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("CLICKPOSE_LS_ML_PYTHON")
XML = build_labeling_config()
OTHER_XML = XML.replace('name="box"', 'name="persons"')
TASK = {"id": 1, "data": {"image": "/data/a.png"}}


def box_names(result: list[dict]) -> set[str]:
    return {item["from_name"] for item in result if item["type"] == "rectanglelabels"}


def drag_nose(result: list[dict]) -> tuple[dict, str]:
    """Return the context that the bridge sends after the first nose was dragged, and its id."""
    dragged = copy.deepcopy(result)
    nose = next(item for item in dragged if item["id"].endswith("-nose"))
    nose["value"].update(x=40.0, y=60.0)
    return {"result": dragged, "edited": [nose["id"]]}, nose["id"]


def assert_nose_was_kept_and_others_moved(before: list[dict], after: list[dict], nose: str):
    old, new = ({item["id"]: item["value"] for item in items if "-" in item["id"][3:]} for items in (before, after))
    assert (new[nose]["x"], new[nose]["y"]) == (40.0, 60.0)
    wrist = nose.replace("-nose", "-left_wrist")
    assert new[wrist]["x"] - old[wrist]["x"] == pytest.approx(100 * fakes.SHIFT[0] / 320)
    assert new[wrist]["y"] - old[wrist]["y"] == pytest.approx(100 * fakes.SHIFT[1] / 240)


@pytest.fixture
def real_server(tmp_path):
    """Base address of the adapter, served by a real label-studio-ml 1.0.9."""
    if not PYTHON:
        pytest.skip("CLICKPOSE_LS_ML_PYTHON does not name the Python of an environment with label-studio-ml 1.0.9")
    paths = os.pathsep.join([str(ROOT / folder) for folder in ("models", "ml_backend", "tests")])
    process = subprocess.Popen(
        [PYTHON, "-m", "helpers.label_studio_ml_server", str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
    )
    with process:
        port = process.stdout.readline().strip()
        try:
            assert port.isdigit(), "the server did not start; its error is above"
            yield f"http://127.0.0.1:{port}"
        finally:
            process.stdin.close()
            process.wait(30)


def test_label_studio_ml_1_0_9_serves_two_projects_and_edits(real_server):
    def post(path, **body):
        response = requests.post(real_server + path, json=body, timeout=30)
        assert response.status_code == 200, response.text
        return response.json()

    assert requests.get(f"{real_server}/health", timeout=30).json()["status"] == "UP"
    post("/setup", project="3.1", schema=XML, hostname="", access_token="")
    post("/setup", project="4.1", schema=OTHER_XML, hostname="", access_token="")
    params = {"login": None, "password": None, "context": None}
    (prediction,) = post("/predict", tasks=[TASK], project="3.1", label_config=XML, params=params)["results"]
    assert prediction["model_version"] == f"clickpose-fake-{clickpose.__version__}-f00dfeed"
    assert prediction["score"] == pytest.approx(0.7)
    assert box_names(prediction["result"]) == {"box"}
    (other,) = post("/predict", tasks=[TASK], project="4.1", label_config=OTHER_XML, params=params)["results"]
    assert box_names(other["result"]) == {"persons"}

    context, nose = drag_nose(prediction["result"])
    edit = {"tasks": [TASK], "project": "3.1", "label_config": XML, "params": {**params, "context": context}}
    (refined,) = post("/predict", **edit)["results"]
    assert_nose_was_kept_and_others_moved(prediction["result"], refined["result"], nose)
    edit["params"]["context"] = {"result": []}
    assert post("/predict", **edit)["results"] == [{}]


class StubModelResponse:
    """The part of label-studio-ml 2.x's ModelResponse that is used."""

    def __init__(self, predictions):
        self.predictions = predictions


class StubMLBase:
    """label-studio-ml 2.x's base class as far as it matters: made for each request, values kept by project."""

    cache: dict = {}  # noqa: RUF012 - as in label-studio-ml

    def __init__(self, project_id=None, label_config=None):
        self.project_id = project_id or ""
        if label_config is not None:
            self.set("label_config", label_config)
        self.setup()

    def get(self, key):
        return self.cache.get((self.project_id, key))

    def set(self, key, value):
        self.cache[self.project_id, key] = value

    @property
    def label_config(self):
        return self.get("label_config")


@pytest.fixture
def model_2x(monkeypatch):
    """ClickPoseModel on a stub of label-studio-ml 2.x."""
    model, response = types.ModuleType("label_studio_ml.model"), types.ModuleType("label_studio_ml.response")
    model.LabelStudioMLBase, response.ModelResponse = StubMLBase, StubModelResponse
    monkeypatch.setitem(sys.modules, "label_studio_ml", types.ModuleType("label_studio_ml"))
    monkeypatch.setitem(sys.modules, "label_studio_ml.model", model)
    monkeypatch.setitem(sys.modules, "label_studio_ml.response", response)
    monkeypatch.delitem(sys.modules, "clickpose_labelstudio.ml_adapter", raising=False)
    from clickpose_labelstudio.ml_adapter import ClickPoseModel

    images = fakes.FakeImages({"/data/a.png": fakes.blank_image()})
    ClickPoseModel.service = AnnotationService(lambda: fakes.FakePredictor(), images, fakes.MemoryRegions())
    yield ClickPoseModel
    sys.modules.pop("clickpose_labelstudio.ml_adapter", None)
    StubMLBase.cache.clear()


def test_the_2x_interface_answers_with_a_model_response(model_2x):
    model = model_2x(project_id="3", label_config=XML)
    assert model.get("model_version") == f"clickpose-fake-{clickpose.__version__}-f00dfeed"
    answer = model.predict([TASK], context={}, login=None, password=None)
    assert isinstance(answer, StubModelResponse)
    (prediction,) = answer.predictions
    assert box_names(prediction["result"]) == {"box"}

    context, nose = drag_nose(prediction["result"])
    (refined,) = model.predict([TASK], context=context).predictions
    assert_nose_was_kept_and_others_moved(prediction["result"], refined["result"], nose)
    assert model.predict([TASK], context={"result": []}) == [{}]


def test_each_2x_project_has_its_own_configuration(model_2x):
    models = {xml: model_2x(project_id=project, label_config=xml) for project, xml in (("3", XML), ("4", OTHER_XML))}
    names = {xml: box_names(model.predict([TASK]).predictions[0]["result"]) for xml, model in models.items()}
    assert names == {XML: {"box"}, OTHER_XML: {"persons"}}


def test_the_configuration_of_the_request_comes_first(model_2x):
    model = model_2x(project_id="3", label_config=XML)
    with Flask("test").test_request_context("/predict", method="POST", json={"label_config": OTHER_XML}):
        assert box_names(model.predict([TASK]).predictions[0]["result"]) == {"persons"}
    with Flask("test").test_request_context("/predict", method="POST", data="no JSON"):
        assert box_names(model.predict([TASK]).predictions[0]["result"]) == {"box"}


def test_an_image_that_cannot_be_had_is_a_plain_list(model_2x):
    missing = {"id": 2, "data": {"image": "/data/missing.png"}}
    good, bad = model_2x(project_id="3", label_config=XML).predict([TASK, missing])
    assert good["result"]
    assert "no image" in bad["error"]


def test_the_shared_service_comes_from_the_environment(model_2x, monkeypatch, tmp_path):
    monkeypatch.setenv("CLICKPOSE_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(model_2x, "service", None)
    service = model_2x.shared_service()
    assert service is model_2x.shared_service()
    assert isinstance(service, AnnotationService)
    assert list(tmp_path.iterdir())
