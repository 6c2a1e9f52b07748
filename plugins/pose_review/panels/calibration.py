"""The Calibration panel: is a predicted OKS of .8 an OKS of .8?"""

from fiftyone.operators import types

from clickpose_fiftyone import plots
from clickpose_fiftyone.acceptance import auto_accept
from clickpose_fiftyone.calibration import stored_calibration
from clickpose_fiftyone.calibration_report import (
    BINS,
    calibration_report,
    persons_by_joint_score,
    persons_by_score,
    score_histogram,
)
from clickpose_fiftyone.raw_scores import restore_raw_scores

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
    truth_field,
)


class CalibrationPanel(PosePanel):
    """Reliability, sparsification, precision, joints; clicking a bar shows those people; auto-accept slider."""

    key = "calibration_panel"
    title = "Pose calibration"
    icon = "speed"
    hint = "Before: the network's raw confidence. After: the calibrated predicted OKS. Click a bar to see those people."

    @sentences
    def on_load(self, ctx):
        """Check that there are predictions."""
        photos_of(ctx)
        prediction_field(ctx)

    on_change_dataset = on_load

    @sentences
    def on_change_view(self, ctx):
        """The figures are of the view: drawn anew."""
        photos_of(ctx)
        prediction_field(ctx)

    def show(self, ctx, panel):
        """Draw the figures of the view."""
        samples, field = compared_photos(ctx), prediction_field(ctx)
        field_line(ctx, panel, field, self.on_field)
        target = ctx.panel.get_state("target")
        target = 0.9 if target is None else float(target)
        plan = auto_accept(samples, field, target, write=False)
        plot(ctx, panel, "scores", plots.score_figure(score_histogram(samples, field), plan.threshold), self.on_score)
        panel.md("Mean OKS that people who are accepted unseen should have:", name="target_label")
        panel.float("target", label="Target", default=target, min=0.5, max=1.0,
                    view=types.SliderView(value_precision=2), on_change=self.on_target)  # fmt: skip
        panel.md(str(plan), name="plan")
        panel.btn(
            "apply", label="Auto-accept these people", icon="done_all", variant="outlined", on_click=self.on_accept
        )
        self._show_labelled(ctx, panel, samples, field)

    def _show_labelled(self, ctx, panel, samples, field: str) -> None:
        """Draw what needs labels, or say that there are none."""
        try:
            report = calibration_report(samples, field, truth_field(ctx))
        except ValueError as error:
            panel.view("unlabelled", types.AlertView(severity="info", label=str(error)))
            return
        if (calibration := stored_calibration(ctx.dataset, field)) is not None:  # the plots show also who was fitted on
            panel.md(str(calibration), name="calibration")
            panel.btn(
                "restore", label="Restore the network's own scores", icon="undo", variant="outlined",
                on_click=self.on_restore,
            )  # fmt: skip
        plot(ctx, panel, "reliability", plots.reliability_figure(report), self.on_reliability)
        plot(ctx, panel, "sparsification", plots.sparsification_figure(report))
        plot(ctx, panel, "precision", plots.precision_figure(report))
        plot(ctx, panel, "joints", plots.joint_figure(report), self.on_joint)

    @notices
    def on_target(self, ctx):
        """Move the threshold."""
        ctx.panel.set_state("target", ctx.params.get("value"))

    @notices
    def on_accept(self, ctx):
        """Tag the accepted people."""
        target = ctx.panel.get_state("target")
        plan = auto_accept(compared_photos(ctx), prediction_field(ctx), 0.9 if target is None else float(target))
        ctx.ops.reload_dataset()
        ctx.ops.notify(str(plan), variant="success")

    @notices
    def on_restore(self, ctx):
        """Take the calibration back, of the whole dataset."""
        restored = restore_raw_scores(ctx.dataset, prediction_field(ctx))
        ctx.ops.reload_dataset()
        ctx.ops.notify(str(restored), variant="success")

    @notices
    def on_score(self, ctx):
        """Show the people of a bar of predicted OKS."""
        low, high = _bin_of(ctx.params["x"])
        field = prediction_field(ctx)
        ids = persons_by_score(compared_photos(ctx), field, low, high)
        show_people(ctx, field, ids, f"predicted OKS {low:.1f}–{high:.1f}")

    @notices
    def on_reliability(self, ctx):
        """Show the people who have joints of a bar."""
        low, high = _bin_of(ctx.params["x"])
        field = prediction_field(ctx)
        ids = persons_by_joint_score(compared_photos(ctx), field, low, high)
        show_people(ctx, field, ids, f"a joint of predicted OKS {low:.1f}–{high:.1f}")

    @notices
    def on_joint(self, ctx):
        """Show the people in whom a joint is doubtful."""
        joint, field = str(ctx.params["x"]).replace(" ", "_"), prediction_field(ctx)
        ids = persons_by_joint_score(compared_photos(ctx), field, 0, 0.5, joint=joint)
        show_people(ctx, field, ids, f"a doubtful {ctx.params['x']}")


def _bin_of(x) -> tuple[float, float]:
    """Return the bin of score that a bar's centre stands for."""
    number = min(max(int(float(x) * BINS), 0), BINS - 1)
    return number / BINS, (number + 1) / BINS
