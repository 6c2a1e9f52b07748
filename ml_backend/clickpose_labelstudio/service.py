"""The logic behind ``/predict``: tasks in, Label Studio predictions out. It knows neither Flask nor torch.

Without a context the service pre-annotates a batch. With one, a human is editing: the service moves the rest of the
persons that were edited. Whatever the route, what a human placed, moved, confirmed or locked is fixed and comes back
unchanged.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

import clickpose
from clickpose.boxes import clip_boxes
from clickpose.checks import described
from clickpose.data.confidences import OCCLUDED_BELOW
from clickpose.first_pose.network import FirstPoseError
from clickpose.named_image import named_image
from clickpose.photo_groups import SeenPhoto, in_groups, look, size_of
from clickpose.postprocess import suppress_duplicate_poses
from clickpose.predictor import (
    EncodedRegion,
    PosePredictor,
    best_region,
    model_version,
    place_clicks,
    prompt_box,
    refine_among,
)
from clickpose.structures import Clicks, Pose, Poses
from clickpose_labelstudio.browser_decoding import BrowserDecoding, NotInBrowser
from clickpose_labelstudio.codec import (
    UNLABELLED_BELOW,
    encode_new_person,
    encode_poses,
    encode_refined,
    unique_person_ids,
)
from clickpose_labelstudio.interaction import Interaction, RequestError, read_interaction, result_of
from clickpose_labelstudio.labeling_config import LabelingConfig, LabelingConfigError, parse_labeling_config
from clickpose_labelstudio.ports import ImageError, ImageSource, LoadedImage, PredictorFactory, RegionStore
from clickpose_labelstudio.references import photo_name_of, through_label_studio
from clickpose_labelstudio.region_items import CodecError, labels_of, photo_score
from clickpose_labelstudio.turns import TakingTurns
from clickpose_labelstudio.turns import turns as own_turns

logger = logging.getLogger(__name__)

_SAME_BOX_PX = 0.5  # boxes that differ by less share an encoded region
_SMALLEST_SIDE_PX = 4.0  # of a box that is given to the network
_SMALLEST_INSIDE_PX = 1.0  # of the part of it inside the image
_MAX_LOST_S = 100.0  # that images which cannot be had may cost a batch; Label Studio waits as long for its answer
_NOT_TRIED = "Not tried: the images before this one took too long and could not be had"
_MAX_TASKS = 10_000  # of one request; Label Studio sends a hundred at a time
_MAX_EDITED = 200  # persons of one edit, some seconds of work; an annotator changes one, or those that were selected
_KEYPOINT_MARGIN = 0.15  # how much wider than its keypoints the box of a person without a rectangle is, per side


class _NotTriedError(Exception):
    """A task's image was not asked for."""


_parse_cached = lru_cache(maxsize=64)(parse_labeling_config)


