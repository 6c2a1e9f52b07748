"""The one interface of every pose network: set an image once, predict, refine many times.

A network implements the five stateless methods of :class:`PosePredictor` (detect, encode, decode, covers,
refine_region); services call these directly, with their own cache. The stateful ``set_image`` / ``predict`` /
``refine`` for notebooks and scripts is written once on top of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np

from clickpose.boxes import box_iou, clip_boxes, grow_boxes
from clickpose.checks import as_array, check_image
from clickpose.frames import CropFrame, ImageFrame
from clickpose.named_image import name_of, named_image
from clickpose.skeleton import Skeleton
from clickpose.structures import Clicks, Pose, Poses

SAME_PERSON_IOU = 0.3
"""How much the box of a person and the one that a region was encoded for must overlap for the region to serve."""


@dataclass(frozen=True, eq=False, kw_only=True)
class EncodedRegion:
    """What a network keeps of one region of an image, so that later clicks need no new encoding.

    Attributes:
        frame: where the region lies in the original image: one person's square, or all of it.
        prompt_box_xyxy: (4,) box that asked for the region, original pixels; None for a region that is the whole image
            and serves everybody in it.
        features: named arrays, as the network left them (shapes are the network's own).
    """

    frame: CropFrame | ImageFrame
    prompt_box_xyxy: np.ndarray | None
    features: dict[str, np.ndarray]

    def to_bytes(self) -> bytes:
        """Serialise (safetensors, no pickle) for a cache."""
        from safetensors.numpy import save

        prompt = () if self.prompt_box_xyxy is None else self.prompt_box_xyxy
        features = {f"features.{name}": np.ascontiguousarray(array) for name, array in self.features.items()}
        return save({"frame": np.array(astuple(self.frame), float), "prompt": np.array(prompt, float), **features})

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
            frame = as_array("frame", arrays.pop("frame"), ("F",)).tolist()
            prompt = as_array("prompt", arrays.pop("prompt"), ("P",))
        except (SafetensorError, KeyError) as error:
            raise ValueError(
                f"Expected an encoded region of {cls.__name__}.to_bytes, got other bytes: {error}"
            ) from None
        if (len(frame), len(prompt)) not in ((2, 0), (4, 4)):
            raise ValueError(f"Expected a frame of an encoded region, got {len(frame)} and {len(prompt)} numbers")
        features = {name.removeprefix("features."): array for name, array in arrays.items()}
        if not len(prompt):
            return cls(frame=ImageFrame(*(int(length) for length in frame)), prompt_box_xyxy=None, features=features)
        center_x, center_y, side, input_side = frame
        crop = CropFrame(center_x, center_y, side, int(input_side))
        return cls(frame=crop, prompt_box_xyxy=prompt, features=features)


Detected = tuple[np.ndarray, np.ndarray] | None
"""What :meth:`PosePredictor.detect` returns."""


class PosePredictor(ABC):
    """Predicts and refines human poses.

    Attributes:
        name: ``"lite"`` or ``"r50"``; ``"movenet+lite"`` where another network sees first.
        skeleton: the K joints it predicts.
        fingerprint: short hash of the weights, with what else decides its answers; part of every cache key and model
            version.
    """

    name: str
    skeleton: Skeleton
    fingerprint: str

    @abstractmethod
    def detect(self, image: np.ndarray) -> Detected:
        """Find the people of an (H, W, 3) uint8 RGB image ahead of encoding it.

        Returns:
            boxes_xyxy (M, 4) px and their scores (M,), best first; None from a network that encodes the whole image
            and finds the people when it decodes.
        """

    @abstractmethod
    def encode(self, image: np.ndarray, boxes_xyxy: np.ndarray | None) -> list[EncodedRegion]:
        """Run the costly part once.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes_xyxy: (N, 4) px, or None for everybody where :meth:`detect` gives no boxes.

        Returns:
            The region of each box, in order (boxes may share one); for None the one region that serves everybody.
        """

    @abstractmethod
    def decode(self, regions: Sequence[EncodedRegion], boxes_xyxy: np.ndarray | None = None) -> Poses:
        """Predict poses without clicks. No suppression of double poses.

        Args:
            regions: encoded regions.
            boxes_xyxy: (N, 4) px, the box of the person wanted from each of the N regions. None for everybody that the
                regions were encoded for: their own box's person, or all people of a whole image.

        Returns:
            One pose for each box, in order; for None in the order of the regions, best first within one.
        """

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

    def encode_photos(self, photos: Sequence[tuple[np.ndarray, np.ndarray | None]]) -> list[list[EncodedRegion]]:
        """Encode people of several photos, each an image and boxes as for :meth:`encode`: the same regions, and sooner
        where a network takes people of different photos together."""
        return [self.encode(image, boxes_xyxy) for image, boxes_xyxy in photos]

    def decode_photos(self, photos: Sequence[tuple[Sequence[EncodedRegion], np.ndarray | None]]) -> list[Poses]:
        """Predict poses in several photos, each regions and boxes as for :meth:`decode`; see :meth:`encode_photos`."""
        return [self.decode(regions, boxes_xyxy) for regions, boxes_xyxy in photos]

    @property
    def refiner(self) -> PosePredictor:
        """The network that moves joints after clicks: this one, or the one that corrects another's first poses."""
        return self

    def for_strong_starts(self) -> PosePredictor:
        """Return the network as it is to correct poses of another one, of which most joints are right already."""
        return self

    def standalone_decoder(self) -> bytes | None:
        """Return an ONNX graph that answers as :meth:`refine_region` does, wherever ONNX runs; None without one."""
        return None

    def standalone_inputs(self, region: EncodedRegion) -> dict[str, np.ndarray]:
        """Return the inputs of :meth:`standalone_decoder` that are the same for all clicks on a region's person.

        The others are ``keypoints`` (K, 2), NaN where there is none, ``fixed`` (K,) 0 or 1 and ``box`` (4,), px.
        """
        raise NotImplementedError(f"{self.name} has no standalone decoder")

    def set_image(self, image: np.ndarray, file_name: str = "") -> None:
        """Choose the image that :meth:`predict` and :meth:`refine` speak of.

        Args:
            image: (H, W, 3) uint8 RGB; copied, so that it may be drawn on afterwards.
            file_name: of the photo, for first poses that are looked up by it; by default what the image knows itself.

        Raises:
            ValueError: for another shape or dtype.
        """
        self._image = named_image(check_image(image).copy(), file_name or name_of(image))
        self._regions: list[EncodedRegion] = []

    def _current_image(self) -> np.ndarray:
        image = getattr(self, "_image", None)
        if image is None:
            raise RuntimeError("Expected set_image(image) before predict or refine; no image has been set")
        return image

    def predict(self, boxes_xyxy: np.ndarray | None = None, *, find_others: bool = False) -> Poses:
        """Predict the poses of everybody in the image, of the people in given boxes, or of these and everybody else.

        Args:
            boxes_xyxy: (N, 4) px, one person each; None to let the detector find them. Given boxes are all answered,
                in order; found ones pass through suppression of double poses.
            find_others: with boxes, let the detector find who is in none of them; they come after, best score first.
        """
        from clickpose.postprocess import suppress_duplicate_poses

        image = self._current_image()
        given = None
        if boxes_xyxy is not None:
            boxes_xyxy = as_array("boxes_xyxy", boxes_xyxy, ("N", 4))
            given = self.decode(self._encode_once(image, boxes_xyxy), boxes_xyxy)
            if not find_others:
                return given
        detected = self.detect(image)
        boxes_xyxy = None if detected is None else detected[0]
        found = self.decode(self._encode_once(image, boxes_xyxy), boxes_xyxy)
        if given is None:
            return found.select(suppress_duplicate_poses(found))
        everybody = Poses.stack(self.skeleton, [*given, *found])
        kept = suppress_duplicate_poses(everybody, given=len(given))
        return everybody.select(np.concatenate([np.arange(len(given)), kept[kept >= len(given)]]))

    def _encode_once(self, image: np.ndarray, boxes_xyxy: np.ndarray | None) -> list[EncodedRegion]:
        """Return a region for each box, or the one for everybody; a region of the whole image is encoded once."""
        whole = next((region for region in self._regions if region.prompt_box_xyxy is None), None)
        if whole is not None:
            return [whole] if boxes_xyxy is None else [whole] * len(boxes_xyxy)
        regions = self.encode(image, boxes_xyxy)
        self._regions += {id(region): region for region in regions}.values()
        return regions

    def refine(self, pose: Pose, clicks: Mapping[str, Sequence[float]]) -> Pose:
        """Move the rest of one person after clicks; see :meth:`refine_region`.

        Args:
            pose: a pose of this image.
            clicks: joint name -> (x, y) px where the human put it. With none the pose is returned as it is:
                decoding it once more would move it, and zero clicks are the prediction.

        Raises:
            ValueError: for an unknown joint, a position that is not finite, or several poses.
            RuntimeError: if no image has been set.
        """
        if not isinstance(pose, Pose):
            raise ValueError(f"Expected one Pose, such as poses[0] of what predict returns, got {type(pose).__name__}")
        image = self._current_image()
        clicked = Clicks.from_mapping(self.skeleton, clicks)
        if not clicked.mask.any():
            return pose
        return refine_among(self, self._regions, pose, clicked, lambda boxes: self._encode_once(image, boxes))


Encode = Callable[[np.ndarray], Sequence[EncodedRegion]]
"""Gives the regions of (N, 4) boxes in original pixels, in order; the caller's cache keeps them if it has one."""


def refine_among(
    predictor: PosePredictor, regions: Sequence[EncodedRegion], pose: Pose, clicks: Clicks, encode: Encode
) -> Pose:
    """Refine a pose in the region that suits it, or in a new one: the one recipe of all callers and their caches.

    Args:
        predictor: the network.
        regions: those of this image that are at hand.
        pose: the present state, its fixed joints placed.
        clicks: joints that a human has just put in place.
        encode: called with the one box (1, 4) of the person, its fixed joints inside, where no region suits it.

    Returns:
        as :meth:`PosePredictor.refine_region`.
    """
    placed = place_clicks(pose, clicks)
    region = best_region(predictor, regions, placed)
    if region is None:
        (region,) = encode(prompt_box(placed)[None])
    return predictor.refine_region(region, pose, clicks)


def model_version(predictor: PosePredictor, release: str) -> str:
    """Return what poses say of the network that made them, such as ``clickpose-lite-0.2.0-3f2a91``.

    Args:
        predictor: the network.
        release: of this package.
    """
    return f"clickpose-{predictor.name}-{release}-{predictor.fingerprint}"


def place_clicks(pose: Pose, clicks: Clicks) -> Pose:
    """Return ``pose`` with the clicked joints at their new positions and fixed."""
    keypoints = np.where(clicks.mask[:, None], clicks.positions, pose.keypoints)
    return replace(pose, keypoints=keypoints, fixed=pose.fixed | clicks.mask)


def prompt_box(pose: Pose) -> np.ndarray:
    """Return the (4,) box to encode for a pose: its box, grown to hold its human-placed joints."""
    return grow_boxes(pose.box_xyxy, pose.keypoints, pose.fixed)


def visible_boxes(boxes_xyxy: np.ndarray, image_hw: tuple[int, int]) -> np.ndarray:
    """Return the parts of (N, 4) boxes inside an image.

    Raises:
        ValueError: if a box is not finite, has no area, or lies wholly outside the image.
    """
    given = as_array("boxes_xyxy", boxes_xyxy, ("N", 4))
    boxes = clip_boxes(given, image_hw)
    for before, box in zip(given, boxes, strict=True):
        if not (np.isfinite(before).all() and (box[2:] - box[:2] >= 1).all()):
            raise ValueError(
                f"Expected boxes (left, top, right, bottom) of at least 1 px inside the image of height "
                f"{image_hw[0]} and width {image_hw[1]}, got {before.tolist()}"
            )
    return boxes


def best_region(predictor: PosePredictor, regions: Sequence[EncodedRegion], pose: Pose) -> EncodedRegion | None:
    """Choose this person's region among cached ones.

    It covers the pose, and it is the whole image or the one whose box overlaps most, by :data:`SAME_PERSON_IOU`.
    """
    candidates = [region for region in regions if predictor.covers(region, pose)]
    if not candidates:
        return None
    boxes_xyxy = []
    for region in candidates:
        if region.prompt_box_xyxy is None:
            return region
        boxes_xyxy.append(region.prompt_box_xyxy)
    overlaps = box_iou(prompt_box(pose)[None], np.stack(boxes_xyxy))[0]
    best = int(overlaps.argmax())
    return candidates[best] if overlaps[best] >= SAME_PERSON_IOU else None
