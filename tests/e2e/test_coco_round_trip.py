"""COCO files through the real Label Studio: its database, its page, its own JSON export and its list of tasks."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from clickpose.cli import app
from clickpose.skeleton import COCO
from clickpose_labelstudio.labeling_config import build_labeling_config
from helpers.editor import Editor

pytestmark = pytest.mark.browser

WIDTH, HEIGHT = 640, 480  # px of the stack's photos
NAMES = [*COCO.names[5:], *COCO.names[:5]]  # the file's order is another
MANY = 16_000  # numbers of a large outline: 300 kB go along with the photo


def person(id_: object, image_id: str, seed: int, **more: object) -> dict:
    points = np.random.default_rng(seed).uniform([100, 50], [500, 420], (17, 2)).tolist()
    numbers = [number for n, (x, y) in enumerate(points) for number in (x, y, (2, 1, 2)[n % 3])]
    return {
        "id": id_, "image_id": image_id, "category_id": 7, "iscrowd": 0, "num_keypoints": 17, "keypoints": numbers,
        "bbox": [60.1 + seed, 30.2, 500 / 3, 1000 / 3], "area": 12345.678 + seed,
        "segmentation": [[10.5, 20, 1 / 3, 20, 60, 200.125]], "note": 'é "quoted" \\ s3://bucket/a.jpg <b>', **more,
    }  # fmt: skip


def full_file() -> dict:
    """Text ids, a crowd, a car, all digits, fields of others; one photo without people, one with a large outline."""
    crowd = {"id": 78, "image_id": "a/1", "category_id": 7, "bbox": [480, 200, 150, 120], "area": 9000.0, "iscrowd": 1,
             "num_keypoints": 0, "keypoints": [0] * 51,
             "segmentation": {"counts": [10, 20], "size": [480, 640]}}  # fmt: skip
    car = {"id": 6, "image_id": "a/1", "category_id": "car", "bbox": [1.5, 2, 3, 4], "area": 12}
    outline = np.random.default_rng(9).uniform(0, 400, MANY).tolist()
    images = [
        {"id": "b/2", "file_name": "photo-1.png", "width": WIDTH, "height": float(HEIGHT), "license": 3},
        {"id": "a/1", "file_name": "photo-0.png", "width": WIDTH, "height": HEIGHT},
        {"id": "c/3", "file_name": "photo-2.png", "width": WIDTH, "height": HEIGHT},
    ]  # fmt: skip
    return {
        "info": {"year": 2026},
        "images": images,
        "annotations": [
            person("p-1/é", "b/2", 1), crowd, person(9007, "a/1", 2, score=0.123456789012345), car,
            person("9007", "a/1", 3, segmentation=[outline]),
        ],
        "categories": [
            {"id": "car", "name": "car"},
            {"id": 7, "name": "person", "keypoints": NAMES, "skeleton": [[1, 2]]},
        ],
    }  # fmt: skip


def without_provenance(coco: dict) -> dict:
    """Return a file without what an export adds."""
    lists = {name: [{k: v for k, v in entry.items() if k != "label_studio"} for entry in coco[name]]
             for name in ("images", "annotations")}  # fmt: skip
    return {**coco, **lists}


@pytest.fixture
def run(stack, tmp_path):
    """Runs clickpose labelstudio; returns what it printed."""

    def call(*arguments: object) -> str:
        login = ["--url", stack.loop.url, "--api-key", stack.loop.credentials.token]
        result = CliRunner().invoke(app, ["labelstudio", *map(str, arguments), *login])
        assert result.exit_code == 0, result.output
        return result.output

    return call


@pytest.fixture(params=["predictions", "annotations"])
def imported(request, stack, run, tmp_path):
    """The number of a project with the file in it, and its tasks."""
    with stack.api() as api:
        first = next(api.tasks(stack.loop.project_id))["data"]["image"]
        folder = first[: first.rindex("/") + 1].removesuffix("more/")
        project = api.create_project(title="Round trip", label_config=build_labeling_config())["id"]
        (tmp_path / "in.json").write_text(json.dumps(full_file()), encoding="utf-8")
        options = ["--kind", request.param, "--images-prefix", folder, "--project", project]
        said = run("import", tmp_path / "in.json", *options)
        assert "1 crowds not drawn, but back on export" in said
        if request.param == "predictions":
            api.update_project(project, model_version="coco", show_collab_predictions=True)
        yield project, {task["data"]["coco_image_id"]: task for task in api.tasks(project)}
        api.call("DELETE", f"/api/projects/{project}/")


def exported(stack, run, tmp_path, project: int) -> list[dict]:
    """Return the file by both ways: over the interface, and of Label Studio's own JSON export."""
    with stack.api() as api:
        own = api.call("GET", f"/api/projects/{project}/export", params={"exportType": "JSON"})
    (tmp_path / "export.json").write_text(json.dumps(own), encoding="utf-8")
    run("export", tmp_path / "export.json", "--out", tmp_path / "own.json")
    run("export", "--project", project, "--out", tmp_path / "live.json")
    return [json.loads((tmp_path / name).read_text(encoding="utf-8")) for name in ("own.json", "live.json")]


def test_what_came_in_goes_out_after_an_annotator_has_seen_it(stack, run, tmp_path, imported, page):
    project, tasks = imported
    editor = Editor(page, f"{stack.loop.url}/projects/{project}/data")
    for image_id, regions in (("b/2", 18), ("a/1", 36), ("c/3", 0)):
        editor.goto(tasks[image_id]["id"], regions)
        editor.page.wait_for_timeout(1000)
        if not tasks[image_id]["annotations"]:  # without a change, Label Studio does not save an annotation again
            editor.submit()
    wanted = full_file()
    for back in exported(stack, run, tmp_path, project):
        found = without_provenance(back)
        for name in ("images", "annotations", "categories", "info"):
            assert json.dumps(found[name], sort_keys=True) == json.dumps(wanted[name], sort_keys=True)


def test_what_the_annotator_has_moved_is_all_that_changes(stack, run, tmp_path, imported, page):
    project, tasks = imported
    editor = Editor(page, f"{stack.loop.url}/projects/{project}/data")
    editor.goto(tasks["b/2"]["id"], 18)
    editor.page.wait_for_timeout(1000)
    # a prediction is shown before the annotation that is made of it
    editor.wait("Htx.annotationStore.selected.regions.some((region) => region.cleanId.endsWith('-left_wrist'))")
    places = editor.places()
    (wrist,) = (region for region in places if region.endswith("-left_wrist"))
    for _ in range(10):  # a photo that is still being drawn loses a drag now and then
        x, y = editor.drag(wrist, 31, -17)
        editor.page.wait_for_timeout(500)
        if editor.places()[wrist] != places[wrist]:
            break
    editor.submit()
    (before,) = (annotation for annotation in full_file()["annotations"] if annotation["image_id"] == "b/2")
    place = 3 * NAMES.index("left_wrist")
    for back in exported(stack, run, tmp_path, project):
        (after,) = (a for a in without_provenance(back)["annotations"] if a["image_id"] == "b/2")
        assert after["keypoints"][place : place + 2] == pytest.approx([x / 100 * WIDTH, y / 100 * HEIGHT], abs=0.01)
        assert after["keypoints"][place : place + 2] != before["keypoints"][place : place + 2]
        after["keypoints"][place : place + 2] = before["keypoints"][place : place + 2]
        assert after == before