class AnnotationService:
    """Pre-annotates tasks and refines poses while a human edits them. Safe to call from several threads.

    Args:
        get_predictor: gives the pose network, loading it on the first call.
        images: loads the tasks' images.
        regions: keeps encoded regions, so that an edit encodes nothing anew.
        occluded_below: predicted visibilities below this become the occluded choice.
        unlabelled_below: joints with predicted visibilities below this are left out of new persons, pre-annotated ones
            and those whose box a human has drawn.
        browser_decoding: whether browsers are given what they need to answer edits by themselves.
        version: name of a version of the network, for the model version.
        turns: how many may encode at once, shared with other services of the process; None for turns of its own.
    """

    def __init__(
        self,
        get_predictor: PredictorFactory,
        images: ImageSource,
        regions: RegionStore,
        *,
        occluded_below: float = OCCLUDED_BELOW,
        unlabelled_below: float = UNLABELLED_BELOW,
        browser_decoding: bool = True,
        version: str = "",
        turns: threading.Semaphore | None = None,
    ):
        self._get_predictor = get_predictor
        self._images = images
        self._regions = regions
        self._occluded_below = occluded_below
        self._unlabelled_below = unlabelled_below
        self._version = version
        self._turns = turns or own_turns()
        self._browser = BrowserDecoding(allowed=browser_decoding)

    @property
    def model_version(self) -> str:
        """Name, release, version and weights of the network, such as ``clickpose-lite-0.2.0-p1v3-3f2a91``.

        Loads the weights.
        """
        release = f"{clickpose.__version__}-{self._version}" if self._version else clickpose.__version__
        return model_version(self._get_predictor(), release)

    def predict(self, tasks: object, label_config: object, context: object = None) -> list[dict]:
        """Answer a ``/predict`` request.

        Args:
            tasks: Label Studio's tasks, as they came from JSON.
            label_config: the project's labelling configuration, XML.
            context: ``params.context`` of the request: None for a batch, an object while a human edits.

        Returns:
            One entry a task: ``{"result", "score", "model_version"}``. The score is the lowest instance score, so
            that Label Studio serves the doubtful first, and 1 where nobody was found. A task whose image cannot be had
            gets ``{"error": <sentence>}`` without a result: Label Studio then stores no prediction and asks again.
            An edit that moves nothing gets ``{}``, which leaves the annotation alone. Edits of the bridge get ``notes``
            where there is something to say to the annotator.

        Raises:
            LabelingConfigError: if the configuration cannot serve poses.
            RequestError: if the request cannot be understood or, during an edit, the image cannot be had.
        """
        if not isinstance(tasks, list) or not all(isinstance(task, Mapping) for task in tasks):
            raise RequestError("Expected tasks to be a list of objects")
        if len(tasks) > _MAX_TASKS:
            raise RequestError(f"Expected at most {_MAX_TASKS} tasks, got {len(tasks)}")
        if context is not None and not isinstance(context, Mapping):
            raise RequestError(f"Expected context to be an object or null, got {described(context)}")
        config = self.check_config(label_config)
        if not context:
            return self._preannotate_all(tasks, config)
        if len(tasks) != 1:
            raise RequestError(f"Expected one task with an interactive context, got {len(tasks)}")
        try:
            return [self._interact(tasks[0], config, context) | _notes(config, context)]
        except (CodecError, FirstPoseError, ImageError) as error:
            raise RequestError(str(error)) from error

    def check_config(self, label_config: object) -> LabelingConfig:
        """Read a labelling configuration as :meth:`predict` will, so that a set-up can say what is wrong with it.

        Raises:
            LabelingConfigError: if the configuration cannot serve poses.
            RequestError: if it is no text.
        """
        if not isinstance(label_config, str):
            raise RequestError(f"Expected label_config to be XML text, got {described(label_config)}")
        return _parse_cached(label_config, self._get_predictor().skeleton)

    def _image_of(self, task: Mapping, config: LabelingConfig) -> _TaskImage:
        data = task.get("data")
        reference = config.image_reference(data)
        name = photo_name_of(data if isinstance(data, Mapping) else {}, reference)
        return _TaskImage(through_label_studio(reference, task.get("id")), name, self._images, self._regions)

    def _preannotate_all(self, tasks: Sequence[Mapping], config: LabelingConfig) -> list[dict]:
        """Pre-annotate a batch, photos loaded and searched while others are encoded, some at a time. Once its bad
        images have cost more time than Label Studio waits for all of it, the rest is not tried: a host that answers
        late and never with an image would hold up every other batch."""
        lost_s = 0.0

        def see(task: Mapping) -> _SeenTask:
            nonlocal lost_s
            if lost_s >= _MAX_LOST_S:
                raise _NotTriedError(_NOT_TRIED)
            started = time.monotonic()
            try:
                image = self._image_of(task, config)
                return _SeenTask(image, look(self._get_predictor(), image.fetch()))
            except Exception:
                lost_s += time.monotonic() - started
                raise

        def preannotate(seen: Sequence[_SeenTask]) -> list[dict]:
            return self._preannotate(seen, config)

        failures = (FirstPoseError, ImageError, LabelingConfigError, _NotTriedError)
        answers = in_groups(see, tasks, lambda seen: size_of(seen.photo), preannotate, failures)
        return [answer if isinstance(answer, dict) else _say_why(task, answer) for task, answer in answers]

    def _preannotate(self, seen: Sequence[_SeenTask], config: LabelingConfig) -> list[dict]:
        """Pose everybody in some tasks' images."""
        predictor = self._get_predictor()
        regions = self._regions_in(predictor, [(each.image, each.photo.boxes_xyxy) for each in seen])
        found = predictor.decode_photos(
            [(encoded, each.photo.boxes_xyxy) for encoded, each in zip(regions, seen, strict=True)]
        )
        return [self._prediction(each.image, poses, config) for each, poses in zip(seen, found, strict=True)]

    def _prediction(self, image: _TaskImage, poses: Poses, config: LabelingConfig) -> dict:
        """Return the prediction of a task."""
        poses = poses.select(suppress_duplicate_poses(poses))
        ids = unique_person_ids(poses.boxes_xyxy, image.content_hash)
        result = encode_poses(poses, config, image.image_hw, ids, self._occluded_below, self._unlabelled_below)
        return self._reply(result, poses.instance_scores)

    def _reply(self, result: list[dict], instance_scores: Sequence[float] | np.ndarray) -> dict:
        return {"result": result, "score": photo_score(instance_scores), "model_version": self.model_version}

    def _regions_of_boxes(
        self, predictor: PosePredictor, image: _TaskImage, boxes_xyxy: np.ndarray | None
    ) -> list[EncodedRegion]:
        """Return the regions of one image; see :meth:`_regions_in`."""
        return self._regions_in(predictor, [(image, boxes_xyxy)])[0]

    def _regions_in(
        self, predictor: PosePredictor, images: Sequence[tuple[_TaskImage, np.ndarray | None]]
    ) -> list[list[EncodedRegion]]:
        """Return the regions that were encoded for (N, 4) boxes of each image, or for everybody, encoding those that
        were not, and keeping them.

        Raises:
            RequestError: if a box lies outside the image.
        """
        kept = [self._kept(predictor, *each) for each in images]
        lacking = [row for row, (_, regions) in enumerate(kept) if None in regions]
        encoded = self._encode(predictor, [(images[row][0], _missing_boxes(*kept[row])) for row in lacking])
        fresh = dict(zip(lacking, map(iter, encoded), strict=True))
        return [
            [next(fresh[row]) if region is None else region for region in regions]
            for row, (_, regions) in enumerate(kept)
        ]

    def _kept(
        self, predictor: PosePredictor, image: _TaskImage, boxes_xyxy: np.ndarray | None
    ) -> tuple[np.ndarray | None, list[EncodedRegion | None]]:
        """Return the boxes as they are encoded, and for each the region that is kept, or None."""
        known = self._regions.outlines(image.content_hash, predictor.fingerprint)
        if boxes_xyxy is None:
            whole = next((region for region in known if region.prompt_box_xyxy is None), None)
            return None, [self._load(predictor, image, whole)]
        boxes_xyxy = clip_boxes(boxes_xyxy, image.image_hw)  # as they are encoded and cached
        if (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2] < _SMALLEST_INSIDE_PX).any():
            raise RequestError("Expected the box of a person to lie inside the image")
        return boxes_xyxy, [self._load(predictor, image, _region_with_box(known, box)) for box in boxes_xyxy]

    def _load(self, predictor: PosePredictor, image: _TaskImage, outline: EncodedRegion | None) -> EncodedRegion | None:
        return outline and self._regions.load(image.content_hash, predictor.fingerprint, outline)

    def _encode(
        self, predictor: PosePredictor, people: Sequence[tuple[_TaskImage, np.ndarray | None]]
    ) -> list[list[EncodedRegion]]:
        """Encode people of images and keep their regions; boxes may share one."""
        if not people:
            return []
        encoded = predictor.encode_photos([(image.pixels, boxes_xyxy) for image, boxes_xyxy in people])
        for (image, _), regions in zip(people, encoded, strict=True):
            unique = {id(region): region for region in regions}.values()
            self._regions.add(image.content_hash, predictor.fingerprint, list(unique))
        return encoded

    def _interact(self, task: Mapping, config: LabelingConfig, context: Mapping) -> dict:
        """Refine the persons that a human has just edited."""
        if "browser" in context:
            return {"browser": self._equip(task, config, context)}
        if not result_of(context):
            return {}  # Label Studio asks so when it opens a task; a reply with an empty result would wipe regions
        image = self._image_of(task, config)
        interaction = read_interaction(task, context, config, image.image_hw)
        persons = interaction.edited_persons()
        if len(persons) > _MAX_EDITED:
            raise RequestError(f"Expected an edit of at most {_MAX_EDITED} persons, got {len(persons)}")
        result, scores = [], []
        for person in persons:
            items, score = self._refine_person(image, interaction, person, config)
            result += items
            scores.append(score)
        if not result:
            return {}
        answered = {item["id"] for item in result}
        kept = [item for item in interaction.dynamic if item["id"] not in answered]
        result = [_settled(item) for item in (*result, *kept)]
        result.sort(key=lambda item: item.get("from_name") == config.box_name)  # keypoints stay before boxes
        return self._reply(result, scores)

    def _equip(self, task: Mapping, config: LabelingConfig, context: Mapping) -> dict:
        """Give a browser what it asks for, to answer edits by itself; what it cannot do so is ``unavailable``."""
        wish, predictor = context["browser"], TakingTurns(self._get_predictor(), self._turns)
        try:
            if wish == "runtime":
                return self._browser.runtime()
            if wish == "decoder":
                return self._browser.decoder(predictor)
            if not isinstance(wish, Mapping) or not isinstance(wish.get("person"), str):
                raise RequestError('Expected context.browser to be "runtime", "decoder" or a person\'s {"person": id}')
            return self._equip_for(wish["person"], task, config, context, predictor)
        except NotInBrowser as reason:
            return {"unavailable": reason.what, "reason": str(reason)}

    def _equip_for(
        self, person_id: str, task: Mapping, config: LabelingConfig, context: Mapping, predictor: PosePredictor
    ) -> dict:
        """Give what the decoder needs of a person, with ``joints`` (region id -> index) and ``image_hw``."""
        image = self._image_of(task, config)
        interaction = read_interaction(task, {**context, "edited": []}, config, image.image_hw)
        persons = interaction.decoded.persons
        row = next((row for row, person in enumerate(persons) if person.id == person_id), None)
        if row is None:
            raise RequestError(f"Expected regions of person {person_id:.80}, got those of others")
        self._browser.check(predictor)
        if persons[row].box_item is None:
            raise NotInBrowser("person", "It has no box")
        pose = _current_pose(interaction, row)
        cached = self._best_of(predictor, image, pose)
        (region,) = cached or self._regions_of_boxes(predictor, image, prompt_box(pose)[None])
        joints = {keypoint.item["id"]: joint for joint, keypoint in persons[row].joints.items()}
        return {**self._browser.person(predictor, region), "joints": joints, "image_hw": list(image.image_hw)}

    def _refine_person(
        self, image: _TaskImage, interaction: Interaction, row: int, config: LabelingConfig
    ) -> tuple[list[dict], float]:
        """Return the new regions of one edited person and the person's score."""
        decoded = interaction.decoded
        person, pose = decoded.persons[row], _current_pose(interaction, row)
        if not interaction.boxed[row]:
            refined = self._refine(image, pose, interaction.edited[row])
        else:
            refined = self._predict_in_box(image, pose)
        if person.joints:
            items = encode_refined(decoded, person, refined, config, keep_box=bool(interaction.kept_boxes[row]))
        else:
            items = encode_new_person(decoded, person, refined, config, self._occluded_below, self._unlabelled_below)
        return items, refined.instance_score

    def _refine(self, image: _TaskImage, pose: Pose, edited: np.ndarray) -> Pose:
        """Move the free joints of a pose after the ``edited`` (K,) joints were put in place; encode only if needed."""
        predictor = TakingTurns(self._get_predictor(), self._turns)
        clicks = Clicks(positions=pose.keypoints, mask=edited)
        cached = self._best_of(predictor, image, place_clicks(pose, clicks))

        def encode(boxes_xyxy: np.ndarray) -> Sequence[EncodedRegion]:
            try:
                return self._regions_of_boxes(predictor, image, boxes_xyxy)
            except FirstPoseError as error:  # no click needs a first pose
                logger.warning("Refined without a first pose: %s", error)
                return predictor.refiner.encode(image.pixels, boxes_xyxy)

        return refine_among(predictor, cached, pose, clicks, encode)

    def _best_of(self, predictor: PosePredictor, image: _TaskImage, placed: Pose) -> list[EncodedRegion]:
        """Return the one kept region that suits a pose best, or none."""
        outlines = self._regions.outlines(image.content_hash, predictor.fingerprint)
        while (best := best_region(predictor, outlines, placed)) is not None:
            region = self._load(predictor, image, best)
            if region is not None:
                return [region]
            outlines = [outline for outline in outlines if outline is not best]
        return []

    def _predict_in_box(self, image: _TaskImage, pose: Pose) -> Pose:
        """Predict a person anew from the pose's box; the fixed joints stay."""
        predictor = TakingTurns(self._get_predictor(), self._turns)
        box_xyxy = prompt_box(pose)[None]
        (region,) = self._regions_of_boxes(predictor, image, box_xyxy)
        (fresh,) = predictor.decode([region], box_xyxy)
        if not pose.fixed.any():
            return fresh
        clicks = Clicks(positions=pose.keypoints, mask=pose.fixed)
        return predictor.refine_region(region, place_clicks(fresh, clicks), clicks)


