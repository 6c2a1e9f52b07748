"""The Review panel: the people whom a reviewer wants to see, worst first; accept, refine, send or reject each."""

from dataclasses import replace

from fiftyone.operators import types

from clickpose_fiftyone.claims import give_back, hold
from clickpose_fiftyone.field_names import ACCEPTED, REJECTED
from clickpose_fiftyone.queue_filters import (
    ORDERS,
    STATES,
    WAITING,
    QueueFilter,
    error_choices,
    store_filter,
    stored_filter,
)
from clickpose_fiftyone.removal import delete_persons
from clickpose_fiftyone.review import Queue, review_queue
from clickpose_fiftyone.review_log import actions_of, default_reviewer
from clickpose_fiftyone.settling import reopen, settle
from clickpose_fiftyone.skeletons import skeleton_of
from clickpose_fiftyone.undoing import undo_action

from .base import (
    REVIEWER,
    PosePanel,
    card_frame,
    field_line,
    input_name,
    is_echo,
    keys,
    legend,
    notices,
    open_in_refine,
    own_state,
    photos_of,
    prediction_field,
    reviewer_line,
    reviewer_of,
    sentences,
    truth_field,
)
from .review_cards import card_text, nobody_text, params_of, pictures_of, show_progress

_PAGE = 8
_HISTORY = 6
_SETTLE, _SEND = "@clickpose/pose_review/settle_people", "@clickpose/pose_review/send_to_label_studio"
_ANY = "any"
_QUICK = (_ACCEPT, _NOT_A_PERSON) = ("accept", "not a person")  # keys that settle the current person
_CURRENT = "current"  # in the panel's state, each reviewer's own: the number of the current card


