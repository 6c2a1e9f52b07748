"""What the real Label Studio tells of labelling comes into the journal, what it could not is found; what comes next."""

from __future__ import annotations

import re
import time

import pytest
from typer.testing import CliRunner

from clickpose.cli import app
from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.learning.next_order import KEY
from clickpose_labelstudio.learning.renewal import tasks_to_renew
from clickpose_labelstudio.webhooks import ensure_webhook, webhook_url
from helpers.labelled import moved, person

pytestmark = pytest.mark.browser

POSES = {number: person("cp-a", {"nose": (50, 20 + 9 * number)}, score=0.2 + 0.2 * number) for number in range(3)}


@pytest.fixture
def project(stack):
    """A project with three predicted tasks, whose labelling the backend is told of."""
    with stack.api() as api:
        number = api.create_project(title="To learn from", label_config=build_labeling_config())["id"]
        api.import_tasks(number, [{"data": {"image": f"/data/upload/{n}.png", "own": n}} for n in POSES])
        tasks = sorted(task["id"] for task in api.tasks(number))
        given = [{"task": t, "result": POSES[n], "score": 0.5, "model_version": "v"} for n, t in enumerate(tasks)]
        api.import_predictions(number, given)
        api.update_project(number, model_version="v")
        assert ensure_webhook(api, number, stack.backend.url)
        yield number, tasks
        api.call("DELETE", f"/api/projects/{number}/")


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_labels_come_into_the_journal_and_what_was_missed_is_found(stack, project):
    number, tasks = project
    journal = stack.learner.journal

    def known():
        return {entry.task: entry.work.clicks for entry in journal.entries(number)}

    with stack.api() as api:
        for place, task in enumerate(tasks[:2]):
            api.create_annotation(task, result=moved(POSES[place], "nose", 1, 0), lead_time=8.0)
        wait_until(lambda: known() == {tasks[0]: 1, tasks[1]: 1})
        entries = journal.entries(number)
        assert [entry.work.version for entry in entries] == ["v", "v"]
        assert [entry.work.lead_time_s for entry in entries] == [8.0, 8.0]
        path = f"/api/annotations/{entries[0].annotation}/"
        api.call("PATCH", path, json={"result": POSES[0]})
        wait_until(lambda: known() == {tasks[0]: 0, tasks[1]: 1})
        api.call("DELETE", path)
        wait_until(lambda: known() == {tasks[1]: 1})

        hooks = [hook for hook in api.webhooks(number) if hook["url"] == webhook_url(stack.backend.url)]
        api.update_webhook(hooks[0]["id"], url=hooks[0]["url"], is_active=False)
        api.create_annotation(tasks[2], result=POSES[2])
        login = ["--url", stack.loop.url, "--api-key", stack.loop.credentials.token, "--project", str(number)]
        folder = ["--train-dir", str(journal.path.parent)]
        synced = CliRunner().invoke(app, ["labelstudio", "sync", *login, *folder])
        assert synced.output == f"project {number}: 2 annotations, 2 persons; 1 missing here, added\n"
        assert known() == {tasks[1]: 1, tasks[2]: 0}
        assert "1.00" in CliRunner().invoke(app, ["labelstudio", "stats", "--project", str(number), *folder]).output


def test_what_comes_next_is_listed_in_that_order(stack, project):
    number, tasks = project
    login = ["--url", stack.loop.url, "--api-key", stack.loop.credentials.token, "--project", str(number)]
    with stack.api() as api:
        api.create_annotation(tasks[0], result=POSES[0])
        for _ in range(2):
            said = CliRunner().invoke(app, ["labelstudio", "next", "--apply", *login])
            assert said.exit_code == 0, said.output
        assert "2 of 2 tasks ranked" in said.output
        (tab,) = [tab for tab in api.tabs(number) if tab["data"]["title"] == "Next"]
        listed = api.call("GET", "/api/tasks/", params={"view": tab["id"], "fields": "all"})["tasks"]
        said_first = [int(number) for number in re.findall(r"task (\d+):", said.output)]
        assert sorted(said_first) == tasks[1:]
        assert [task["id"] for task in listed] == said_first
        assert [task["data"][KEY] for task in listed] == [1, 2]
        assert [task["data"]["own"] for task in listed] == [tasks.index(task) for task in said_first]
        draft = {"result": POSES[2], "lead_time": 1.0}
        api.call("POST", f"/api/tasks/{tasks[2]}/drafts", params={"project": number}, json=draft)
        assert [task["id"] for task in tasks_to_renew(api, number, 1)] == [tasks[1]]  # nobody has begun it