def _notes(config: LabelingConfig, context: Mapping) -> dict:
    """Say which labels are no joints, to the bridge, which has named the edited regions."""
    if not config.unmatched_labels or "edited" not in context:
        return {}
    edited = context["edited"] if isinstance(context["edited"], list) else []
    items = [item for item in result_of(context) if item.get("id") in edited]
    said = config.say_unmatched([label for item in items for label in labels_of(item, "keypointlabels")])
    return {"notes": [said]} if said else {}


def _say_why(task: Mapping, error: Exception) -> dict:
    """Answer a task that gets no prediction; one bad image must not spoil the batch."""
    if not isinstance(error, _NotTriedError):
        logger.warning("Task %.40r gets no prediction: %s", task.get("id"), error)
    return {"error": str(error)}


def _missing_boxes(boxes_xyxy: np.ndarray | None, regions: Sequence[EncodedRegion | None]) -> np.ndarray | None:
    """Return the boxes without a region; None for everybody."""
    return None if boxes_xyxy is None else boxes_xyxy[[region is None for region in regions]]


def _settled(item: Mapping) -> dict:
    """Drop the mark of dynamic regions: Label Studio deletes all that carry it once it has taken over an answer."""
    return {key: value for key, value in item.items() if key != "dynamic"}


def _region_with_box(regions: Sequence[EncodedRegion], box_xyxy: np.ndarray) -> EncodedRegion | None:
    """Return the region that was encoded for this (4,) box or for the whole image, or None."""
    boxes = ((region, region.prompt_box_xyxy) for region in regions)
    same = (region for region, box in boxes if box is None or np.allclose(box, box_xyxy, rtol=0, atol=_SAME_BOX_PX))
    return next(same, None)


