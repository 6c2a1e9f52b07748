"""The Refine panel: drag a joint to where it really is, and the rest of the person follows.

What is on the screen, and all that is not saved, is held by the browser (``ui/refine``). Each event here is a question
that says what it is about; the answer goes to the browser that asked, so that browsers never mix.
"""

import functools

import numpy as np
from fiftyone.operators import types

from clickpose_fiftyone.canvas import photo_record, pose_record, record_pose
from clickpose_fiftyone.checks import predicted_fields
from clickpose_fiftyone.clicked_poses import clicked_pose, drawn_pose, follows, refining_predictor
from clickpose_fiftyone.corrections import Corrections, save_corrections, take_back_corrections
from clickpose_fiftyone.fiftyone_internals import app_samples, is_patches
from clickpose_fiftyone.found_persons import person_of_selection, photo_of_sample
from clickpose_fiftyone.people_views import refresh_patches
from clickpose_fiftyone.predictors import encode_ahead
from clickpose_fiftyone.provenance import other_network
from clickpose_fiftyone.refinement import undo_refinement
from clickpose_fiftyone.review import next_person
from clickpose_fiftyone.skeletons import skeleton_of
from clickpose_fiftyone.thumbnails import bounded_picture

from .base import PosePanel, photos_of, prediction_field, register_backends, sentences

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
        names = ("open", "choose", "next", "prepare", "click", "box", "save", "take_back", "undo_saved", "picture")
        events = {name: self.method_to_uri(f"on_{name}") for name in names}
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
            return _photo(ctx, field, sample_id, ctx.params.get("label_id") or person)
        person = next_person(photos_of(ctx), field, by=ctx.params.get("reviewer"))
        if person is None:
            raise ValueError("Everybody of this view is settled.")
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
        person = next_person(photos_of(ctx), field, ctx.params.get("label_id"), ctx.params.get("reviewer"))
        if person is None:
            raise ValueError("Nobody else is left in the queue.")
        if ctx.current_sample and not is_patches(ctx.view):  # the open photo follows
            ctx.ops.open_sample(id=person[0])
        return _photo(ctx, field, *person)

    @answers
    def on_prepare(self, ctx):
        """Encode a person ahead of its first click, and answer what is to be known of the network."""
        predictor, pose, path, _ = _asked(ctx)
        if not follows(predictor, pose):
            return {"notice": _ALONE}
        encode_ahead(predictor, path, pose)
        return {"notice": other_network(ctx.dataset, ctx.params["field"], predictor)}

    @answers
    def on_click(self, ctx):
        """Answer with the person after a joint was put somewhere."""
        predictor, pose, path, image_hw = _asked(ctx)
        joint, x, y = (ctx.params[name] for name in ("joint", "x", "y"))
        return pose_record(clicked_pose(predictor, path, image_hw, pose, joint, (float(x), float(y))))

    @answers
    def on_box(self, ctx):
        """Answer with the person in a box that was drawn."""
        field, path, image_hw = (ctx.params[name] for name in ("field", "filepath", "image_hw"))
        skeleton, predictor = skeleton_of(ctx.dataset, field), refining_predictor(ctx.dataset, field)
        box = np.array(ctx.params["box"], np.float64)
        return pose_record(drawn_pose(predictor, path, tuple(image_hw), skeleton, box))

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


def _asked(ctx):
    """Return the network, the pose, the photo's path and its (height, width) that an event speaks of."""
    field, path, (height, width) = (ctx.params[name] for name in ("field", "filepath", "image_hw"))
    pose = record_pose(ctx.params["person"], skeleton_of(ctx.dataset, field), (height, width))
    return refining_predictor(ctx.dataset, field), pose, path, (height, width)


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
