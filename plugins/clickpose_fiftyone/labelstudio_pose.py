"""Poses to Label Studio and back: the annotation backend ``labelstudio_pose``.

FiftyOne's own integration merges all people of a photo and forgets visibility; this one shares the codec of the Label
Studio backend. The task data holds ``sample_id`` and ``label_ids`` (region id -> label id), so everybody comes back
to where they were; photos that nobody annotated stay as they are.
"""

from __future__ import annotations

import os
import webbrowser
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count

import fiftyone.core.media as fom
import fiftyone.utils.annotations as foua

from clickpose.data.notes import Notes, note
from clickpose_fiftyone.field_names import PRED_OKS, person_path
from clickpose_fiftyone.fiftyone_internals import RestoredResults, root_dataset_of, take_parameters
from clickpose_fiftyone.labelstudio_labels import aware, current_labels
from clickpose_fiftyone.labelstudio_merge import Merged, Synced, merge_photo
from clickpose_fiftyone.labelstudio_project import (
    connect_backend,
    create_project,
    delete_project,
    newest_annotation,
    upload_photo,
    version_of,
)
from clickpose_fiftyone.labelstudio_tasks import MODEL_VERSION, make_tasks
from clickpose_fiftyone.skeletons import skeleton_of
from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.labeling_config import LabelingConfig, parse_labeling_config

KEY_VARIABLE = "LABEL_STUDIO_API_KEY"  # read when a key is needed and none is given
_BATCH = 50


class LabelStudioPoseBackendConfig(foua.AnnotationBackendConfig):
    """Options of the backend.

    Args:
        name, label_schema, media_field: as FiftyOne gives them.
        url: address of Label Studio.
        api_key: legacy token or personal access token; never stored. Without, ``LABEL_STUDIO_API_KEY`` of the
            environment.
        project_name: title of the project that is made.
        progress: called with (photos uploaded, photos in all).
        backend_url: address of a running backend, as Label Studio reaches it; None to look for one.

    Attributes:
        connected: address of the backend that refines in the project; None without one.
    """

    def __init__(
        self, name, label_schema, media_field="filepath", url="http://localhost:8080", api_key=None,
        project_name="FiftyOne corrections", progress=None, backend_url=None, **kwargs,
    ):  # fmt: skip
        super().__init__(name, label_schema, media_field=media_field, **kwargs)
        self.url = url
        self.project_name = project_name
        self._api_key = api_key  # private: FiftyOne stores public attributes in the database
        self._progress = progress
        self.backend_url = backend_url
        self.connected = None

    @property
    def api_key(self):
        """The key, for this process only."""
        return self._api_key

    @api_key.setter
    def api_key(self, value):
        self._api_key = value

    def tell(self, done: int, total: int) -> None:
        """Report the progress of sending."""
        if self._progress is not None:
            self._progress(done, total)

    def load_credentials(self, url=None, api_key=None):
        """Take address and key that are given when a run is loaded again."""
        take_parameters(self, url=url, api_key=api_key)


