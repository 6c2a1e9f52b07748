"""Another network sees first, lite corrects: both behind the one interface of every pose network.

A region keeps the first pose of its person beside what lite saw of it, so that whoever caches regions caches both, and
no click asks the foreign network again.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from clickpose.boxes import clip_boxes
from clickpose.checks import check_image
from clickpose.first_pose.joining import Join, keep_first
from clickpose.first_pose.joints import FirstPose, in_joints, joint_places
from clickpose.first_pose.network import FirstPoseError, FirstPoseNetwork, FirstPoses
from clickpose.first_pose.whose import of_somebody_else
from clickpose.predictor import EncodedRegion, PosePredictor
from clickpose.structures import Clicks, Pose, Poses

_PREFIX = "first_"
_SMALLEST_SIDE_PX = 1.0  # of a found box inside the image; networks refuse less


class FirstPosePredictor(PosePredictor):
    """Starts from another network's poses and refines them as lite does.

    Args:
        own: the box-prompted network that looks at the same people and moves joints after clicks.
        first: the network of the first poses.
        join: what becomes of the two poses of a person.

    Attributes:
        notes: what was left to ``own`` so far -> how often, a sentence's end each.

    Raises:
        FirstPoseError: if the two share no joint.
    """

    def __init__(self, own: PosePredictor, first: FirstPoseNetwork, join: Join = keep_first):
        self.own, self.first = own.for_strong_starts(), first
        self.name = joined(first.name, own.name)
        how = "" if join is keep_first else f"-{join.__name__}"  # it decides the answers too
        self.fingerprint = joined(first.fingerprint + how, own.fingerprint)
        self.skeleton = own.skeleton
        self.notes: Counter[str] = Counter()
        self._join = join
        self._places = joint_places(first.skeleton, own.skeleton)
        self._turn = threading.Lock()  # nobody knows whether a foreign network may be asked from two threads

    @property
    def refiner(self) -> PosePredictor:
        """See :attr:`PosePredictor.refiner`."""
        return self.own

    def detect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """See :meth:`PosePredictor.detect`: the people whom the first network found, else the detector's."""
        found = self._ask(lambda: self.first.find(image))
        if found is None:
            return self.own.detect(image)
        boxes = clip_boxes(np.nan_to_num(found.extents()), check_image(image).shape[:2])
        inside = found.seen & (boxes[:, 2:] - boxes[:, :2] >= _SMALLEST_SIDE_PX).all(axis=1)
        order = np.flatnonzero(inside)
        order = order[np.argsort(-found.instance_scores[order], kind="stable")]
        return boxes[order], np.clip(found.instance_scores[order], 0, 1)

    def encode(self, image: np.ndarray, boxes_xyxy: np.ndarray | None) -> list[EncodedRegion]:
        """See :meth:`PosePredictor.encode`: lite's look at each person, and the first pose.

        Raises:
            FirstPoseError: if the first network fails on the photo.
        """
        return self.encode_photos([(image, boxes_xyxy)])[0]

    def encode_photos(self, photos: Sequence[tuple[np.ndarray, np.ndarray | None]]) -> list[list[EncodedRegion]]:
        """See :meth:`PosePredictor.encode_photos`; the first network looks at one photo after the other."""
        own = zip(photos, self.own.encode_photos(photos), strict=True)
        seen = [self._with_first(image, regions) for (image, _), regions in own]
        unseen = sum(count for _, count in seen)  # counted once it is known that no photo has to be looked at again
        if unseen:
            self.notes[f"people whom {self.first.name} did not see, posed by {self.own.name}"] += unseen
        return [regions for regions, _ in seen]

    def _with_first(self, image: np.ndarray, regions: list[EncodedRegion]) -> tuple[list[EncodedRegion], int]:
        """Let the first network see the people of one photo's regions; count those whom it does not see."""
        if not regions:
            return regions, 0
        boxes = np.reshape([region.prompt_box_xyxy for region in regions], (-1, 4))  # those inside the image
        poses = self._ask(lambda: self.first.pose(image, boxes))
        assert poses is not None
        if len(poses) != len(boxes):
            raise FirstPoseError(f"Expected {len(boxes)} poses of {self.first.name}, one a box, got {len(poses)}")
        pairs = zip(regions, in_joints(poses, self._places), strict=True)
        return [with_first(region, pose) for region, pose in pairs], int((~poses.seen).sum())

    def _ask(self, question: Callable[[], FirstPoses | None]) -> FirstPoses | None:
        """Ask the first network, one question at a time; what it raises is said with its name."""
        with self._turn:
            try:
                return question()
            except FirstPoseError:
                raise
            except Exception as error:  # of a foreign network: anything
                raise FirstPoseError(f"{self.first.name} failed on this photo: {error}") from error

    def decode(self, regions: Sequence[EncodedRegion], boxes_xyxy: np.ndarray | None = None) -> Poses:
        """See :meth:`PosePredictor.decode`: the first poses, beside which lite looked at the same people.

        The regions are of one photo: a first pose that is of another of them is left out (:mod:`.whose`).
        """
        return self._joined(regions, self.own.decode(regions, boxes_xyxy))

    def decode_photos(self, photos: Sequence[tuple[Sequence[EncodedRegion], np.ndarray | None]]) -> list[Poses]:
        """See :meth:`PosePredictor.decode_photos`."""
        own = self.own.decode_photos(photos)
        return [self._joined(regions, poses) for (regions, _), poses in zip(photos, own, strict=True)]

    def _joined(self, regions: Sequence[EncodedRegion], own: Poses) -> Poses:
        """Join the first poses of one photo's people with lite's."""
        firsts = [first_of(region) for region in regions]
        others = of_somebody_else(firsts, own)
        if others.any():
            what = f"people in whose boxes {self.first.name} posed somebody else, posed by {self.own.name}"
            self.notes[what] += int(others.sum())
        pairs = zip(firsts, own, others, strict=True)
        return Poses.stack(
            self.skeleton,
            [pose if first is None or other else self._join(first, pose) for first, pose, other in pairs],
        )

    def covers(self, region: EncodedRegion, pose: Pose) -> bool:
        """See :meth:`PosePredictor.covers`."""
        return self.own.covers(region, pose)

    def refine_region(self, region: EncodedRegion, pose: Pose, clicks: Clicks) -> Pose:
        """See :meth:`PosePredictor.refine_region`: lite's, from the pose as it is."""
        return self.own.refine_region(region, pose, clicks)

    def standalone_decoder(self) -> bytes | None:
        """See :meth:`PosePredictor.standalone_decoder`."""
        return self.own.standalone_decoder()

    def standalone_inputs(self, region: EncodedRegion) -> dict[str, np.ndarray]:
        """See :meth:`PosePredictor.standalone_inputs`."""
        features = {name: array for name, array in region.features.items() if not name.startswith(_PREFIX)}
        return self.own.standalone_inputs(replace(region, features=features))


