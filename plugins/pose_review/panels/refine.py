"""The Refine panel: click where a joint really is, and the rest of the person follows."""

import functools

import numpy as np
from fiftyone.operators import types

from clickpose_fiftyone.canvas import canvas_figure, canvas_window, pick_joint
from clickpose_fiftyone.checks import predicted_fields
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.field_names import PRED_OKS
from clickpose_fiftyone.fiftyone_internals import is_patches
from clickpose_fiftyone.provenance import other_network
from clickpose_fiftyone.refinement import (
    accept_refinements,
    find_person,
    follows,
    moved_joints,
    person_of_selection,
    refined_pose,
    refining_predictor,
    save_refinement,
    undo_refinement,
)
from clickpose_fiftyone.review import next_person

from .base import (
    FIELD,
    PosePanel,
    field_line,
    keys,
    legend,
    notices,
    photos_of,
    plot,
    prediction_field,
    sentences,
)

_STORE = "clickpose_refine"
_SHOWN = ("sample_id", "label_id", "clicks", "active", "revision")  # of the state: what a button or key acts on
_DRAFTS = "drafts"  # of the state: label id -> clicks that are not saved and the revision that they started from
_ALONE = "No network at hand has these joints: they are placed one by one. `clickpose adapt` makes a network of them."


def on_what_is_shown(method):
    """Have a button or key act on what its browser shows: the app shares panels among all browsers that are open."""

    @functools.wraps(method)
    def guarded(self, ctx, *args):
        for name, value in (ctx.params.get("shown") or {}).items():
            ctx.panel.state.set(name, value)
        return method(self, ctx, *args)

    return guarded


