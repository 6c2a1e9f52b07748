"""The Diagnosis panel: which joints go wrong in which way, and which labels look wrong."""

from fiftyone.operators import types

from clickpose_fiftyone import plots
from clickpose_fiftyone.diagnosis import diagnose, persons_with_error, stored_diagnosis
from clickpose_fiftyone.label_errors import find_label_errors
from clickpose_fiftyone.review import open_label_errors

from .base import (
    PosePanel,
    compared_photos,
    field_line,
    notices,
    plot,
    prediction_field,
    sentences,
    show_people,
    table_view,
    truth_field,
)

_LISTED = 40


class DiagnosisPanel(PosePanel):
    """Joint x error heatmap; a click shows those people. List of suspicious labels."""

    key = "diagnosis_panel"
    title = "Pose diagnosis"
    icon = "troubleshoot"
    hint = (
        "Good: OKS ≥ .85. Jitter: ≥ .5. Inversion: on the mirrored joint of the same person. "
        "Swap: on another person. Miss: elsewhere. Click a cell to see those people."
    )

    @sentences
    def on_load(self, ctx):
        """Compare with the labels, unless that was done already."""
        samples, field, truth = compared_photos(ctx), prediction_field(ctx), truth_field(ctx)
        if stored_diagnosis(samples, field) is None:
            diagnose(ctx.dataset, field, truth)

    on_change_dataset = on_load
    on_change_view = on_load

    def show(self, ctx, panel):
        """Draw the heatmap and the list."""
        samples, field = compared_photos(ctx), prediction_field(ctx)
        field_line(ctx, panel, field, self.on_field)
        diagnosis = stored_diagnosis(samples, field)
        if diagnosis is not None:
            plot(ctx, panel, "errors", plots.diagnosis_figure(diagnosis), self.on_cell)
        row = panel.h_stack("actions", gap=2)
        row.btn("again", label="Diagnose again", icon="refresh", variant="outlined", on_click=self.on_again)
        row.btn("search", label="Find label errors", icon="search", variant="outlined", on_click=self.on_search)
        self._show_label_errors(ctx, panel)

    def _show_label_errors(self, ctx, panel) -> None:
        errors = open_label_errors(ctx.dataset, truth_field(ctx))
        if not errors:
            panel.md("No suspicious labels are listed.", name="none")
            return
        people = len({error.label_id for error in errors})
        panel.md(f"**{people} labelled people look wrong**, most suspicious first", name="heading")
        rows = [
            {"id": error.label_id, "what": str(error).replace("_", " "), "suspicion": f"{error.suspicion:.2f}"}
            for error in errors[:_LISTED]
        ]
        table = table_view()
        table.add_column("what", label="What looks wrong")
        table.add_column("suspicion", label="Suspicion")
        table.add_row_action("show", self.on_label_error, label="Show", icon="visibility", tooltip="Show this person")
        ctx.panel.set_data("label_errors", rows)
        panel.list("label_errors", types.Object(), view=table)

    @notices
    def on_cell(self, ctx):
        """Show the people of a cell."""
        joint, error = str(ctx.params["y"]).replace(" ", "_"), str(ctx.params["x"])
        field = prediction_field(ctx)
        ids = persons_with_error(compared_photos(ctx), field, joint, error)
        show_people(ctx, field, ids, f"{ctx.params['y']}, {error}")

    @notices
    def on_again(self, ctx):
        """Compare anew."""
        result = diagnose(ctx.dataset, prediction_field(ctx), truth_field(ctx))
        ctx.ops.notify(str(result), variant="success")

    @notices
    def on_search(self, ctx):
        """Look for label errors."""
        result = find_label_errors(ctx.dataset, prediction_field(ctx), truth_field(ctx))
        ctx.ops.reload_dataset()
        ctx.ops.notify(str(result), variant="success")

    @notices
    def on_label_error(self, ctx):
        """Show the person of a row."""
        errors = open_label_errors(ctx.dataset, truth_field(ctx))
        row = int(ctx.params.get("row", -1))
        if not 0 <= row < len(errors):
            raise ValueError("That finding is not there any more; search again.")
        show_people(ctx, truth_field(ctx), [errors[row].label_id], str(errors[row]).replace("_", " "))
