"""Poses as OpenPose's JSON, one file a photo, which SMPLify-style body fitters read; and back.

The third number of each joint is its confidence, by which fitters weight the joint: here the predicted OKS, or what it
says with one tolerance for all joints, which is what a fitter's residuals in pixels want. The body is BODY_25, whose
neck and mid-hip are the middle of shoulders and hips; of a whole-body skeleton hands (21) and face (70, of which the
pupils stay empty) are written as well. A joint that is not there is 0, 0, 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath

import numpy as np

from clickpose.boxes import enclosing_box
from clickpose.calibration.expected_oks import with_common_tolerance
from clickpose.checks import described
from clickpose.data.coco_fields import as_numbers
from clickpose.data.coco_results import PhotoPoses
from clickpose.data.confidences import unit_confidences
from clickpose.data.json_file import read_json_as
from clickpose.skeleton import COCO, Skeleton
from clickpose.structures import Pose, Poses

VERSION = 1.3
SUFFIX = "_keypoints.json"
BODY_25 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye",
    "left_eye", "right_ear", "left_ear", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe",
    "right_small_toe", "right_heel",
)  # fmt: skip
_MIDDLES = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}
# field -> part of the skeleton, and how many points OpenPose has there
_PARTS = {
    "face_keypoints_2d": ("face", 68, 70),
    "hand_left_keypoints_2d": ("left_hand", 21, 21),
    "hand_right_keypoints_2d": ("right_hand", 21, 21),
}
_EMPTY = ("pose_keypoints_3d", "face_keypoints_3d", "hand_left_keypoints_3d", "hand_right_keypoints_3d")


def to_openpose(poses: Poses, tolerance: float | None = None) -> dict:
    """Return the document of one photo.

    Args:
        poses: of any skeleton; joints are found by name.
        tolerance: of :func:`~clickpose.calibration.expected_oks.with_common_tolerance`, a share of the root of a
            person's area; None for confidences that are the predicted OKS.

    Returns:
        ``version`` and ``people``, in the order of ``poses``. Neck and mid-hip have the lower confidence of their two
        joints.
    """
    return {"version": VERSION, "people": [_person(pose, tolerance) for pose in poses]}


def from_openpose(document: object, skeleton: Skeleton = COCO) -> Poses:
    """Read a photo's people.

    OpenPose has neither boxes, visibilities nor a person's score: the box is that of the joints, visibility scores are
    the confidences, the person's score is the mean confidence of the joints that are there. Neck and mid-hip are
    dropped where the skeleton has no such joint. People without a joint of the skeleton are left out.

    Raises:
        ValueError: if it is not such a document, or a confidence is on another scale than 0..1; names the person and
            the field.
    """
    people = document.get("people") if isinstance(document, Mapping) else None
    if not isinstance(people, list):
        found = "an object without" if isinstance(document, Mapping) else described(document)
        raise ValueError(f"Expected OpenPose people with BODY_25 joints, got {found}")
    triples = [_triples(person, f"person {place} of OpenPose people", skeleton) for place, person in enumerate(people)]
    return Poses.stack(skeleton, [_pose(rows, skeleton) for rows in triples if (rows[:, 2] > 0).any()])


def write_openpose(folder: str | Path, photos: Iterable[PhotoPoses], tolerance: float | None = None) -> list[Path]:
    """Write ``NAME_keypoints.json`` for each photo ``NAME.jpg``, as OpenPose does.

    Args:
        folder: made if absent.
        photos: with their poses.
        tolerance: as :func:`to_openpose`.

    Returns:
        the files.

    Raises:
        ValueError: if two photos would have one file, or for a tolerance that is not above 0.
    """
    folder, photos = Path(folder), list(photos)
    paths = openpose_paths(folder, [photo.file_name for photo in photos])
    for path, photo in zip(paths, photos, strict=True):
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(to_openpose(photo.poses, tolerance), allow_nan=False), encoding="utf-8")
    return paths


def openpose_paths(folder: Path, names: Sequence[str]) -> list[Path]:
    """Return the file of each photo in a folder of :func:`write_openpose`.

    Raises:
        ValueError: if two photos would have one file.
    """
    owners: dict[Path, str] = {}
    for name in names:
        path = folder / f"{PurePath(name).stem}{SUFFIX}"
        if path in owners:
            raise ValueError(f"Expected photos with different names, got {owners[path]} and {name}")
        owners[path] = name
    return list(owners)


def read_openpose(path: str | Path, skeleton: Skeleton = COCO) -> Poses:
    """Read :func:`from_openpose` from a file.

    Raises:
        ValueError: if there is no such file, or it is not OpenPose's; the message names the file.
    """
    return read_json_as(path, lambda content: from_openpose(content, skeleton))


def _person(pose: Pose, tolerance: float | None) -> dict:
    skeleton, scores = pose.skeleton, pose.keypoint_scores
    if tolerance is not None:
        scores = with_common_tolerance(scores, skeleton.sigma_array, tolerance)
    placed = np.isfinite(pose.keypoints).all(axis=1)
    rows = np.where(placed[:, None], np.column_stack([pose.keypoints, scores]), 0.0)
    body = [_body_row(name, rows, skeleton) for name in BODY_25]
    person = {"person_id": [-1], "pose_keypoints_2d": np.concatenate(body).tolist()}
    for field, (part, joints, points) in _PARTS.items():
        indices = skeleton.parts.get(part, ())
        known = rows[list(indices)] if len(indices) == joints else np.zeros((0, 3))
        padded = np.concatenate([known, np.zeros((points - len(known), 3))]) if len(known) else known
        person[field] = padded.ravel().tolist()
    return person | {field: [] for field in _EMPTY}


def _body_row(name: str, rows: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Return x, y, confidence of a joint of BODY_25."""
    joint = skeleton.match(name)
    if joint is not None:
        return rows[joint]
    names = _MIDDLES.get(name, ())
    pair = [joint for side in names if (joint := skeleton.match(side)) is not None]
    if not pair or len(pair) < len(names):
        return np.zeros(3)
    sides = rows[pair]
    if (sides == 0).all(axis=1).any():  # a side that is not placed
        return np.zeros(3)
    return np.array([*sides[:, :2].mean(axis=0), sides[:, 2].min()])


