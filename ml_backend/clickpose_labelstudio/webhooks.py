"""The webhook by which Label Studio tells the backend what was labelled: set up where it is not there yet.

Label Studio makes one when a backend is connected, but leaves it where it was when the backend moves to another port,
and knows nothing of the webhook's secret.
"""

from __future__ import annotations

from collections.abc import Mapping

from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.learning.events import ACTIONS, TRAIN

WANTED = tuple(action for action in ACTIONS if action != TRAIN)  # that wish comes with the login, as predictions do
BACKEND_TITLE = "Click-Pose"


def webhook_url(backend_url: str, secret: str = "") -> str:
    """Return where a backend takes webhooks."""
    return f"{backend_url.rstrip('/')}/webhook" + (f"/{secret}" if secret else "")


def ensure_webhook(
    api: LabelStudioClient, project_id: int, backend_url: str, *, secret: str = "", moved_from: str | None = None
) -> bool:
    """See that Label Studio tells a backend of annotations; return whether something had to be changed.

    Args:
        api: of a running Label Studio.
        project_id: number of the project.
        backend_url: as Label Studio reaches it.
        secret: of the webhook's address; empty for none.
        moved_from: the backend's address before, whose webhook is moved along.

    Raises:
        LabelStudioError: if Label Studio refuses.
    """
    url = webhook_url(backend_url, secret)
    hooks = api.webhooks(project_id)
    known = next((hook for hook in hooks if hook.get("url") == url), None)
    if known is not None and _tells_enough(known):
        return False
    if known is None and moved_from is not None:
        old = {webhook_url(moved_from), webhook_url(moved_from, secret)}
        known = next((hook for hook in hooks if hook.get("url") in old), None)
    fields = {"url": url, "is_active": True, "send_payload": True, "send_for_all_actions": True}
    if known is None:
        api.create_webhook(project=project_id, **fields)
    else:
        api.update_webhook(known["id"], **fields)
    return True


def ensure_webhooks_of(api: LabelStudioClient, project_id: int, secret: str = "") -> bool:
    """Do :func:`ensure_webhook` for the Click-Pose backends that a project has; return whether something changed."""
    ours = [backend for backend in api.backends(project_id) if BACKEND_TITLE in str(backend.get("title"))]
    return any([ensure_webhook(api, project_id, backend["url"], secret=secret) for backend in ours])


def _tells_enough(hook: Mapping) -> bool:
    told = hook.get("send_for_all_actions") or set(WANTED) <= set(hook.get("actions") or ())
    return bool(hook.get("is_active") and hook.get("send_payload") and told)
