"""Operators that predict, flag and colour."""

import os

import fiftyone as fo
from fiftyone.operators import types

from clickpose_fiftyone.checks import plural, predicted_fields
from clickpose_fiftyone.field_names import LOW_VISIBILITY_TAG, PRED, PRED_OKS, joints_field_of, person_path
from clickpose_fiftyone.overwriting import Writer

from .base import (
    LOW,
    USER_ERRORS,
    PoseOperator,
    SteppedOperator,
    field_input,
    fields_of_params,
    prediction_input,
    replace_input,
)

MODELS = ("lite", "r50")
_FIRST_LABEL = "First poses of another network, kind:what (empty: lite's own)"


def _refuse_code(first: str | None) -> None:
    """Refuse to run a function that a form names; what the app was started with is its owner's.

    Raises:
        ValueError: if a form names one.
    """
    from clickpose.first_pose.loading import OWN, FirstSpec

    if first and first != os.environ.get("CLICKPOSE_FIRST") and FirstSpec.parse(first).kind == OWN:
        raise ValueError("Expected no function of one's own in the form; start the app with CLICKPOSE_FIRST=" + first)


class PredictPoses(PoseOperator):
    """Runs a network on the photos."""

    key = "predict_poses"
    title = "predict poses"
    description = "Find the people of the photos, or take boxes as prompts, and write their poses with predicted OKS"
    generator = True

    def define_inputs(self, ctx, inputs):
        """Model, field, boxes, threshold."""
        from clickpose_fiftyone.predict import photos_done  # with torch, which most forms do not need

        inputs.enum("model", MODELS, label="Network", default="lite", required=True)
        if ctx.params.get("model") == "r50":
            inputs.str("checkpoint", label="Weights of the network (a checkpoint of Click-Pose)", required=True)
        else:
            inputs.str("first", label=_FIRST_LABEL, default=os.environ.get("CLICKPOSE_FIRST", ""))
        inputs.str("pred_field", label="Field to write", default=PRED, required=True)
        field_input(ctx, inputs, "prompt_field", "Boxes of the people (empty: find them)", fo.Detections, None, False)
        inputs.float("min_score", label="Leave out people with a lower predicted OKS", default=0.0, min=0, max=1)
        field = ctx.params.get("pred_field", PRED)
        replace_input(inputs, "replace_corrected", ctx.target_view(), field, Writer.NETWORK)
        if done := photos_done(ctx.target_view(), field):
            label = f"Go on with the run that was stopped after {plural(done, 'photo')} (if all else is the same)"
            inputs.bool("resume", label=label, default=True)
        inputs.bool("colours", label="Colour by confidence afterwards", default=True, view=types.SwitchView())

    def steps(self, ctx):
        """Predict photo by photo with progress; what was found is kept when it is cancelled."""
        from clickpose_fiftyone.predict import predict_poses

        try:
            names = ("pred_field", "model", "prompt_field", "min_score", "replace_corrected", "resume")
            names += ("checkpoint",) if ctx.params.get("model") == "r50" else ("first", "checkpoint")
            _refuse_code(ctx.params.get("first"))
            colours = ctx.params.get("colours", True)
            run = predict_poses.steps(self._samples(ctx), **fields_of_params(ctx, *names), colours=colours)
            result = yield from self.reported(ctx, run, "photos")
        except USER_ERRORS as error:
            yield from self.refused(ctx, error)
            return
        if colours:
            yield show_colours(ctx)
        yield from self.done(ctx, str(result), photos=result.photos, persons=result.persons, failures=result.failures)


class FlagLowVisibility(SteppedOperator):
    """Counts, tags and shows hidden joints."""

    key = "flag_low_visibility"
    title = "flag low visibility"
    description = "Tag people with joints that are probably hidden, and show those joints in a field of their own"
    noun = "photos"

    def define_inputs(self, ctx, inputs):
        """Field, threshold, tag, overlay."""
        prediction_input(ctx, inputs)
        inputs.float(
            "threshold", label="Visibility below", default=0.3, min=0, max=1, view=types.SliderView(), required=True
        )
        inputs.str("tag", label="Tag of such people (empty: none)", default=LOW_VISIBILITY_TAG)
        inputs.bool("overlay", label="Show the joints in a field", default=True)

    def long_run(self, ctx, samples):
        """Flag."""
        from clickpose_fiftyone.visibility import flag_low_visibility

        return flag_low_visibility.steps(
            samples, tag=ctx.params.get("tag", LOW_VISIBILITY_TAG) or None,
            **fields_of_params(ctx, "pred_field", "threshold", "overlay"),
        )  # fmt: skip


class SetUpColours(SteppedOperator):
    """Colours joints and bones by confidence."""

    key = "set_up_colours"
    title = "colour by confidence"
    description = "Draw joints and bones in the colour of their predicted OKS"
    noun = "photos"
    risk = LOW

    def define_inputs(self, ctx, inputs):
        """Field, hidden joints."""
        prediction_input(ctx, inputs)
        inputs.float("hide_below", label="Leave out joints with a lower visibility", default=0.0, min=0, max=1)

    def long_run(self, ctx, samples):
        """Colour."""
        from clickpose_fiftyone.colours import color_by_confidence

        before = set(ctx.dataset.get_field_schema())
        yield from color_by_confidence.steps(samples, **fields_of_params(ctx, "pred_field", "hide_below"))
        return bool(set(ctx.dataset.get_field_schema()) - before)

    def text_of(self, ctx, result) -> str:
        """Say what the colours mean; ``result`` tells whether there are new fields."""
        show_colours(ctx)
        hint = " Reload the page to see the joints above the bones." if result else ""  # as the app orders new fields
        return f"Joints and bones are coloured by predicted OKS: violet is doubtful, yellow is certain.{hint}"


def colour_scored(ctx, field: str) -> None:
    """Colour a field whose people were just read and are scored, and have an app that is open show that at once."""
    from clickpose_fiftyone.colours import color_by_confidence

    if field not in predicted_fields(ctx.dataset) or not ctx.dataset.count(person_path(field, PRED_OKS)):
        return
    color_by_confidence(ctx.dataset, field)
    show_colours(ctx)
    ctx.ops.set_active_fields([joints_field_of(field), field])


def show_colours(ctx):
    """Let an app that is open take the dataset's colours over: it reads them only when it opens a dataset."""
    scheme = ctx.dataset.app_config.color_scheme
    return ctx.trigger(
        "set_color_scheme",
        {
            "color_by": scheme.color_by, "fields": scheme.fields, "opacity": scheme.opacity,
            "multi_color_keypoints": scheme.multicolor_keypoints, "show_keypoint_skeletons": scheme.show_skeletons,
        },
    )  # fmt: skip
