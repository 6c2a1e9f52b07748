"""Operators of the review: queue, choice, acceptance, refinement."""

import warnings

from fiftyone.operators import types

from clickpose_fiftyone.field_names import PRED, TO_LABEL

from .base import HIGH, LOW, PoseOperator, fields_of_params, prediction_input


class ReviewWorst(PoseOperator):
    """Shows the people with the lowest predicted OKS."""

    key = "review_worst"
    title = "review worst first"
    description = "Show the people (or photos) with the lowest predicted OKS, worst first"
    risk = LOW
    delegated = False
    not_queued = "it changes what the app shows."
    reloads = False

    def resolve_placement(self, ctx):
        """A button above the grid."""
        button = types.Button(label="Review worst first", icon="/assets/pose.svg", prompt=True)
        return types.Placement(types.Places.SAMPLES_GRID_SECONDARY_ACTIONS, button)

    def define_inputs(self, ctx, inputs):
        """Field, number, people or photos."""
        prediction_input(ctx, inputs)
        inputs.int("count", label="How many", default=50, min=1, required=True)
        inputs.bool("photos", label="Whole photos instead of people", default=False, view=types.SwitchView())

    def run(self, ctx, samples):
        """Set the view."""
        from clickpose_fiftyone.review import worst_persons, worst_samples

        photos = ctx.params.get("photos", False)
        view = (worst_samples if photos else worst_persons)(samples, **fields_of_params(ctx, "pred_field", "count"))
        ctx.ops.set_view(view)
        return f"{len(view)} {'photos' if photos else 'people'}, lowest predicted OKS first."


class SelectForLabelling(PoseOperator):
    """Chooses uncertain and diverse photos."""

    key = "select_for_labelling"
    title = "select for labelling"
    description = "Choose photos that are uncertain and unlike each other, within a budget"

    def define_inputs(self, ctx, inputs):
        """Field, budget, diversity."""
        prediction_input(ctx, inputs)
        inputs.int("budget", label="How many photos", default=50, min=1, required=True)
        inputs.float("diversity", label="Diversity", default=0.5, min=0, max=1, view=types.SliderView())
        inputs.str("tag", label="Tag", default=TO_LABEL)

    def run(self, ctx, samples):
        """Choose and show."""
        from clickpose_fiftyone.selection import select_for_labelling

        chosen = select_for_labelling(samples, **fields_of_params(ctx, "pred_field", "budget", "diversity", "tag"))
        ctx.ops.set_view(ctx.dataset.select(list(chosen.sample_ids), ordered=True))
        return chosen


class AutoAccept(PoseOperator):
    """Lets confident people through unseen."""

    key = "auto_accept"
    title = "auto-accept"
    description = "Choose the OKS that accepted people should have on average; tells how many go through unseen"

    def define_inputs(self, ctx, inputs):
        """Field and target; says what will happen."""
        from clickpose_fiftyone.acceptance import auto_accept

        prediction_input(ctx, inputs)
        inputs.float("target", label="Target OKS", default=0.9, min=0, max=1, view=types.SliderView(), required=True)
        options = fields_of_params(ctx, "pred_field", "target")
        inputs.view("plan", types.Notice(label=str(auto_accept(ctx.target_view(), write=False, **options))))

    def run(self, ctx, samples):
        """Tag."""
        from clickpose_fiftyone.acceptance import auto_accept

        return auto_accept(samples, **fields_of_params(ctx, "pred_field", "target"))


class Refine(PoseOperator):
    """One click step."""

    key = "refine"
    title = "refine a pose"
    description = "Put one joint of a selected person right; the others follow"
    delegated = False
    not_queued = "it is one click on the selected person."

    def define_inputs(self, ctx, inputs):
        """Person, joint, position."""
        prediction_input(ctx, inputs)
        if not _person_id(ctx):
            raise ValueError("Expected one selected person: select a pose in the app first, or use the Refine panel")
        from clickpose_fiftyone.skeletons import skeleton_of

        names = skeleton_of(ctx.dataset, ctx.params.get("pred_field", PRED)).names
        inputs.enum("joint", names, label="Joint", required=True)
        inputs.float("x", label="x, pixels of the photo", required=True)
        inputs.float("y", label="y, pixels of the photo", required=True)

    def run(self, ctx, samples):
        """Refine and save."""
        from clickpose_fiftyone.refinement import refine_pose

        label_id = _person_id(ctx)
        missing = [name for name in ("joint", "x", "y") if ctx.params.get(name) is None]
        if label_id is None or missing:
            raise ValueError(
                f"Expected a person, a joint and a position, got no {'person' if not missing else missing[0]}"
            )
        clicks = {ctx.params["joint"]: (float(ctx.params["x"]), float(ctx.params["y"]))}
        options = fields_of_params(ctx, "pred_field", "sample_id", "model")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            pose = refine_pose(ctx.dataset, label_id, clicks, **options)
        said = "".join(f" {warning.message}" for warning in caught)
        return f"{ctx.params['joint']} placed; predicted OKS of the person is {pose.instance_score:.2f} now.{said}"


class AcceptRefinements(PoseOperator):
    """Settles refinements."""

    key = "accept_refinements"
    title = "accept refinements"
    description = "Settle the refined people of the view (or the selected ones); the originals are kept"

    def define_inputs(self, ctx, inputs):
        """Field."""
        prediction_input(ctx, inputs)

    def run(self, ctx, samples):
        """Accept."""
        from clickpose_fiftyone.refinement import accept_refinements

        count = accept_refinements(samples, _selected_ids(ctx), **fields_of_params(ctx, "pred_field"))
        return f"Accepted {count} refined people."


class DiscardRefinements(PoseOperator):
    """Brings originals back."""

    key = "discard_refinements"
    title = "discard refinements"
    description = "Bring back the network's poses of the refined people of the view (or of the selected ones)"
    risk = HIGH

    def define_inputs(self, ctx, inputs):
        """Field."""
        prediction_input(ctx, inputs)

    def run(self, ctx, samples):
        """Discard."""
        from clickpose_fiftyone.refinement import discard_refinements

        count = discard_refinements(samples, _selected_ids(ctx), **fields_of_params(ctx, "pred_field"))
        return f"Brought back the originals of {count} people."


def _selected_ids(ctx) -> list[str] | None:
    """Return the ids of the people that are selected in the app; None where nobody is."""
    given = ctx.params.get("label_ids")
    selected = [label["label_id"] for label in ctx.selected_labels or []]
    return list(given) if given else selected or None


def _person_id(ctx) -> str | None:
    given = ctx.params.get("label_id")
    selected = _selected_ids(ctx)
    return given or (selected[0] if selected and len(selected) == 1 else None)
