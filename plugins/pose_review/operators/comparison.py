"""The operator that compares two fields."""

from clickpose_fiftyone.checks import pose_fields, truth_fields
from clickpose_fiftyone.comparison import BEFORE, compare_fields

from .base import PoseOperator, default_prediction, fields_of_params, prediction_input
from .prediction import show_colours


class CompareFields(PoseOperator):
    """Two fields side by side."""

    key = "compare_fields"
    title = "compare two fields"
    description = "Find the joints that two fields (two networks, or before and after corrections) have elsewhere"

    def define_inputs(self, ctx, inputs):
        """Fields."""
        prediction_input(ctx, inputs)
        field = ctx.params.get("pred_field") or default_prediction(ctx)
        others = [name for name in pose_fields(ctx.dataset) if name != field] + [BEFORE]
        inputs.enum("other", others, label="Compared with", default=others[0], required=True)
        labels = [name for name in truth_fields(ctx.dataset, field) if name != ctx.params.get("other", others[0])]
        if labels:
            inputs.enum("gt_field", labels, label="Labels that tell which one is nearer (optional)")

    def run(self, ctx, samples):
        """Compare, and show the joints in colour."""
        options = fields_of_params(ctx, "other", "gt_field")
        field = ctx.params.get("pred_field") or default_prediction(ctx)
        result = compare_fields(samples, field, **options)
        show_colours(ctx)
        return result
