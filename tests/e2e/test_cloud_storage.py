"""Photos in a bucket, through the S3 storage of the real Label Studio; no browser is needed."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from clickpose_labelstudio.app import create_app
from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.settings import ServiceSettings
from helpers.object_store import object_store

pytestmark = pytest.mark.browser

KEYS = ["a.png", "sub folder/b ä.png"]


def png(grey: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((480, 640, 3), grey, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def bucket():
    """A store with two photos."""
    with object_store({key: png(80 + 40 * index) for index, key in enumerate(KEYS)}) as store:
        yield store


@pytest.fixture
def cloud_project(stack, bucket):
    """Makes a project of the bucket's photos, connected to the backend; returns its number and task numbers."""
    api, made = stack.api(), []

    def make(presign: bool) -> tuple[int, list[int]]:
        project = api.create_project(title="Cloud", label_config=build_labeling_config())["id"]
        made.append(project)
        storage = api.call(
            "POST",
            "/api/storages/s3/",
            json={
                "project": project, "bucket": "photos", "s3_endpoint": bucket.url, "region_name": "us-east-1",
                "aws_access_key_id": "key", "aws_secret_access_key": "secret", "presign": presign,
                "use_blob_urls": True, "recursive_scan": True, "regex_filter": r".*\.png",
            },
        )  # fmt: skip
        synced = api.call("POST", f"/api/storages/s3/{storage['id']}/sync", json={})
        assert synced["last_sync_count"] == len(KEYS), synced
        api.create_backend(url=stack.backend.url, project=project, title="Click-Pose", is_interactive=True)
        return project, [task["id"] for task in api.tasks(project)]

    yield make
    for project in made:
        api.call("DELETE", f"/api/projects/{project}/")
    api.close()


@pytest.fixture
def allow(stack, tmp_path):
    """Serves the backend with further hosts allowed, as a context manager."""

    def serving(*hosts: str):
        settings = ServiceSettings(
            cache_dir=tmp_path / "cache", label_studio_url=stack.loop.url, allowed_hosts=hosts,
            label_studio_api_key=stack.loop.credentials.token,
        )  # fmt: skip
        return stack.backend.serving(create_app(settings, load_predictor=lambda: stack.predictor))

    return serving


@pytest.mark.parametrize("presign", [False, True], ids=["sent by Label Studio", "signed addresses"])
def test_photos_of_a_bucket_are_labelled_and_refined(stack, bucket, cloud_project, allow, presign):
    with allow(*(["127.0.0.1"] if presign else [])), stack.api() as api:
        project, tasks = cloud_project(presign)
        api.predict(project, tasks)
        found = list(api.tasks(project))
        assert sorted(task["data"]["image"] for task in found) == [f"s3://photos/{key}" for key in KEYS]
        results = [task["predictions"][0]["result"] for task in found]
        assert [sum(item["type"] == "rectanglelabels" for item in result) for result in results] == [2, 2]
        assert sorted(bucket.signed) == (KEYS if presign else [])

        nose = next(item for item in results[0] if item["id"].endswith("-nose"))
        nose["value"]["x"] += 1.0
        context = {"result": results[0], "edited": [nose["id"]]}
        (backend,) = api.backends(project)
        path = f"/api/ml/{backend['id']}/interactive-annotating"
        answer = api.call("POST", path, json={"task": found[0]["id"], "context": context})["data"]
        assert {item["id"] for item in answer["result"]} >= {nose["id"], nose["parentID"]}
        assert next(i["value"]["x"] for i in answer["result"] if i["id"] == nose["id"]) == nose["value"]["x"]


def test_a_bucket_of_a_host_that_is_not_allowed_is_named_in_the_log(stack, bucket, cloud_project, allow, caplog):
    with allow(), stack.api() as api:
        project, tasks = cloud_project(presign=True)
        api.predict(project, tasks)
        assert [task["predictions"] for task in api.tasks(project)] == [[], []]
    assert "an operator can allow it with --allow-host 127.0.0.1" in caplog.text
    assert bucket.signed == []
