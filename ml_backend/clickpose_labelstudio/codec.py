"""Label Studio results <-> poses and annotations.

One function a direction: :func:`encode_poses` and :func:`encode_annotations` write, :func:`decode_result` reads,
:func:`encode_refined` writes a person back over the regions that were read. What they agree on:

- Coordinates stay floating point: percent of the image in Label Studio, pixels here.
- Keypoints come before boxes, since Label Studio lets the region that was listed last catch the mouse.
- COCO visibility: no region is 0; a region whose Choices say ``occluded`` is 1; any other region is 2. Visible is
  written as no Choices at all, which keeps results small and leaves nothing to flip.
- ``score`` of a region is its predicted OKS.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from clickpose.boxes import clip_boxes
from clickpose.checks import described
from clickpose.data.confidences import OCCLUDED_BELOW
from clickpose.structures import Annotations, Pose, Poses
from clickpose_labelstudio.grouping import (
    SAME_BOX_TWICE,
    Keypoint,
    Leftover,
    Person,
    group_keypoints,
    touched_by_human,
)
from clickpose_labelstudio.labeling_config import LabelingConfig
from clickpose_labelstudio.region_items import (
    POINT_WIDTH_PCT,
    CodecError,
    as_score,
    box_value,
    image_hw_of,
    keypoint_region_id,
    labels_of,
    new_person_id,
    person_token,
    point_value,
    point_width,
    read_box,
    read_point,
    region_item,
)

# Predicted visibility is the probability that a human would label the joint at all. On full-resolution COCO nine in ten
# joints below 0.2 are unlabelled (out of the picture, or hidden entirely), and two in three between 0.2 and 0.5.
UNLABELLED_BELOW = 0.2  # below this, a new person does without the joint
_DRAWN = frozenset(
    ("x", "points", "vertices", "rle", "sequence")
)  # one of them is in the value of a region of any shape


@dataclass(frozen=True, eq=False, kw_only=True)
class DecodedResult:
    """A Label Studio result, read.

    Attributes:
        persons: the regions of each of the N persons: those with a rectangle in the order of their rectangles, then the
            others.
        annotations: the same as arrays, in the same order; ids are the region ids of the rectangles.
        image_hw: (height, width) in pixels that the percentages were read with; None for a result without regions.
        companions: region id -> the items of other controls on that region, such as the Choices of visibility.
        left_over: our controls' items that belong to no person, name no joint or double one, and why. Nothing is thrown
            away.
        others: how many regions there are of other labels or other controls.
    """

    persons: tuple[Person, ...]
    annotations: Annotations
    image_hw: tuple[int, int] | None
    companions: Mapping[str, list[dict]]
    left_over: tuple[Leftover, ...]
    others: int = 0

    @property
    def unassigned(self) -> tuple[dict, ...]:
        """The items of :attr:`left_over`."""
        return tuple(item for item, _ in self.left_over)

    @property
    def known_hw(self) -> tuple[int, int]:
        """:attr:`image_hw`, which a result with regions always has.

        Raises:
            CodecError: if it is one without regions, and was read without an image size.
        """
        if self.image_hw is None:
            raise CodecError("Expected an image size to place regions with, got a result without regions")
        return self.image_hw


def encode_poses(
    poses: Poses,
    config: LabelingConfig,
    image_hw: tuple[int, int],
    person_ids: Sequence[str] | None = None,
    occluded_below: float = OCCLUDED_BELOW,
    unlabelled_below: float = 0.0,
) -> list[dict]:
    """Write predicted poses as a Label Studio result.

    Positions are clipped to the image: Label Studio refuses a whole batch for one coordinate above 100 %. Joints
    without a label in the configuration, and NaN positions, are left out.

    Args:
        poses: N persons.
        config: where to write.
        image_hw: (height, width) of the image in pixels.
        person_ids: N region ids of the rectangles; by default made from the boxes.
        occluded_below: visibility scores below this get the occluded choice.
        unlabelled_below: joints with visibility scores below this are left out; 0 leaves none out.

    Raises:
        ValueError: if the ids are not N different ones.
    """
    if person_ids is None:
        person_ids = unique_person_ids(poses.boxes_xyxy)
    if len(person_ids) != len(poses) or len(set(person_ids)) != len(poses):
        raise ValueError(f"Expected {len(poses)} different person ids, got {list(person_ids)}")
    keypoints, boxes = [], []
    for person_id, pose in zip(person_ids, poses, strict=True):
        likely = pose.visibility_scores >= unlabelled_below
        keypoints += _new_keypoints(person_id, pose, config, image_hw, occluded_below, likely)
        value = box_value(clip_boxes(pose.box_xyxy, image_hw), image_hw, config.person_label)
        boxes.append(_new_box(person_id, value, config, image_hw, origin="prediction", score=pose.instance_score))
    return keypoints + boxes


def unique_person_ids(boxes_xyxy: np.ndarray, *seeds: object) -> list[str]:
    """Return N different person ids that depend only on the (N, 4) boxes (to the pixel) and the seeds."""
    ids: list[str] = []
    for box in np.asarray(boxes_xyxy):
        corners = [round(float(edge)) for edge in box]
        attempts = (new_person_id(*seeds, *corners, attempt) for attempt in range(len(ids) + 1))
        ids.append(next(person_id for person_id in attempts if person_id not in ids))
    return ids


def _new_keypoints(
    person_id: str,
    pose: Pose,
    config: LabelingConfig,
    image_hw: tuple[int, int],
    occluded_below: float,
    wanted: np.ndarray | None = None,
) -> list[dict]:
    """Write one predicted person's keypoints ((K,) ``wanted`` ones), each followed by its choice if it is occluded."""
    items = []
    height, width = image_hw
    width_pct = point_width(pose.box_xyxy, image_hw)
    placed = np.isfinite(pose.keypoints).all(axis=1)
    if wanted is not None:
        placed &= wanted
    for joint, label in sorted(config.label_by_joint.items()):
        if not placed[joint]:
            continue
        value = point_value(np.clip(pose.keypoints[joint], 0, [width, height]), image_hw, label, width_pct)
        items.append(
            _new_keypoint(
                person_id, joint, value, config, image_hw,
                origin="prediction", score=as_score(pose.keypoint_scores[joint]), parentID=person_id,
            )
        )  # fmt: skip
        if config.visibility_name and pose.visibility_scores[joint] < occluded_below:
            items.append(_occluded_choice(items[-1], config, image_hw))
    return items


