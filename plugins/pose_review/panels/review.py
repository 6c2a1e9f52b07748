"""The Review panel: the worst people first; accept, refine or send each."""

import contextlib

from fiftyone.operators import types

from clickpose_fiftyone.columns import POSE_ATTRIBUTES, PersonColumns
from clickpose_fiftyone.field_names import ACCEPTED
from clickpose_fiftyone.fiftyone_internals import root_dataset_of
from clickpose_fiftyone.review import Queue, mark_persons, review_queue, unmark_persons
from clickpose_fiftyone.thumbnails import person_thumbnail

from .base import PosePanel, field_line, keys, legend, notices, photos_of, prediction_field, sentences

_PAGE = 8
_ACCENT = "#ff6d05"
_REQUEST_SECONDS = 60  # in which the Refine panel opens with the person that was chosen here


class ReviewPanel(PosePanel):
    """The queue as cards with thumbnails, progress, buttons and keys; one card is the current one."""

    key = "review_panel"
    title = "Pose review"
    icon = "rate_review"
    hint = (
        "The people with the lowest predicted OKS first: accept, refine or send them to Label Studio. "
        "The keys at the top act on the current person, which the arrow keys choose."
    )

    @sentences
    def on_load(self, ctx):
        """Check that there are predictions; the queue is read when the panel is drawn."""
        photos_of(ctx)
        prediction_field(ctx)

    on_change_dataset = on_load
    on_change_view = on_load

    def show(self, ctx, panel):
        """Draw progress, keys and cards."""
        samples, field = photos_of(ctx), prediction_field(ctx)
        queue = review_queue(samples, field, _PAGE)
        panel.md(
            f"{progress_bar(queue.done, queue.total)} **{queue.done} of {queue.total} people settled**", name="heading"
        )
        self._show_actions(ctx, panel, queue)
        current = min(ctx.panel.get_state("current") or 0, len(queue.items) - 1)
        self._bind_keys(ctx, panel, queue, current)
        legend(panel)
        field_line(ctx, panel, field, self.on_field)
        if not queue.items:
            panel.md("Everybody is settled.", name="empty")
            return
        grid, pictures = panel.grid("cards", gap=2, orientation="2d"), _pictures(samples, field, queue.items)
        for number, item in enumerate(queue.items):
            self._show_card(grid, number, item, pictures.get(item.label_id), number == current)

    def _show_actions(self, ctx, panel, queue: Queue) -> None:
        row = panel.h_stack("actions", gap=1)
        for name, label, icon, event in (
            ("accept_page", "Accept all", "done_all", self.on_accept),
            ("send_page", "Send to Label Studio", "send", self.on_send),
            ("show_page", "Show in grid", "grid_view", self.on_show),
        ):
            row.btn(name, label=label, icon=icon, variant="outlined", on_click=event, params=_params(queue.items),
                    disabled=not queue.items)  # fmt: skip
        row.btn("undo", label="Undo", icon="undo", variant="outlined", on_click=self.on_undo,
                disabled=not ctx.panel.get_state("last"))  # fmt: skip

    def _bind_keys(self, ctx, panel, queue: Queue, current: int) -> None:
        """Bind the keys of the current person."""
        bindings = []
        if queue.items:
            person = _params(queue.items[current : current + 1])
            step = {"count": len(queue.items), "current": current}
            bindings = [
                (["a"], "A", "accept", self.on_accept, person),
                (["r"], "R", "refine", self.on_open, person),
                (["s"], "S", "send to Label Studio", self.on_send, person),
                (["g"], "G", "show in grid", self.on_show, person),
                (["ArrowLeft"], "", "", self.on_step, {**step, "by": -1}),
                (["ArrowRight"], "← →", "choose", self.on_step, {**step, "by": 1}),
            ]
        if ctx.panel.get_state("last"):
            bindings.append((["u"], "U", "undo", self.on_undo, {}))
        keys(panel, [(names, hint, label, self.method_to_uri(event.__name__), params)
                     for names, hint, label, event, params in bindings])  # fmt: skip

    def _show_card(self, grid, number: int, item, picture: str | None, current: bool) -> None:
        params = _params([item])
        frame = {"borderTop": f"4px solid {_ACCENT if current else 'transparent'}", "paddingTop": "4px"}
        box = grid.v_stack(f"card{number}", gap=0.5, width="176px", componentsProps={"grid": {"sx": frame}})
        if picture is not None:
            view = types.ImageView(
                height="220px", width="176px", alt="person", operator=self.method_to_uri("on_open"), params=params
            )
            box.str("picture", default=picture, view=view)
        worst = ", ".join(name.replace("_", " ") for name in item.low_joints[:2])
        missing = "" if picture is not None else " · photo missing"
        text = f"**{item.pred_oks:.2f}** · {worst}{' · refined' if item.refined else ''}{missing}"
        box.md(text, name="text")
        buttons = box.h_stack("buttons", gap=0.5)
        buttons.btn("accept", label="Accept", icon="check", on_click=self.on_accept, params=params)
        buttons.btn("refine", label="", icon="touch_app", on_click=self.on_open, params=params)

    @notices
    def on_step(self, ctx):
        """Make the next or the previous person the current one."""
        position = ctx.params["current"] + ctx.params["by"]
        ctx.panel.set_state("current", min(max(position, 0), ctx.params["count"] - 1))

    @notices
    def on_accept(self, ctx):
        """Settle one person, or all of the page."""
        ids = ctx.params["label_ids"]
        mark_persons(ctx.dataset, prediction_field(ctx), ids, ACCEPTED)
        ctx.panel.set_state("last", ids)

    @notices
    def on_undo(self, ctx):
        """Take the last acceptance back."""
        unmark_persons(ctx.dataset, prediction_field(ctx), ctx.panel.get_state("last") or [], ACCEPTED)
        ctx.panel.set_state("last", None)

    @notices
    def on_open(self, ctx):
        """Open a person in the Refine panel."""
        person = {"sample_id": ctx.params["sample_ids"][0], "label_id": ctx.params["label_ids"][0]}
        wanted = {**person, "field": prediction_field(ctx)}
        ctx.store("clickpose_refine").set("request", wanted, ttl=_REQUEST_SECONDS)
        ctx.ops.set_selected_labels([wanted])  # a panel that is open follows it
        ctx.ops.open_panel("refine_panel", is_active=True)

    @notices
    def on_show(self, ctx):
        """Show the photos of one person, or of the page, in the grid."""
        ctx.ops.set_view(ctx.dataset.select(ctx.params["sample_ids"], ordered=True))

    @notices
    def on_send(self, ctx):
        """Show the photos of one person, or of the page, and ask for Label Studio's address."""
        self.on_show(ctx)
        ctx.prompt("@clickpose/pose_review/send_to_label_studio", params={"pred_field": prediction_field(ctx)})


def progress_bar(done: int, total: int, cells: int = 16) -> str:
    """Return a bar of text."""
    full = round(cells * done / total) if total else 0
    return "▰" * full + "▱" * (cells - full)


def _params(items) -> dict:
    """Return what an event needs to know of some people."""
    samples = dict.fromkeys(item.sample_id for item in items)
    return {"label_ids": [item.label_id for item in items], "sample_ids": list(samples)}


def _pictures(samples, field: str, items) -> dict[str, str]:
    """Return label id -> thumbnail, without people whose photo cannot be read."""
    photos = root_dataset_of(samples).select(list({item.sample_id for item in items}))
    columns = PersonColumns(photos, field, attributes=POSE_ATTRIBUTES)
    poses, places = columns.poses(), {label_id: person for person, label_id in enumerate(columns.label_ids)}
    pictures = {}
    for item in items:
        with contextlib.suppress(ValueError):
            pictures[item.label_id] = person_thumbnail(item.filepath, poses, places[item.label_id])
    return pictures
