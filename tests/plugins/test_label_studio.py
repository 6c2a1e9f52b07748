"""The round trip through a stand-in for Label Studio that keeps what it is sent, and what a human may change there."""

import copy

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from clickpose.skeleton import COCO
from clickpose_fiftyone import labelstudio_pose
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.field_names import CORRECTED
from clickpose_fiftyone.labelstudio_pose import load_from_label_studio, send_to_label_studio
from clickpose_labelstudio.label_studio_auth import LabelStudioError

NOW = "2026-01-02T00:00:00Z"


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


@pytest.fixture
def label_studio(monkeypatch):
    fake = FakeLabelStudio()
    monkeypatch.setattr(labelstudio_pose, "LabelStudioClient", fake)
    return fake


@pytest.fixture
def dataset(person_dataset, tmp_path):
    """Five predicted people with linked boxes, on photos that exist."""
    dataset = person_dataset((2, 2, 1))
    paths = [str(tmp_path / f"{index}.jpg") for index in range(3)]
    for path in paths:
        Image.new("RGB", (640, 480)).save(path)
    dataset.set_values("filepath", paths)
    for sample in dataset:
        links = [fo.Instance() for _ in sample.pred.keypoints]
        for label, link in zip(sample.pred.keypoints, links, strict=True):
            label.instance = link
        sample["pred_boxes"] = fo.Detections(
            detections=[
                fo.Detection(label="person", bounding_box=label.bounding_box, confidence=label.pred_oks, instance=link)
                for label, link in zip(sample.pred.keypoints, links, strict=True)
            ]
        )
        sample.save()
    return dataset


def documents(dataset):
    """Everything of the poses and boxes but the tags."""
    people = [label.to_dict() for found in dataset.values("pred") for label in found.keypoints]
    boxes = [label.to_dict() for found in dataset.values("pred_boxes") for label in found.detections]
    return [{name: value for name, value in label.items() if name != "tags"} for label in people + boxes]


def regions(result, kind):
    return [item for item in result if item["type"] == kind]


def test_what_nobody_changed_comes_back_as_it_was(dataset, label_studio):
    before = documents(dataset)
    sent = send_to_label_studio(dataset, "pred", anno_key="round1")
    assert (sent.photos, sent.persons) == (3, 5)
    assert dataset.count_label_tags("pred") == {"sent_to_label_studio": 5}
    for task in range(3):
        label_studio.submit(task)
    loaded = load_from_label_studio(dataset, "round1")
    dataset.reload()
    assert (loaded.persons, loaded.added, loaded.deleted) == (0, 0, 0)
    for now, then in zip(documents(dataset), before, strict=True):
        assert now == then
    assert CORRECTED not in dataset.count_label_tags("pred")


def test_moved_hidden_deleted_and_new_people_come_back(dataset, label_studio):
    send_to_label_studio(dataset, "pred", anno_key="round1")
    (first, gone), (kept, _) = dataset.values("pred.keypoints.id")[:2]
    link_gone = dataset.first().pred.keypoints[1].instance.id

    def correct(result):
        result = [item for item in result if not item["id"].startswith(f"cp-{gone}")]
        wrist = next(i for i in regions(result, "keypointlabels") if i["id"].endswith("left_wrist"))
        wrist["value"].update(x=25.0, y=75.0)
        new = copy.deepcopy(regions(result, "rectanglelabels")[0])
        new["id"] = "by-hand"
        new["value"].update(x=2.0, y=4.0, width=10.0, height=20.0)
        return [*result, new]

    label_studio.submit(0, correct)
    loaded = load_from_label_studio(dataset, "round1")
    dataset.reload()
    assert (loaded.persons, loaded.added, loaded.deleted) == (2, 1, 1)
    moved, new = dataset.first().pred.keypoints
    assert moved.id == first and CORRECTED in moved.tags
    assert moved.points[COCO.index("left_wrist")] == pytest.approx([0.25, 0.75])
    assert '"points"' in moved.refinement_history
    assert np.isfinite(new.points).all() and new.visibility == [0.0] * 17  # somebody of whom only the box was drawn
    assert new.points[0] == pytest.approx([0.07, 0.14])
    boxes = dataset.first().pred_boxes.detections
    assert link_gone not in [box.instance.id for box in boxes]
    assert boxes[-1].instance.id == new.instance.id and boxes[-1].bounding_box == pytest.approx([0.02, 0.04, 0.1, 0.2])
    assert dataset.values("pred.keypoints.id")[1][0] == kept  # photos that nobody annotated stay
    assert len(dataset.to_patches("pred")) == 5


def test_a_box_that_was_resized_comes_back_with_its_linked_box(dataset, label_studio):
    send_to_label_studio(dataset, "pred", anno_key="round1")

    def resize(result):
        regions(result, "rectanglelabels")[0]["value"].update(x=10.0, y=10.0, width=30.0, height=40.0)
        return result

    label_studio.submit(0, resize)
    assert load_from_label_studio(dataset, "round1").persons == 1
    dataset.reload()
    sample = dataset.first()
    assert sample.pred.keypoints[0].bounding_box == pytest.approx([0.1, 0.1, 0.3, 0.4])
    assert sample.pred_boxes.detections[0].bounding_box == pytest.approx([0.1, 0.1, 0.3, 0.4])


def test_a_joint_that_is_only_marked_as_hidden_is_a_correction(dataset, label_studio):
    PersonColumns(dataset, "pred").write("visibility", np.full((5, 17), 0.9))
    send_to_label_studio(dataset, "pred", anno_key="round1")

    def hide(result):
        nose = regions(result, "keypointlabels")[0]
        shared = {name: nose[name] for name in ("id", "to_name", "original_width", "original_height") if name in nose}
        value = {**nose["value"], "choices": ["occluded"]}
        return [*result, {**shared, "type": "choices", "from_name": "visibility", "value": value}]

    label_studio.submit(0, hide)
    assert load_from_label_studio(dataset, "round1").persons == 1
    assert dataset.first().pred.keypoints[0].annotated_visibility == [1] + [2] * 16


def test_the_newest_annotation_counts_and_cancelled_ones_do_not(dataset, label_studio):
    send_to_label_studio(dataset, "pred", anno_key="round1")

    def place(x):
        def change(result):
            regions(result, "keypointlabels")[0]["value"].update(x=x, y=50.0)
            return result

        return change

    label_studio.submit(0, place(20.0), "2026-01-03T00:00:00Z")
    label_studio.submit(0, place(10.0), "2026-01-02T00:00:00Z")
    label_studio.submit(0, place(30.0), "2026-01-04T00:00:00Z", was_cancelled=True)
    load_from_label_studio(dataset, "round1")
    dataset.reload()
    assert dataset.first().pred.keypoints[0].points[0] == pytest.approx([0.2, 0.5])


def test_what_could_not_be_sent_leaves_nothing(dataset, label_studio):
    label_studio.broken = True
    with pytest.raises(ValueError, match="could not be reached"):
        send_to_label_studio(dataset, "pred", anno_key="round1")
    assert dataset.list_annotation_runs() == [] and dataset.count_label_tags("pred") == {}
    label_studio.broken = False
    send_to_label_studio(dataset, "pred", anno_key="round1")
    with pytest.raises(ValueError, match="new name for the run"):
        send_to_label_studio(dataset, "pred", anno_key="round1")