class LabelStudioPoseBackend(foua.AnnotationBackend):
    """Uploads photos with poses and takes the annotations back."""

    supported_media_types = (fom.IMAGE,)
    supported_label_types = ("keypoints",)
    supported_scalar_types = ()
    supported_attr_types = ()
    supports_keyframes = False
    supports_video_sample_fields = False
    requires_label_schema = False

    def recommend_attr_tool(self, name, value):
        """No attribute is edited by a tool of its own."""
        return {"type": "text"}

    def requires_attr_values(self, attr_type):
        """No attribute is edited."""
        return False

    def client(self) -> LabelStudioClient:
        """Return a client; close it."""
        key = self.config.api_key or os.environ.get(KEY_VARIABLE, "")
        return LabelStudioClient(self.config.url, key)

    def upload_annotations(self, samples, anno_key, launch_editor=False):
        """Make a project with the photos and poses of a view."""
        if len(self.config.label_schema) != 1:
            raise ValueError(f"Expected one field to send, got {len(self.config.label_schema)}")
        field = next(iter(self.config.label_schema))
        with self.client() as client:
            project = create_project(client, self.config.project_name, skeleton_of(samples, field))
            try:
                self.config.connected = connect_backend(client, project["id"], self.config.url, self.config.backend_url)
                tasks = self._upload(client, project["id"], samples, field)
            except BaseException:  # an empty or half project helps nobody
                delete_project(client, project["id"])
                raise
            client.update_project(project["id"], model_version=MODEL_VERSION, show_collab_predictions=True)
        id_map = {task["data"]["sample_id"]: list(task["data"]["label_ids"].values()) for task in tasks}
        results = LabelStudioPoseResults(
            samples, self.config, anno_key, {field: id_map}, project["id"], self.config.url, backend=self
        )
        if launch_editor:
            results.launch_editor()
        return results

    def _upload(self, client: LabelStudioClient, project_id: int, samples, field: str) -> list[dict]:
        """Upload photos and make their tasks; returns these."""
        done, total = count(1), len(samples)

        def upload(path: str) -> str:
            reference = upload_photo(client, project_id, path)
            self.config.tell(next(done), total)
            return reference

        tasks = make_tasks(samples, field, upload)
        for start in range(0, len(tasks), _BATCH):
            client.import_tasks(project_id, tasks[start : start + _BATCH])
        return tasks

    def download_annotations(self, results):
        """Return {field: {"keypoints": {sample id: {label id: keypoint}}}} of all photos that were sent."""
        returned = self.returned(results)
        everybody, _ = current_labels(root_dataset_of(results.samples), returned.field, results.sent_photos)
        labels = {sample_id: photo.labels for sample_id, photo in returned.photos.items()}
        return {returned.field: {"keypoints": {**everybody, **labels}}}

    def returned(self, results) -> Returned:
        """Read what people have submitted since it was taken back last; nothing is written."""
        field, dataset = results.field, root_dataset_of(results.samples)
        skeleton = skeleton_of(results.samples, field)
        config, tasks = self._submitted(results, skeleton)
        scored = dataset.get_field(person_path(field, PRED_OKS)) is not None
        returned = Returned(field=field)
        fresh = {}
        for task, entry in tasks:
            sample_id = task["data"].get("sample_id")
            if (results.synced.get(sample_id) or {}).get("version") == version_of(entry):
                returned.seen += 1  # taken back before; what was corrected here since stays
            else:
                fresh[sample_id] = task, entry
        people, changed_at = current_labels(dataset, field, [sample_id for sample_id in fresh if sample_id])
        for sample_id, (task, entry) in fresh.items():
            if sample_id not in people:
                note(returned.notes, "submitted photos that are not in the dataset any more, left out")
                continue
            sent, stored = Synced.sent(task, config), results.synced.get(sample_id)
            merged = merge_photo(
                entry.get("result"), config, people[sample_id],
                sent if stored is None else Synced.from_dict(stored, sent),
                scored=scored, later_here=_is_later(changed_at.get(sample_id), entry), notes=returned.notes,
            )  # fmt: skip
            returned.photos[sample_id] = merged
            returned.synced[sample_id] = replace(merged.synced, version=version_of(entry)).to_dict(sent)
        return returned

    def _submitted(self, results, skeleton) -> tuple[LabelingConfig, list[tuple[dict, dict]]]:
        """Return the project's configuration, and each task that somebody submitted with its newest annotation."""
        with self.client() as client:
            project = client.project(results.project_id)
            if project is None:
                raise ValueError(
                    f"Expected project {results.project_id} in {self.config.url}, it is not there any more"
                )
            tasks = [(task, newest_annotation(task)) for task in client.tasks(results.project_id)]
        config = parse_labeling_config(project["label_config"], skeleton)
        return config, [(task, entry) for task, entry in tasks if entry is not None]


@dataclass(kw_only=True)
class Returned:
    """What came back of a run.

    Attributes:
        field: Keypoints field that was sent.
        photos: sample id -> what becomes of the photos that somebody submitted, but for those that were taken back
            before.
        synced: of those photos, what to compare with the next time.
        seen: photos that were taken back before, and that nobody changed in Label Studio since.
        notes: what was left out -> how often.
    """

    field: str
    photos: dict[str, Merged] = field(default_factory=dict)
    synced: dict[str, dict] = field(default_factory=dict)
    seen: int = 0
    notes: Notes = field(default_factory=Counter)


def _is_later(changed_at: datetime | None, entry: dict) -> bool:
    """Tell whether a photo was changed here after an annotation was; not, where nobody knows."""
    try:
        annotated = datetime.fromisoformat(str(entry.get("updated_at")).replace("Z", "+00:00"))
    except ValueError:
        return False
    return changed_at is not None and changed_at > aware(annotated)


class LabelStudioPoseResults(RestoredResults, foua.AnnotationResults):
    """A run: which project holds it, and what came back of it.

    Args:
        project_id: id in Label Studio.
        url: its address.
        synced: sample id -> how its people were when they were taken back last (:class:`.Synced`).
        loads: what each load has changed, the last one last (:mod:`.labelstudio_undo`).
    """

    def __init__(self, samples, config, anno_key, id_map, project_id, url, synced=None, loads=None, backend=None):
        super().__init__(samples, config, anno_key, id_map, backend=backend)
        self.project_id = project_id
        self.url = url
        self.synced = dict(synced or {})
        self.loads = list(loads or [])

    @property
    def field(self) -> str:
        """The Keypoints field that was sent."""
        return next(iter(self.config.label_schema))

    @property
    def sent_photos(self) -> list[str]:
        """Ids of the photos that were sent."""
        return list(self.id_map.get(self.field, {}))

    def remember_address(self) -> None:
        """Keep the address that has just answered, if it is another than the run's."""
        if self.config.url != self.url:
            self.url = self.config.url
            self.save_config()

    def launch_editor(self):
        """Open the project in a browser."""
        webbrowser.open(f"{self.url.rstrip('/')}/projects/{self.project_id}/data")

    def cleanup(self):
        """Delete the project with everything in it."""
        with self.backend.client() as client:
            delete_project(client, self.project_id)

    @classmethod
    def restore(cls, stored, samples, config, key, **kwargs):
        """Return the run from what FiftyOne stored of it."""
        kept = {name: stored.get(name) for name in ("synced", "loads")}
        return cls(samples, config, key, stored["id_map"], stored["project_id"], stored["url"], **kept)