def encode_annotations(annotations: Annotations, config: LabelingConfig, image_hw: tuple[int, int]) -> list[dict]:
    """Write human labels as a Label Studio result, without loss.

    A person without a rectangle is told by the ids of the keypoints only, so such a person's id must be of the form
    ``cp-<person>`` to be read back.

    Raises:
        CodecError: if the configuration has no label for a joint that is labelled, or no choice for occluded ones.
    """
    _check_can_hold(annotations, config)
    labels = config.label_by_joint
    keypoints, boxes = [], []
    for person, person_id in enumerate(annotations.ids):
        box = annotations.boxes_xyxy[person]
        has_box = bool(np.isfinite(box).all())
        parent = {"parentID": person_id} if has_box else {}
        width_pct = point_width(box, image_hw) if has_box else POINT_WIDTH_PCT
        for joint in np.flatnonzero(annotations.visibility[person]).tolist():
            value = point_value(annotations.keypoints[person, joint], image_hw, labels[joint], width_pct)
            origin = "manual" if annotations.touched[person, joint] else "prediction"
            keypoints.append(_new_keypoint(person_id, joint, value, config, image_hw, origin=origin, **parent))
            if annotations.visibility[person, joint] == 1:
                keypoints.append(_occluded_choice(keypoints[-1], config, image_hw))
        if has_box:
            origin = "manual" if annotations.touched[person].any() else "prediction"
            value = box_value(box, image_hw, config.person_label)
            boxes.append(_new_box(person_id, value, config, image_hw, origin=origin))
    return keypoints + boxes


def _check_can_hold(annotations: Annotations, config: LabelingConfig) -> None:
    """Refuse labels that the configuration would lose."""
    labelled = np.flatnonzero((annotations.visibility > 0).any(axis=0)).tolist()
    missing = [config.skeleton.names[joint] for joint in labelled if joint not in config.label_by_joint]
    if missing:
        raise CodecError(f"The labelling configuration has no label for joints that are labelled: {', '.join(missing)}")


