"""Operators that compare with labels."""

from fiftyone.operators import types

from clickpose_fiftyone.field_names import PRED_OKS, SCORE_RAW

from .base import (
    MEDIUM,
    USER_ERRORS,
    PoseOperator,
    SteppedOperator,
    default_prediction,
    fields_of_params,
    path_of_params,
    prediction_input,
    truth_input,
)

CCNET = "ccnet"
_MODELS = ("lite", "r50", "another")
_CHECKPOINT = "Weights of lite that predicted the poses (empty: the shipped ones)"
_UNKNOWN = "The dataset does not know which network predicted this field: its name is kept with the field."


class Calibrate(PoseOperator):
    """Fits a calibrator and writes calibrated scores."""

    key = "calibrate"
    title = "calibrate confidence"
    description = "Fit on the labelled photos of the view, then write what the confidences mean on all photos"
    generator = True

    def define_inputs(self, ctx, inputs):
        """Fields, calibrator, file."""
        from clickpose_fiftyone.calibration import KINDS

        prediction_input(ctx, inputs)
        source = types.RadioGroup()
        source.add_choice("labels", label="Fit on labelled photos")
        source.add_choice("file", label="Apply a calibrator file")
        inputs.enum("source", source.values(), default="labels", label="Calibrator", view=source)
        if ctx.params.get("source", "labels") == "file":
            inputs.str("path", label="File that clickpose calibrate wrote", required=True)
            self._network_input(ctx, inputs, _is_head(ctx), required=True)
            return
        truth_input(ctx, inputs)
        inputs.enum("kind", (*KINDS, CCNET), label="Curve, or a CCNet head", default="auto", required=True)
        head, save_to = ctx.params.get("kind") == CCNET, ctx.params.get("save_to")
        if not head:
            inputs.bool("per_joint", label="A curve for each joint", default=False)
        inputs.bool("whole_dataset", label="Write calibrated scores on all photos of the dataset", default=True)
        inputs.str("save_to", label="Write the calibrator to a file (optional)")
        if ctx.params.get("kind") not in (None, "auto"):
            inputs.bool("even_if_worse", label="Write also what is worse than the network's own scores", default=False)
        self._network_input(ctx, inputs, head, required=head or bool(save_to))

    @staticmethod
    def _network_input(ctx, inputs, head: bool, required: bool) -> None:
        """Say which network predicted the field, or ask for its name: nothing is assumed."""
        from clickpose_fiftyone.provenance import network_of

        field = ctx.params.get("pred_field") or default_prediction(ctx)
        network = network_of(ctx.dataset, field)
        if network is not None:
            inputs.view("network", types.Notice(label=f"“{field}” was predicted by {network}."))
        elif required:
            inputs.view("network", types.Notice(label=_UNKNOWN))
            if head:
                inputs.enum("model", _MODELS, label="The poses were predicted by", required=True)
            else:
                inputs.str("model", label="Name of the network that predicted", required=True)
        if head and (network is None or not network.fingerprint):
            inputs.str("checkpoint", label=_CHECKPOINT)

    def steps(self, ctx):
        """Calibrate with progress; nothing is written when it is cancelled."""
        try:
            samples = self._samples(ctx)
            steps, noun = self._ccnet_steps(ctx, samples), "people"
            if steps is None and ctx.params.get("source") != "file":
                steps, noun = self._curve_steps(ctx, samples), "parts"
            result = self.run(ctx, samples) if steps is None else (yield from self.reported(ctx, steps, noun))
        except USER_ERRORS as error:
            yield from self.refused(ctx, error)
            return
        yield from self.done(ctx, str(result))

    def _ccnet_steps(self, ctx, samples):
        """Return the steps of a calibration with CCNet; None for a post-hoc one."""
        from_file = ctx.params.get("source") == "file"
        if not (_is_head(ctx) if from_file else ctx.params.get("kind") == CCNET):
            return None
        from clickpose_fiftyone.ccnet import apply_ccnet, calibrate_ccnet  # with torch, which curves do not need

        if from_file:
            options = fields_of_params(ctx, "pred_field", "model", "checkpoint")
            return apply_ccnet.steps(samples, path_of_params(ctx, "path", "a calibrator file"), **options)
        options = fields_of_params(ctx, "pred_field", "gt_field", "model", "checkpoint", "save_to", "even_if_worse")
        return calibrate_ccnet.steps(self._target(ctx, samples), fit_samples=samples, **options)

    @staticmethod
    def _target(ctx, samples):
        return ctx.dataset if ctx.params.get("whole_dataset", True) else samples

    def _curve_steps(self, ctx, samples):
        """Return the steps of fitting a curve."""
        from clickpose_fiftyone.calibration import calibrate

        names = ("pred_field", "gt_field", "kind", "per_joint", "model", "save_to", "even_if_worse")
        options = fields_of_params(ctx, *names)
        return calibrate.steps(self._target(ctx, samples), fit_samples=samples, **options)

    def run(self, ctx, samples):
        """Apply a file with a curve."""
        from clickpose_fiftyone.calibration import apply_calibrator

        path = path_of_params(ctx, "path", "a calibrator file")
        return apply_calibrator(samples, path, **fields_of_params(ctx, "pred_field", "model"))


