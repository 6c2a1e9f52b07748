"""What travels between networks, services and plugins: poses, human labels and clicks, as checked arrays.

Positions are pixels of the original image, x before y. N persons, K joints. Arrays of the right kind are kept as they
are given, not copied: whoever changes one changes what holds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from clickpose.checks import as_array
from clickpose.skeleton import Skeleton


@dataclass(frozen=True, eq=False, kw_only=True)
class Pose:
    """One predicted person; the fields of :class:`Poses` without the leading axis N.

    Example:
        >>> from clickpose.skeleton import COCO
        >>> pose = Pose.from_keypoints(COCO, np.zeros((17, 2)), [0, 0, 60, 180])  # nobody has scored it yet
        >>> pose.keypoint_scores.shape, pose.instance_score, int(pose.fixed.sum())
        ((17,), 0.0, 0)
    """

    skeleton: Skeleton
    keypoints: np.ndarray  # (K, 2)
    box_xyxy: np.ndarray  # (4,)
    keypoint_scores: np.ndarray  # (K,)
    visibility_scores: np.ndarray  # (K,)
    instance_score: float
    fixed: np.ndarray = field(default=None)  # type: ignore[arg-type]  # (K,) bool; None: nothing is fixed

    def __post_init__(self) -> None:
        count = len(self.skeleton)
        fixed = np.zeros(count, bool) if self.fixed is None else self.fixed
        object.__setattr__(self, "keypoints", as_array("keypoints", self.keypoints, (count, 2)))
        object.__setattr__(self, "box_xyxy", as_array("box_xyxy", self.box_xyxy, (4,)))
        object.__setattr__(self, "keypoint_scores", as_array("keypoint_scores", self.keypoint_scores, (count,)))
        object.__setattr__(self, "visibility_scores", as_array("visibility_scores", self.visibility_scores, (count,)))
        object.__setattr__(self, "instance_score", float(self.instance_score))
        object.__setattr__(self, "fixed", as_array("fixed", fixed, (count,), bool))

    @classmethod
    def from_keypoints(
        cls, skeleton: Skeleton, keypoints: ArrayLike, box_xyxy: ArrayLike, fixed: ArrayLike | None = None
    ) -> Pose:
        """Make a pose that no network has scored yet (scores and visibilities are 0).

        Args:
            skeleton: the joints.
            keypoints: (K, 2) px; NaN where a joint has not been placed.
            box_xyxy: (4,) px.
            fixed: (K,) bool, True where a human placed or confirmed the joint.
        """
        count = len(skeleton)
        return cls(
            skeleton=skeleton,
            keypoints=np.asarray(keypoints),
            box_xyxy=np.asarray(box_xyxy),
            keypoint_scores=np.zeros(count),
            visibility_scores=np.zeros(count),
            instance_score=0.0,
            fixed=np.zeros(count, bool) if fixed is None else np.asarray(fixed),
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Poses:
    """Predicted poses of the persons of one image.

    Attributes:
        skeleton: the K joints.
        keypoints: (N, K, 2) px.
        boxes_xyxy: (N, 4) px.
        keypoint_scores: (N, K) predicted OKS of each joint, 0..1.
        visibility_scores: (N, K) probability that the joint is visible, 0..1.
        instance_scores: (N,) predicted OKS of the person, 0..1.
        fixed: (N, K) True where a human placed the joint; such a joint is never moved by a network.
    """

    skeleton: Skeleton
    keypoints: np.ndarray
    boxes_xyxy: np.ndarray
    keypoint_scores: np.ndarray
    visibility_scores: np.ndarray
    instance_scores: np.ndarray
    fixed: np.ndarray = field(default=None)  # type: ignore[arg-type]  # None: nothing is fixed

    def __post_init__(self) -> None:
        count = len(self.skeleton)
        keypoints = as_array("keypoints", self.keypoints, ("N", count, 2))
        persons = len(keypoints)
        fixed = np.zeros((persons, count), bool) if self.fixed is None else self.fixed
        object.__setattr__(self, "keypoints", keypoints)
        object.__setattr__(self, "boxes_xyxy", as_array("boxes_xyxy", self.boxes_xyxy, (persons, 4)))
        for name in ("keypoint_scores", "visibility_scores"):
            object.__setattr__(self, name, as_array(name, getattr(self, name), (persons, count)))
        object.__setattr__(self, "instance_scores", as_array("instance_scores", self.instance_scores, (persons,)))
        object.__setattr__(self, "fixed", as_array("fixed", fixed, (persons, count), bool))

    def __len__(self) -> int:
        return len(self.keypoints)

    def __getitem__(self, index: int) -> Pose:
        return Pose(
            skeleton=self.skeleton,
            keypoints=self.keypoints[index],
            box_xyxy=self.boxes_xyxy[index],
            keypoint_scores=self.keypoint_scores[index],
            visibility_scores=self.visibility_scores[index],
            instance_score=self.instance_scores[index],
            fixed=self.fixed[index],
        )

    def __iter__(self) -> Iterator[Pose]:
        return (self[i] for i in range(len(self)))

    @classmethod
    def stack(cls, skeleton: Skeleton, poses: Sequence[Pose]) -> Poses:
        """Gather single poses (possibly none) into one :class:`Poses`."""
        count = len(skeleton)
        return cls(
            skeleton=skeleton,
            keypoints=np.reshape([p.keypoints for p in poses], (-1, count, 2)),
            boxes_xyxy=np.reshape([p.box_xyxy for p in poses], (-1, 4)),
            keypoint_scores=np.reshape([p.keypoint_scores for p in poses], (-1, count)),
            visibility_scores=np.reshape([p.visibility_scores for p in poses], (-1, count)),
            instance_scores=np.reshape([p.instance_score for p in poses], (-1,)),
            fixed=np.reshape(np.asarray([p.fixed for p in poses], bool), (-1, count)),
        )

    def select(self, indices: Sequence[int] | np.ndarray) -> Poses:
        """Return the persons at ``indices`` (integer or bool array), in that order."""
        picked = np.arange(len(self))[indices]
        return Poses.stack(self.skeleton, [self[i] for i in picked])


@dataclass(frozen=True, eq=False, kw_only=True)
class Annotations:
    """Human labels of the persons of one image.

    Attributes:
        skeleton: the K joints.
        keypoints: (N, K, 2) px; NaN where ``visibility`` is 0.
        visibility: (N, K) int: 0 not labelled, 1 labelled but occluded, 2 labelled and visible (COCO).
        boxes_xyxy: (N, 4) px; NaN for a person without a box.
        touched: (N, K) True where a human placed or moved the joint (False: an untouched prediction).
        ids: N person ids, unique in the image.
    """

    skeleton: Skeleton
    keypoints: np.ndarray
    visibility: np.ndarray
    boxes_xyxy: np.ndarray
    touched: np.ndarray = field(default=None)  # type: ignore[arg-type]  # None: nothing was touched
    ids: tuple[str, ...] = field(default=None)  # type: ignore[arg-type]  # None: their numbers

    def __post_init__(self) -> None:
        count = len(self.skeleton)
        keypoints = as_array("keypoints", self.keypoints, ("N", count, 2))
        persons = len(keypoints)
        visibility = as_array("visibility", self.visibility, (persons, count), int)
        if not np.isin(visibility, (0, 1, 2)).all():
            raise ValueError(f"Expected visibility of 0, 1 or 2, got {sorted(set(visibility.ravel().tolist()))}")
        touched = np.zeros((persons, count), bool) if self.touched is None else self.touched
        ids = tuple(str(i) for i in range(persons)) if self.ids is None else tuple(self.ids)
        if len(ids) != persons or len(set(ids)) != persons:
            raise ValueError(f"Expected {persons} unique person ids, got {ids}")
        object.__setattr__(self, "keypoints", np.where((visibility > 0)[..., None], keypoints, np.nan))
        object.__setattr__(self, "visibility", visibility)
        object.__setattr__(self, "boxes_xyxy", as_array("boxes_xyxy", self.boxes_xyxy, (persons, 4)))
        object.__setattr__(self, "touched", as_array("touched", touched, (persons, count), bool))
        object.__setattr__(self, "ids", ids)

    def __len__(self) -> int:
        return len(self.keypoints)


@dataclass(frozen=True, eq=False, kw_only=True)
class Clicks:
    """The joints of one person that a human has put in place.

    Attributes:
        positions: (K, 2) px; only the rows where ``mask`` is True count.
        mask: (K,) bool.
    """

    positions: np.ndarray
    mask: np.ndarray

    def __post_init__(self) -> None:
        mask = as_array("mask", self.mask, ("K",), bool)
        positions = as_array("positions", self.positions, (len(mask), 2))
        if not np.isfinite(positions[mask]).all():
            raise ValueError(f"Expected finite click positions in pixels, got {positions[mask].tolist()}")
        object.__setattr__(self, "mask", mask)
        object.__setattr__(self, "positions", positions)

    @classmethod
    def from_mapping(cls, skeleton: Skeleton, clicks: Mapping[str, Sequence[float]]) -> Clicks:
        """Read ``{"left_wrist": (x, y)}``, positions in pixels.

        Raises:
            ValueError: for a joint that the skeleton does not have, or a position that is not two finite numbers.
        """
        positions, mask = np.zeros((len(skeleton), 2)), np.zeros(len(skeleton), bool)
        for name, position in clicks.items():
            joint = skeleton.index(name)
            positions[joint] = as_array(f"position of {name}", position, (2,))
            mask[joint] = True
        return cls(positions=positions, mask=mask)
