"""A pose after clicks: what the network makes of it, or the joint alone; nothing is saved here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clickpose.boxes import grow_boxes
from clickpose.first_pose.predictor import refining_part
from clickpose.predictor import PosePredictor, place_clicks, visible_boxes
from clickpose.skeleton import Skeleton
from clickpose.structures import Clicks, Pose
from clickpose_fiftyone.found_persons import Person
from clickpose_fiftyone.predictors import predict_cached, refine_cached, shared_predictor
from clickpose_fiftyone.provenance import network_of


def refining_predictor(samples, field: str, model: str | PosePredictor | None = None) -> PosePredictor:
    """Return the network to refine a field with, loaded once in this process.

    Args:
        samples: the dataset or a view of it.
        field: Keypoints field.
        model: name of a network, or a predictor; None for the one that predicted the field if it is known and its
            weights are at hand, else lite.

    Raises:
        ValueError: for another name, or weights that cannot be read.
    """
    network = network_of(samples, field)
    if model is None and network is not None and network.checkpoint is not None:
        return shared_predictor(refining_part(network.model), network.checkpoint)
    model = model or "lite"
    return shared_predictor(model) if isinstance(model, str) else model


def refined_pose(
    person: Person, clicks: list[tuple[str, float, float]], model: str | PosePredictor | None = None
) -> list[Pose]:
    """Return the pose before, and after each click, without saving anything.

    Where no network is named and the field's (or lite) has other joints, clicked joints are placed and the others stay.

    Args:
        person: who.
        clicks: (joint name, x px, y px) in the order in which they were made.
        model: see :func:`refining_predictor`.

    Raises:
        ValueError: for an unknown joint, or a click outside the photo.
    """
    poses = [person.pose]
    if not clicks:  # nothing to do for a network, which takes seconds to load
        return poses
    predictor = refining_predictor(person.dataset, person.field, model)
    is_asked_for = model is not None
    for joint, x, y in clicks:
        poses.append(
            clicked_pose(
                predictor, person.filepath, person.image_hw, poses[-1], joint, (x, y), is_asked_for=is_asked_for
            )
        )
    return poses


def clicked_pose(
    predictor: PosePredictor,
    path: str,
    image_hw: tuple[int, int],
    pose: Pose,
    joint: str,
    position: tuple[float, float],
    *,
    is_asked_for: bool = False,
) -> Pose:
    """Return a pose after a click more.

    Args:
        predictor: the network; where it has other joints, the clicked one is placed alone.
        path: the photo.
        image_hw: its height and width, px.
        pose: the person before, px.
        joint: which joint.
        position: (x, y) px where it was put.
        is_asked_for: refuse a network of other joints, since somebody named it.

    Raises:
        ValueError: for an unknown joint, a click outside the photo, or as ``is_asked_for`` has it.
    """
    (height, width), (x, y) = image_hw, position
    if not (0 <= x <= width and 0 <= y <= height):
        raise ValueError(f"Expected a click inside the photo ({width} x {height} px), got ({x:.0f}, {y:.0f})")
    if not is_asked_for and not follows(predictor, pose):
        return _certain(place_clicks(pose, Clicks.from_mapping(pose.skeleton, {joint: position})), joint)
    return _without_new_joints(pose, refine_cached(predictor, path, pose, {joint: position}))


def drawn_pose(
    predictor: PosePredictor, path: str, image_hw: tuple[int, int], skeleton: Skeleton, box_xyxy: np.ndarray
) -> Pose:
    """Return the person in a box that was drawn: as the network finds it, without joints where it knows others.

    Raises:
        ValueError: for a box outside the photo or of less than a pixel, or a photo that cannot be read.
    """
    (box,) = visible_boxes(box_xyxy[None], image_hw)
    if predictor.skeleton.names != skeleton.names:
        return Pose.from_keypoints(skeleton, np.full((len(skeleton), 2), np.nan), box)
    return predict_cached(predictor, path, box)


def follows(predictor: PosePredictor, pose: Pose) -> bool:
    """Tell whether a network has the joints of a pose, so that they follow a click; else they are placed alone."""
    return predictor.skeleton.names == pose.skeleton.names


def _certain(pose: Pose, joint: str) -> Pose:
    """Return a pose in which a joint that a human placed is certain, and the box holds it."""
    index = pose.skeleton.index(joint)
    scores, seen = pose.keypoint_scores.copy(), pose.visibility_scores.copy()
    scores[index], seen[index] = 1.0, max(seen[index], 0.5)
    box_xyxy = grow_boxes(pose.box_xyxy, pose.keypoints, pose.fixed)
    return replace(pose, keypoint_scores=scores, visibility_scores=seen, box_xyxy=box_xyxy)


def _without_new_joints(before: Pose, refined: Pose) -> Pose:
    """Take joints from a refined pose that were not there and that nobody placed: a human may have deleted them."""
    there = np.isfinite(before.keypoints).all(axis=1) | refined.fixed
    return replace(refined, keypoints=np.where(there[:, None], refined.keypoints, np.nan))


def moved_joints(before: Pose, after: Pose, at_least: float = 0.5) -> list[str]:
    """Return the names of the joints that differ by ``at_least`` px."""
    distance = np.linalg.norm(np.nan_to_num(after.keypoints) - np.nan_to_num(before.keypoints), axis=1)
    return [name for name, far in zip(before.skeleton.names, distance >= at_least, strict=True) if far]
