"""Poses to Label Studio and back: the annotation backend ``labelstudio_pose``.

FiftyOne's own integration merges all people of a photo and forgets visibility; this one shares the codec of the Label
Studio backend. The task data holds ``sample_id`` and ``label_ids`` (region id -> label id), so everybody comes back
to where they were; photos that nobody annotated stay as they are.
"""

from __future__ import annotations

import hashlib
import json
import os
import webbrowser
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import fiftyone as fo
import fiftyone.core.media as fom
import fiftyone.utils.annotations as foua
import numpy as np

from clickpose.boxes import box_iou, xywh_to_xyxy
from clickpose.calibration.aggregation import visibility_weighted
from clickpose.data.confidences import OCCLUDED_BELOW
from clickpose.data.notes import Notes, note
from clickpose.steps import Progress
from clickpose.structures import Annotations, Poses
from clickpose_fiftyone.backends import register_backends
from clickpose_fiftyone.checks import image_sizes, left_out, plural, require_keypoints, require_samples
from clickpose_fiftyone.column_writes import label_documents, write_labels
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.conversion import HIDDEN, PERSON, absent_joints, instance_of, relative_box, stored_joints
from clickpose_fiftyone.derived import refresh_derived
from clickpose_fiftyone.field_names import (
    ANNOTATED_VISIBILITY,
    AREA,
    BOUNDING_BOX,
    CORRECTED,
    FIXED,
    HISTORY,
    KEYPOINT_OKS,
    NUM_KEYPOINTS,
    PRED,
    PRED_OKS,
    SENT,
    TAKEN_BACK_INFO,
    VISIBILITY,
    boxes_field_of,
    person_path,
)
from clickpose_fiftyone.fiftyone_internals import RestoredResults, root_dataset_of, take_parameters
from clickpose_fiftyone.linked_boxes import follow_poses
from clickpose_fiftyone.people_views import photos_of
from clickpose_fiftyone.photo_names import photo_names
from clickpose_fiftyone.refinement import history_of, state_of
from clickpose_fiftyone.review import mark_persons
from clickpose_fiftyone.skeletons import skeleton_of
from clickpose_labelstudio.codec import decode_result, encode_poses
from clickpose_labelstudio.label_studio_auth import LabelStudioError
from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.labeling_config import build_labeling_config, parse_labeling_config
from clickpose_labelstudio.launch.project import BACKEND_TITLE, register_backend

BACKEND = "labelstudio_pose"
MODEL_VERSION = "clickpose-fiftyone"
KEY_VARIABLE = "LABEL_STUDIO_API_KEY"  # read when a key is needed and none is given
_BATCH = 50
_MOST_PROJECTS = 100  # that are asked for a backend
_NO_BACKEND = (
    "Nothing refines in it yet: start `clickpose labelstudio serve` and enter its address in the project's settings "
    "(Model, interactive preannotations), or send to the Label Studio of `make run`, where that is done."
)
_SAME_PERSON_IOU = 0.5
_Labels = dict[str, dict[str, fo.Keypoint]]  # sample id -> label id -> label
_MOVED = 1e-6  # of the photo's side: less is the rounding of percentages


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
            project = _create_project(client, self.config.project_name, skeleton_of(samples, field))
            done, total = count(1), len(samples)

            def upload(path: str) -> str:
                reference = _upload_photo(client, project["id"], path)
                self.config.tell(next(done), total)
                return reference

            tasks = make_tasks(samples, field, upload)
            for start in range(0, len(tasks), _BATCH):
                client.import_tasks(project["id"], tasks[start : start + _BATCH])
            self.config.connected = _connect_backend(client, project["id"])
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

    def returned(self, results) -> _Returned:
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
        current = _current_labels(dataset, field, list(results.id_map.get(field, {})))
        known = (dataset.info.get(TAKEN_BACK_INFO) or {}).get(results.key) or {}
        returned = _Returned(field=field, sent=current)
        for task in tasks:
            sample_id, entry = task["data"].get("sample_id"), _newest_annotation(task)
            if entry is not None and sample_id in known and known[sample_id] == _version_of(entry):
                returned.seen += 1  # taken back before; what was corrected here since stays
            elif sample_id in current and entry is not None:
                returned.versions[sample_id] = _version_of(entry)
                returned.labels[sample_id] = read_task(task, entry, config, current[sample_id], scored, returned.notes)
            elif entry is not None:
                note(returned.notes, "submitted photos that are not in the dataset any more, left out")
        return returned