def joined(first: str, own: str) -> str:
    """Name what was made by two networks, such as ``"movenet+lite"``; :func:`refining_part` takes it apart."""
    return f"{first.replace('+', '-')}+{own}"


def refining_part(name: str) -> str:
    """Return the part of a name or fingerprint that refines, such as ``"lite"`` of ``"movenet+lite"``."""
    return name.rpartition("+")[2]


def with_first(region: EncodedRegion, first: FirstPose) -> EncodedRegion:
    """Return a region that keeps the first pose of its person."""
    kept = {
        "keypoints": first.keypoints,
        "scores": first.scores,
        "visibility": first.visibility_scores,
        "instance": np.array([first.instance_score]),
    }
    return replace(region, features=region.features | {_PREFIX + name: array for name, array in kept.items()})


def first_of(region: EncodedRegion) -> FirstPose | None:
    """Return the first pose that a region keeps; None where it keeps none."""
    kept = {name.removeprefix(_PREFIX): a for name, a in region.features.items() if name.startswith(_PREFIX)}
    if not kept:
        return None
    return FirstPose(kept["keypoints"], kept["scores"], kept["visibility"], float(kept["instance"][0]))


def notes_of(predictor: object) -> Counter[str]:
    """Return what a predictor has left to lite so far -> how often; nothing for one without first poses."""
    return Counter(getattr(predictor, "notes", ()))
