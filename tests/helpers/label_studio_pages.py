"""The real Label Studio in a browser, for benchmarks: a browser, a login, tasks of any size."""

from __future__ import annotations

import shutil

import numpy as np
from playwright.sync_api import Browser

from clickpose.skeleton import COCO
from clickpose.structures import Poses
from clickpose_labelstudio.codec import encode_poses
from clickpose_labelstudio.labeling_config import parse_labeling_config
from helpers.fakes import template
from helpers.stack import IMAGE_HW, Stack

CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


def chromium() -> str:
    """Return the command of an installed Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        raise SystemExit("There is no Chromium; `apt-get install chromium` brings it")
    return found


def make_task(stack: Stack, size: int) -> int:
    """Import a task with a prediction of ``size`` regions: persons side by side, the last of them with fewer joints."""
    height, width = IMAGE_HW
    persons = -(-size // (1 + len(COCO)))
    columns = int(np.ceil(np.sqrt(1.3 * persons)))
    cell = np.array([width / columns, height / -(-persons // columns)])
    corners = np.array([[person % columns, person // columns] for person in range(persons)]) * cell
    boxes = np.concatenate([corners + 3, corners + cell - 3], axis=1)
    poses = Poses(
        skeleton=COCO,
        keypoints=np.array([template(box) for box in boxes]),
        boxes_xyxy=boxes,
        keypoint_scores=np.tile(np.linspace(0.4, 0.95, len(COCO)), (persons, 1)),
        visibility_scores=np.tile(np.where(np.arange(len(COCO)) % 3, 0.9, 0.2), (persons, 1)),
        instance_scores=np.linspace(0.8, 0.7, persons),
    )
    with stack.api() as api:
        project = api.project(stack.loop.project_id)
        items = encode_poses(poses, parse_labeling_config(project["label_config"]), IMAGE_HW)
        joints = list(dict.fromkeys(item["id"] for item in items if "parentID" in item))
        too_many = set(joints[size - persons :])
        items = [item for item in items if item["id"] not in too_many]
        photo = next(task for task in api.tasks(stack.loop.project_id) if "regions" not in task["data"])
        data = {**photo["data"], "regions": size}
        prediction = {"model_version": project["model_version"], "score": 0.5, "result": items}
        before = {task["id"] for task in api.tasks(stack.loop.project_id)}
        api.call(
            "POST",
            f"/api/projects/{stack.loop.project_id}/import",
            json=[{"data": data, "predictions": [prediction]}],
        )
        (task_id,) = {task["id"] for task in api.tasks(stack.loop.project_id)} - before
    return task_id


def log_in(browser: Browser, stack: Stack) -> dict:
    """Return the cookies of the logged-in annotator."""
    page = browser.new_page()
    page.goto(f"{stack.loop.url}/user/login/")
    page.fill("input[name=email]", stack.loop.credentials.username)
    page.fill("input[name=password]", stack.loop.credentials.password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "/user/login" not in url)
    state = page.context.storage_state()
    page.context.close()
    return state


def forget_drafts(stack: Stack, task_id: int) -> None:
    """Remove the draft, so that the next page opens the prediction again."""
    with stack.api() as api:
        for draft in api.call("GET", f"/api/tasks/{task_id}/")["drafts"]:
            api.call("DELETE", f"/api/drafts/{draft['id']}/")
