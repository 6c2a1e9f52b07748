"""The Refine panel: click where a joint really is, and the rest of the person follows."""

import fiftyone as fo
from fiftyone.operators import types

from clickpose_fiftyone.canvas import canvas_figure, canvas_window, pick_joint
from clickpose_fiftyone.checks import predicted_fields
from clickpose_fiftyone.field_names import PRED_OKS
from clickpose_fiftyone.fiftyone_internals import is_patches
from clickpose_fiftyone.provenance import other_network
from clickpose_fiftyone.refinement import (
    accept_refinements,
    find_person,
    moved_joints,
    refined_pose,
    refining_predictor,
    save_refinement,
    undo_refinement,
)
from clickpose_fiftyone.review import review_queue

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
        elif items := review_queue(samples, field, 1).items:
            self._choose(ctx, field, items[0].sample_id, items[0].label_id)
        else:
            raise ValueError("Everybody of this view is settled.")

    on_change_dataset = on_load

    @sentences
    def on_field(self, ctx):
        """Show the same photo with the people of another field."""
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
        """Follow the selected person, who may be selected in the photo or in the Review panel."""
        predicted = predicted_fields(ctx.dataset)
        chosen = [label for label in ctx.selected_labels or [] if label["field"] in predicted]
        if len(chosen) == 1 and chosen[0]["label_id"] != ctx.panel.get_state("label_id"):
            self._choose(ctx, chosen[0]["field"], chosen[0]["sample_id"], chosen[0]["label_id"])

    def _choose(self, ctx, field: str, sample_id: str, label_id: str | None) -> None:
        """Start with a person of a photo, the least certain one unless one is named."""
        sample = ctx.dataset[_source_id(ctx, sample_id)]
        people = sample[field].keypoints if sample[field] is not None else []
        if not people:
            raise ValueError("Nobody was found in this photo: there is no pose to refine.")
        ids = [person.id for person in people]
        if label_id not in ids:
            label_id = min(people, key=lambda person: person.get_attribute_value(PRED_OKS, None) or 0.0).id
        ctx.panel.state.set("sample_id", sample.id)
        ctx.panel.state.set("people", [[person.id, _score(person)] for person in people])
        self._start(ctx, field, label_id)

    def _start(self, ctx, field: str, label_id: str) -> None:
        ctx.panel.state.set(FIELD, field)
        ctx.panel.state.set("label_id", label_id)
        ctx.panel.state.set("clicks", [])
        ctx.panel.state.set("active", None)
        person = self._person(ctx)
        ctx.panel.state.set("revision", person.revision)

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
        figure = canvas_figure(person.sample.filepath, poses[-1], before, active, whole)
        legend(panel)
        panel.md(_explain(person, poses, clicks, active), name="explain")
        plot(ctx, panel, "canvas", figure, self.on_canvas)
        field_line(ctx, panel, person.field, self.on_field)
        if clicks and (
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
            row.enum("person", choices.values(), label="Person", default=person.label.id, view=choices,
                     on_change=self.on_person)  # fmt: skip
        joints = types.DropdownView(space=4, placeholder="choose by name")
        for name in person.pose.skeleton.names:
            joints.add_choice(name, label=name.replace("_", " "))
        row.enum("joint", joints.values(), label="Joint", view=joints, on_change=self.on_joint)
        buttons = panel.h_stack("buttons", gap=1)
        saved = person.revision > 0
        buttons.btn("undo", label="Undo saved" if saved and not clicks else "Undo", icon="undo", variant="outlined",
                    disabled=not (clicks or saved), on_click=self.on_undo)  # fmt: skip
        buttons.btn("save", label="Save", icon="save", variant="contained", disabled=not clicks, on_click=self.on_save)
        buttons.btn("accept", label="Accept", icon="check", variant="outlined", on_click=self.on_accept)
        buttons.btn("compare", label="Compare", icon="compare", variant="outlined", disabled=not clicks,
                    on_click=self.on_compare)  # fmt: skip
        buttons.btn("zoom", label="Zoom", icon="zoom_in", variant="outlined", on_click=self.on_zoom)
        buttons.btn("next", label="Next", icon="skip_next", variant="outlined", on_click=self.on_next)
        self._bind_keys(panel, bool(clicks), saved)

    def _bind_keys(self, panel, clicked: bool, saved: bool) -> None:
        """Bind the keys of the buttons that can be pressed now."""
        bindings = (
            (clicked or saved, "Z", "undo", self.on_undo),
            (clicked, "Enter", "save", self.on_save),
            (True, "D", "save and accept", self.on_accept),
            (clicked, "B", "before/after", self.on_compare),
            (True, "W", "whole photo", self.on_zoom),
            (True, "N", "next worst", self.on_next),
        )
        keys(panel, [([key if len(key) > 1 else key.lower()], key, label, self.method_to_uri(event.__name__), {})
                     for possible, key, label, event in bindings if possible])  # fmt: skip

    @notices
    def on_canvas(self, ctx):
        """Choose the joint under the click, or put the chosen (else the nearest) one there."""
        x, y = float(ctx.params["x"]), float(ctx.params["y"])
        person = self._person(ctx)
        clicks = [tuple(click) for click in ctx.panel.get_state("clicks") or []]
        pose = refined_pose(person, clicks)[-1]
        active = ctx.panel.get_state("active")
        window = canvas_window(person.sample.filepath, pose, bool(ctx.panel.get_state("whole_photo")))
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
        ctx.panel.state.set("active", ctx.params.get("value"))

    @notices
    def on_person(self, ctx):
        """Change to another person of the photo."""
        self._start(ctx, ctx.panel.get_state(FIELD), ctx.params["value"])

    @notices
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
        self._choose(ctx, person.field, person.sample.id, person.label.id)

    @notices
    def on_accept(self, ctx):
        """Save, settle, go to the next person."""
        self._save(ctx)
        accept_refinements(ctx.dataset, [ctx.panel.get_state("label_id")], ctx.panel.get_state(FIELD))
        self._next(ctx)
        ctx.ops.reload_samples()

    @notices
    def on_next(self, ctx):
        """Go to the next person that is not settled; after the last one comes the worst one again."""
        self._next(ctx)

    def _next(self, ctx) -> None:
        field, here = ctx.panel.get_state(FIELD), ctx.panel.get_state("label_id")
        items = review_queue(photos_of(ctx), field, 200).items
        ids = [item.label_id for item in items]
        start = ids.index(here) + 1 if here in ids else 0
        person = next((item for item in (*items[start:], *items[:start]) if item.label_id != here), None)
        if person is None:
            raise ValueError("Nobody else is left in the queue.")
        chosen = {"field": field, "sample_id": person.sample_id, "label_id": person.label_id}
        self._choose(ctx, **chosen)
        if ctx.current_sample and not is_patches(ctx.view):  # the open photo follows
            ctx.ops.open_sample(id=person.sample_id)
        if ctx.selected_labels:  # the selection follows, so that the Review panel can choose the earlier one again
            ctx.ops.set_selected_labels([chosen])

    @notices
    def on_compare(self, ctx):
        """Show or hide the pose before the clicks."""
        ctx.panel.state.set("compare", ctx.panel.get_state("compare") is False)

    @notices
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


def _score(person: fo.Keypoint) -> str:
    score = person.get_attribute_value(PRED_OKS, None)
    return "no score" if score is None else f"predicted OKS {score:.2f}"


def _nearest(pose, x: float, y: float) -> str:
    import numpy as np

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
