"""What is kept of a photo: one JSON object, the same in a run's files, in JSON lines and in Ray's tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clickpose.data.coco_results import prediction_record
from clickpose.large_sets.addresses import DEFAULT_MAX_BYTES, read_photo, shown
from clickpose.large_sets.manifests import Listed
from clickpose.photo_groups import SeenPhoto, everybody, in_groups, look, size_of
from clickpose.predictor import PosePredictor
from clickpose.structures import Poses

EXPECTED = (ValueError, OSError)  # of a photo


def photo_row(name: str, image_hw: tuple[int, int], poses: Poses) -> dict[str, Any]:
    """Return ``photo``, ``height``, ``width`` and ``people``: COCO's fields of a person and ours, without ids."""
    people = [prediction_record(pose, 0) for pose in poses]
    for person in people:
        del person["image_id"], person["category_id"]
    return {"photo": name, "height": int(image_hw[0]), "width": int(image_hw[1]), "people": people}


def failed_row(name: str, error: Exception) -> dict[str, Any]:
    """Return ``photo`` and ``error``, a sentence."""
    return {"photo": name, "error": shown(str(error)) or type(error).__name__}


def rows_of(
    predictor: PosePredictor, photos: Sequence[Listed], threshold: float = 0.0, max_bytes: int = DEFAULT_MAX_BYTES
) -> list[dict[str, Any]]:
    """Pose everybody in some photos; return a row for each, in order.

    Args:
        predictor: the network.
        photos: where they are.
        threshold: people with a lower predicted OKS are left out.
        max_bytes: larger files are refused.

    Raises:
        Exception: where all photos fail, and not as photos do: that is the network's or the machine's fault.
    """

    def pose(seen: Sequence[SeenPhoto]) -> list[tuple[tuple[int, int], Poses]]:
        found = everybody(predictor, seen)
        return [
            (photo.image.shape[:2], poses.select(poses.instance_scores >= threshold))
            for photo, poses in zip(seen, found, strict=True)
        ]

    def see(photo: Listed) -> SeenPhoto:
        return look(predictor, read_photo(photo.address, max_bytes))

    answers = list(in_groups(see, photos, size_of, pose, (Exception,)))
    odd = [answer for _, answer in answers if isinstance(answer, Exception) and not isinstance(answer, EXPECTED)]
    if odd and len(odd) == len(photos):
        raise odd[0]
    return [
        failed_row(photo.name, answer) if isinstance(answer, Exception) else photo_row(photo.name, *answer)
        for photo, answer in answers
    ]
