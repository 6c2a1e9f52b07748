"""A pose predictor without a network, and in-memory images and regions: each number can be foretold by a test."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from clickpose.boxes import clip_boxes
from clickpose.checks import check_image
from clickpose.frames import CropFrame
from clickpose.predictor import EncodedRegion, PosePredictor, place_clicks
from clickpose.skeleton import COCO
from clickpose.structures import Pose, Poses
from clickpose_labelstudio.ports import ImageError, LoadedImage

SHIFT = np.array([3.0, -2.0])  # px that every free joint moves in a refinement
BOX_SHIFT = np.array([1.0, 1.0, 2.0, 2.0])  # px that the box corners move in a refinement


def template(box_xyxy) -> np.ndarray:
    """Return the (K, 2) px joints that the fake predicts in a box: two columns, running down the box."""
    left, top, right, bottom = np.asarray(box_xyxy, dtype=float)
    rows = np.arange(len(COCO))
    x = np.where(rows % 2 == 1, left + 0.75 * (right - left), left + 0.25 * (right - left))
    return np.stack([x, top + (rows + 0.5) / len(COCO) * (bottom - top)], axis=1)


class FakePredictor(PosePredictor):
    """Finds given boxes, puts :func:`template` in each, shifts free joints by ``SHIFT`` when refining.

    Args:
        boxes_xyxy: (N, 4) px, what :meth:`detect` finds.
        visible: probability of visibility of the even joints; the odd ones have 0.9.

    Attributes:
        encoded: number of boxes encoded so far.
        refined: (region, pose, clicks) of each refinement so far.
    """

    name = "fake"
    skeleton = COCO
    fingerprint = "f00dfeed"

    def __init__(self, boxes_xyxy=((20.0, 30.0, 120.0, 200.0), (150.0, 40.0, 260.0, 220.0)), visible: float = 0.9):
        self.boxes_xyxy = np.asarray(boxes_xyxy, dtype=float).reshape(-1, 4)
        self.visible = visible
        self.encoded = 0
        self.refined = []

    def detect(self, image):
        check_image(image)
        return self.boxes_xyxy.copy(), np.linspace(0.9, 0.6, len(self.boxes_xyxy))

    def encode(self, image, boxes_xyxy):
        check_image(image)
        inside = clip_boxes(boxes_xyxy, image.shape[:2])
        if not (inside[:, 2:] - inside[:, :2] >= 1).all():  # as the real one does
            raise ValueError(f"Expected boxes inside the image, got {np.asarray(boxes_xyxy).tolist()}")
        self.encoded += len(boxes_xyxy)
        return [
            EncodedRegion(
                frame=CropFrame.around_box(box, 256),
                prompt_box_xyxy=np.asarray(box, dtype=float),
                features={"token": np.zeros(4)},
            )
            for box in boxes_xyxy
        ]

    def decode(self, regions, boxes_xyxy=None):
        boxes = np.reshape([region.prompt_box_xyxy for region in regions], (-1, 4))
        count, joints = len(boxes), len(COCO)
        visibility = np.tile(np.where(np.arange(joints) % 2, 0.9, self.visible), (count, 1))
        return Poses(
            skeleton=COCO,
            keypoints=np.reshape([template(box) for box in boxes], (-1, joints, 2)),
            boxes_xyxy=boxes,
            keypoint_scores=np.tile(np.linspace(0.5, 0.9, joints), (count, 1)),
            visibility_scores=visibility,
            instance_scores=np.linspace(0.8, 0.7, count) if count else np.zeros(0),
        )

    def covers(self, region, pose):
        corners = pose.box_xyxy.reshape(2, 2)
        return region.frame.contains(pose.keypoints) and region.frame.contains(corners)

    def refine_region(self, region, pose, clicks):
        self.refined.append((region, pose, clicks))
        placed = place_clicks(pose, clicks)
        start = np.where(np.isnan(placed.keypoints), template(region.prompt_box_xyxy), placed.keypoints)
        return Pose(
            skeleton=COCO,
            keypoints=np.where(placed.fixed[:, None], placed.keypoints, start + SHIFT),
            box_xyxy=pose.box_xyxy + BOX_SHIFT,
            keypoint_scores=np.where(placed.fixed, 1.0, 0.6),
            visibility_scores=np.full(len(COCO), 0.9),
            instance_score=0.85,
            fixed=placed.fixed,
        )


class FakeImages:
    """Images from a dictionary reference -> (H, W, 3) uint8 pixels; counts the loads."""

    def __init__(self, images: dict[str, np.ndarray]):
        self.images = images
        self.loads = 0

    def load(self, reference: str) -> LoadedImage:
        self.loads += 1
        if reference not in self.images:
            raise ImageError(f"There is no image at {reference!r}")
        pixels = self.images[reference]
        return LoadedImage(pixels, hashlib.sha256(pixels.tobytes()).hexdigest())


def place(region):
    """Return what tells the regions of one image apart."""
    return None if region.prompt_box_xyxy is None else region.prompt_box_xyxy.tolist()


class MemoryRegions:
    """A region store in dictionaries; every region passes through its bytes, as in a real cache."""

    def __init__(self):
        self.hashes: dict[str, str] = {}
        self.sizes: dict[str, tuple[int, int]] = {}
        self.regions: dict[tuple[str, str], list[bytes]] = {}

    def content_hash(self, reference):
        return self.hashes.get(reference)

    def remember(self, reference, content_hash, image_hw):
        self.hashes[reference] = content_hash
        self.sizes[content_hash] = image_hw

    def image_hw(self, content_hash):
        return self.sizes.get(content_hash)

    def outlines(self, content_hash, fingerprint):
        regions = [EncodedRegion.from_bytes(data) for data in self.regions.get((content_hash, fingerprint), [])]
        return [replace(region, features={}) for region in regions]

    def load(self, content_hash, fingerprint, outline):
        kept = [EncodedRegion.from_bytes(data) for data in self.regions.get((content_hash, fingerprint), [])]
        return next((r for r in kept if (r.frame, place(r)) == (outline.frame, place(outline))), None)

    def add(self, content_hash, fingerprint, regions):
        self.regions.setdefault((content_hash, fingerprint), []).extend(region.to_bytes() for region in regions)


def blank_image(height: int = 240, width: int = 320) -> np.ndarray:
    """Return an (H, W, 3) uint8 grey image."""
    return np.full((height, width, 3), 127, np.uint8)
