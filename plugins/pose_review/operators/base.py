"""What all operators share: configuration, inputs, sentences instead of tracebacks."""

import os

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext, Executor

from clickpose.steps import mapped
from clickpose_fiftyone.backends import register_backends
from clickpose_fiftyone.checks import (
    fields_of,
    pose_fields,
    predicted_fields,
    require_images,
    require_samples,
    truth_fields,
)
from clickpose_fiftyone.field_names import PRED
from clickpose_fiftyone.fiftyone_internals import app_samples, root_dataset_of, serialized_view
from clickpose_fiftyone.overwriting import Writer, count_lost, replacing

LOW, MEDIUM, HIGH = types.RiskLevel.LOW, types.RiskLevel.MEDIUM, types.RiskLevel.HIGH
ICON = "/assets/pose.svg"
USER_ERRORS = (ValueError, OSError)  # what a user can cause: wrong input, files that cannot be read or written
_REFUSED, _REFUSED_SECONDS = "clickpose_refused_forms", 1800
_SECRET = ("api_key",)
_PATHS = ("path", "checkpoint", "save_to", "annotations", "images")


class PoseOperator(foo.Operator):
    """An operator that calls one function of the package.

    Attributes:
        key, title, description: for the operator browser.
        risk: what it may change.
        delegated: it may take long, so that it can be queued.
        not_queued: why it cannot be queued, of one that is not; told in its form.
        generator: it reports progress while it runs in the app.
        needs_photos: it works on the photos of the view.
        reloads: the app must read the dataset anew afterwards.
    """

    key: str
    title: str
    description: str
    risk = MEDIUM
    delegated = True
    not_queued = "it is done at once."
    generator = False
    needs_photos = True
    reloads = True

    @property
    def config(self):
        """FiftyOne's description of the operator."""
        return foo.OperatorConfig(
            name=self.key,
            label=f"Pose: {self.title}",
            description=self.description,
            icon=ICON,
            light_icon=ICON,
            dark_icon=ICON,
            dynamic=True,
            execute_as_generator=self.generator,
            allow_immediate_execution=True,
            allow_delegated_execution=self.delegated,
            risk_level=self.risk,
        )

    def resolve_input(self, ctx):
        """Ask for the parameters; what cannot work is said before it runs."""
        inputs = types.Object()
        try:
            if self.needs_photos:
                samples = ctx.target_view()
                require_images(samples)
                require_samples(samples)
            self.define_inputs(ctx, inputs)
        except ValueError as error:
            refuse(inputs, str(error))
        self._offer_again(ctx, inputs)
        why = None if self.delegated else f"This cannot be queued: {self.not_queued}"
        return types.Property(inputs, view=types.View(label=self.title, description=why))

    def _offer_again(self, ctx, inputs) -> None:
        """Offer what was typed into a form that was refused: nobody types a path twice."""
        if ctx.dataset is None or ctx.delegated:
            return
        for name, value in (ctx.store(_REFUSED).get(self.key) or {}).items():
            field = inputs.properties.get(name)
            if field is not None and name not in ctx.params:
                field.default = value

    def define_inputs(self, ctx, inputs) -> None:
        """Add the inputs; ValueErrors are shown to the user."""

    def execute(self, ctx):
        """Run, and answer with a sentence; a queued run that cannot be done fails with it."""
        if self.generator:
            steps = self.steps(ctx)
            return _last(steps) if ctx.delegated else steps  # the queue does not keep what a generator yields
        try:
            _report(ctx, 0.0, self.title)
            result = self.run(ctx, self._samples(ctx))
            _report(ctx, 1.0, str(result))
        except USER_ERRORS as error:
            return self._failed(ctx, error)
        return self._finished(ctx, result)

    def steps(self, ctx):
        """Run step by step, for operators with ``generator``; the last thing that is yielded is the answer."""
        raise NotImplementedError

    def run(self, ctx, samples):
        """Call the package; the result's text is shown."""
        raise NotImplementedError

    def resolve_output(self, ctx):
        """Show the sentence."""
        outputs = types.Object()
        failed = "error" in (ctx.results or {})
        view = types.Error if failed else types.Notice
        outputs.view("message", view(label=(ctx.results or {}).get("error" if failed else "message", "")))
        return types.Property(outputs, view=types.View(label=self.title))

    def __call__(self, samples, **params):
        """Run from Python: ``foo.get_operator("@clickpose/pose_review/<name>")(dataset, …)``.

        Raises:
            ValueError: with the sentence that the app would show.
        """
        request = {"dataset_name": root_dataset_of(samples).name, "view": serialized_view(samples), "params": params}
        result = self.execute(ExecutionContext(request, executor=Executor(), operator_uri=self.uri))
        if self.generator:
            result = _last(result)
        if "error" in result:
            raise ValueError(result["error"])
        return result

    def reported(self, ctx, steps, noun: str):
        """Run a generator of (done, in all) to its end, reporting each step; returns its result.

        For operators with ``generator``; nothing of ours runs on when the app stops one midway.
        """

        def report(done: int, total: int):
            label = f"{done} of {total} {noun}"
            _report(ctx, done / total, label)
            return ctx.ops.set_progress(progress=done / total, label=label)

        return (yield from mapped(steps, report))

    def refused(self, ctx, error: Exception):
        """Yield an error's sentence: of a generator, only what it yields reaches the app."""
        answer = self._failed(ctx, error)
        yield self._told(ctx, answer["error"])
        yield ctx.ops.notify(answer["error"], variant="error")
        yield answer

    def done(self, ctx, text: str, **more):
        """Yield what ends a run that went well: the sentence, and more of the answer for callers from Python."""
        self._keep_typed(ctx, {})
        if self.reloads:
            yield from self._shown_anew(ctx)
        yield self._told(ctx, text)
        yield ctx.ops.notify(text, variant="success")
        yield {"message": text, **more}

    @staticmethod
    def _shown_anew(ctx):
        """Yield what has the app show everything as it is now; the last alone leaves the grid and an open photo."""
        yield ctx.ops.reload_samples()
        if ctx.current_sample and not ctx.delegated:
            samples = app_samples(ctx.view, [ctx.current_sample])
            yield ctx.trigger("@clickpose/pose_review/show_samples", {"samples": samples})  # of ui/shown_samples.js
        yield ctx.ops.reload_dataset()

    @staticmethod
    def _told(ctx, text: str):
        """Return what leaves a text on the screen until the user closes it.

        The app shows no output of a generator: a notice is gone after some seconds, and the progress that was told
        last, such as "2 of 3 parts", would stay as if the run had stopped there.
        """
        return ctx.ops.set_progress(progress=1.0, label=text)

    def _samples(self, ctx):
        register_backends()
        if not self.needs_photos:
            return ctx.dataset
        samples = ctx.target_view()
        require_images(samples)
        require_samples(samples)
        return samples

    def _finished(self, ctx, result) -> dict:
        self._keep_typed(ctx, {})
        if self.reloads:
            list(self._shown_anew(ctx))  # each is asked for as it is made
        ctx.ops.notify(str(result), variant="success")
        return {"message": str(result)}

    def _keep_typed(self, ctx, typed: dict) -> None:
        """Keep what was typed for the next time that the form is opened, or forget it."""
        if ctx.dataset is None:
            return
        store = ctx.store(_REFUSED)
        if typed:
            store.set(self.key, typed, ttl=_REFUSED_SECONDS)
        elif store.has(self.key):
            store.delete(self.key)

    def _failed(self, ctx, error: Exception) -> dict:
        if ctx.delegated:  # nobody sees a notice; the queue shows what the run failed with
            raise ValueError(sentence_of(error)) from error
        self._keep_typed(ctx, {name: value for name, value in ctx.params.items()
                               if isinstance(value, (str, int, float)) and name not in _SECRET})  # fmt: skip
        ctx.ops.notify(sentence_of(error), variant="error")
        return {"error": sentence_of(error)}


