"""A project, its storage, backend and predictions in a stand-in for Label Studio."""

import re
import shutil
from contextlib import nullcontext

import pytest
from PIL import Image
from typer.testing import CliRunner

from clickpose.cli import app
from clickpose_labelstudio.launch.folder import DataFolder
from clickpose_labelstudio.launch.photos import choose_photos
from clickpose_labelstudio.launch.project import (
    ensure_project,
    import_photos,
    register_backend,
    show_predictions,
    tasks_without,
)
from clickpose_labelstudio.webhooks import ensure_webhook, ensure_webhooks_of


class FakeApi:
    """Label Studio in dictionaries."""

    def __init__(self, tasks=()):
        self.projects, self.storages, self.known_backends, self.tabs = {}, [], [], []
        self.task_list, self.imported, self.hooks = list(tasks), [], []

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

    def update_local_storage(self, storage_id, **fields):
        self.storages[storage_id - 1].update(fields)

    def import_tasks(self, project_id, tasks):
        self.imported.append(len(tasks))
        self.task_list += [{"id": len(self.task_list) + 1 + i, **task} for i, task in enumerate(tasks)]

    def backends(self, project_id):
        return [backend for backend in self.known_backends if backend["project"] == project_id]

    def create_backend(self, **fields):
        self.known_backends.append({"id": len(self.known_backends) + 1, "model_version": "v2", **fields})
        return self.known_backends[-1]

    def update_backend(self, backend_id, **fields):
        self.known_backends[backend_id - 1].update(fields)
        return self.known_backends[backend_id - 1]

    def webhooks(self, project_id):
        return [hook for hook in self.hooks if hook["project"] == project_id]

    def create_webhook(self, **fields):
        self.hooks.append({"id": len(self.hooks) + 1, "actions": [], **fields})

    def update_webhook(self, webhook_id, **fields):
        self.hooks[webhook_id - 1].update(fields)

    def tasks(self, project_id, **query):
        return iter(self.task_list)


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "photos" / "a.jpg")
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


def import_all(api, folder, photos):
    said = []
    import_photos(api, 1, folder, photos, photos.check(), said.append)
    return said


def images(api):
    return [task["data"]["image"] for task in api.task_list]


def test_every_photo_has_one_task_however_often_it_is_imported(tmp_path, photos):
    api, folder = FakeApi(), DataFolder(tmp_path / "data")
    link = photos.link_below(folder.photos).name
    (photos.source / "sub").mkdir()
    shutil.copy(photos.source / "a.jpg", photos.source / "sub" / "ä b&c.jpg")
    (photos.source / "empty.jpg").write_bytes(b"")
    wanted = [f"/data/local-files/?d={link}/a.jpg", f"/data/local-files/?d={link}/sub/%C3%A4%20b%26c.jpg"]
    assert import_all(api, folder, photos) == [
        "2 photos, 2 of them new.",
        "Left out, since the file is empty: empty.jpg.",
    ]
    assert images(api) == wanted
    assert import_all(api, folder, photos)[0] == "2 photos, 0 of them new."
    assert images(api) == wanted and api.imported == [2]


def test_tasks_of_an_earlier_release_and_of_others_are_known(tmp_path, photos):
    folder = DataFolder(tmp_path / "data")
    link = photos.link_below(folder.photos).name
    shutil.copy(photos.source / "a.jpg", photos.source / "b.jpg")
    earlier = [
        f"http://localhost:8080/data/local-files/?d={link}/a.jpg",
        "s3://bucket/b.jpg",
        7,
        "/data/upload/1/b.jpg",
    ]
    api = FakeApi([{"id": i, "data": {"image": image}} for i, image in enumerate(earlier)])
    assert import_all(api, folder, photos) == ["2 photos, 1 of them new."]
    assert images(api)[4:] == [f"/data/local-files/?d={link}/b.jpg"]


def test_photos_that_have_gone_are_said_and_their_tasks_stay(tmp_path, photos):
    api, folder = FakeApi(), DataFolder(tmp_path / "data")
    shutil.copy(photos.source / "a.jpg", photos.source / "b.jpg")
    import_all(api, folder, photos)
    (photos.source / "b.jpg").unlink()
    said = import_all(api, folder, photos)
    assert said == ["1 photos, 0 of them new.", "No longer in the folder: b.jpg; what has been labelled there is kept."]
    assert len(api.task_list) == 2
    (photos.source / "a.jpg").write_bytes(b"")  # there, but not to be shown
    assert not any("a.jpg" in sentence for sentence in import_all(api, folder, photos) if "No longer" in sentence)


def test_many_photos_are_imported_in_parts(tmp_path, photos, monkeypatch):
    monkeypatch.setattr("clickpose_labelstudio.launch.project.IMPORTED_AT_ONCE", 2)
    api, folder = FakeApi(), DataFolder(tmp_path / "data")
    for name in "bcde":
        shutil.copy(photos.source / "a.jpg", photos.source / f"{name}.jpg")
    import_all(api, folder, photos)
    assert api.imported == [2, 2, 1] and len(set(images(api))) == 5


