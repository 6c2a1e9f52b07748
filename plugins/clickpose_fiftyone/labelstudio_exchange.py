"""Send people to Label Studio, and take back what was corrected there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import fiftyone as fo

from clickpose.steps import Progress
from clickpose_fiftyone.backends import BACKEND, register_backends
from clickpose_fiftyone.checks import left_out, plural, require_keypoints, require_samples
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.conversion import PERSON
from clickpose_fiftyone.field_names import PRED, SENT
from clickpose_fiftyone.fiftyone_internals import root_dataset_of
from clickpose_fiftyone.labelstudio_labels import store_labels
from clickpose_fiftyone.labelstudio_runs import load_run
from clickpose_fiftyone.labelstudio_tasks import moved_inside
from clickpose_fiftyone.labelstudio_undo import load_record, remember_load
from clickpose_fiftyone.people_views import photos_of
from clickpose_fiftyone.review import mark_persons

_NO_BACKEND = (
    "Nothing refines in it yet: start `clickpose serve --label-studio-url {url}` and enter its address in the "
    "project's settings (Model, interactive preannotations), or send to the Label Studio of `make run`, where that is "
    "done."
)


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
    backend: str | None = None, by: str | None = None,
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
        backend: address of a running ``clickpose serve``, as Label Studio reaches it, that refines in the project; None
            for one that another project of this Label Studio has, or that listens on this machine.
        by: who sends, for the history of the review; by default who runs this process.

    Raises:
        ValueError: if the field cannot serve, the name is taken, Label Studio cannot be reached or refuses, or the
            backend does not answer.
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
            progress=progress, backend_url=backend,
        )  # fmt: skip
    except BaseException:  # a run that was not sent must not take the name, nor be loaded from
        if anno_key in dataset.list_annotation_runs():
            dataset.delete_annotation_run(anno_key)
        raise
    ids = [label_id for found in results.id_map[pred_field].values() for label_id in found]
    mark_persons(dataset, pred_field, ids, SENT, by)
    where = f"sent to {url} (project {results.project_id})"
    connected = results.config.connected
    hint = f"Refinement is connected ({connected})." if connected else _NO_BACKEND.format(url=url)
    return ExchangedWithLabelStudio(
        len(photos), len(ids), where, notes=moved_inside(PersonColumns(photos, pred_field)), hint=hint
    )


def load_from_label_studio(
    dataset: fo.Dataset, anno_key: str = "corrections", url: str | None = None, api_key: str = ""
) -> ExchangedWithLabelStudio:
    """Take the corrections of a run back: positions, visibility, new and deleted people.

    What a corrected person was before goes to ``refinement_history``; corrected people are tagged
    ``corrected_in_label_studio``. What was corrected here after it was corrected there stays, and so does who was added
    here. :func:`clickpose_fiftyone.undo_load_from_label_studio` takes the last load of a run back.

    Raises:
        ValueError: if there is no such run, or Label Studio cannot be reached or refuses; nothing is written then.
    """
    run = load_run(dataset, anno_key, url, api_key)
    returned = run.backend.returned(run)
    changed = {sample_id: photo for sample_id, photo in returned.photos.items() if photo.changed}
    if changed:
        run.loads = remember_load(run.loads, load_record(dataset, returned.field, changed, run.synced))
        before = {sample_id: photo.before for sample_id, photo in changed.items()}
        store_labels(dataset, returned.field, before, {key: photo.labels for key, photo in changed.items()})
    run.synced |= returned.synced
    run.remember_address()
    run.save()
    photos = changed.values()
    corrected, added, deleted = (
        sum(len(getattr(p, what)) for p in photos) for what in ("corrected", "added", "deleted")
    )
    return ExchangedWithLabelStudio(
        len(returned.photos), corrected + added, f"taken back from project {run.project_id}", deleted=deleted,
        added=added, notes=returned.notes, hint=_seen(returned.seen),
    )  # fmt: skip


def _seen(photos: int) -> str:
    return f"{plural(photos, 'photo')} had been taken back before and not been changed since." if photos else ""