class RefinePanel(PosePanel):
    """Click canvas on the photo with before/after, undo and save; in the grid and in the sample modal."""

    key = "refine_panel"
    title = "Pose refine"
    icon = "touch_app"
    surfaces = "grid modal"
    hint = (
        "Click a joint to choose it, then click where it belongs; or click straight away, and the nearest joint is put "
        "there. The others follow; joints you placed (white rings) stay."
    )

    @sentences
    def on_load(self, ctx):
        """Choose a person: asked for by the Review panel, of the open or selected sample, or the worst of the view."""
        samples, field, opened = photos_of(ctx), prediction_field(ctx), _current_sample(ctx)
        wanted = ctx.store(_STORE).get("request")
        if wanted and opened in (None, wanted["sample_id"]) and wanted["field"] in predicted_fields(ctx.dataset):
            self._choose(ctx, **wanted)
        elif opened is not None:
            self._choose(ctx, field, opened, None)
        elif person := next_person(samples, field):
            self._choose(ctx, field, *person)
        else:
            raise ValueError("Everybody of this view is settled.")

    on_change_dataset = on_load

    @sentences
    def on_field(self, ctx):
        """Show the same photo with the people of another field."""
        if ctx.params["value"] == ctx.panel.get_state(FIELD):  # the app echoes what it shows
            return
        self._choose(ctx, ctx.params["value"], ctx.panel.get_state("sample_id"), None)

    @sentences
    def on_change_current_sample(self, ctx):
        """Follow the open photo, unless that was opened for the chosen person."""
        opened = _current_sample(ctx)
        if opened is None or _source_id(ctx, opened) != ctx.panel.get_state("sample_id"):
            self.on_load(ctx)

    @sentences
    def on_change_selected(self, ctx):
        """Follow the selected photo."""
        if len(ctx.selected or []) == 1 and ctx.selected[0] != ctx.panel.get_state("sample_id"):
            self._choose(ctx, prediction_field(ctx), ctx.selected[0], None)

    @sentences
    def on_change_selected_labels(self, ctx):
        """Follow the selected person, joint or box, which may be selected in the photo or in the Review panel."""
        chosen = person_of_selection(ctx.dataset, predicted_fields(ctx.dataset), ctx.selected_labels or [])
        if chosen is None:
            return
        field, sample_id, label_id, joint = chosen
        if label_id != ctx.panel.get_state("label_id"):
            self._choose(ctx, field, sample_id, label_id)
        if joint is not None:
            ctx.panel.state.set("active", joint)

    def _choose(self, ctx, field: str, sample_id: str, label_id: str | None) -> None:
        """Start with a person of a photo, the least certain one unless one is named."""
        sample_id = _source_id(ctx, sample_id)
        people = PersonColumns(ctx.dataset.select(sample_id), field, attributes=(PRED_OKS,))
        if not len(people):
            raise ValueError("Nobody was found in this photo: there is no pose to refine.")
        scores = people.scalars(PRED_OKS)
        if label_id not in people.label_ids:
            label_id = people.label_ids[int(np.nan_to_num(scores).argmin())]
        ctx.panel.state.set("sample_id", sample_id)
        listed = zip(people.label_ids, map(_score, scores.tolist()), strict=True)
        ctx.panel.state.set("people", [list(person) for person in listed])
        self._start(ctx, field, label_id)

    def _start(self, ctx, field: str, label_id: str) -> None:
        drafts, before = dict(ctx.panel.get_state(_DRAFTS) or {}), ctx.panel.get_state("label_id")
        if clicks := ctx.panel.get_state("clicks"):  # kept until that person is shown again
            drafts[before] = [clicks, ctx.panel.get_state("revision")]
        ctx.panel.state.set(FIELD, field)
        ctx.panel.state.set("label_id", label_id)
        ctx.panel.state.set("active", None)
        person = self._person(ctx)
        clicks, revision = drafts.pop(label_id, ([], person.revision))
        ctx.panel.state.set("clicks", clicks)
        ctx.panel.state.set("revision", revision)
        ctx.panel.state.set(_DRAFTS, drafts)

    def _person(self, ctx):
        get = ctx.panel.get_state
        return find_person(ctx.dataset, get(FIELD), get("label_id"), get("sample_id"))

    def show(self, ctx, panel):
        """Draw the controls and the canvas."""
        person = self._person(ctx)
        clicks = [tuple(click) for click in ctx.panel.get_state("clicks") or []]
        poses = refined_pose(person, clicks)
        self._show_controls(ctx, panel, person, clicks)
        before = poses[0] if clicks and ctx.panel.get_state("compare") is not False else None
        active = ctx.panel.get_state("active")
        whole = bool(ctx.panel.get_state("whole_photo"))
        figure = canvas_figure(person.filepath, poses[-1], before, active, whole)
        legend(panel)
        panel.md(_explain(person, poses, clicks, active), name="explain")
        plot(ctx, panel, "canvas", figure, self.on_canvas)
        field_line(ctx, panel, person.field, self.on_field)
        if clicks and not follows(refining_predictor(ctx.dataset, person.field), person.pose):
            panel.view("alone", types.AlertView(severity="info", label=_ALONE))
        elif clicks and (
            sentence := other_network(ctx.dataset, person.field, refining_predictor(ctx.dataset, person.field))
        ):
            panel.view("other", types.AlertView(severity="warning", label=sentence))

    def _show_controls(self, ctx, panel, person, clicks) -> None:
        people = ctx.panel.get_state("people") or []
        row = panel.h_stack("controls", gap=2, align_y="center")
        if len(people) > 1:
            choices = types.DropdownView(space=4)
            for number, (label_id, score) in enumerate(people, 1):
                choices.add_choice(label_id, label=f"Person {number} ({score})")
            current = person.label.id
            row.enum(f"person_{current}", choices.values(), label="Person", default=current, view=choices,
                     on_change=self.on_person)  # fmt: skip
        joints = types.DropdownView(space=4, placeholder="choose by name")
        for name in person.pose.skeleton.names:
            joints.add_choice(name, label=name.replace("_", " "))
        now = f"joint_{len(clicks)}_{ctx.panel.get_state('active')}"  # what was chosen for another click is not chosen
        row.enum(now, joints.values(), label="Joint", view=joints, on_change=self.on_joint)
        buttons = panel.h_stack("buttons", gap=1)
        saved = person.revision > 0
        shown = {"shown": {name: ctx.panel.get_state(name) for name in _SHOWN}}
        buttons.btn("undo", label="Undo saved" if saved and not clicks else "Undo", icon="undo", variant="outlined",
                    disabled=not (clicks or saved), on_click=self.on_undo, params=shown)  # fmt: skip
        buttons.btn(
            "save",
            label="Save",
            icon="save",
            variant="contained",
            disabled=not clicks,
            on_click=self.on_save,
            params=shown,
        )
        buttons.btn("accept", label="Accept", icon="check", variant="outlined", on_click=self.on_accept, params=shown)
        buttons.btn("compare", label="Compare", icon="compare", variant="outlined", disabled=not clicks,
                    on_click=self.on_compare, params=shown)  # fmt: skip
        buttons.btn("zoom", label="Zoom", icon="zoom_in", variant="outlined", on_click=self.on_zoom, params=shown)
        buttons.btn("next", label="Next", icon="skip_next", variant="outlined", on_click=self.on_next, params=shown)
        self._bind_keys(panel, bool(clicks), saved, shown)

    def _bind_keys(self, panel, clicked: bool, saved: bool, shown: dict) -> None:
        """Bind the keys of the buttons that can be pressed now."""
        bindings = (
            (clicked or saved, "Z", "undo", self.on_undo),
            (clicked, "Enter", "save", self.on_save),
            (True, "D", "save and accept", self.on_accept),
            (clicked, "B", "before/after", self.on_compare),
            (True, "W", "whole photo", self.on_zoom),
            (True, "N", "next worst", self.on_next),
        )
        keys(panel, [([key if len(key) > 1 else key.lower()], key, label, self.method_to_uri(event.__name__), shown)
                     for possible, key, label, event in bindings if possible])  # fmt: skip

    @notices
    def on_canvas(self, ctx):
        """Choose the joint under the click, or put the chosen (else the nearest) one there."""
        x, y = float(ctx.params["x"]), float(ctx.params["y"])
        person = self._person(ctx)
        clicks = [tuple(click) for click in ctx.panel.get_state("clicks") or []]
        pose = refined_pose(person, clicks)[-1]
        active = ctx.panel.get_state("active")
        window = canvas_window(person.filepath, pose, bool(ctx.panel.get_state("whole_photo")))
        picked = pick_joint(pose, x, y, window)
        if active is None and picked is not None:
            ctx.panel.state.set("active", picked)
            return
        joint = active or _nearest(pose, x, y)
        ctx.panel.state.set("clicks", [*map(list, clicks), [joint, x, y]])
        ctx.panel.state.set("active", None)

    @notices
    def on_joint(self, ctx):
        """Choose a joint by name."""
        if ctx.params.get("value") not in self._person(ctx).pose.skeleton.names:
            return
        ctx.panel.state.set("active", ctx.params.get("value"))

    @notices
    def on_person(self, ctx):
        """Change to another person of the photo.

        The app echoes each person that it draws, also when another one has been chosen meanwhile: the list of a person
        has its own name, by which an echo is known.
        """
        wanted = ctx.params["value"]
        if wanted == ctx.panel.get_state("label_id") or str(ctx.params.get("path")).endswith(f"person_{wanted}"):
            return
        self._start(ctx, ctx.panel.get_state(FIELD), wanted)

    @notices
    @on_what_is_shown
    def on_undo(self, ctx):
        """Take back the last click, or else the last saved refinement."""
        clicks = list(ctx.panel.get_state("clicks") or [])
        if clicks:
            ctx.panel.state.set("clicks", clicks[:-1])
            return
        field, label_id = ctx.panel.get_state(FIELD), ctx.panel.get_state("label_id")
        left = undo_refinement(ctx.dataset, label_id, field, ctx.panel.get_state("sample_id"))
        ctx.panel.state.set("revision", left)
        ctx.ops.reload_samples()

    @notices
    @on_what_is_shown
    def on_save(self, ctx):
        """Write the refined pose; the original is kept."""
        self._save(ctx)
        ctx.ops.reload_samples()
        ctx.ops.notify("Saved; the original is kept.", variant="success")

    def _save(self, ctx) -> None:
        person = self._person(ctx)
        clicks = [tuple(click) for click in ctx.panel.get_state("clicks") or []]
        if clicks:
            save_refinement(person, refined_pose(person, clicks)[-1], ctx.panel.get_state("revision"))
            ctx.panel.state.set("clicks", [])
        self._choose(ctx, person.field, person.sample_id, person.label.id)

    @notices
    @on_what_is_shown
    def on_accept(self, ctx):
        """Save, settle, go to the next person."""
        self._save(ctx)
        accept_refinements(ctx.dataset, [ctx.panel.get_state("label_id")], ctx.panel.get_state(FIELD))
        self._next(ctx)
        ctx.ops.reload_samples()

    @notices
    @on_what_is_shown
    def on_next(self, ctx):
        """Go to the next person that is not settled; after the last one comes the worst one again."""
        self._next(ctx)

    def _next(self, ctx) -> None:
        field, here = ctx.panel.get_state(FIELD), ctx.panel.get_state("label_id")
        person = next_person(photos_of(ctx), field, here)
        if person is None:
            raise ValueError("Nobody else is left in the queue.")
        self._choose(ctx, field, *person)
        if ctx.current_sample and not is_patches(ctx.view):  # the open photo follows
            ctx.ops.open_sample(id=person[0])

    @notices
    @on_what_is_shown
    def on_compare(self, ctx):
        """Show or hide the pose before the clicks."""
        ctx.panel.state.set("compare", ctx.panel.get_state("compare") is False)

    @notices
    @on_what_is_shown
    def on_zoom(self, ctx):
        """Show the person's surroundings, or all of the photo."""
        ctx.panel.state.set("whole_photo", not ctx.panel.get_state("whole_photo"))


