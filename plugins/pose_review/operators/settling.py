"""Operators that settle many people at once, and take an action of the review back."""

from fiftyone.operators import types

from clickpose_fiftyone.checks import people, plural
from clickpose_fiftyone.field_names import ACCEPTED, REJECTED
from clickpose_fiftyone.queue_filters import STATES, stored_filter
from clickpose_fiftyone.removal import delete_persons
from clickpose_fiftyone.review import people_shown
from clickpose_fiftyone.review_log import DELETED, REOPENED, WORDS, actions_of, default_reviewer
from clickpose_fiftyone.settling import reopen, settle
from clickpose_fiftyone.undoing import undo_action

from .base import HIGH, MEDIUM, PoseOperator, default_prediction, prediction_input

_CHOICES = {
    ACCEPTED: "Accept them",
    REJECTED: "Reject them: they are no people",
    REOPENED: "Have them wait again",
    DELETED: "Delete them",
}


class SettlePeople(PoseOperator):
    """Settles everybody whom the queue shows, or who is selected; says before whom."""

    key = "settle_people"
    title = "accept, reject or delete people"
    description = "Settle the selected people, or all that your review queue shows of the view; says first how many"
    risk = HIGH
    delegated = False
    not_queued = "what was counted before is what is done; it takes a moment."

    def define_inputs(self, ctx, inputs):
        """Field, what to do; says what will happen."""
        if "field" not in ctx.params:  # the Review panel names it
            prediction_input(ctx, inputs)
        inputs.str("reviewer", label="Your name", default=default_reviewer())
        choices = types.RadioGroup()
        for what, label in _CHOICES.items():
            choices.add_choice(what, label=label)
        inputs.enum("what", choices.values(), default=ACCEPTED, label="What to do", view=choices, required=True)
        inputs.view("plan", types.Notice(label=self._plan(ctx)))

    def _people(self, ctx) -> dict[str, str]:
        """Return label id -> sample id of those who are meant.

        Raises:
            ValueError: if it is nobody.
        """
        selected = {label["label_id"]: label["sample_id"] for label in ctx.selected_labels or []
                    if label["field"] == _field(ctx)}  # fmt: skip
        found = selected or people_shown(ctx.target_view(), _field(ctx), stored_filter(ctx.dataset, _by(ctx)), _by(ctx))
        if not found:
            raise ValueError("Expected somebody to settle, your queue shows nobody of this view; choose other filters")
        return found

    def _plan(self, ctx) -> str:
        found, what = self._people(ctx), ctx.params.get("what", ACCEPTED)
        which = "selected" if ctx.selected_labels else STATES[stored_filter(ctx.dataset, _by(ctx)).state]
        photos = plural(len(set(found.values())), "photo")
        return (
            f"{people(len(found))} in {photos} ({which}) will be {WORDS[what]} by {_by(ctx)}. That can be taken back."
        )

    def run(self, ctx, samples):
        """Do it."""
        found, what, field, by = self._people(ctx), ctx.params.get("what", ACCEPTED), _field(ctx), _by(ctx)
        if what == DELETED:
            return f"{str(delete_persons(samples, field, found, by)).capitalize()}."
        photos = set(found.values())
        if what == REOPENED:
            return reopen(samples, field, found, by, sample_ids=photos)
        over = what == REJECTED and stored_filter(ctx.dataset, by).state == ACCEPTED
        return settle(samples, field, found, what, by, sample_ids=photos, over=over)


class UndoAction(PoseOperator):
    """Takes back what somebody did in the review."""

    key = "undo_review"
    title = "undo an action of the review"
    description = "Take back what was accepted, rejected, sent or deleted, by name and time"
    risk = MEDIUM
    delegated = False
    not_queued = "it takes a moment."
    needs_photos = False

    def define_inputs(self, ctx, inputs):
        """The action."""
        actions = actions_of(ctx.dataset, standing=True)
        if not actions:
            raise ValueError("Expected something that can be taken back, nothing was done in this dataset yet")
        choices = types.DropdownView()
        for action in actions:
            choices.add_choice(action.id, label=str(action))
        inputs.enum("action", choices.values(), default=actions[0].id, label="What", view=choices, required=True)
        inputs.str("reviewer", label="Your name", default=default_reviewer())

    def run(self, ctx, samples):
        """Take it back."""
        if not ctx.params.get("action"):
            raise ValueError("Expected an action to take back, got none")
        return undo_action(ctx.dataset, ctx.params["action"], _by(ctx))


def _field(ctx) -> str:
    return ctx.params.get("field") or ctx.params.get("pred_field") or default_prediction(ctx)


def _by(ctx) -> str:
    return (ctx.params.get("reviewer") or "").strip() or default_reviewer()
