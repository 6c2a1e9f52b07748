"""The journal against Label Studio, and the loop that grants wishes: by the rule, once, in turn, after a crash too."""

import contextlib

import pytest

from clickpose_labelstudio.label_studio_auth import LabelStudioError
from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.learning.events import read_events
from clickpose_labelstudio.learning.journal import Journal
from clickpose_labelstudio.learning.loop import MOST_STARTS, LearningLoop
from clickpose_labelstudio.learning.sync import sync_project
from helpers.labelled import annotation, moved, person, webhook

POSE = person("cp-a", {"nose": (50, 20)})


class Studio:
    """Label Studio with the annotations of project 7."""

    def __init__(self, *annotations):
        self.annotations, self.away = list(annotations), False

    @contextlib.contextmanager
    def connect(self):
        if self.away:
            raise LabelStudioError("Label Studio could not be reached")
        yield self

    def label_config(self, project):
        return build_labeling_config()

    def tasks(self, project):
        return [{"id": each["task"], "annotations": [each]} for each in self.annotations]


class Jobs:
    """Jobs that run until they are told how they have ended."""

    def __init__(self):
        self.begun, self.now, self.ended = [], None, {}

    def check(self):
        pass

    def start(self, project):
        if self.now is None:
            stopped = [job for job, state in self.ended.items() if state == "stopped" and f"project-{project}-" in job]
            self.now = stopped[0] if stopped else f"project-{project}-{len(self.ended) + 1}"
            self.begun.append(self.now)
        return self.now

    def running(self):
        return self.now

    def status(self, job):
        return {"job_status": "started" if job == self.now else self.ended[job]}

    def end(self, state):
        self.ended[self.now], self.now = state, None


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path)
    yield made
    made.close()


def tell(journal, *annotations):
    for each in annotations:
        journal.append(read_events(webhook(each)))
    journal.apply_pending()


def test_a_clock_that_was_wrong_hides_no_later_work(journal):
    ahead = annotation(POSE, POSE, number=1, second=50)
    right = annotation(moved(POSE, "nose", 1, 0), POSE, number=1, second=5)
    tell(journal, ahead, right, annotation(POSE, POSE, number=2))
    assert journal.entries(7)[0].work.clicks == 0  # it came late, as far as one can tell
    studio = Studio(right, annotation(POSE, POSE, number=2))
    assert "; 1 known in an older form, renewed" in sync_project(journal, studio, 7).sentence()
    assert [entry.work.clicks for entry in journal.entries(7)] == [1, 0]
    assert "nothing was missing" in sync_project(journal, studio, 7).sentence()
    tell(journal, annotation(moved(POSE, "nose", 2, 0), POSE, number=1, second=7))
    assert journal.body(1)["result"][0]["value"]["x"] == 52


def test_what_label_studio_could_not_tell_is_found_and_said(journal):
    tell(journal, *(annotation(POSE, POSE, number=number, task=number) for number in (1, 2, 3, 5)))
    journal.append(read_events({"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 5}], "project": {"id": 7}}))
    journal.apply_pending()
    studio = Studio(
        annotation(POSE, POSE, number=1, task=1),
        annotation(moved(POSE, "nose", 1, 0), POSE, number=2, task=2, second=8),
        annotation(POSE, POSE, number=4, task=4), annotation(POSE, POSE, number=5, task=5),
        {**annotation(POSE, POSE, number=6), "updated_at": "soon"},
    )  # fmt: skip
    report = sync_project(journal, studio, 7)
    assert report.sentence() == (
        "project 7: 4 annotations, 4 persons; 1 missing here, added; 1 known in an older form, renewed; "
        "1 gone there, noted; 1 back there, noted; 1 refused, without id, task or date"
    )
    assert [(entry.annotation, entry.work.clicks) for entry in journal.entries(7)] == [(1, 0), (2, 1), (4, 0), (5, 0)]
    studio.annotations.pop()
    assert sync_project(journal, studio, 7).sentence() == "project 7: 4 annotations, 4 persons; nothing was missing"


def test_what_is_told_while_tasks_are_fetched_is_not_taken_for_gone(journal):
    class Slow(Studio):
        def tasks(self, project):
            yield from super().tasks(project)
            tell(journal, annotation(POSE, POSE, number=9))

    report = sync_project(journal, Slow(annotation(POSE, POSE, number=1)), 7)
    assert (report.missing, report.gone) == (1, 0)
    assert [entry.annotation for entry in journal.entries(7)] == [1, 9]


def test_the_rule_begins_a_job_when_enough_is_new_and_one_at_a_time(journal):
    jobs = Jobs()
    loop = LearningLoop(journal, jobs, train_after=2)
    tell(journal, annotation(POSE, POSE, number=1))
    assert loop.step() is None
    tell(journal, annotation(POSE, POSE, number=2))
    assert [loop.step(), loop.step(), jobs.begun] == ["project-7-1", "project-7-1", ["project-7-1"]]
    tell(journal, annotation(POSE, POSE, number=3))
    journal.wish(8, "Start training")
    jobs.end("finished")
    assert loop.step() == "project-8-2"  # the other project's turn
    tell(journal, annotation(POSE, POSE, number=4))
    jobs.end("failed")
    assert loop.step() == "project-7-3"
    jobs.end("failed")
    assert [loop.step(), jobs.begun[3:]] == [None, []]  # a failure is not tried again until more is new


def test_where_a_trainer_runs_a_service_only_writes_down(journal):
    jobs = Jobs()
    service, trainer = (
        LearningLoop(journal, jobs, train_after=1, trains=False),
        LearningLoop(journal, jobs, train_after=1),
    )
    tell(journal, annotation(POSE, POSE, number=1))
    assert (service.step(), journal.open_wish()) == (None, None)
    journal.wish(8, "Start training")
    assert [service.step(), trainer.step(), service.step()] == [None, "project-8-1", "project-8-1"]


def test_a_job_that_was_stopped_goes_on_until_it_is_given_up(journal):
    jobs = Jobs()
    journal.wish(7, "Start training")
    for _ in range(MOST_STARTS):
        assert LearningLoop(journal, jobs).step() == "project-7-1"  # each time another process
        jobs.end("stopped")
    assert LearningLoop(journal, jobs).step() is None
    assert set(jobs.begun) == {"project-7-1"}


def test_the_thread_compares_at_the_start_and_after_something_was_missed(journal, monkeypatch):
    monkeypatch.setattr("clickpose_labelstudio.learning.loop.AGAIN_S", 0.0)
    studio = Studio(annotation(POSE, POSE, number=1))
    studio.away = True
    tell(journal, annotation(POSE, POSE, number=2))
    loop = LearningLoop(journal, Jobs(), connect=studio.connect, every_s=0.01)
    loop._compare()
    assert [entry.annotation for entry in journal.entries(7)] == [2]
    studio.away = False
    loop._compare()
    assert [entry.annotation for entry in journal.entries(7)] == [1]
    studio.annotations.append(annotation(POSE, POSE, number=3))
    loop._compare()
    assert len(journal.entries(7)) == 1  # nothing was missed since
    loop.has_missed()
    loop.start()
    loop.stop()
    loop._compare()
    assert len(journal.entries(7)) == 2
