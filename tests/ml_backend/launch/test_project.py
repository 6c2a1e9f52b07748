"""A project, its storage, backend and predictions in a stand-in for Label Studio."""

import pytest

from clickpose_labelstudio.label_studio_auth import LabelStudioError
from clickpose_labelstudio.launch.folder import DataFolder
from clickpose_labelstudio.launch.photos import choose_photos
from clickpose_labelstudio.launch.project import (
    ensure_project,
    import_photos,
    predict_missing,
    register_backend,
    show_predictions,
)


class FakeApi:
    """Label Studio in dictionaries; a task in ``bad`` spoils the batch it is in, as in the real one."""

    def __init__(self, tasks=(), bad=()):
        self.projects, self.storages, self.known_backends, self.tabs = {}, [], [], []
        self.task_list, self.bad, self.predicted = list(tasks), set(bad), []

    def project(self, project_id):
        return self.projects.get(project_id)

    def create_project(self, **fields):
        project = {"id": len(self.projects) + 1, **fields}
        self.projects[project["id"]] = project
        return project

    def update_project(self, project_id, **fields):
        self.projects[project_id].update(fields)

    def create_tab(self, project_id, tab):
        self.tabs.append((project_id, tab))

    def local_storages(self, project_id):
        return [storage for storage in self.storages if storage["project"] == project_id]

    def create_local_storage(self, **fields):
        self.storages.append({"id": len(self.storages) + 1, **fields})
        return self.storages[-1]

    def sync_local_storage(self, storage_id):
        return {"status": "completed", "last_sync_count": 1}

    def backends(self, project_id):
        return [backend for backend in self.known_backends if backend["project"] == project_id]

    def create_backend(self, **fields):
        self.known_backends.append({"id": len(self.known_backends) + 1, "model_version": "v2", **fields})
        return self.known_backends[-1]

    def update_backend(self, backend_id, **fields):
        self.known_backends[backend_id - 1].update(fields)
        return self.known_backends[backend_id - 1]

    def tasks(self, project_id, **query):
        return iter(self.task_list)

    def predict(self, project_id, task_ids):
        if self.bad & set(task_ids):
            raise LabelStudioError("refused")
        self.predicted += task_ids
        for task in self.task_list:
            if task["id"] in task_ids:
                task["predictions_model_versions"] = ["v2"]


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"")
    return choose_photos(tmp_path / "photos")


def test_project_is_made_once_for_a_folder_and_again_if_it_was_deleted(tmp_path, photos):
    api, folder, said = FakeApi(), DataFolder(tmp_path / "data"), []
    first = ensure_project(api, folder, photos, said.append)
    assert ensure_project(api, folder, photos, said.append)["id"] == first["id"]
    assert ensure_project(api, folder, choose_photos(None), said.append)["id"] != first["id"]
    del api.projects[first["id"]]
    api.projects[77] = {}
    assert ensure_project(api, folder, photos, said.append)["id"] == 3
    assert "all annotations are kept" in said[1]


def test_a_new_project_lists_its_doubtful_photos_first(tmp_path, photos):
    api, folder = FakeApi(), DataFolder(tmp_path / "data")
    for _ in range(2):
        ensure_project(api, folder, photos, print)
    ((project_id, tab),) = api.tabs
    assert (project_id, tab["ordering"]) == (1, ["tasks:predictions_score"])
    assert "tasks:predictions_score" not in tab["hiddenColumns"]["explore"]


def test_one_storage_a_folder_and_other_storages_stay(tmp_path, photos):
    api, folder = FakeApi(), DataFolder(tmp_path / "data")
    api.create_local_storage(project=1, path="/mnt/of-the-user")
    for _ in range(2):
        import_photos(api, 1, folder, photos, lambda _: None)
    assert len(api.storages) == 2
    assert api.storages[1]["path"].startswith(str(folder.photos))
    assert api.storages[1]["recursive_scan"] and api.storages[1]["use_blob_urls"]


def test_backend_entry_follows_a_change_of_port():
    api = FakeApi()
    api.create_backend(project=1, title="somebody else's", url="http://localhost:1", is_interactive=False)
    first = register_backend(api, 1, "http://127.0.0.1:9090")
    again = register_backend(api, 1, "http://127.0.0.1:9091")
    assert first["id"] == again["id"] == 2
    assert api.known_backends[1]["url"] == "http://127.0.0.1:9091" and api.known_backends[1]["is_interactive"]
    assert api.known_backends[0]["url"] == "http://localhost:1"


def test_only_tasks_without_this_version_are_predicted_and_one_bad_photo_spoils_nothing():
    versions = [[], ["v1"], ["v1", "v2"], "v2", None, [], [], [], []]
    tasks = [
        {"id": i, "predictions_model_versions": version, "data": {"image": f"/data/local-files/?d=x/{i}%20b.jpg"}}
        for i, version in enumerate(versions)
    ]
    api, said = FakeApi(tasks, bad={5}), []
    assert predict_missing(api, 1, {"model_version": "v2"}, said.append) == ["5 b.jpg"]
    assert sorted(api.predicted) == [0, 1, 4, 6, 7, 8]
    assert said[-1] == "Pre-annotating: 7 of 7 photos"


def test_nothing_to_predict_asks_for_nothing():
    api = FakeApi([{"id": 1, "predictions_model_versions": ["v2"]}])
    assert predict_missing(api, 1, {"model_version": "v2"}, print) == []
    assert api.predicted == []


def test_predictions_of_the_present_version_are_shown():
    api = FakeApi()
    api.create_project(title="x")
    show_predictions(api, 1, {"model_version": "v2"})
    assert api.projects[1]["model_version"] == "v2" and api.projects[1]["show_collab_predictions"] is True