@dataclass(kw_only=True)
class _Returned:
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
    sent: _Labels
    labels: _Labels = field(default_factory=dict)
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


@dataclass(frozen=True)
class ExchangedWithLabelStudio:
    """What was sent or taken back."""

    photos: int
    persons: int
    where: str
    deleted: int = 0
    added: int = 0
    notes: Mapping[str, int] = field(default_factory=dict)
    hint: str = ""

    def __str__(self) -> str:
        text = f"{plural(self.persons, 'person')} in {plural(self.photos, 'photo')} {self.where}"
        if self.added or self.deleted:
            text += f"; {self.added} added, {self.deleted} deleted"
        hint = f" {self.hint}" if self.hint else ""
        return f"{text}.{left_out(self.notes)}{hint}"


def send_to_label_studio(
    samples, pred_field: str = PRED, url: str = "http://localhost:8080", api_key: str = "",
    anno_key: str = "corrections", project: str = "FiftyOne corrections", progress: Progress | None = None,
) -> ExchangedWithLabelStudio:  # fmt: skip
    """Make a Label Studio project of the photos of a view, with their poses as predictions.

    Of a view of people (patches) all people of their photos are sent. The people are tagged ``sent_to_label_studio``.

    Args:
        samples: a dataset or view of images.
        pred_field: Keypoints field to send.
        url: address of Label Studio.
        api_key: legacy token or personal access token; empty for ``LABEL_STUDIO_API_KEY`` of the environment.
        anno_key: name of the run, to load the corrections by.
        project: title of the project that is made.
        progress: called with (photos uploaded, photos in all).

    Raises:
        ValueError: if the field cannot serve, the name is taken, or Label Studio cannot be reached or refuses.
    """
    register_backends()
    require_samples(samples)
    dataset = root_dataset_of(samples)
    photos = photos_of(samples, people=False)
    require_keypoints(photos, pred_field)
    if anno_key in dataset.list_annotation_runs():
        raise ValueError(f"Expected a new name for the run, got {anno_key!r}, which is there already")
    if not anno_key.isidentifier():
        raise ValueError(f"Expected a name of letters, digits and underscores for the run, got {anno_key!r}")
    schema = {pred_field: {"type": "keypoints", "classes": [PERSON], "attributes": []}}
    try:
        results = photos.annotate(
            anno_key, backend=BACKEND, label_schema=schema, url=url, api_key=api_key or None, project_name=project,
            progress=progress,
        )  # fmt: skip
    except BaseException:  # a run that was not sent must not take the name, nor be loaded from
        if anno_key in dataset.list_annotation_runs():
            dataset.delete_annotation_run(anno_key)
        raise
    ids = [label_id for found in results.id_map[pred_field].values() for label_id in found]
    mark_persons(dataset, pred_field, ids, SENT)
    where = f"sent to {url} (project {results.project_id})"
    backend = results.config.connected
    hint = f"Refinement is connected ({backend})." if backend else _NO_BACKEND
    return ExchangedWithLabelStudio(
        len(photos), len(ids), where, notes=_moved_inside(PersonColumns(photos, pred_field)), hint=hint
    )


