"""A stand-in for Label Studio that keeps what it is sent, and what a human may change of it."""

from __future__ import annotations

import copy

from clickpose_labelstudio.label_studio_auth import LabelStudioError

NOW = "2100-01-02T00:00:00Z"  # after everything that a test does in the dataset


class FakeLabelStudio:
    """Keeps one project in memory; ``broken`` refuses uploads."""

    def __init__(self):
        self.tasks_, self.label_config, self.broken = [], None, False

    def __call__(self, url, key):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False

    def create_project(self, **fields):
        self.label_config = fields["label_config"]
        return {"id": 7}

    def update_project(self, project_id, **fields):
        pass

    def import_tasks(self, project_id, tasks):
        self.tasks_ += copy.deepcopy(tasks)

    def backends(self, project_id):
        return []

    def webhooks(self, project_id):
        return []

    def create_webhook(self, **fields):
        pass

    def call(self, method, path, **request):
        if self.broken:
            raise LabelStudioError("Label Studio could not be reached")
        return {"file_upload_ids": [1]} if method == "POST" else {"file": "upload/7/a.jpg"}

    def project(self, project_id):
        return {"id": project_id, "label_config": self.label_config}

    def tasks(self, project_id):
        return self.tasks_

    def submit(self, task, change=lambda result: result, updated_at=NOW, **entry):
        """Let a human submit the prediction of a task, changed."""
        result = change(copy.deepcopy(self.tasks_[task]["predictions"][0]["result"]))
        annotation = {"result": result, "updated_at": updated_at, **entry}
        self.tasks_[task].setdefault("annotations", []).append(annotation)


def regions(result, kind):
    return [item for item in result if item["type"] == kind]


def by_hand(image, joints, hidden=(), person="by-hand"):
    """Regions of somebody whom a human adds: a box, and keypoints with their joints' names inside it."""
    size = {"original_width": 640, "original_height": 480, "image_rotation": 0, "to_name": image, "origin": "manual"}
    box = {"x": 2.0, "y": 4.0, "width": 40.0, "height": 60.0, "rotation": 0, "rectanglelabels": ["person"]}
    items = [{**size, "id": person, "type": "rectanglelabels", "from_name": "person", "value": box}]
    for number, joint in enumerate(joints):
        value = {"x": 5.0 + 2 * number, "y": 10.0 + 3 * number, "width": 0.5}
        shared = {**size, "id": f"{person}-{joint}", "parentID": person}
        items.append({**shared, "type": "keypointlabels", "from_name": "keypoints",
                      "value": {**value, "keypointlabels": [joint]}})  # fmt: skip
        if joint in hidden:
            items.append({**shared, "type": "choices", "from_name": "visibility",
                          "value": {**value, "choices": ["occluded"]}})  # fmt: skip
    return items


def names_of(result):
    """The controls' names of a result, for regions by hand."""
    point, box = regions(result, "keypointlabels")[0], regions(result, "rectanglelabels")[0]
    return point["from_name"], box["from_name"], box["to_name"]


def add_person(joints, hidden=()):
    def change(result):
        keypoints, boxes, image = names_of(result)
        new = by_hand(image, joints, hidden)
        for item in new:
            item["from_name"] = {"person": boxes, "keypoints": keypoints}.get(item["from_name"], item["from_name"])
        return [*result, *new]

    return change


def without_joints(person, joints):
    def change(result):
        gone = {f"cp-{person}-{joint}" for joint in joints}
        left = [item for item in result if item["id"] not in gone]
        assert len(left) < len(result)
        return left

    return change


def moved_nose(x, y):
    """Have a human put the first person's nose at (x, y) percent."""

    def change(result):
        nose = next(item for item in regions(result, "keypointlabels") if item["id"].endswith("nose"))
        nose["value"].update(x=x, y=y)
        return result

    return change
