"""The round trip through the real Label Studio: photos and poses are sent, corrected over its interface, taken back."""

import copy
import os
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from clickpose.skeleton import COCO
from clickpose_fiftyone.labelstudio_exchange import load_from_label_studio, send_to_label_studio
from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.launch.folder import DataFolder
from clickpose_labelstudio.launch.processes import free_port
from clickpose_labelstudio.launch.start import LABEL_STUDIO_SECONDS, LaunchOptions, start_label_studio

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
    return {str(label["_id"]): {name: value for name, value in label.items() if name != "tags"} for label in labels}


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
