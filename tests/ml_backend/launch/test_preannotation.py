"""Pre-annotation in the background, on a stand-in for Label Studio."""

from __future__ import annotations

import json
import threading

import pytest

from clickpose_labelstudio.label_studio_auth import LabelStudioError
from clickpose_labelstudio.launch import preannotation
from clickpose_labelstudio.launch.preannotation import PreAnnotation, Progress, spoken, write_progress


class FakeLabelStudio:
    """Tasks in dictionaries; one in ``bad`` spoils the batch it is in, one in ``blank`` gets no prediction."""

    def __init__(self, count, bad=(), blank=()):
        data = [{"image": f"/data/local-files/?d=x/{i}.jpg"} for i in range(count)]
        self.task_list = [{"id": i, "predictions_model_versions": [], "data": data[i]} for i in range(count)]
        self.bad, self.blank, self.asked, self.shown = set(bad), set(blank), [], None
        self.backend_lives = True
        self.on_predict = lambda task_ids: None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def tasks(self, project_id, **query):
        return iter([dict(task) for task in self.task_list])

    def update_project(self, project_id, **fields):
        if not any(fields["model_version"] in task["predictions_model_versions"] for task in self.task_list):
            raise LabelStudioError("Model version doesn't exist")
        self.shown = fields["model_version"]

    def predict(self, project_id, task_ids):
        self.asked.append(list(task_ids))
        self.on_predict(task_ids)
        if self.bad & set(task_ids):
            raise LabelStudioError("refused")
        for task in self.task_list:
            if task["id"] in task_ids and task["id"] not in self.blank and self.backend_lives:
                task["predictions_model_versions"] = ["v2"]

    def predicted(self):
        return [task["id"] for task in self.task_list if "v2" in task["predictions_model_versions"]]


class Run:
    """A pre-annotation with all that it has reported and said."""

    def __init__(self, api, tmp_path, is_ready=None):
        self.progress, self.said = [], []
        self.work = PreAnnotation(
            lambda: api, 7, "v2",
            is_ready=is_ready or (lambda: api.backend_lives),
            report=self.progress.append, say=self.said.append, logs=tmp_path,
        )  # fmt: skip

    def finish(self):
        self.work.start()
        assert self.work.wait(30)
        return self


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(preannotation, "AWAY_SECONDS", 0.01)


def test_everything_is_predicted_in_order_and_the_progress_told(tmp_path):
    api = FakeLabelStudio(21)
    run = Run(api, tmp_path).finish()
    assert api.predicted() == list(range(21))
    assert [task for batch in api.asked for task in batch] == list(range(21))
    assert [len(batch) for batch in api.asked] == [1, 8, 8, 4]  # the first one alone: it tells how long a photo takes
    assert [(p.state, p.done, p.total) for p in run.progress] == [
        ("running", 0, 0), ("running", 0, 21), ("running", 1, 21), ("running", 9, 21), ("running", 17, 21),
        ("done", 21, 21),
    ]  # fmt: skip
    assert run.said == ["21 photos are pre-annotated."]
    assert api.shown == "v2"


def test_slow_photos_are_predicted_one_by_one(tmp_path, monkeypatch):
    monkeypatch.setattr(preannotation, "BATCH_SECONDS", 0.0)
    api = FakeLabelStudio(4)
    Run(api, tmp_path).finish()
    assert api.asked == [[0], [1], [2], [3]]


