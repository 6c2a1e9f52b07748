"""Starting, stopping and starting again, by the real command with the real Label Studio and the real network."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser


def test_first_start_says_where_to_go_and_labels_everything(first_start):
    assert f"Label Studio   http://localhost:{first_start.url.rpartition(':')[2]}/projects/" in first_start.output
    for line in ("login          annotator@", "password       ", "Ctrl-C stops everything; annotations are kept."):
        assert line in first_start.output
    assert first_start.versions
    assert all(any(version.startswith("clickpose-lite-") for version in task) for task in first_start.versions)


def test_ctrl_c_stops_everything(first_start):
    assert first_start.exit_code == 0
    assert first_start.output.endswith(
        "Everything is stopped. All annotations are kept; start again with the same command.\n"
    )
    assert first_start.left_over == []
    assert "Traceback" not in first_start.output


def test_a_second_launcher_says_where_the_first_is(first_start):
    assert first_start.second_exit_code == 0
    assert "is running already at http://localhost:" in first_start.second_output


def test_second_start_keeps_the_annotations_and_adds_the_new_photo(stack, first_start):
    assert stack.loop.project_id == first_start.project_id
    assert any("all annotations are kept" in line for line in stack.said)
    with stack.api() as api:
        kept = api.call("GET", f"/api/annotations/{first_start.annotation['id']}/")
        tasks = list(api.tasks(stack.loop.project_id))
    assert kept["task"] == first_start.task_id
    assert kept["result"] == first_start.annotation["result"]
    photos = [path for path in (stack.data_dir.parent / "photos").rglob("*") if path.is_file()]
    assert sorted({task["data"]["image"] for task in tasks}) == sorted(task["data"]["image"] for task in tasks)
    assert len(tasks) == len(photos)
