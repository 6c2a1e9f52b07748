"""The Review panel: the worst people first; accept, refine or send each."""

from fiftyone.operators import types

from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.review import ACCEPTED, mark_persons, review_queue, unmark_persons
from clickpose_fiftyone.thumbnails import person_thumbnail

from .base import PosePanel, notices, photos_of, prediction_field, sentences

_PAGE = 8


class ReviewPanel(PosePanel):
    """The queue as cards with thumbnails, progress, and buttons."""

    key = "review_panel"
    title = "Pose review"
    icon = "rate_review"
    hint = "The people with the lowest predicted OKS first: accept, refine or send them to Label Studio."

    @sentences
    def on_load(self, ctx):
        """Check that there are predictions; the queue is read when the panel is drawn."""
        photos_of(ctx)
        prediction_field(ctx)

    on_change_dataset = on_load
    on_change_view = on_load

    def show(self, ctx, panel):
        """Draw progress and cards."""
        samples, field = photos_of(ctx), prediction_field(ctx)
        queue = review_queue(samples, field, _PAGE)
        panel.md(
            f"{progress_bar(queue.done, queue.total)} **{queue.done} of {queue.total} people settled**", name="heading"
        )
        ids = [item.label_id for item in queue.items]
        params = {"label_ids": ids, "sample_ids": list(dict.fromkeys(item.sample_id for item in queue.items))}
        row = panel.h_stack("actions", gap=1)
        for name, label, icon, event in (
            ("accept_page", "Accept all", "done_all", self.on_accept),
            ("send_page", "Send to Label Studio", "send", self.on_send),
            ("show_page", "Show in grid", "grid_view", self.on_show),
        ):
            row.btn(name, label=label, icon=icon, variant="outlined", on_click=event, params=params)
        row.btn("undo", label="Undo", icon="undo", variant="outlined", on_click=self.on_undo,
                disabled=not ctx.panel.get_state("last"))  # fmt: skip
        if not queue.items:
            panel.md("Everybody is settled.", name="empty")
            return
        grid = panel.grid("cards", gap=2, orientation="2d", columns=4)
        for number, item in enumerate(queue.items):
            self._show_card(grid, number, item, _picture(samples, field, item))

    def _show_card(self, grid, number: int, item, picture: str | None) -> None:
        params = {"label_id": item.label_id, "sample_id": item.sample_id, "label_ids": [item.label_id]}
        box = grid.v_stack(f"card{number}", gap=0.5, variant="paper", width="190px")
        if picture is not None:
            view = types.ImageView(
                height="220px", width="176px", alt="person", operator=self.method_to_uri("on_open"), params=params
            )
            box.str("picture", default=picture, view=view)
        worst = ", ".join(name.replace("_", " ") for name in item.low_joints[:2])
        missing = "" if picture is not None else " · photo missing"
        box.md(f"**{item.pred_oks:.2f}** · {worst}{' · refined' if item.refined else ''}{missing}", name="text")
        buttons = box.h_stack("buttons", gap=0.5)
        buttons.btn("accept", label="Accept", icon="check", on_click=self.on_accept, params=params)
        buttons.btn("refine", label="", icon="touch_app", on_click=self.on_open, params=params)

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
        wanted = {name: ctx.params[name] for name in ("sample_id", "label_id")}
        ctx.store("clickpose_refine").set("request", wanted)
        ctx.ops.open_panel("refine_panel", is_active=True, layout="horizontal", force=True)

    @notices
    def on_show(self, ctx):
        """Show the page's photos in the grid."""
        ctx.ops.set_view(ctx.dataset.select(ctx.params["sample_ids"], ordered=True))

    @notices
    def on_send(self, ctx):
        """Show the page's photos and ask for Label Studio's address."""
        self.on_show(ctx)
        ctx.prompt("@clickpose/pose_review/send_to_label_studio")


def progress_bar(done: int, total: int, cells: int = 16) -> str:
    """Return a bar of text."""
    full = round(cells * done / total) if total else 0
    return "▰" * full + "▱" * (cells - full)


def _picture(samples, field: str, item) -> str | None:
    """Return a person's thumbnail; None where the photo cannot be read."""
    person = samples._root_dataset.select(item.sample_id).select_labels(ids=[item.label_id], fields=field)
    try:
        return person_thumbnail(item.filepath, PersonColumns(person, field).poses())
    except ValueError:
        return None
