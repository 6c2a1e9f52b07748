"""Measure a pose network with simulated clicks as the paper does, image by image, through the common interface.

C_n is COCO's AP in percent after every found person got n clicks, the figure of pycocotools for these poses: over all
images, crowds and other ignored people neither right nor wrong, at most 20 poses an image. NoC@t is how many clicks a
person it takes until the AP of an image, or the OKS of a person, is t (Click-Pose, Sec. 4.1). Where people are
detected, a person whom the detector misses gets no pose and no click: such persons are counted apart and lower every
C_n, as false people do, in photos without people too. What share of single persons is right is another figure: S_n, see
:mod:`clickpose.metrics.clicks`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from clickpose.boxes import match_boxes
from clickpose.clicks.click_protocol import (
    ClickProtocol,
    LabelledPeople,
    PersonChance,
    PlacedJoints,
    SimulatedAnnotator,
    View,
)
from clickpose.data.photo_files import read_pixels
from clickpose.data.records import ImageRecord, PersonRecord, PoseDataset
from clickpose.metrics.average_precision import (
    MAX_DETECTIONS,
    average_precision_by_part,
    evaluate_keypoints,
    make_engine,
)
from clickpose.metrics.clicks import CLICK_CAP, ClickCurve
from clickpose.metrics.inputs import as_ids, sorted_ids
from clickpose.metrics.keypoint_sets import KeypointPredictions, KeypointTruth
from clickpose.metrics.oks import oks
from clickpose.metrics.pck import MPII_NOT_COUNTED, pck
from clickpose.named_image import named_image
from clickpose.predictor import PosePredictor, place_clicks
from clickpose.skeleton import Skeleton
from clickpose.structures import Clicks, Pose, Poses

Refine = Callable[[Pose, Clicks], Pose]
Progress = Callable[[Sequence[ImageRecord]], Iterable[ImageRecord]]
FirstPoses = Callable[[ImageRecord, list[PersonRecord]], Poses]
MATCH_IOU = 0.3
REASONS = (
    f"more than {MAX_DETECTIONS} people, of whom COCO's AP counts {MAX_DETECTIONS}",
    "missed people",
    "false people",
    "too few clicks",
)
"""Why an image's AP may not reach a target, in the order in which they are looked for."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ClickedPoses:
    """The poses of P predicted people over 0, 1, …, C clicks a person.

    Attributes:
        dataset: what was evaluated, with the joints that were compared.
        keypoints: (1 + C, P, K, 2) px, K joints of the data set.
        scores: (1 + C, P) instance scores.
        image_ids: P ids.
        persons: (P,) index into ``dataset.persons`` of whom a pose was taken for; -1 for nobody.
        category_ids: P ids, where the data set has several categories of people; None for one.
    """

    dataset: PoseDataset
    keypoints: np.ndarray
    scores: np.ndarray
    image_ids: list[Hashable]
    persons: np.ndarray
    category_ids: list[Hashable] | None = None

    @property
    def clicks(self) -> int:
        """Most clicks a person."""
        return len(self.keypoints) - 1

    @property
    def missed(self) -> int:
        """Persons of the data set without a pose."""
        return len(self.dataset.persons) - int((self.persons >= 0).sum())

    @cached_property
    def truth(self) -> KeypointTruth:
        """The annotated persons as arrays; of one category where the poses are."""
        truth = self.dataset.truth()
        return truth if self.category_ids is not None else replace(truth, category_ids=np.ones(len(truth), int))

    def predictions(self, clicks: int) -> KeypointPredictions:
        """Return the poses after ``clicks`` clicks a person; joints that are not placed at 0, 0, as COCO takes them."""
        n, count = min(clicks, self.clicks), len(self.image_ids)
        return KeypointPredictions(
            keypoints=np.nan_to_num(self.keypoints[n]),
            scores=self.scores[n],
            image_ids=as_ids("image_ids", self.image_ids, count),
            category_ids=as_ids("category_ids", [1] * count if self.category_ids is None else self.category_ids, count),
        )

    def average_precision(self, clicks: int, image_ids: Iterable[Hashable] | None = None) -> float:
        """Return C_n in percent, COCO's AP over all images or those given; NaN where nobody is to be found."""
        everywhere = {*(image.image_id for image in self.dataset.images), *self.dataset.unsized_ids}
        ids = list(everywhere if image_ids is None else everywhere & set(image_ids))
        sigmas = self.dataset.skeleton.sigma_array
        return 100 * evaluate_keypoints(self.truth, self.predictions(clicks), sigmas, ids).figures["AP"]

    def person_curve(self) -> ClickCurve:
        """Return OKS over clicks of the persons that were found, in the order of the poses."""
        found = np.flatnonzero(self.persons >= 0)
        records = [self.dataset.persons[i] for i in self.persons[found]]
        joints = len(self.dataset.skeleton)
        truth = np.reshape([r.keypoints for r in records], (-1, joints, 2))
        labelled = np.reshape([r.labelled for r in records], (-1, joints))
        area = np.array([r.area for r in records], dtype=np.float64)
        sigmas = self.dataset.skeleton.sigma_array
        return ClickCurve(np.stack([oks(k[found], truth, area, sigmas, labelled) for k in self.keypoints], axis=1))

    def part_precision(self, clicks: int) -> dict[str, float]:
        """Return AP in percent after ``clicks`` clicks by part of the body, and ``"whole"`` (COCO-WholeBody)."""
        skeleton = self.dataset.skeleton
        figures = average_precision_by_part(self.truth, self.predictions(clicks), skeleton.sigma_array, skeleton.parts)
        return {part: 100 * values["AP"] for part, values in figures.items()}

    def pckh(self, clicks: int, threshold: float = 0.5) -> float:
        """Return PCKh@threshold in percent after ``clicks`` clicks, over persons with a head size (MPII).

        The joints of a missed person are wrong.
        """
        skeleton, measured = self.dataset.skeleton, [i for i, p in enumerate(self.dataset.persons) if p.head_size]
        records = [self.dataset.persons[i] for i in measured]
        keypoints = np.full((len(self.dataset.persons), len(skeleton), 2), np.nan)
        found = self.persons >= 0
        keypoints[self.persons[found]] = self.keypoints[min(clicks, self.clicks)][found]
        not_counted = [joint for joint, name in enumerate(skeleton.names) if name in MPII_NOT_COUNTED]
        figures = pck(
            keypoints[measured], np.reshape([r.keypoints for r in records], (-1, len(skeleton), 2)),
            np.reshape([r.visibility for r in records], (-1, len(skeleton))),
            np.array([r.head_size for r in records], float),
            threshold, not_counted,
        )  # fmt: skip
        return 100 * figures.mean

    def image_clicks(self, targets: Iterable[float], cap: int = CLICK_CAP) -> dict[float, float]:
        """Return NoC@target by image: the mean number of rounds, one click for every found person each, until the
        image's own AP reaches the target; ``cap`` for an image that never gets there, NaN without images."""
        ids = self.image_ids_with_people
        reached = {target: np.full(len(ids), float(cap)) for target in targets}
        best = min(self.clicks, cap)
        for n in range(best, -1, -1):
            precision = self._image_precisions(n)
            for target, rounds in reached.items():
                # from the last round down: what stays is the first round that reaches the target
                rounds[precision >= target - 1e-9] = n
        return {target: float(rounds.mean()) if len(ids) else float("nan") for target, rounds in reached.items()}

    def unreached_images(self, target: float, cap: int = CLICK_CAP) -> Counter[str]:
        """Count the images whose AP does not reach ``target`` in ``cap`` rounds, by what keeps it from it.

        Returns:
            how many, by the first of :data:`REASONS` that holds.
        """
        best = np.max([self._image_precisions(n) for n in range(min(self.clicks, cap) + 1)], axis=0)
        short = [id_ for id_, ap in zip(self.image_ids_with_people, best, strict=True) if ap < target - 1e-9]
        wanted = Counter(self.truth.image_ids[~self.truth.ignored].tolist())
        found = {index for index in self.persons.tolist() if index >= 0}
        missed = {person.image_id for i, person in enumerate(self.dataset.persons) if i not in found}
        false = {id_ for id_, person in zip(self.image_ids, self.persons.tolist(), strict=True) if person < 0}
        tests = (lambda id_: wanted[id_] > MAX_DETECTIONS, missed.__contains__, false.__contains__, lambda id_: True)
        return Counter(next(reason for reason, test in zip(REASONS, tests, strict=True) if test(id_)) for id_ in short)

    @cached_property
    def image_ids_with_people(self) -> list[Hashable]:
        """The images of which NoC is the mean."""
        return sorted_ids(person.image_id for person in self.dataset.persons)

    def _image_precisions(self, clicks: int) -> np.ndarray:
        ids, sigmas = self.image_ids_with_people, self.dataset.skeleton.sigma_array
        engine = make_engine(self.truth, self.predictions(clicks), sigmas, ids, keep_images=True)
        if engine is None:  # there is nobody to find
            return np.empty(0)
        return np.array([engine.figures_of(np.array([number]))[0] for number in range(len(ids))])