def load_from_label_studio(
    dataset: fo.Dataset, anno_key: str = "corrections", url: str | None = None, api_key: str = ""
) -> ExchangedWithLabelStudio:
    """Take the corrections of a run back: positions, visibility, new and deleted people.

    What a corrected person was before goes to ``refinement_history``; corrected people are tagged
    ``corrected_in_label_studio``.

    Raises:
        ValueError: if there is no such run, or Label Studio cannot be reached or refuses; nothing is written then.
    """
    register_backends()
    if anno_key not in dataset.list_annotation_runs():
        raise ValueError(
            f"Expected a run that was sent ({', '.join(dataset.list_annotation_runs())}), got {anno_key!r}"
        )
    results = dataset.load_annotation_results(anno_key, url=url, api_key=api_key or None)
    returned = results.backend.returned(results)
    labels = returned.labels
    before = _current_labels(dataset, returned.field, list(labels))
    if labels:
        _store_labels(dataset, returned.field, before, labels)
        taken = dict(dataset.info.get(TAKEN_BACK_INFO) or {})
        dataset.info[TAKEN_BACK_INFO] = {**taken, anno_key: {**(taken.get(anno_key) or {}), **returned.versions}}
        dataset.save()
    changed = [label.id for found in labels.values() for label in found.values() if CORRECTED in (label.tags or [])]
    kept = sum(len(set(labels[sample_id]) & set(before[sample_id])) for sample_id in labels)
    return ExchangedWithLabelStudio(
        len(labels), len(changed), f"taken back from project {results.project_id}",
        deleted=sum(map(len, before.values())) - kept, added=sum(map(len, labels.values())) - kept,
        notes=returned.notes, hint=_seen(returned.seen),
    )  # fmt: skip


def _seen(photos: int) -> str:
    return f"{plural(photos, 'photo')} had been taken back before and not been changed since." if photos else ""


def _moved_inside(columns: PersonColumns) -> dict[str, int]:
    """Count the joints outside their photos, which Label Studio has no place for."""
    outside = columns.placed & ((columns.points < 0) | (columns.points > 1)).any(axis=-1)
    return {"joints outside the photo, sent at its border": int(outside.sum())}


def make_tasks(samples, field: str, reference) -> list[dict]:
    """Return the Label Studio tasks of a view.

    Args:
        samples: a view of images.
        field: Keypoints field.
        reference: photo path -> what Label Studio shows as its image.
    """
    columns = PersonColumns(samples, field)
    config = parse_labeling_config(build_labeling_config(columns.skeleton), columns.skeleton)
    poses = _sendable(columns)
    paths, sizes = samples.values("filepath"), image_sizes(samples)
    tasks = []
    for row, (path, name) in enumerate(zip(paths, photo_names(paths), strict=True)):
        people = np.flatnonzero(columns.rows == row)
        width, height = sizes[row]
        regions = {f"cp-{columns.label_ids[person]}": columns.label_ids[person] for person in people}
        result = encode_poses(poses.select(people), config, (int(height), int(width)), list(regions))
        lowest = float(poses.instance_scores[people].min()) if len(people) else 0.0
        data = {"image": reference(path), "file_name": name, "sample_id": str(columns.sample_ids[row])}
        prediction = {"model_version": MODEL_VERSION, "score": lowest, "result": result}
        tasks.append({"data": {**data, "label_ids": regions}, "predictions": [prediction]})
    return tasks


def read_task(
    task: dict, entry: dict, config, current: dict[str, fo.Keypoint], scored: bool = True, notes: Notes | None = None
) -> dict[str, fo.Keypoint]:
    """Return label id -> keypoint of an annotation of a task.

    Args:
        task: with its data and predictions.
        entry: the annotation.
        config: labelling configuration.
        current: the photo's labels in FiftyOne now.
        scored: somebody new gets predicted OKS, as the people of the field have.
        notes: regions that belong to nobody are counted here.
    """
    decoded = decode_result(entry.get("result") or [], config)
    for _, reason in decoded.left_over if notes is not None else ():
        note(notes, f"regions {reason}")
    if decoded.image_hw is None:
        return {}
    sent, ids = _sent(task, config), _label_ids(task, decoded.annotations, config)
    labels = {}
    for person, label_id in enumerate(ids):
        old = current.get(label_id)
        if label_id is not None and old is None:  # sent, and gone from the dataset since
            continue
        with_scores = scored if old is None else old.get_attribute_value(PRED_OKS, None) is not None
        now = _drawn(decoded.annotations, person, decoded.image_hw)
        before = None if old is None else sent.get(label_id) or _as_sent(old, with_scores)
        label = _label(now, before, old, with_scores)
        labels[label.id] = label
    return labels


