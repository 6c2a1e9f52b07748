"""Operators that send and fetch: Label Studio, COCO files."""

import os

from fiftyone.operators import types

from clickpose_fiftyone.field_names import GT, PRED
from clickpose_fiftyone.overwriting import Writer

from .base import (
    HIGH,
    LOW,
    PoseOperator,
    SteppedOperator,
    default_prediction,
    fields_of_params,
    path_of_params,
    prediction_input,
    replace_input,
    reporter,
)
from .prediction import colour_scored

_ADDRESS = "http://localhost:8080"


class SendToLabelStudio(PoseOperator):
    """Uploads photos with their poses."""

    key = "send_to_label_studio"
    title = "send to Label Studio"
    description = "Make a project with the photos of the view and their poses, to be corrected there"

    def define_inputs(self, ctx, inputs):
        """Field, address, key."""
        from clickpose_fiftyone.review import sending_plan

        prediction_input(ctx, inputs)
        plan = sending_plan(ctx.target_view(), ctx.params.get("pred_field") or default_prediction(ctx))
        inputs.view("plan", types.Notice(label=plan))
        _connection_inputs(inputs, _address_of(ctx.dataset))
        inputs.str("anno_key", label="Name of the run", default="corrections", required=True)
        inputs.str("project", label="Title of the project", default="FiftyOne corrections")
        inputs.str("backend", label="Address of a running clickpose serve (empty: looked for)")

    def run(self, ctx, samples):
        """Send."""
        from clickpose_fiftyone.labelstudio_exchange import send_to_label_studio

        options = fields_of_params(ctx, "pred_field", "url", "api_key", "anno_key", "project", "backend")
        by = ctx.params.get("reviewer") or None
        return send_to_label_studio(samples, **options, progress=reporter(ctx, "photos"), by=by)


class LoadFromLabelStudio(PoseOperator):
    """Takes corrections back."""

    key = "load_from_label_studio"
    title = "load from Label Studio"
    description = "Take the corrections of a run back: moved joints, visibility, new and deleted people"
    risk = HIGH
    needs_photos = False

    def define_inputs(self, ctx, inputs):
        """Run, key."""
        from clickpose_fiftyone.labelstudio_runs import runs_of

        runs = runs_of(ctx.dataset)
        if not runs:
            raise ValueError("Expected photos that were sent to Label Studio, this dataset has no such run")
        inputs.enum("anno_key", runs, label="Run", default=runs[-1], required=True)
        _connection_inputs(inputs, _address_of(ctx.dataset, ctx.params.get("anno_key") or runs[-1]))

    def run(self, ctx, samples):
        """Load."""
        from clickpose_fiftyone.labelstudio_exchange import load_from_label_studio

        return load_from_label_studio(ctx.dataset, **fields_of_params(ctx, "anno_key", "url", "api_key"))


class UndoLoadFromLabelStudio(PoseOperator):
    """Takes a load back."""

    key = "undo_load_from_label_studio"
    title = "undo a load from Label Studio"
    description = "Bring back who was deleted there, and how people were; what was corrected here since stays"
    risk = HIGH
    needs_photos = False

    def define_inputs(self, ctx, inputs):
        """Run."""
        from clickpose_fiftyone.labelstudio_undo import loads_of

        runs = list(loads_of(ctx.dataset))
        if not runs:
            raise ValueError("Expected something that was loaded from Label Studio, this dataset has nothing of it")
        inputs.enum("anno_key", runs, label="Run whose last load is taken back", default=runs[-1], required=True)

    def run(self, ctx, samples):
        """Undo."""
        from clickpose_fiftyone.labelstudio_undo import undo_load_from_label_studio

        return undo_load_from_label_studio(ctx.dataset, **fields_of_params(ctx, "anno_key"))


class ImportCoco(PoseOperator):
    """Reads a COCO keypoint file."""

    key = "import_coco"
    title = "import COCO poses"
    description = "Read a COCO keypoint file without loss, a list of results for the photos of one, or CVAT's export"
    needs_photos = False

    def define_inputs(self, ctx, inputs):
        """File, folder, field."""
        label = "COCO keypoint file, list of results, CVAT (.xml, .zip), Datumaro, SLEAP (.slp)"
        inputs.str("annotations", label=label, required=True)
        inputs.str("images", label="Folder of its photos (empty for a list of results)")
        inputs.str("field", label="Field to write", default=GT, required=True)
        replace_input(inputs, "replace", ctx.dataset, ctx.params.get("field") or GT, Writer.FILE)

    def run(self, ctx, samples):
        """Import."""
        from clickpose_fiftyone.coco_exchange import import_coco

        annotations = path_of_params(ctx, "annotations", "a COCO keypoint file")
        summary = import_coco(ctx.dataset, annotations, **fields_of_params(ctx, "images", "field", "replace"))
        colour_scored(ctx, ctx.params.get("field") or GT)
        return summary


class ExportCoco(SteppedOperator):
    """Writes a COCO keypoint file."""

    key = "export_coco"
    title = "export COCO poses"
    description = "Write the poses of the view as a COCO keypoint file, with all their digits"
    noun = "people"
    risk = LOW
    reloads = False

    def define_inputs(self, ctx, inputs):
        """Field, file."""
        prediction_input(ctx, inputs, "Poses to write, predicted or labelled")
        inputs.str("path", label="File to write (.json; .xml for CVAT, .datumaro.json, .slp for SLEAP)", required=True)
        inputs.bool("results", label="Only a list of results, as pycocotools loads it", default=False)

    def long_run(self, ctx, samples):
        """Export; cancelled, no file is written."""
        from clickpose_fiftyone.coco_exchange import export_coco

        path = path_of_params(ctx, "path", "a file to write")
        results = ctx.params.get("results") or None  # else as the field was read
        return export_coco.steps(samples, path, ctx.params.get("pred_field", PRED), results)

    def text_of(self, ctx, result) -> str:
        """Say where the file is."""
        return f"{result} They are in {os.path.abspath(path_of_params(ctx, 'path', 'a file to write'))}."


def _address_of(dataset, anno_key: str | None = None) -> str:
    """Return where a run, or the last one, was sent to."""
    from clickpose_fiftyone.labelstudio_runs import address_of

    return address_of(dataset, anno_key) or _ADDRESS


def _connection_inputs(inputs, address: str) -> None:
    inputs.str("url", label="Address of Label Studio", default=address, required=True)
    hidden = types.TextFieldView(componentsProps={"field": {"type": "password", "autoComplete": "off"}})
    inputs.str("api_key", label="API key (empty: LABEL_STUDIO_API_KEY of this machine)", view=hidden)