def _new_keypoint(
    person_id: str, joint: int, value: dict, config: LabelingConfig, image_hw: tuple[int, int], **extra: object
) -> dict:
    region_id = keypoint_region_id(person_id, config.skeleton.names[joint])
    return region_item(region_id, config.keypoint_name, config.image_name, "keypointlabels", value, image_hw, **extra)


def _new_box(
    person_id: str,
    value: dict,
    config: LabelingConfig,
    image_hw: tuple[int, int],
    *,
    score: float | None = None,
    **extra: object,
) -> dict:
    if score is not None:
        extra["score"] = as_score(score)
    return region_item(person_id, config.box_name, config.image_name, "rectanglelabels", value, image_hw, **extra)


def _occluded_choice(keypoint: dict, config: LabelingConfig, image_hw: tuple[int, int]) -> dict:
    """Return the Choices item that marks a keypoint item as occluded; it repeats the keypoint's id and place.

    Raises:
        CodecError: if the configuration has no such Choices.
    """
    if config.visibility_name is None:
        raise CodecError("The labelling configuration has no per-region Choices to mark occluded joints with")
    place = {key: keypoint["value"][key] for key in ("x", "y", "width")}
    value = {**place, "choices": [config.occluded_choice]}
    extra = {key: keypoint[key] for key in ("parentID", "origin") if key in keypoint}
    return region_item(keypoint["id"], config.visibility_name, config.image_name, "choices", value, image_hw, **extra)


def decode_result(
    result: Sequence[Mapping],
    config: LabelingConfig,
    image_hw: tuple[int, int] | None = None,
    touched_ids: Collection[str] = (),
) -> DecodedResult:
    """Read a Label Studio result.

    Keypoints go to the person that their parent, their id or a relation names, else to the person they lie on (see
    :mod:`clickpose_labelstudio.grouping`). Items of other controls are no regions; those on one of our regions are kept
    as companions.

    Args:
        result: the items.
        config: the configuration they were made with.
        image_hw: (height, width) of the image in pixels; by default what the items say.
        touched_ids: ids of regions that a human touched, beyond those whose ``origin`` says so.

    Raises:
        CodecError: if an item is no object, has an id that is no text, or a region of ours lacks its coordinates; or if
            there are regions but no image size.
    """
    items = _with_ids(result)
    touched = frozenset(touched_ids)
    ours = [item for item in items if item.get("from_name") in (config.box_name, config.keypoint_name)]
    hw = image_hw or image_hw_of(ours)
    if hw is None:
        if ours:
            raise CodecError("Expected original_width and original_height in the regions, since no image size is known")
        return DecodedResult(
            persons=(),
            annotations=_to_annotations((), {}, config),
            image_hw=None,
            companions={},
            left_over=(),
            others=_count_others(items, config),
        )
    persons, doubled = _read_boxes([item for item in ours if item["from_name"] == config.box_name], config, hw)
    keypoints = [
        Keypoint(item, read_point(item, hw), touched_by_human(item, touched))
        for item in ours
        if item["from_name"] == config.keypoint_name
    ]
    persons, left_over = group_keypoints(persons, keypoints, config, items, _other_boxes(items, config, hw))
    companions: dict[str, list[dict]] = {item["id"]: [] for item in ours}
    for item in items:
        if item.get("from_name") not in (config.box_name, config.keypoint_name) and item["id"] in companions:
            companions[item["id"]].append(item)
    annotations = _to_annotations(persons, companions, config)
    return DecodedResult(
        persons=tuple(persons),
        annotations=annotations,
        image_hw=hw,
        companions=companions,
        left_over=tuple([Leftover(item, SAME_BOX_TWICE) for item in doubled] + left_over),
        others=_count_others(items, config),
    )