class ReviewPanel(PosePanel):
    """The queue as cards with thumbnails, filters, progress, buttons and keys; one card is the current one."""

    key = "review_panel"
    title = "Pose review"
    icon = "rate_review"
    hint = (
        "The people with the lowest predicted OKS first: accept, refine, reject or send them to Label Studio. "
        "The keys act on the current person, which the arrow keys choose. People whom another reviewer has in hand are "
        "left out; what anybody did is listed below and can be taken back."
    )

    @sentences
    def on_load(self, ctx):
        """Check that there are predictions; the queue is read when the panel is drawn."""
        photos_of(ctx)
        prediction_field(ctx)

    on_change_dataset = on_load

    @sentences
    def on_reviewer(self, ctx):
        """Show the queue of the reviewer who sits at this browser: who it is stands in the event.

        Whom somebody chose meanwhile stays chosen: each panel that opens tells this by itself. Somebody who had another
        name gives back whom they had in hand under it: nobody else would be shown them for minutes.
        """
        photos_of(ctx)
        prediction_field(ctx)
        before = ctx.params.get("before")
        if before and before != reviewer_of(ctx):
            give_back(ctx.dataset, _queue_field(ctx, stored_filter(ctx.dataset, before)), before)

    def show_beside_problem(self, panel) -> None:
        """Ask anew when the app shows other photos, or these as they are now, such as predicted ones."""
        reviewer_line(panel, None, self.method_to_uri("on_reviewer"))

    def show(self, ctx, panel):
        """Draw progress, filters, keys, cards and history."""
        by = reviewer_of(ctx)
        if by is None:  # the browser tells at once whose it is; until then nothing could be pressed in a right name
            reviewer_line(panel, None, self.method_to_uri("on_reviewer"))
            return
        samples, shown = photos_of(ctx), self._filter(ctx)
        field = _queue_field(ctx, shown)
        queue = review_queue(samples, field, _PAGE, shown, by)
        if shown.state == WAITING and not _is_any_echo(ctx):
            queue = _held(samples, field, queue, shown, by)
        show_progress(panel, queue, shown, by)
        reviewer_line(panel, by, self.method_to_uri("on_reviewer"))
        self._show_filters(ctx, panel, field, shown, by)
        actions = actions_of(ctx.dataset, _HISTORY)
        self._show_actions(panel, queue, shown, by)
        current = min(ctx.panel.get_state(own_state(_CURRENT, by)) or 0, len(queue.items) - 1)
        self._bind_keys(ctx, panel, queue, shown, current, by)
        legend(ctx, panel)
        field_line(ctx, panel, prediction_field(ctx), self.on_field, by)
        if not queue.items:
            panel.md(nobody_text(queue, shown), name="empty")
        grid, pictures = panel.grid("cards", gap=2, orientation="2d"), pictures_of(samples, field, queue.items)
        for number, item in enumerate(queue.items):
            self._show_card(grid, number, item, pictures.get(item.label_id), number == current, shown, by)
        self._show_history(panel, actions, by)

    def _filter(self, ctx) -> QueueFilter:
        return stored_filter(ctx.dataset, reviewer_of(ctx) or default_reviewer())

    def _show_filters(self, ctx, panel, field: str, shown: QueueFilter, by: str) -> None:
        row = panel.h_stack("filters", gap=1, align_y="center")
        joints = {name: name.replace("_", " ") for name in skeleton_of(ctx.dataset, field).names}
        for name, label, choices, event in (
            ("state", "Show", STATES, self.on_state),
            ("order", "Order", ORDERS, self.on_order),
            ("joint", "Joint", {_ANY: "any"} | joints, self.on_joint),
            ("error", "Error", {_ANY: "any"} | error_choices(), self.on_error),
        ):
            view, chosen = types.DropdownView(space=3), getattr(shown, name) or _ANY
            for value, text in choices.items():
                view.add_choice(value, label=text)
            row.enum(
                input_name(name, chosen, by), view.values(), label=label, default=chosen, view=view, on_change=event
            )

    def _show_actions(self, panel, queue: Queue, shown: QueueFilter, by: str) -> None:
        row, here = panel.h_stack("actions", gap=1), params_of(queue.items, by)
        buttons = [("accept_page", f"Accept these {len(queue.items)}", "done_all", self.on_accept, bool(queue.items))]
        if shown.state != WAITING:
            buttons = [
                ("reopen_page", f"Open these {len(queue.items)} again", "undo", self.on_reopen, bool(queue.items))
            ]
        more = queue.found > len(queue.items)
        buttons += [
            ("settle_all", f"All {queue.found} …", "playlist_add_check", self.on_settle_all, more),
            ("send_page", "Send …", "send", self.on_send, bool(queue.items)),
            ("show_page", "Show in grid", "grid_view", self.on_show, bool(queue.items)),
        ]
        for name, label, icon, event, possible in buttons:
            row.btn(name, label=label, icon=icon, variant="outlined", on_click=event, params=here,
                    disabled=not possible)  # fmt: skip

    def _bind_keys(self, ctx, panel, queue: Queue, shown: QueueFilter, current: int, by: str) -> None:
        """Bind the keys of the current person."""
        bindings = []
        if queue.items:
            person = params_of(queue.items[current : current + 1], by)
            step = {"count": len(queue.items), "current": current, REVIEWER: by}
            own = (["a"], "A", _ACCEPT, self.on_accept, person)
            if shown.state != WAITING:
                own = (["o"], "O", "open again", self.on_reopen, person)
            bindings = [
                own,
                (["r"], "R", "refine", self.on_open, person),
                (["x"], "X", _NOT_A_PERSON, self.on_reject, person),
                (["Delete"], "Del", "delete", self.on_delete, person),
                (["s"], "S", "send to Label Studio", self.on_send, person),
                (["g"], "G", "show in grid", self.on_show, person),
                (["ArrowLeft"], "", "", self.on_step, {**step, "by": -1}),
                (["ArrowRight"], "← →", "choose", self.on_step, {**step, "by": 1}),
            ]
        if last := actions_of(ctx.dataset, 1, by=_who(ctx), standing=True):
            bindings.append((["u"], "U", f"undo ({last[0]})", self.on_undo, {"action": last[0].id, REVIEWER: by}))
        listed = [
            (names, hint, label, self.method_to_uri(event.__name__), own) for names, hint, label, event, own in bindings
        ]
        quick = _QUICK if shown.state == WAITING else ()
        keys(panel, listed, [params_of([item], by) for item in queue.items], max(current, 0), quick)

    def _show_card(
        self, grid, number: int, item, picture: str | None, current: bool, shown: QueueFilter, by: str
    ) -> None:
        params = params_of([item], by)
        frame = card_frame(item.label_id, current)
        box = grid.v_stack(f"card{number}", gap=0.5, width="236px", componentsProps=frame)
        if picture is not None:
            view = types.ImageView(
                height="220px", width="176px", alt="person", operator=self.method_to_uri("on_open"), params=params
            )
            box.str("picture", default=picture, view=view)
        box.md(card_text(item, shown, picture is None), name="text")
        buttons = box.h_stack("buttons", gap=0.5)
        if shown.state == WAITING:
            buttons.btn("accept", label="Accept", icon="check", on_click=self.on_accept, params=params)
        else:
            buttons.btn("reopen", label="Open again", icon="undo", on_click=self.on_reopen, params=params)
        buttons.btn("refine", label="", icon="touch_app", title="Refine", on_click=self.on_open, params=params)
        if shown.state != REJECTED:
            title = "Not a person: out of the queue, of figures and files"
            buttons.btn("reject", label="", icon="person_off", title=title, on_click=self.on_reject, params=params)

    def _show_history(self, panel, actions, by: str) -> None:
        """List who did what last, each that stands with a button that takes it back."""
        if not actions:
            return
        panel.md("**Done last**", name="history")
        for number, action in enumerate(actions):
            row = panel.h_stack(f"action{number}", gap=1, align_y="center")
            if action.undone_by is None:
                own = {"action": action.id, REVIEWER: by}
                row.btn("undo", label="Undo", icon="undo", on_click=self.on_undo, params=own)
            row.md(str(action), name="text")

    @notices
    def on_step(self, ctx):
        """Make the next or the previous person the current one."""
        position = ctx.params["current"] + ctx.params["by"]
        ctx.panel.set_state(own_state(_CURRENT, reviewer_of(ctx)), min(max(position, 0), ctx.params["count"] - 1))

    @notices
    def on_state(self, ctx):
        """Show those who wait, or a list of the settled ones."""
        self._choose(ctx, "state")

    @notices
    def on_order(self, ctx):
        """Order by person or by photo."""
        self._choose(ctx, "order")

    @notices
    def on_joint(self, ctx):
        """Order by one joint."""
        self._choose(ctx, "joint")

    @notices
    def on_error(self, ctx):
        """Show those with one kind of error."""
        self._choose(ctx, "error")

    def _choose(self, ctx, name: str) -> None:
        """Keep a part of the filter."""
        if is_echo(ctx, name):
            return
        value = ctx.params["value"]
        chosen = replace(self._filter(ctx), **{name: None if value == _ANY else value})
        store_filter(ctx.dataset, _who(ctx), chosen)
        ctx.panel.set_state(own_state(_CURRENT, _who(ctx)), 0)

    @notices
    def on_accept(self, ctx):
        """Settle one person, or all of the page."""
        self._settled(
            ctx, settle(ctx.dataset, self._field(ctx), ctx.params["label_ids"], ACCEPTED, _who(ctx), **_photos(ctx))
        )

    @notices
    def on_reject(self, ctx):
        """Take somebody who is no person out of the queue, of all figures and files."""
        over = self._filter(ctx).state != WAITING
        result = settle(
            ctx.dataset, self._field(ctx), ctx.params["label_ids"], REJECTED, _who(ctx), **_photos(ctx), over=over
        )
        self._settled(ctx, result)
        ctx.ops.reload_samples()

    @notices
    def on_reopen(self, ctx):
        """Have settled people wait again."""
        self._settled(ctx, reopen(ctx.dataset, self._field(ctx), ctx.params["label_ids"], _who(ctx), **_photos(ctx)))
        ctx.ops.reload_samples()

    @notices
    def on_delete(self, ctx):
        """Delete somebody; the history brings them back."""
        action = delete_persons(ctx.dataset, self._field(ctx), ctx.params["label_ids"], _who(ctx))
        ctx.ops.notify(f"{str(action).capitalize()}. U takes it back.", variant="info")
        ctx.ops.reload_samples()

    def _field(self, ctx) -> str:
        return _queue_field(ctx, self._filter(ctx))

    @staticmethod
    def _settled(ctx, result) -> None:
        """Tell what was not done: of what was, the panel shows enough."""
        if result.others or result.gone:
            ctx.ops.notify(str(result), variant="warning")

    @notices
    def on_undo(self, ctx):
        """Take an action back: one of the list, or one's own last one."""
        ctx.ops.notify(undo_action(ctx.dataset, ctx.params["action"], _who(ctx)), variant="info")
        ctx.ops.reload_samples()

    @notices
    def on_settle_all(self, ctx):
        """Ask what to do with everybody whom the filter shows."""
        ctx.prompt(_SETTLE, params={"field": self._field(ctx), "reviewer": _who(ctx)})

    @notices
    def on_open(self, ctx):
        """Open a person in the Refine panel."""
        open_in_refine(ctx, self._field(ctx), ctx.params["sample_ids"][0], ctx.params["label_ids"][0])

    @notices
    def on_show(self, ctx):
        """Show the photos of one person, or of the page, in the grid."""
        ctx.ops.set_view(ctx.dataset.select(ctx.params["sample_ids"], ordered=True))

    @notices
    def on_send(self, ctx):
        """Show the photos of one person, or of the page, and ask for Label Studio's address."""
        self.on_show(ctx)
        ctx.prompt(_SEND, params={"pred_field": self._field(ctx), "reviewer": _who(ctx)})


def _held(samples, field: str, queue: Queue, shown: QueueFilter, by: str) -> Queue:
    """Have a reviewer hold the people of a page; where another one was faster, the queue without those."""
    ids = [item.label_id for item in queue.items]
    if len(hold(samples, field, ids, by)) < len(ids):
        queue = review_queue(samples, field, _PAGE, shown, by)
        hold(samples, field, [item.label_id for item in queue.items], by)
    return queue


def _is_any_echo(ctx) -> bool:
    """Tell whether an event is the app's echo of a filter, maybe one that was drawn for who sat there before.

    What it draws has been drawn and held before; nobody has anybody in hand for an echo alone.
    """
    return "path" in ctx.params and any(is_echo(ctx, name) for name in ("state", "order", "joint", "error"))


def _queue_field(ctx, shown: QueueFilter) -> str:
    """Return the field whose people are shown: that of labels where it is their errors."""
    return truth_field(ctx) if shown.of_labels else prediction_field(ctx)


def _who(ctx) -> str:
    return reviewer_of(ctx) or default_reviewer()


def _photos(ctx) -> dict:
    """Return where the people of an event are, if it says so: that spares a search."""
    return {"sample_ids": ctx.params.get("sample_ids")}