@dataclass(frozen=True, eq=False, kw_only=True)
class _Drawn:
    """A person as Label Studio shows it: (K, 2) points in 0..1, (K,) visibility 0, 1, 2, box in 0..1 or None."""

    points: np.ndarray
    visibility: np.ndarray
    box: list[float] | None


def _drawn(annotations: Annotations, person: int, image_hw: tuple[int, int]) -> _Drawn:
    height, width = image_hw
    box = annotations.boxes_xyxy[person]
    return _Drawn(
        points=annotations.keypoints[person] / (width, height),
        visibility=annotations.visibility[person],
        box=relative_box(box, image_hw) if np.isfinite(box).all() else None,
    )


def _sent(task: dict, config) -> dict[str, _Drawn]:
    """Return label id -> what was sent of each person of a task."""
    prediction = next((p for p in task.get("predictions") or [] if p.get("model_version") == MODEL_VERSION), None)
    decoded = None if prediction is None else decode_result(prediction["result"], config)
    if decoded is None or decoded.image_hw is None:
        return {}
    known, ids = task["data"].get("label_ids") or {}, decoded.annotations.ids
    rows = {known[region]: person for person, region in enumerate(ids) if region in known}
    return {label_id: _drawn(decoded.annotations, row, decoded.image_hw) for label_id, row in rows.items()}


def _sendable(columns: PersonColumns) -> Poses:
    """Return the people as poses; of annotations without scores the COCO visibility becomes one."""
    poses = columns.poses()
    annotated = ~np.isfinite(columns.scalars(PRED_OKS))[:, None]
    known = np.where(annotated, np.where(columns.joints(VISIBILITY) == 1, 0.0, 1.0), poses.visibility_scores)
    return replace(poses, boxes_xyxy=np.nan_to_num(poses.boxes_xyxy), visibility_scores=known, fixed=None)


def _label_ids(task: dict, annotations: Annotations, config) -> list[str | None]:
    """Return the label id of each annotated person: by region id, else by the box that was sent; None for a new one."""
    known = dict(task["data"].get("label_ids") or {})
    ids = [known.pop(region, None) for region in annotations.ids]
    sent = next((p for p in task.get("predictions") or [] if p.get("model_version") == MODEL_VERSION), None)
    if not known or sent is None or all(ids):
        return ids
    before = decode_result(sent["result"], config).annotations
    rows = [row for row, region in enumerate(before.ids) if region in known]
    overlaps = box_iou(np.nan_to_num(annotations.boxes_xyxy), np.nan_to_num(before.boxes_xyxy[rows]))
    overlaps[[person for person, label_id in enumerate(ids) if label_id]] = 0
    while overlaps.size and overlaps.max() >= _SAME_PERSON_IOU:
        person, column = np.unravel_index(int(overlaps.argmax()), overlaps.shape)
        ids[person] = known[before.ids[rows[column]]]
        overlaps[person], overlaps[:, column] = 0, 0
    return ids


