"""The round trip through the real Label Studio: photos and poses are sent, corrected over its interface, taken back."""

import copy
import os
from dataclasses import replace
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from clickpose.skeleton import COCO
from clickpose_fiftyone import refinement
from clickpose_fiftyone.coco_exchange import to_coco
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.derived import refresh_sample_columns
from clickpose_fiftyone.field_names import SETTLED_AT, SETTLED_BY
from clickpose_fiftyone.labelstudio_exchange import load_from_label_studio, send_to_label_studio
from clickpose_fiftyone.labelstudio_undo import undo_load_from_label_studio
from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.launch.folder import DataFolder
from clickpose_labelstudio.launch.processes import free_port
from clickpose_labelstudio.launch.start import LABEL_STUDIO_SECONDS, LaunchOptions, start_label_studio
from helpers.fake_label_studio import add_person, without_joints

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = Path(os.environ.get("CLICKPOSE_LABEL_STUDIO_PYTHON", REPOSITORY / ".venv-labelstudio" / "bin" / "python"))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """(address, key) of a Label Studio of our own; its first start takes half a minute or more."""
    if not PYTHON.exists():
        pytest.skip("Label Studio is not installed; `make setup` installs it into .venv-labelstudio")
    folder = DataFolder(tmp_path_factory.mktemp("label-studio"))
    credentials, port = folder.credentials(), free_port(8480)
    child = start_label_studio(LaunchOptions(label_studio_python=PYTHON), folder, credentials, port, "none")
    try:
        child.wait_until_it_answers(f"http://127.0.0.1:{port}/health/", LABEL_STUDIO_SECONDS, lambda _: None)
        yield f"http://127.0.0.1:{port}", credentials.token
    finally:
        child.stop()


@pytest.fixture
def dataset(person_dataset, tmp_path):
    """Three photos with five predicted people; one photo is turned by its EXIF data."""
    dataset = person_dataset((2, 2, 1))
    paths = [str(tmp_path / f"{index}.jpg") for index in range(3)]
    for path in paths:
        Image.new("RGB", (640, 480), (90, 120, 150)).save(path)
    turned = Image.Exif()
    turned[0x112] = 6
    Image.new("RGB", (480, 640)).save(paths[2], exif=turned)
    dataset.set_values("filepath", paths)
    return dataset


def people(dataset):
    """Everything of the people but their tags, by id."""
    labels = [label.to_dict() for found in dataset.values("pred") for label in found.keypoints]
    review = ("tags", SETTLED_BY, SETTLED_AT)
    return {str(label["_id"]): {name: v for name, v in label.items() if name not in review} for label in labels}


def test_corrections_come_back_from_a_real_server_and_nothing_else_changes(dataset, server):
    url, key = server
    before = people(dataset)
    with pytest.raises(ValueError, match="API key"):
        send_to_label_studio(dataset, "pred", url, "wrong-key", "refused")
    assert dataset.list_annotation_runs() == []

    send_to_label_studio(dataset, "pred", url, key, "round1", project="Corrections")
    project_id = dataset.load_annotation_results("round1", url=url, api_key=key).project_id
    (first, gone), (kept, moved), (turned,) = dataset.values("pred.keypoints.id")
    with LabelStudioClient(url, key) as client:
        tasks = {task["data"]["sample_id"]: task for task in client.tasks(project_id)}
        sent = [tasks[sample_id] for sample_id in dataset.values("id")]
        results = [copy.deepcopy(task["predictions"][0]["result"]) for task in sent]
        results[0] = [item for item in results[0] if not item["id"].startswith(f"cp-{gone}")]
        wrist = next(item for item in results[1] if item["id"].startswith(f"cp-{moved}") and "left_wrist" in item["id"])
        wrist["value"].update(x=25.0, y=75.0)
        box = next(item for item in results[1] if item["type"] == "rectanglelabels")
        results[1].append({**copy.deepcopy(box), "id": "by-hand"})
        results[1][-1]["value"].update(x=2.0, y=4.0, width=10.0, height=20.0)
        for task, result in zip(sent, results, strict=True):
            client.call("POST", f"/api/tasks/{task['id']}/annotations/", json={"result": result})

    loaded = load_from_label_studio(dataset, "round1", url, key)
    dataset.reload()
    assert (loaded.persons, loaded.added, loaded.deleted) == (2, 1, 1)
    after = people(dataset)
    for label_id in (first, kept, turned):
        for name, value in before[label_id].items():
            assert after[label_id][name] == value, name
    assert gone not in after and len(after) == 5
    joint = COCO.index("left_wrist")
    assert after[moved]["points"][joint] == pytest.approx([0.25, 0.75])
    others = np.delete(np.array(after[moved]["points"]), joint, axis=0)
    np.testing.assert_allclose(others, np.delete(np.array(before[moved]["points"]), joint, axis=0), atol=1e-9)
    (new,) = set(after) - set(before)
    assert after[new]["bounding_box"] == pytest.approx([0.02, 0.04, 0.1, 0.2])
    assert fo.load_dataset(dataset.name).get_annotation_info("round1").config.serialize().get("api_key") is None


