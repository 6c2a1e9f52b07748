"""The references by which tasks name images. No network, no files: only addresses."""

from __future__ import annotations

import base64

CLOUD_SCHEMES = ("s3", "gs", "azure-blob")


def through_label_studio(reference: str, task_id: object) -> str:
    """Turn a cloud storage reference into Label Studio's address for it; other references stay as they are.

    Label Studio holds the credentials of the storage, finds the storage by the task's project, and sends the file or a
    redirect to a signed address.

    Args:
        reference: for example ``s3://bucket/photo.jpg``.
        task_id: id of the task; anything but an int for a task that Label Studio has not saved.
    """
    in_cloud = reference.lower().startswith(tuple(f"{scheme}://" for scheme in CLOUD_SCHEMES))
    if not in_cloud or type(task_id) is not int or task_id < 0:
        return reference
    fileuri = base64.urlsafe_b64encode(reference.encode("utf-8", "replace")).decode()
    return f"/tasks/{task_id}/resolve/?fileuri={fileuri}"