def evaluate_predictor(
    predictor: PosePredictor,
    dataset: PoseDataset,
    protocol: ClickProtocol,
    detect: bool = False,
    progress: Progress = iter,
) -> dict[str, ClickedPoses]:
    """Simulate clicks with a network.

    Args:
        predictor: the network; joints that it and the data set share are compared and clicked.
        dataset: the annotated photos.
        protocol: the annotator.
        detect: find the people with the network's detector; otherwise start from ground-truth boxes.
        progress: wraps the list of photos, such as ``tqdm.tqdm``.

    Returns:
        ``"manual"``: a click moves nothing but its joint; ``"refined"``: the network moves the rest.

    Raises:
        ValueError: if network and data set have no joint in common, or a photo cannot be read.
    """
    dataset, columns = shared_joints(dataset, predictor.skeleton)

    def first_poses(image: ImageRecord, people: list[PersonRecord]) -> Poses:
        predictor.set_image(named_image(read_pixels(image), image.path.as_posix()))
        return predictor.predict(None if detect else np.reshape([p.box_xyxy for p in people], (-1, 4)))

    def refine(pose: Pose, clicks: Clicks) -> Pose:
        names = predictor.skeleton.names
        return predictor.refine(pose, {names[joint]: clicks.positions[joint] for joint in np.flatnonzero(clicks.mask)})

    simulation = _Simulation(dataset, predictor.skeleton, columns, protocol)
    return simulation.run(first_poses, {"manual": correct_by_hand, "refined": refine}, not detect, progress)


