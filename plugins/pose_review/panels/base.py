"""What all panels share: configuration, the field they speak of, sentences instead of tracebacks."""

import functools
import hashlib
import json
import logging

from fiftyone.operators import Panel, PanelConfig, types

from clickpose_fiftyone.backends import register_backends
from clickpose_fiftyone.checks import (
    people,
    pose_fields,
    predicted_fields,
    require_images,
    require_samples,
    truth_fields,
)
from clickpose_fiftyone.colours import bin_colors
from clickpose_fiftyone.field_names import LONG_ATTRIBUTES, PRED, joints_field_of
from clickpose_fiftyone.fiftyone_internals import serialized_view, stages_of, view_of_stages
from clickpose_fiftyone.people_views import photos_of as photos_of_people
from clickpose_fiftyone.people_views import view_of_persons
from clickpose_fiftyone.provenance import network_of
from clickpose_fiftyone.review_log import default_reviewer

_LOG = logging.getLogger(__name__)


class PosePanel(Panel):
    """A panel of the plugin.

    Attributes:
        key, title, icon: for the app.
        surfaces: ``"grid"``, ``"modal"`` or both.
        hint: help text.
    """

    key: str
    title: str
    icon = "accessibility_new"
    surfaces = "grid"
    hint = ""

    @property
    def config(self):
        """FiftyOne's description of the panel."""
        return PanelConfig(
            name=self.key,
            label=self.title,
            icon=self.icon,
            surfaces=self.surfaces,
            help_markdown=self.hint,
            allow_multiple=False,
        )

    def on_field(self, ctx):
        """Speak of another field."""
        if not is_echo(ctx, FIELD):
            ctx.panel.set_state(own_state(FIELD, reviewer_of(ctx)), ctx.params["value"])
        self.on_load(ctx)

    def show(self, ctx, panel) -> None:
        """Add what the panel shows; ValueErrors are shown to the user."""

    def show_beside_problem(self, panel) -> None:
        """Add what notices that the reason not to draw the panel may be gone; the app's own events do by default."""

    def render(self, ctx):
        """Draw the panel, or say why there is nothing to draw."""
        panel, problem = types.Object(), ctx.panel.get_state("problem")
        if not problem:
            try:
                self.show(ctx, panel)
            except (ValueError, OSError) as error:
                problem = str(error)
            except Exception as error:  # of FiftyOne or of ours: a page with a traceback helps nobody
                _LOG.exception("The panel %s could not be drawn", self.key)
                problem = f"{self.title} could not be drawn ({error}). Reload the page; the log of the app says more."
        if problem:
            panel = types.Object()
            panel.view("problem", types.AlertView(severity="info", label=problem))
            self.show_beside_problem(panel)
        one_column = {"grid": {"sx": {"gridTemplateColumns": "minmax(0, 1fr)"}}}  # else plots never become narrower
        view = types.GridView(orientation="vertical", gap=2, pad=2, align_x="stretch", componentsProps=one_column)
        return types.Property(panel, view=view)


_NARROWED = "narrowed"  # in a panel's state: the view that it set, and the one that its figures are of
FIELD = "pred_field"  # in a panel's state: the field that was chosen
ACCENT = "#ff6d05"
REVIEWER = "reviewer"  # in an event's parameters: who looks at the panel


def sentences(method):
    """Turn a ValueError of an event into the panel's sentence."""

    @functools.wraps(method)
    def guarded(self, ctx, *args):
        register_backends()
        ctx.panel.set_state("problem", None)
        try:
            return method(self, ctx, *args)
        except (ValueError, OSError) as error:
            ctx.panel.set_state("problem", str(error))

    return guarded


def notices(method):
    """Turn a ValueError of an action into a notice; the panel stays as it is."""

    @functools.wraps(method)
    def guarded(self, ctx, *args):
        register_backends()
        try:
            return method(self, ctx, *args)
        except (ValueError, OSError) as error:
            ctx.ops.notify(str(error), variant="error")

    return guarded


def photos_of(ctx):
    """Return the photos that the app shows; of a view of people, with those people alone.

    Raises:
        ValueError: if there are none, or it holds other media.
    """
    if ctx.dataset is None:
        raise ValueError("Open a dataset first.")
    require_images(ctx.view)
    require_samples(ctx.view)
    return photos_of_people(ctx.view)