def test_time_left_follows_the_photos(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(preannotation.time, "monotonic", lambda: now[0])
    api = FakeLabelStudio(5)
    api.on_predict = lambda task_ids: now.__setitem__(0, now[0] + 8.0)
    run = Run(api, tmp_path)
    run.work._run()
    assert [p.seconds_left for p in run.progress if p.state == "running"] == [None, 32.0, 24.0, 16.0, 8.0]


def test_only_what_is_missing_is_predicted_and_what_is_there_is_shown(tmp_path):
    api = FakeLabelStudio(3)
    api.task_list[1]["predictions_model_versions"] = ["v1", "v2"]
    Run(api, tmp_path).finish()
    assert api.asked == [[0], [2]]
    again = Run(api, tmp_path).finish()
    assert (again.said, api.asked[2:]) == (["All photos are pre-annotated."], [])
    assert [p.state for p in again.progress] == ["running", "done"]


def test_one_bad_photo_spoils_nothing_and_is_named(tmp_path):
    api = FakeLabelStudio(9, bad={5}, blank={7})
    run = Run(api, tmp_path).finish()
    assert api.predicted() == [0, 1, 2, 3, 4, 6, 8]
    assert run.said == [
        "7 photos are pre-annotated.",
        f"No prediction for 5.jpg, 7.jpg; the backend says why in {tmp_path}.",
    ]
    assert sum(batch == [5] for batch in api.asked) <= 2  # not for ever


def test_a_backend_that_dies_is_waited_for(tmp_path):
    api = FakeLabelStudio(6)
    looks = []

    def is_ready():
        if not api.backend_lives:
            looks.append(1)
            api.backend_lives = len(looks) > 3
        return api.backend_lives

    def die_once(task_ids):
        if len(api.asked) == 2:
            api.backend_lives = False

    api.on_predict = die_once
    run = Run(api, tmp_path, is_ready).finish()
    assert api.predicted() == list(range(6))
    assert "waiting" in [p.state for p in run.progress]
    assert run.said == ["6 photos are pre-annotated."]


def test_a_photo_that_kills_the_backend_is_left_out(tmp_path):
    api = FakeLabelStudio(9)
    deaths = []

    def is_ready():
        lived, api.backend_lives = api.backend_lives, True  # it is started again
        return lived

    def die_of_it(task_ids):
        if 4 in task_ids:
            deaths.append(task_ids)
            api.backend_lives = False

    api.on_predict = die_of_it
    run = Run(api, tmp_path, is_ready).finish()
    assert deaths == [[1, 2, 3, 4, 5, 6, 7, 8], [4]]
    assert api.predicted() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert run.said[1].startswith("No prediction for 4.jpg;")


def test_an_error_inside_ends_nothing_else(tmp_path):
    api = FakeLabelStudio(2)
    api.on_predict = lambda task_ids: 1 / 0
    run = Run(api, tmp_path).finish()
    assert run.said == ["Pre-annotation has stopped (division by zero); photos are predicted as they are opened."]
    assert run.progress[-1].state == "done"


def test_stopped_it_says_nothing_more_and_the_next_start_does_the_rest(tmp_path):
    api = FakeLabelStudio(30)
    run, under_way, go_on = Run(api, tmp_path), threading.Event(), threading.Event()

    def hold(task_ids):
        if len(api.asked) == 2:
            under_way.set()
            go_on.wait(30)

    api.on_predict = hold
    run.work.start()
    assert under_way.wait(30)
    told = len(run.progress)
    run.work.stop()
    go_on.set()
    assert run.work.wait(30)
    assert (len(run.progress), run.said) == (told, [])
    assert len(api.predicted()) == 9
    assert Run(api, tmp_path).finish().said == ["21 photos are pre-annotated."]


def test_the_page_gets_numbers_only(tmp_path):
    write_progress(tmp_path / "progress.json", Progress("running", 7, 3, 21, 130.4))
    assert json.loads((tmp_path / "progress.json").read_text()) == {
        "state": "running", "project": 7, "done": 3, "total": 21, "left": 130,
    }  # fmt: skip


def test_sentences():
    assert Progress("running", 7, 3, 21, 130.4).sentence() == (
        "Pre-annotating in the background: 3 of 21 photos, about 2 min left"
    )
    assert Progress("running", 7, 0, 21).sentence() == "Pre-annotating in the background: 0 of 21 photos"
    assert Progress("waiting", 7, 3, 21, 9.0).sentence().endswith("3 of 21 photos, waiting for the backend")
    assert Progress("running", 7).sentence() == Progress("done", 7, 21, 21, 0.0).sentence() == ""
    assert [spoken(s) for s in (1, 13, 50, 56, 3000, 3500, 9000)] == [
        "about 5 s", "about 15 s", "about 50 s", "about 1 min", "about 50 min", "about 1 h", "about 2.5 h",
    ]  # fmt: skip
