"""A photo whose people were changed in Label Studio and, meanwhile, maybe here: what of both they become.

Each person is compared with how it was when both were last alike: what was sent, or what was taken back last. What was
changed in one place alone is taken from there; of a joint that was changed in both the later change counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import fiftyone as fo
import numpy as np

from clickpose.boxes import box_iou, xywh_to_xyxy
from clickpose.data.notes import Notes, note
from clickpose_fiftyone.fiftyone_internals import ID
from clickpose_fiftyone.labelstudio_drawn import Drawn, joints_changed_here
from clickpose_fiftyone.labelstudio_people import corrected_person, new_person
from clickpose_fiftyone.labelstudio_tasks import MODEL_VERSION
from clickpose_labelstudio.codec import DecodedResult, decode_result

_SAME_PERSON_IOU = 0.5
_KEPT_JOINTS = "joints that were corrected here after they were corrected there, kept as they are here"
_KEPT_PEOPLE = "people deleted there whom somebody has corrected here since, kept"
_GONE_PEOPLE = "people corrected there who are not in the dataset any more, left out"


@dataclass(frozen=True, eq=False, kw_only=True)
class Synced:
    """A photo's people when Label Studio and the dataset were last alike.

    Attributes:
        version: of the annotation that was taken back; empty where nothing was yet.
        regions: region id -> label id.
        there: label id -> the person in Label Studio.
        here: label id -> the person in the dataset.
        gone: region id -> the label, as the database keeps it, of somebody whom Label Studio has taken away.
    """

    version: str = ""
    regions: Mapping[str, str] = field(default_factory=dict)
    there: Mapping[str, Drawn] = field(default_factory=dict)
    here: Mapping[str, Drawn] = field(default_factory=dict)
    gone: Mapping[str, dict] = field(default_factory=dict)

    @classmethod
    def sent(cls, task: Mapping, config) -> Synced:
        """Return the people of a task as they were sent."""
        predictions = (p for p in task.get("predictions") or [] if p.get("model_version") == MODEL_VERSION)
        decoded = next((decode_result(prediction["result"], config) for prediction in predictions), None)
        regions = dict(task["data"].get("label_ids") or {})
        if decoded is None or decoded.image_hw is None:
            return cls(regions=regions)
        rows = {regions[region]: row for row, region in enumerate(decoded.annotations.ids) if region in regions}
        there = {label_id: Drawn.of(decoded.annotations, row, decoded.image_hw) for label_id, row in rows.items()}
        return cls(regions=regions, there=there, here=there)

    def to_dict(self, sent: Synced) -> dict:
        """Return what :meth:`from_dict` reads: of people only those who are not as they were sent."""

        def others(people: Mapping[str, Drawn], known: Mapping[str, Drawn]) -> dict:
            return {
                label_id: person.to_dict()
                for label_id, person in people.items()
                if label_id not in known or known[label_id].differs(person)
            }

        return {
            "version": self.version, "regions": dict(self.regions), "gone": dict(self.gone),
            "there": others(self.there, sent.there), "here": others(self.here, sent.here),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, stored: Mapping, sent: Synced) -> Synced:
        """Return the people of :meth:`to_dict`."""

        def everybody(people: Mapping, known: Mapping[str, Drawn]) -> dict[str, Drawn]:
            found = {label_id: Drawn.from_dict(person) for label_id, person in people.items()}
            return {label_id: known[label_id] for label_id in stored["regions"].values() if label_id in known} | found

        return cls(
            version=stored["version"], regions=stored["regions"], gone=stored["gone"],
            there=everybody(stored["there"], sent.there), here=everybody(stored["here"], sent.here),
        )  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class Merged:
    """What a photo's people become.

    Attributes:
        before, labels: label id -> the person before and afterwards.
        corrected, added, deleted: label ids of those who differ.
        synced: what to compare with the next time.
    """

    before: dict[str, fo.Keypoint]
    labels: dict[str, fo.Keypoint]
    corrected: tuple[str, ...]
    added: tuple[str, ...]
    deleted: tuple[str, ...]
    synced: Synced

    @property
    def changed(self) -> bool:
        """Whether anybody is not as before."""
        return bool(self.corrected or self.added or self.deleted)


def merge_photo(
    result: list, config, current: dict[str, fo.Keypoint], known: Synced, *, scored: bool = True,
    later_here: bool = False, notes: Notes | None = None,
) -> Merged:  # fmt: skip
    """Return what a photo's people become of an annotation; nothing is written.

    Args:
        result: regions of the annotation.
        config: labelling configuration.
        current: label id -> the people in the dataset now; who is of no region stays.
        known: how both were when they were last alike.
        scored: somebody new gets predicted OKS, as the people of the field have.
        later_here: the photo was changed here after the annotation.
        notes: what was left out or kept is counted here.
    """
    notes = {} if notes is None else notes
    decoded = decode_result(result or [], config)
    for _, reason in decoded.left_over:
        note(notes, f"regions {reason}")
    labels, corrected, added = dict(current), [], []
    regions, there = {}, {}
    for row, label_id in enumerate(_label_ids(decoded, known, current)):
        now, region = Drawn.of(decoded.annotations, row, decoded.image_hw), decoded.annotations.ids[row]
        if label_id is None:
            label = _added(now, known.gone.get(region), scored)
            label_id = label.id
            added.append(label_id)
        elif label_id in current:
            label = _merged(current[label_id], now, known, later_here, notes)
            corrected += [label_id] if label is not current[label_id] else []
        else:
            label = None  # taken away here since
            if label_id in known.there and known.there[label_id].differs(now):
                note(notes, _GONE_PEOPLE)
        regions[region], there[label_id] = label_id, now
        if label is not None:
            labels[label_id] = label
    deleted = _deleted(known, regions, current, later_here, notes)
    gone = {region: current[label_id].to_dict() for region, label_id in deleted.items()}
    labels = {label_id: label for label_id, label in labels.items() if label_id not in deleted.values()}
    here = {label_id: Drawn.of_label(labels[label_id]) for label_id in there if label_id in labels}
    synced = Synced(regions=regions, there=there, here=here, gone={**known.gone, **gone})
    return Merged(
        before=current, labels=labels, corrected=tuple(corrected), added=tuple(added),
        deleted=tuple(deleted.values()), synced=replace(synced, version=known.version),
    )  # fmt: skip


def _added(now: Drawn, gone: Mapping | None, scored: bool) -> fo.Keypoint:
    """Return somebody new, or who is there again after having been taken away: that person with what changed."""
    if gone is None:
        return new_person(now, scored)
    old = fo.Keypoint.from_dict(dict(gone))
    before = Drawn.of_label(old)
    changed, resized = before.changed_joints(now), before.resized(now)
    return corrected_person(old, now, changed, resized, np.zeros(len(changed), bool)) if before.differs(now) else old


def _merged(old: fo.Keypoint, now: Drawn, known: Synced, later_here: bool, notes: Notes) -> fo.Keypoint:
    """Return a person with what was changed in Label Studio; itself where nothing is to be taken."""
    as_it_is = Drawn.of_label(old)
    there, here = known.there.get(old.id, as_it_is), known.here.get(old.id, as_it_is)
    changed, resized = there.changed_joints(now), there.resized(now)
    own = joints_changed_here(here, old)
    if later_here:
        note(notes, _KEPT_JOINTS, int((changed & own & as_it_is.changed_joints(now)).sum()))
        changed, resized = changed & ~own, resized and not here.resized(as_it_is)
    if not (changed.any() or resized):
        return old
    return corrected_person(old, now, changed, resized, own & ~changed)


def _deleted(
    known: Synced, regions: Mapping[str, str], current: Mapping[str, fo.Keypoint], later_here: bool, notes: Notes
) -> dict[str, str]:
    """Return region id -> label id of those who were taken away in Label Studio and go."""
    left = set(regions.values())
    missing = {r: label_id for r, label_id in known.regions.items() if label_id not in left and label_id in current}
    kept = {
        region
        for region, label_id in missing.items()
        if later_here and label_id in known.here and _changed_here(known.here[label_id], current[label_id])
    }
    note(notes, _KEPT_PEOPLE, len(kept))
    return {region: label_id for region, label_id in missing.items() if region not in kept}


def _changed_here(before: Drawn, label: fo.Keypoint) -> bool:
    return bool(joints_changed_here(before, label).any()) or before.resized(Drawn.of_label(label))


def _label_ids(decoded: DecodedResult, known: Synced, current: Mapping[str, fo.Keypoint]) -> list[str | None]:
    """Return the label id of each annotated person: by region id, else by a box that is gone; None for a new one."""
    if decoded.image_hw is None:
        return []
    back = {region: str(label[ID]) for region, label in known.gone.items() if str(label[ID]) in current}
    annotations, left = decoded.annotations, {**back, **known.regions}
    ids = [left.pop(region, None) for region in annotations.ids]
    people = [label_id for label_id in left.values() if label_id in known.there and known.there[label_id].box]
    if not people or all(ids):
        return ids
    before = xywh_to_xyxy(np.array([known.there[label_id].box for label_id in people]))
    overlaps = box_iou(np.nan_to_num(annotations.boxes_xyxy) / np.tile(decoded.image_hw[::-1], 2), before)
    overlaps[[person for person, label_id in enumerate(ids) if label_id]] = 0
    overlaps[[person for person, region in enumerate(annotations.ids) if region in known.gone]] = 0
    while overlaps.size and overlaps.max() >= _SAME_PERSON_IOU:
        person, column = np.unravel_index(int(overlaps.argmax()), overlaps.shape)
        ids[person] = people[column]
        overlaps[person], overlaps[:, column] = 0, 0
    return ids
