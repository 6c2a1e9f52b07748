"""The end-to-end network behind the predictor interface: the image is encoded once, everybody in it shares that.

A click runs the human-to-keypoint decoder for the touched person alone, over the cached memory; persons do not see each
other there, so that this is exactly what a run of everybody would give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from clickpose.boxes import box_iou, grow_boxes
from clickpose.calibration.aggregation import visibility_weighted
from clickpose.checks import as_array, check_image
from clickpose.frames import ImageFrame, input_hw
from clickpose.networks.backbone import fold_batch_norm, normalise_pixels
from clickpose.networks.channels_last import channels_last
from clickpose.networks.clickpose import PERSON_CLASS, ClickPose, prepare_clicks
from clickpose.networks.deformable_attention import Memory
from clickpose.networks.keypoint_decoder import PersonReading
from clickpose.predictor import EncodedRegion, PosePredictor, place_clicks, prompt_box, visible_boxes
from clickpose.r50.calibration import calibration_file, load_calibrator
from clickpose.r50.checkpoint import load_network, read_skeleton
from clickpose.r50.onnx import OnnxEngine, checkpoint_in
from clickpose.r50.postprocess import center_to_corners
from clickpose.skeleton import COCO, Skeleton
from clickpose.structures import Clicks, Pose, Poses
from clickpose.weights_io import WeightsError, fingerprint

NO_CONFIDENCE = float(torch.tensor(1.0).sigmoid())  # 0.731, what the published network says of every keypoint
_SAME_PERSON_IOU = 0.3

Calibrator = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Gives predicted OKS (N, K) and visibility (N, K), 0..1, for the normed contents (N, 1 + K, C) of N persons."""


class _People(NamedTuple):
    """N persons in 0..1 of the image: what a reading says, as arrays.

    Attributes:
        keypoints_norm: (N, K, 2).
        boxes_norm: (N, 4) xyxy.
        instance_scores: (N,) probability that it is a person.
        keypoint_scores, visibility_scores: (N, K).
    """

    keypoints_norm: np.ndarray
    boxes_norm: np.ndarray
    instance_scores: np.ndarray
    keypoint_scores: np.ndarray
    visibility_scores: np.ndarray


