"""Operators that are queued ("schedule" in the app): FiftyOne's own service runs them, with progress or a reason."""

import time

import fiftyone.operators as foo
import numpy as np
import pytest
import yaml
from fiftyone.operators.delegated import DelegatedOperationService
from PIL import Image

from clickpose.skeleton import COCO
from clickpose.structures import Poses
from clickpose_fiftyone import predict
from clickpose_fiftyone.install import install_plugin, plugin_folder

PLUGIN = "@clickpose/pose_review"
OPERATORS = yaml.safe_load((plugin_folder() / "fiftyone.yml").read_text())["operators"]
# they change what the app shows, are one click, or do what was counted just before
OF_THE_MOMENT = {"review_worst", "refine", "settle_people", "undo_review"}


@pytest.fixture(scope="module", autouse=True)
def installed(fiftyone_home):
    install_plugin(fiftyone_home / "plugins")


@pytest.fixture
def run_queued(monkeypatch):
    """Queues an operator and runs the queue; returns the finished run and the progress that it reported."""
    service, reported = DelegatedOperationService(), []

    def remember(self, doc_id, progress):
        reported.append((progress.progress, progress.label))

    monkeypatch.setattr(DelegatedOperationService, "set_progress", remember)

    def run(dataset, name, **params):
        uri = f"{PLUGIN}/{name}"
        context = {"dataset": dataset, "params": params}
        queued = foo.execute_operator(uri, context, request_delegation=True)
        service.execute_queued_operations(operator=uri, dataset_name=dataset.name)
        dataset.reload()
        return service.get(queued.result["id"]), reported

    return run


class Painter:
    """A predictor that finds one person in every photo."""

    name, skeleton, fingerprint = "painter", COCO, "painter"

    def set_image(self, image):
        pass

    def predict(self, boxes_xyxy=None):
        scores = np.full((1, len(COCO)), 0.5)
        keypoints = np.linspace((10, 10), (50, 50), len(COCO))[None]
        return Poses(
            skeleton=COCO,
            keypoints=keypoints,
            boxes_xyxy=np.array([[10.0, 10, 50, 50]]),
            keypoint_scores=scores,
            visibility_scores=scores,
            instance_scores=np.array([0.5]),
        )


@pytest.fixture
def dataset(person_dataset, tmp_path):
    """Two photos that exist, with predicted and labelled people."""
    dataset = person_dataset((2, 1))
    paths = [str(tmp_path / f"{index}.png") for index in range(2)]
    for path in paths:
        Image.new("RGB", (640, 480)).save(path)
    dataset.set_values("filepath", paths)
    return dataset


def test_every_operator_but_those_of_the_moment_can_be_queued():
    queueable = {name for name in OPERATORS if foo.get_operator(f"{PLUGIN}/{name}").config.allow_delegated_execution}
    assert queueable == set(OPERATORS) - OF_THE_MOMENT


def test_a_queued_prediction_reports_each_photo_and_its_answer(dataset, run_queued, monkeypatch):
    monkeypatch.setattr(predict, "shared_predictor", lambda name, checkpoint: Painter())
    done, reported = run_queued(dataset, "predict_poses", pred_field="found", model="lite")
    assert done.run_state == "completed" and done.result.result["persons"] == 2
    assert reported == [(0.5, "1 of 2 photos"), (1.0, "2 of 2 photos")]
    assert dataset.count("found.keypoints") == 2


def test_a_queued_evaluation_reports_its_parts(dataset, run_queued):
    done, reported = run_queued(dataset, "evaluate_poses", pred_field="pred", gt_field="gt", eval_key="eval")
    assert done.run_state == "completed" and dataset.list_evaluations() == ["eval"]
    assert [progress for progress, _ in reported] == [0.0, pytest.approx(1 / 3), pytest.approx(2 / 3), 1.0]
    assert reported[-1][1] == done.result.result["message"] and reported[-1][1].startswith("AP ")


@pytest.mark.parametrize(
    ("name", "params", "sentence"),
    [
        ("predict_poses", {"pred_field": "filepath", "model": "lite"}, 'Expected "filepath" to be free or a field of'),
        (
            "calibrate",
            {"pred_field": "pred", "gt_field": "gt", "kind": "auto"},
            "Expected at least 20 labelled people",
        ),
        ("import_coco", {"annotations": "/nowhere/a.json", "images": "/nowhere", "field": "gt"}, "No such file"),
    ],
)
def test_a_queued_run_that_is_refused_fails_with_the_sentence(dataset, run_queued, name, params, sentence):
    before = dataset.get_field_schema(flat=True).keys()
    done, _ = run_queued(dataset, name, **params)
    assert done.run_state == "failed" and sentence in done.result.error.splitlines()[-1]
    assert dataset.get_field_schema(flat=True).keys() == before


def test_a_queued_run_that_is_ended_midway_keeps_what_it_found(dataset, run_queued, monkeypatch):
    class Interrupted(Painter):
        photos = 0

        def predict(self, boxes_xyxy=None):
            self.photos += 1
            if self.photos == 2:
                raise KeyboardInterrupt  # what ends the service
            return super().predict(boxes_xyxy)

    predictor = Interrupted()
    monkeypatch.setattr(predict, "shared_predictor", lambda name, checkpoint: predictor)
    with pytest.raises(KeyboardInterrupt):
        run_queued(dataset, "predict_poses", pred_field="found", model="lite")
    dataset.reload()
    kept = [found is not None for found in dataset.values("found")]
    assert predictor.photos == 2 and kept == [True, False]


@pytest.mark.parametrize("name", sorted(OF_THE_MOMENT))
def test_what_cannot_be_queued_says_why(dataset, name):
    from fiftyone.operators.executor import ExecutionContext, Executor

    uri = f"{PLUGIN}/{name}"
    context = ExecutionContext({"dataset_name": dataset.name, "params": {}}, executor=Executor(), operator_uri=uri)
    form = foo.get_operator(uri).resolve_input(context)
    assert form.view.description.startswith("This cannot be queued: ")


def test_a_queue_beside_the_app_runs_what_waits(dataset):
    from clickpose_fiftyone.queued_runs import running_queue

    service = DelegatedOperationService()
    uri = f"{PLUGIN}/flag_low_visibility"
    context = {"dataset": dataset, "params": {"pred_field": "pred", "threshold": 1.0}}
    with running_queue():
        queued = foo.execute_operator(uri, context, request_delegation=True)
        deadline = time.monotonic() + 60
        while service.get(queued.result["id"]).run_state != "completed" and time.monotonic() < deadline:
            time.sleep(0.1)
    assert service.get(queued.result["id"]).run_state == "completed"
    assert dataset.count_label_tags("pred")["low_visibility"] == 3
