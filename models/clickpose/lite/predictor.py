"""The lite network behind the predictor interface: crops in, poses out, clicks held exactly."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from clickpose.boxes import grow_boxes
from clickpose.checks import check_image
from clickpose.data.crops import frame_matrix, warp_pixels
from clickpose.detector import PersonDetector
from clickpose.frames import CropFrame
from clickpose.lite.calibration import LiteScores, ScoreReader, find_calibration, load_score_reader, raw_scores
from clickpose.lite.encoder_graph import Encoder, encoder_of, torch_encoder
from clickpose.lite.mirrored_views import VIEWS, FlipTestLite, OwnPerson, PairedPerson
from clickpose.lite.strong_start import hold_start
from clickpose.lite.two_kinds import mark_of, with_known_kind
from clickpose.lite.weights import load_lite, read_skeleton
from clickpose.networks.channels_last import channels_last
from clickpose.networks.lite import LiteNetwork
from clickpose.networks.lite_decoder import DecoderOutput, EncodedPerson, PoseQueries
from clickpose.predictor import EncodedRegion, PosePredictor, place_clicks, prompt_box, visible_boxes
from clickpose.skeleton import COCO, Skeleton
from clickpose.structures import Clicks, Pose, Poses
from clickpose.weights_io import WEIGHTS_FOLDER, fingerprint, verify_checksum

logger = logging.getLogger(__name__)

Row = TypeVar("Row")

DEFAULT_FILE = WEIGHTS_FOLDER / "lite.safetensors"
_BATCH = 8  # people
_CPU_ENCODE_BATCH = 4  # the maps of more are so large that the system takes their memory back each time
_NOT_MADE = b""  # in place of a decoder that nobody has asked for yet
CLICK_BORDER = 0.02  # a click nearer to the crop's edge than this share of its side is better seen in a new crop


class _Wanted(NamedTuple):
    """Somebody to encode: the photo (H, W, 3), the square in it, the box (4,) px."""

    photo: np.ndarray
    frame: CropFrame
    box_xyxy: np.ndarray


class LitePredictor(PosePredictor):
    """Box-prompted Click-Pose for a CPU; see :class:`~clickpose.predictor.PosePredictor` for the methods.

    Args:
        network: trained network, with a flip test or without.
        detector: finds the people when no boxes are given.
        fingerprint: of the weights, and of what else decides the network's answers.
        device: torch device.
        read_scores: turns a decoding into keypoint scores and visibilities; the network's own, or calibrated ones.
        skeleton: the joints that the network was made for.
        encoder: what runs its costly part; None for torch.
        strong_starts: whether poses come from another network, so that a click weighs what lite sees with where a joint
            was (:mod:`clickpose.lite.strong_start`).
    """

    name = "lite"

    def __init__(
        self,
        network: LiteNetwork | FlipTestLite,
        detector: PersonDetector,
        fingerprint: str,
        device: str = "cpu",
        read_scores: ScoreReader = raw_scores,
        skeleton: Skeleton = COCO,
        encoder: Encoder | None = None,
        strong_starts: bool = False,
    ):
        self.device = torch.device(device)
        self.network = channels_last(network.eval(), self.device)
        self.encoder = encoder or torch_encoder(self.network)
        self.detector = detector
        self.fingerprint = fingerprint
        self.read_scores = read_scores
        self.skeleton = skeleton
        self.strong_starts = strong_starts
        self.sigmas = torch.tensor(skeleton.sigmas, dtype=torch.float32, device=self.device)
        self._decoder: bytes | None = _NOT_MADE
        self._making_decoder = threading.Lock()

    @classmethod
    def load(
        cls,
        checkpoint: str | Path | None = None,
        device: str = "cpu",
        threads: int | None = None,
        flip_test: bool = True,
    ) -> LitePredictor:
        """Load the shipped weights, checked against their checksum, or others, with their calibration if it lies beside
        them (:mod:`clickpose.lite.calibration`).

        Args:
            checkpoint: a ``.safetensors`` file that ``clickpose train`` wrote; None for the shipped one.
            device: torch device.
            threads: CPU threads of torch, a setting of the whole process; None leaves them. ONNX Runtime, which finds
                the people and encodes them on a CPU, takes as many.
            flip_test: see each person mirrored as well (:mod:`clickpose.lite.mirrored_views`): better poses and scores,
                for twice the time of the network. ``clickpose calibrate network`` fits calibrations for it; without it
                they are refused.

        Raises:
            WeightsError: if the file is missing, damaged, or not of this network; or the calibration beside it is
                damaged or was fitted for other weights.
        """
        path = Path(checkpoint) if checkpoint is not None else DEFAULT_FILE
        network, skeleton, mark = load_network(path, flip_test), read_skeleton(path), network_mark(path, flip_test)
        if threads is not None:
            torch.set_num_threads(threads)
        calibration = find_calibration(path)
        read_scores: ScoreReader = raw_scores
        if calibration is not None:
            if path == DEFAULT_FILE:
                verify_checksum(calibration)
            read_scores, _ = load_score_reader(calibration, skeleton, mark, device)
        threads = torch.get_num_threads()
        detector, encoder = (
            PersonDetector.load(threads=threads),
            encoder_of(network, fingerprint(path), device, threads),
        )
        return cls(network, detector, mark, device, read_scores, skeleton, encoder)

    def with_scores(self, read_scores: ScoreReader) -> LitePredictor:
        """Return a predictor that reads its scores otherwise; it shares all else."""
        return self._variant(read_scores, self.strong_starts)

    def for_strong_starts(self) -> LitePredictor:
        """See :meth:`PosePredictor.for_strong_starts`; it shares the network."""
        return self._variant(self.read_scores, True)

    def _variant(self, read_scores: ScoreReader, strong_starts: bool) -> LitePredictor:
        return LitePredictor(
            self.network, self.detector, self.fingerprint, str(self.device), read_scores, self.skeleton, self.encoder,
            strong_starts,
        )  # fmt: skip

    def detect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`PosePredictor.detect`."""
        return self.detector.detect(image)

    def encode(self, image: np.ndarray, boxes_xyxy: np.ndarray | None) -> list[EncodedRegion]:
        """See :meth:`PosePredictor.encode`. The part of a box outside the image is cut off first.

        Raises:
            ValueError: if a box is not finite, has no area, or lies wholly outside the image.
        """
        return self.encode_photos([(image, boxes_xyxy)])[0]

    @torch.inference_mode()
    def encode_photos(self, photos: Sequence[tuple[np.ndarray, np.ndarray | None]]) -> list[list[EncodedRegion]]:
        """See :meth:`PosePredictor.encode_photos`; raises as :meth:`encode`."""
        wanted = [person for image, boxes in photos for person in self._wanted(image, boxes)]
        regions: list[EncodedRegion] = []
        batch = _CPU_ENCODE_BATCH if self.device.type == "cpu" else _BATCH
        for start in range(0, len(wanted), batch):
            regions += self._encode_batch(wanted[start : start + batch])
        return _in_parts(regions, [len(boxes) for _, boxes in photos if boxes is not None])

    def _wanted(self, image: np.ndarray, boxes_xyxy: np.ndarray | None) -> list[_Wanted]:
        image = check_image(image)
        if boxes_xyxy is None:
            raise ValueError("Expected boxes_xyxy of the people, whom the network lite sees one by one, got none")
        boxes = visible_boxes(boxes_xyxy, image.shape[:2])
        side = self.network.config.input_side
        return [_Wanted(image, CropFrame.around_box(box, side), box) for box in boxes]

    def _encode_batch(self, people: Sequence[_Wanted]) -> list[EncodedRegion]:
        side = self.network.config.input_side
        crops = np.stack([warp_pixels(photo, frame_matrix(frame), side) for photo, frame, _ in people])
        image = torch.from_numpy(crops).to(self.device).permute(0, 3, 1, 2)  # channels last in memory
        prompts = np.stack([_box_to_norm(frame, box) for _, frame, box in people])
        person = self.encoder(image, self._tensor(prompts))
        views = person.views if isinstance(person, PairedPerson) else person
        arrays = {f"map{level}": feature.half() for level, feature in enumerate(views.maps)}
        arrays |= {name: getattr(views, name).float() for name in _SMALL_FIELDS}
        by_person = {name: array.unflatten(0, (len(people), -1)).cpu().numpy() for name, array in arrays.items()}
        return [
            EncodedRegion(
                frame=frame, prompt_box_xyxy=box, features={name: array[i].copy() for name, array in by_person.items()}
            )
            for i, (_, frame, box) in enumerate(people)
        ]

    @torch.inference_mode()
    def decode(self, regions: Sequence[EncodedRegion], boxes_xyxy: np.ndarray | None = None) -> Poses:
        """See :meth:`PosePredictor.decode`; each region knows its box."""
        poses = []
        for start in range(0, len(regions), _BATCH):
            chosen = regions[start : start + _BATCH]
            person = self._person(chosen)
            queries = self.network.initial_queries(person)
            output = self.network.decode(person, queries)
            fixed = queries.fixed.cpu().numpy()
            scores = self.read_scores(output)
            poses += [self._pose(_square(region), output, scores, i, fixed[i, 0]) for i, region in enumerate(chosen)]
        return Poses.stack(self.skeleton, poses)

    def decode_photos(self, photos: Sequence[tuple[Sequence[EncodedRegion], np.ndarray | None]]) -> list[Poses]:
        """See :meth:`PosePredictor.decode_photos`."""
        poses = list(self.decode([region for regions, _ in photos for region in regions]))
        return [Poses.stack(self.skeleton, part) for part in _in_parts(poses, [len(regions) for regions, _ in photos])]

    def covers(self, region: EncodedRegion, pose: Pose) -> bool:
        """See :meth:`PosePredictor.covers`: the person's box centre and every fixed joint must be well inside."""
        center = (pose.box_xyxy[:2] + pose.box_xyxy[2:]) / 2
        return _square(region).contains(np.vstack([center, pose.keypoints[pose.fixed]]), CLICK_BORDER)

    @torch.inference_mode()
    def refine_region(self, region: EncodedRegion, pose: Pose, clicks: Clicks) -> Pose:
        """See :meth:`PosePredictor.refine_region`."""
        placed = place_clicks(pose, clicks)
        person, frame = self._person([region]), _square(region)
        keypoints = self._tensor(frame.to_norm(placed.keypoints))[None]
        fixed = torch.from_numpy(placed.fixed).to(self.device)[None, None]
        box = self._tensor(_box_to_norm(frame, prompt_box(placed)))[None, None]
        output = self.network.decode(person, PoseQueries(keypoints[:, None], fixed, box))
        if self.strong_starts:
            output = hold_start(output, keypoints[:, None], self.sigmas)
        refined = self._pose(frame, output, self.read_scores(output), 0, placed.fixed)
        # Held through the decoder in float32 crop units; the caller gets the very numbers the human gave.
        exact = np.where(placed.fixed[:, None], placed.keypoints, refined.keypoints)
        box_xyxy = grow_boxes(refined.box_xyxy, exact, placed.fixed)
        return replace(refined, keypoints=exact, box_xyxy=box_xyxy, fixed=placed.fixed)

    def standalone_decoder(self) -> bytes | None:
        """See :meth:`PosePredictor.standalone_decoder`; None for scores that are calibrated by a curve.

        That of the shipped weights is shipped; another one is made, in a second or two, and kept.
        """
        with self._making_decoder:
            if self._decoder is _NOT_MADE:
                self._decoder = self._make_decoder()
            return self._decoder

    def _make_decoder(self) -> bytes | None:
        from clickpose.lite.decoder_export import decoder_file, export_decoder, read_fingerprint

        shipped = decoder_file(DEFAULT_FILE)
        try:
            is_plain = self.read_scores is raw_scores and not self.strong_starts
            if is_plain and shipped.exists() and read_fingerprint(shipped) == self.fingerprint:
                verify_checksum(shipped)
                return shipped.read_bytes()
            return export_decoder(self)
        except Exception:  # PyTorch's exporter changes from release to release: edits are then answered here
            logger.warning("This network's decoder cannot be had apart", exc_info=True)
            return None

    def standalone_inputs(self, region: EncodedRegion) -> dict[str, np.ndarray]:
        """See :meth:`PosePredictor.standalone_inputs`: the features, ``square`` (3,) and ``asked_box`` (4,)."""
        frame, box = _square(region), region.prompt_box_xyxy
        features = {name: array for name, array in region.features.items() if name != "prompt_norm"}
        return features | {"square": np.array([*frame.origin, frame.side]), "asked_box": np.asarray(box, float)}

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(array, dtype=np.float32)).to(self.device)

    def _person(self, regions: Sequence[EncodedRegion]) -> OwnPerson:
        """Rebuild the decoder's input from cached regions.

        Raises:
            ValueError: for a region that was encoded with a flip test where there is none, or the other way round.
        """
        wanted = VIEWS if isinstance(self.network, FlipTestLite) else 1
        for region in regions:
            count = len(region.features["prompt_norm"])
            if count != wanted:
                many = "1 view" if wanted == 1 else f"{wanted} views"
                raise ValueError(f"Expected regions with {many} of a person, got one with {count}: encode them again")
        fields = {name: self._rows(regions, name) for name in _SMALL_FIELDS}
        levels = len(self.network.config.decoder.level_channels)
        views = EncodedPerson(maps=tuple(self._rows(regions, f"map{level}") for level in range(levels)), **fields)
        return PairedPerson.of_views(views) if isinstance(self.network, FlipTestLite) else views

    def _rows(self, regions: Sequence[EncodedRegion], name: str) -> Tensor:
        """Return a feature of all views of all regions, the views of a region one after the other."""
        return torch.cat([torch.from_numpy(region.features[name]) for region in regions]).to(self.device).float()

    def _pose(self, frame: CropFrame, output: DecoderOutput, read: LiteScores, index: int, fixed: np.ndarray) -> Pose:
        """Read person ``index`` (variant 0) of a decoder output, in original pixels, with its scores."""
        keypoints = frame.from_norm(output.keypoints_norm[-1, index, 0].cpu().numpy())
        low, high = frame.from_norm(output.boxes_norm[-1, index, 0].cpu().numpy().reshape(2, 2))
        scores = np.where(fixed, 1.0, read.keypoints[index, 0])
        visibility = np.where(fixed, 1.0, read.visibility[index, 0])
        instance = float((scores * visibility).sum() / max(visibility.sum(), 1e-9))  # CCNet: sum v s / sum v
        return Pose(
            skeleton=self.skeleton,
            keypoints=keypoints,
            box_xyxy=np.concatenate([low, high]),
            keypoint_scores=scores,
            visibility_scores=visibility,
            instance_score=instance,
            fixed=fixed,
        )


