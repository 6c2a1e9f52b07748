"""COCO files into a project of the real Label Studio that has some of their photos already."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from clickpose.cli import app
from clickpose_labelstudio.labeling_config import build_labeling_config
from helpers.editor import Editor

pytestmark = pytest.mark.browser

NAMES = ("photo-0.png", "photo-1.png", "photo-2.png")


def coco_file() -> dict:
    """Three photos; a person on the first and on the last."""
    joints = [150.125, 60, 2, 155, 58, 1, *([0] * 45)]
    people = [
        {"id": number + 40, "image_id": number, "category_id": 1, "iscrowd": 0, "num_keypoints": 2, "area": 20000.5,
         "bbox": [100.25, 50, 100, 200], "keypoints": joints, "own": {"a": number}}
        for number in (0, 2)
    ]  # fmt: skip
    images = [{"id": n, "file_name": f"set/{name}", "width": 640, "height": 480} for n, name in enumerate(NAMES)]
    return {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}


@pytest.fixture
def folder_of_photos(stack) -> str:
    """What stands before the photos' names in their references."""
    with stack.api() as api:
        references = (task["data"]["image"] for task in api.tasks(stack.loop.project_id, include="id,data"))
        first = next(reference for reference in references if reference.endswith("photo-0.png"))
    return first[: first.rindex("/") + 1]


@pytest.fixture
def project(stack, folder_of_photos):
    """A project with two of the photos; the first has a prediction already."""
    with stack.api() as api:
        number = api.create_project(title="Has photos", label_config=build_labeling_config())["id"]
        tasks = [{"data": {"image": folder_of_photos + name, "own": "stays"}} for name in NAMES[:2]]
        tasks[0]["predictions"] = [{"model_version": "before", "score": 0.5, "result": []}]
        api.import_tasks(number, tasks)
        yield number
        api.call("DELETE", f"/api/projects/{number}/")


def test_a_file_joins_the_tasks_that_are_there(stack, project, folder_of_photos, tmp_path, page):
    def run(*arguments: object):
        login = ["--url", stack.loop.url, "--api-key", stack.loop.credentials.token]
        return CliRunner().invoke(app, ["labelstudio", *map(str, arguments), "--project", str(project), *login])

    def tasks() -> dict[str, dict]:
        with stack.api() as api:
            return {task["data"]["image"].rpartition("/")[2]: task for task in api.tasks(project)}

    file = tmp_path / "in.json"
    file.write_text(json.dumps(coco_file()), encoding="utf-8")
    before = tasks()
    said = run("import", file)
    assert said.exit_code == 2
    assert f"Expected --images-prefix for photos that project {project} does not have (set/photo-2.png)" in said.output
    assert f"a photo that it has is at {folder_of_photos}photo-0.png" in said.output
    said = run("import", file, "--images-prefix", "/data/local-files/?d=photos/")
    assert said.exit_code == 2 and "nothing at /data/local-files/?d=photos/set/photo-2.png" in said.output
    assert tasks() == before  # refused before anything is changed

    coco = coco_file()
    coco["images"][2]["file_name"] = NAMES[2]
    file.write_text(json.dumps(coco), encoding="utf-8")
    said = run("import", file, "--images-prefix", folder_of_photos)
    assert said.exit_code == 0, said.output
    assert f"2 photos were in project {project} already and got predictions; 1 new tasks" in said.output
    after = tasks()
    assert {name: task["id"] for name, task in after.items()} == {
        **{name: task["id"] for name, task in before.items()}, NAMES[2]: after[NAMES[2]]["id"],
    }  # fmt: skip
    assert after[NAMES[0]]["data"]["own"] == "stays" and after[NAMES[0]]["data"]["file_name"] == "set/photo-0.png"
    versions = {name: sorted(p["model_version"] for p in task["predictions"]) for name, task in after.items()}
    assert versions == {NAMES[0]: ["before", "coco"], NAMES[1]: ["coco"], NAMES[2]: ["coco"]}
    said = run("import", file)
    assert said.exit_code == 0
    assert f"3 photos were in project {project} already and got predictions, 3 of which had them already" in said.output
    assert tasks() == after

    said = run("import", file, "--kind", "annotations")
    assert said.exit_code == 0, said.output
    assert [len(task["annotations"]) for task in tasks().values()] == [1, 1, 1]
    assert run("export", "--out", tmp_path / "out.json").exit_code == 0
    back = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    for entry in (*back["images"], *back["annotations"]):
        del entry["label_studio"]
    assert back == coco
    editor = Editor(page, f"{stack.loop.url}/projects/{project}/data")
    editor.goto(after[NAMES[0]]["id"], regions=3)
    assert len(editor.places()) == 3  # the photo is shown, with its person