def _current_sample(ctx) -> str | None:
    return ctx.current_sample or (ctx.selected[0] if len(ctx.selected or []) == 1 else None)


def _source_id(ctx, sample_id: str) -> str:
    """Return the photo's id, also for the id of a person in a patches view.

    Raises:
        ValueError: if the photo is not there any more.
    """
    if sample_id in set(ctx.dataset.select(sample_id).values("id")):
        return sample_id
    view = ctx.view
    if is_patches(view) and len(chosen := view.select(sample_id)):
        return chosen.values("sample_id")[0]
    raise ValueError("That photo is not in the dataset any more.")


def _score(score: float) -> str:
    return "no score" if np.isnan(score) else f"predicted OKS {score:.2f}"


def _nearest(pose, x: float, y: float) -> str:
    distance = np.linalg.norm(np.nan_to_num(pose.keypoints, nan=np.inf) - (x, y), axis=1)
    return pose.skeleton.names[int(distance.argmin())]


def _explain(person, poses, clicks, active: str | None) -> str:
    """Return the line above the canvas."""
    if active:
        return f"**{active.replace('_', ' ')}** is chosen: click where it belongs."
    if not clicks:
        return f"Predicted OKS **{poses[-1].instance_score:.2f}**. Click a joint, or where the nearest one belongs."
    placed = {joint for joint, _, _ in clicks}
    others = len(set(moved_joints(poses[0], poses[-1])) - placed)
    names = ", ".join(sorted(joint.replace("_", " ") for joint in placed))
    return (
        f"Placed: {names}; {others} other joints followed. Predicted OKS {poses[0].instance_score:.2f} → "
        f"**{poses[-1].instance_score:.2f}**."
    )
