"""The one interface of every pose network: set an image once, predict, refine many times.

A network implements the five stateless methods of :class:`PosePredictor` (detect, encode, decode, covers,
refine_region); services call these directly, with their own cache. The stateful ``set_image`` / ``predict`` /
``refine`` for notebooks and scripts is written once on top of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clickpose.boxes import box_iou, enclosing_box
from clickpose.checks import as_array
from clickpose.frames import CropFrame
from clickpose.skeleton import Skeleton
from clickpose.structures import Clicks, Pose, Poses


@dataclass(frozen=True, eq=False)
class EncodedRegion:
    """What a network keeps of one region of an image, so that later clicks need no new encoding.

    Attributes:
        frame: the region's square in the original image.
        prompt_box_xyxy: (4,) box that asked for the region, original pixels.
        features: named arrays, as the network left them (shapes are the network's own).
    """

    frame: CropFrame
    prompt_box_xyxy: np.ndarray
    features: dict[str, np.ndarray]

    def to_bytes(self) -> bytes:
        """Serialise (safetensors, no pickle) for a cache."""
        from safetensors.numpy import save

        frame = self.frame
        geometry = np.array([frame.center_x, frame.center_y, frame.side, frame.input_side, *self.prompt_box_xyxy])
        features = {f"features.{name}": np.ascontiguousarray(array) for name, array in self.features.items()}
        return save({"geometry": geometry, **features})

    @classmethod
    def from_bytes(cls, data: bytes) -> EncodedRegion:
        """Read what :meth:`to_bytes` wrote.

        Raises:
            ValueError: if the bytes are not an encoded region.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            arrays = load(data)
            geometry = as_array("geometry", arrays.pop("geometry"), (8,))
        except (SafetensorError, KeyError) as error:
            raise ValueError(
                f"Expected an encoded region of {cls.__name__}.to_bytes, got other bytes: {error}"
            ) from None
        frame = CropFrame(*geometry[:3].tolist(), int(geometry[3]))
        return cls(frame, geometry[4:], {name.removeprefix("features."): array for name, array in arrays.items()})


class PosePredictor(ABC):
    """Predicts and refines human poses.

    Attributes:
        name: ``"lite"`` or ``"r50"``.
        skeleton: the K joints it predicts.
        fingerprint: short hash of the weights; part of every cache key and model version.
    """

    name: str
    skeleton: Skeleton
    fingerprint: str

    @abstractmethod
    def detect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the people of an (H, W, 3) uint8 RGB image.

        Returns:
            boxes_xyxy (M, 4) px and their scores (M,), best first.
        """

    @abstractmethod
    def encode(self, image: np.ndarray, boxes_xyxy: np.ndarray) -> list[EncodedRegion]:
        """Run the costly part once for each of the (N, 4) boxes of an (H, W, 3) uint8 RGB image."""

    @abstractmethod
    def decode(self, regions: Sequence[EncodedRegion]) -> Poses:
        """Predict one pose for each region, without clicks, in order. No suppression of double poses."""

    @abstractmethod
    def covers(self, region: EncodedRegion, pose: Pose) -> bool:
        """Tell whether ``region`` can serve to refine ``pose``: it holds the person and every fixed joint."""

    @abstractmethod
    def refine_region(self, region: EncodedRegion, pose: Pose, clicks: Clicks) -> Pose:
        """Move the free joints and the box of ``pose`` so that they agree with the clicks.

        Args:
            region: an encoded region that covers the pose and the clicks.
            pose: the present state; joints with ``pose.fixed`` stay; NaN positions start from the network's estimate.
            clicks: joints that a human has just put in place; they join the fixed ones.

        Returns:
            The refined pose; every fixed joint exactly where the human put it, ``fixed`` True for it.
        """

    def _check_image(self, image) -> np.ndarray:
        image = np.asarray(image)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise ValueError(f"Expected image of shape (H, W, 3), dtype uint8, RGB, got {image.shape}, {image.dtype}")
        return image

    def set_image(self, image: np.ndarray) -> None:
        """Choose the image that :meth:`predict` and :meth:`refine` speak of.

        Args:
            image: (H, W, 3) uint8 RGB.

        Raises:
            ValueError: for another shape or dtype.
        """
        self._image = self._check_image(image)
        self._regions: list[EncodedRegion] = []

    def _current_image(self) -> np.ndarray:
        image = getattr(self, "_image", None)
        if image is None:
            raise RuntimeError("Expected set_image(image) before predict or refine; no image has been set")
        return image

    def predict(self, boxes_xyxy: np.ndarray | None = None) -> Poses:
        """Predict the poses of everybody in the image, or of the people in given boxes.

        Args:
            boxes_xyxy: (N, 4) px, one person each; None to let the detector find them. Given boxes are all answered,
                in order; found ones pass through suppression of double poses.
        """
        from clickpose.postprocess import suppress_duplicate_poses

        image = self._current_image()
        detected = boxes_xyxy is None
        if detected:
            boxes_xyxy, _ = self.detect(image)
        boxes_xyxy = as_array("boxes_xyxy", boxes_xyxy, ("N", 4))
        regions = self.encode(image, boxes_xyxy)
        poses = self.decode(regions)
        if detected:
            kept = suppress_duplicate_poses(poses)
            poses, regions = poses.select(kept), [regions[i] for i in kept]
        self._regions += regions
        return poses

    def refine(self, pose: Pose, clicks: Mapping[str, Sequence[float]]) -> Pose:
        """Move the rest of one person after clicks; see :meth:`refine_region`.

        Args:
            pose: a pose of this image.
            clicks: joint name -> (x, y) px where the human put it.

        Raises:
            ValueError: for an unknown joint or a position that is not finite.
            RuntimeError: if no image has been set.
        """
        image = self._current_image()
        clicked = Clicks.from_mapping(self.skeleton, clicks)
        moved = place_clicks(pose, clicked)
        region = best_region(self, self._regions, moved)
        if region is None:
            (region,) = self.encode(image, prompt_box(moved)[None])
            self._regions.append(region)
        return self.refine_region(region, pose, clicked)


def place_clicks(pose: Pose, clicks: Clicks) -> Pose:
    """Return ``pose`` with the clicked joints at their new positions and fixed."""
    keypoints = np.where(clicks.mask[:, None], clicks.positions, pose.keypoints)
    return Pose(
        pose.skeleton, keypoints, pose.box_xyxy, pose.keypoint_scores, pose.visibility_scores, pose.instance_score,
        pose.fixed | clicks.mask,
    )  # fmt: skip


def prompt_box(pose: Pose) -> np.ndarray:
    """Return the (4,) box to encode for a pose: its box, grown to hold its human-placed joints."""
    corners = pose.box_xyxy.reshape(2, 2)
    return enclosing_box(np.concatenate([corners, pose.keypoints[pose.fixed]]))


def best_region(predictor: PosePredictor, regions: Sequence[EncodedRegion], pose: Pose) -> EncodedRegion | None:
    """Choose this person's region among cached ones: it covers the pose and its box overlaps most (IoU >= 0.3)."""
    candidates = [region for region in regions if predictor.covers(region, pose)]
    if not candidates:
        return None
    overlaps = box_iou(prompt_box(pose)[None], np.stack([region.prompt_box_xyxy for region in candidates]))[0]
    best = int(overlaps.argmax())
    return candidates[best] if overlaps[best] >= 0.3 else None