def evaluate_poses(
    dataset: PoseDataset,
    poses: Mapping[Hashable, Poses],
    protocol: ClickProtocol,
    category_ids: Mapping[Hashable, Sequence[Hashable]] | None = None,
) -> ClickedPoses:
    """Simulate clicks on any model's results, a click moving nothing but its joint: the manual baseline.

    Args:
        dataset: the annotated photos.
        poses: by image id; images without an entry have none.
        protocol: the annotator.
        category_ids: of the poses, by image id, where the data set has several categories of people; by default that of
            the person whom a pose is taken for.
    """
    skeleton = next((found.skeleton for found in poses.values()), dataset.skeleton)
    dataset, columns = shared_joints(dataset, skeleton)
    nobody = Poses.stack(skeleton, [])
    simulation = _Simulation(dataset, skeleton, columns, protocol)

    def first_poses(image: ImageRecord, people: list[PersonRecord]) -> Poses:
        return poses.get(image.image_id, nobody)

    unsized = [ImageRecord(id_, Path(), (0, 0)) for id_ in dataset.unsized_ids]  # which nobody looks at
    photos = [*dataset.images, *unsized]
    clicked = simulation.run(first_poses, {"manual": correct_by_hand}, False, iter, photos)["manual"]
    if category_ids is None or clicked.category_ids is None:
        return clicked
    given = [id_ for image in photos for id_ in category_ids.get(image.image_id, ())]
    return replace(clicked, category_ids=given)


def correct_by_hand(pose: Pose, clicks: Clicks) -> Pose:
    """Move the clicked joints and nothing else; they count as certain, and the person's score rises in proportion."""
    placed = place_clicks(pose, clicks)
    scores = np.where(clicks.mask, np.maximum(pose.keypoint_scores, 1.0), pose.keypoint_scores)
    before = pose.keypoint_scores.mean()
    rise = scores.mean() / before if before > 0 else 1.0
    score = pose.instance_score
    return replace(placed, keypoint_scores=scores, instance_score=score * rise if score >= 0 else score / rise)


def shared_joints(dataset: PoseDataset, skeleton: Skeleton) -> tuple[PoseDataset, list[int]]:
    """Reduce a data set to the joints that ``skeleton`` has too.

    Returns:
        the data set, and for each of its joints the place in ``skeleton``.

    Raises:
        ValueError: if there is none.
    """
    places = [skeleton.match(name) for name in dataset.skeleton.names]
    shared = {joint: place for joint, place in enumerate(places) if place is not None}
    if not shared:
        theirs = ", ".join(dataset.skeleton.names)
        raise ValueError(f"Expected joints of {dataset.name} among {', '.join(skeleton.names)}, got {theirs}")
    return dataset.with_joints(list(shared)), list(shared.values())


def match_people(boxes_xyxy: np.ndarray, people: list[PersonRecord]) -> np.ndarray:
    """Return for each of (P, 4) predicted boxes the index of the person it is taken for, -1 for nobody.

    The pair of largest overlap first (IoU of at least :data:`MATCH_IOU`), each box and person once: how an annotator
    would tell whose skeleton it is. A person left over was missed.
    """
    return match_boxes(boxes_xyxy, np.reshape([person.box_xyxy for person in people], (-1, 4)), MATCH_IOU)


