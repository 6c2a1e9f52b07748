"""The Comparison panel: two fields side by side, two networks or before and after, by the joints that differ most."""

import numpy as np
from fiftyone.operators import types

from clickpose_fiftyone import plots
from clickpose_fiftyone.checks import pose_fields, truth_fields
from clickpose_fiftyone.comparison import BEFORE, FieldComparison, compare_fields, kept_comparison
from clickpose_fiftyone.field_names import HISTORY, person_path
from clickpose_fiftyone.people_views import view_of_persons

from .base import (
    PosePanel,
    compared_photos,
    field_line,
    notices,
    photos_of,
    plot,
    prediction_field,
    sentences,
    show_people,
    table_view,
)

_OTHER = "other"  # in the panel's state: the second field
_LISTED = 60


class ComparisonPanel(PosePanel):
    """Agreement by joint; the joints that differ most; a click shows them on the photo."""

    key = "comparison_panel"
    title = "Pose comparison"
    icon = "compare"
    hint = (
        "How far two fields of the same people agree: two networks, or one before and after corrections. The joints "
        "that differ most come first; with labels, the nearer one is told. “Draw them” shows them in colour."
    )

    @sentences
    def on_load(self, ctx):
        """Check that there is something to compare."""
        photos_of(ctx)
        _fields(ctx)

    on_change_dataset = on_load
    on_change_view = on_load

    def show(self, ctx, panel):
        """Draw fields, agreement by joint and the list."""
        field, other = _fields(ctx)
        field_line(ctx, panel, field, self.on_field)
        choices = types.DropdownView()
        for name in _others(ctx, field):
            choices.add_choice(name, label=name)
        panel.enum(f"{_OTHER}_{_slug(other)}", choices.values(), label="Compared with", default=other, view=choices,
                   on_change=self.on_other)  # fmt: skip
        found = self._found(ctx)
        panel.md(str(found), name="summary")
        row = panel.h_stack("actions", gap=1)
        row.btn("draw", label="Draw them", icon="palette", variant="outlined", on_click=self.on_draw)
        alone = {"only_first": found.only_first, "only_second": found.only_second}
        for name, ids in alone.items():
            if ids:
                where = field if name == "only_first" else other
                row.btn(name, label=f"Only in {where} ({len(ids)})", icon="person_search", variant="outlined",
                        on_click=self.on_alone, params={"side": name})  # fmt: skip
        plot(ctx, panel, "agreement", plots.agreement_figure(found), self.on_joint)
        self._show_list(ctx, panel, found)

    def _found(self, ctx) -> FieldComparison:
        field, other = _fields(ctx)
        truth = next(iter(truth_fields(ctx.dataset, field)), None)
        return kept_comparison(compared_photos(ctx), field, other, None if truth == other else truth)

    def _show_list(self, ctx, panel, found: FieldComparison) -> None:
        if not found.differences:
            panel.md("No joint differs.", name="same")
            return
        shown = found.differences[:_LISTED]
        labelled = any(np.isfinite([d.first_oks, d.second_oks]).all() for d in shown)
        table = table_view()
        table.add_column("joint", label="Joint")
        table.add_column("oks", label="OKS")
        if labelled:
            table.add_column("nearer", label="Nearer to the label")
        table.add_row_action("show", self.on_row, label="Show", icon="visibility", tooltip="Show this person")
        ctx.panel.set_data("differences", [
            {"id": f"{d.label_id}-{d.joint}", "joint": d.joint.replace("_", " "), "oks": f"{d.oks:.2f}",
             "nearer": _nearer(d, found)}
            for d in shown
        ])  # fmt: skip
        more = len(found.differences) - len(shown)
        panel.md(f"**Joints that differ most**{f' ({more} more)' if more else ''}", name="heading")
        panel.list("differences", types.Object(), view=table)

    @sentences
    def on_other(self, ctx):
        """Compare with another field; the app echoes the list that it draws, which is known by its name."""
        value = ctx.params.get("value")
        if value is not None and not str(ctx.params.get("path")).endswith(f"{_OTHER}_{_slug(value)}"):
            ctx.panel.set_state(_OTHER, value)

    @notices
    def on_row(self, ctx):
        """Show the person of a row."""
        found, row = self._found(ctx), int(ctx.params.get("row", -1))
        if not 0 <= row < len(found.differences):
            raise ValueError("That joint does not differ any more; the list is drawn anew.")
        chosen = found.differences[row]
        self._show(ctx, found, [(chosen.label_id, chosen.other_id)], f"{chosen.joint.replace('_', ' ')} differs")

    @notices
    def on_joint(self, ctx):
        """Show the people whose joint differs."""
        found, joint = self._found(ctx), str(ctx.params["x"]).replace(" ", "_")
        pairs = {(d.label_id, d.other_id): None for d in found.differences if d.joint == joint}
        self._show(ctx, found, list(pairs), f"{ctx.params['x']} differs")

    @notices
    def on_alone(self, ctx):
        """Show the people whom one field has alone."""
        found, side = self._found(ctx), ctx.params["side"]
        field = found.field if side == "only_first" else found.other
        show_people(ctx, field, getattr(found, side), f"only in {field}")

    @notices
    def on_draw(self, ctx):
        """Write the joints that differ as a field of their own, in the colour of their OKS."""
        field, other = _fields(ctx)
        result = compare_fields(compared_photos(ctx), field, other)
        ctx.ops.reload_dataset()
        ctx.ops.notify(str(result), variant="success")

    @staticmethod
    def _show(ctx, found: FieldComparison, pairs, what: str) -> None:
        """Show some people, in both fields."""
        firsts, seconds = [first for first, _ in pairs], [second for _, second in pairs]
        also = None if found.other == BEFORE else lambda view: view_of_persons(view, found.other, seconds)
        show_people(ctx, found.field, firsts, what, also)


def _fields(ctx) -> tuple[str, str]:
    """Return the two fields that are compared.

    Raises:
        ValueError: if there is nothing to compare with.
    """
    field = prediction_field(ctx)
    others = _others(ctx, field)
    if not others:
        raise ValueError("Nothing to compare with: predict or import another field, or correct somebody.")
    chosen = ctx.panel.get_state(_OTHER)
    return field, chosen if chosen in others else others[0]


def _others(ctx, field: str) -> list[str]:
    """Return what a field can be compared with: other networks first, then its own past, then labels."""
    corrected = ctx.dataset.get_field(person_path(field, HISTORY)) is not None
    labels = truth_fields(ctx.dataset, field)
    others = [name for name in pose_fields(ctx.dataset) if name != field and name not in labels]
    return [*others, *[BEFORE] * corrected, *labels]


def _nearer(difference, found: FieldComparison) -> str:
    both = np.array([difference.first_oks, difference.second_oks])
    if not np.isfinite(both).all():
        return ""
    name = found.field if both[0] >= both[1] else found.other
    return f"{name} ({both.max():.2f}, {both.min():.2f})"


def _slug(name: str) -> str:
    return "before" if name == BEFORE else name