class SteppedOperator(PoseOperator):
    """An operator that calls a function of steps of the package: the app shows its progress, and can cancel it.

    Attributes:
        noun: what the steps are of.
    """

    generator = True
    noun = "parts"

    def long_run(self, ctx, samples):
        """Return the steps; the result's text is shown."""
        raise NotImplementedError

    def text_of(self, ctx, result) -> str:
        """Return what is told of the result."""
        return str(result)

    def steps(self, ctx):
        """Run with progress; cancelled, it goes no further."""
        _report(ctx, 0.0, self.title)
        try:
            run = self.long_run(ctx, self._samples(ctx))
            result = yield from self.reported(ctx, run, self.noun)
        except USER_ERRORS as error:
            yield from self.refused(ctx, error)
            return
        text = self.text_of(ctx, result)
        _report(ctx, 1.0, text)
        yield from self.done(ctx, text)


def reporter(ctx, noun: str):
    """Return what reports (done, in all) as the progress of a queued run."""
    return lambda done, total: _report(ctx, done / total, f"{done} of {total} {noun}")


def _report(ctx, progress: float, label: str) -> None:
    """Show the progress of a queued run; the app shows that of its own runs by what they yield."""
    if ctx.delegated:
        ctx.set_progress(progress=progress, label=label)


