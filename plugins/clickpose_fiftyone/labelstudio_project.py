"""The project of a run in Label Studio: made, connected to the backend, filled with photos, read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from clickpose_labelstudio.label_studio_auth import LabelStudioError
from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.launch.project import BACKEND_TITLE, register_backend

_MOST_PROJECTS = 100  # that are asked for a backend


def version_of(entry: dict) -> str:
    """Return what differs once an annotation is changed."""
    content = json.dumps([entry.get("id"), entry.get("result")], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def newest_annotation(task: dict) -> dict | None:
    entries = [entry for entry in task.get("annotations") or [] if not entry.get("was_cancelled")]
    return max(entries, key=lambda entry: str(entry.get("updated_at") or ""), default=None)


def create_project(client: LabelStudioClient, title: str, skeleton) -> dict:
    fields = {"title": title if len(title) >= 3 else f"{title} poses", "label_config": build_labeling_config(skeleton)}
    return client.create_project(**fields, show_collab_predictions=True, sampling="Uncertainty sampling")


def connect_backend(client: LabelStudioClient, project_id: int) -> str | None:
    """Connect the backend that another project of this Label Studio has, as ``clickpose labelstudio start`` makes it.

    Returns:
        its address; None where there is none, or it does not answer any more.
    """
    answer = client.call("GET", "/api/projects/", params={"page_size": _MOST_PROJECTS})
    others = [known["id"] for known in answer.get("results") or () if known["id"] != project_id]
    for other in others:
        for backend in client.backends(other):
            if backend["title"] == BACKEND_TITLE:
                try:
                    return register_backend(client, project_id, backend["url"])["url"]
                except LabelStudioError:  # it is of a launch that has ended
                    continue
    return None


def upload_photo(client: LabelStudioClient, project_id: int, path: str) -> str:
    """Upload a photo without making a task of it; returns what a task's data refers to it by."""
    with Path(path).open("rb") as photo:
        answer = client.call(
            "POST", f"/api/projects/{project_id}/import", params={"commit_to_project": "false"},
            files={"file": (Path(path).name, photo)},
        )  # fmt: skip
    upload = client.call("GET", f"/api/import/file-upload/{answer['file_upload_ids'][0]}")
    return f"/data/{upload['file']}"
