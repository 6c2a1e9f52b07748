"""The few calls of Label Studio's HTTP interface that setting up a project takes."""

from __future__ import annotations

from collections.abc import Iterator

import requests

from clickpose_labelstudio.launch.errors import LaunchError

PAGE_SIZE = 500
ANSWER_SECONDS = 60.0
LONG_ANSWER_SECONDS = 3600.0  # importing many photos, predicting several on a slow machine


class LabelStudioApi:
    """Label Studio's HTTP interface.

    Args:
        url: address, without a slash at the end.
        token: legacy API token.
    """

    def __init__(self, url: str, token: str):
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Token {token}"

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def call(self, method: str, path: str, *, missing_ok: bool = False, timeout: float = ANSWER_SECONDS, **request):
        """Call the interface and return the decoded answer; None for 404 if ``missing_ok``.

        Raises:
            LaunchError: if Label Studio cannot be reached or refuses.
        """
        try:
            answer = self._session.request(method, self.url + path, timeout=timeout, **request)
        except requests.RequestException as error:
            raise LaunchError(f"Label Studio did not answer {method} {path}: {error}") from None
        if answer.status_code == 404 and missing_ok:
            return None
        if not answer.ok:
            raise LaunchError(f"Label Studio refused {method} {path} ({answer.status_code}): {answer.text[:500]}")
        return answer.json() if answer.content else None

    def project(self, project_id: int) -> dict | None:
        """Return a project, or None if there is none (any more)."""
        return self.call("GET", f"/api/projects/{project_id}/", missing_ok=True)

    def create_project(self, **fields) -> dict:
        """Create a project."""
        return self.call("POST", "/api/projects/", json=fields)

    def update_project(self, project_id: int, **fields) -> dict:
        """Change fields of a project."""
        return self.call("PATCH", f"/api/projects/{project_id}/", json=fields)

    def local_storages(self, project_id: int) -> list[dict]:
        """Return the local-files storages of a project."""
        return self.call("GET", "/api/storages/localfiles/", params={"project": project_id})

    def create_local_storage(self, **fields) -> dict:
        """Connect a folder to a project."""
        return self.call("POST", "/api/storages/localfiles/", json=fields)

    def sync_local_storage(self, storage_id: int) -> dict:
        """Import the files of a folder that have no task yet."""
        return self.call("POST", f"/api/storages/localfiles/{storage_id}/sync", json={}, timeout=LONG_ANSWER_SECONDS)

    def backends(self, project_id: int) -> list[dict]:
        """Return the machine-learning backends of a project, their state freshly checked."""
        return self.call("GET", "/api/ml/", params={"project": project_id})

    def create_backend(self, **fields) -> dict:
        """Register a backend; Label Studio checks that it answers."""
        return self.call("POST", "/api/ml/", json=fields)

    def update_backend(self, backend_id: int, **fields) -> dict:
        """Change a backend."""
        return self.call("PATCH", f"/api/ml/{backend_id}", json=fields)

    def tasks(self, project_id: int) -> Iterator[dict]:
        """Yield the tasks of a project with the versions of their predictions."""
        page, seen = 1, 0
        while True:
            wanted = {"fields": "all", "include": "id,predictions_model_versions"}
            params = {"project": project_id, "page": page, "page_size": PAGE_SIZE, **wanted}
            answer = self.call("GET", "/api/tasks/", params=params)
            yield from answer["tasks"]
            seen += len(answer["tasks"])
            if seen >= answer["total"] or not answer["tasks"]:
                return
            page += 1

    def predict(self, project_id: int, task_ids: list[int]) -> None:
        """Let Label Studio get and keep predictions for tasks."""
        self.call(
            "POST",
            "/api/dm/actions",
            params={"id": "retrieve_tasks_predictions", "project": project_id},
            json={"selectedItems": {"all": False, "included": task_ids}},
            timeout=LONG_ANSWER_SECONDS,
        )