def test_people_added_and_deleted_and_joints_hidden_and_deleted_make_the_trip_and_are_undone(dataset, server):
    url, key = server
    PersonColumns(dataset, "pred").write("visibility", np.full((5, 17), 0.9))
    refresh_sample_columns(dataset, "pred")
    send_to_label_studio(dataset, "pred", url, key, "round2", project="Round trip")
    before, tags = people(dataset), dataset.count_label_tags("pred")
    project_id = dataset.load_annotation_results("round2", url=url, api_key=key).project_id
    first, gone = dataset.first().pred.keypoints[0].id, dataset.first().pred.keypoints[1].id
    with LabelStudioClient(url, key) as client:
        task = {task["data"]["sample_id"]: task for task in client.tasks(project_id)}[dataset.first().id]
        changes = (without_person(gone), without_joints(first, ("left_ankle",)), hidden_joint(first, "left_wrist"),
                   add_person(COCO.names[:11], hidden=("left_ear",)))  # fmt: skip
        result = copy.deepcopy(task["predictions"][0]["result"])
        for change in changes:
            result = change(result)
        path = f"/api/tasks/{task['id']}/annotations/"
        annotation = client.call("POST", path, json={"result": result})
        loaded = load_from_label_studio(dataset, "round2", url, key)
        assert (loaded.photos, loaded.persons, loaded.added, loaded.deleted) == (1, 2, 1, 1)
        dataset.reload()
        corrected, new = dataset.first().pred.keypoints
        entries = to_coco(dataset, "pred")["annotations"][:2]
        assert entries[0]["keypoints"][45:48] == [0, 0, 0] and entries[0]["keypoints"][3 * 9 + 2] == 1
        assert entries[1]["keypoints"][2::3] == [2, 2, 2, 1, *[2] * 7, *[0] * 6] and entries[1]["num_keypoints"] == 11
        assert sum(corrected.fixed) == 1 and corrected.id == first  # the wrist; an ankle that is gone is nobody's

        refine_pose_by_hand(dataset, first)  # the nose is corrected here, then another joint there
        result = moved_wrist(client.call("GET", f"/api/annotations/{annotation['id']}/")["result"], first)
        client.call("PATCH", f"/api/annotations/{annotation['id']}/", json={"result": result})
        again = load_from_label_studio(dataset, "round2", url, key)
        dataset.reload()
        now = dataset.first().pred.keypoints[0]
        assert (again.persons, again.added, again.deleted) == (1, 0, 0)
        assert now.points[0] == pytest.approx([0.5, 0.5]) and now.points[9] == pytest.approx([0.25, 0.75])
        assert [label.id for label in dataset.first().pred.keypoints] == [first, new.id]
    undo_load_from_label_studio(dataset, "round2")
    undone = undo_load_from_label_studio(dataset, "round2")
    assert undone.brought_back == 1 and undone.removed == 1 and undone.kept == 1  # the nose was corrected here
    refinement.undo_refinement(dataset, first)
    refinement.undo_refinement(dataset, first)
    dataset.reload()
    after = people(dataset)
    assert set(after) == set(before) and after[gone] == before[gone]
    for name in ("points", "visibility", "keypoint_oks", "pred_oks", "bounding_box"):
        assert after[first][name] == before[first][name], name
    assert dataset.count_label_tags("pred") == tags


def without_person(label_id):
    return lambda result: [item for item in result if not item["id"].startswith(f"cp-{label_id}")]


def hidden_joint(label_id, joint):
    """Have a human mark a joint as hidden."""

    def change(result):
        point = next(i for i in result if i["id"] == f"cp-{label_id}-{joint}" and i["type"] == "keypointlabels")
        result = [i for i in result if i["id"] != point["id"] or i["type"] != "choices"]
        shared = {name: point[name] for name in ("id", "to_name", "original_width", "original_height")}
        value = {name: value for name, value in point["value"].items() if name != "keypointlabels"}
        return [*result, {**shared, "type": "choices", "from_name": "visibility",
                          "value": {**value, "choices": ["occluded"]}}]  # fmt: skip

    return change


def moved_wrist(result, label_id):
    for item in result:
        if item["id"] == f"cp-{label_id}-left_wrist":
            item["value"].update(x=25.0, y=75.0)
    return result


def refine_pose_by_hand(dataset, label_id):
    """Put the nose amid the photo here."""
    person = refinement.find_person(dataset, "pred", label_id)
    keypoints, fixed = person.pose.keypoints.copy(), person.pose.fixed.copy()
    keypoints[0], fixed[0] = (320, 240), True
    refinement.save_refinement(person, replace(person.pose, keypoints=keypoints, fixed=fixed))
