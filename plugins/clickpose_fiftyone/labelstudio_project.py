"""The project of a run in Label Studio: made, connected to the backend, filled with photos, read."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import requests

from clickpose_labelstudio.label_studio_auth import LabelStudioError
from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.launch.project import BACKEND_TITLE, register_backend

_MOST_PROJECTS = 100  # that are asked for a backend
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_USUAL_BACKEND = "http://localhost:9090"  # where `clickpose serve` listens unless it is told otherwise
_PROBE_SECONDS = 2.0


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


def delete_project(client: LabelStudioClient, project_id: int) -> None:
    """Delete a project with everything in it; nothing happens where it is gone, or Label Studio is."""
    with contextlib.suppress(LabelStudioError):
        client.call("DELETE", f"/api/projects/{project_id}/", missing_ok=True)


def connect_backend(client: LabelStudioClient, project_id: int, url: str, backend: str | None = None) -> str | None:
    """Connect the backend that refines in a project.

    Args:
        client: of Label Studio.
        project_id: the project.
        url: address of Label Studio.
        backend: address of the backend, as Label Studio reaches it; None for the one that another project has, as
            ``clickpose labelstudio start`` makes it, or that ``clickpose serve`` runs on this machine.

    Returns:
        its address; None where there is none, or none answers.

    Raises:
        LabelStudioError: if the backend that was named does not answer.
    """
    if backend:
        return register_backend(client, project_id, backend)["url"]
    for address in [*_known_backends(client, project_id), *_local_backends(url)]:
        with contextlib.suppress(LabelStudioError):  # it is of a launch that has ended
            return register_backend(client, project_id, address)["url"]
    return None


def _known_backends(client: LabelStudioClient, project_id: int) -> Iterator[str]:
    """Yield the addresses of our backends that other projects of a Label Studio have."""
    answer = client.call("GET", "/api/projects/", params={"page_size": _MOST_PROJECTS})
    others = [known["id"] for known in answer.get("results") or () if known["id"] != project_id]
    found = (backend for other in others for backend in client.backends(other) if backend["title"] == BACKEND_TITLE)
    yield from dict.fromkeys(backend["url"] for backend in found)


def _local_backends(url: str) -> list[str]:
    """Return the address of the backend on this machine, where Label Studio is on it, too, and ours answers there."""
    if urlsplit(url).hostname not in _THIS_MACHINE:
        return []
    try:
        answer = requests.get(_USUAL_BACKEND, timeout=_PROBE_SECONDS).json()
    except (requests.RequestException, ValueError):
        return []
    return [_USUAL_BACKEND] if isinstance(answer, dict) and answer.get("service") == "clickpose" else []


def upload_photo(client: LabelStudioClient, project_id: int, path: str) -> str:
    """Upload a photo without making a task of it; returns what a task's data refers to it by."""
    with Path(path).open("rb") as photo:
        answer = client.call(
            "POST", f"/api/projects/{project_id}/import", params={"commit_to_project": "false"},
            files={"file": (Path(path).name, photo)},
        )  # fmt: skip
    upload = client.call("GET", f"/api/import/file-upload/{answer['file_upload_ids'][0]}")
    return f"/data/{upload['file']}"