@dataclass(frozen=True, eq=False)
class _Simulation:
    """What stays the same over the photos: ``columns`` are the places of the data set's joints in ``skeleton``."""

    dataset: PoseDataset
    skeleton: Skeleton
    columns: list[int]
    protocol: ClickProtocol

    def run(
        self,
        first_poses: FirstPoses,
        corrections: Mapping[str, Refine],
        in_order: bool,
        progress: Progress,
        photos: Sequence[ImageRecord] | None = None,
    ) -> dict[str, ClickedPoses]:
        """Click through the photos, by default all of the data set.

        Args:
            first_poses: returns the poses of a photo.
            corrections: ways to correct one, by name.
            in_order: the poses are those of the people, one each; photos without people then have none.
            progress: wraps the list of photos.
            photos: which.
        """
        states: dict[str, list[list[Pose]]] = {name: [] for name in corrections}
        image_ids: list[Hashable] = []
        persons: list[int] = []
        people_of = self.dataset.persons_by_image()
        for number, image in enumerate(progress(self.dataset.images if photos is None else photos)):
            indices = people_of.get(image.image_id, [])
            if in_order and not indices:
                continue
            people = [self.dataset.persons[i] for i in indices]
            poses = first_poses(image, people)
            matches = np.arange(len(people)) if in_order else match_people(poses.boxes_xyxy, people)
            for i, pose in enumerate(poses):
                truth = people[matches[i]] if matches[i] >= 0 else None
                for name, correct in corrections.items():
                    states[name].append(self._states(pose, truth, correct, [self.protocol.seed, number, i]))
            image_ids += [image.image_id] * len(poses)
            persons += [indices[match] if match >= 0 else -1 for match in matches]
        matched = np.array(persons, dtype=int)
        categories = self._categories(matched)
        clicked = {}
        for name, rows in states.items():
            keypoints, scores = self._stack(rows)
            clicked[name] = ClickedPoses(
                dataset=self.dataset,
                keypoints=keypoints,
                scores=scores,
                image_ids=image_ids,
                persons=matched,
                category_ids=categories,
            )
        return clicked

    def _categories(self, persons: np.ndarray) -> list[Hashable] | None:
        """Return the category of whom each pose is taken for; for nobody's the first one. None where there is one."""
        ids = self.dataset.category_ids
        if len(ids) < 2:
            return None
        return [self.dataset.persons[i].category_id if i >= 0 else ids[0] for i in persons.tolist()]

    def _states(self, pose: Pose, truth: PersonRecord | None, correct: Refine, chance: list[int]) -> list[Pose]:
        """Return the pose after 0, 1, … clicks; it repeats when nothing is left to click."""
        if truth is None:
            return [pose] * (1 + self.protocol.clicks)
        skeleton, people = self.dataset.skeleton, _labelled_person(truth)
        annotator = SimulatedAnnotator(
            self.protocol, people, skeleton, PersonChance(chance, tuple(people.keypoints.shape))
        )
        return [pose, *annotator.rounds(pose, self._look, lambda state, placed: correct(state, self._clicks(placed)))]

    def _look(self, pose: Pose) -> View:
        """Return a pose as the annotator sees it: the data set's joints."""
        parts = (pose.keypoints, pose.keypoint_scores, pose.fixed)
        return View(*(torch.from_numpy(np.asarray(part)[self.columns])[None] for part in parts))

    def _clicks(self, placed: PlacedJoints) -> Clicks:
        """Return clicks on joints of the data set as clicks on the network's."""
        positions, mask = np.zeros((len(self.skeleton), 2)), np.zeros(len(self.skeleton), bool)
        chosen = placed.chosen[0].numpy()
        places = np.array(self.columns)[chosen]
        positions[places], mask[places] = placed.positions[0].numpy()[chosen], True
        return Clicks(positions=positions, mask=mask)

    def _stack(self, rows: list[list[Pose]]) -> tuple[np.ndarray, np.ndarray]:
        """Return keypoints (1 + C, P, K, 2) and scores (1 + C, P)."""
        steps, joints = 1 + self.protocol.clicks, len(self.columns)
        keypoints = np.reshape([[pose.keypoints[self.columns] for pose in row] for row in rows], (-1, steps, joints, 2))
        scores = np.reshape([[pose.instance_score for pose in row] for row in rows], (-1, steps))
        return keypoints.swapaxes(0, 1), scores.T


def _labelled_person(record: PersonRecord) -> LabelledPeople:
    """Return one person in pixels, in double precision."""
    height, width = record.image_hw
    return LabelledPeople(
        keypoints=torch.from_numpy(np.asarray(record.keypoints, dtype=np.float64))[None],
        labelled=torch.from_numpy(record.labelled)[None],
        area=torch.tensor([record.area], dtype=torch.float64),
        extent=torch.tensor([[width, height]], dtype=torch.float64),
    )