def _last(steps):
    """Run a generator to its end; return the last thing that it yields."""
    *_, last = steps
    return last


def sentence_of(error: Exception) -> str:
    """Return what to tell a user: of the system's errors the file and the reason, without a number."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def refuse(inputs, sentence: str) -> None:
    """Show a sentence instead of a form that could be submitted."""
    problem = inputs.view("problem", types.Error(label=sentence))
    problem.invalid = True
    problem.error_message = sentence


def field_input(ctx, inputs, name: str, label: str, kind=fo.Keypoints, default: str | None = None, required=True):
    """Let the user choose a field of a label class.

    Raises:
        ValueError: if there is none and it is required.
    """
    fields = pose_fields(ctx.dataset) if kind is fo.Keypoints else fields_of(ctx.dataset, kind)
    if not fields:
        if required:
            raise ValueError(f"Expected a field of {kind.__name__} ({label.lower()}), the dataset has none")
        return
    chosen = default if default in fields else fields[0] if required else None
    inputs.enum(name, fields, label=label, default=chosen, required=required, view=types.DropdownView())


def prediction_input(ctx, inputs, label: str = "Predictions") -> None:
    """Let the user choose the field of predictions, or of poses of any kind that a label names."""
    field_input(ctx, inputs, "pred_field", label, default=default_prediction(ctx))


def default_prediction(ctx) -> str:
    """Return the field of predictions that is offered first."""
    predicted = predicted_fields(ctx.dataset)
    return PRED if PRED in predicted else next(iter(predicted), PRED)


def truth_input(ctx, inputs) -> None:
    """Let the user choose the field of annotations."""
    others = truth_fields(ctx.dataset, ctx.params.get("pred_field", PRED))
    if not others:
        raise ValueError("Expected a field of labelled people beside the predictions, the dataset has none")
    inputs.enum("gt_field", others, label="Labelled people", default=others[0], required=True)


def replace_input(inputs, name: str, samples, field: str, writer: Writer) -> None:
    """Let the user choose to replace people of the field that is written who would be lost, if there are any."""
    if label := replacing(count_lost(samples, field, writer), field, writer):
        inputs.bool(name, label=label, default=False)


def fields_of_params(ctx, *names: str) -> dict:
    """Return the given parameters among ``names``, without those left empty; ``~`` in paths is the home folder."""
    given = {name: ctx.params[name] for name in names if ctx.params.get(name) not in (None, "")}
    return {name: os.path.expanduser(value) if name in _PATHS else value for name, value in given.items()}


def path_of_params(ctx, name: str, what: str) -> str:
    """Return the path that was given.

    Raises:
        ValueError: if none was.
    """
    path = fields_of_params(ctx, name).get(name)
    if path is None:
        raise ValueError(f"Expected the path of {what}, got none")
    return path
