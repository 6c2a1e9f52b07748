"""New predictions once a version is live: for what nobody has begun, shown when all are there, given up in the end."""

import pytest

from clickpose_labelstudio.learning.renewal import AT_ONCE, PATIENCE, is_of, renew_predictions


class Studio:
    """Label Studio, and behind it a backend that answers with the version before for a while."""

    def __init__(self, tasks, late=0, never=()):
        self.tasks_, self.late, self.never = tasks, late, never
        self.asked, self.shown = [], []

    def tasks(self, project, **query):
        return iter(self.tasks_)

    def predict(self, project, ids):
        self.asked.append(list(ids))
        self.late -= 1
        for task in self.tasks_:
            if task["id"] in ids and self.late < 0 and task["id"] not in self.never:
                task["predictions_model_versions"].append("clickpose-lite-1.0-p7v2-abc-flip")

    def update_project(self, project, **fields):
        self.shown.append(fields)


def task(number, annotations=0, draft=False):
    return {
        "id": number, "total_annotations": annotations, "draft_exists": draft,
        "predictions_model_versions": ["clickpose-lite-1.0-abc"],
    }  # fmt: skip


def renew(studio, **options):
    said, pauses = [], []
    count = renew_predictions(studio, 7, 2, said.append, pauses.append)
    return count, said, pauses


def test_what_nobody_has_begun_gets_new_predictions_and_starts_from_them():
    studio = Studio([task(1, annotations=1), task(2, draft=True), *(task(n) for n in range(3, 13))], late=2)
    count, said, pauses = renew(studio)
    assert (count, said, len(pauses)) == (10, [], 2)
    assert studio.asked[0] == list(range(3, 3 + AT_ONCE)) and studio.asked[1] == [3]
    assert {number for ids in studio.asked for number in ids} == set(range(3, 13))
    assert studio.shown == [{"model_version": "clickpose-lite-1.0-p7v2-abc-flip"}]
    assert renew(studio)[0] == 0  # again is nothing more


def test_what_cannot_be_predicted_is_given_up():
    studio = Studio([task(1), task(2)], never=(2,))
    count, said, pauses = renew(studio)
    assert (count, len(pauses)) == (1, PATIENCE)
    assert said == ["1 tasks of project 7 could get no prediction of version 2"]


@pytest.mark.parametrize(
    ("name", "version", "same"),
    [("clickpose-lite-1-p7v2-a", 2, True), ("clickpose-lite-1-p7v21-a", 2, False), ("clickpose-1-p77v2-a", 2, False),
     ("clickpose-lite-1-a", 0, True), ("clickpose-lite-1-p7v2-a", 0, False), ("somebody-else", 0, False)],
)  # fmt: skip
def test_names_of_versions(name, version, same):
    assert is_of(name, 7, version) == same
