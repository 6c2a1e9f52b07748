"""Make or reuse the project of a photo folder: configuration, photos, backend, predictions. Nothing is ever deleted."""

from __future__ import annotations

from collections.abc import Callable

from clickpose.skeleton import COCO
from clickpose_labelstudio.label_studio_auth import LabelStudioError
from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.launch.errors import LaunchError
from clickpose_labelstudio.launch.folder import DataFolder
from clickpose_labelstudio.launch.photos import DEMO_FOLDER, FILE_NAME_PATTERN, PhotoFolder
from clickpose_labelstudio.references import file_name_of

BACKEND_TITLE = "Click-Pose"
BATCH = 4  # photos predicted by one request; Label Studio waits 100 s for it
WANTED = "id,data,predictions_model_versions"  # all that is asked about tasks
Say = Callable[[str], None]

INSTRUCTION = (
    "<p>Drag a wrong keypoint to its place: the other joints and the box of that person follow. "
    "Draw an empty <b>person</b> box to add somebody. "
    "Shift+B bones, Shift+V visible or occluded, Shift+A accept the person.</p>"
)
# The first tab of a new project: the photo with the lowest predicted OKS comes first, and its column is shown.
RARELY_WANTED = (
    "inner_id", "annotations_results", "annotations_ids", "predictions_model_versions", "predictions_results",
    "file_upload", "storage_filename", "created_at", "updated_at", "updated_by", "avg_lead_time", "draft_exists",
)  # fmt: skip
NOT_BESIDE_A_PHOTO = (  # while it is labelled, the list is narrow
    *RARELY_WANTED, "id", "completed_at", "cancelled_annotations", "total_predictions", "annotators",
    "predictions_score",
)  # fmt: skip
DOUBTFUL_FIRST = {
    "title": "Doubtful first",
    "type": "list",
    "target": "tasks",
    "ordering": ["tasks:predictions_score"],
    "hiddenColumns": {
        "explore": [f"tasks:{column}" for column in RARELY_WANTED],
        "labeling": [f"tasks:{column}" for column in NOT_BESIDE_A_PHOTO],
    },
    "filters": {"conjunction": "and", "items": []},
}


def ensure_project(api: LabelStudioClient, folder: DataFolder, photos: PhotoFolder, say: Say) -> dict:
    """Return the project of a photo folder; create it if there is none (any more)."""
    known = folder.project_id(photos.source)
    project = api.project(known) if known is not None else None
    if project is not None:
        say(f"Using the project “{project['title']}” again; all annotations are kept.")
        return project
    project = api.create_project(
        title=photos.title,
        label_config=build_labeling_config(COCO),
        expert_instruction=INSTRUCTION,
        show_collab_predictions=True,
        sampling="Uncertainty sampling",  # lowest predicted OKS first
        color="#2C7BB6",
    )
    folder.remember_project(photos.source, project["id"])
    api.create_tab(project["id"], DOUBTFUL_FIRST)
    say(f"Made the project “{project['title']}”.")
    return project


def import_photos(api: LabelStudioClient, project_id: int, folder: DataFolder, photos: PhotoFolder, say: Say) -> None:
    """Make a task for every photo of the folder that has none yet."""
    path = str(photos.link_below(folder.photos))
    storage = next((known for known in api.local_storages(project_id) if known["path"] == path), None)
    if storage is None:
        storage = api.create_local_storage(
            project=project_id,
            title=photos.source.name,
            path=path,
            regex_filter=FILE_NAME_PATTERN,
            use_blob_urls=True,
            recursive_scan=True,
        )
    say(f"Importing photos from {photos.source} …")
    answer = api.sync_local_storage(storage["id"])
    if answer.get("status") == "failed":
        raise LaunchError(f"Label Studio could not import the photos: {answer.get('traceback') or answer}")
    say(f"{photos.count()} photos, {answer.get('last_sync_count') or 0} of them new.")
    if photos.source != DEMO_FOLDER.resolve() and (left_out := photos.left_out()):
        say(f"Left out for their endings: {left_out}.")


def register_backend(api: LabelStudioClient, project_id: int, url: str) -> dict:
    """Connect the backend as interactive; after a change of port, the same entry is changed."""
    fields = {"url": url, "project": project_id, "title": BACKEND_TITLE, "is_interactive": True}
    known = next((b for b in api.backends(project_id) if b["title"] == BACKEND_TITLE), None)
    if known is None:
        known = api.create_backend(**fields)
    elif known["url"] != url or not known["is_interactive"]:
        known = api.update_backend(known["id"], **fields)
    return next(b for b in api.backends(project_id) if b["id"] == known["id"])


def predict_missing(api: LabelStudioClient, project_id: int, backend: dict, say: Say) -> list[str]:
    """Get predictions for the tasks that have none of the backend's present model version.

    Returns:
        the file names of the tasks still without one, such as those whose photo cannot be read.
    """
    version = backend.get("model_version")
    waiting = [task["id"] for task in _tasks_without(api, project_id, version)]
    for start in range(0, len(waiting), BATCH):
        _predict_batch(api, project_id, waiting[start : start + BATCH])
        say(f"Pre-annotating: {min(start + BATCH, len(waiting))} of {len(waiting)} photos")
    return [_file_name(task) for task in _tasks_without(api, project_id, version)] if waiting else []


def _tasks_without(api: LabelStudioClient, project_id: int, version: str | None) -> list[dict]:
    """Return the tasks that have no prediction of a model version."""
    return [task for task in api.tasks(project_id, include=WANTED) if not _has_version(task, version)]


def _file_name(task: dict) -> str:
    image = (task.get("data") or {}).get("image")
    name = file_name_of(image) if isinstance(image, str) else None
    below_link = (name or "").partition("/")[2]  # the link of the photo folder comes first
    return below_link or name or f"task {task['id']}"


def _has_version(task: dict, version: str | None) -> bool:
    versions = task.get("predictions_model_versions") or []
    if isinstance(versions, str):
        versions = versions.split(",")
    return version in [str(v).strip() for v in versions]


def _predict_batch(api: LabelStudioClient, project_id: int, task_ids: list[int]) -> None:
    """Predict some tasks; if Label Studio refuses a batch as a whole, each of them alone."""
    try:
        api.predict(project_id, task_ids)
    except LabelStudioError:
        for task_id in task_ids if len(task_ids) > 1 else ():
            _predict_batch(api, project_id, [task_id])


def show_predictions(api: LabelStudioClient, project_id: int, backend: dict) -> None:
    """Let a task that is opened start from the predictions of the present model version, as editable regions."""
    api.update_project(project_id, model_version=backend.get("model_version") or "", show_collab_predictions=True)
