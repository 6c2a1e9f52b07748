"""Webhooks as events: those that Label Studio really sends, and broken ones."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickpose_labelstudio.interaction import RequestError
from clickpose_labelstudio.learning.events import ACTIONS, read_events, revision_of

FIXTURES = Path(__file__).parents[1] / "fixtures"


def recorded(name):
    return json.loads((FIXTURES / f"{name}.json").read_text())


def test_what_label_studio_sends_is_read():
    body = recorded("webhook_ANNOTATION_CREATED")
    (created,) = read_events(body)
    assert (created.kind, created.project, created.subject) == ("saved", 3, 3)
    assert created.revision == "2026-11-21T01:48:33.973385Z"
    assert json.loads(created.body) == body["annotation"]
    assert created.label_config == body["project"]["label_config"]
    (training,) = read_events(recorded("webhook_START_TRAINING"))
    assert (training.kind, training.project, training.subject) == ("train", 3, None)
    assert read_events({"action": "PROJECT_UPDATED", "project": {"id": 3}}) == []


def test_several_at_once_and_deletions():
    body = recorded("webhook_ANNOTATION_CREATED")
    many = {
        **body,
        "action": "ANNOTATIONS_CREATED",
        "annotation": [body["annotation"], {**body["annotation"], "id": 4}],
    }
    assert [event.subject for event in read_events(many)] == [3, 4]
    gone = read_events({"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 3}, {"id": 4}], "project": {"id": 3}})
    assert [(e.kind, e.subject, e.revision) for e in gone] == [("deleted", 3, "deleted"), ("deleted", 4, "deleted")]
    (task,) = read_events({"action": "TASKS_DELETED", "tasks": [{"id": 9}]})
    assert (task.kind, task.subject, task.project) == ("task_deleted", 9, None)


def test_revisions_sort_as_time_goes():
    moments = [
        "0999-11-21T02:00:00Z",
        "2026-11-21T03:48:33+02:00",
        "2026-11-21T01:48:33.000001Z",
        "2026-11-21T01:48:34",
        "2026-11-21T02:00:00Z",
    ]
    revisions = [revision_of({"updated_at": moment}) for moment in moments]
    assert revisions == sorted(revisions)
    assert revisions[:2] == ["0999-11-21T02:00:00.000000Z", "2026-11-21T01:48:33.000000Z"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"id": True}, "a number as its id"), ({"id": "3"}, "a number as its id"), ({"task": None}, "the task of"),
        ({"result": "x"}, "the regions of annotation 3"), ({"updated_at": "soon"}, "a date and time, got 'soon'"),
        ({"updated_at": None, "created_at": None}, "a date and time"),
        ({"updated_at": "0001-01-01T00:00:00+23:59"}, "a date and time"),
    ],
)  # fmt: skip
def test_a_broken_annotation_is_a_sentence(change, sentence):
    body = recorded("webhook_ANNOTATION_CREATED")
    with pytest.raises(RequestError, match=sentence):
        read_events({**body, "annotation": {**body["annotation"], **change}})


@pytest.mark.parametrize("annotation", [None, 5, "x", [None], [[]]])
def test_no_annotation_is_a_sentence(annotation):
    with pytest.raises(RequestError, match="Expected annotation to be an object"):
        read_events({"action": "ANNOTATION_UPDATED", "project": {"id": 3}, "annotation": annotation})


KEYS = st.sampled_from(["id", "task", "result", "updated_at", "project", "label_config"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)


@given(
    action=st.sampled_from(ACTIONS), project=ANYTHING, annotation=ANYTHING, annotations=ANYTHING, tasks=ANYTHING,
)  # fmt: skip
def test_whatever_comes_is_events_or_a_sentence(action, project, annotation, annotations, tasks):
    body = {"action": action, "project": project, "annotation": annotation, "annotations": annotations, "tasks": tasks}
    try:
        events = read_events(body)
    except RequestError as error:
        assert str(error).startswith("Expected ")
    else:
        assert all(event.project is not None for event in events if event.kind in ("saved", "train"))
