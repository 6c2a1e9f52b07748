"""Poses to Label Studio and back: the annotation backend ``labelstudio_pose``.

FiftyOne's own integration merges all people of a photo and forgets visibility; this one shares the codec of the Label
Studio backend. The task data holds ``sample_id`` and ``label_ids`` (region id -> label id), so everybody comes back
to where they were; photos that nobody annotated stay as they are.
"""

from __future__ import annotations

import os
import webbrowser
from collections import Counter
from dataclasses import dataclass, field
from itertools import count

import fiftyone.core.media as fom
import fiftyone.utils.annotations as foua

from clickpose.data.notes import Notes, note
from clickpose_fiftyone.field_names import PRED_OKS, TAKEN_BACK_INFO, person_path
from clickpose_fiftyone.fiftyone_internals import RestoredResults, root_dataset_of, take_parameters
from clickpose_fiftyone.labelstudio_labels import Labels, current_labels
from clickpose_fiftyone.labelstudio_people import read_task
from clickpose_fiftyone.labelstudio_project import (
    connect_backend,
    create_project,
    newest_annotation,
    upload_photo,
    version_of,
)
from clickpose_fiftyone.labelstudio_tasks import MODEL_VERSION, make_tasks
from clickpose_fiftyone.skeletons import skeleton_of
from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.labeling_config import parse_labeling_config

BACKEND = "labelstudio_pose"
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
    """

    def __init__(
        self, name, label_schema, media_field="filepath", url="http://localhost:8080", api_key=None,
        project_name="FiftyOne corrections", progress=None, **kwargs,
    ):  # fmt: skip
        super().__init__(name, label_schema, media_field=media_field, **kwargs)
        self.url = url
        self.project_name = project_name
        self._api_key = api_key  # private: FiftyOne stores public attributes in the database
        self._progress = progress
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
            done, total = count(1), len(samples)

            def upload(path: str) -> str:
                reference = upload_photo(client, project["id"], path)
                self.config.tell(next(done), total)
                return reference

            tasks = make_tasks(samples, field, upload)
            for start in range(0, len(tasks), _BATCH):
                client.import_tasks(project["id"], tasks[start : start + _BATCH])
            self.config.connected = connect_backend(client, project["id"])
            client.update_project(project["id"], model_version=MODEL_VERSION, show_collab_predictions=True)
        id_map = {task["data"]["sample_id"]: list(task["data"]["label_ids"].values()) for task in tasks}
        results = LabelStudioPoseResults(
            samples, self.config, anno_key, {field: id_map}, project["id"], self.config.url, backend=self
        )
        if launch_editor:
            results.launch_editor()
        return results

    def download_annotations(self, results):
        """Return {field: {"keypoints": {sample id: {label id: keypoint}}}} of all photos that were sent."""
        returned = self.returned(results)
        return {returned.field: {"keypoints": {**returned.sent, **returned.labels}}}

    def returned(self, results) -> Returned:
        """Read what people have submitted."""
        field = next(iter(results.config.label_schema))
        with self.client() as client:
            project = client.project(results.project_id)
            if project is None:
                raise ValueError(
                    f"Expected project {results.project_id} in {self.config.url}, it is not there any more"
                )
            skeleton = skeleton_of(results.samples, field)
            config = parse_labeling_config(project["label_config"], skeleton)
            tasks = list(client.tasks(results.project_id))
        dataset = root_dataset_of(results.samples)
        scored = dataset.get_field(person_path(field, PRED_OKS)) is not None
        current = current_labels(dataset, field, list(results.id_map.get(field, {})))
        known = (dataset.info.get(TAKEN_BACK_INFO) or {}).get(results.key) or {}
        returned = Returned(field=field, sent=current)
        for task in tasks:
            sample_id, entry = task["data"].get("sample_id"), newest_annotation(task)
            if entry is not None and sample_id in known and known[sample_id] == version_of(entry):
                returned.seen += 1  # taken back before; what was corrected here since stays
            elif sample_id in current and entry is not None:
                returned.versions[sample_id] = version_of(entry)
                returned.labels[sample_id] = read_task(task, entry, config, current[sample_id], scored, returned.notes)
            elif entry is not None:
                note(returned.notes, "submitted photos that are not in the dataset any more, left out")
        return returned


@dataclass(kw_only=True)
class Returned:
    """What came back of a run.

    Attributes:
        field: Keypoints field that was sent.
        sent: the people of all photos that were sent, as they are in the dataset now.
        labels: the people of the photos that somebody submitted, but for those that were taken back before.
        versions: of those photos, what tells whether the annotation changes.
        seen: photos that were taken back before, and that nobody changed in Label Studio since.
        notes: what was left out -> how often.
    """

    field: str
    sent: Labels
    labels: Labels = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    seen: int = 0
    notes: Notes = field(default_factory=Counter)


class LabelStudioPoseResults(RestoredResults, foua.AnnotationResults):
    """A run: which project holds it.

    Args:
        project_id: id in Label Studio.
        url: its address.
    """

    def __init__(self, samples, config, anno_key, id_map, project_id, url, backend=None):
        super().__init__(samples, config, anno_key, id_map, backend=backend)
        self.project_id = project_id
        self.url = url

    def launch_editor(self):
        """Open the project in a browser."""
        webbrowser.open(f"{self.url.rstrip('/')}/projects/{self.project_id}/data")

    def cleanup(self):
        """Delete the project with everything in it."""
        with self.backend.client() as client:
            client.call("DELETE", f"/api/projects/{self.project_id}/", missing_ok=True)

    @classmethod
    def restore(cls, stored, samples, config, key, **kwargs):
        """Return the run from what FiftyOne stored of it."""
        return cls(samples, config, key, stored["id_map"], stored["project_id"], stored["url"])
