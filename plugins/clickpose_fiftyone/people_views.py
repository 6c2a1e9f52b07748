"""Views of photos with some of their people, and back: what a view of people cut out of photos (patches) speaks of."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Collection

import fiftyone as fo
from bson import ObjectId
from fiftyone import ViewField as F

from clickpose_fiftyone.checks import DRAWN_OVER, document_type
from clickpose_fiftyone.columns import people_expression
from clickpose_fiftyone.field_names import INSTANCE, JOINT_PERSON, boxes_field_of, people_path, person_path
from clickpose_fiftyone.fiftyone_internals import ID, is_patches, photos_collection, raw_columns, root_dataset_of
from clickpose_fiftyone.person_updates import read_person


def view_of_persons(samples, field: str, label_ids: Collection[str], drawn: bool = True):
    """Return a view of the photos of some people, other people of the field, their joints and boxes filtered out.

    All other fields stay, so that a prediction is seen beside the labels that it is compared with.

    Args:
        samples: a dataset or view of images.
        field: Keypoints field.
        label_ids: who.
        drawn: also leave out the joints that are drawn over other people; figures need none of them.
    """
    ids = list(label_ids)
    view = samples.filter_labels(field, F(ID).to_string().is_in(ids))
    view = _with_their_joints(view, field) if drawn else view
    if samples.get_field(boxes_field_of(field)) is None:
        return view
    linked = {ID: f"$$person.{INSTANCE}.{ID}", "label": f"$$person.{ID}"}
    links = {"$map": {"input": f"${people_path(field)}", "as": "person", "in": linked}}
    wanted = set(ids)
    found = [
        str(person[ID])
        for people in raw_columns(samples, {"people": links})["people"]
        for person in people or ()
        if str(person["label"]) in wanted and person.get(ID) is not None
    ]
    inside = F(f"{INSTANCE}.{ID}").to_string().is_in(found)
    return view.filter_labels(boxes_field_of(field), inside, only_matches=False)


def patches_with_their_joints(patches, field: str):
    """Return a view of people cut out of photos without the joints of others in what is drawn over the field."""
    return _drawn_over(patches, field, F(JOINT_PERSON) == F(f"${field}.{ID}").to_string())


def _with_their_joints(view, field: str):
    shown = F(f"${people_path(field)}").map(F(ID).to_string())  # of the photo: no list of thousands for each joint
    return _drawn_over(view, field, shown.contains([F(JOINT_PERSON)]))


def _drawn_over(view, field: str, theirs: fo.ViewExpression):
    """Leave out joints of others in what is drawn over a field; where they do not tell whose they are, all stay."""
    for name in (companion(field) for companion in DRAWN_OVER):
        if view.get_field(person_path(name, JOINT_PERSON)) is not None:
            view = view.filter_labels(name, theirs, only_matches=False)
    return view


def photos_of(samples, people: bool = True):
    """Return the photos that a view of people is cut out of; other collections as they are.

    Args:
        samples: a dataset or view.
        people: only with the people of the view, in the fields that they are cut out of; else with all.
    """
    if not is_patches(samples):
        return samples
    photos = root_dataset_of(samples).select(list(dict.fromkeys(samples.values("sample_id"))), ordered=True)
    for field, ids in _people_of(samples).items() if people else ():
        (everybody,) = raw_columns(photos, {field: people_expression(field, ID)}).values()
        if sum(map(len, filter(None, everybody))) > len(ids):
            photos = view_of_persons(photos, field, ids, drawn=False)
    return photos


def of_photos(function: Callable) -> Callable:
    """Have a function of photos also take a view of people: it speaks of those people then."""

    @functools.wraps(function)
    def taking_people(samples, *args, **kwargs):
        return function(photos_of(samples), *args, **kwargs)

    return taking_people


def refresh_patches(patches, field: str, label_ids: Collection[str]) -> None:
    """Have a view of people show changes of them: it holds copies, which FiftyOne makes anew only where it is reloaded.

    Args:
        patches: a view of people cut out of photos.
        field: Keypoints field; where the view is not of its people, nothing is done.
        label_ids: who was changed.
    """
    if document_type(patches, field) is not fo.Keypoint:
        return
    copies = photos_collection(patches)
    for label_id in label_ids:
        with contextlib.suppress(ValueError):  # deleted
            person = read_person(root_dataset_of(patches), field, label_id)
            copies.update_one({f"{field}.{ID}": ObjectId(label_id)}, {"$set": {field: person.label.to_dict()}})


def _people_of(patches) -> dict[str, list[str]]:
    """Return field of keypoints -> ids of the people that a view of people shows of it."""
    found, schema = {}, patches.get_field_schema(flat=False)
    drawn = {companion(name) for name in schema for companion in DRAWN_OVER}
    for field in (name for name in schema if name not in drawn):
        kind = document_type(patches, field)
        if kind is fo.Keypoint:
            found[field] = [label_id for label_id in patches.values(f"{field}.id") if label_id]
        elif kind is fo.Keypoints:
            found[field] = patches.values(f"{people_path(field)}.id", unwind=True)
    return found