def _label(now: _Drawn, before: _Drawn | None, old: fo.Keypoint | None, scored: bool) -> fo.Keypoint:
    """Return one person's label: the present one with the joints that the human changed, or a new one.

    Args:
        now: the person in Label Studio.
        before: the same when it was sent; None for somebody new.
        old: the person in the dataset.
        scored: it has predicted OKS.
    """
    label = fo.Keypoint(label=PERSON) if old is None else old.copy()
    changed, resized = np.ones(len(now.points), bool), True
    if old is not None and before is not None:
        label.id = old.id
        if instance_of(old) is not None:
            label.instance = instance_of(old)  # a copy has a new link
        changed, resized = _changed_joints(before, now), _resized(before, now)
        if not (changed.any() or resized):
            return label
        label[HISTORY] = json.dumps([*history_of(old), state_of(old)])
    label.tags = [*(tag for tag in (label.tags or []) if tag != CORRECTED), CORRECTED]
    label[ANNOTATED_VISIBILITY] = now.visibility.tolist()
    if resized and now.box is not None:
        _resize(label, now.box)
    _place(label, now, changed, old, scored)
    if label.get_attribute_value(NUM_KEYPOINTS, None) is not None:
        label[NUM_KEYPOINTS] = int((now.visibility > 0).sum())
    return label


def _place(label: fo.Keypoint, now: _Drawn, changed: np.ndarray, old: fo.Keypoint | None, scored: bool) -> None:
    """Write the joints that a human changed: they are certain; the others keep places and scores."""
    count = len(changed)
    kept = np.full((count, 2), np.nan) if old is None else np.array(old.points, np.float64)
    if not scored:
        stored = np.zeros(count) if old is None else _numbers_of(old, VISIBILITY, 2.0, count)
        label.points = np.where(changed[:, None], now.points, kept).tolist()
        label[VISIBILITY] = np.where(changed, now.visibility, stored).astype(int).tolist()
        return
    person = 0.0 if old is None else float(old.get_attribute_value(PRED_OKS, None) or 0.0)
    scores = np.zeros(count) if old is None else _numbers_of(old, KEYPOINT_OKS, person, count)
    seen = np.zeros(count) if old is None else _numbers_of(old, VISIBILITY, 1.0, count)
    fixed = np.zeros(count) if old is None else _numbers_of(old, FIXED, 0.0, count)
    there = now.visibility > 0
    absent = np.ones(count, bool) if old is None else absent_joints(kept, seen, scores)
    points = np.where(changed[:, None], now.points, np.where(absent[:, None], np.nan, kept))
    seen = np.where(changed, np.where(now.visibility == 2, 1.0, HIDDEN), seen)
    label.points, label[VISIBILITY] = stored_joints(points, seen, _box_of(label), None if old is None else kept)
    oks = np.where(changed, there.astype(float), scores)
    label[KEYPOINT_OKS], label[FIXED] = oks.tolist(), np.where(changed, there, fixed > 0).tolist()
    if old is None:
        label[PRED_OKS] = 1.0
    elif changed.any():
        label[PRED_OKS] = float(visibility_weighted(np.clip(oks, 0, 1), np.clip(label[VISIBILITY], 0, 1)))


def _numbers_of(label: fo.Keypoint, name: str, none: float, count: int) -> np.ndarray:
    values = label.get_attribute_value(name, None)
    return np.full(count, none) if not values else np.array([none if v is None else v for v in values], np.float64)


def _resize(label: fo.Keypoint, box: list[float]) -> None:
    """Give a person another box; an area is multiplied as the box's is, since a person's share of it stays the same."""
    before, area = _box_of(label), label.get_attribute_value(AREA, None)
    if before is not None and area is not None and before[2] * before[3] > 0:
        label[AREA] = area * box[2] * box[3] / (before[2] * before[3])
    label[BOUNDING_BOX] = box


def _box_of(label: fo.Keypoint) -> list[float] | None:
    return label.get_attribute_value(BOUNDING_BOX, None)


def _as_sent(old: fo.Keypoint, scored: bool) -> _Drawn:
    """Return how a person of the dataset is sent; positions are clipped to the photo."""
    points = np.array(old.points, np.float64)
    stored = _numbers_of(old, VISIBILITY, 1.0 if scored else 2.0, len(points))
    scores = _numbers_of(old, KEYPOINT_OKS, np.nan, len(points))
    visibility = np.where(stored >= OCCLUDED_BELOW, 2, 1) if scored else stored
    visibility = np.where(absent_joints(points, stored, scores), 0, visibility)
    return _Drawn(points=np.clip(points, 0, 1), visibility=visibility, box=_box_of(old))


