"""What every network of first poses is to Click-Pose: it finds people or is shown them, and poses them.

A foreign network has joints, scores and habits of its own. Its adapter returns them as they are, in pixels of the
photo; :mod:`clickpose.first_pose.predictor` maps the joints by their names and lets lite take over.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from clickpose.boxes import match_boxes, xywh_to_xyxy
from clickpose.checks import as_array
from clickpose.data.coco_extents import box_of_joints
from clickpose.skeleton import Skeleton

SAME_PERSON_IOU = 0.3
"""How much a person whom a network found must overlap a box to be the one that the box was drawn around."""

_KEPT_PHOTOS = 4


class FirstPoseError(ValueError):
    """A network of first poses cannot be had, or failed on a photo; the message says which and why."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FirstPoses:
    """What a foreign network says of N persons, in its own joints.

    Attributes:
        skeleton: its K joints.
        keypoints: (N, K, 2) px of the photo; NaN for a joint that it does not place. A person with none is one whom it
            does not see.
        scores: (N, K) its raw confidences, on its own scale, larger is surer.
        visibility_scores: (N, K) probability that the joint is visible, 0..1; None from a network that tells none.
        boxes_xyxy: (N, 4) px; None from a network that was given them.
        instance_scores: (N,) of the persons, on its own scale; None for the mean of their joints'.
    """

    skeleton: Skeleton
    keypoints: np.ndarray
    scores: np.ndarray
    visibility_scores: np.ndarray | None = None
    boxes_xyxy: np.ndarray | None = None
    instance_scores: np.ndarray = field(default=None)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        count = len(self.skeleton)
        keypoints = as_array("keypoints", self.keypoints, ("N", count, 2))
        persons = len(keypoints)
        placed = np.isfinite(keypoints).all(axis=-1)
        scores = as_array("scores", self.scores, (persons, count))
        mean = np.where(placed, scores, 0).sum(axis=1) / np.maximum(placed.sum(axis=1), 1)
        instances = mean if self.instance_scores is None else self.instance_scores
        object.__setattr__(self, "keypoints", np.where(placed[..., None], keypoints, np.nan))
        object.__setattr__(self, "scores", scores)
        object.__setattr__(self, "instance_scores", as_array("instance_scores", instances, (persons,)))
        for name, shape in (("visibility_scores", (persons, count)), ("boxes_xyxy", (persons, 4))):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, as_array(name, getattr(self, name), shape))

    def __len__(self) -> int:
        return len(self.keypoints)

    @classmethod
    def nobody(cls, skeleton: Skeleton, count: int = 0) -> FirstPoses:
        """Return ``count`` persons whom the network does not see."""
        joints = len(skeleton)
        return cls(
            skeleton=skeleton,
            keypoints=np.full((count, joints, 2), np.nan),
            scores=np.zeros((count, joints)),
            boxes_xyxy=np.full((count, 4), np.nan),
        )

    @property
    def seen(self) -> np.ndarray:
        """(N,) bool: whom the network placed a joint of."""
        return np.isfinite(self.keypoints).all(axis=-1).any(axis=1)

    def take(self, rows: np.ndarray) -> FirstPoses:
        """Return the persons at ``rows`` (M,), in that order; somebody whom it does not see for -1."""
        rows = np.asarray(rows, dtype=int)
        lost = rows < 0
        if not len(self):
            return FirstPoses.nobody(self.skeleton, len(rows))

        def taken(values: np.ndarray | None, empty: float) -> np.ndarray | None:
            if values is None:
                return None
            chosen = values[rows].astype(float)
            chosen[lost] = empty
            return chosen

        keypoints, scores = taken(self.keypoints, np.nan), taken(self.scores, 0.0)
        instances = taken(self.instance_scores, 0.0)
        assert keypoints is not None and scores is not None and instances is not None
        return FirstPoses(
            skeleton=self.skeleton, keypoints=keypoints, scores=scores, instance_scores=instances,
            visibility_scores=taken(self.visibility_scores, np.nan), boxes_xyxy=taken(self.boxes_xyxy, np.nan),
        )  # fmt: skip

    def extents(self) -> np.ndarray:
        """Return the (N, 4) boxes, px: the network's own, else around the joints; NaN for whom it does not see."""
        if self.boxes_xyxy is not None:
            return self.boxes_xyxy
        found = [box_of_joints(keypoints) for keypoints in self.keypoints]
        nowhere = np.full(4, np.nan)
        return np.reshape([nowhere if box is None else xywh_to_xyxy(box) for box in found], (-1, 4))


class FirstPoseNetwork(ABC):
    """A network whose poses people start from. Subclass :class:`PosesInBoxes` or :class:`PosesOfPhotos`.

    Attributes:
        name: short, without spaces and ``+``; it becomes part of the model version that its poses carry.
        fingerprint: short hash of its weights and of what else decides its answers.
        skeleton: its joints.
    """

    name: str
    fingerprint: str
    skeleton: Skeleton

    @abstractmethod
    def find(self, image: np.ndarray) -> FirstPoses | None:
        """Find everybody in an (H, W, 3) uint8 RGB image; None from a network that must be shown the people.

        An empty answer says that nobody is there.
        """

    @abstractmethod
    def pose(self, image: np.ndarray, boxes_xyxy: np.ndarray) -> FirstPoses:
        """Pose the people in (N, 4) boxes, px inside the image: one row for each, in order."""


class PosesInBoxes(FirstPoseNetwork):
    """A top-down network: people are found by Click-Pose's detector, or by a human, and shown to it one by one."""

    def find(self, image: np.ndarray) -> FirstPoses | None:
        """Leave it to the detector."""
        return None


class PosesOfPhotos(FirstPoseNetwork):
    """A network that finds and poses everybody at once. What it found of the latest photos is kept."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple, FirstPoses | None] = OrderedDict()

    @abstractmethod
    def look(self, image: np.ndarray) -> FirstPoses | None:
        """Find everybody in an (H, W, 3) uint8 RGB image; None where nothing is known of the photo."""

    def find(self, image: np.ndarray) -> FirstPoses | None:
        """See :meth:`FirstPoseNetwork.find`."""
        pixels = np.ascontiguousarray(image)
        key = (pixels.shape, zlib.crc32(pixels.data), getattr(image, "file_name", ""))
        if key not in self._found:
            self._found[key] = self.look(image)
            while len(self._found) > _KEPT_PHOTOS:
                self._found.popitem(last=False)
        return self._found[key]

    def pose(self, image: np.ndarray, boxes_xyxy: np.ndarray) -> FirstPoses:
        """See :meth:`FirstPoseNetwork.pose`: those found whose boxes overlap the given ones most."""
        found = self.find(image)
        if found is None or not len(found):
            return FirstPoses.nobody(self.skeleton, len(boxes_xyxy))
        return found.take(match_boxes(boxes_xyxy, np.nan_to_num(found.extents()), SAME_PERSON_IOU))
