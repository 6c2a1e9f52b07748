"""The Refine panel: drag a joint to where it really is, and the rest of the person follows.

What is on the screen, and all that is not saved, is held by the browser (``ui/refine``). Each event here is a question
that says what it is about; the answer goes to the browser that asked, so that browsers never mix.
"""

import functools

import numpy as np
from fiftyone.operators import types

from clickpose_fiftyone.answering import known_answering, look_up_answering
from clickpose_fiftyone.browser_answers import browser_part, browser_person
from clickpose_fiftyone.canvas import photo_record, pose_record, record_pose
from clickpose_fiftyone.checks import predicted_fields
from clickpose_fiftyone.claims import hold
from clickpose_fiftyone.clicked_poses import clicked_pose, drawn_pose, follows
from clickpose_fiftyone.corrections import Corrections, save_corrections, take_back_corrections
from clickpose_fiftyone.fiftyone_internals import app_samples, is_patches
from clickpose_fiftyone.found_persons import person_of_selection, photo_of_sample
from clickpose_fiftyone.people_views import refresh_patches
from clickpose_fiftyone.predictors import encode_ahead
from clickpose_fiftyone.provenance import other_network
from clickpose_fiftyone.refinement import undo_refinement
from clickpose_fiftyone.review import next_person
from clickpose_fiftyone.review_log import default_reviewer
from clickpose_fiftyone.thumbnails import bounded_picture

from .base import PosePanel, photos_of, prediction_field, register_backends, sentences

_EVENTS = (
    "open", "choose", "next", "prepare", "part", "click", "box", "save", "take_back", "undo_saved", "picture",
)  # fmt: skip
_ALONE = "No network at hand has these joints: they are placed one by one. clickpose adapt makes a network of them."


def answers(method):
    """Have an event answer with a record; a ValueError becomes its ``problem``, for the browser that asked."""

    @functools.wraps(method)
    def guarded(self, ctx):
        register_backends()
        try:
            return method(self, ctx)
        except (ValueError, OSError) as error:
            return {"problem": str(error)}

    return guarded


class RefinePanel(PosePanel):
    """The canvas beside the grid and beside the open photo."""

    key = "refine_panel"
    title = "Pose refine"
    icon = "touch_app"
    surfaces = "grid modal"
    hint = (
        "Drag a joint to where it belongs: the rest of the person follows, joints that you placed (white rings) stay. "
        "A click chooses a person or a joint, the wheel zooms; press ? on the canvas for all keys and signs."
    )

    @sentences
    def on_load(self, ctx):
        """Check that there are predictions; the browser asks for what it shows."""
        photos_of(ctx)
        prediction_field(ctx)

    on_change_dataset = on_load

    def show(self, ctx, panel):
        """Show the canvas, which nothing but its own browser changes."""
        events = {name: self.method_to_uri(f"on_{name}") for name in _EVENTS}
        panel.view("canvas", types.View(component="PoseRefine", composite_view=True, events=events))

    @answers
    def on_open(self, ctx):
        """Answer with a photo, its people and whom to begin with: as asked for, else what is open or selected, else the
        worst person of the view."""
        field = ctx.params.get("field")
        field = field if field in predicted_fields(ctx.dataset) else prediction_field(ctx)
        sample_id = ctx.params.get("sample_id") or _opened(ctx)
        if sample_id is not None:
            sample_id, person = photo_of_sample(ctx.view, field, sample_id)
            if ctx.params.get("follows"):
                _open_photo(ctx, sample_id)
            return _photo(ctx, field, sample_id, ctx.params.get("label_id") or person)
        person = next_person(photos_of(ctx), field, by=_reviewer(ctx))
        if person is None:
            raise ValueError("Everybody of this view is settled.")
        _hold(ctx, field, person[1])
        return _photo(ctx, field, *person)

    @answers
    def on_choose(self, ctx):
        """Answer who is meant by the labels that are selected in a photo: a person, its box or one of its joints."""
        chosen = person_of_selection(ctx.dataset, predicted_fields(ctx.dataset), ctx.selected_labels or [])
        return dict(zip(("field", "sample_id", "label_id", "joint"), chosen or (None,) * 4, strict=True))

    @answers
    def on_next(self, ctx):
        """Answer with the photo of the next person that is not settled; after the last comes the worst again."""
        field = ctx.params["field"]
        person = next_person(photos_of(ctx), field, ctx.params.get("label_id"), _reviewer(ctx))
        if person is None:
            raise ValueError("Nobody else is left in the queue.")
        _hold(ctx, field, person[1])
        _open_photo(ctx, person[0])
        return _photo(ctx, field, *person)

    @answers
    def on_prepare(self, ctx):
        """Encode a person ahead of its first click, and answer what is to be known of the network; a browser that can
        have the others follow by itself gets what it needs of the person."""
        skeleton, predictor = look_up_answering(ctx.dataset, ctx.params["field"])
        pose = record_pose(ctx.params["person"], skeleton, ctx.params["image_hw"])
        if not follows(predictor, pose):
            return {"notice": _ALONE}
        region = encode_ahead(predictor, ctx.params["filepath"], pose)
        answer = {"notice": other_network(ctx.dataset, ctx.params["field"], predictor)}
        return {**answer, "browser": browser_person(predictor, region)} if ctx.params.get("in_browser") else answer

    @answers
    def on_part(self, ctx):
        """Answer with a part that browsers keep: the runtime, or the decoder of the field's network."""
        _, predictor = _answering(ctx)
        return browser_part(ctx.params["part"], predictor)

    @answers
    def on_click(self, ctx):
        """Answer with the person after a joint was put somewhere."""
        (skeleton, predictor), (path, image_hw) = _answering(ctx), _photo_file(ctx)
        pose = record_pose(ctx.params["person"], skeleton, image_hw)
        joint, x, y = (ctx.params[name] for name in ("joint", "x", "y"))
        return pose_record(clicked_pose(predictor, path, image_hw, pose, joint, (float(x), float(y))))

    @answers
    def on_box(self, ctx):
        """Answer with the person in a box that was drawn."""
        (skeleton, predictor), (path, image_hw) = _answering(ctx), _photo_file(ctx)
        box = np.array(ctx.params["box"], np.float64)
        return pose_record(drawn_pose(predictor, path, image_hw, skeleton, box))

    @answers
    def on_save(self, ctx):
        """Write what is told, of people who are still what the browser was told; answer with the photo as it is now."""
        field, sample_id = ctx.params["field"], ctx.params["sample_id"]
        of = (field, sample_id, ctx.params.get("label_id"))
        saved = save_corrections(ctx.dataset, field, sample_id, Corrections.from_record(ctx.params))
        return {**_photo(ctx, *of), **saved, **_shown_anew(ctx, saved["changed"])}

    @answers
    def on_take_back(self, ctx):
        """Undo a save by what it answered; answer with the photo as it is now."""
        field, sample_id = ctx.params["field"], ctx.params["sample_id"]
        changed = take_back_corrections(
            ctx.dataset, field, sample_id, ctx.params["receipt"], ctx.params.get("reviewer")
        )
        return {**_photo(ctx, field, sample_id, ctx.params.get("label_id")), **_shown_anew(ctx, changed)}

    @answers
    def on_undo_saved(self, ctx):
        """Take back the last saved refinement of a person, of whatever day."""
        field, sample_id, label_id = (ctx.params[name] for name in ("field", "sample_id", "label_id"))
        undo_refinement(ctx.dataset, label_id, field, sample_id, mark=ctx.params["mark"])
        return {**_photo(ctx, field, sample_id, label_id), **_shown_anew(ctx, [label_id])}

    @answers
    def on_picture(self, ctx):
        """Answer with a picture of a photo that the browser cannot show itself."""
        return {"picture": bounded_picture(ctx.params["filepath"])}