def _triples(person: object, where: str, skeleton: Skeleton) -> np.ndarray:
    """Return (K, 3) x, y, confidence of the skeleton's joints; 0 where OpenPose has none."""
    if not isinstance(person, Mapping):
        raise ValueError(f"Expected an object as {where}, got {described(person)}")
    rows = np.zeros((len(skeleton), 3))
    body = _part(person.get("pose_keypoints_2d"), "pose_keypoints_2d", len(BODY_25), where)
    for name, row in zip(BODY_25, body, strict=True):
        joint = skeleton.match(name)
        if joint is not None:
            rows[joint] = row
    for field, (part, joints, points) in _PARTS.items():
        indices, values = skeleton.parts.get(part, ()), person.get(field)
        if len(indices) == joints and values:
            rows[list(indices)] = _part(values, field, points, where)[:joints]
    rows[:, 2] = unit_confidences(rows[:, 2], "third numbers", lambda _: where)
    return rows


def _part(values: object, field: str, points: int, where: str) -> np.ndarray:
    """Return (points, 3) numbers of a field."""
    numbers = as_numbers(values, 3 * points, f"numbers of {field}", where)
    if np.isnan(numbers).any():
        raise ValueError(f"Expected {3 * points} finite numbers of {field} in {where}, got one that is null or NaN")
    return numbers.reshape(points, 3)


def _pose(rows: np.ndarray, skeleton: Skeleton) -> Pose:
    placed = rows[:, 2] > 0
    scores = rows[:, 2]
    box = enclosing_box(rows[placed, :2])
    keypoints = np.where(placed[:, None], rows[:, :2], np.nan)
    return Pose(
        skeleton=skeleton,
        keypoints=keypoints,
        box_xyxy=box,
        keypoint_scores=scores,
        visibility_scores=scores,
        instance_score=float(scores[placed].mean()),
    )
