"""Make or reuse the project of a photo folder: configuration, photos, backend, predictions. Nothing is ever deleted."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote

from clickpose.skeleton import COCO, Skeleton
from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.launch.folder import DataFolder
from clickpose_labelstudio.launch.photos import DEMO_FOLDER, CheckedPhotos, PhotoFolder, some_of
from clickpose_labelstudio.references import LOCAL_FILES_PATH, file_name_of, reference_to
from clickpose_labelstudio.webhooks import BACKEND_TITLE, ensure_webhook

WANTED = "id,data,predictions_model_versions"  # all that is asked about tasks
PATHS_ONLY = {"include": "id,data", "fields": "task_only", "page_size": 1000}
IMPORTED_AT_ONCE = 1000
NO_FILE = "(?!)"  # a pattern that no file name fits
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
    project = create_project(api, photos.title, lambda made: folder.remember_project(photos.source, made["id"]))
    say(f"Made the project “{project['title']}”.")
    return project


def create_project(
    api: LabelStudioClient, title: str, made: Callable[[dict], None] = lambda _: None, skeleton: Skeleton = COCO
) -> dict:
    """Create a project that labels the joints of a skeleton; ``made`` is told of it before anything else is done."""
    project = api.create_project(
        title=title,
        label_config=build_labeling_config(skeleton),
        expert_instruction=INSTRUCTION,
        show_collab_predictions=True,
        sampling="Uncertainty sampling",  # lowest predicted OKS first
        color="#2C7BB6",
    )
    made(project)
    api.create_tab(project["id"], DOUBTFUL_FIRST)
    return project


def import_photos(
    api: LabelStudioClient, project_id: int, folder: DataFolder, photos: PhotoFolder, found: CheckedPhotos, say: Say
) -> None:
    """Make a task for every photo that browsers show and that has none yet.

    Label Studio's own import of a folder takes a minute for a thousand photos, and what cannot be shown along. Here it
    gets them as a list, and the folder as a place that it may serve files from.
    """
    link = photos.link_below(folder.photos)
    _serve_files(api, project_id, photos, str(link))
    prefix = f"{LOCAL_FILES_PATH}?d={link.name}/"
    known = {path for task in api.tasks(project_id, **PATHS_ONLY) if (path := _path_below(prefix, task)) is not None}
    fresh = [path for path in found.shown if path not in known]
    for start in range(0, len(fresh), IMPORTED_AT_ONCE):
        some = fresh[start : start + IMPORTED_AT_ONCE]
        api.import_tasks(project_id, [{"data": {"image": reference_to(prefix, path)}} for path in some])
    say(f"{len(found.shown)} photos, {len(fresh)} of them new.")
    if photos.source != DEMO_FOLDER.resolve():
        for sentence in found.sentences():
            say(sentence)
    if gone := photos.gone(sorted(known.difference(found.shown))):
        say(f"No longer in the folder: {some_of(gone)}; what has been labelled there is kept.")


def _serve_files(api: LabelStudioClient, project_id: int, photos: PhotoFolder, path: str) -> None:
    """Let Label Studio serve a folder to a project; its button "Sync" adds nothing, since it would add all anew."""
    fields = {"title": photos.source.name, "path": path, "regex_filter": NO_FILE, "use_blob_urls": True}
    known = next((storage for storage in api.local_storages(project_id) if storage["path"] == path), None)
    if known is None:
        api.create_local_storage(project=project_id, recursive_scan=True, **fields)
    elif known.get("regex_filter") != NO_FILE:  # an earlier release let it scan the folder
        api.update_local_storage(known["id"], project=project_id, **fields)


def _path_below(prefix: str, task: dict) -> str | None:
    """Return the path of a task's photo below the folder whose references begin so; None for others."""
    image = (task.get("data") or {}).get("image")
    if not isinstance(image, str):
        return None
    _, found, path = image.partition(prefix)  # an address of the host may stand before
    return unquote(path) if found else None


def register_backend(
    api: LabelStudioClient, project_id: int, url: str, webhook_secret: str = "", login: tuple[str, str] | None = None
) -> dict:
    """Connect the backend as interactive, its webhook along; after a change of port, the same entries are changed.

    Args:
        api: of a running Label Studio.
        project_id: number of the project.
        url: the backend's address as Label Studio reaches it.
        webhook_secret: of the webhook's address; empty for none.
        login: user and password that the backend asks for; Label Studio keeps them, and tells nobody the password.
    """
    fields = {"url": url, "project": project_id, "title": BACKEND_TITLE, "is_interactive": True}
    if login is not None:
        fields |= {"auth_method": "BASIC_AUTH", "basic_auth_user": login[0], "basic_auth_pass": login[1]}
    known = next((b for b in api.backends(project_id) if b["title"] == BACKEND_TITLE), None)
    moved_from = None
    if known is None:
        known = api.create_backend(**fields)
    elif known["url"] != url or not known["is_interactive"] or login is not None:
        moved_from = known["url"]
        known = api.update_backend(known["id"], **fields)
    ensure_webhook(api, project_id, url, secret=webhook_secret, moved_from=moved_from)
    return next(b for b in api.backends(project_id) if b["id"] == known["id"])


def tasks_without(api: LabelStudioClient, project_id: int, version: str | None) -> list[dict]:
    """Return the tasks that have no prediction of a model version."""
    return [task for task in api.tasks(project_id, include=WANTED, page_size=1000) if not _has_version(task, version)]


def file_name(task: dict) -> str:
    """Return the path of a task's photo in its folder."""
    image = (task.get("data") or {}).get("image")
    name = file_name_of(image) if isinstance(image, str) else None
    below_link = (name or "").partition("/")[2]  # the link of the photo folder comes first
    return below_link or name or f"task {task['id']}"


def _has_version(task: dict, version: str | None) -> bool:
    versions = task.get("predictions_model_versions") or []
    if isinstance(versions, str):
        versions = versions.split(",")
    return version in [str(v).strip() for v in versions]


def show_predictions(api: LabelStudioClient, project_id: int, version: str | None) -> None:
    """Let a task that is opened start from the predictions of a model version, as editable regions.

    Raises:
        LabelStudioError: if there is no prediction of that version.
    """
    api.update_project(project_id, model_version=version or "", show_collab_predictions=True)