def place_keypoint(
    decoded: DecodedResult, person: Person, joint: int, click: Mapping, config: LabelingConfig
) -> DecodedResult:
    """Put a joint of a person where a human clicked, as a keypoint region of that person.

    Args:
        decoded: what was read.
        person: one of ``decoded.persons``.
        joint: joint index.
        click: keypoint item of the click; its own id is not kept. Where the person has the joint already, that region
            moves and keeps its id; otherwise the person gets a new one.
        config: the configuration.

    Returns:
        the result with this joint in its place, touched.
    """
    place = {"x": click["value"]["x"], "y": click["value"]["y"]}
    if joint in person.joints:
        old = person.joints[joint].item
        item = {**old, "origin": "manual", "value": {**old["value"], **place}}
    else:
        parent = {"parentID": person.id} if person.box_item is not None else {}
        value = {**point_value(np.zeros(2), decoded.known_hw, config.label_by_joint[joint]), **place}
        item = _new_keypoint(person.id, joint, value, config, decoded.known_hw, origin="manual", **parent)
        while item["id"] in decoded.companions:  # a region of that id has been given to somebody else
            item["id"] += "+"
    placed = Keypoint(item, read_point(item, decoded.known_hw), touched=True)
    changed = replace(person, joints={**person.joints, joint: placed})
    persons = tuple(changed if other is person else other for other in decoded.persons)
    companions = {item["id"]: [], **decoded.companions}
    annotations = _to_annotations(persons, companions, config)
    return replace(decoded, persons=persons, annotations=annotations, companions=companions)


def _with_ids(result: object) -> list[dict]:
    """Return shallow copies of the items, each with an id (relations have none)."""
    if not isinstance(result, Sequence) or isinstance(result, str | bytes):
        raise CodecError(f"Expected a result that is a list of regions, got {described(result)}")
    items = []
    for index, item in enumerate(result):
        if not isinstance(item, Mapping):
            raise CodecError(f"Expected item {index} of the result to be an object, got {described(item)}")
        region_id = item.get("id")
        if region_id is not None and not isinstance(region_id, str):
            raise CodecError(f"Expected the id of item {index} of the result to be text, got {described(region_id)}")
        items.append({**item, "id": region_id or f"region-{index}"})
    return items


def _read_boxes(
    items: Sequence[dict], config: LabelingConfig, image_hw: tuple[int, int]
) -> tuple[list[Person], list[dict]]:
    """Return the persons of the rectangles, and the rectangles that double an id. Boxes of other things are ignored."""
    persons: dict[str, Person] = {}
    doubled = []
    for item in items:
        if not _is_person(item, config):
            continue
        token = person_token(item["id"])
        if token in persons:
            doubled.append(item)
        else:
            persons[token] = Person(item["id"], item, read_box(item, image_hw))
    return list(persons.values()), doubled


def _is_person(item: Mapping, config: LabelingConfig) -> bool:
    """Tell whether a rectangle is a person; without a label it is one if it is of the persons' control."""
    labels = labels_of(item, "rectanglelabels")
    return config.person_label in labels if labels else item.get("from_name") == config.box_name


def _count_others(items: Sequence[Mapping], config: LabelingConfig) -> int:
    """Return how many regions, of whatever shape, have another label or control than people and their joints."""
    drawn = [item for item in items if isinstance(item.get("value"), Mapping) and not _DRAWN.isdisjoint(item["value"])]
    ours = [item for item in drawn if item.get("from_name") in (config.box_name, config.keypoint_name)]
    known = {item["id"] for item in ours if item["from_name"] == config.keypoint_name or _is_person(item, config)}
    return len({item["id"] for item in drawn} - known)


def _other_boxes(items: Sequence[Mapping], config: LabelingConfig, image_hw: tuple[int, int]) -> np.ndarray:
    """Return the (B, 4) px boxes of other labels, whatever their control; those that cannot be read are no boxes."""
    boxes = []
    for item in items:
        if labels_of(item, "rectanglelabels") and not _is_person(item, config):
            with suppress(CodecError):
                boxes.append(read_box(item, image_hw))
    return np.reshape(boxes, (-1, 4))


def _to_annotations(
    persons: Sequence[Person], companions: Mapping[str, Sequence[Mapping]], config: LabelingConfig
) -> Annotations:
    """Gather persons into arrays."""
    shape = len(persons), len(config.skeleton)
    keypoints, visibility, touched = np.full((*shape, 2), np.nan), np.zeros(shape, int), np.zeros(shape, bool)
    for row, person in enumerate(persons):
        for joint, keypoint in person.joints.items():
            keypoints[row, joint] = keypoint.point
            visibility[row, joint] = 1 if _is_occluded(companions[keypoint.item["id"]], config) else 2
            touched[row, joint] = keypoint.touched
    boxes = np.reshape([person.box_xyxy for person in persons], (-1, 4))
    return Annotations(
        skeleton=config.skeleton,
        keypoints=keypoints,
        visibility=visibility,
        boxes_xyxy=boxes,
        touched=touched,
        ids=tuple(person.id for person in persons),
    )