class _SeenTask(NamedTuple):
    """A task's image, in which people have been searched for."""

    image: _TaskImage
    photo: SeenPhoto


class _TaskImage:
    """A task's image: its hash and size come from the region store where known; the pixels are loaded when needed."""

    def __init__(self, reference: str, name: str, images: ImageSource, regions: RegionStore):
        self._reference, self._name = reference, name
        self._images = images
        self._regions = regions
        self._fetched: LoadedImage | None = None

    def fetch(self) -> np.ndarray:
        """Load the pixels; the region store, which keeps a connection for each thread that asks, is not told yet."""
        self._fetched = self._images.load(self._reference)
        return named_image(self._fetched.pixels, self._name)

    @cached_property
    def _loaded(self) -> LoadedImage:
        loaded = self._fetched or self._images.load(self._reference)
        self._regions.remember(self._reference, loaded.content_hash, loaded.pixels.shape[:2])
        return loaded

    @property
    def pixels(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB, which knows the photo's name."""
        return named_image(self._loaded.pixels, self._name)

    @cached_property
    def _known(self) -> tuple[str, tuple[int, int]] | None:
        content_hash = self._regions.content_hash(self._reference)
        if content_hash is None:
            return None
        image_hw = self._regions.image_hw(content_hash)
        return None if image_hw is None else (content_hash, image_hw)

    @property
    def content_hash(self) -> str:
        """Hash of the content; once the pixels are loaded, theirs."""
        return self._loaded.content_hash if self._is_loaded or self._known is None else self._known[0]

    @property
    def image_hw(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.pixels.shape[:2] if self._is_loaded or self._known is None else self._known[1]

    @property
    def _is_loaded(self) -> bool:
        return "_loaded" in self.__dict__


def _current_pose(interaction: Interaction, row: int) -> Pose:
    """Return a person as the annotation has it: fixed where a human touched it, NaN where there is no keypoint."""
    annotations = interaction.decoded.annotations
    person = interaction.decoded.persons[row]
    box = person.extent()
    if box is None:
        raise RequestError(f"Expected a rectangle or keypoints of person {person.id}, got neither")
    if person.box_item is None:
        box = box + np.array([-1, -1, 1, 1]) * _KEYPOINT_MARGIN * (box[2:] - box[:2]).max()
    fixed = annotations.touched[row] & (annotations.visibility[row] > 0)
    return Pose.from_keypoints(annotations.skeleton, annotations.keypoints[row], _with_area(box), fixed)


def _with_area(box_xyxy: np.ndarray) -> np.ndarray:
    """Widen a (4,) box about its centre where a side is too short for a network to look at."""
    center, half = (box_xyxy[:2] + box_xyxy[2:]) / 2, (box_xyxy[2:] - box_xyxy[:2]) / 2
    half = np.maximum(half, _SMALLEST_SIDE_PX / 2)
    return np.concatenate([center - half, center + half])
