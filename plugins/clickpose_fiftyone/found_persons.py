"""One person of a dataset as it is stored now, and who is meant by what is selected in the app."""

from __future__ import annotations

from dataclasses import dataclass

import fiftyone as fo
from bson import ObjectId

from clickpose.image_io import read_sides
from clickpose.structures import Pose
from clickpose_fiftyone.checks import document_type, require_keypoints
from clickpose_fiftyone.conversion import label_to_pose
from clickpose_fiftyone.field_names import INSTANCE, POINTS, boxes_field_of, joints_field_of
from clickpose_fiftyone.fiftyone_internals import ID, is_patches, photos_collection, root_dataset_of
from clickpose_fiftyone.person_history import history_of, mark_of
from clickpose_fiftyone.person_updates import read_person
from clickpose_fiftyone.skeletons import skeleton_of


@dataclass(frozen=True, eq=False)
class Person:
    """One person of a dataset, as it is stored now.

    Attributes:
        dataset: where it is.
        sample_id: its photo.
        filepath: the photo's file.
        label: its keypoints.
        field: the Keypoints field.
        image_hw: height and width of the photo's file, pixels.
        pose: the same as a pose, px.
    """

    dataset: fo.Dataset
    sample_id: str
    filepath: str
    label: fo.Keypoint
    field: str
    image_hw: tuple[int, int]
    pose: Pose

    @property
    def mark(self) -> str:
        """What differs after any change of the pose, see :func:`mark_of`."""
        return mark_of(self.label)

    @property
    def revision(self) -> int:
        """How many refinements were saved."""
        return len(history_of(self.label))


def find_person(samples, field: str, label_id: str, sample_id: str | None = None) -> Person:
    """Read one person.

    Args:
        samples: the dataset or a view of it.
        field: Keypoints field.
        label_id: which person.
        sample_id: its sample, if known: spares a search through the dataset.

    Raises:
        ValueError: if there is no such person (any more) or its photo cannot be read.
    """
    require_keypoints(samples, field)
    dataset, stored = root_dataset_of(samples), read_person(samples, field, label_id, sample_id)
    image_hw = read_sides(stored.filepath, upright=True)
    pose = label_to_pose(stored.label, skeleton_of(samples, field), image_hw)
    return Person(dataset, stored.sample_id, stored.filepath, stored.label, field, image_hw, pose)


def photo_path(samples, sample_id: str) -> str:
    """Return the file of a photo.

    Raises:
        ValueError: if the photo is not in the dataset any more.
    """
    wanted = {ID: ObjectId(sample_id)} if ObjectId.is_valid(sample_id) else None
    photo = wanted and photos_collection(root_dataset_of(samples)).find_one(wanted, {"filepath": True})
    if photo is None:
        raise ValueError("That photo is not in the dataset any more.")
    return photo["filepath"]


def photo_of_sample(view, field: str, sample_id: str) -> tuple[str, str | None]:
    """Return the photo that a sample of the app's view stands for, and the person where the view cuts people out.

    Args:
        view: what the app shows.
        field: Keypoints field that is spoken of.
        sample_id: of a photo, or of a person in a view of people.

    Raises:
        ValueError: if it is not there any more.
    """
    photos = photos_collection(root_dataset_of(view))
    wanted = {ID: ObjectId(sample_id)} if ObjectId.is_valid(sample_id) else None
    if wanted is not None and photos.find_one(wanted, {ID: True}) is not None:
        return sample_id, None
    chosen = view.select(sample_id) if is_patches(view) and wanted is not None else ()
    if not len(chosen):
        raise ValueError("That photo is not in the dataset any more.")
    shows_field = document_type(view, field) is fo.Keypoint
    return chosen.values("sample_id")[0], chosen.values(f"{field}.id")[0] if shows_field else None


def person_of_selection(samples, fields, selected) -> tuple[str, str, str, str | None] | None:
    """Return who is meant by the labels that are selected in the app: a person itself, its box or one of its joints.

    Args:
        samples: a dataset or view.
        fields: Keypoints fields whose people can be meant.
        selected: what the app tells: ``field``, ``sample_id`` and ``label_id`` of each label.

    Returns:
        (field, sample id, label id, name of the joint if one was selected); None where it is nobody, or several.
    """
    found = {_person_of(samples, fields, label) for label in selected} - {None}
    return found.pop() if len(found) == 1 else None


def _person_of(samples, fields, selected) -> tuple[str, str, str, str | None] | None:
    drawn, sample_id, label_id = (selected[name] for name in ("field", "sample_id", "label_id"))
    field = next((name for name in fields if drawn in (name, boxes_field_of(name), joints_field_of(name))), None)
    if field is None or drawn == field:
        return None if field is None else (field, sample_id, label_id, None)
    photo = photos_collection(root_dataset_of(samples)).find_one({ID: ObjectId(sample_id)}, {field: True, drawn: True})
    labels = (photo.get(drawn) or {}).get("detections" if drawn == boxes_field_of(field) else "keypoints")
    label = next((known for known in labels or () if str(known[ID]) == label_id), None)
    people = (photo.get(field) or {}).get("keypoints") or ()
    if label is None:
        return None
    if drawn == boxes_field_of(field):
        link = (label.get(INSTANCE) or {}).get(ID)
        person = next((p for p in people if link is not None and (p.get(INSTANCE) or {}).get(ID) == link), None)
        return None if person is None else (field, sample_id, str(person[ID]), None)
    joint = skeleton_of(samples, field).index(label["label"])
    person = next((p for p in people if p[POINTS][joint] == label[POINTS][0]), None)
    return None if person is None else (field, sample_id, str(person[ID]), label["label"])