def _is_occluded(companions: Sequence[Mapping], config: LabelingConfig) -> bool:
    chosen = [item for item in companions if item.get("from_name") == config.visibility_name]
    return any(config.occluded_choice in labels_of(item, "choices") for item in chosen)


def encode_refined(
    decoded: DecodedResult, person: Person, pose: Pose, config: LabelingConfig, *, keep_box: bool
) -> list[dict]:
    """Write a refined pose over the regions of a person that was read.

    Every region keeps its id, and joints without a region get none: what the annotator deleted stays deleted. A
    keypoint without a parent gets the rectangle as its parent. Fixed joints keep the very numbers that came. Choices
    and other items on a region go along unchanged, since Label Studio replaces a region with all that belongs to it.
    Labels are those of the joints, whatever they were before.

    Args:
        decoded: what was read.
        person: one of ``decoded.persons``.
        pose: its refinement, px.
        config: the configuration.
        keep_box: leave the rectangle as it is, since a human drew it.

    Returns:
        keypoints, then the rectangle if there is one.
    """
    image_hw = height, width = decoded.known_hw
    items = []
    for joint, keypoint in sorted(person.joints.items()):
        value = dict(keypoint.item["value"])
        if not pose.fixed[joint]:
            point = np.clip(pose.keypoints[joint], 0, [width, height])
            moved = point_value(point, image_hw, "")
            value.update(x=moved["x"], y=moved["y"])
        if joint in config.label_by_joint:
            value["keypointlabels"] = [config.label_by_joint[joint]]
        item = keypoint.item
        if person.box_item is not None and not item.get("parentID"):
            item = {**item, "parentID": person.id}
        items += _echo(item, value, pose.keypoint_scores[joint], decoded.companions)
    if person.box_item is not None:
        value = dict(person.box_item["value"])
        if not keep_box:
            value.update(box_value(clip_boxes(pose.box_xyxy, image_hw), image_hw, config.person_label))
        value["rectanglelabels"] = [config.person_label]
        items += _echo(person.box_item, value, pose.instance_score, decoded.companions)
    return items


def _echo(item: Mapping, value: dict, score: float, companions: Mapping[str, Sequence[Mapping]]) -> list[dict]:
    """Return a region with a new value and score, followed by the items of other controls on it, moved along."""
    if "labels" in value:
        value["labels"] = value.get("keypointlabels") or value.get("rectanglelabels")
    echoed = [{**item, "score": as_score(score), "value": value}]
    place = {key: value[key] for key in ("x", "y", "width", "height", "rotation") if key in value}
    for companion in companions[item["id"]]:
        own = companion.get("value")
        moved = {**own, **{key: place[key] for key in place.keys() & own.keys()}} if isinstance(own, Mapping) else own
        echoed.append({**companion, "value": moved})
    return echoed


def encode_new_person(
    decoded: DecodedResult,
    person: Person,
    pose: Pose,
    config: LabelingConfig,
    occluded_below: float = OCCLUDED_BELOW,
    unlabelled_below: float = UNLABELLED_BELOW,
) -> list[dict]:
    """Write the keypoints of a person of whom only a rectangle was drawn, and that rectangle as it is.

    As in a pre-annotation, joints with visibility scores below ``unlabelled_below`` are left out. The keypoint ids
    derive from the rectangle's id, their ``parentID`` is the rectangle.

    Raises:
        CodecError: if the person has no rectangle.
    """
    if person.box_item is None:
        raise CodecError(f"Expected a rectangle of person {person.id}, whose keypoints are to be drawn, got none")
    likely = pose.visibility_scores >= unlabelled_below
    keypoints = _new_keypoints(person.id, pose, config, decoded.known_hw, occluded_below, likely)
    box = dict(person.box_item["value"], rectanglelabels=[config.person_label])
    return keypoints + _echo(person.box_item, box, pose.instance_score, decoded.companions)
