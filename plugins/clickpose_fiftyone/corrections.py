"""What a browser saves of a photo at once, and how that is taken back: poses, new and deleted people, acceptance."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import fiftyone as fo

from clickpose.image_io import read_sides
from clickpose_fiftyone.added_persons import add_person
from clickpose_fiftyone.canvas import Record, record_pose
from clickpose_fiftyone.field_names import ACCEPTED
from clickpose_fiftyone.found_persons import find_person, photo_path
from clickpose_fiftyone.person_history import mark_of
from clickpose_fiftyone.person_updates import read_person
from clickpose_fiftyone.refinement import ChangedMeanwhileError, save_refinement, undo_refinement
from clickpose_fiftyone.removal import delete_persons
from clickpose_fiftyone.review_log import find_action
from clickpose_fiftyone.settling import settle
from clickpose_fiftyone.skeletons import skeleton_of
from clickpose_fiftyone.undoing import undo_action


@dataclass(frozen=True, kw_only=True)
class Corrections:
    """Corrections of a photo's people.

    Attributes:
        poses: label id -> person as corrected, with the ``mark`` of what it was before.
        added: a name of the browser's -> new person.
        deleted: label id -> ``mark`` of what it was.
        settled: label ids, or names of new people, to be accepted.
        by: who corrects; by default who runs this process.
    """

    poses: Mapping[str, Record] = field(default_factory=dict)
    added: Mapping[str, Record] = field(default_factory=dict)
    deleted: Mapping[str, str] = field(default_factory=dict)
    settled: tuple[str, ...] = ()
    by: str | None = None

    @classmethod
    def from_record(cls, record: Mapping) -> Corrections:
        """Read what the canvas sends."""
        poses, added, deleted = (dict(record.get(name) or {}) for name in ("poses", "added", "deleted"))
        return cls(
            poses=poses,
            added=added,
            deleted=deleted,
            settled=tuple(record.get("settled") or ()),
            by=record.get("reviewer") or None,
        )


def save_corrections(dataset, pred_field: str, sample_id: str, corrections: Corrections) -> dict:
    """Write the corrections of people who are still what they were; others stay, and are named.

    Args:
        dataset: where the photo is.
        pred_field: Keypoints field.
        sample_id: the photo.
        corrections: what is to be written.

    Returns:
        ``ids``: name -> label id of the new people; ``conflicts``: label ids of those whom somebody else changed
        meanwhile; ``changed``: label ids that were written; ``receipt``, for :func:`take_back_corrections`.

    Raises:
        ValueError: if a record is no person, or the photo is not there; nothing is written then.
    """
    poses, added = _poses(dataset, pred_field, sample_id, corrections)
    there = _stored(dataset, pred_field, sample_id, [*corrections.poses, *corrections.deleted])
    marks = {}
    for label_id, pose in poses.items():
        with contextlib.suppress(ChangedMeanwhileError):
            if label_id in there:
                person = find_person(dataset, pred_field, label_id, sample_id)
                save_refinement(person, pose, corrections.poses[label_id]["mark"])
                marks[label_id] = mark_of(read_person(dataset, pred_field, label_id, sample_id).label)
    image_hw = _image_hw(dataset, sample_id)
    ids = {name: add_person(dataset, pred_field, sample_id, pose, image_hw) for name, pose in added.items()}
    going = [i for i, mark in corrections.deleted.items() if i in there and mark_of(there[i]) == mark]
    deletion = delete_persons(dataset, pred_field, going, corrections.by) if going else None
    conflicts = [i for i in (*poses, *corrections.deleted) if i not in marks and i not in going]
    wanted = [ids.get(label_id, label_id) for label_id in corrections.settled if label_id not in conflicts]
    done = settle(dataset, pred_field, wanted, ACCEPTED, corrections.by, sample_ids=[sample_id]) if wanted else None
    settled = done.action if done else None
    receipt = {"poses": marks, "added": list(ids.values()), "actions": [a.id for a in (settled, deletion) if a]}
    changed = list(dict.fromkeys([*marks, *ids.values(), *going, *(settled.label_ids if settled else ())]))
    return {"ids": ids, "conflicts": conflicts, "changed": changed, "receipt": receipt}


def take_back_corrections(
    dataset, pred_field: str, sample_id: str, receipt: Mapping, by: str | None = None
) -> list[str]:
    """Undo what was saved: earlier poses and deleted people come back, new people go, acceptances are open again.

    Returns:
        label ids of the people who changed.

    Raises:
        ValueError: if somebody changed one of the poses since; nothing is taken back then.
    """
    poses, added, actions = dict(receipt["poses"]), list(receipt["added"]), list(receipt["actions"])
    there = _stored(dataset, pred_field, sample_id, poses)
    for label_id, mark in poses.items():
        if label_id not in there or mark_of(there[label_id]) != mark:
            raise ChangedMeanwhileError("Somebody else changed this person after it was saved: it stays as it is now")
    touched = [label_id for action in actions for label_id in find_action(dataset, action).label_ids]
    for action in actions:
        undo_action(dataset, action, by)
    for label_id, mark in poses.items():
        undo_refinement(dataset, label_id, pred_field, sample_id, mark=mark)
    if added:
        delete_persons(dataset, pred_field, added, by)
    return list(dict.fromkeys([*poses, *added, *touched]))


def _poses(dataset, pred_field: str, sample_id: str, corrections: Corrections) -> tuple[dict, dict]:
    """Return the poses of corrected and of new people, before anything is written of any of them."""
    skeleton, image_hw = skeleton_of(dataset, pred_field), _image_hw(dataset, sample_id)
    read = [{key: record_pose(record, skeleton, image_hw) for key, record in of.items()}
            for of in (corrections.poses, corrections.added)]  # fmt: skip
    return read[0], read[1]


def _image_hw(dataset, sample_id: str) -> tuple[int, int]:
    return read_sides(photo_path(dataset, sample_id), upright=True)


def _stored(dataset, pred_field: str, sample_id: str, label_ids: Iterable[str]) -> dict[str, fo.Keypoint]:
    """Return those of some people who are still there, as they are now."""
    found = {}
    for label_id in label_ids:
        with contextlib.suppress(ValueError):
            found[label_id] = read_person(dataset, pred_field, label_id, sample_id).label
    return found
