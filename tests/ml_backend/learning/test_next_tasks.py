"""What to label next: doubt over time, and nobody twice; the order in Label Studio changes nothing else."""

import numpy as np
import pytest

from clickpose_labelstudio.labeling_config import build_labeling_config, parse_labeling_config
from clickpose_labelstudio.learning.next_order import KEY, rank_project, set_order
from clickpose_labelstudio.learning.next_tasks import Candidate, Pace, candidate_of, pace_of, rank
from clickpose_labelstudio.learning.work import Work
from clickpose_labelstudio.settings import ServiceSettings
from helpers.labelled import annotation, person

CONFIG = parse_labeling_config(build_labeling_config())
SEEN = np.zeros((0, 2))


def candidate(task, doubts, places):
    return Candidate(task, np.array(doubts, float), np.array(places, float))


def test_doubtful_persons_come_first_and_a_second_like_one_later():
    one, two = [[0.0, 0.0]], [[9.0, 9.0]]
    places = {1: one, 2: one, 3: two, 4: [[-9.0, 9.0]], 5: two}
    doubts = {1: 5, 2: 5, 3: 4, 4: 0.1, 5: 4}
    tasks = [candidate(number, [doubts[number]], place) for number, place in places.items()]
    order = rank(tasks, SEEN, Pace())
    assert [each.task for each in order[:3]] == [1, 3, 4]
    assert [each.saved_clicks for each in order] == pytest.approx([0.2 * 10, 0.2 * 8, 0.2 * 0.1, 0, 0])
    assert rank(tasks, np.array(one), Pace())[0].task == 3  # whoever is like somebody labelled saves nothing more
    assert [each.task for each in rank(tasks, SEEN, Pace(), count=2)] == [1, 3]
    assert rank([], SEEN, Pace()) == []


def test_minutes_count():
    crowd = candidate(1, [1] * 40, [[i * 5.0, 0.0] for i in range(40)])
    single = candidate(2, [3], [[0.0, 90.0]])
    slow_persons = rank([crowd, single], SEEN, Pace(task_s=1, person_s=60, click_s=1))
    slow_tasks = rank([crowd, single], SEEN, Pace(task_s=600, person_s=1, click_s=1))
    assert (slow_persons[0].task, slow_tasks[0].task) == (2, 1)
    assert slow_tasks[0].minutes == pytest.approx((600 + 40 + 40) / 60)


def test_the_order_is_that_of_choosing_one_after_the_other():
    rng = np.random.default_rng(0)
    tasks = [candidate(i, rng.random(2) * 5, rng.normal(size=(2, 3))) for i in range(30)]
    left, seen, plain = list(tasks), np.zeros((0, 3)), []
    for _ in range(6):  # the same without bounds: who is first when all others are asked again
        best = rank_alone(tasks, left, seen)
        plain.append(best.task)
        seen = np.concatenate([seen, best.descriptors])
        left.remove(best)
    assert [one.task for one in rank(tasks, np.zeros((0, 3)), Pace(), 6)] == plain


def rank_alone(everybody, left, seen):
    from clickpose_labelstudio.learning.next_tasks import _likeness, _width

    targets = np.concatenate([each.descriptors for each in everybody])
    weights = np.concatenate([each.doubts for each in everybody])
    order = np.random.default_rng(0).permutation(len(targets))
    targets, weights = targets[order], weights[order]
    covered = _likeness(targets, seen, _width(targets)).max(axis=1, initial=0)

    def worth(each):
        more = np.maximum(_likeness(targets, each.descriptors, _width(targets)).max(axis=1) - covered, 0)
        return (weights * more).sum() / Pace().minutes(len(each.doubts), each.doubts.sum())

    return max(left, key=worth)


def test_pace_is_learned_from_lead_times():
    rng = np.random.default_rng(0)

    def entry(persons, clicks):
        work = Work(persons=persons, joints=17, clicks=clicks, lead_time_s=6.0 + 5 * persons + 3 * clicks)
        return type("Entry", (), {"work": work})()

    pace = pace_of([entry(int(rng.integers(1, 6)), int(rng.integers(0, 20))) for _ in range(60)])
    assert (pace.task_s, pace.person_s, pace.click_s) == pytest.approx((6, 5, 3), rel=0.02)
    assert pace_of([entry(1, 1)] * 5) == Pace()


class Studio:
    """Label Studio with tasks that were predicted."""

    def __init__(self, *tasks):
        self.tasks_, self.updates, self.tabs_ = list(tasks), {}, []

    def project(self, project):
        return {"model_version": "v2"}

    def label_config(self, project):
        return build_labeling_config()

    def tasks(self, project):
        return iter(self.tasks_)

    def update_task(self, number, **fields):
        self.updates[number] = fields

    def tabs(self, project):
        return [{"data": tab} for tab in self.tabs_]

    def create_tab(self, project, tab):
        self.tabs_.append(tab)


def task(number, score=0.5, y=20, **fields):
    old = {"model_version": "v1", "created_at": "2026-01-01", "result": person("cp-a", {"nose": (50, 20)}, score=0.99)}
    new = {"model_version": "v2", "created_at": "2025-01-01", "result": person("cp-a", {"nose": (50, y)}, score=score)}
    return {"id": number, "data": {"image": f"{number}.jpg"}, "predictions": [old, new], "annotations": [], **fields}


def test_a_project_is_ranked_and_the_order_set(tmp_path):
    doubtful, sure = task(1, 0.2, 15), task(2, 0.95, 80)
    before = task(3, data={"image": "3.jpg", KEY: 1}, annotations=[annotation(person("cp-a", {"nose": (50, 20)}))])
    nobody = task(4, predictions=[])
    studio = Studio(sure, doubtful, before, nobody)
    ranking = rank_project(studio, 7, tmp_path / "none", ServiceSettings(cache_dir=tmp_path), 10)
    assert [one.task for one in ranking.tasks] == [1, 2]
    assert ranking.sentence() == "2 of 2 tasks ranked; 1 more show nobody or have no prediction"
    assert "lists 2 tasks in this order" in set_order(studio, 7, ranking)
    assert studio.updates == {
        1: {"data": {"image": "1.jpg", KEY: 1}},
        2: {"data": {"image": "2.jpg", KEY: 2}},
        3: {"data": {"image": "3.jpg"}},
    }
    set_order(studio, 7, ranking)
    (tab,) = studio.tabs_
    assert tab["ordering"] == [f"tasks:data.{KEY}"]


def test_what_is_read_of_a_prediction():
    assert candidate_of(task(1), CONFIG, "v2").doubts == pytest.approx([0.5])
    assert candidate_of(task(1), CONFIG).doubts == pytest.approx([0.01])  # the newest
    skipped = {**annotation(person("cp-a", {"nose": (50, 20)})), "was_cancelled": True}
    assert candidate_of(task(1, annotations=[skipped]), CONFIG) is not None
    assert candidate_of(task(1, predictions=[{"result": [{"id": 5}]}]), CONFIG) is None