class RestoreRawScores(PoseOperator):
    """Takes calibrations back."""

    key = "restore_raw_scores"
    title = "restore raw scores"
    description = "Take calibrations back: scores and visibilities are the network's own again, corrections stay"

    def define_inputs(self, ctx, inputs):
        """Field."""
        prediction_input(ctx, inputs)

    def run(self, ctx, samples):
        """Restore."""
        from clickpose_fiftyone.raw_scores import restore_raw_scores

        return restore_raw_scores(samples, **fields_of_params(ctx, "pred_field"))


def _is_head(ctx) -> bool:
    return str(ctx.params.get("path") or "").endswith(".safetensors")


class EvaluatePoses(SteppedOperator):
    """COCO's figures, matches and curves."""

    key = "evaluate_poses"
    title = "evaluate (COCO)"
    description = "COCO's ten keypoint figures, equal to pycocotools, with matches stored for each person"

    def define_inputs(self, ctx, inputs):
        """Fields, key, ranking."""
        prediction_input(ctx, inputs)
        truth_input(ctx, inputs)
        inputs.str("eval_key", label="Name of the run", default="eval", required=True)
        inputs.enum("score", (PRED_OKS, SCORE_RAW), label="Rank by", default=PRED_OKS)
        inputs.float(
            "oks", label="OKS from which a person is found (for the stored matches)", default=0.5, min=0, max=1
        )

    def text_of(self, ctx, result) -> str:
        """Say the figures and what they assume."""
        return result.sentence()

    def long_run(self, ctx, samples):
        """Evaluate."""
        from clickpose_fiftyone.evaluation import evaluate_poses

        options = fields_of_params(ctx, "pred_field", "gt_field", "score", "oks", "eval_key")
        return evaluate_poses.steps(samples, **options)


class Diagnose(SteppedOperator):
    """Ronchi and Perona's error kinds."""

    key = "diagnose"
    noun = "people"
    title = "diagnose errors"
    description = "Good, jitter, inversion, swap or miss: the error of every joint, by comparison with labels"

    def define_inputs(self, ctx, inputs):
        """Fields."""
        prediction_input(ctx, inputs)
        truth_input(ctx, inputs)

    def long_run(self, ctx, samples):
        """Diagnose."""
        from clickpose_fiftyone.diagnosis import diagnose

        return diagnose.steps(samples, **fields_of_params(ctx, "pred_field", "gt_field"))


class FindLabelErrors(SteppedOperator):
    """Looks for annotations that are wrong."""

    key = "find_label_errors"
    title = "find label errors"
    description = "Exchanged sides, chimeras, doubles, missing or stray joints, impossible limbs among the labels"
    risk = MEDIUM

    def define_inputs(self, ctx, inputs):
        """Fields."""
        prediction_input(ctx, inputs)
        truth_input(ctx, inputs)

    def long_run(self, ctx, samples):
        """Search."""
        from clickpose_fiftyone.label_errors import find_label_errors

        return find_label_errors.steps(samples, **fields_of_params(ctx, "pred_field", "gt_field"))