def _in_parts(rows: Sequence[Row], counts: Sequence[int]) -> list[list[Row]]:
    """Take a list apart again: the first ``counts[0]`` rows, those after them, and so on."""
    remaining = iter(rows)
    return [list(islice(remaining, count)) for count in counts]


def _square(region: EncodedRegion) -> CropFrame:
    """Return a region's place, which must be one person's square."""
    if not isinstance(region.frame, CropFrame):
        raise ValueError("Expected a region that the network lite encoded, got one that is a whole image")
    return region.frame


def load_network(path: Path, flip_test: bool = True) -> LiteNetwork | FlipTestLite:
    """Load the network alone, without detector and calibration; the shipped file is checked against its checksum.

    One that was trained for a kind of photos sees all others as it did before (:mod:`clickpose.lite.two_kinds`).

    Args:
        path: weights.
        flip_test: whether it sees each person mirrored as well.

    Raises:
        WeightsError: if the file is missing, damaged, or not of this network.
    """
    if path == DEFAULT_FILE:
        verify_checksum(path)
    network = with_known_kind(path, load_lite(path)[0])
    return (FlipTestLite(network, read_skeleton(path)) if flip_test else network).eval()


def network_mark(path: Path, flip_test: bool = True) -> str:
    """Return what identifies the answers of :func:`load_network`'s network: cached features and calibrations of one
    with a flip test do not suit one without."""
    return mark_of(path) + ("-flip" if flip_test else "")


_SMALL_FIELDS = ("candidates_norm", "candidate_scores", "initial_norm", "prompt_norm")


def _box_to_norm(frame: CropFrame, box_xyxy: np.ndarray) -> np.ndarray:
    return frame.to_norm(box_xyxy.reshape(2, 2)).reshape(4)