def compared_photos(ctx):
    """Return the photos that a panel's figures are of: what :func:`photos_of` does, but for what it narrowed itself.

    A click on a bar or cell shows those people; the figures stay those that the bar or cell is of.

    Raises:
        ValueError: as :func:`photos_of`.
    """
    if ctx.dataset is None:
        raise ValueError("Open a dataset first.")
    shown, kept = stages_of(ctx.view), ctx.panel.get_state(_NARROWED) or {}
    count = kept.get("count", 0)
    if not kept or len(shown) < count or _digest(shown[:count]) != kept["shown"]:
        return photos_of(ctx)
    further = serialized_view(ctx.view)[count:]
    view = view_of_stages(ctx.dataset, [*kept["stages"], *further])
    require_samples(view)
    return photos_of_people(view)


def show_people(ctx, field: str, label_ids, what: str, also=None) -> None:
    """Show the photos of some people, for :func:`compared_photos` to know where they are from.

    Args:
        ctx: of the event.
        field: Keypoints field.
        label_ids: who, some of :func:`compared_photos`.
        what: what they have in common, to be told.
        also: what else the view is narrowed by: view -> view.

    Raises:
        ValueError: if there is nobody.
    """
    if not label_ids:
        raise ValueError(f"Nobody has {what}.")
    photos = compared_photos(ctx)
    view = view_of_persons(photos, field, label_ids)
    view = view if also is None else also(view)
    stages = stages_of(view)
    kept = {"shown": _digest(stages), "count": len(stages), "stages": serialized_view(photos)}
    ctx.panel.set_state(_NARROWED, kept)
    _make_visible(ctx, field)
    ctx.ops.set_view(view)
    ctx.ops.notify(f"{people(len(label_ids))}: {what}.", variant="info")


def _make_visible(ctx, field: str) -> None:
    """Have the app draw a field that the sidebar has off, with its coloured joints on top; the others stay on."""
    active = list(ctx.active_fields or ())
    if field not in active:
        joints = [name for name in (joints_field_of(field),) if ctx.dataset.get_field(name) is not None]
        ctx.ops.set_active_fields([*joints, field, *(name for name in active if name not in joints)])


def _digest(stages: list) -> str:
    """Return what tells stages of views apart; they may name thousands of people."""
    return hashlib.sha256(json.dumps(stages, default=str, sort_keys=True).encode()).hexdigest()


def prediction_field(ctx) -> str:
    """Return the field of predictions: the chosen one, else ``pred``, else the first with predicted OKS.

    Raises:
        ValueError: if there is none.
    """
    predicted = predicted_fields(ctx.dataset)
    if not predicted:
        raise ValueError("No predicted poses yet: run the operator “Pose: predict poses” (press ` and type pose).")
    wanted = (ctx.panel.get_state(own_state(FIELD, reviewer_of(ctx))), PRED, predicted[0])
    return next(field for field in wanted if field in predicted)


def truth_field(ctx) -> str:
    """Return the field of labelled people.

    Raises:
        ValueError: if there is none.
    """
    fields = truth_fields(ctx.dataset, prediction_field(ctx))
    if not fields:
        raise ValueError("No labelled people in this dataset: this panel compares predictions with labels.")
    return fields[0]


def reviewer_of(ctx) -> str | None:
    """Return the name of the reviewer whose browser an event comes from; None for an event that does not tell.

    It is no part of the panel's state, which the app hands on to all browsers that are open: it stands in what was
    drawn for a browser, in the parameters of its buttons and keys and in the names of its inputs.
    """
    told = ctx.params.get(REVIEWER)
    if told is None and "path" in ctx.params:
        told = _named(str(ctx.params["path"]))
    return (str(told).strip() or None) if told is not None else None


def own_state(name: str, by: str | None) -> str:
    """Return the name of a part of a panel's state, each reviewer's own: all browsers share the state."""
    return name if by is None else f"{name}_{by.encode().hex()}"


def input_name(name: str, value: str, by: str | None) -> str:
    """Return the name of an input that shows a value to a reviewer.

    The app echoes each input that it draws, which is known by its name; and what is drawn anew has another one.
    """
    return f"{name}_{value.replace(':', '_')}_{(by or '').encode().hex()}"


def is_echo(ctx, name: str) -> bool:
    """Tell whether an input's event is the app's echo of what it was drawn with."""
    value, path = ctx.params.get("value"), str(ctx.params.get("path"))
    return value is None or path.rpartition("_")[0].endswith(input_name(name, str(value), None).rstrip("_"))


def _named(path: str) -> str | None:
    """Return the reviewer whose name an input's name has; None where it has none."""
    try:
        return bytes.fromhex(path.rpartition("_")[2]).decode() or None
    except ValueError:  # of another input
        return None


