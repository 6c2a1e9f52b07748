"""What a human just did, read from an interactive request of Label Studio.

Edits come by three routes, and end as one :class:`Interaction`:

- the bridge posts the edited persons' regions, and names those that were edited and those that are locked; the whole
  annotation gives the same answer;
- a smart click posts a new keypoint with a random id and no parent, among the regions of the same label;
- dynamic predictions post the regions of the same label, the dragged one with origin ``prediction-changed``.

The last two are stock Label Studio. They leave out the other regions, which come from the task's drafts, annotations or
predictions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clickpose.checks import described
from clickpose_labelstudio.codec import DecodedResult, decode_result, place_keypoint
from clickpose_labelstudio.grouping import CLICK_REACH, nearest_person
from clickpose_labelstudio.labeling_config import LabelingConfig
from clickpose_labelstudio.region_items import is_human_made, is_percentage, labels_of, read_point, split_keypoint_id

_GEOMETRY = ("x", "y", "width", "height", "rotation")
_MOVED_PCT = 1e-6  # a region moved by less than this has not been dragged


class RequestError(ValueError):
    """A request cannot be understood; the message is a sentence for whoever sent it."""


@dataclass(frozen=True, eq=False)
class Interaction:
    """An annotation and what a human just changed in it.

    Attributes:
        decoded: the annotation after the change.
        edited: (N, K) bool, joints that were just put in place.
        boxed: (N,) bool, persons whose box was just drawn or moved.
        kept_boxes: (N,) bool, persons whose box must stay: a human drew, moved, confirmed or locked it at any time.
        dynamic: items that Label Studio deletes unless the reply holds them.
    """

    decoded: DecodedResult
    edited: np.ndarray
    boxed: np.ndarray
    kept_boxes: np.ndarray
    dynamic: tuple[Mapping, ...] = ()

    def edited_persons(self) -> list[int]:
        """Return the indices of the persons with a change."""
        return np.flatnonzero(self.edited.any(axis=1) | self.boxed).tolist()


def read_interaction(task: Mapping, context: Mapping, config: LabelingConfig, image_hw: tuple[int, int]) -> Interaction:
    """Read an interactive request by whichever route it came.

    Args:
        task: the task, with ``drafts``, ``annotations`` and ``predictions``.
        context: ``result`` and, from the bridge, ``edited`` and maybe ``confirmed`` and ``locked`` (region ids).
        config: the labelling configuration.
        image_hw: (height, width) of the image in pixels.

    Raises:
        RequestError: if ids are not lists of text.
        CodecError: if a region cannot be read.
    """
    result = result_of(context)
    if "edited" in context:
        edited, confirmed = _id_list(context, "edited"), _id_list(context, "confirmed")
        fixed = edited | confirmed | _id_list(context, "locked") | _read_only(result)
        return _interaction(decode_result(result, config, image_hw, fixed), edited, fixed)
    return _read_stock(task, result, config, image_hw)


def result_of(context: Mapping) -> Sequence[Mapping]:
    """Return the list of regions of an interactive request.

    Raises:
        RequestError: if there is none.
    """
    result = context.get("result")
    if not isinstance(result, list):
        raise RequestError(f"Expected context.result to be a list of regions, got {described(result)}")
    return result


def _id_list(context: Mapping, key: str) -> frozenset[str]:
    ids = context.get(key)
    if ids is None:
        return frozenset()
    if not isinstance(ids, list) or not all(isinstance(region_id, str) for region_id in ids):
        raise RequestError(f"Expected context.{key} to be a list of region ids")
    return frozenset(ids)


def _read_only(result: Sequence[object]) -> frozenset[str]:
    """Return the ids of the regions that Label Studio marks as read-only."""
    items = (item for item in result if isinstance(item, Mapping) and item.get("readonly") is True)
    return frozenset(item["id"] for item in items if isinstance(item.get("id"), str))


def _interaction(
    decoded: DecodedResult, edited_ids: frozenset[str], fixed_ids: frozenset[str], dynamic: Sequence[Mapping] = ()
) -> Interaction:
    """Mark in arrays which joints and boxes carry the given ids."""
    edited = np.zeros(decoded.annotations.touched.shape, bool)
    boxed, kept_boxes = np.zeros(len(edited), bool), np.zeros(len(edited), bool)
    for row, person in enumerate(decoded.persons):
        for joint, keypoint in person.joints.items():
            edited[row, joint] = keypoint.item["id"] in edited_ids
        if person.box_item is not None:
            boxed[row] = person.id in edited_ids
            kept_boxes[row] = is_human_made(person.box_item) or person.id in fixed_ids
    return Interaction(decoded, edited, boxed, kept_boxes, tuple(dynamic))


def _read_stock(
    task: Mapping, result: Sequence[Mapping], config: LabelingConfig, image_hw: tuple[int, int]
) -> Interaction:
    """Read a request of stock Label Studio: merge it into the saved state, find what is new, give clicks to persons."""
    for index, item in enumerate(result):
        if not isinstance(item, Mapping) or not isinstance(item.get("id"), str):
            raise RequestError(f"Expected item {index} of context.result to be a region with an id")
    ours = [item for item in result if item.get("from_name") in (config.box_name, config.keypoint_name)]
    state = {_key(item): item for item in _saved_state(task, ours)}
    changed = _changed(ours, state)
    clicks = [item for item in ours if _is_click(item, state, config)]
    merged = {**state, **{_key(item): item for item in result if not any(item is click for click in clicks)}}
    fixed = _read_only(list(merged.values()))
    decoded = decode_result(list(merged.values()), config, image_hw, changed | fixed)
    edited_ids = set(changed)
    lost = []
    for click in clicks:
        placed = _give_to_person(decoded, click, config)
        if placed is None:
            lost.append(click)
        else:
            decoded, region_id = placed
            edited_ids.add(region_id)
    # Drafts forget what is dynamic. While dragging a dynamic region still asks us, the others are dynamic as well.
    dynamic_ids = _dynamic_ids(task)
    doomed = dynamic_ids if dynamic_ids & changed else frozenset()
    dynamic = [
        item
        for item in (*merged.values(), *lost)
        if item.get("dynamic") is True or item["id"] in doomed or "is_positive" in item
    ]
    return _interaction(decoded, frozenset(edited_ids), fixed.union(edited_ids), dynamic)


def _key(item: Mapping) -> tuple[str, object]:
    """Identify an item: a region and the Choices on it share an id."""
    from_name = item.get("from_name")
    return item["id"], from_name if isinstance(from_name, str) else None


def _dynamic_ids(task: Mapping) -> frozenset[str]:
    """Return the ids of the regions that a saved prediction marks as dynamic."""
    predictions = task.get("predictions")
    entries = [entry for entry in predictions if isinstance(entry, Mapping)] if isinstance(predictions, list) else []
    results = [entry.get("result") for entry in entries]
    items = [item for result in results if isinstance(result, list) for item in result if isinstance(item, Mapping)]
    return frozenset(item["id"] for item in items if item.get("dynamic") is True and isinstance(item.get("id"), str))


def _saved_state(task: Mapping, shown: Sequence[Mapping]) -> list[dict]:
    """Return the saved result that is on the annotator's screen.

    That is the one that shares most region ids with what was sent, and of equals, most places: another annotator's work
    on the same predictions has the same ids. Of those a draft, else an annotation, else a prediction, the newest first.
    """
    best, most = [], (-1, -1)
    for kind in ("drafts", "annotations", "predictions"):
        saved = task.get(kind)
        saved = [entry for entry in saved if isinstance(entry, Mapping)] if isinstance(saved, list) else []
        for entry in sorted(saved, key=_age, reverse=True):
            items = entry.get("result")
            if not isinstance(items, list) or not items or entry.get("was_cancelled"):
                continue
            items = [item for item in items if isinstance(item, Mapping) and isinstance(item.get("id"), str)]
            by_key = {_key(item): item for item in items}
            common = [(by_key[_key(item)], item) for item in shown if _key(item) in by_key]
            rank = (len(common), sum(not _moved(before, now) for before, now in common))
            if rank > most:
                best, most = items, rank
    return best


def _age(entry: Mapping) -> str:
    """Return the ISO time of the last change, which sorts as text."""
    return str(entry.get("updated_at") or entry.get("created_at") or "")


def _changed(ours: Sequence[Mapping], state: Mapping) -> frozenset[str]:
    """Return the ids of the regions that a human has just drawn or moved.

    A draft may have been saved between the drag and the request; then nothing differs from it, and the regions that
    were ever dragged are the best guess.
    """
    changed = set()
    for item in ours:
        before = state.get(_key(item))
        if (before is None and is_human_made(item)) or (before is not None and _moved(before, item)):
            changed.add(item["id"])
    return frozenset(changed or {item["id"] for item in ours if item.get("origin") == "prediction-changed"})


def _moved(before: Mapping, after: Mapping) -> bool:
    was, now = before.get("value"), after.get("value")
    if not isinstance(was, Mapping) or not isinstance(now, Mapping):
        return False
    numbers = ((was.get(key), now.get(key)) for key in _GEOMETRY)
    return any(is_percentage(old) and is_percentage(new) and abs(old - new) > _MOVED_PCT for old, new in numbers)


def _is_click(item: Mapping, state: Mapping, config: LabelingConfig) -> bool:
    """Tell whether an item is a new keypoint that names no person: a smart click."""
    return (
        item.get("from_name") == config.keypoint_name
        and _key(item) not in state
        and is_human_made(item)
        and not item.get("parentID")
        and split_keypoint_id(item["id"]) is None
    )


def _give_to_person(decoded: DecodedResult, click: Mapping, config: LabelingConfig) -> tuple[DecodedResult, str] | None:
    """Put a click in place; return the result and the id of the region that it moved, or None if it is nobody's.

    A negative click (``is_positive`` false) says where a joint is not, and moves nothing.
    """
    joints = (config.joint_by_label.get(label) for label in labels_of(click, "keypointlabels"))
    joint = next((joint for joint in joints if joint is not None), None)
    point = read_point(click, decoded.known_hw)
    if joint is None or click.get("is_positive") is False:
        return None
    person = nearest_person(decoded.persons, point, joint, config.skeleton, CLICK_REACH)
    if person is None:
        return None
    row = next(i for i, other in enumerate(decoded.persons) if other is person)
    placed = place_keypoint(decoded, person, joint, click, config)
    return placed, placed.persons[row].joints[joint].item["id"]