def _changed_joints(before: _Drawn, now: _Drawn) -> np.ndarray:
    """Tell which (K,) joints a human changed."""
    moved = np.abs(np.nan_to_num(before.points) - np.nan_to_num(now.points)).max(axis=1) > _MOVED
    return (now.visibility != before.visibility) | (moved & (now.visibility > 0))


def _resized(before: _Drawn, now: _Drawn) -> bool:
    """Tell whether a human changed the box."""
    if before.box is None or now.box is None:
        return before.box is None and now.box is not None
    sent, drawn = (np.clip(xywh_to_xyxy(np.array(box)), 0, 1) for box in (before.box, now.box))
    return bool(np.abs(sent - drawn).max() > _MOVED)


def _current_labels(dataset, field: str, sample_ids: list[str]) -> _Labels:
    view = dataset.select(sample_ids)
    ids, labels = view.values(["id", field])
    return {
        sample_id: {label.id: label for label in (found.keypoints if found is not None else [])}
        for sample_id, found in zip(ids, labels, strict=True)
    }


def _store_labels(dataset, field: str, before: _Labels, labels: _Labels) -> None:
    """Write all photos' labels at once, with what depends on them."""
    view = dataset.select(list(labels), ordered=True)
    boxes = _following_boxes(view, field, before, labels)  # first: somebody new gets the link from the box
    people = [label_documents(fo.Keypoints(keypoints=list(found.values()))) for found in labels.values()]
    write_labels(view, {field: (fo.Keypoints, people), **boxes})
    if dataset.get_field(person_path(field, PRED_OKS)) is not None:
        refresh_derived(view, field)


def _following_boxes(view, field: str, before: _Labels, labels: _Labels) -> dict:
    """Return the linked boxes for :func:`write_labels`: moved, of somebody new, gone; nothing where there are none."""
    boxes_field = boxes_field_of(field)
    if view.get_field(boxes_field) is None:
        return {}
    written = []
    for boxes, old, new in zip(view.values(boxes_field), before.values(), labels.values(), strict=True):
        gone = {link.id for key, label in old.items() if key not in new and (link := instance_of(label)) is not None}
        detections = follow_poses([] if boxes is None else boxes.detections, list(new.values()), gone)
        written.append(label_documents(fo.Detections(detections=detections)))
    return {boxes_field: (fo.Detections, written)}


def _version_of(entry: dict) -> str:
    """Return what differs once an annotation is changed."""
    content = json.dumps([entry.get("id"), entry.get("result")], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _newest_annotation(task: dict) -> dict | None:
    entries = [entry for entry in task.get("annotations") or [] if not entry.get("was_cancelled")]
    return max(entries, key=lambda entry: str(entry.get("updated_at") or ""), default=None)


def _create_project(client: LabelStudioClient, title: str, skeleton) -> dict:
    fields = {"title": title if len(title) >= 3 else f"{title} poses", "label_config": build_labeling_config(skeleton)}
    return client.create_project(**fields, show_collab_predictions=True, sampling="Uncertainty sampling")


def _connect_backend(client: LabelStudioClient, project_id: int) -> str | None:
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


def _upload_photo(client: LabelStudioClient, project_id: int, path: str) -> str:
    """Upload a photo without making a task of it; returns what a task's data refers to it by."""
    with Path(path).open("rb") as photo:
        answer = client.call(
            "POST", f"/api/projects/{project_id}/import", params={"commit_to_project": "false"},
            files={"file": (Path(path).name, photo)},
        )  # fmt: skip
    upload = client.call("GET", f"/api/import/file-upload/{answer['file_upload_ids'][0]}")
    return f"/data/{upload['file']}"