def reviewer_line(panel, name: str | None, event: str) -> None:
    """Let a reviewer say who they are; a browser remembers it, and tells each panel that it opens.

    Args:
        panel: what is being drawn.
        name: as the panel knows it now.
        event: URI of the event that gets another one as ``reviewer``.
    """
    told = types.View(
        component="PoseReviewer", composite_view=True, name=name or "", fallback=default_reviewer(), event=event
    )
    panel.view("reviewer", told)


def open_in_refine(ctx, field: str, sample_id: str, label_id: str) -> None:
    """Have the browser that asked, and no other one, open a person in the Refine panel."""
    person = {"field": field, "sample_id": sample_id, "label_id": label_id}
    ctx.trigger("@clickpose/pose_review/refine_person", params=person)  # of ui/requests.js
    ctx.ops.open_panel("refine_panel", is_active=True)


def table_view() -> types.TableView:
    """Return a table that becomes as narrow as its panel: the app's own are 650 pixels wide, and cut off beside."""
    return types.TableView(componentsProps={"table": {"sx": {"minWidth": 0}}})


def legend(ctx, panel) -> None:
    """Show the scale of the colours of joints and bones; tooltips of people are kept short from then on."""
    tooltips = {"dataset": ctx.dataset.name, "fields": pose_fields(ctx.dataset), "attributes": LONG_ATTRIBUTES}
    view = types.View(
        component="PoseLegend", composite_view=True, colors=bin_colors(), low="0", high="1",
        title="Joint and bone colour, predicted OKS:", tooltips=tooltips,
    )  # fmt: skip
    panel.view("legend", view)


def field_line(ctx, panel, field: str, on_field, by: str | None = None) -> None:
    """Say which field a panel speaks of and which network predicted it; let the user choose where there are several.

    Args:
        ctx: of the event.
        panel: what is being drawn.
        field: the field.
        on_field: event of another choice.
        by: whose choice it is, in a panel where each reviewer has an own one.
    """
    fields, network = predicted_fields(ctx.dataset), network_of(ctx.dataset, field)
    source = "" if network is None else f", predicted by {network}"
    if len(fields) > 1:
        view = types.DropdownView()
        for name in fields:
            view.add_choice(name, label=name)
        name = FIELD if by is None else input_name(FIELD, field, by)
        panel.enum(name, fields, label=f"Field{source}", default=field, view=view, on_change=on_field)
    elif network is not None:
        panel.md(f"Field **{field}**{source}", name="network")


def keys(panel, bindings, cards=(), current: int = 0, quick=()) -> None:
    """Listen to keys while the panel is on the screen, and show them.

    Args:
        panel: what is being drawn.
        bindings: (keys as browsers name them, what is shown of them, label, URI of the event, its parameters) each.
        cards: what an event gets of each card of the page; its frame is :func:`card_frame`.
        current: number of the card that the keys act on.
        quick: labels of the bindings that settle their card: the browser goes on before the event is answered.
    """
    names = ("keys", "hint", "label", "event", "params")
    listed = [dict(zip(names, binding, strict=True)) for binding in bindings]
    listed = [{**binding, "quick": binding["label"] in quick} for binding in listed]
    view = types.View(
        component="PoseKeys", composite_view=True, bindings=listed, cards=list(cards), current=current, accent=ACCENT
    )
    panel.view("keys", view)


def card_frame(label_id: str, current: bool) -> dict:
    """Return the frame of a person's card, which :func:`keys` finds."""
    look = {"borderTop": f"4px solid {ACCENT if current else 'transparent'}", "paddingTop": "4px"}
    return {"grid": {"sx": look, "data-pose-card": label_id}}


def plot(ctx, panel, name: str, figure, on_click=None, **kwargs) -> None:
    """Show a Plotly figure; its data goes to the panel's data, which is not sent back with every event."""
    traces, layout = figure
    if ctx.panel.get_state(name) is not None:  # the app's inputs copy data into the state, and it merges the two
        ctx.panel.set_state(name, None)
    ctx.panel.set_data(name, traces)
    config = {"displayModeBar": False, "responsive": True, "scrollZoom": False}  # the wheel scrolls the panel
    height = layout["height"]
    own_height = {"item": {"sx": {"height": height}}}  # else each plot takes as much room as the whole panel
    panel.plot(
        name, layout=layout, config=config, on_click=on_click, width="100%", height=height, componentsProps=own_height,
        **kwargs,
    )  # fmt: skip