def _hold(ctx, field: str, label_id: str) -> None:
    """Have whom a reviewer corrects shown to no other."""
    hold(ctx.dataset, field, [label_id], _reviewer(ctx), place="refine")


def _reviewer(ctx) -> str:
    """Return the name of who sits at the browser: as it is kept there, else as the queue's panel takes it."""
    return ctx.params.get("reviewer") or default_reviewer()


def _open_photo(ctx, sample_id: str) -> None:
    """Have the open photo follow, where one is open."""
    if ctx.current_sample and not is_patches(ctx.view):
        ctx.ops.open_sample(id=sample_id)


def _opened(ctx) -> str | None:
    """Return the id of the open sample, else of the one that is selected."""
    return ctx.current_sample or (ctx.selected[0] if len(ctx.selected or []) == 1 else None)


def _photo(ctx, field: str, sample_id: str, label_id: str | None) -> dict:
    """Return a photo with its people, the fields to choose from and whom to begin with.

    Raises:
        ValueError: if nobody was found in the photo, or as :func:`photo_record`.
    """
    record = photo_record(ctx.dataset, field, sample_id)
    people = {person["id"]: person["score"] for person in record["people"]}
    chosen = label_id if label_id in people else min(people, key=people.get, default=None)
    return {**record, "fields": predicted_fields(ctx.dataset), "chosen": chosen}


def _answering(ctx):
    """Return the joints and the network of the field that an event speaks of."""
    known = known_answering(ctx.dataset_name, ctx.params["field"])
    return known or look_up_answering(ctx.dataset, ctx.params["field"])


def _photo_file(ctx) -> tuple[str, tuple[int, int]]:
    """Return the photo's path and its (height, width), as the browser was told them."""
    height, width = ctx.params["image_hw"]
    return ctx.params["filepath"], (height, width)


def _shown_anew(ctx, label_ids) -> dict:
    """Return the changed samples of the view, for the app to show at once; where it shows none all are reloaded."""
    ids = [ctx.params["sample_id"]]
    if is_patches(ctx.view):
        refresh_patches(ctx.view, ctx.params["field"], label_ids)
        ids = list(label_ids)
    samples = app_samples(ctx.view, ids)
    if not samples:
        ctx.ops.reload_samples()
    return {"samples": samples}