def test_one_storage_a_folder_that_serves_and_scans_nothing_and_other_storages_stay(tmp_path, photos):
    api, folder = FakeApi(), DataFolder(tmp_path / "data")
    api.create_local_storage(project=1, path="/mnt/of-the-user", regex_filter=".*")
    for _ in range(2):
        import_all(api, folder, photos)
    assert len(api.storages) == 2
    assert api.storages[0]["regex_filter"] == ".*"
    assert api.storages[1]["path"] == str(photos.link_below(folder.photos))
    assert not re.match(api.storages[1]["regex_filter"], "a.jpg")
    api.storages[1]["regex_filter"] = r".*\.jpg"  # as an earlier release has left it
    import_all(api, folder, photos)
    assert len(api.storages) == 2 and not re.match(api.storages[1]["regex_filter"], "a.jpg")


def test_backend_entry_follows_a_change_of_port():
    api = FakeApi()
    api.create_backend(project=1, title="somebody else's", url="http://localhost:1", is_interactive=False)
    first = register_backend(api, 1, "http://127.0.0.1:9090")
    again = register_backend(api, 1, "http://127.0.0.1:9091")
    assert first["id"] == again["id"] == 2
    assert api.known_backends[1]["url"] == "http://127.0.0.1:9091" and api.known_backends[1]["is_interactive"]
    assert api.known_backends[0]["url"] == "http://localhost:1"
    (hook,) = api.webhooks(1)  # what is labelled is told where the backend is now
    assert (hook["url"], hook["is_active"], hook["send_payload"]) == ("http://127.0.0.1:9091/webhook", True, True)


def test_a_webhook_is_made_once_mended_and_has_the_secret():
    api = FakeApi()
    assert [ensure_webhook(api, 1, "http://b:1/") for _ in range(2)] == [True, False]
    api.hooks[0]["is_active"] = False
    assert [ensure_webhook(api, 1, "http://b:1") for _ in range(2)] == [True, False]
    api.hooks[0].update(send_for_all_actions=False, actions=["ANNOTATION_CREATED"])
    assert ensure_webhook(api, 1, "http://b:1")
    assert ensure_webhook(api, 1, "http://b:1", secret="s3")
    assert [hook["url"] for hook in api.hooks] == ["http://b:1/webhook", "http://b:1/webhook/s3"]
    api.create_backend(project=2, title="My Click-Pose", url="http://c:2")
    api.create_backend(project=2, title="somebody else's", url="http://d:2")
    assert [ensure_webhooks_of(api, 2) for _ in range(2)] == [True, False]
    assert [hook["url"] for hook in api.webhooks(2)] == ["http://c:2/webhook"]


def test_only_tasks_without_this_version_lack_it():
    versions = [[], ["v1"], ["v1", "v2"], "v2", None, "v1, v2", []]
    api = FakeApi([{"id": i, "predictions_model_versions": version} for i, version in enumerate(versions)])
    assert [task["id"] for task in tasks_without(api, 1, "v2")] == [0, 1, 4, 6]


def test_predictions_of_the_present_version_are_shown():
    api = FakeApi()
    api.create_project(title="x")
    show_predictions(api, 1, "v2")
    assert api.projects[1]["model_version"] == "v2" and api.projects[1]["show_collab_predictions"] is True


def test_setup_makes_a_project_or_takes_one_and_tells_the_backends_login(monkeypatch):
    api = FakeApi()
    monkeypatch.setattr("clickpose_labelstudio.launch.command.connect", lambda url, key: nullcontext(api))
    arguments = ["labelstudio", "setup", "--backend", "http://backend:9090"]
    login = {"CLICKPOSE_BASIC_AUTH_USER": "ls", "CLICKPOSE_BASIC_AUTH_PASSWORD": "p", "CLICKPOSE_WEBHOOK_SECRET": "s"}
    first = CliRunner().invoke(app, [*arguments, "--title", "Skaters"], env=login)
    assert first.output == "Project 1, “Skaters”: edits are refined by http://backend:9090.\n"
    assert "left_wrist" in api.projects[1]["label_config"] and [number for number, _ in api.tabs] == [1]
    again = CliRunner().invoke(app, [*arguments, "--project", "1"], env={**login, "CLICKPOSE_BASIC_AUTH_PASSWORD": "q"})
    assert again.exit_code == 0 and len(api.projects) == len(api.known_backends) == len(api.hooks) == 1
    assert api.known_backends[0]["basic_auth_pass"] == "q" and api.known_backends[0]["auth_method"] == "BASIC_AUTH"
    assert api.hooks[0]["url"] == "http://backend:9090/webhook/s"
    missing = CliRunner().invoke(app, [*arguments, "--project", "5"], env=login)
    assert missing.exit_code != 0 and "got 5, which Label Studio does not have" in missing.stderr
    half = CliRunner().invoke(app, arguments, env={**login, "CLICKPOSE_BASIC_AUTH_USER": ""})
    assert half.exit_code != 0 and "or neither" in half.stderr and len(api.projects) == 1