class R50Predictor(PosePredictor):
    """Click-Pose as published; see :class:`~clickpose.predictor.PosePredictor` for the methods.

    The network has no confidence of a keypoint: without a calibrator every keypoint and visibility score is the
    constant :data:`NO_CONFIDENCE`, and the instance score is the probability of a person, no predicted OKS. With one it
    is that probability times the OKS predicted of a person (Eq. 7 of CCNet), which is what a detection may expect.

    Args:
        network: trained network; its frozen normalisations are folded and its weights packed, in place.
        fingerprint: of the weights.
        skeleton: its joints.
        device: torch device.
        min_score: people whose probability is lower are left out when everybody is asked for.
        half_cache: keep the memory in half precision: half the bytes, coordinates change by a fraction of a pixel.
        calibrator: gives keypoint and visibility scores.
        engine: ONNX Runtime for encoding and for clicks, instead of torch.
        short_side, long_side: bounds of the network input, pixels; None for those that the network is trained for.
    """

    name = "r50"

    def __init__(
        self, network: ClickPose, fingerprint: str, skeleton: Skeleton = COCO, device: str = "cpu",
        *, min_score: float = 0.3, half_cache: bool = False, calibrator: Calibrator | None = None,
        engine: OnnxEngine | None = None, short_side: int | None = None, long_side: int | None = None,
    ):  # fmt: skip
        if network.config.num_keypoints != len(skeleton):
            raise ValueError(f"Expected a network for {len(skeleton)} keypoints, got {network.config.num_keypoints}")
        fold_batch_norm(network.backbone)
        self.device = torch.device(device)
        self.network = channels_last(network.eval(), self.device)
        if self.device.type == "cpu":
            prepare_clicks(self.network)
        self.skeleton = skeleton
        self.fingerprint = f"{fingerprint}-half" if half_cache else fingerprint
        self.min_score, self.half_cache = min_score, half_cache
        self.calibrator, self.engine = calibrator, engine
        self.short_side = short_side or network.config.short_side
        self.long_side = long_side or network.config.long_side

    @classmethod
    def load(
        cls, checkpoint: str | Path | None, device: str = "cpu", threads: int | None = None,
        skeleton: Skeleton | None = None, **options: Any,
    ) -> R50Predictor:  # fmt: skip
        """Load a checkpoint; no weights of this network are shipped.

        Args:
            checkpoint: an official ``.pth`` or our ``.safetensors`` file, or a folder of ``clickpose export``, whose
                graphs then encode and refine on the CPU.
            device: torch device.
            threads: CPU threads of torch (a setting of the whole process) and of ONNX Runtime; None leaves them.
            skeleton: the joints that the checkpoint must have; None for those that our file says, or COCO's.
            options: as for the class; ``calibrator=None`` leaves out the calibration that lies beside the checkpoint.

        Raises:
            WeightsError: if there is no checkpoint, or it is damaged, of another network or for other keypoints; or if
                the calibration beside it (:mod:`clickpose.r50.calibration`) is not for it.
        """
        if checkpoint is None:
            raise WeightsError("Expected a checkpoint for the network r50, got none: its weights are not shipped")
        if Path(checkpoint).is_dir():
            options["engine"] = OnnxEngine(checkpoint, threads)
            checkpoint = checkpoint_in(checkpoint)
        skeleton = skeleton or read_skeleton(checkpoint)
        network, mark = load_network(checkpoint, skeleton), fingerprint(checkpoint)
        calibration = calibration_file(checkpoint)
        if "calibrator" not in options and calibration.exists():
            options["calibrator"] = load_calibrator(calibration, skeleton, mark)
            mark = f"{mark}-calibrated-{fingerprint(calibration)}"
        if threads is not None:
            torch.set_num_threads(threads)
        return cls(network, mark, skeleton, device, **options)

    def detect(self, image: np.ndarray) -> None:
        """Return None: the people are found in the encoded image. See :meth:`PosePredictor.detect`."""
        check_image(image)

    @torch.inference_mode()
    def encode(self, image: np.ndarray, boxes_xyxy: np.ndarray | None) -> list[EncodedRegion]:
        """See :meth:`PosePredictor.encode`; every box gets the same region, which also holds the first pass.

        Raises:
            ValueError: if a box is not finite, has no area, or lies wholly outside the image.
        """
        image = check_image(image)
        if boxes_xyxy is not None:
            visible_boxes(boxes_xyxy, image.shape[:2])
            if not len(boxes_xyxy):
                return []
        memory = self._encode(self.network_input(image))
        people = self._people(self.network.predict(memory))
        tokens = memory.tokens[0].half() if self.half_cache else memory.tokens[0]
        features = {"memory": tokens.cpu().numpy(), "level_hw": np.array(memory.level_hw)} | people._asdict()
        region = EncodedRegion(frame=ImageFrame(*image.shape[:2]), prompt_box_xyxy=None, features=features)
        return [region] if boxes_xyxy is None else [region] * len(boxes_xyxy)

    @torch.inference_mode()
    def decode(self, regions: Sequence[EncodedRegion], boxes_xyxy: np.ndarray | None = None) -> Poses:
        """See :meth:`PosePredictor.decode`; a box enters the network as a human query."""
        if boxes_xyxy is None:
            return Poses.stack(self.skeleton, [pose for region in regions for pose in self._everybody(region)])
        boxes = as_array("boxes_xyxy", boxes_xyxy, (len(regions), 4))
        poses: dict[int, Pose] = {}
        for region in {id(region): region for region in regions}.values():
            rows = [i for i, other in enumerate(regions) if other is region]
            frame = _image(region)
            inside = visible_boxes(boxes[rows], (frame.height, frame.width))
            poses.update(zip(rows, self._prompted(region, inside), strict=True))
        return Poses.stack(self.skeleton, [poses[row] for row in range(len(regions))])

    def covers(self, region: EncodedRegion, pose: Pose) -> bool:
        """Return True: an encoded image holds everybody. See :meth:`PosePredictor.covers`."""
        return True

    @torch.inference_mode()
    def refine_region(self, region: EncodedRegion, pose: Pose, clicks: Clicks) -> Pose:
        """See :meth:`PosePredictor.refine_region`."""
        placed = place_clicks(pose, clicks)
        keypoints = self._with_estimates(region, placed)
        box = grow_boxes(pose.box_xyxy, keypoints)
        reading = self._click(
            region,
            self._tensor(region.frame.to_norm(keypoints))[None, None],
            self._tensor(_corners_to_center(region.frame.to_norm(box.reshape(2, 2)).reshape(4)))[None, None],
            torch.from_numpy(placed.fixed).to(self.device)[None, None],
        )
        refined = self._pose(_image(region), self._people(reading), 0)
        # Held through the decoder in float32 image units; the caller gets the very numbers the human gave.
        exact = np.where(placed.fixed[:, None], placed.keypoints, refined.keypoints)
        box_xyxy = grow_boxes(refined.box_xyxy, exact, placed.fixed)
        # Whoever corrects a person says that there is one: its rank among persons left alone must not fall.
        known = pose.instance_score if placed.fixed.any() else 0.0
        instance_score = max(known, refined.instance_score)
        return Pose(
            skeleton=self.skeleton,
            keypoints=exact,
            box_xyxy=box_xyxy,
            keypoint_scores=np.where(placed.fixed, 1.0, refined.keypoint_scores),
            visibility_scores=np.where(placed.fixed, 1.0, refined.visibility_scores),
            instance_score=instance_score,
            fixed=placed.fixed,
        )

    def network_input(self, image: np.ndarray) -> Tensor:
        """Return the (1, 3, H, W) normalised network input of an (H, W, 3) uint8 RGB photo."""
        height, width = input_hw(image.shape[:2], self.short_side, self.long_side)
        scaled = np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
        pixels = torch.from_numpy(scaled).to(self.device).permute(2, 0, 1)[None]  # channels last
        return normalise_pixels(pixels)

    def _encode(self, pixels: Tensor) -> Memory:
        return self.network.encode(pixels) if self.engine is None else self.engine.encode(pixels)

    def _click(self, region: EncodedRegion, keypoints: Tensor, boxes: Tensor, fixed: Tensor) -> PersonReading:
        memory = self._memory(region)
        if self.engine is not None:
            return self.engine.refine(memory, keypoints, boxes, fixed)
        return self.network.refine(memory, keypoints, boxes, fixed)

    def _memory(self, region: EncodedRegion) -> Memory:
        """Return a region's memory; in half precision it stays so, and the rows that are read become full."""
        level_hw = tuple((int(height), int(width)) for height, width in region.features["level_hw"])
        return Memory(torch.from_numpy(region.features["memory"]).to(self.device)[None], level_hw)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(array, dtype=np.float32)).to(self.device)

    def _people(self, reading: PersonReading) -> _People:
        """Read the first image of a reading."""
        keypoints = reading.keypoints_norm[0].cpu().numpy()
        if self.calibrator is not None:
            scores, visibility = self.calibrator(reading.content[0].cpu().numpy())
        else:
            scores = visibility = np.full(keypoints.shape[:2], NO_CONFIDENCE, np.float32)
        persons = reading.class_logits[0, :, PERSON_CLASS].sigmoid().cpu().numpy()
        return _People(
            keypoints_norm=keypoints,
            boxes_norm=center_to_corners(reading.boxes_norm[0]).cpu().numpy(),
            instance_scores=persons,
            keypoint_scores=scores,
            visibility_scores=visibility,
        )

    def _pose(self, frame: ImageFrame, people: _People, index: int) -> Pose:
        """Return person ``index`` in original pixels."""
        score = people.instance_scores[index]
        if self.calibrator is not None:
            score = score * visibility_weighted(people.keypoint_scores[index], people.visibility_scores[index])
        return Pose(
            skeleton=self.skeleton,
            keypoints=frame.from_norm(people.keypoints_norm[index]),
            box_xyxy=frame.from_norm(people.boxes_norm[index].reshape(2, 2)).reshape(4),
            keypoint_scores=people.keypoint_scores[index],
            visibility_scores=people.visibility_scores[index],
            instance_score=score,
        )

    def _everybody(self, region: EncodedRegion) -> list[Pose]:
        """Return the people of the first pass, best first."""
        people = self._first_pass(region)
        found, frame = np.flatnonzero(people.instance_scores >= self.min_score).tolist(), _image(region)
        return sorted((self._pose(frame, people, i) for i in found), key=lambda pose: -pose.instance_score)

    @staticmethod
    def _first_pass(region: EncodedRegion) -> _People:
        return _People(*(region.features[name] for name in _People._fields))

    def _prompted(self, region: EncodedRegion, boxes_xyxy: np.ndarray) -> list[Pose]:
        """Return the poses of drawn (N, 4) boxes."""
        memory = self._memory(region)
        memory = memory._replace(tokens=memory.tokens.float())
        corners = region.frame.to_norm(boxes_xyxy.reshape(-1, 2, 2)).reshape(-1, 4)
        humans = self.network.prompt_humans(memory, self._tensor(_corners_to_center(corners))[None])
        people = self._people(self.network.decode_humans(memory, humans, same_rank=True))
        return [self._pose(_image(region), people, i) for i in range(len(boxes_xyxy))]

    def _with_estimates(self, region: EncodedRegion, pose: Pose) -> np.ndarray:
        """Return the (K, 2) px keypoints, those without a position from this person's first pass, or from its box."""
        placed = np.isfinite(pose.keypoints).all(axis=1, keepdims=True)
        if placed.all():
            return pose.keypoints
        people = self._first_pass(region)
        boxes = region.frame.from_norm(people.boxes_norm.reshape(-1, 2, 2)).reshape(-1, 4)
        overlaps = box_iou(prompt_box(pose)[None], boxes)[0]
        if overlaps.max(initial=0.0) >= _SAME_PERSON_IOU:
            estimate = self._pose(_image(region), people, int(overlaps.argmax()))
        else:
            (estimate,) = self._prompted(region, prompt_box(pose)[None])
        return np.where(placed, pose.keypoints, estimate.keypoints)


def _image(region: EncodedRegion) -> ImageFrame:
    """Return a region's place, which must be the whole image."""
    if not isinstance(region.frame, ImageFrame):
        raise ValueError("Expected a region that the network r50 encoded, got one that is a person's square")
    return region.frame


def _corners_to_center(boxes_xyxy: np.ndarray) -> np.ndarray:
    """Convert (..., 4) boxes from corners to cx, cy, w, h."""
    low, high = boxes_xyxy[..., :2], boxes_xyxy[..., 2:]
    return np.concatenate([(low + high) / 2, high - low], -1)
