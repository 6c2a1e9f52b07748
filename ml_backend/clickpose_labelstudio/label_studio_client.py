"""Label Studio's HTTP interface: the calls that the commands and the launcher make, as one class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests

from clickpose_labelstudio.label_studio_auth import LabelStudioAuth, LabelStudioError

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
LONG_ANSWER_SECONDS = 3600.0  # importing many photos, predicting several on a slow machine
TASKS_PER_PAGE = 100


class LabelStudioClient:
    """Asks Label Studio for things; close it, or use it in a ``with`` block. Every method raises LabelStudioError.

    Args:
        url: address of Label Studio.
        api_key: legacy token or personal access token.
        use_proxies: heed the proxies of the environment; a Label Studio on this machine is reached without.
    """

    def __init__(self, url: str, api_key: str, *, use_proxies: bool = True):
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = use_proxies
        self._auth = LabelStudioAuth(self._url, api_key, self._session)

    def __enter__(self) -> LabelStudioClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def call(
        self, method: str, path: str, *, missing_ok: bool = False, timeout_s: float = ANSWER_SECONDS, **request: Any
    ) -> Any:
        """Call the interface and return the decoded answer, None where there is none.

        Args:
            method: of HTTP.
            path: below the address of Label Studio.
            missing_ok: return None for what is not there, instead of raising.
            timeout_s: seconds to wait for the answer.
            request: further arguments of :func:`requests.request`, such as ``json`` and ``params``.

        Raises:
            LabelStudioError: if Label Studio cannot be reached, refuses, or answers without JSON.
        """
        try:
            response = self._session.request(
                method, self._url + path, headers=self._auth.header(), timeout=(CONNECT_SECONDS, timeout_s),
                allow_redirects=False, **request,
            )  # fmt: skip
        except requests.RequestException as error:
            raise LabelStudioError(
                f"Label Studio at {self._url} could not be reached: {type(error).__name__}"
            ) from None
        if response.status_code == 404 and missing_ok:
            return None
        if response.status_code in (401, 403):
            wanted = "refused the API key" if response.request.headers.get("Authorization") else "wants an API key"
            raise LabelStudioError(
                f"Label Studio at {self._url} {wanted} for {path} (status {response.status_code}); "
                "its Account & Settings page has one"
            )
        if not response.ok or response.is_redirect:
            raise LabelStudioError(
                f"Label Studio answered {method} {path} with status {response.status_code}: {response.text[:500]}"
            )
        try:
            return response.json() if response.content else None
        except ValueError:
            raise LabelStudioError(f"Label Studio at {self._url} answered {method} {path} without JSON") from None

    def project(self, project_id: int) -> dict | None:
        """Return a project, or None if there is none (any more)."""
        return self.call("GET", f"/api/projects/{project_id}/", missing_ok=True)

    def label_config(self, project_id: int) -> str:
        """Return the labelling configuration of a project, which must be there."""
        found = self.project(project_id)
        if found is None:
            raise LabelStudioError(f"Expected the number of a project, got {project_id}, which is not there")
        return found["label_config"]

    def create_project(self, **fields: object) -> dict:
        """Create a project."""
        return self.call("POST", "/api/projects/", json=fields)

    def update_project(self, project_id: int, **fields: object) -> dict:
        """Change fields of a project."""
        return self.call("PATCH", f"/api/projects/{project_id}/", json=fields)

    def create_tab(self, project_id: int, tab: dict) -> dict:
        """Add a tab to the list of a project's tasks: which columns it shows, in which order."""
        return self.call("POST", "/api/dm/views/", json={"project": project_id, "data": tab})

    def tabs(self, project_id: int) -> list[dict]:
        """Return the tabs of the list of a project's tasks."""
        return self.call("GET", "/api/dm/views/", params={"project": project_id})

    def local_storages(self, project_id: int) -> list[dict]:
        """Return the local-files storages of a project."""
        return self.call("GET", "/api/storages/localfiles/", params={"project": project_id})

    def create_local_storage(self, **fields: object) -> dict:
        """Connect a folder to a project."""
        return self.call("POST", "/api/storages/localfiles/", json=fields)

    def update_local_storage(self, storage_id: int, **fields: object) -> dict:
        """Change a local-files storage."""
        return self.call("PATCH", f"/api/storages/localfiles/{storage_id}", json=fields)

    def backends(self, project_id: int) -> list[dict]:
        """Return the machine-learning backends of a project, their state freshly checked."""
        return self.call("GET", "/api/ml/", params={"project": project_id})

    def create_backend(self, **fields: object) -> dict:
        """Register a backend; Label Studio checks that it answers."""
        return self.call("POST", "/api/ml/", json=fields)

    def update_backend(self, backend_id: int, **fields: object) -> dict:
        """Change a backend."""
        return self.call("PATCH", f"/api/ml/{backend_id}", json=fields)

    def webhooks(self, project_id: int) -> list[dict]:
        """Return the webhooks of a project."""
        return self.call("GET", "/api/webhooks/", params={"project": project_id})

    def create_webhook(self, **fields: object) -> dict:
        """Let Label Studio tell an address what happens in a project."""
        return self.call("POST", "/api/webhooks/", json=fields)

    def update_webhook(self, webhook_id: int, **fields: object) -> dict:
        """Change a webhook."""
        return self.call("PATCH", f"/api/webhooks/{webhook_id}/", json=fields)

    def tasks(self, project_id: int, **query: object) -> Iterator[dict]:
        """Yield the tasks of a project, with whole annotations and predictions unless ``query`` asks for less.

        Label Studio's export holds only the numbers of predictions; its list of tasks holds everything.
        """
        page, seen = 1, 0
        while True:
            wanted = {"project": project_id, "fields": "all", "resolve_uri": False, **query}
            params = {**wanted, "page": page, "page_size": wanted.get("page_size", TASKS_PER_PAGE)}
            answer = self.call("GET", "/api/tasks/", params=params, timeout_s=LONG_ANSWER_SECONDS)
            yield from answer["tasks"]
            seen += len(answer["tasks"])
            if seen >= answer["total"] or not answer["tasks"]:
                return
            page += 1

    def import_tasks(self, project_id: int, tasks: list[dict]) -> None:
        """Add tasks, with their predictions and annotations, to a project."""
        self.call("POST", f"/api/projects/{project_id}/import", json=tasks, timeout_s=LONG_ANSWER_SECONDS)

    def import_predictions(self, project_id: int, predictions: list[dict]) -> None:
        """Add predictions to tasks of a project, each with the number of its ``task``."""
        path = f"/api/projects/{project_id}/import/predictions"
        self.call("POST", path, json=predictions, timeout_s=LONG_ANSWER_SECONDS)

    def create_annotation(self, task_id: int, **fields: object) -> None:
        """Add a finished annotation to a task."""
        self.call("POST", f"/api/tasks/{task_id}/annotations/", json=fields)

    def update_task(self, task_id: int, **fields: object) -> None:
        """Change fields of a task."""
        self.call("PATCH", f"/api/tasks/{task_id}/", json=fields)

    def can_show(self, reference: str) -> bool:
        """Tell whether Label Studio has a photo at a path of its own, or sends elsewhere for it."""
        try:
            with self._session.get(
                self._url + reference, headers=self._auth.header(), stream=True, allow_redirects=False,
                timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
            ) as response:  # fmt: skip
                return response.ok
        except requests.RequestException:
            return False

    def predict(self, project_id: int, task_ids: list[int]) -> None:
        """Let Label Studio get and keep predictions for tasks."""
        self.call(
            "POST",
            "/api/dm/actions",
            params={"id": "retrieve_tasks_predictions", "project": project_id},
            json={"selectedItems": {"all": False, "included": task_ids}},
            timeout_s=LONG_ANSWER_SECONDS,
        )
